from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.outbox import Outbox
from connectors.outbox_delivery import MOST_BODY_BYTES, Added, Delivery, DeliveryState, Message
from connectors.outbox_file import OutboxSettings
from connectors.outbox_inspection import read_outbox
from records import SightflowError

if TYPE_CHECKING:
    from pathlib import Path


def message(number: int, time_ns: int | None = None, body: bytes = b"{}") -> Message:
    episode = f"gate:crowd:{number}"
    time_ns = number if time_ns is None else time_ns
    return Message(f"{episode}:opened:{number}", time_ns, episode, body)


def test_messages_are_due_in_the_order_in_which_they_came() -> None:
    with Outbox() as outbox:
        endpoint = outbox.endpoint("a#1", "a")
        other = outbox.endpoint("b#1", "b")
        assert outbox.endpoint("a#1", "a") == endpoint != other
        assert outbox.next_due(endpoint) is None
        assert outbox.add(endpoint, [message(1), message(0)], 5) == Added(2, 0, ())
        assert outbox.next_due(endpoint) == Delivery(1, message(1).id, b"{}", 0, 5)
        outbox.settle(endpoint, 1, DeliveryState.DELIVERED, "", 6)
        assert outbox.next_due(endpoint) == Delivery(2, message(0).id, b"{}", 0, 5)
        outbox.postpone(endpoint, 2, "timeout", 7, 100)
        assert outbox.add(endpoint, [message(3)], 8) == Added(1, 0, ())
        assert outbox.next_due(endpoint) == Delivery(3, message(3).id, b"{}", 0, 8)
        outbox.settle(endpoint, 3, DeliveryState.FAILED, "status_404", 9)
        assert outbox.next_due(endpoint) == Delivery(2, message(0).id, b"{}", 1, 100)
        assert (outbox.pending(endpoint), outbox.pending(other)) == (1, 0)
        assert outbox.waiting() == {"a#1": 1}


def test_an_endpoint_that_asks_for_quiet_has_it_from_all_messages() -> None:
    with Outbox() as outbox:
        endpoint, other = outbox.endpoint("a#1", "a"), outbox.endpoint("b#1", "b")
        for each in (endpoint, other):
            outbox.add(each, [message(0), message(1)], 0)
        outbox.postpone(endpoint, 1, "status_429", 1, 100, pause=True)
        assert outbox.next_due(endpoint) == Delivery(2, message(1).id, b"{}", 0, 100)
        assert outbox.next_due(other) == Delivery(1, message(0).id, b"{}", 0, 0)


@pytest.mark.parametrize("state", DeliveryState)
def test_what_comes_again_is_known_whatever_became_of_it(state: DeliveryState) -> None:
    with Outbox() as outbox:
        endpoint, other = outbox.endpoint("a#1", "a"), outbox.endpoint("b#1", "b")
        outbox.add(endpoint, [message(0)], 0)
        if state in {DeliveryState.DELIVERED, DeliveryState.FAILED}:
            outbox.settle(endpoint, 1, state, "", 1)
        elif state is DeliveryState.DISABLED:
            outbox.disable(endpoint, 1, 1)
        assert outbox.add(endpoint, [message(0)], 2) == Added(0, 1, ())
        assert outbox.pending(endpoint) == (state is DeliveryState.PENDING)
        # Each endpoint has deliveries of its own; the message is there once.
        assert outbox.add(other, [message(0)], 2) == Added(1, 0, ())


def test_an_id_of_another_time_is_another_alert() -> None:
    with Outbox() as outbox:
        endpoint = outbox.endpoint("a#1", "a")
        assert outbox.add(endpoint, [message(0, 5), message(0, 6)], 0) == Added(2, 0, ())


