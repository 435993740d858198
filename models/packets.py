"""Packet model: is something there, judged by the sizes of coded packets, without decoding.

A codec spends bytes on what changes and, in keyframes, on what is in the picture. The sizes around
a frame, averaged over bands of growing distance before and after it, tell someone who walks from
an empty scene, and by the keyframes someone who stands still too. Compressed-domain proxies of
this kind: Wang et al., CoVA (USENIX ATC 2022); here only sizes and kinds are used, which the
container tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from models.model_files import damaged_manifest, load_model, save_model
from models.packet_features import (
    LEAST_REACH,
    MOST_REACH,
    SizeScale,
    check_packets,
    feature_count,
    packet_features,
)
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

KIND = "packets"
"""The kind of model in a manifest."""

MOST_HIDDEN = 4096
"""The most hidden units of a packet model's network."""

BLOCK = 8192
"""Frames that are scored at once, so that the arrays stay in the processor's cache."""

LEAST_GAIN = 0.15
"""The share of the uncertainty that packets must take away on blocks not trained on."""

LEAST_AUC = 0.75
"""The least area under the ROC curve on blocks not trained on."""


class PacketModel:
    """Scores frames by the sizes of the packets around them.

    Args:
        reach: How many frames before and after a frame its score depends on; the latency of live
            use, in frames.
        scale: What sizes are normal.
        tensors: The network: ``hidden_weight`` float32 (features, hidden), ``hidden_bias``
            (hidden,), ``output_weight`` (hidden,), ``output_bias`` (1,).
        metrics: Figures of the training; those named ``unseen_…`` are of blocks that the deciding
            networks were not trained on.
        provenance: What else the manifest tells: settings, predicate, data, parent.
    """

    def __init__(
        self,
        reach: int,
        scale: SizeScale,
        tensors: Mapping[str, NDArray[np.float32]],
        metrics: Mapping[str, float],
        provenance: Mapping[str, Any],
    ) -> None:
        self.reach = reach
        self.scale = scale
        self.metrics = dict(metrics)
        self.provenance = dict(provenance)
        self._tensors = dict(tensors)

    @property
    def name(self) -> str:
        """The model's name, for verdicts and reports."""
        return f"packets-{self.reach}"

    @property
    def informative(self) -> bool:
        """Whether the codec gives a signal; a plan should leave the stage out where it does not.

        True when, on blocks that were not trained on, the area under the ROC curve is at least
        0.75 and the log loss is at least 15 % below that of the base rate.
        """
        auc, gain = self.metrics["unseen_auc"], self.metrics["unseen_gain"]
        return auc >= LEAST_AUC and gain >= LEAST_GAIN

    def score(
        self,
        coded_bytes: NDArray[np.integer[Any]],
        keyframe: NDArray[np.bool_],
        reordered: NDArray[np.bool_],
    ) -> NDArray[np.float32]:
        """Score a contiguous run of frames in order of presentation.

        Args:
            coded_bytes: integer (n,), the size of each frame's packet, bytes.
            keyframe: bool (n,), whether the frame is coded by itself.
            reordered: bool (n,), whether it is coded after a frame that is shown later.

        Returns:
            float32 (n,), in 0..1: how sure it is that the predicate holds. At the ends of the run
            only the frames that are there count.

        Raises:
            RecordError: a shape, dtype or range is wrong.
        """
        return self.score_window(coded_bytes, keyframe, reordered, 0, len(coded_bytes))

    def score_window(
        self,
        coded_bytes: NDArray[np.integer[Any]],
        keyframe: NDArray[np.bool_],
        reordered: NDArray[np.bool_],
        start: int,
        stop: int,
    ) -> NDArray[np.float32]:
        """Score frames `start` to `stop` (exclusive) of a run, the rest being their context.

        With `reach` frames of context on either side (fewer only where the stream itself begins
        or ends) the scores equal those of the whole stream bit by bit.

        Raises:
            RecordError: as for `score`, or 0 <= start <= stop <= n does not hold.
        """
        check_packets(coded_bytes, keyframe, reordered)
        if not 0 <= start <= stop <= len(coded_bytes):
            raise RecordError(
                f"start and stop must hold 0 <= start <= stop <= {len(coded_bytes)}, "
                f"got {start} and {stop}"
            )
        scores = np.empty(stop - start, dtype=np.float32)
        for at in range(start, stop, BLOCK):
            end = min(at + BLOCK, stop)
            low, high = max(at - self.reach, 0), end + self.reach
            run = (coded_bytes[low:high], keyframe[low:high], reordered[low:high])
            features = packet_features(*run, self.scale, self.reach)[:, at - low : end - low]
            scores[at - start : end - start] = self._network(features)
        return scores

    def save(self, path: Path) -> None:
        """Write the model as safetensors and its manifest; see `models.model_files`.

        Raises:
            DetectorError: the name is wrong or the files cannot be written.
        """
        fields = {
            "reach": self.reach,
            "hidden": len(self._tensors["hidden_bias"]),
            "scale": {"centre": self.scale.centre, "width": self.scale.width},
            "metrics": self.metrics,
            **self.provenance,
        }
        save_model(path, KIND, self._tensors, fields)

    @classmethod
    def load(cls, path: Path) -> PacketModel:
        """Read a model that `save` wrote.

        Raises:
            DetectorError: a file is missing, damaged, or holds something else.
        """
        tensors, manifest = load_model(path, KIND, _shapes)
        own = {"format", "kind", "code_version", "weights_sha256", "hidden"}
        try:
            reach, given = int(manifest.pop("reach")), manifest.pop("scale")
            scale = SizeScale(_triple(given["centre"]), _triple(given["width"]))
            metrics = {name: float(value) for name, value in manifest.pop("metrics").items()}
            provenance = {name: value for name, value in manifest.items() if name not in own}
            _check_metrics(metrics)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise damaged_manifest(path, error) from error
        return cls(reach, scale, tensors, metrics, provenance)

    def _network(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """One hidden layer, from float32 (features, n) to probabilities, float32 (n,).

        Summed feature by feature rather than by BLAS, whose order of summing depends on n.
        """
        weight = self._tensors["hidden_weight"]
        hidden = np.repeat(self._tensors["hidden_bias"][:, None], features.shape[1], axis=1)
        product = np.empty_like(hidden)
        for row, feature in zip(weight, features, strict=True):
            hidden += np.multiply(row[:, None], feature, out=product)
        np.maximum(hidden, 0, out=hidden)
        logit = np.repeat(self._tensors["output_bias"], features.shape[1])
        for weight_of_unit, unit in zip(self._tensors["output_weight"], hidden, strict=True):
            logit += weight_of_unit * unit
        return np.float32(1) / (np.float32(1) + np.exp(-np.clip(logit, -30, 30)))


def _shapes(manifest: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    reach, hidden = manifest["reach"], manifest["hidden"]
    limits = {"reach": (reach, LEAST_REACH, MOST_REACH), "hidden": (hidden, 1, MOST_HIDDEN)}
    for name, (value, least, most) in limits.items():
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"{name} must be in {least}..{most}, got {value!r}")
    return {
        "hidden_weight": (feature_count(reach), hidden),
        "hidden_bias": (hidden,),
        "output_weight": (hidden,),
        "output_bias": (1,),
    }


def _check_metrics(metrics: Mapping[str, float]) -> None:
    missing = {"unseen_auc", "unseen_gain"} - metrics.keys()
    if missing:
        raise ValueError(f"metrics must hold {', '.join(sorted(missing))}")


def _triple(values: Any) -> tuple[float, float, float]:  # noqa: ANN401 - from a JSON file
    first, second, third = (float(value) for value in values)
    if not np.isfinite([first, second, third]).all():
        raise ValueError("a scale must be finite")
    return first, second, third
