"""Bounds by Lambda for every estimand: against linear programs, and against hidden confounders."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog

import causalrec as cr
from causalrec.effects._marginal import MarginalSensitivity
from causalrec.effects._nuisances import Nuisances

ESTIMANDS = ("ate", "att", "atu", "overlap")
ONE, NONE = np.array([0.30, 0.5, 0.7]), np.array([0.2, 0.25, 0.45])
SHARE = np.array([0.25, 0.4, 0.6])
"""By stratum: chance of the outcome if exposed and if not, and share of exposed."""


@pytest.fixture(scope="module")
def template() -> Any:
    """Return a computation whose rows and nuisances the tests put in place of its own."""
    world: Any = cr.simulate("shop", n_users=90, n_items=60, n_candidates=20, random_state=0)
    effect = cr.estimate_effect(world.log, world.graph, n_repeats=1, n_folds=2)
    return effect.internal("computation")


def _put(template: Any, rows: Any, nuisances: Nuisances, estimand: str) -> MarginalSensitivity:
    users, items, a, y = rows
    events = pd.DataFrame({"user_id": users, "item_id": items, "a": a.astype(int), "y": y})
    log = cr.InteractionLog(events, outcome="y", exposure="a")
    population = replace(
        template.population, log=log, rows=log, supported=np.ones(len(events), bool)
    )
    estimator = "dr" if nuisances.exposed is not None else "snips"
    question = replace(template.question, estimand=estimand, estimator=estimator)
    return MarginalSensitivity(
        replace(template, population=population, nuisances=nuisances, question=question)
    )


def _sample(rng: Any, n: int, n_users: int) -> tuple[Any, Any, Any]:
    """Return users, items and strata of n rows."""
    users = np.repeat(np.arange(n_users), n // n_users)
    return users, rng.integers(0, 60, len(users)), rng.integers(0, 3, n_users)[users]


def _hidden(n: int = 60_000) -> tuple[Any, float, Any, dict[str, float]]:
    """Return a world whose true odds are a factor Lambda away from the supposed ones.

    A cause that nobody measured, there in half of the rows, moves the odds of exposure; it raises
    the outcome, too, so that the naive number flatters the effect.
    """
    rng = np.random.default_rng(11)
    users, items, kind = _sample(rng, n, 1200)
    cause = rng.integers(0, 2, n)
    chances = np.array([[0.15, 0.25, 0.45], [0.35, 0.55, 0.75]])  # without and with the cause
    supposed = chances.mean(axis=0)
    odds = chances / (1 - chances) * (1 - supposed) / supposed
    lam = float(np.maximum(odds, 1 / odds).max())
    means = np.stack([NONE, ONE])[:, None, :] + np.array([-0.18, 0.18])[None, :, None]
    a = (rng.random(n) < chances[cause, kind]).astype(float)
    y = (rng.random(n) < means[a.astype(int), cause, kind]).astype(float)
    effect = (means[1] - means[0])[cause, kind]
    p, g = supposed[kind], []
    for arm in (0, 1):  # the true mean of an arm's rows, its share of the cause included
        share = chances if arm else 1 - chances
        g.append(((share * means[arm]).sum(axis=0) / share.sum(axis=0))[kind])
    weights = {"ate": 1.0, "att": chances[cause, kind], "atu": 1 - chances[cause, kind],
               "overlap": p * (1 - p)}  # fmt: skip
    truth = {name: float(np.average(effect, weights=w + 0 * p)) for name, w in weights.items()}
    return (users, items, a, y), lam, (p, *g), truth


@pytest.mark.parametrize("modelled", [True, False])
@pytest.mark.parametrize("estimand", ESTIMANDS)
def test_bounds_at_the_true_factor_contain_the_truth(
    template: Any, estimand: str, modelled: bool
) -> None:
    rows, lam, (p, g0, g1), truth = _hidden()
    found = Nuisances(propensity=p, **({"unexposed": g0, "exposed": g1} if modelled else {}))
    marginal = _put(template, rows, found, estimand)
    low, high = marginal.at(1.0).interval()[0]
    assert low > truth[estimand]  # as if nothing were hidden: wrong, and sure of it
    bounds = marginal.at(lam)
    assert bounds.lower[0] < truth[estimand] < bounds.upper[0]
    low, high = bounds.interval()[0]
    assert low < bounds.lower[0] < bounds.upper[0] < high


@pytest.mark.parametrize("estimand", ESTIMANDS)
def test_sharp_bounds_solve_the_linear_program(template: Any, estimand: str) -> None:
    rng = np.random.default_rng(3)
    users, items, kind = _sample(rng, 360, 90)
    a = (rng.random(360) < SHARE[kind]).astype(float)
    y = (rng.random(360) < np.where(a == 1, ONE[kind], NONE[kind])).astype(float)
    count = np.bincount(kind)
    p = (np.bincount(kind, a) / count)[kind]
    g = [(np.bincount(kind, y * (a == v)) / np.bincount(kind, a == v))[kind] for v in (0, 1)]
    found = Nuisances(propensity=p, unexposed=g[0], exposed=g[1])
    marginal = _put(template, (users, items, a, y), found, estimand)
    for lam in (1.0, 1.3, 2.5):
        bounds = marginal.at(lam)
        high = _extreme(y, a, p, kind, estimand, lam, 1.0)
        low = _extreme(y, a, p, kind, estimand, lam, -1.0)
        assert bounds.upper[0] == pytest.approx(high, abs=1e-8)
        assert bounds.lower[0] == pytest.approx(low, abs=1e-8)


def _extreme(y: Any, a: Any, p: Any, kind: Any, estimand: str, lam: float, side: float) -> float:
    """Return the largest (side 1) or smallest effect: weights of the rows, a program an arm.

    A row of an arm stands for `known` rows like itself and, in place of the other arm's, for
    between odds / lam and odds * lam; in each stratum the weights add up to whom they stand for.
    """
    h = {"overlap": p * (1 - p)}.get(estimand, np.ones_like(p))
    total, size = 0.0, 0.0
    for arm, chance, itself, other in ((1.0, p, "att", "atu"), (0.0, 1 - p, "atu", "att")):
        inside = a == arm
        known = np.zeros_like(p) if estimand == other else h
        odds = np.zeros_like(p) if estimand == itself else h * (1 - chance) / chance
        sums = np.bincount(kind[inside], (known + odds)[inside], minlength=3)
        equal = np.zeros((3, inside.sum()))
        equal[kind[inside], np.arange(inside.sum())] = 1.0
        sign = side * (1.0 if arm else -1.0)
        limits = list(zip((known + odds / lam)[inside], (known + odds * lam)[inside], strict=True))
        solved = linprog(-sign * y[inside], A_eq=equal, b_eq=sums, bounds=limits)
        assert solved.status == 0
        total += side * float(-solved.fun)
        size = float(sums.sum())
    return total / size


@pytest.mark.parametrize("estimand", ESTIMANDS)
def test_sorted_bounds_solve_the_fractional_program(template: Any, estimand: str) -> None:
    rng = np.random.default_rng(4)
    users, items, kind = _sample(rng, 180, 90)
    p = np.clip(SHARE[kind] + rng.uniform(-0.15, 0.15, 180), 0.05, 0.95)
    a = (rng.random(180) < p).astype(float)
    y = rng.normal(np.where(a == 1, ONE[kind], NONE[kind]))
    marginal = _put(template, (users, items, a, y), Nuisances(propensity=p), estimand)
    assert not marginal.sharp
    for lam in (1.0, 1.7):
        bounds = marginal.at(lam)
        for side, end in ((1.0, bounds.upper[0]), (-1.0, bounds.lower[0])):
            means = _fractional(y, a, p, estimand, lam, side)
            assert end == pytest.approx(means[0] - means[1], abs=1e-7)


def _fractional(y: Any, a: Any, p: Any, estimand: str, lam: float, side: float) -> list[float]:
    """Return the extreme self-normalised means of both arms (Charnes & Cooper 1962)."""
    h = {"overlap": p * (1 - p)}.get(estimand, np.ones_like(p))
    means = []
    for arm, chance, itself, other in ((1.0, p, "att", "atu"), (0.0, 1 - p, "atu", "att")):
        inside = a == arm
        known = np.zeros_like(p) if estimand == other else h
        odds = np.zeros_like(p) if estimand == itself else h * (1 - chance) / chance
        small, large = (known + odds / lam)[inside], (known + odds * lam)[inside]
        n, sign = int(inside.sum()), side * (1.0 if arm else -1.0)
        solved = linprog(
            -sign * np.append(y[inside], 0.0),
            A_ub=np.vstack([
                np.hstack([np.eye(n), -large[:, None]]),
                np.hstack([-np.eye(n), small[:, None]]),
            ]),
            b_ub=np.zeros(2 * n),
            A_eq=np.append(np.ones(n), 0.0)[None, :],
            b_eq=[1.0],
        )  # fmt: skip
        assert solved.status == 0
        means.append(-sign * float(solved.fun))
    return means


@pytest.mark.slow
@pytest.mark.parametrize("estimand", ["att", "atu", "overlap"])
def test_sharp_bounds_of_every_estimand_have_intervals_that_cover(
    template: Any, estimand: str
) -> None:
    lam, n, covered = 1.5, 400, np.zeros(2)

    def worst(chance: Any) -> Any:  # the largest mean of a binary outcome, weights in [1/lam, lam]
        return np.minimum(lam * chance, 1 - (1 - chance) / lam)

    # among the exposed only the unexposed mean is in doubt, and the other way round
    att = [ONE - worst(NONE), ONE - (1 - worst(1 - NONE))]
    atu = [1 - worst(1 - ONE) - NONE, worst(ONE) - NONE]
    ate = [SHARE * one + (1 - SHARE) * none for one, none in zip(att, atu, strict=True)]
    weights = {"att": SHARE, "atu": 1 - SHARE, "overlap": SHARE * (1 - SHARE)}
    ends = {"att": att, "atu": atu, "overlap": ate}[estimand]
    truth = [np.average(end, weights=weights[estimand]) for end in ends]
    for seed in range(n):
        rng = np.random.default_rng(seed)
        users, items, kind = _sample(rng, 1800, 90)
        a = (rng.random(1800) < SHARE[kind]).astype(float)
        own = rng.uniform(-0.15, 0.15, 90)[users] + rng.uniform(-0.07, 0.07, 60)[items]
        chance = np.where(a == 1, ONE[kind], NONE[kind]) + own * 0.8
        y = (rng.random(1800) < chance).astype(float)
        found = Nuisances(propensity=SHARE[kind], unexposed=NONE[kind], exposed=ONE[kind])
        bounds = _put(template, (users, items, a, y), found, estimand).at(lam)
        for end, estimate in enumerate((bounds.lower_bound, bounds.upper_bound)):
            low, high = estimate.interval()[0]
            covered[end] += low < truth[end] < high
    # binomial error of 400 replicates at 95 %: .011
    assert (np.abs(covered / n - 0.95) < 0.03).all(), covered / n
