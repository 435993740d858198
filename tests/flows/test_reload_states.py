from __future__ import annotations

import json
from typing import TYPE_CHECKING

from flows import config
from flows.assertions import load_assertions
from flows.reload_states import file_digests, fitting, signatures
from operators.alerting import EpisodeState
from operators.assertions.monitor import Failing, MonitorState
from operators.routing import StreamState
from operators.stream_cascade import CascadeState
from tests.support.pictures import frames

if TYPE_CHECKING:
    from tests.support.scenes import Street

OPEN = EpisodeState(opened_ns=5, opened_sequence=1, peak=3)
PENDING = EpisodeState(since_ns=7)
ASSERTIONS = "assertions: {{outputs: {{flicker: {flicker}, multibox: null}}, files: [own.py]}}\n"
OWN = """\
from operators.assertions import assertion


@assertion()
def own(times, found):
    return {severity}
"""


def signed(street: Street, *swaps: tuple[str, str], more: str = "") -> dict[str, str]:
    """The signatures of the street's configuration with some changes."""
    text = street.configuration.read_text(encoding="utf-8") + more
    for old, new in swaps:
        assert old in text
        text = text.replace(old, new)
    configuration = config.parse(text, "street.yaml", street.folder)
    section = configuration.assertions
    loaded = None if section is None else load_assertions(section, street.folder)
    return signatures(configuration, loaded, file_digests(configuration, street.folder))


def test_only_parts_whose_settings_changed_have_another_signature(scene: Street) -> None:
    windows = "windows: [{name: hall.north, classes: [car]}]\n"
    before = signed(scene, more=windows)
    assert sorted(before) == [
        "cascade", "rules", "track", "windows_hall:north_observe", "windows_hall:north_window"
    ]  # fmt: skip
    for swap, changed in (
        (("at_least: 2", "at_least: 3"), set()),
        (("class: person", "class: car"), {"rules"}),
        (("threshold: 100.0", "threshold: 99.0"), {"cascade"}),
        (("  gate:", "  till:"), set()),
        (
            ("weights: empty.png", "weights: empty.png\n  batch: 2"),
            set(before) - {"rules", "track"},
        ),
    ):
        now = signed(scene, swap, more=windows)
        assert {name for name, one in now.items() if before[name] != one} == changed


def test_a_state_of_the_same_settings_is_not_touched() -> None:
    assert fitting("street.track.track", "a", "a", OPEN) is OPEN
    assert fitting("street.track.track", "a", "b", OPEN) is None


def test_episodes_stay_with_rules_that_watch_the_same() -> None:
    crowd, jam, other = ["crowd", "person", []], ["jam", "car", []], ["jam", "car", ["gate"]]
    before, now = json.dumps([crowd, jam]), json.dumps([other, ["new", "car", []], crowd])
    assert fitting("street.rules.episodes", before, now, (OPEN, PENDING)) == (
        EpisodeState(), EpisodeState(), OPEN,
    )  # fmt: skip


def test_cascades_keep_what_is_undecided() -> None:
    waiting = frames([1, 2]).frames
    state = CascadeState(StreamState(waiting=waiting, before=((9, True, False),), undecided=4))
    states, step = {"gate": state, "yard": state}, "street.cascade.decide"
    anew = CascadeState(StreamState(waiting=waiting, before=((9, True, False),)))
    before = json.dumps({"": "one", "yard": "own"})
    other = json.dumps({"": "one", "yard": "new", "hall": "own"})
    assert fitting(step, before, other, states) == {"gate": state, "yard": anew}
    another = json.dumps({"": "two", "yard": "own"})
    assert fitting(step, before, another, states) == {"gate": anew, "yard": anew}


def test_assertions_begin_anew_where_they_changed(street: Street) -> None:
    own = street.folder / "own.py"
    own.write_text(OWN.format(severity=0.0), encoding="utf-8")
    plain = ASSERTIONS.format(flicker="null")
    before = signed(street, more=plain)
    state = MonitorState(
        {"flicker": 1, "multibox": 2, "own": 3}, {"own": Failing(1, ("E",))}, fault_ns=5
    )
    step = "street.answer_assertions.monitor"
    slow = signed(street, more=ASSERTIONS.format(flicker="{window_seconds: 3.0}"))
    assert fitting(step, before["answer_assertions"], slow["answer_assertions"], state) == (
        MonitorState({"multibox": 2, "own": 3}, {"own": Failing(1, ("E",))}, fault_ns=5)
    )
    own.write_text(OWN.format(severity=1.0), encoding="utf-8")
    edited = signed(street, more=plain)
    assert fitting(step, before["answer_assertions"], edited["answer_assertions"], state) == (
        MonitorState({"flicker": 1, "multibox": 2}, {}, fault_ns=5)
    )
    assert edited["corrections"] == before["corrections"]
