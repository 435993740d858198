from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.wfdb_header import WfdbHeader, WfdbSignal, parse_header
from records import SourceError

MITDB = """\
# a comment
100 2 360/360(0) 650000 10:30:00.25 31/12/1999
100.dat 212 200(1024)/uV 11 1024 995 -22131 0 MLII
100.dat 212 200 11 1024 1011 20052 0 V 5
# 69 M 1085 1629 x1
"""


def test_a_header_of_two_signals() -> None:
    assert parse_header(MITDB) == WfdbHeader(
        "100",
        360.0,
        650_000,
        946_636_200_250_000_000,
        (
            WfdbSignal("100.dat", 212, 0, 200.0, 1024, "uV", "MLII"),
            WfdbSignal("100.dat", 212, 0, 200.0, 1024, "mV", "V 5"),
        ),
    )


def test_what_is_left_out_has_the_usual_values() -> None:
    signal = WfdbSignal("a.dat", 16, 0, 200.0, 0, "mV", "signal 0")
    assert parse_header("a 1\na.dat 16") == WfdbHeader("a", 250.0, None, None, (signal,))
    # A gain of 0 means "not calibrated"; a baseline goes before the converter's zero.
    (again,) = parse_header("a 1 300 0 01:02\na.dat 16x1:0+8 0(-5)/V 12 7").signals
    assert again == WfdbSignal("a.dat", 16, 8, 200.0, -5, "V", "signal 0")
    assert parse_header("a 1 300 9 12:00:00\na.dat 16").start_ns is None


WRONG = [
    ("", "a WFDB header must have a record line, got none"),
    ("# only a comment", "a WFDB header must have a record line, got none"),
    ("what is this", "line 1 of a WFDB header must have "
     "'NAME SIGNALS [RATE [SAMPLES [TIME [DATE]]]]', got 'what is this'"),
    ("a/3 1 300\na.dat 16", "line 1 of a WFDB header must have one segment; "
     "name the records of the segments instead, got 'a/3 1 300'"),
    ("a 0", "line 1 of a WFDB header must have 1 to 4096 signals, got '0'"),
    ("a 999999999", "line 1 of a WFDB header must have 1 to 4096 signals, got '999999999'"),
    ("a 2\na.dat 16", "a WFDB header of 2 signals must have a line for each, got 1"),
    ("a 1 0\na.dat 16", "line 1 of a WFDB header must have a rate in 1e-06..1e+09 Hz, got '0'"),
    ("a 1 -3\na.dat 16", "line 1 of a WFDB header must have a rate in 1e-06..1e+09 Hz, got '-3'"),
    ("a 1 3e\na.dat 16", "line 1 of a WFDB header must have a rate that is a number, got '3e'"),
    ("a 1 1e999\na.dat 16",
     "line 1 of a WFDB header must have a rate that is a number, got '1e999'"),
    ("a 1 300 999999999999999999\na.dat 16", "line 1 of a WFDB header must have at most "
     "1099511627776 samples, got '999999999999999999'"),
    ("a 1 300 9 25:00:00 1/02/2000\na.dat 16", "line 1 of a WFDB header must have a time and a "
     "date DD/MM/YYYY (hour must be in 0..23), got '25:00:00 1/02/2000'"),
    ("a 1 300 9 1:2:3:4 1/02/2000\na.dat 16",
     "line 1 of a WFDB header must have a time as HH:MM:SS, got '1:2:3:4'"),
    ("a 1 300 9 12:00:00 1/02/1969\na.dat 16",
     "line 1 of a WFDB header must have a date in 1970 to 2200, got '1/02/1969'"),
    ("a 1\na.dat", "line 2 of a WFDB header must have "
     "'FILE FORMAT [GAIN [BITS [ZERO …]]]', got 'a.dat'"),
    ("a 1\n../a.dat 16", "line 2 of a WFDB header must have the name of a file in the header's "
     "folder, got '../a.dat'"),
    ("a 1\n.. 16", "line 2 of a WFDB header must have the name of a file in the header's "
     "folder, got '..'"),
    ("a 1\na.dat 8", "line 2 of a WFDB header must have a format of 16, 32, 80, 212, got '8'"),
    ("a 1\na.dat 16x4", "line 2 of a WFDB header must have one sample a frame and no skew, "
     "got 'a.dat 16x4'"),
    ("a 1\na.dat 16:3", "line 2 of a WFDB header must have one sample a frame and no skew, "
     "got 'a.dat 16:3'"),
    ("a 1\na.dat 16+999999999999999999", "line 2 of a WFDB header must have at most "
     "1099511627776 bytes before the samples, got '999999999999999999'"),
    ("a 1\na.dat 16 1-e", "line 2 of a WFDB header must have a gain that is a number, got '1-e'"),
    ("a 1\na.dat 16 1/" + "V" * 201, "line 2 of a WFDB header must have texts of at most 200 "
     f"printable characters, got '{'V' * 201}'"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_what_is_wrong_is_said_with_its_line(text: str, message: str) -> None:
    with pytest.raises(SourceError) as caught:
        parse_header(text)
    assert str(caught.value) == message


WORDS = st.one_of(
    st.sampled_from(["a", "1", "2", "16", "16+24", "212x2:1", "300/1(2)", "1e-320/mV", "-1", "(",
                     "0(99)/x", "12:00:00", "31/02/2000", "1/1/9999", "\n", "\n", "#", "a.dat"]),
    st.text(max_size=6),
    st.integers().map(str),
    st.floats().map(str),
)  # fmt: skip


@given(st.lists(WORDS, max_size=24).map(" ".join))
def test_any_text_is_a_header_or_a_source_error(text: str) -> None:
    try:
        header = parse_header(text)
    except SourceError:
        return
    assert header.signals
    assert header.rate_hz > 0


@given(st.integers(0, len(MITDB) - 1), st.characters())
def test_a_character_changed_is_a_header_or_a_source_error(place: int, character: str) -> None:
    try:
        parse_header(MITDB[:place] + character + MITDB[place + 1 :])
    except SourceError as error:
        assert "WFDB header" in str(error)
