"""What the planner chooses when it knows what calls and proxies cost, and what it says of it."""

from __future__ import annotations

import numpy as np
import pytest

from flows.query import parse
from flows.query.costs import Costs, average_costs
from flows.query.model import LimitQuery
from flows.query.planner import Plan, Way, plan_query
from flows.query.search import line_of
from flows.query.sources import TraceSource
from records import QueryError
from records.units import NANOSECONDS

FRAMES = 36_000
DEAR_CALLS = Costs(call=0.1, apart=0.05, in_row=0.01, score=0.001)
DEAR_PROXY = Costs(call=0.02, apart=0.01, in_row=0.01, score=0.01)
AVERAGE = "SELECT FCOUNT(*) FROM gate ERROR WITHIN 0.02"
LIMIT = "SELECT timestamp FROM gate GROUP BY timestamp HAVING SUM(class='bus')>=1 LIMIT 5"


def planned(sql: str, costs: Costs | None, force: Way | None = None) -> Plan:
    return plan_query(parse(sql), FRAMES, proxy=True, costs=costs, force=force)


def test_a_proxy_that_spares_more_than_it_costs_is_taken() -> None:
    assert planned(AVERAGE, DEAR_CALLS).to_json() == {
        "way": "control variate",
        "predicted_calls": 769,
        "predicted_seconds": 151.35,
        "reason": "the proxy explains part of what varies in a cell; scoring 36,000 frames takes "
        "36.0 s, and spares 115.2 s of calls",
        "frames": FRAMES,
        "others": [
            {
                "way": "rewrite to the proxy",
                "predicted_calls": 256,
                "predicted_seconds": 74.4,
                "reason": "a pilot decides: taken where the proxy's bias is within the error",
            },
            {
                "way": "stratified",
                "predicted_calls": 1537,
                "predicted_seconds": 230.55,
                "reason": "leaves the proxy unused",
            },
            {
                "way": "full scan",
                "predicted_calls": FRAMES,
                "predicted_seconds": 3960.0,
                "reason": "costs more",
            },
        ],
    }


def test_a_proxy_that_costs_more_than_it_spares_is_left() -> None:
    plan = planned(AVERAGE, DEAR_PROXY)
    assert (plan.chosen.way, plan.chosen.calls) == (Way.STRATIFIED, 1537)
    assert plan.chosen.reason == (
        "leaves the proxy unused; scoring 36,000 frames takes 360.0 s, and would spare 23.0 s"
    )
    assert [str(one.way) for one in plan.others] == [
        "control variate", "rewrite to the proxy", "full scan",
    ]  # fmt: skip
    assert (
        plan.others[0].reason == "scoring 36,000 frames takes 360.0 s, and spares 23.0 s of calls"
    )
    # Asked for all the same, it is taken.
    assert planned(AVERAGE, DEAR_PROXY, Way.VARIATE).chosen.reason == "it was asked for"


def test_where_costs_are_not_known_the_proxy_is_taken() -> None:
    plan = planned(AVERAGE, None)
    assert (plan.chosen.way, plan.chosen.seconds) == (Way.VARIATE, None)
    assert plan.chosen.reason == "the proxy explains part of what varies in a cell"
    assert planned(LIMIT, None).chosen.way is Way.RANKED


def test_with_a_budget_alone_the_proxy_narrows_the_interval() -> None:
    plan = planned("SELECT FCOUNT(*) FROM gate BUDGET 500", DEAR_PROXY)
    assert (plan.chosen.way, plan.chosen.calls) == (Way.VARIATE, 500)
    assert plan.chosen.reason == (
        "narrows the interval that BUDGET allows; scoring 36,000 frames takes 360.0 s"
    )
    assert [str(one.way) for one in plan.others] == ["stratified", "full scan"]


