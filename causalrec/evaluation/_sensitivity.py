"""How wrong the propensities would have to be, for an answer to reach another value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causalrec.evaluation._cells import CellBlock, CellSource, Coverage
from causalrec.evaluation._recommenders import Codes, FloatArray
from causalrec.inference import smallest_lambda

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