def test_the_newest_are_refused_when_too_many_wait() -> None:
    with Outbox() as outbox:
        endpoint = outbox.endpoint("a#1", "a")
        added = outbox.add(endpoint, [message(k) for k in range(4)], 0, queue_at_most=2)
        refused = tuple((message(k).id, "queue_full") for k in (2, 3))
        assert added == Added(2, 0, refused)
        assert outbox.pending(endpoint) == 2
        outbox.settle(endpoint, 1, DeliveryState.DELIVERED, "", 1)
        assert outbox.add(endpoint, [message(4)], 2, queue_at_most=2) == Added(1, 0, ())
        # What was refused has failed; only a person puts it back.
        assert outbox.add(endpoint, [message(2)], 2, queue_at_most=9) == Added(0, 1, ())


def test_too_large_a_body_is_refused() -> None:
    with Outbox() as outbox:
        endpoint = outbox.endpoint("a#1", "a")
        largest = message(0, body=b"x" * MOST_BODY_BYTES)
        larger = message(1, body=b"x" * (MOST_BODY_BYTES + 1))
        assert outbox.add(endpoint, [largest, larger], 0) == Added(
            1, 0, ((larger.id, "too_large"),)
        )


def test_a_disabled_endpoint_is_given_nothing_more(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite3"
    with Outbox(path) as outbox:
        endpoint = outbox.endpoint("a#1", "a")
        outbox.add(endpoint, [message(k) for k in range(3)], 0)
        outbox.settle(endpoint, 1, DeliveryState.DELIVERED, "", 1)
        assert outbox.disabled_ns(endpoint) is None
        assert outbox.disable(endpoint, 2, 7) == [message(1).id, message(2).id]
    with Outbox(path) as outbox:
        endpoint = outbox.endpoint("a#1", "a")
        assert outbox.disabled_ns(endpoint) == 7
        assert outbox.add(endpoint, [message(3)], 8) == Added(0, 0, ((message(3).id, "gone"),))
    states = [
        (one.id, one.deliveries[0].state, one.deliveries[0].attempts, one.deliveries[0].reason)
        for one in read_outbox(path).messages
    ]
    assert states == [
        (message(0).id, "delivered", 1, ""),
        (message(1).id, "disabled", 1, "gone"),
        (message(2).id, "disabled", 0, "gone"),
        (message(3).id, "disabled", 0, "gone"),
    ]


def test_what_is_pending_can_be_failed_at_once() -> None:
    with Outbox() as outbox:
        endpoint = outbox.endpoint("a#1", "a")
        outbox.add(endpoint, [message(0), message(1)], 0)
        outbox.settle(endpoint, 1, DeliveryState.DELIVERED, "", 1)
        assert outbox.fail_pending(endpoint, "not_drained", 2) == [message(1).id]
        assert outbox.fail_pending(endpoint, "not_drained", 2) == []


def test_the_oldest_that_nothing_waits_for_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite3"
    for first in (0, 5):
        with Outbox(path, OutboxSettings(keep_at_most=3)) as outbox:
            endpoint = outbox.endpoint("a#1", "a")
            for k in range(first, first + 5):
                outbox.add(endpoint, [message(k)], 0)
                if k:
                    delivery = outbox.next_due(endpoint)
                    assert delivery is not None
                    if delivery.id == message(0).id:
                        outbox.postpone(endpoint, delivery.message, "timeout", 0, 1000)
                        delivery = outbox.next_due(endpoint)
                    assert delivery is not None
                    assert delivery.id == message(k).id
                    outbox.settle(endpoint, delivery.message, DeliveryState.DELIVERED, "", 1)
    kept = [one.id for one in read_outbox(path).messages]
    assert kept == [message(k).id for k in (0, 8, 9)]


def test_what_was_added_is_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a ?#%.sqlite3"
    with Outbox(path) as outbox:
        outbox.add(outbox.endpoint("a#1", "a"), [message(0, body=b"body")], 3)
    with Outbox(path) as outbox:
        endpoint = outbox.endpoint("a#1", "a")
        assert outbox.next_due(endpoint) == Delivery(1, message(0).id, b"body", 0, 3)


def test_one_process_at_a_time_delivers(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite3"
    with Outbox(path), pytest.raises(SightflowError) as caught:
        Outbox(path)
    assert str(caught.value) == (
        f"the outbox {path} is in use: one run at a time delivers from it; wait until that one has "
        "ended, or stop it"
    )
    Outbox(path).close()


def test_a_full_disk_is_told_and_takes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite3"
    with Outbox(path, OutboxSettings(bytes_at_most=64 * 1024)) as outbox:
        endpoint = outbox.endpoint("a#1", "a")
        outbox.add(endpoint, [message(0)], 0)
        many = [message(k, body=b"x" * 4000) for k in range(1, 20)]
        with pytest.raises(SightflowError) as caught:
            outbox.add(endpoint, many, 0)
        assert str(caught.value) == (
            f"the outbox {path} cannot be written: database or disk is full; free space on its "
            "disk, or allow it more bytes"
        )
        assert outbox.pending(endpoint) == 1
        # It stays usable: what fits is taken, what is there is settled.
        assert outbox.add(endpoint, many[:1], 0) == Added(1, 0, ())
        outbox.settle(endpoint, 1, DeliveryState.DELIVERED, "", 1)
    with Outbox(path) as outbox:
        assert outbox.add(outbox.endpoint("a#1", "a"), many, 0) == Added(18, 1, ())


def test_a_closed_outbox_refuses(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "a.sqlite3")
    endpoint = outbox.endpoint("a#1", "a")
    outbox.close()
    outbox.close()
    with pytest.raises(SightflowError, match="cannot be written: Cannot operate on a closed"):
        outbox.add(endpoint, [message(0)], 0)


def test_a_commit_is_on_the_disk_when_it_returns(tmp_path: Path) -> None:
    with Outbox(tmp_path / "a.sqlite3") as outbox:
        full = 2
        assert outbox._connection.execute("PRAGMA synchronous").fetchone() == (full,)
        assert outbox._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        other = sqlite3.connect(tmp_path / "a.sqlite3")
        outbox.add(outbox.endpoint("a#1", "a"), [message(0)], 0)
        assert other.execute("SELECT COUNT(*) FROM messages").fetchone() == (1,)
        other.close()


steps = st.lists(
    st.tuples(
        st.sampled_from(["add", "deliver", "fail", "postpone", "disable", "end"]),
        st.integers(0, 5),
    ),
    max_size=25,
)


@given(steps)
def test_a_message_is_pending_until_it_ends_once(actions: list[tuple[str, int]]) -> None:
    """The outbox of one endpoint does what a dictionary of states does."""
    states: dict[str, str] = {}
    disabled = False
    with Outbox() as outbox:
        endpoint = outbox.endpoint("a#1", "a")
        for now_ns, (action, number) in enumerate(actions):
            due = outbox.next_due(endpoint)
            if action == "add":
                outbox.add(endpoint, [message(number)], now_ns)
                states.setdefault(message(number).id, "disabled" if disabled else "pending")
            elif action == "end":
                outbox.fail_pending(endpoint, "not_drained", now_ns)
                states |= {one: "failed" for one, state in states.items() if state == "pending"}
            elif due is None:
                continue
            elif action == "postpone":
                outbox.postpone(endpoint, due.message, "timeout", now_ns, now_ns + number)
            elif action == "disable":
                outbox.disable(endpoint, due.message, now_ns)
                states |= {one: "disabled" for one, state in states.items() if state == "pending"}
                disabled = True
            else:
                state = DeliveryState.DELIVERED if action == "deliver" else DeliveryState.FAILED
                outbox.settle(endpoint, due.message, state, "", now_ns)
                states[due.id] = state.value
            pending = [one for one, state in states.items() if state == "pending"]
            assert outbox.pending(endpoint) == len(pending)
            due = outbox.next_due(endpoint)
            assert (due is None) == (not pending)
            assert due is None or due.id in pending
