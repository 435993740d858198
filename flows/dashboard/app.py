"""The web application: the page, its data, its pictures. It only reads; nothing is changed here."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from flows.dashboard.access import COOKIE, SESSION_SECONDS
from flows.dashboard.guard import SIGN_IN, Guard
from flows.dashboard.thumbnails import LARGE_WIDTH, WIDTH
from flows.dashboard.vendor import is_vendored
from records import SightflowError

if TYPE_CHECKING:
    import threading
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from flows.dashboard.access import Access, Visitor
    from flows.dashboard.board import Board
    from flows.dashboard.explanations import Explanation

FOLDER = Path(__file__).parent / "static"
"""The page's files."""

TICK_SECONDS = 1.0
"""The time between two messages to a page, seconds; what happened meanwhile is one message."""

BEAT_TICKS = 15
"""After so many ticks without news a comment is sent, so that proxies keep the line open."""

MOST_LISTENERS = 32
"""The most pages that may listen at once."""

LARGEST_FORM = 4096
"""The largest sign-in form, bytes."""

JPEG = "image/jpeg"
"""The content type of pictures."""

_TIME = re.compile(r"[0-9]{1,15}(\.[0-9]{0,9})?")
_RUN_WIDE = ("detector", "faults", "unlisted", "pictures_missed", "software")


