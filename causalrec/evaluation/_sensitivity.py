"""How wrong the propensities would have to be, for an answer to reach another value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causalrec.evaluation._cells import BoolArray, CellBlock, CellSource, Coverage
from causalrec.evaluation._recommenders import Codes, FloatArray
from causalrec.evaluation._terms import ListTerm
from causalrec.inference import Estimate, marginal_sensitivity_bounds, smallest_lambda
from causalrec.scores import Score

LARGEST = 100.0
TOLERANCE = 1e-2
"""On the logarithm of Lambda."""

if TYPE_CHECKING:
    from causalrec.evaluation._plan import Plan
    from causalrec.evaluation._terms import Term


@dataclass(frozen=True, eq=False)
class Recorded:
    """The recorded cells of a population with h and p.

    Attributes
    ----------
    users, items : int32
    values, propensity : float64
    coverage : Coverage
    per_user : bool
        The mean over cells is multiplied by `coverage.cells_a_user(...)`.
    """

    users: Codes
    items: Codes
    values: FloatArray
    propensity: FloatArray
    coverage: Coverage
    per_user: bool = False


def recorded(source: CellSource, term: Term) -> Recorded:
    """Collect the recorded cells of the population."""
    coverage = Coverage()
    blocks: list[CellBlock] = [
        block.take(block.observed & block.member) for block in source.blocks(coverage)
    ]
    return Recorded(
        np.concatenate([block.users for block in blocks]),
        np.concatenate([block.items for block in blocks]),
        np.concatenate([term.value(block, block.outcome) for block in blocks]),
        np.concatenate([block.propensity for block in blocks]),
        coverage,
    )


def explaining_lambda(plan: Plan, term: Term, target: float) -> float | None:
    """Return the smallest Lambda at which the bounds of a weighted mean reach a value.

    Under the marginal sensitivity model the odds of being recorded may be wrong by a factor in
    [1 / Lambda, Lambda] (Zhao, Small & Bhattacharya 2019). None where there are no weights, where
    the term is not a mean over cells, or where no Lambda below 100 reaches it.
    """
    if plan.source.propensity is None or term.base(np.zeros(0)) is not None:
        return None
    found = recorded(plan.source, term)
    scale = found.coverage.cells_a_user() if term.per_user else 1.0
    ones = np.ones(len(found.values))
    lam = smallest_lambda(found.values, found.propensity, ones, target / scale)
    return lam if np.isfinite(lam) else None


def proved_lambda(plan: Plan, term: Term) -> float | None:
    """Return the smallest Lambda with which a weighted mean and a slice are compatible.

    The smallest at which the interval of the difference between the bound and the slice's mean
    holds zero, both on the same users and items: so wrong the odds of being recorded are at least,
    if the slice is right. 1 where the plain interval holds zero; None as in `explaining_lambda`.

    Parameters
    ----------
    plan : Plan
        With the slice beside it.
    term : Term
    """
    from scipy.optimize import brentq

    if plan.source.propensity is None or term.base(np.zeros(0)) is not None:
        return None
    blocks = [
        block.take(block.member & (block.observed | _in_slice(block)))
        for block in plan.source.blocks(Coverage())
    ]
    users, items = (
        np.concatenate([getattr(block, name) for block in blocks]) for name in ("users", "items")
    )
    drawn = plan.sampled or ("user", "item")
    if isinstance(term, ListTerm):
        drawn = ("user",)
    clusters = {name: codes for name, codes in (("user", users), ("item", items)) if name in drawn}
    observed = np.concatenate([block.observed for block in blocks])
    h = np.concatenate([term.value(block, block.outcome) for block in blocks])
    p = np.concatenate([block.propensity for block in blocks])
    lot = np.concatenate([_in_slice(block) for block in blocks]).astype(np.float64)
    told = np.concatenate([term.value(block, _slice_outcome(block)) for block in blocks])
    uniform = Estimate.from_score(Score(told * lot, lot), clusters, ["slice"])

    def gap(log_lam: float, lower: bool) -> FloatArray:
        found = marginal_sensitivity_bounds(
            h, p, observed, float(np.exp(log_lam)), clusters, ["bound"]
        )
        bound = found.lower_bound if lower else found.upper_bound
        both = Estimate.stack([bound, uniform])
        ends: FloatArray = both.difference("bound", "slice").interval(plan.level)[0]
        return ends

    plain = gap(0.0, lower=True)
    if not np.isfinite(plain).all():
        return None
    if plain[0] <= 0.0 <= plain[1]:
        return 1.0
    above = bool(plain[0] > 0.0)

    def short_of_zero(log_lam: float) -> float:
        ends = gap(log_lam, lower=above)
        return float(ends[0] if above else -ends[1])

    if short_of_zero(float(np.log(LARGEST))) > 0.0:
        return None
    return float(np.exp(brentq(short_of_zero, 0.0, np.log(LARGEST), xtol=TOLERANCE)))


def _in_slice(block: CellBlock) -> BoolArray:
    assert block.randomized is not None  # the plan has a slice beside it
    return block.randomized


def _slice_outcome(block: CellBlock) -> FloatArray:
    assert block.randomized_outcome is not None
    return block.randomized_outcome
