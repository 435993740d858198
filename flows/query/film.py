"""Recorded videos as sources of queries: the reference detector sees what is asked for."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import numpy as np

from connectors.video import VideoSettings, decode_frames
from connectors.video.packets import read_packets
from flows.query.costs import MEASURED_CALLS, MEASURED_RUN, Costs
from flows.query.proxies import FilmProxy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from flows.query.sources import Match
    from flows.trained import TrainedCascade
    from records import Detections, Detector

BATCH = 8
"""Frames in one call of the reference detector."""


class FilmSource:
    """A recorded video; the reference detector sees the frames that are asked for, each once.

    Args:
        name: The stream's name.
        video: The video.
        path: Its file.
        detector: The reference detector.
        trained: Trained cascades whose specialised models are its proxy.

    Raises:
        SourceError: the file cannot be read.
        QueryError: a trained cascade can be no proxy.
    """

    has_boxes = True
    has_tracks = False

    def __init__(
        self,
        name: str,
        video: VideoSettings,
        path: Path,
        detector: Detector,
        trained: Sequence[TrainedCascade] = (),
    ) -> None:
        self.name = name
        self.video = video
        self.times_ns = read_packets(path).times_ns
        self.proxy = FilmProxy(video, len(self.times_ns), trained) if trained else None
        self._detector = detector
        self._known: dict[int, Detections] = {}

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes that the detector can find."""
        return self._detector.class_names

    @property
    def calls(self) -> int:
        """Frames that the detector has seen."""
        return len(self._known)

    def counts(self, places: NDArray[np.int64], match: Match) -> NDArray[np.float64]:
        """How many detected objects match."""
        return np.array([match(one).sum() for one in self.answers(places)], np.float64)

    def answers(self, places: NDArray[np.int64]) -> Iterator[Detections]:
        """What the detector finds."""
        unknown = sorted({int(place) for place in places} - self._known.keys())
        batch: list[tuple[int, NDArray[np.uint8]]] = []
        for frame in decode_frames(self.video, unknown, kind="full"):
            batch.append(frame)
            if len(batch) == BATCH:
                self._detect(batch)
        self._detect(batch)
        for place in places.tolist():
            yield self._known[place]

    def measure(self, places: NDArray[np.int64]) -> Costs:
        """What a frame costs, on a few of those that are asked about; what is found is kept.

        Args:
            places: int64 (n,), the frames that are asked about, ascending.

        Raises:
            SourceError: a frame cannot be decoded.
        """
        chosen = np.unique(np.linspace(0, len(places) - 1, MEASURED_CALLS).round().astype(np.int64))
        apart, call = [], []
        for place in places[chosen].tolist():
            began = time.perf_counter()
            batch = list(decode_frames(self.video, [place], kind="full"))
            decoded = time.perf_counter()
            self._detect(batch)
            apart.append(decoded - began)
            call.append(time.perf_counter() - decoded)
        run = places[:MEASURED_RUN]
        began = time.perf_counter()
        frames = sum(1 for _ in decode_frames(self.video, run, kind="full"))
        in_row = (time.perf_counter() - began) / frames
        # The first call of a model is slower than those that follow.
        return Costs(
            statistics.median(call[1:] or call),
            statistics.median(apart[1:] or apart),
            in_row,
            0.0 if self.proxy is None else self.proxy.measure(run),
        )

    def _detect(self, batch: list[tuple[int, NDArray[np.uint8]]]) -> None:
        if batch:
            found = self._detector.detect([image for _, image in batch])
            for (place, _), answer in zip(batch, found, strict=True):
                self._known[place] = answer
            batch.clear()
