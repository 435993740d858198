from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.wfdb_formats import FORMATS, decode_samples, samples_in
from connectors.wfdb_record import WfdbRecord
from records import SourceError
from tests.support.ecg import write_record

if TYPE_CHECKING:
    from pathlib import Path


def pack(values: list[int], number: int) -> bytes:
    """What a writer of the format would write."""
    if number != 212:
        kind = {16: "<i2", 32: "<i4", 80: "u1"}[number]
        return (
            np.array([v + 128 for v in values] if number == 80 else values).astype(kind).tobytes()
        )
    data = b""
    for low, high in zip(values[::2], [*values[1::2], 0], strict=False):
        one, two = low % 4096, high % 4096
        data += bytes([one & 255, one >> 8 | two >> 8 << 4, two & 255])
    return data


@given(st.sampled_from([16, 32, 80, 212]), st.data())
def test_what_a_format_packs_it_unpacks(number: int, data: st.DataObject) -> None:
    form = FORMATS[number]
    least = form.missing
    values = data.draw(st.lists(st.integers(least, -least - 1), max_size=30))
    packed = pack(values, number)
    skip = data.draw(st.integers(0, len(values)))
    assert samples_in(len(packed), form) >= len(values)
    found = decode_samples(packed, form, skip, len(values) - skip)
    assert found.tolist() == values[skip:]


@given(st.sampled_from([16, 32, 80, 212]), st.binary(max_size=40), st.integers(0, 9))
def test_any_bytes_are_samples(number: int, data: bytes, skip: int) -> None:
    form = FORMATS[number]
    assert len(decode_samples(data, form, skip, 99)) == max(samples_in(len(data), form) - skip, 0)


def test_a_record_of_the_challenge(assets: Path) -> None:
    path = assets / "ecg" / "cinc2017" / "A00003"
    if not path.with_name("A00003.hea").is_file():
        pytest.skip("needs ecg/cinc2017 in the folder of assets")
    record = WfdbRecord(path)
    assert (record.samples, record.missing_samples) == (18_000, 0)
    assert (record.channels, record.units) == (("ECG",), ("mV",))
    assert record.header.start_ns == 954_590_645_000_000_000
    raw = np.frombuffer(path.with_name("A00003.mat").read_bytes()[24:], "<i2")
    assert np.array_equal(record.read(0, 18_000)[:, 0], (raw / 1000).astype(np.float32))
    assert np.array_equal(record.read(17_990, 99)[:, 0], (raw[-10:] / 1000).astype(np.float32))


def test_signals_in_two_files_and_samples_that_are_missing(tmp_path: Path) -> None:
    (tmp_path / "r.hea").write_text(
        "r 3 100 5\n"
        "r.dat 212 2(1)/V 12 0 0 0 0 II\n"
        "x.dat 16 10 16 0 0 0 0 resp\n"
        "r.dat 212 4 12 0 0 0 0 II\n"
    )
    (tmp_path / "r.dat").write_bytes(pack([1, 4, 3, 8, -2048, 12, 7, 16, 9, 20], 212))
    (tmp_path / "x.dat").write_bytes(pack([10, 20, 30, -(2**15), 50], 16))
    record = WfdbRecord(tmp_path / "r.hea")
    assert record.channels == ("II (0)", "resp", "II (2)")
    assert record.units == ("V", "mV", "mV")
    nan = np.nan
    want = [[0, 1, 1], [1, 2, 2], [nan, 3, 3], [3, nan, 4], [4, 5, 5]]
    for start in range(6):
        for count in range(6):
            got = record.read(start, count)
            expected = np.array(want[start : start + count], np.float32).reshape(-1, 3)
            assert np.array_equal(got, expected, equal_nan=True)


def test_a_file_may_be_shorter_than_its_header_says(tmp_path: Path) -> None:
    path = write_record(tmp_path, "r", np.ones(10, np.float32))
    file = tmp_path / "r.mat"
    file.write_bytes(file.read_bytes()[:-7])
    record = WfdbRecord(path)
    assert (record.samples, record.missing_samples, len(record.read(0, 10))) == (6, 4, 6)
    file.write_bytes(b"")
    assert WfdbRecord(path).samples == 0


def test_values_too_large_for_float32_are_missing(tmp_path: Path) -> None:
    (tmp_path / "r.hea").write_text("r 1 100 2\nr.dat 16 1e-320\n")
    (tmp_path / "r.dat").write_bytes(pack([0, 1], 16))
    assert np.array_equal(
        WfdbRecord(tmp_path / "r").read(0, 2), np.array([[0], [np.nan]], np.float32), equal_nan=True
    )


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    def refused(text: str | None) -> str:
        if text is not None:
            (tmp_path / "r.hea").write_text(text)
        with pytest.raises(SourceError) as caught:
            WfdbRecord(tmp_path / "r")
        return str(caught.value).replace(str(tmp_path), "DIR")

    assert refused(None) == "the WFDB header DIR/r.hea cannot be read: No such file or directory"
    assert refused("r 0") == (
        "DIR/r.hea: line 1 of a WFDB header must have 1 to 4096 signals, got '0'"
    )
    assert (
        refused("r 1\nr.dat 16") == "DIR/r.hea needs the file DIR/r.dat: No such file or directory"
    )
    assert refused("r 2\nr.dat 16\nr.dat 212") == (
        "DIR/r.hea: the signals in r.dat must have one format and one offset"
    )
    assert refused("#" * (2**20 + 1)) == (
        "the WFDB header DIR/r.hea must have at most 1048576 bytes"
    )


def test_reads_are_bounded(tmp_path: Path) -> None:
    record = WfdbRecord(write_record(tmp_path, "r", np.ones(10, np.float32)))
    with pytest.raises(SourceError) as caught:
        record.read(0, 2**24 + 1)
    assert str(caught.value) == (
        "a read must begin at 0 or later and have at most 16777216 samples of 1 signals, "
        "got 16777217 from 0"
    )
    (tmp_path / "r.mat").unlink()
    with pytest.raises(SourceError, match=r"r\.mat cannot be read: No such file or directory"):
        record.read(0, 1)
