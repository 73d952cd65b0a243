"""User-side measures: unfairness, miscalibration, spread, Lambda* and trends, by hand and truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.audits._lambda import Extremes, gap_lambda
from causalrec.audits._spread import spread_of
from causalrec.audits._yao_huang import FAMILY, yao_huang
from causalrec.errors import DataError
from causalrec.inference import Estimate, marginal_sensitivity_bounds
from causalrec.scores import Score

# ---------------------------------------------------------------------- Yao and Huang, by hand


def test_the_family_by_hand() -> None:
    """Two items; errors of the group (+1, -2), of the others (-1, +1); predictions 3 and 2."""
    users, items = np.divmod(np.arange(12), 2)
    member = np.array([True, True, True, False, False, False])
    error = np.where(member[users], np.where(items, -2.0, 1.0), np.where(items, 1.0, -1.0))
    prediction = np.where(member[users], 3.0, 2.0)
    found = yao_huang(
        prediction, prediction - error, users, items, member, min_support=3, permutations=9
    )
    by_name = dict(zip(FAMILY, found.values.tolist(), strict=True))
    assert by_name == {
        "value": pytest.approx((2 + 3) / 2),
        "absolute": pytest.approx((0 + 1) / 2),
        "under-estimation": pytest.approx((1 + 2) / 2),
        "over-estimation": pytest.approx((1 + 1) / 2),
        "non-parity": pytest.approx(1.0),
    }
    # Without noise within an item and a group nothing is taken off: mean of 2^2 and 3^2.
    assert found.squared == pytest.approx((4 + 9) / 2)
    assert found.debiased == pytest.approx(np.sqrt(6.5))


def test_weights_count_rows_several_times() -> None:
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 40, 900), rng.integers(0, 6, 900)
    y, r = rng.normal(size=(2, 900))
    member = np.arange(40) < 15
    twice = rng.random(900) < 0.5
    again = np.repeat(np.arange(900), 1 + twice)
    weighted = yao_huang(y, r, users, items, member, weight=1.0 + twice, permutations=9)
    repeated = yao_huang(y[again], r[again], users[again], items[again], member, permutations=9)
    np.testing.assert_allclose(weighted.values, repeated.values, atol=1e-12)


def test_items_without_support_on_a_side_are_left_out_or_refused() -> None:
    users, items = np.divmod(np.arange(60), 3)
    member = np.arange(20) < 2
    with pytest.raises(DataError, match="rows both of the group and of all others"):
        yao_huang(np.zeros(60), np.ones(60), users, items, member)


# ---------------------------------------------------------------------- Lambda*


def log_of(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    group = np.arange(n) % 2
    return {
        "x": rng.normal(size=n).round(1) + 0.3 * group,
        "p": rng.uniform(0.05, 0.9, size=n),
        "group": group,
        "user": np.arange(n) // 20 * 2 + group,
        "item": np.arange(n) // 2 % 80,
    }


@pytest.mark.parametrize("lam", [1.0, 1.4, 5.0])
def test_bounds_equal_those_that_sort_every_time(lam: float) -> None:
    made = log_of(np.random.default_rng(1), 3000)
    clusters = {name: made[name] for name in ("user", "item")}
    known = marginal_sensitivity_bounds(
        made["x"], made["p"], np.ones(3000), lam, clusters, groups=made["group"], n_groups=2
    )
    for code in (0, 1):
        one = Extremes.of(made["x"], made["p"], np.flatnonzero(made["group"] == code))
        assert one.bound(lam, False) == pytest.approx(known.lower[code], abs=1e-12)
        assert one.bound(lam, True) == pytest.approx(known.upper[code], abs=1e-12)


def test_lambda_of_a_gap_is_where_its_bounds_reach_zero() -> None:
    made = log_of(np.random.default_rng(2), 4000)
    first, second = (
        Extremes.of(made["x"], made["p"], np.flatnonzero(made["group"] == code)) for code in (1, 0)
    )
    clusters = {name: made[name] for name in ("user", "item")}
    found = gap_lambda(first, second, clusters, 1.96)
    assert 1.0 < found.of_interval < found.of_gap < 3.0
    lam = found.of_gap
    assert first.bound(lam, False) - second.bound(lam, True) == pytest.approx(0.0, abs=1e-3)
    # At Lambda 1 the interval is the one of the SNIPS gap.
    gap = Estimate.from_score(
        Score(made["x"] / made["p"], 1.0 / made["p"]), clusters, ["b", "a"],
        groups=made["group"], n_groups=2,
    ).difference("a", "b")  # fmt: skip
    assert gap.value[0] == pytest.approx(found.gap)
    edge = found.gap / float(gap.standard_error[0])
    assert gap_lambda(first, second, clusters, edge * 1.001).of_interval == 1.0
    assert gap_lambda(first, second, clusters, edge * 0.99).of_interval > 1.0
    turned = gap_lambda(second, first, clusters, 1.96)
    assert turned.gap == pytest.approx(-found.gap)
    assert turned.of_gap == pytest.approx(found.of_gap, abs=1e-3)


def test_a_gap_beyond_the_range_has_no_lambda() -> None:
    x, p = np.r_[np.zeros(50), np.ones(50)], np.full(100, 0.5)
    first, second = Extremes.of(x, p, np.arange(50, 100)), Extremes.of(x, p, np.arange(50))
    assert gap_lambda(first, second, {"user": np.arange(100)}, 1.96).of_gap == np.inf


def test_an_audit_says_what_would_explain_a_gap() -> None:
    world = cr.simulate("music", n_users=400, n_items=100, density=0.15, random_state=3)
    options = {"propensity": world.potential.propensity, "estimators": ["naive", "snips"]}
    found = cr.audit(world.log, user_groups="country", **options)
    table = next(one for one in found.tables if one.name == "sensitivity of gaps").to_frame()
    (gap,) = found.gaps
    assert table["gap by SNIPS"].item() == pytest.approx(gap.value)
    star = table["Lambda* of the gap"].item()
    assert 1.0 <= table["Lambda* of its interval"].item() <= star
    if gap.p_adjusted < 0.05:
        assert f"wrong by a factor of {star:.4g}" in found.answer
    without = cr.audit(world.log, user_groups="country", sensitivity=False, **options)
    assert not [one for one in without.tables if one.name == "sensitivity of gaps"]


# ---------------------------------------------------------------------- spread


def test_the_spread_of_equals_is_what_chance_makes_of_it() -> None:
    """Six equal groups, 400 worlds: false alarms at 5 % (binomial bound), range as expected."""
    ranges, expected, alarms = [], [], []
    for seed in range(400):
        noise = np.random.default_rng(seed).normal(size=600)
        alike = Estimate.from_score(
            Score(noise), {"user": np.arange(600)}, groups=np.arange(600) % 6, n_groups=6,
            labels=list("abcdef"),
        )  # fmt: skip
        found = spread_of(alike)
        ranges.append(found.value)
        expected.append(found.expected)
        alarms.append(found.p_value < 0.05)
    assert np.mean(alarms) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)
    noise = np.std(ranges, ddof=1) / np.sqrt(400)
    assert abs(np.mean(ranges) - np.mean(expected)) < 4 * noise
    assert np.mean(ranges) > 0.2  # what a naive largest minus smallest would report


def test_an_audit_names_the_worst_group() -> None:
    rng = np.random.default_rng(4)
    n_users = 240
    users = pd.DataFrame({"user_id": np.arange(n_users), "plan": np.repeat(list("abc"), 80)})
    cells = rng.random((n_users, 30)) < 0.4
    user, item = np.nonzero(cells)
    shift = np.array([0.0, 0.0, 1.0])[user // 80]
    events = pd.DataFrame(
        {"user_id": user, "item_id": item, "rating": rng.normal(size=len(user)) + shift}
    )
    log = cr.InteractionLog(events, users=users)
    found = cr.audit(
        log, lambda u, i: np.zeros(len(u)), user_groups="plan", propensity=0.4,
        estimators=["snips"], metrics=["mean", "mse"],
    )  # fmt: skip
    table = next(one for one in found.tables if one.name == "spread").to_frame()
    by_measure = table[table["estimator"] == "snips"].set_index("measure")
    assert by_measure.loc["mean", "largest group"] == by_measure.loc["mse", "worst group"] == "c"
    assert by_measure.loc["mean", "worst group"] == ""
    assert (by_measure["p-value"] < 0.01).all()
    assert (by_measure["excess"] < by_measure["largest minus smallest"]).all()


# ---------------------------------------------------------------------- the families in an audit


@pytest.fixture(scope="module")
def timed() -> tuple[cr.InteractionLog, np.ndarray]:
    """Women like talks, men songs; all are listed songs. Ratings of women fall from day to day."""
    rng = np.random.default_rng(5)
    n_users, n_items, rows = 200, 40, 8000
    users = pd.DataFrame({"user_id": np.arange(n_users), "gender": np.tile(["F", "M"], 100)})
    items = pd.DataFrame({"item_id": np.arange(n_items), "kind": np.repeat(["song", "talk"], 20)})
    cells = rng.choice(n_users * n_items, size=rows, replace=False)
    user, item = np.divmod(cells, n_items)
    fits = (user % 2 == 0) == (item >= 20)
    kept = rng.random(rows) < np.where(fits, 0.9, 0.1)
    user, item = user[kept], item[kept]
    day = rng.integers(0, 60, size=len(user))
    # More and more of the later rows are of the first items.
    item = np.where(rng.random(len(user)) < day / 120, item % 3, item)
    rating = rng.normal(size=len(user)) * 0.5 - np.where(user % 2 == 0, day / 60.0, 0.0)
    events = pd.DataFrame({
        "user_id": user, "item_id": item, "rating": rating,
        "when": pd.Timestamp("2026-01-01") + pd.to_timedelta(day, unit="D"),
    }).drop_duplicates(["user_id", "item_id"])  # fmt: skip
    return cr.InteractionLog(events, users=users, items=items, timestamp="when"), day


def test_trends_find_drift_and_concentration(timed: tuple[cr.InteractionLog, np.ndarray]) -> None:
    log, _ = timed
    found = cr.audit(log, user_groups="gender", estimators="naive", measures="trends")
    (gap,) = (row for row in found.rows if row.label.startswith("trend of mean gap"))
    # A sixth of 60 days a window, one rating point in 60 days: a sixth a window.
    truth = -1 / 6 if "F - M" in gap.label else 1 / 6
    assert gap.lower < truth < gap.upper
    assert gap.p_value < 1e-6
    growing = found["trend of gini beyond chance"]
    assert growing.lower > 0
    assert abs(found["trend of coverage"].value) < 0.01
    series = next(one for one in found.tables if one.name == "trends")
    assert len(series.rows) == 6
    assert series.rows[0][0] == "2026-01-01"


def test_trends_without_timestamps_say_so() -> None:
    world = cr.simulate("music", n_users=60, n_items=30, density=0.3)
    found = cr.audit(world.log, user_groups="country", estimators="naive", measures="trends")
    assert any("timestamp=..." in note for note in found.notes)


def test_miscalibration_of_those_who_are_not_listed_what_they_like(
    timed: tuple[cr.InteractionLog, np.ndarray],
) -> None:
    log, _ = timed

    def songs(users: pd.Index, items: pd.Index) -> np.ndarray:
        return np.where(np.asarray(items) < 20, 1.0, 0.0)

    found = cr.audit(
        log, songs, user_groups="gender", item_groups="kind", propensity=0.3,
        estimators="naive", measures="miscalibration", k=5, exclude_seen=False, min_cell=5,
    )  # fmt: skip
    women = found["miscalibration of kind@5: gender=F"]
    men = found["miscalibration of kind@5: gender=M"]
    assert women.lower > men.upper
    assert found["miscalibration of kind@5: gender=F (ips)"].value == pytest.approx(women.value)
    table = next(one for one in found.tables if one.name == "miscalibration").to_frame()
    assert (table["of lists drawn from the history"] < table["miscalibration"].max()).all()


def test_unfairness_of_a_model_stands_beside_a_fair_one(
    timed: tuple[cr.InteractionLog, np.ndarray],
) -> None:
    log, _ = timed

    def model(users: pd.Index, items: pd.Index) -> np.ndarray:
        sign = np.where(np.asarray(items) % 2, 1.0, -1.0)
        return np.where(np.asarray(users) % 2 == 0, sign, -sign)

    found = cr.audit(
        log, model, user_groups="gender", propensity=0.3, estimators="naive",
        measures="unfairness",
    )  # fmt: skip
    row = found["value unfairness, debiased: gender=F (naive)"]
    assert row.p_value < 1e-6
    assert row.lower < 2.0 < row.upper or row.value == pytest.approx(2.0, abs=0.3)
    table = next(one for one in found.tables if one.name == "unfairness").to_frame()
    assert set(table["measure"]) == set(FAMILY)
    assert (table["items compared"] > 10).all()
    assert table["p-value"].iloc[0] == pytest.approx(1 / 200)


def test_a_group_that_shares_no_item_with_others_has_a_row_that_says_so() -> None:
    rng = np.random.default_rng(0)
    country = np.repeat(["A", "B", "C"], [40, 40, 15])
    recorded = rng.random((95, 24)) < 0.6
    recorded[country == "C", :20] = False  # C alone rates the last four items
    recorded[country != "C", 20:] = False
    user, item = np.nonzero(recorded)
    events = pd.DataFrame({"user_id": user, "item_id": item, "rating": rng.normal(size=len(user))})
    users = pd.DataFrame({"user_id": range(95), "country": country})
    found = cr.audit(
        cr.InteractionLog(events, users=users), lambda u, i: np.cos(np.asarray(u) + np.asarray(i)),
        user_groups="country", propensity=0.5, estimators=["snips"], measures="unfairness", k=3,
    )  # fmt: skip
    name = "value unfairness, debiased: country={} ({})"
    for estimator in ("naive", "snips"):
        lone = found[name.format("C", estimator)]
        assert (lone.status, lone.value, lone.n) == ("not_estimable", None, 15)
        assert "5 rows both of the group and of all others" in lone.note
        assert found[name.format("A", estimator)].status == "ok"
    table = next(one for one in found.tables if one.name == "unfairness").to_frame()
    assert set(table["group"]) == {"A", "B"}


# ---------------------------------------------------------------------- the quick path


def test_recorded_rows_alone_give_what_every_cell_gives() -> None:
    """Without "dr" only the recorded rows are summed: the same numbers, errors and intervals."""
    world = cr.simulate("music", n_users=150, n_items=60, density=0.2, random_state=6)

    def model(users: pd.Index, items: pd.Index) -> np.ndarray:
        return 3.0 + np.cos(np.asarray(users) * 1.7 + np.asarray(items))

    def ask(*estimators: str) -> dict[tuple[str, str], cr.results.Row]:
        found = cr.audit(
            world.log, model, user_groups="country", item_groups="label_group",
            propensity=world.potential.propensity, estimators=estimators,
            metrics=["mean", "mse", "dcg@5", "recall@5"], relevance_threshold=4, measures=(),
        )  # fmt: skip
        plain = (row for row in found.rows if row.estimator in {"naive", "snips"})
        return {(row.label.split(" (")[0], row.estimator): row for row in plain}

    few, all_cells = ask("naive", "snips"), ask("naive", "snips", "dr")
    assert len(few) == 36
    for name, row in few.items():
        other = all_cells[name]
        assert row.value == pytest.approx(other.value, abs=1e-10), name
        assert row.standard_error == pytest.approx(other.standard_error, rel=1e-8), name
        assert (row.lower, row.upper) == pytest.approx((other.lower, other.upper), abs=1e-8), name
        assert row.effective_sample_size == pytest.approx(other.effective_sample_size), name


def test_cells_in_order_are_ranked_as_shuffled_ones_are() -> None:
    from causalrec.evaluation._lists import lists_of_cells

    rng = np.random.default_rng(7)
    for _ in range(30):
        cells = np.flatnonzero(rng.random(8 * 12) < rng.uniform(0.2, 1.0))
        users, items = np.divmod(cells, 12)
        score = rng.integers(0, 4, size=len(cells)).astype(float)
        mixed = rng.permutation(len(cells))
        shuffled = lists_of_cells(users[mixed], items[mixed], score[mixed])
        assert (lists_of_cells(users, items, score)[mixed] == shuffled).all()
