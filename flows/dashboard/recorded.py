"""A recorded run for the page: its log is folded once, and how all stood at earlier times is kept.

What is kept of earlier times is a fixed number of whole views, spread over the log; the slider
moves between them.
"""

from __future__ import annotations

import json
import threading
import zlib
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from connectors.codec import event_time_ns
from connectors.video import decode_frames, redact
from flows.dashboard.background import Background
from flows.dashboard.explanations import Explanations
from flows.dashboard.series import NS_PER_MS
from flows.dashboard.state import DashboardState, everything
from flows.dashboard.stream_state import key_of
from flows.dashboard.thumbnails import draw, fitted
from flows.why_asked import Asked, read_asked
from flows.why_drawing import PLAIN, canvas
from flows.why_video import find_video
from records import LogError, RecordError, SourceError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from connectors.replay import EventLog
    from connectors.video import VideoSettings
    from flows.dashboard.background import BackgroundSettings
    from flows.dashboard.explanations import Explanation
    from flows.dashboard.state import Allowed
    from records import Alert, Verdict

MOST_VIEWS = 96
"""How many earlier views are kept at the most."""

MOST_PICTURES = 256
"""How many pictures are kept; those not asked for longest leave first."""


@dataclass(frozen=True, slots=True)
class PastView:
    """How all stood at a time.

    Attributes:
        time_ms: The event time, milliseconds since 1970 UTC.
        view: The whole view, JSON, compressed.
        latest: The latest decision of each stream.
    """

    time_ms: float
    view: bytes
    latest: dict[str, Verdict]

    @classmethod
    def of(cls, state: DashboardState, time_ns: int) -> PastView:
        """How all stands now."""
        latest = {name: one.latest for name, one in state.streams.items() if one.latest is not None}
        text = json.dumps(state.view(), allow_nan=False)
        return cls(time_ns / NS_PER_MS, zlib.compress(text.encode(), 1), latest)

    def read(self, allowed: Allowed, names: dict[str, str]) -> dict[str, Any]:
        """The view without what may not be seen; `names` gives the streams of keys."""
        value: dict[str, Any] = json.loads(zlib.decompress(self.view))
        seen = {key for key, name in names.items() if allowed(name)}
        value["streams"] = [one for one in value["streams"] if one["key"] in seen]
        for kind in ("series", "alerts", "events"):
            value[kind] = [one for one in value[kind] if one["stream"] in seen]
        return value


def fold(log: EventLog) -> tuple[DashboardState, list[PastView]]:
    """Fold a log: the view at its end, and at most `MOST_VIEWS` earlier ones, in order."""
    state, views = DashboardState(log.streams), []
    stride, count, latest_ns = 1, 0, 0
    for record in log.records():
        state.take(record.stream, [record])
        latest_ns = max(latest_ns, event_time_ns(record))
        count += 1
        if count % stride == 0:
            views.append(PastView.of(state, latest_ns))
        if len(views) == MOST_VIEWS:
            views, stride = views[1::2], 2 * stride
    if count:
        views.append(PastView.of(state, latest_ns))
    return state, views


class RecordedBoard:
    """A recorded run; see `board.Board`.

    Args:
        log: Its event log.
        beside: Where to look for what happens beside the flow.

    Attributes:
        faults: What is damaged in the log, or cannot be shown, a line each.
    """

    def __init__(self, log: EventLog, beside: BackgroundSettings) -> None:
        self._log = log
        self._state, self._views = fold(log)
        self.faults = [str(fault) for fault in log.faults]
        self._names = {key_of(name): name for name in self._state.streams}
        self._explanations = Explanations(log.run_dir, largest_log=None)
        self._beside = Background(beside)
        self._asked = self._read_asked()
        self._lock = threading.Lock()
        self._pictures: OrderedDict[tuple[str, int, int], bytes] = OrderedDict()

    def about(self) -> dict[str, Any]:
        """What the run was."""
        manifest = self._log.manifest
        return {
            "name": manifest.name,
            "run": manifest.run,
            "mode": "recorded",
            "started": manifest.created_ns / NS_PER_MS,
            "configuration": manifest.configuration_sha256,
            "software": dict(manifest.software),
            "times": [one.time_ms for one in self._views],
            "faults": self.faults,
            "unlisted": self._state.unlisted,
        }

    def view(
        self, since: int = 0, allowed: Allowed = everything, at_ms: float | None = None
    ) -> dict[str, Any]:
        """How all stood at an event time, or at the end."""
        past = self._past(at_ms)
        if past is None:
            return self._state.view(since, allowed)
        return past.read(allowed, self._names)

    def stream_named(self, key: str) -> str | None:
        """The name of the stream with a key."""
        return self._names.get(key)

    def alert(self, key: str) -> Alert | None:
        """The episode with a key."""
        return self._state.alert(key)

    def thumbnail(self, stream: str, width: int, at_ms: float | None = None) -> bytes | None:
        """The frame that was decided last before an event time, decoded anew from its video."""
        past = self._past(at_ms)
        verdict = self._state.streams[stream].latest if past is None else past.latest.get(stream)
        if verdict is None:
            return None
        key = (stream, verdict.sequence, width)
        with self._lock:  # one decoder at a time
            if key not in self._pictures:
                self._pictures[key] = self._picture(verdict, width)
                if len(self._pictures) > MOST_PICTURES:
                    self._pictures.popitem(last=False)
            self._pictures.move_to_end(key)
            return self._pictures[key]

    def explanation(self, alert: Alert) -> Explanation:
        """Why an alert was told."""
        return self._explanations.of(alert)

    def background(self) -> dict[str, Any]:
        """What happens beside the flow, as it stands today."""
        return self._beside.read()

    def metrics(self) -> bytes | None:
        """Nothing: metrics are those of a running flow."""
        return None

    def troubles(self) -> list[str]:
        """Nothing: it is ready once its log has been read."""
        return []

    def _past(self, at_ms: float | None) -> PastView | None:
        if at_ms is None or not self._views:
            return None
        place = bisect_right(self._views, at_ms, key=lambda one: one.time_ms)
        return self._views[max(place - 1, 0)]

    def _read_asked(self) -> Asked:
        try:
            return read_asked(self._log)
        except LogError as error:
            self.faults.append(str(error))
            return Asked()

    def _picture(self, verdict: Verdict, width: int) -> bytes:
        video, missing = find_video(self._log, self._asked, verdict.stream)
        frame = None
        if video is not None:
            frame, missing = _decoded(video, verdict.sequence)
        if missing:
            self._note(f"{verdict.stream}: boxes without frames: {missing}")
        if frame is None:
            reach = float(max(verdict.answer.boxes[:, 2].max(initial=1.0) * 1.05, 1.0))
            return draw(canvas(width, width * 9 // 16, PLAIN), width / reach, verdict)
        size = fitted(frame.shape[1], frame.shape[0], width)
        small = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
        return draw(small, width / frame.shape[1], verdict)

    def _note(self, text: str) -> None:
        if text not in self.faults:
            self.faults.append(text)


def _decoded(video: VideoSettings, sequence: int) -> tuple[NDArray[np.uint8] | None, str]:
    try:
        for _, frame in decode_frames(video, [sequence], kind="full"):
            return frame, ""
    except (RecordError, SourceError) as error:
        return None, redact(str(error))
    return None, f"there is no frame {sequence}"
