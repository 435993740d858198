"""FrameQL: what is understood, what is refused with what words, and that nothing else happens."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.query import (
    AggregateQuery,
    Filters,
    LimitQuery,
    Measure,
    Query,
    SelectionQuery,
    Window,
    parse,
)
from flows.query.conditions import BOX_FIELDS
from flows.query.contents import BUILT_IN
from flows.query.model import ESTIMATORS, GROUPS, Range
from records import QueryError
from records.units import NANOSECONDS
from tests.support.records import repeatable

ROOT = Path(__file__).resolve().parents[3]
FAULTS = [
    tuple(block.split("\n--\n"))
    for block in Path(__file__)
    .with_name("faults.txt")
    .read_text(encoding="utf-8")
    .split("\n====\n")
]


def test_an_aggregate_query() -> None:
    assert parse(
        "SELECT FCOUNT(*) FROM gate, till WHERE class='car' AND zone = 'path' AND score >= .3\n"
        "GROUP BY stream, TUMBLE(INTERVAL '1' MINUTE) ERROR WITHIN 0.1 AT CONFIDENCE 95%\n"
        "USING 'certified' BUDGET 500"
    ) == AggregateQuery(
        streams=("gate", "till"),
        measure=Measure.AVERAGE,
        filters=Filters(("car",), "path", {"score": Range(0.3)}),
        window=Window(60.0, 60.0),
        group_by=("stream",),
        error=0.1,
        confidence=0.95,
        budget=500,
        estimator="certified",
    )


@pytest.mark.parametrize(
    ("selected", "measure"),
    [
        ("COUNT(*)", Measure.SUM),
        ("fcount(*)", Measure.AVERAGE),
        ("PRESENCE(*)", Measure.PRESENCE),
        ("COUNT(DISTINCT trackid)", Measure.DISTINCT),
    ],
)
def test_every_measure(selected: str, measure: Measure) -> None:
    query = parse(" ".join(["EXPLAIN SELECT", selected, "FROM gate"]))
    assert query == AggregateQuery(("gate",), measure, explain=True)


def test_a_limit_query() -> None:
    assert parse(
        "SELECT timestamp FROM gate GROUP BY timestamp "
        "HAVING SUM(class='bus')>=1 AND SUM(class='car') > 4 LIMIT 10 GAP 300 FRAMES"
    ) == LimitQuery(("gate",), {"bus": 1, "car": 5}, limit=10, gap=300)


@pytest.mark.parametrize(
    ("gap", "frames", "seconds"),
    [("", 0, None), ("GAP 0", 0, None), ("GAP 1 FRAME", 1, None), ("GAP 2.5 SECONDS", 0, 2.5),
     ("GAP 1 second BUDGET 9", 0, 1.0), ("gap .5 Seconds", 0, 0.5)],
)  # fmt: skip
def test_gaps_are_frames_or_seconds(gap: str, frames: int, seconds: float | None) -> None:
    sql = "SELECT timestamp FROM gate GROUP BY timestamp HAVING SUM(class='a') > 0 LIMIT 1 "
    query = parse(sql + gap)
    assert isinstance(query, LimitQuery)
    assert (query.gap, query.gap_seconds) == (frames, seconds)


def test_a_selection() -> None:
    query = parse(
        "SELECT * FROM gate WHERE class IN ('bus', 'car') AND redness(content) >= 17.5 AND "
        "100000 < area AND timestamp BETWEEN '1970-01-01T00:00:01+00:00' AND 7.5 AND xmax < 720 "
        "FNR WITHIN 1% FPR WITHIN .02 LIMIT 3"
    )
    assert query == SelectionQuery(
        ("gate",),
        Filters(
            ("bus", "car"),
            None,
            {
                "area": Range(math.nextafter(100_000, math.inf)),
                "xmax": Range(None, math.nextafter(720, 0)),
            },
            {"redness": Range(17.5)},
            Range(NANOSECONDS, 7.5 * NANOSECONDS),
        ),
        limit=3,
        fnr=0.01,
        fpr=0.02,
    )


@pytest.mark.parametrize(("query", "message"), FAULTS, ids=[query[:60] for query, _ in FAULTS])
def test_what_is_refused_and_how(query: str, message: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse(query)
    assert str(caught.value) == message.rstrip("\n")


def test_there_are_many_ways_to_be_wrong() -> None:
    assert len(FAULTS) >= 50


WORDS = st.sampled_from(
    ["SELECT", "FCOUNT(*)", "timestamp", "*", "FROM", "gate", ",", "WHERE", "class", "=", "'car'",
     "AND", "OR", "(", ")", "GROUP BY", "HAVING", "SUM(class='bus')", ">=", "1", "LIMIT", "GAP",
     "SECONDS", "ERROR", "WITHIN", "AT", "CONFIDENCE", "95%", "TUMBLE(INTERVAL '60' SECOND)",
     "BUDGET", "USING", "EXPLAIN", "redness(content)", ";", "--", "/*", "'", "\"", "NULL", "."]
)  # fmt: skip


@repeatable
@given(st.text(max_size=60) | st.lists(WORDS, max_size=16).map(" ".join))
def test_any_text_is_a_query_or_an_error_that_shows_where(text: str) -> None:
    try:
        query = parse(text)
    except QueryError as error:
        assert "^" in str(error).rsplit("\n", 1)[-1]
    else:
        assert parse(query.to_sql()) == query


names = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)
finite = st.floats(-1e6, 1e6).map(lambda x: round(x, 3) + 0.0)
ranges = st.tuples(finite, finite).map(lambda ends: Range(min(ends), max(ends)))
seconds = st.integers(1, 1000).map(float)
filters = st.builds(
    Filters,
    classes=st.lists(names, max_size=3, unique=True).map(tuple),
    zone=st.none() | names,
    boxes=st.dictionaries(st.sampled_from(BOX_FIELDS), ranges, max_size=3),
    contents=st.dictionaries(st.sampled_from(tuple(BUILT_IN)), ranges, max_size=2),
)
streams = st.lists(names, min_size=1, max_size=3, unique=True).map(tuple)
shares = st.floats(0.01, 0.99)
queries: st.SearchStrategy[Query] = (
    st.builds(
        AggregateQuery,
        streams=streams,
        measure=st.sampled_from(Measure),
        filters=filters,
        window=st.none()
        | st.builds(lambda slide, n: Window(slide * n, slide), seconds, st.integers(1, 5)),
        group_by=st.lists(st.sampled_from(GROUPS), max_size=2, unique=True).map(tuple),
        error=st.none() | st.floats(1e-3, 10),
        confidence=shares,
        budget=st.none() | st.integers(1, 10**6),
        estimator=st.sampled_from(ESTIMATORS),
        explain=st.booleans(),
    )
    | st.builds(
        LimitQuery,
        streams=streams,
        least=st.dictionaries(names, st.integers(1, 9), min_size=1, max_size=3),
        limit=st.integers(1, 100),
        gap=st.integers(0, 1000),
        filters=filters,
        budget=st.none() | st.integers(1, 10**6),
        explain=st.booleans(),
    )
    | st.builds(
        LimitQuery,
        streams=streams,
        least=st.dictionaries(names, st.integers(1, 9), min_size=1, max_size=3),
        limit=st.integers(1, 100),
        gap_seconds=st.floats(1e-9, 1e9),
        explain=st.booleans(),
    )
    | st.builds(
        SelectionQuery,
        streams=streams,
        filters=filters,
        limit=st.none() | st.integers(1, 100),
        fnr=st.none() | shares,
        fpr=st.none() | shares,
        explain=st.booleans(),
    )
)


@repeatable
@given(queries)
def test_a_query_that_is_written_is_read_again(query: Query) -> None:
    assert parse(query.to_sql()) == query


def test_the_documented_queries_are_understood() -> None:
    text = (ROOT / "docs" / "frameql.md").read_text(encoding="utf-8")
    blocks = text.split("```sql\n")[1:]
    found = [one for block in blocks for one in block.split("```")[0].strip().split(";\n")]
    assert len(found) >= 6
    for query in found:
        parse(query.rstrip(";"))
