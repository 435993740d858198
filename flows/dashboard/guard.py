"""What stands before every answer: whose Host it is, who asks, and what browsers may do with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse

from flows.dashboard.access import COOKIE

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from flows.dashboard.access import Access

SIGN_IN = "/sign-in"
"""The page that asks for a token."""

OPEN_PATHS = frozenset({SIGN_IN, "/healthz", "/readyz"})
"""What strangers may ask for; besides, all of /static/, which holds nothing of any run."""

STATIC = "/static/"
"""Where the page's own files are."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
"""The headers of every answer: no script that is not ours, no frame around us, no reader beside."""


class Guard:
    """Lets through who may look; the answer's visitor is in ``request.state.visitor``.

    Args:
        app: What answers.
        access: Who may look.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        request = Request(scope)
        refused = self._refusal(request)
        await (refused or self._app)(scope, receive, guarded)

    def _refusal(self, request: Request) -> Response | None:
        """What a request is told that goes no further; None for one that does."""
        host = request.headers.get("host", "")
        if not self._access.knows_host(host):
            return PlainTextResponse(
                "this Host is not known here; add it to ui.names in the configuration", 421
            )
        visitor = self._access.visitor(
            request.headers.get("authorization", ""), request.cookies.get(COOKIE, "")
        )
        request.state.visitor = visitor
        path = request.url.path
        if visitor is not None or path in OPEN_PATHS or path.startswith(STATIC):
            return None
        if path == "/":
            return RedirectResponse(SIGN_IN, 303)
        return JSONResponse({"error": "a token is needed"}, 401, {"WWW-Authenticate": "Bearer"})
