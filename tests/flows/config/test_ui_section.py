"""The section of a configuration about the dashboard."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from flows import config
from records import ConfigurationError

ANYWHERE = str(ip_address(0))
TOKEN = "abcdefgh" * 4
HEAD = "version: 1\nname: n\nstreams: {gate: {uri: webcam:0}}\n"


def faults(text: str, **environment: str) -> list[str]:
    try:
        config.parse(HEAD + text, "a.yaml", Path(), environment)
    except ConfigurationError as error:
        return [str(fault) for fault in error.faults]
    return []


def test_a_whole_section() -> None:
    text = (
        f"ui: {{host: {ANYWHERE}, port: 80, names: [cam.example], plan: plan.json, tokens: "
        "[{name: guard, secret: '${DOOR}', streams: [gate]}, {name: owner, secret: '${DOOR}'}]}\n"
    )
    section = config.parse(HEAD + text, "a.yaml", Path(), {"DOOR": TOKEN}).ui
    assert section is not None
    assert [one.secret.get_secret_value() for one in section.tokens] == [TOKEN, TOKEN]
    assert TOKEN not in repr(section)
    assert section.plan == "plan.json"


def test_the_page_is_off_and_on_this_machine_by_default() -> None:
    assert config.parse(HEAD, "a.yaml", Path(), {}).ui is None
    section = config.parse(HEAD + "ui: {}\n", "a.yaml", Path(), {}).ui
    assert section is not None
    assert (section.host, section.port, section.tokens) == ("127.0.0.1", 8787, [])


@pytest.mark.parametrize("host", [ANYWHERE, "192.168.0.4", "'::'", "cam.example"])
def test_strangers_need_a_token(host: str) -> None:
    (fault,) = faults(f"ui: {{host: {host}}}\n")
    shown = host.strip("'")
    assert fault == (
        f"a.yaml:4: ui.host: can be reached from other machines and has no token (got '{shown}'). "
        "Add ui.tokens, or listen on 127.0.0.1."
    )


def test_tokens_are_secret_long_and_of_real_streams() -> None:
    assert faults(f"ui: {{tokens: [{{name: a, secret: {TOKEN}, streams: [yard]}}]}}\n") == [
        "a.yaml:4: ui.tokens[0].secret: must not stand in the file (got a secret that is not "
        "shown). Keep it in the environment and write ${NAME} here.",
        "a.yaml:4: ui.tokens[0].streams[0]: is no stream (got 'yard'). Use one of gate.",
    ]
    (fault,) = faults("ui: {tokens: [{name: a, secret: '${DOOR}'}]}\n", DOOR="short")
    assert fault == (
        "a.yaml:4: ui.tokens[0].secret: is too short for a token (got ${DOOR}). It must have at "
        "least 16 characters: openssl rand -hex 32."
    )
    assert faults("ui: {tokens: [{name: a, secret: '${DOOR}'}]}\n", DOOR=TOKEN) == []
    for broken in ("ui: 3", "ui: {tokens: 3}", "ui: {tokens: [3]}", "ui: {host: 3}"):
        assert faults(broken), broken
