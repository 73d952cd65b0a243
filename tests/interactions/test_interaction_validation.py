"""Bad input: each refusal names the column, the count, the rows and the way out."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from causalrec.errors import DataError
from causalrec.interactions import Columns, InteractionLog

RATINGS = {"user_id": [11, 11, 12, 13], "item_id": [21, 22, 21, 23], "rating": [4.0, 2.0, 5.0, 1.0]}
CANDIDATES = {**RATINGS, "rating": [1, 0, 1, 0], "shown": [1, 0, 0, 1]}


def refusal(data: dict[str, Any], **keywords: Any) -> str:
    with pytest.raises(DataError) as caught:
        InteractionLog(pd.DataFrame(data), **keywords)
    return str(caught.value)


def changed(data: dict[str, Any], column: str, row: int, value: Any) -> dict[str, Any]:
    values = list(data[column])
    values[row] = value
    return {**data, column: values}


def assert_says(text: str, *parts: str) -> None:
    for part in parts:
        assert part in text, f"{part!r} is not in:\n{text}"


def test_missing_column_names_its_near_miss() -> None:
    text = refusal({**RATINGS, "ratings": RATINGS["rating"]} | {}, outcome="ratngs")
    assert_says(text, "'ratngs'", "Did you mean 'ratings'?", "user_id, item_id", "outcome=...")


@pytest.mark.parametrize(
    ("kind", "way_out"),
    [(None, "Drop the rows without a rating"), ("impressions", "is 0, not missing")],
)
def test_nan_outcome(kind: Any, way_out: str) -> None:
    text = refusal(changed(RATINGS, "rating", 2, np.nan), kind=kind)
    assert_says(text, "'rating'", "no value (NaN) in 1 of 4 rows", "2       12       21", way_out)


def test_infinite_and_textual_outcomes() -> None:
    text = refusal(changed(RATINGS, "rating", 1, np.inf))
    assert_says(text, "'rating' is not finite in 1 of 4 rows", "1       11       22")
    text = refusal(changed(RATINGS, "rating", 3, "bad"))
    assert_says(text, "'rating' is not a number in 1 of 4 rows", "bad", "Convert the column")


def test_decimals_are_numbers() -> None:
    log = InteractionLog(pd.DataFrame({**RATINGS, "rating": [decimal.Decimal(v) for v in "1234"]}))
    assert log.outcome is not None
    assert log.outcome.tolist() == [1.0, 2.0, 3.0, 4.0]


def test_unknown_id_names_the_near_miss() -> None:
    data = {**RATINGS, "user_id": ["ann", "ann", "bob", "carl"]}
    users = pd.DataFrame({"user_id": ["ann", "bob", "carla"]})
    text = refusal(data, users=users)
    assert_says(text, "'user_id'", "users table does not have", "in 1 of 4 rows", "3    carl")
    assert_says(text, "Did you mean 'carla'?", "Add these ids to the users table")


def test_duplicate_ids_in_a_table() -> None:
    items = pd.DataFrame({"item_id": [21, 22, 23, 22], "genre": ["a", "b", "c", "d"]})
    text = refusal(RATINGS, items=items)
    assert_says(text, "'item_id' of the items table", "more than once in 2 of 4 rows")
    assert_says(text, "1       22     b", "3       22     d", "items.drop_duplicates('item_id')")


def test_null_ids() -> None:
    text = refusal(changed(RATINGS, "user_id", 1, None))
    assert_says(text, "'user_id' has no value in 1 of 4 rows", "1      NaN       22", "needs an id")
    users = pd.DataFrame({"user_id": [11, 12, None]})
    text = refusal(RATINGS, users=users)
    assert_says(text, "'user_id' of the users table has no value in 1 of 3 rows", "Drop these rows")


def test_ids_of_different_types_between_tables() -> None:
    users = pd.DataFrame({"user_id": ["11", "12", "13"]})
    text = refusal(RATINGS, users=users)
    assert_says(text, "'user_id' holds integers in the events and text in the users table")
    assert_says(text, "in 4 of 4 rows", "0       11       21", "users['user_id'].astype")


def test_unhashable_ids() -> None:
    text = refusal({**RATINGS, "user_id": [[1], [2], [1], [3]]})
    assert_says(text, "'user_id' of the events table holds a list", "4 of 4", "[1]", "tuple(...)")


@pytest.mark.parametrize("bad", [0.0, -0.1, 1.2])
def test_propensity_outside_the_unit_interval(bad: float) -> None:
    data = {**RATINGS, "p": [0.5, bad, 1.0, 0.2]}
    text = refusal(data, logging_propensity="p")
    assert_says(text, "'p' lies outside (0, 1] in 1 of 4 rows", f"1       11       22 {bad: }")
    assert_says(text, "the action that it took")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_propensity_without_a_finite_value(bad: float) -> None:
    text = refusal({**RATINGS, "p": [0.5, bad, 1.0, 0.2]}, logging_propensity="p")
    assert_says(text, "'p'", "in 1 of 4 rows", "the action that it took")


def test_empty_log() -> None:
    text = refusal({name: [] for name in RATINGS})
    assert_says(text, "0 rows", "user_id, item_id, rating", "Check the filter")


@pytest.mark.parametrize("arm", [0, 1])
def test_one_arm_only(arm: int) -> None:
    text = refusal({**CANDIDATES, "shown": [arm] * 4}, exposure="shown")
    assert_says(
        text, f"'shown' has one arm only: it is {arm} in 4 of 4 rows", "0       11       21"
    )
    assert_says(text, "every eligible item", "leave exposure out")


def test_one_arm_of_a_test() -> None:
    text = refusal({**RATINGS, "group": ["control"] * 4}, arm="group")
    assert_says(text, "'group' has one arm only: it is 'control' in 4 of 4 rows", "other arms")


@pytest.mark.parametrize("bad", [2, 0.5])
def test_exposure_that_is_not_binary(bad: float) -> None:
    text = refusal(changed(CANDIDATES, "shown", 2, bad), exposure="shown")
    assert_says(text, "'shown' is neither 0 nor 1 in 1 of 4 rows", "2       12", "arm=...")


def test_exposure_may_be_boolean() -> None:
    log = InteractionLog(
        pd.DataFrame({**CANDIDATES, "shown": [True, False, False, True]}), exposure="shown"
    )
    assert log.exposure is not None
    assert log.exposure.dtype == np.int8
    assert log.exposure.tolist() == [1, 0, 0, 1]


def test_structural_zero() -> None:
    text = refusal({**CANDIDATES, "rating": [1, 0, 0, 0]}, exposure="shown")
    assert_says(text, "'shown'", "'rating' never occurs (a structural zero)", "in 2 of 4 rows")
    assert_says(text, "1       11       22", "can occur in both arms", "organic ones")


def test_constant_outcome() -> None:
    text = refusal({**RATINGS, "rating": [1] * 4})
    assert_says(text, "'rating' is constant: it is 1 in 4 of 4 rows", "0       11       21")
    assert_says(text, "outcome=None (a log of positives)")


def test_outcome_outside_its_declared_range() -> None:
    text = refusal(RATINGS, outcome_range=(1, 4))
    assert_says(text, "'rating' lies outside the declared outcome_range (1, 4) in 1 of 4 rows")
    assert_says(text, "2       12       21", "declare the range")
    assert_says(refusal(RATINGS, outcome_range=(4, 1)), "(4, 1)", "(lowest, highest)")


@pytest.mark.parametrize(("bad", "count"), [(np.nan, 1), (np.inf, 1), (1.5, 1), (-1, 1)])
def test_positions(bad: float, count: int) -> None:
    text = refusal({**RATINGS, "rank": [1, 2, bad, 3]}, position="rank")
    assert_says(
        text, "'rank'", f"in {count} of 4 rows", "2       12       21", "whole number from 1"
    )


def test_positions_that_count_from_zero_say_how_to_repair_them() -> None:
    assert_says(refusal({**RATINGS, "rank": [0, 1, 2, 0]}, position="rank"), "add 1")


def test_candidates_have_positions_where_exposed_only() -> None:
    data = pd.DataFrame({**CANDIDATES, "rank": [3, np.nan, np.nan, 1]})
    log = InteractionLog(data, exposure="shown", position="rank")
    assert log.position is not None
    assert log.position.tolist() == [3, 0, 0, 1]
    wrong = {**CANDIDATES, "rank": [3, np.nan, np.nan, np.nan]}
    text = refusal(wrong, exposure="shown", position="rank")
    assert_says(text, "'rank'", "3       13       23")


def test_slate_of_several_users() -> None:
    text = refusal({**RATINGS, "page": [1, 1, 1, 2]}, slate="page")
    assert_says(text, "'page' is shared by several users in 3 of 4 rows", "2       12", "unique")


TIMES = [
    "2024-01-01T10:00:00Z",
    "2024-01-01T11:00:00+00:00",
    "2024-01-02T00:00:00Z",
    "2024-01-03T00:00Z",
]


def test_times_in_one_zone_become_utc() -> None:
    log = InteractionLog(pd.DataFrame({**RATINGS, "at": TIMES}), timestamp="at")
    assert log.timestamp is not None
    assert log.timestamp.dtype == np.dtype("datetime64[ns]")
    assert log.timestamp[1] == np.datetime64("2024-01-01T11:00:00")
    aware = pd.to_datetime(pd.Series(TIMES), format="ISO8601").dt.tz_convert("Asia/Tokyo")
    other = InteractionLog(pd.DataFrame({**RATINGS, "at": aware}), timestamp="at")
    assert other.timestamp is not None
    assert (other.timestamp == log.timestamp).all()


@pytest.mark.parametrize("bad", ["2024-01-02T00:00:00+02:00", "2024-01-02T00:00:00", "2024-01-02"])
def test_mixed_time_zones(bad: str) -> None:
    times = [*TIMES[:2], bad, TIMES[3]]
    text = refusal({**RATINGS, "at": times}, timestamp="at")
    assert_says(text, "'at' mixes time zones", "in 1 of 4 rows", f"2       12       21  {bad}")
    assert_says(text, "utc=True")


def test_mixed_time_zones_as_datetimes() -> None:
    zones = [datetime.UTC, datetime.UTC, datetime.timezone(datetime.timedelta(hours=9)), None]
    times = [datetime.datetime(2024, 1, 1, 10, tzinfo=zone) for zone in zones]
    text = refusal({**RATINGS, "at": pd.Series(times, dtype=object)}, timestamp="at")
    assert_says(text, "'at' mixes time zones (+0000, +0900, none)", "in 2 of 4 rows")


def test_unreadable_missing_and_numeric_times() -> None:
    text = refusal({**RATINGS, "at": changed({"at": TIMES}, "at", 1, "soon")["at"]}, timestamp="at")
    assert_says(text, "'at' cannot be read as a time in 1 of 4 rows", "soon", "ISO 8601")
    text = refusal({**RATINGS, "at": changed({"at": TIMES}, "at", 1, None)["at"]}, timestamp="at")
    assert_says(text, "'at' has no value in 1 of 4 rows", "leave timestamp out")
    text = refusal({**RATINGS, "at": [1, 2, 3, 4]}, timestamp="at")
    assert_says(text, "'at' holds numbers", "in 4 of 4 rows", "unit='s'")


@pytest.mark.parametrize(
    ("keywords", "reason"),
    [
        ({"kind": "candidates"}, "no exposure column was named"),
        ({"kind": "ratings", "exposure": "shown"}, "makes it a log of candidates"),
        ({"kind": "impressions", "exposure": "shown"}, "leave exposure out"),
        ({"kind": "positives"}, "a log of positives has none"),
        ({"kind": "ratings", "position": "shown"}, "makes it a log of impressions"),
        ({"kind": "ratings", "outcome": None}, "kind='positives'"),
        ({"outcome": None, "position": "shown"}, "kind='positives'"),
        ({"eligible": "shown"}, "only candidates have"),
        ({"kind": "clicks"}, "ratings, candidates, impressions, positives"),
    ],
)
def test_kind_that_does_not_fit_the_columns(keywords: dict[str, Any], reason: str) -> None:
    assert_says(refusal(CANDIDATES, **keywords), reason)


def test_columns_are_named_once() -> None:
    text = refusal(CANDIDATES, columns=Columns(exposure="shown"), outcome="clicks")
    assert_says(text, "named twice", "outcome", "columns=Columns(...)")
    log = InteractionLog(pd.DataFrame(CANDIDATES), columns=Columns(exposure="shown"))
    assert log.kind == "candidates"


def test_what_is_not_a_table() -> None:
    with pytest.raises(DataError, match="is a list, which is not a table"):
        InteractionLog([1, 2, 3])
    frame = pd.DataFrame([[1, 2, 3, 4]], columns=["user_id", "item_id", "rating", "rating"])
    with pytest.raises(DataError, match="1 column names more than once: 'rating'"):
        InteractionLog(frame)


def test_eligible_array_of_the_wrong_shape() -> None:
    text = refusal(RATINGS, eligible=np.ones((2, 2), dtype=bool))
    assert_says(text, "shape (2, 2)", "boolean with shape (3, 3)")


def test_a_rating_outside_the_eligible_cells() -> None:
    eligible = np.ones((3, 3), dtype=bool)
    eligible[1, 0] = False
    text = refusal(RATINGS, eligible=eligible)
    assert_says(text, "cells that are not eligible in 1 of 4 rows", "2       12       21")
    assert_says(text, "correct eligible")


def test_eligible_pairs_with_unknown_ids() -> None:
    text = refusal(RATINGS, eligible=pd.DataFrame({"user_id": [11, 99], "item_id": [21, 21]}))
    assert_says(text, "user ids that the log does not have in 1 of 2 rows", "99")


def test_providers() -> None:
    items = pd.DataFrame({"item_id": [21, 22, 23], "seller": ["a", None, "b"]})
    text = refusal(RATINGS, items=items, provider="seller")
    assert_says(text, "'seller' of the items table has no value in 1 of 3 rows", "'unknown'")
    text = refusal(RATINGS, items=items, provider="seler")
    assert_says(text, "'seler'", "Did you mean 'seller'?")
    text = refusal({**RATINGS, "seller": ["a", "b", "c", "b"]}, provider="seller")
    assert_says(
        text, "'seller' differs between events of one item in 2 of 4 rows", "an items table"
    )
