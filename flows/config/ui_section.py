"""The section of a configuration about the dashboard, a web page that shows the run."""

from __future__ import annotations

from pydantic import Field, SecretStr

from flows.config.section import Name, Section, Text

UI_PORT = 8787
"""The port of the dashboard where none is named."""


class TokenSection(Section):
    """Someone who may look at the dashboard."""

    name: Name = Field(description="Who has it, for the log.")
    secret: SecretStr = Field(
        description="The token, at least 16 characters, as a reference ${NAME} to the environment."
    )
    streams: list[Text] = Field(
        [], description="The streams that may be seen; all, and the whole run, when empty."
    )


class UiSection(Section):
    """The dashboard: a page for browsers, on this machine unless it is told otherwise."""

    host: Text = Field("127.0.0.1", description="The address to listen on.")
    port: int = Field(UI_PORT, ge=0, le=65535, description="The port; 0 = any free one.")
    names: list[Text] = Field(
        [],
        description="Host names that browsers reach it by, besides localhost and plain addresses.",
    )
    plan: Text | None = Field(
        None,
        description="A JSON file with the tasks of a training step under 'timeline', which are "
        "drawn: kind, node, place, start, end. A relative path counts from the configuration "
        "file's folder.",
    )
    tokens: list[TokenSection] = Field(
        [],
        max_length=64,
        description="Who may look; needed where other machines can reach the address.",
    )
