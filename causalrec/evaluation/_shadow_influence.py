"""The error of a propensity that depends on the outcome, added to the influence of a mean.

The parameters solve equations over all eligible cells, and a weighted mean inherits their error:
its influence at a cell gains  derivative x response x h (o / p - 1),  with h the balanced functions
of covariates and shadow (the stacked sandwich of Newey & McFadden 1994, section 6). An influence
adds up to zero: what the equations leave unsolved is taken off again, so the value stays the
weighted mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causalrec.evaluation._cells import CellBlock, CellSource, Coverage
from causalrec.evaluation._groups import Group
from causalrec.evaluation._recommenders import FloatArray
from causalrec.evaluation._terms import Term

if TYPE_CHECKING:
    from causalrec.nuisances import ShadowPropensity


@dataclass(frozen=True, eq=False)
class ShadowInfluence:
    """What the estimated parameters add to the numerator of each number, cell by cell.

    Attributes
    ----------
    propensity : ShadowPropensity
    coefficients : float64 (K, n_groups)
        Of the balanced functions, for the mean of each group.
    remainder : float64 (n_groups,)
        Mean over the eligible cells of what is added: zero where the equations are solved.
    unsolved : float
        By how much one more step of the equations would move the mean of a group, at most; in
        units of the outcome.
    groups : tuple of str
        Labels of the groups, in order.
    """

    propensity: ShadowPropensity
    coefficients: FloatArray
    remainder: FloatArray
    unsolved: float
    groups: tuple[str, ...]

    @classmethod
    def of(
        cls,
        propensity: ShadowPropensity,
        source: CellSource,
        term: Term,
        groups: Sequence[Group],
    ) -> ShadowInfluence:
        """Differentiate the weighted mean of each group by the parameters.

        Parameters
        ----------
        propensity : ShadowPropensity
            Fitted on the log of `source`.
        source : CellSource
            Without `every_cell`: the recorded cells are enough.
        term : Term
            The mean outcome: its denominator is the sum of the weights.
        groups : sequence of Group
        """
        fit = propensity.fitted
        equations, solution = fit.equations, fit.solution
        (block,) = source.blocks(Coverage())
        against = equations.odds_against(solution.theta)
        value = term.value(block, block.outcome)
        columns, totals = [], []
        for group in groups:
            inside = group.holds(block)
            held = np.ones(len(block)) if inside is None else inside.astype(np.float64)
            weight = held * (1.0 + against)
            totals.append(max(float(weight.sum()), 1e-300))
            mean = float(weight @ value) / totals[-1]
            derivative = -(equations.design.T @ (held * against * (value - mean)))
            columns.append(solution.response.T @ derivative / equations.n_cells)
        coefficients = np.column_stack(columns)
        remainder = equations.imbalance(solution.theta) @ coefficients
        moved = np.abs(remainder) * equations.n_cells / np.array(totals)
        labels = tuple(group.label for group in groups)
        return cls(propensity, coefficients, remainder, float(moved.max()), labels)

    def at(self, block: CellBlock) -> dict[str, FloatArray]:
        """Return the factor of o / p - 1 in each cell of a block, by label of the group."""
        combined = self.propensity.fitted.basis.at(block.users, block.items) @ self.coefficients
        return dict(zip(self.groups, combined.T, strict=True))

    def remainder_of(self, group: str) -> float:
        """Return what to take off in each eligible cell, for the group of this label."""
        return float(self.remainder[self.groups.index(group)])
