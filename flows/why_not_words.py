"""Why no alert was told, as lines for people and as plain JSON values."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from connectors.codec import iso_time, to_json
from flows.why_not_reasons import answers, no_frame_words
from flows.why_words import decided, moment, printable

if TYPE_CHECKING:
    from flows.why_not import WhyNot


def why_not_lines(found: WhyNot) -> list[str]:
    """What there is to say, for people."""
    at = found.moment
    lines = [f"{at.stream} at {moment(at.time_ns)}: {_frame_words(found)}"]
    lines += [f"input: {one.assertion}: {one.message}" for one in at.health]
    told = answers(found)
    lines += [f"{one.name}: {one.words}" for one in told]
    names = dict.fromkeys(one.name for one in told)
    near = {name: [alert for alert in at.told if alert.rule == name] for name in names}
    lines += [
        f"{name}: nearest alerts: "
        + ", ".join(f"{one.episode}, opened {moment(one.opened_ns)}" for one in alerts)
        for name, alerts in near.items()
        if alerts
    ]
    if not told:
        lines.append("the configuration has no rules, and no assertions that alert")
    return [printable(line) for line in lines]


def why_not_json(found: WhyNot) -> dict[str, Any]:
    """What there is to say, as plain JSON values."""
    at = found.moment
    told = answers(found)
    names = {one.name for one in told}
    return {
        "stream": at.stream,
        "at": iso_time(at.time_ns),
        "frame": None if at.frame is None else to_json(at.frame),
        "decided": _frame_words(found),
        "before": None if at.before is None else at.before.id,
        "after": None if at.after is None else at.after.id,
        "events": [to_json(one) for one in at.events],
        "input": [to_json(one) for one in at.health],
        "rules": [asdict(one) for one in told],
        "nearest": [to_json(alert) for alert in at.told if alert.rule in names],
        "notes": list(found.notes),
    }


def _frame_words(found: WhyNot) -> str:
    at = found.moment
    if at.frame is None:
        return no_frame_words(at)
    boxes = len(at.frame.answer)
    count = f"{boxes} box{'es' * (boxes != 1)}"
    return f"frame {at.frame.sequence}, {count}; {decided(at.frame)}"