def test_a_limit_query_weighs_the_scores_against_the_search() -> None:
    ranked = planned(LIMIT, DEAR_CALLS).chosen
    assert (ranked.way, ranked.calls, ranked.seconds) == (Way.RANKED, 10, 37.5)
    assert ranked.reason == (
        "best scores first, and a bandit leaves a score that fails; scoring 36,000 frames takes "
        "36.0 s, and spares 73.5 s of calls"
    )
    plan = planned(LIMIT, DEAR_PROXY)
    assert (plan.chosen.way, plan.chosen.calls) == (Way.SEARCH, 500)
    assert plan.chosen.reason == (
        "looks more often where something was found; the calls are predicted as if one frame in "
        "100 held it; scoring 36,000 frames takes 360.0 s, and would spare 14.7 s"
    )
    assert [str(one.way) for one in plan.others] == ["ranked by the proxy", "full scan"]
    assert planned(f"{LIMIT} BUDGET 7", DEAR_CALLS).chosen.calls == 7


@pytest.mark.parametrize(
    ("sql", "proxy", "force", "message"),
    [
        (
            AVERAGE,
            False,
            Way.VARIATE,
            "the way control variate needs a proxy: say --trained FOLDER for videos, or --proxy "
            "for traces",
        ),
        (
            AVERAGE,
            True,
            Way.RANKED,
            "the way ranked by the proxy does not answer this query; there is: control variate, "
            "rewrite to the proxy, stratified, full scan",
        ),
        (
            "SELECT * FROM gate",
            True,
            Way.STRATIFIED,
            "the way stratified does not answer this query; there is: full scan",
        ),
        (
            f"{AVERAGE} BUDGET 9 USING 'uniform'",
            True,
            Way.VARIATE,
            "the way control variate does not answer this query; there is: stratified, full scan",
        ),
    ],
)
def test_a_way_that_does_not_fit_is_refused(
    *,
    sql: str,
    proxy: bool,
    force: Way,
    message: str,
) -> None:
    with pytest.raises(QueryError) as caught:
        plan_query(parse(sql), FRAMES, proxy=proxy, force=force)
    assert str(caught.value) == message


def test_costs_of_streams_are_averaged_by_their_frames() -> None:
    two = [Costs(1.0, 2.0, 3.0, 4.0), Costs(5.0, 6.0, 7.0, 0.0)]
    assert average_costs(two, [300, 100]) == Costs(2.0, 3.0, 4.0, 3.0)
    assert average_costs([two[0], None], [1, 1]) is None
    assert average_costs([None], [1]) is None


def uneven(name: str, seconds: list[float]) -> TraceSource:
    source = TraceSource(name, np.zeros(len(seconds)), 1.0)
    source.times_ns = np.array([round(one * NANOSECONDS) for one in seconds], np.int64)
    return source


def test_a_gap_in_seconds_is_one_of_the_streams_own_times() -> None:
    query = parse(f"{LIMIT} GAP 2 SECONDS")
    assert isinstance(query, LimitQuery)
    asked = [uneven("gate", [10.0, 10.1, 13.0]), uneven("till", [0.0, 0.5])]
    places = {"gate": np.arange(3), "till": np.arange(2)}
    line = line_of(query, asked, places)
    start = 5 * NANOSECONDS + 1
    assert line.positions.tolist() == [
        0, NANOSECONDS // 10, 3 * NANOSECONDS, start, start + NANOSECONDS // 2,
    ]  # fmt: skip
    assert (line.gap, line.gap_frames) == (2 * NANOSECONDS, 3)
    # However long a gap is, it is a number that fits.
    endless = parse(f"{LIMIT} GAP 1e300 SECONDS")
    assert isinstance(endless, LimitQuery)
    assert line_of(endless, asked, places).gap == round(4.5 * NANOSECONDS)
    plain = parse(f"{LIMIT} GAP 3")
    assert isinstance(plain, LimitQuery)
    line = line_of(plain, asked, places)
    assert (line.positions.tolist(), line.gap, line.gap_frames) == ([0, 1, 2, 6, 7], 3, 3)
