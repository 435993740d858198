"""Synthetic hearts, WFDB records on disk, and a classifier that is plain arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from models.ecg import CLASSES, EcgDescription, EcgModel, ecg_tensors
from models.ecg_data import LabelledSignal
from models.ecg_network import EcgArchitecture, EcgNetwork
from records import Reading
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class Loudness:
    """Says "loud" by the mean of a window and its neighbours, in 0..1; NaN counts as 0."""

    classes = ("quiet", "loud")
    rate_hz = 8.0
    window = 4
    context = 2

    def classify(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        whole = np.nan_to_num(signal[: len(signal) // self.window * self.window])
        means = whole.reshape(-1, self.window).mean(axis=1)
        padded = np.pad(means, self.context)
        reach = 2 * self.context + 1
        loud = np.clip([padded[k : k + reach].mean() for k in range(len(means))], 0, 1)
        return np.stack([1 - loud, loud], axis=1).astype(np.float32).reshape(-1, 2)


def readings(
    signal: NDArray[np.float32], size: int, *, rate_hz: float = 8.0, start_ns: int = 0
) -> list[Reading]:
    """A signal as blocks of so many samples."""
    return [
        Reading(
            "bed",
            number,
            start_ns + round(first / rate_hz * NANOSECONDS),
            rate_hz,
            signal[first : first + size, None],
            ("ECG",),
            ("mV",),
        )
        for number, first in enumerate(range(0, len(signal), size))
    ]


def heart(
    seconds: float, *, regular: bool, random: np.random.Generator, rate_hz: float = 300.0
) -> NDArray[np.float32]:
    """Beats of 1 mV and 40 ms, at even or at random distances, with noise; float32 (n,)."""
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    gaps = 0.8 if regular else random.uniform(0.4, 1.4, size=int(seconds / 0.4) + 1)
    beats = np.cumsum(np.broadcast_to(gaps, int(seconds / 0.4) + 1))
    signal = random.normal(0, 0.02, len(times))
    for beat in beats[beats < seconds]:
        signal += np.exp(-(((times - beat) / 0.02) ** 2))
    return signal.astype(np.float32)


def hearts(count: int, seconds: float = 8.0, seed: int = 0) -> list[LabelledSignal]:
    """Regular hearts have the label 0, irregular ones 1, in turns."""
    random = np.random.default_rng(seed)
    return [
        LabelledSignal(f"H{k:03}", heart(seconds, regular=k % 2 == 0, random=random), k % 2)
        for k in range(count)
    ]


def write_record(
    folder: Path, name: str, signal: NDArray[np.float32], header: str = "12:00:00 1/02/2000"
) -> Path:
    """Write one signal as the challenge of 2017 does: format 16 behind 24 bytes, 1000 for 1 mV."""
    raw = np.where(np.isfinite(signal), np.round(np.nan_to_num(signal) * 1000), -(2**15))
    (folder / f"{name}.mat").write_bytes(bytes(24) + raw.astype("<i2").tobytes())
    (folder / f"{name}.hea").write_text(
        f"{name} 1 300 {len(signal)} {header}\n{name}.mat 16+24 1000/mV 16 0 0 0 0 ECG\n",
        encoding="utf-8",
    )
    return folder / name


def random_model() -> EcgModel:
    """A small model with random weights, and batch normalisation that is not the identity."""
    architecture = EcgArchitecture((4, 4, 6, 8), kernel=3, last_kernel=3, dropout=0.1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = EcgNetwork(architecture, len(CLASSES))
        network(torch.randn(8, 1, 4096))
    return EcgModel(EcgDescription(architecture), ecg_tensors(network))
