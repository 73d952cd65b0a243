"""User-side measures over worlds with a known truth: what fails, and what does not.

Bounds come from the Monte Carlo error: a share of R replicates is held within the binomial's
extreme thousandth, a mean within four of its standard errors.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import causalrec as cr
from causalrec.audits._lambda import Extremes, gap_lambda
from causalrec.audits._yao_huang import yao_huang
from causalrec.errors import PropensityWarning
from causalrec.inference import Estimate
from causalrec.scores import Score


def within(replicates: int, level: float = 0.95) -> tuple[float, float]:
    low, high = stats.binom(replicates, level).ppf([0.0005, 0.9995]) / replicates
    return float(low), float(high)


@pytest.mark.slow
@pytest.mark.parametrize("of_user", [True, False])
def test_rows_that_are_taken_as_independent_do_not_cover(of_user: bool) -> None:
    """Crossed effects of users and items (sd .6), true gap 0: two-way errors, and those of rows."""
    replicates, m, n, each = 400, 300, 120, 20
    rng = np.random.default_rng(1)
    low, high = within(replicates)
    covered, rows_alone = [], []
    for _ in range(replicates):
        users = np.repeat(np.arange(m), each)
        items = rng.permuted(np.tile(np.arange(n), (m, 1)), axis=1)[:, :each].ravel()
        y = 0.6 * (rng.normal(size=m)[users] + rng.normal(size=n)[items])
        y += rng.normal(size=len(users))
        group = (users if of_user else items) % 2
        gap = Estimate.from_score(
            Score(y), {"user": users, "item": items}, ["a", "b"], groups=group, n_groups=2
        ).difference("a", "b")
        lower, upper = gap.interval()[0]
        covered.append(lower <= 0.0 <= upper)
        halves = [y[group == g] for g in (0, 1)]
        error = np.sqrt(sum(half.var(ddof=1) / len(half) for half in halves))
        rows_alone.append(abs(halves[0].mean() - halves[1].mean()) <= 1.96 * error)
    assert low <= np.mean(covered) <= high
    # By the variances of a row (1.72) and of the gap: .0055 (users), .0127 (items) where rows alone
    # would have .00115, so that 1.96 of their errors are .90 and .59 of the right ones.
    expected = 2.0 * stats.norm.cdf(1.96 * np.sqrt(0.00115 / (0.0055 if of_user else 0.0127))) - 1.0
    least, most = within(replicates, expected)
    assert least <= np.mean(rows_alone) <= most  # about .63 and .44


def selecting_world(
    seed: int, slope: float, m: int = 600, n: int = 200
) -> tuple[cr.InteractionLog, np.ndarray]:
    """True gap 0. Group A chooses by an item's appeal with this slope; group B does not."""
    rng = np.random.default_rng(seed)
    appeal, group = rng.normal(size=n), np.where(np.arange(m) < m // 2, "A", "B")
    popular = 0.5 * rng.normal(size=n)
    logit = -2.0 + popular[None, :] + slope * (group == "A")[:, None] * appeal[None, :]
    p = 1.0 / (1.0 + np.exp(-logit))
    user, item = np.nonzero(rng.random((m, n)) < p)
    events = pd.DataFrame({
        "user_id": user, "item_id": item,
        "rating": 0.3 * appeal[item] + 0.3 * rng.normal(size=m)[user] + rng.normal(size=len(user)),
    })  # fmt: skip
    users = pd.DataFrame({"user_id": np.arange(m), "group": group})
    items = pd.DataFrame({"item_id": np.arange(n), "appeal": appeal})
    return cr.InteractionLog(events, users=users, items=items), p


def by_popularity(log: cr.InteractionLog) -> np.ndarray:
    share = np.bincount(log.item_codes, minlength=log.n_items) / log.n_users
    return np.broadcast_to(np.maximum(share, 1e-3), (log.n_users, log.n_items)).copy()


@pytest.mark.slow
def test_popularity_repairs_no_gap_that_comes_from_a_groups_own_selection() -> None:
    found: dict[str, list[float]] = {"naive": [], "snips": [], "popularity": []}
    covered, flagged = [], []
    replicates = 100
    for seed in range(replicates):
        log, p = selecting_world(seed, slope=0.8)
        for name, given in (("snips", p), ("popularity", by_popularity(log))):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", PropensityWarning)
                audit = cr.audit(
                    log, user_groups="group", propensity=given, estimators=["naive", "snips"],
                    sensitivity=False,
                )  # fmt: skip
            (row,) = audit.gaps
            sign = 1.0 if ": A - B" in row.label else -1.0
            found[name].append(sign * row.value)
            of_balance = [w for w in caught if "cannot repair group gaps" in str(w.message)]
            if name == "snips":
                naive = audit[f"{row.label} (naive)"]
                found["naive"].append(sign * naive.value)
                covered.append(row.lower <= 0.0 <= row.upper)
            else:
                flagged.append(bool(of_balance))
    mean = {name: np.mean(values) for name, values in found.items()}
    noise = {name: np.std(v, ddof=1) / np.sqrt(replicates) for name, v in found.items()}
    assert mean["naive"] > 0.1
    assert mean["popularity"] > 0.9 * mean["naive"]  # no better than naive
    assert abs(mean["snips"]) < 4 * noise["snips"] < 0.02
    low, high = within(replicates)
    assert low <= np.mean(covered) <= high
    assert all(flagged)


@pytest.mark.slow
def test_popularity_is_not_flagged_where_popularity_alone_selects() -> None:
    flagged = 0
    for seed in range(60):
        log, _ = selecting_world(seed, slope=0.0, m=300, n=100)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", PropensityWarning)
            cr.audit(
                log, user_groups="group", propensity=by_popularity(log), estimators=["snips"],
                sensitivity=False,
            )  # fmt: skip
        flagged += any("cannot repair group gaps" in str(w.message) for w in caught)
    assert flagged <= stats.binom(60, 0.05).ppf(0.999)


@pytest.mark.slow
@pytest.mark.parametrize("odds", [1.5, 2.5])
def test_lambda_is_recovered_where_a_hidden_confounder_selects(odds: float) -> None:
    """Both groups are alike; hidden taste multiplies or divides the odds, against each other."""
    replicates, n = 200, 12_000
    rng = np.random.default_rng(3)
    stars, enough = [], []
    for _ in range(replicates):
        x, nominal = rng.normal(size=n), rng.uniform(0.1, 0.6, size=n)
        group = np.arange(n) % 2
        high = np.where((x > 0.0) == (group == 0), odds, 1.0 / odds)
        true = nominal / (1 - nominal) * high
        seen = rng.random(n) < true / (1 + true)
        first, second = (
            Extremes.of(x, nominal, np.flatnonzero(seen & (group == g))) for g in (0, 1)
        )
        found = gap_lambda(first, second, {"user": np.arange(n)}, 1.96)
        stars.append(np.log(found.of_gap))
        enough.append(found.of_interval <= odds)
    noise = np.std(stars, ddof=1) / np.sqrt(replicates)
    assert abs(np.mean(stars) - np.log(odds)) < 4 * noise + 0.005  # second order of 1 / n
    # At the true odds ratio the interval around the bounds holds the truth, by one end, in 97.5 %.
    assert np.mean(enough) >= within(replicates, 0.975)[0]


@pytest.mark.slow
def test_a_fair_model_stays_within_its_reference_and_an_unfair_one_is_sized() -> None:
    m, n, replicates = 200, 60, 200
    alarms, fair_values, covered, sized = [], [], [], []
    for seed in range(replicates):
        rng = np.random.default_rng(seed)
        users, items = np.divmod(np.flatnonzero(rng.random(m * n) < 0.25), n)
        member = np.arange(m) % 2 == 0
        noise = rng.normal(size=len(users)) + 0.3 * rng.normal(size=m)[users]
        fair = yao_huang(np.zeros(len(users)), noise, users, items, member, permutations=39)
        alarms.append(fair.p_value[0] <= 0.05)
        fair_values.append((fair.values[0], fair.reference[0], fair.squared))
        worse = 0.5 * rng.normal(size=n)[items] * member[users]
        unfair = yao_huang(
            np.zeros(len(users)), noise + worse, users, items, member, permutations=2
        )
        lower, upper = unfair.interval(0.95)
        covered.append(lower <= 0.5 <= upper)
        sized.append(unfair.squared)
    plain, reference, squared = np.mean(fair_values, axis=0)
    assert plain > 0.2  # what a perfectly fair model scores
    spread = np.std([a - b for a, b, _ in fair_values], ddof=1) / np.sqrt(replicates)
    assert abs(plain - reference) < 4 * spread
    assert abs(squared) < 4 * np.std([x[2] for x in fair_values], ddof=1) / np.sqrt(replicates)
    assert np.mean(alarms) <= stats.binom(replicates, 0.05).ppf(0.9995) / replicates
    assert abs(np.mean(sized) - 0.25) < 4 * np.std(sized, ddof=1) / np.sqrt(replicates)
    assert np.mean(covered) >= within(replicates)[0]  # cautious: the larger of two errors


@pytest.mark.slow
@pytest.mark.parametrize(("noise", "activity"), [(1.0, 1.0), (2.0, 1.0), (1.0, 0.4)])
def test_a_minority_that_is_noisier_or_rates_less_makes_no_fair_model_unfair(
    noise: float, activity: float
) -> None:
    """15 % of users; exchanged labels would reject 45-98 % of these fair worlds."""
    m, n, replicates = 200, 30, 200
    member = np.arange(m) < 30
    rejected, excluded, found = [], [], []
    for seed in range(replicates):
        rng = np.random.default_rng(seed)
        rated = np.where(member, 0.5 * activity, 0.5)
        users, items = np.nonzero(rng.random((m, n)) < rated[:, None])
        error = rng.normal(size=len(users)) * np.where(member[users], noise, 1.0)
        error += 0.5 * rng.normal(size=n)[items]  # of all alike: it is no unfairness
        fair = yao_huang(np.zeros(len(users)), error, users, items, member, permutations=59)
        rejected.append(fair.p_value[:4] <= 0.05)
        lower, upper = fair.interval(0.95)
        excluded.append(not lower <= 0.0 <= upper)
        assert excluded[-1] == (fair.p_of_debiased < 0.05)
        error += 1.2 * noise * rng.normal(size=n)[items] * member[users]
        unfair = yao_huang(np.zeros(len(users)), error, users, items, member, permutations=59)
        found.append(unfair.p_value[0] <= 0.05)
    most = stats.binom(replicates, 0.05).ppf(0.9995) / replicates
    assert np.all(np.mean(rejected, axis=0) <= most)
    assert np.mean(excluded) <= most
    assert np.mean(found) > 0.9


@pytest.mark.slow
def test_a_log_that_grows_has_no_trend_of_concentration() -> None:
    """Habits and tastes stand still; later windows have more rows, which alone show more items."""
    replicates, m, n, rows = 60, 80, 30, 1_500
    found: dict[str, list[bool]] = {}
    for seed in range(replicates):
        rng = np.random.default_rng(seed)
        user, habit = rng.integers(m, size=rows), rng.integers(n, size=m)
        item = np.where(rng.random(rows) < 0.3, habit[user], rng.integers(n, size=rows))
        days = pd.to_timedelta(60.0 * np.sqrt(rng.random(rows)), unit="D")
        events = pd.DataFrame({
            "user_id": user, "item_id": item, "like": rng.integers(2, size=rows), "p": 0.5,
            "when": pd.Timestamp("2026-01-01") + days,
        })  # fmt: skip
        log = cr.InteractionLog(
            events, outcome="like", timestamp="when", logging_propensity="p",
            users=pd.DataFrame({"user_id": range(m), "side": np.arange(m) % 2}),
        )  # fmt: skip
        audit = cr.audit(log, user_groups="side", measures="trends", min_cell=2)
        for row in audit.rows:
            if row.label.startswith("trend of") and row.lower is not None:
                found.setdefault(row.label, []).append(not row.lower <= 0.0 <= row.upper)
    most = stats.binom(replicates, 0.05).ppf(0.9995) / replicates
    alarms = {name: float(np.mean(each)) for name, each in found.items()}
    assert {"trend of gini beyond chance", "trend of coverage", "trend of users' entropy"} <= set(
        alarms
    )
    assert max(alarms.values()) <= most, alarms
