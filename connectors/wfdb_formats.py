"""How WFDB files store samples: WFDB Applications Guide, signal(5).

Formats 16, 32 and 80 are whole numbers of two, four and one bytes, the last with an offset of 128;
212 packs two 12-bit numbers into three bytes. The lowest number of each marks a missing sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class SampleFormat:
    """How samples are stored.

    Attributes:
        samples: The samples of the smallest group that starts at a whole byte.
        size: The bytes of such a group.
        missing: The number that marks a missing sample.
        decode: From bytes of whole groups to int32 (samples,).
    """

    samples: int
    size: int
    missing: int
    decode: Callable[[bytes], NDArray[np.int32]]


def _decode_16(data: bytes) -> NDArray[np.int32]:
    return np.frombuffer(data, "<i2").astype(np.int32)


def _decode_32(data: bytes) -> NDArray[np.int32]:
    return np.frombuffer(data, "<i4").astype(np.int32)


def _decode_80(data: bytes) -> NDArray[np.int32]:
    return np.frombuffer(data, "u1").astype(np.int32) - 128


def _decode_212(data: bytes) -> NDArray[np.int32]:
    """Three bytes hold two samples: low byte, both high halves, low byte."""
    low, high, second = np.frombuffer(data, "u1").reshape(-1, 3).astype(np.int32).T
    pairs = np.stack([low | (high & 0x0F) << 8, second | (high & 0xF0) << 4], axis=1)
    values: NDArray[np.int32] = pairs.ravel()
    return np.where(values >= 2048, values - 4096, values).astype(np.int32)


FORMATS = {
    16: SampleFormat(1, 2, -(2**15), _decode_16),
    32: SampleFormat(1, 4, -(2**31), _decode_32),
    80: SampleFormat(1, 1, -128, _decode_80),
    212: SampleFormat(2, 3, -2048, _decode_212),
}
"""The formats that are read, by number."""


def samples_in(size: int, form: SampleFormat) -> int:
    """How many whole samples so many bytes hold.

    >>> samples_in(5, FORMATS[212]), samples_in(5, FORMATS[16])
    (3, 2)
    """
    groups, rest = divmod(size, form.size)
    # The last group of 212 may lack its third byte, when it holds one sample.
    return groups * form.samples + (rest * form.samples // form.size)


def decode_samples(data: bytes, form: SampleFormat, skip: int, count: int) -> NDArray[np.int32]:
    r"""Decode samples from bytes that begin at a whole group.

    Args:
        data: The bytes; a last group that is cut short is filled up with zeros.
        form: How they are stored.
        skip: Samples to leave out at the beginning.
        count: The most samples to give.

    Returns:
        int32 (at most count,).

    >>> decode_samples(b"\x01\x00\xff\xff", FORMATS[16], 1, 9).tolist()
    [-1]
    """
    there = samples_in(len(data), form)
    values = form.decode(data + bytes(-len(data) % form.size))
    return values[:there][skip : skip + count]
