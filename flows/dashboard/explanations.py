"""Why an alert was told, for the page: words and a strip of frames, read from the event log."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2

from connectors.log_format import LOG_FOLDER, segments, stream_folder
from connectors.replay import EventLog
from flows.dashboard.series import NS_PER_MS
from flows.why import why
from flows.why_frames import shown_frames
from flows.why_picture import strip
from flows.why_video import episode_frames, find_video
from flows.why_words import finding_words, frame_words, headline, moment, summary_words
from records import LogError, SightflowError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from flows.why import Why
    from flows.why_frames import Shown
    from records import Alert

MOST_KEPT = 32
"""The most explanations that are kept; those not asked for longest leave first."""

MOST_FINDINGS = 20
"""The most findings of one alert that are told."""

LARGEST_LOG = 512 * 2**20
"""Logs of one stream beyond this size are not searched beside a running flow, bytes."""

JPEG_QUALITY = 85
"""Of strips."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why an alert was told.

    Attributes:
        words: What there is to say, plain JSON values.
        strip: A picture of its frames, a JPEG; None where the log holds no frames around it.
    """

    words: dict[str, Any]
    strip: bytes | None


class Explanations:
    """Explains alerts of one event log, one at a time; safe to use from several threads.

    Args:
        run_dir: The run's folder; None for a run that keeps no event log.
        largest_log: How large the log of a stream may be, bytes; None for any.
    """

    def __init__(self, run_dir: Path | None, largest_log: int | None = LARGEST_LOG) -> None:
        self._run_dir, self._largest = run_dir, largest_log
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, int], Explanation] = OrderedDict()

    def of(self, alert: Alert) -> Explanation:
        """Explain an alert as it stands.

        Raises:
            SightflowError: the log does not hold it, or cannot be read.
        """
        key = (alert.id, alert.opened_ns)
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                found = self._kept[key] = self._explain(alert)
                if len(self._kept) > MOST_KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return found

    def _explain(self, alert: Alert) -> Explanation:
        if self._run_dir is None:
            raise SightflowError(
                "the run keeps no event log, so nothing more is known; set sinks.event_log"
            )
        self._check_size(alert.stream)
        log = EventLog.open(self._run_dir)
        found = why(log, alert.id)
        shown = shown_frames(found)
        notes = list(found.notes)
        picture = None
        if shown:
            video, missing = find_video(log, found.asked, alert.stream)
            frames: dict[int, NDArray[np.uint8]] = {}
            if video is not None:
                frames, missing = episode_frames(video, [one.verdict.sequence for one in shown])
            if missing:
                notes.append(f"boxes without frames: {missing}")
            picture = _jpeg(strip(found, shown, frames))
        # The torn end of a log that is still written is no damage.
        notes += [f"the event log is damaged: {one}" for one in log.faults if not one.torn]
        return Explanation(_words(found, shown, notes), picture)

    def _check_size(self, stream: str) -> None:
        if self._largest is None:
            return
        assert self._run_dir is not None
        try:
            found = segments(self._run_dir / LOG_FOLDER / stream_folder(stream))
            size = sum(path.stat().st_size for path in found.values())
        except OSError as error:
            raise LogError(f"the log of {stream} cannot be read: {error.strerror}") from error
        if size > self._largest:
            raise SightflowError(
                f"the log of {stream} has {size} bytes, too many to search beside a running flow; "
                f"ask 'sightflow alerts why ID --log {self._run_dir}'"
            )


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)
    assert done, "JPEG takes every uint8 picture"
    return data.tobytes()


def _words(found: Why, shown: tuple[Shown, ...], notes: list[str]) -> dict[str, Any]:
    own = found.own_findings
    more = len(own) - MOST_FINDINGS + found.findings_left_out
    series = zip(found.series.times_ns, found.series.values, strict=True)
    return {
        "id": found.last.episode,
        "kind": str(found.kind),
        "headline": headline(found),
        "summary": summary_words(found),
        "settings": {name: str(value) for name, value in (found.settings or {}).items()},
        "changes": [
            {"time": moment(one.time_ns), "state": str(one.state), "message": one.message}
            for one in found.changes
        ],
        "findings": [
            {"time": moment(one.time_ns), "message": finding_words(one)}
            for one in own[:MOST_FINDINGS]
        ],
        "more_findings": max(more, 0),
        "frames": [
            dict(
                zip(
                    ("moments", "when", "measured", "decided"),
                    (", ".join(one.moments), *frame_words(found, one)),
                    strict=True,
                )
            )
            for one in shown
        ],
        "series": [[time_ns / NS_PER_MS, value] for time_ns, value in series],
        "model": found.last.model,
        "configuration": found.last.configuration,
        "notes": notes,
        "picture": bool(shown),
    }