class Dashboard:
    """The routes, and what they share.

    Args:
        board: What is shown.
        access: Who may look.
        closing: Set when the server is about to end; those who listen are told and let go.
    """

    def __init__(self, board: Board, access: Access, closing: threading.Event) -> None:
        self._board, self._access, self._closing = board, access, closing
        self._listeners = 0
        self._vendored = is_vendored()
        self.app = Starlette(
            routes=[
                Route("/", self._page),
                Route(SIGN_IN, self._sign_in_page),
                Route(SIGN_IN, self._sign_in, methods=["POST"]),
                Route("/sign-out", self._sign_out, methods=["POST"]),
                Route("/api/state", self._state),
                Route("/api/events", self._events),
                Route("/api/streams/{key}/thumbnail", self._thumbnail),
                Route("/api/alerts/{key}", self._alert),
                Route("/api/alerts/{key}/strip", self._strip),
                Route("/healthz", self._health),
                Route("/readyz", self._readiness),
                Route("/metrics", self._metrics),
                Mount("/static", StaticFiles(directory=FOLDER)),
            ],
            middleware=[Middleware(Guard, access)],
            exception_handlers={HTTPException: _problem},
        )

    async def _page(self, _: Request) -> Response:
        return FileResponse(FOLDER / "index.html")

    async def _sign_in_page(self, _: Request) -> Response:
        return FileResponse(FOLDER / "sign-in.html")

    async def _sign_in(self, request: Request) -> Response:
        _check_origin(request)
        body = await _form(request)
        token = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0]
        session = self._access.sign_in(token)
        if session is None:
            return RedirectResponse(f"{SIGN_IN}?wrong", 303)
        answer = RedirectResponse("/", 303)
        secure = request.url.scheme == "https"
        answer.set_cookie(
            COOKIE, session, max_age=int(SESSION_SECONDS), httponly=True, samesite="strict",
            secure=secure,
        )  # fmt: skip
        return answer

    async def _sign_out(self, request: Request) -> Response:
        _check_origin(request)
        self._access.sign_out(request.cookies.get(COOKIE, ""))
        answer = RedirectResponse(SIGN_IN, 303)
        answer.delete_cookie(COOKIE)
        return answer

    async def _state(self, request: Request) -> Response:
        at_ms = _time_asked(request)
        return JSONResponse(await run_in_threadpool(self._told, _visitor(request), 0, at_ms))

    async def _events(self, request: Request) -> Response:
        if self._listeners >= MOST_LISTENERS:
            raise HTTPException(503, f"at most {MOST_LISTENERS} pages may listen at once")
        return StreamingResponse(self._news(_visitor(request)), media_type="text/event-stream")

    async def _news(self, visitor: Visitor) -> AsyncIterator[str]:
        """One message a tick with what has changed; the first holds everything."""
        self._listeners += 1
        try:
            revision, before, quiet = 0, "", 0
            while True:
                closing = self._closing.is_set()
                told = await run_in_threadpool(self._told, visitor, revision)
                rest = json.dumps([told["about"], told["background"]])
                if revision != told["revision"] or rest != before:
                    told["full"] = revision == 0
                    yield f"data: {json.dumps(told, allow_nan=False)}\n\n"
                    revision, before, quiet = told["revision"], rest, 0
                if closing:
                    yield "event: end\ndata: {}\n\n"
                    return
                quiet += 1
                if quiet % BEAT_TICKS == 0:
                    yield ": still here\n\n"
                await asyncio.sleep(TICK_SECONDS)
        finally:
            self._listeners -= 1

    def _told(self, visitor: Visitor, since: int, at_ms: float | None = None) -> dict[str, Any]:
        """What a visitor may know that changed since a revision."""
        about, background = self._board.about(), {}
        if visitor.sees_all:
            background = self._board.background()
        else:
            about = {name: one for name, one in about.items() if name not in _RUN_WIDE}
        about["visitor"] = visitor.name if self._access.asks else ""
        about["uplot"] = self._vendored
        view = self._board.view(since, visitor.sees, at_ms)
        return {**view, "about": about, "background": background}

    async def _thumbnail(self, request: Request) -> Response:
        stream = self._board.stream_named(request.path_params["key"])
        if stream is None or not _visitor(request).sees(stream):
            raise HTTPException(404, "there is no such stream")
        at_ms = _time_asked(request)
        width = LARGE_WIDTH if "large" in request.query_params else WIDTH
        data = await run_in_threadpool(self._board.thumbnail, stream, width, at_ms)
        return Response(status_code=204) if data is None else Response(data, media_type=JPEG)

    async def _alert(self, request: Request) -> Response:
        return JSONResponse((await self._explained(request)).words)

    async def _strip(self, request: Request) -> Response:
        picture = (await self._explained(request)).strip
        if picture is None:
            raise HTTPException(404, "the log holds no frames around this alert")
        return Response(picture, media_type=JPEG)

    async def _explained(self, request: Request) -> Explanation:
        alert = self._board.alert(request.path_params["key"])
        if alert is None or not _visitor(request).sees(alert.stream):
            raise HTTPException(404, "there is no such alert")
        try:
            return await run_in_threadpool(self._board.explanation, alert)
        except SightflowError as error:
            raise HTTPException(409, str(error)) from error

    async def _health(self, _: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def _readiness(self, request: Request) -> Response:
        troubles = self._board.troubles()
        if not troubles:
            return PlainTextResponse("ready\n")
        visitor = request.state.visitor
        told = troubles if visitor is not None and visitor.sees_all else ["not ready"]
        return PlainTextResponse("".join(f"{one}\n" for one in told), 503)

    async def _metrics(self, request: Request) -> Response:
        if not _visitor(request).sees_all:
            raise HTTPException(403, "metrics tell of all streams, and this token of some")
        data = await run_in_threadpool(self._board.metrics)
        if data is None:
            raise HTTPException(404, "a recorded run has no metrics")
        return Response(data, media_type="text/plain; version=0.0.4; charset=utf-8")


def _visitor(request: Request) -> Visitor:
    visitor: Visitor | None = request.state.visitor
    assert visitor is not None, "the guard lets no stranger here"
    return visitor


def _time_asked(request: Request) -> float | None:
    """The event time that is asked for, milliseconds since 1970 UTC; None for the latest."""
    text = request.query_params.get("at")
    if text is None:
        return None
    if not _TIME.fullmatch(text):
        raise HTTPException(400, "at must be milliseconds since 1970 UTC")
    return float(text)


async def _form(request: Request) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST_FORM:
                raise HTTPException(413, f"a form must be at most {LARGEST_FORM} bytes")
    except ClientDisconnect as error:
        raise HTTPException(400, "a form must be whole") from error
    return bytes(body)


def _check_origin(request: Request) -> None:
    """Refuse forms of other sites."""
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
        raise HTTPException(403, "this form is another site's")


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code)
