"""Coverage of nominal 95 % intervals in crossed worlds whose truth is known.

1,000 replicates each: the binomial standard deviation of a coverage of .95 is .0069, so the band
.93-.97 is three of them; a failure is a bias of the interval, not bad luck (one in 400).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import expit

from causalrec.inference import (
    Estimate,
    fitted_linear,
    fitted_logistic,
    marginal_sensitivity_bounds,
    stack_nuisances,
)
from causalrec.scores import Score, design_residual, dr_derivatives, dr_score, snips_score

pytestmark = pytest.mark.slow

REPLICATES = 1_000
BAND = (0.93, 0.97)

Draw = Callable[[np.random.Generator], tuple[Estimate, float]]


def coverage(draw: Draw, replicates: int = REPLICATES, seed: int = 1) -> float:
    """Share of replicates in which the interval of the first label contains its truth."""
    hits = 0
    for rng in np.random.default_rng(seed).spawn(replicates):
        estimate, truth = draw(rng)
        low, high = estimate.interval(0.95)[0]
        hits += bool(low <= truth <= high)
    return hits / replicates


def iid(estimate_of: Callable[..., Estimate]) -> Callable[..., Estimate]:
    """The same estimate with every row its own cluster, as i.i.d. formulas have it."""

    def treated(score: Score, codes: dict[str, np.ndarray], **options) -> Estimate:
        return estimate_of(score, {"row": np.arange(len(score.numerator))}, **options)

    return treated


def crossed_rows(rng, *, users=300, each=20, items=120, user_sd=0.6, item_sd=0.6):
    """`each` random items a user; effects of users and of items; mean 0."""
    u = np.repeat(np.arange(users), each)
    i = np.argsort(rng.random((users, items)), axis=1)[:, :each].ravel()
    y = user_sd * rng.normal(size=users)[u] + item_sd * rng.normal(size=items)[i]
    return {"user": u, "item": i}, y + rng.normal(size=len(u))


def mean_draw(build=Estimate.from_score, **world) -> Draw:
    def draw(rng):
        codes, y = crossed_rows(rng, **world)
        return build(Score(y), codes, one_row_per_cell=True), 0.0

    return draw


def gap_draw(side: str, build=Estimate.from_score, **world) -> Draw:
    def draw(rng):
        codes, y = crossed_rows(rng, **world)
        both = build(Score(y), codes, groups=codes[side] % 2, labels=["a", "b"])
        return both.difference("a", "b"), 0.0

    return draw


@pytest.mark.parametrize(
    "world",
    [{}, {"item_sd": 0.0}, {"user_sd": 0.0}, {"user_sd": 0.0, "item_sd": 0.0}],
    ids=["crossed", "user effects only", "item effects only", "no effects"],
)
def test_the_mean_is_covered(world):
    assert BAND[0] <= coverage(mean_draw(**world)) <= BAND[1]


def test_rows_as_if_independent_are_not():
    assert coverage(mean_draw(iid(Estimate.from_score)), 400) < 0.80


@pytest.mark.parametrize("side", ["user", "item"])
def test_gaps_are_covered(side):
    assert BAND[0] <= coverage(gap_draw(side)) <= BAND[1]
    assert coverage(gap_draw(side, iid(Estimate.from_score)), 400) < 0.80


def test_a_gap_is_covered_with_ten_items_a_side():
    world = {"users": 60, "each": 10, "items": 20}
    assert BAND[0] <= coverage(gap_draw("item", **world)) <= BAND[1]


def provider_draw(dimensions: tuple[str, ...], small: int = 8, big: int = 40) -> Draw:
    """Items belong to providers with an effect of their own; the first `small` are a group."""

    def draw(rng):
        codes, y = crossed_rows(rng, items=240, item_sd=0.3)
        providers = np.arange(240) % (small + big)
        codes["provider"] = providers[codes["item"]]
        y = y + 0.5 * rng.normal(size=small + big)[codes["provider"]]
        both = Estimate.from_score(
            Score(y), codes, ["few", "many"], sampled=dimensions,
            groups=(codes["provider"] >= small).astype(int),
        )  # fmt: skip
        return both.difference("few", "many"), 0.0

    return draw


def test_eight_providers_are_covered_by_provider_clusters_and_not_by_item_clusters():
    assert BAND[0] <= coverage(provider_draw(("user", "provider"))) <= BAND[1]
    assert coverage(provider_draw(("user", "item")), 400) < 0.80


def test_user_item_and_provider_together():
    found = coverage(provider_draw(("user", "item", "provider")), 400)
    assert found >= BAND[0], "three ways may be conservative: items nest in providers"


# ---------------------------------------------------------------------- three targets


class Cells:
    """DR mean over a grid of cells with known propensities and a crude outcome model.

    The same estimate speaks of three targets: new users and items (mean 0), new users of this
    catalogue (mean of these item effects), these very cells (mean of these outcomes).
    """

    users, items = 60, 40

    def __init__(self) -> None:
        rng = np.random.default_rng(5)
        self.u, self.i = np.divmod(np.arange(self.users * self.items), self.items)
        self.item = 0.5 * rng.normal(size=self.items)
        self.y = self.outcome(rng, self.item)

    def outcome(self, rng, item):
        return (
            0.7 * rng.normal(size=self.users)[self.u] + item[self.i] + rng.normal(size=len(self.u))
        )

    def estimate(self, rng, y, item, sampled) -> Estimate:
        p = expit(-0.7 + 1.0 * item[self.i])  # selection on what the outcome depends on
        o = (rng.random(len(y)) < p).astype(float)
        imputation = np.full(len(y), 0.3)
        score = Score(dr_score(y, o, p, imputation)).with_design_residual(
            design_residual(y, o, p, imputation)
        )
        return Estimate.from_score(
            score, {"user": self.u, "item": self.i}, sampled=sampled, one_row_per_cell=True
        )

    def draw(self, rng, target: tuple[str, ...], sampled: tuple[str, ...]):
        if target == ("user", "item"):
            item = 0.5 * rng.normal(size=self.items)
            return self.estimate(rng, self.outcome(rng, item), item, sampled), 0.0
        if target == ("user",):
            return self.estimate(rng, self.outcome(rng, self.item), self.item, sampled), float(
                self.item.mean()
            )
        return self.estimate(rng, self.y, self.item, sampled), float(self.y.mean())


@pytest.mark.parametrize("target", [("user", "item"), ("user",), ()])
def test_each_value_of_sampled_covers_its_own_target(target):
    world = Cells()
    found = coverage(lambda rng: world.draw(rng, target, target))
    assert BAND[0] <= found <= BAND[1], target


def test_the_error_over_these_very_cells_does_not_cover_new_users_and_items():
    world = Cells()
    assert coverage(lambda rng: world.draw(rng, ("user", "item"), ()), 400) < 0.70


def test_the_same_estimate_has_three_standard_errors():
    world = Cells()
    errors = [
        world.estimate(np.random.default_rng(0), world.y, world.item, sampled).standard_error[0]
        for sampled in (("user", "item"), ("user",), ())
    ]
    assert errors[0] > 1.1 * errors[1] > 1.2 * errors[2]


# ---------------------------------------------------------------------- bands, bounds, stacking


def test_simultaneous_bands_cover_all_labels_at_once():
    def together(rng) -> bool:
        codes, y = crossed_rows(rng, users=240)
        e = Estimate.from_score(Score(y), codes, groups=codes["user"] % 6, one_row_per_cell=True)
        bands = e.simultaneous_interval()
        return bool(((bands[:, 0] <= 0) & (bands[:, 1] >= 0)).all())

    found = np.mean([together(rng) for rng in np.random.default_rng(2).spawn(REPLICATES)])
    assert BAND[0] <= found <= BAND[1]


def test_sensitivity_intervals_cover_a_truth_at_the_edge_of_the_model():
    """The truth is the lower bound itself: the one-sided end of Imbens & Manski is exercised."""
    lam = 1.5
    hits = 0
    for rng in np.random.default_rng(3).spawn(REPLICATES):
        users = np.repeat(np.arange(80), 15)
        taste = 0.5 * rng.normal(size=80)[users]
        p, y = rng.uniform(0.2, 0.7, 1200), taste + rng.normal(size=1200)
        odds = p / (1 - p) * np.where(y > 0, lam, 1 / lam)
        o = (rng.random(1200) < odds / (1 + odds)).astype(float)
        low, high = marginal_sensitivity_bounds(y, p, o, lam, {"user": users}).interval()[0]
        hits += bool(low <= 0.0 <= high)
    assert BAND[0] <= hits / REPLICATES <= BAND[1]


def wrong_propensity_draw(stacked: bool) -> Draw:
    """A linear outcome model, right; a propensity that ignores the covariate, wrong."""

    def draw(rng):
        n = 1_000
        x = rng.normal(size=n)
        design, constant = np.column_stack([np.ones(n), x]), np.ones((n, 1))
        o = (rng.random(n) < expit(-1.0 + 1.5 * x)).astype(float)
        y = 1.0 + x + rng.normal(size=n)
        p = np.full(n, o.mean())  # the logistic fit with an intercept only
        g = design @ np.linalg.lstsq(design[o == 1], y[o == 1], rcond=None)[0]
        score = Score(dr_score(y, o, p, g))
        if stacked:
            by_p, by_g = dr_derivatives(y, o, p, g)
            nuisances = [
                (fitted_logistic(constant, o, p), by_p),
                (fitted_linear(design, y, g, weight=o), by_g),
            ]
            score = stack_nuisances(score, nuisances)
        return Estimate.from_score(score, {"row": np.arange(n)}), 1.0

    return draw


def test_stacking_repairs_the_interval_where_the_propensity_is_wrong():
    assert coverage(wrong_propensity_draw(stacked=False)) < 0.92
    assert BAND[0] <= coverage(wrong_propensity_draw(stacked=True)) <= BAND[1]


def test_snips_takes_its_propensities_as_known_and_covers():
    def draw(rng):
        codes, y = crossed_rows(rng, users=150, each=40)
        p = expit(-1.0 + y / 2 - y.mean() / 2)  # on the outcome itself, and known
        o = (rng.random(len(y)) < p).astype(float)
        return Estimate.from_score(snips_score(y, o, p), codes, one_row_per_cell=True), 0.0

    assert BAND[0] <= coverage(draw) <= BAND[1]
