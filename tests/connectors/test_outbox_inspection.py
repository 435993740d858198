from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from connectors.outbox import Outbox
from connectors.outbox_delivery import Delivery, DeliveryState, Message
from connectors.outbox_inspection import (
    OutboxContents,
    PutBack,
    StoredDelivery,
    StoredEndpoint,
    StoredMessage,
    in_use,
    put_back,
    read_outbox,
)
from records import SightflowError

if TYPE_CHECKING:
    from pathlib import Path

OPENED = Message("gate:crowd:7:opened:7", 70, "gate:crowd:7", b"1")
CLOSED = Message("gate:crowd:7:closed:9", 90, "gate:crowd:7", b"2")
OTHER = Message("gate:crowd:20:opened:20", 200, "gate:crowd:20", b"3")


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    """Three messages: delivered, failed and waiting at "a"; disabled, all of them, at "b"."""
    path = tmp_path / "a.sqlite3"
    with Outbox(path) as outbox:
        a, b = outbox.endpoint("a#1", "a"), outbox.endpoint("b#1", "b")
        for endpoint in (a, b):
            outbox.add(endpoint, [OPENED, CLOSED, OTHER], 1)
        outbox.settle(a, 1, DeliveryState.DELIVERED, "", 2)
        outbox.settle(a, 2, DeliveryState.FAILED, "status_404", 3)
        outbox.postpone(a, 3, "timeout", 4, 5000)
        outbox.disable(b, 1, 5)
    return path


def test_reading(outbox: Path) -> None:
    disabled = StoredDelivery("b#1", DeliveryState.DISABLED, 0, 1, 5, "gone")
    assert read_outbox(outbox) == OutboxContents(
        messages=(
            StoredMessage(*OPENED, 1, (
                StoredDelivery("a#1", DeliveryState.DELIVERED, 1, 1, 2, ""),
                StoredDelivery("b#1", DeliveryState.DISABLED, 1, 1, 5, "gone"),
            )),
            StoredMessage(*CLOSED, 1, (
                StoredDelivery("a#1", DeliveryState.FAILED, 1, 1, 3, "status_404"), disabled,
            )),
            StoredMessage(*OTHER, 1, (
                StoredDelivery("a#1", DeliveryState.PENDING, 1, 5000, 4, "timeout"), disabled,
            )),
        ),
        endpoints=(StoredEndpoint("a#1", "a", None), StoredEndpoint("b#1", "b", 5)),
    )  # fmt: skip


def test_everything_is_put_back(outbox: Path) -> None:
    assert put_back(outbox, 9) == PutBack({"a#1": 1, "b#1": 3}, 1, ("b#1",))
    assert put_back(outbox, 9) == PutBack({}, 0, ())
    with Outbox(outbox) as opened:
        a, b = opened.endpoint("a#1", "a"), opened.endpoint("b#1", "b")
        assert (opened.pending(a), opened.pending(b), opened.disabled_ns(b)) == (2, 3, None)
        assert opened.next_due(a) == Delivery(2, CLOSED.id, b"2", 0, 9)
        opened.settle(a, 2, DeliveryState.DELIVERED, "", 10)
        # The one that waited keeps its attempts.
        assert opened.next_due(a) == Delivery(3, OTHER.id, b"3", 1, 9)


@pytest.mark.parametrize(
    ("alert", "endpoint", "done"),
    [
        (OPENED.id, None, PutBack({"b#1": 1}, 0, ("b#1",))),
        ("gate:crowd:7", None, PutBack({"a#1": 1, "b#1": 2}, 0, ("b#1",))),
        ("gate:crowd:20", "a", PutBack({}, 1, ())),
        (None, "a", PutBack({"a#1": 1}, 1, ())),
        (None, "b#1", PutBack({"b#1": 3}, 0, ("b#1",))),
    ],
)
def test_some_are_put_back(
    outbox: Path, alert: str | None, endpoint: str | None, done: PutBack
) -> None:
    assert put_back(outbox, 9, alert=alert, endpoint=endpoint) == done


def test_what_is_not_there_is_told_and_nothing_changes(outbox: Path) -> None:
    before = read_outbox(outbox)
    for changes, message in (
        ({"alert": "gate:crowd:8"}, f"{outbox} has no alert 'gate:crowd:8'; 'sightflow alerts "
         "list' tells which there are"),
        ({"endpoint": "c"}, f"{outbox} has no endpoint 'c'; it has a#1, b#1"),
    ):  # fmt: skip
        with pytest.raises(SightflowError) as caught:
            put_back(outbox, 9, **changes)
        assert str(caught.value) == message
    assert read_outbox(outbox) == before


def test_no_outbox_is_told_and_none_is_made(tmp_path: Path) -> None:
    path = tmp_path / "none.sqlite3"
    for act in (lambda: read_outbox(path), lambda: put_back(path, 0)):
        with pytest.raises(SightflowError) as caught:
            act()
        assert str(caught.value) == (
            f"there is no outbox {path}; a run with webhooks makes one in its event log's directory"
        )
    assert list(tmp_path.iterdir()) == []


def test_a_run_may_go_on_meanwhile(outbox: Path) -> None:
    assert not in_use(outbox)
    with Outbox(outbox) as opened:
        assert in_use(outbox)
        a = opened.endpoint("a#1", "a")
        assert len(read_outbox(outbox).messages) == 3
        assert put_back(outbox, 9, endpoint="a") == PutBack({"a#1": 1}, 1, ())
        assert opened.pending(a) == 2
    assert not in_use(outbox)
