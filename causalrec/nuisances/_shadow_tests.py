"""How strong a shadow variable is, how sure its slope, and whether its equations agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from causalrec.inference import CELLS, CellTotals
from causalrec.nuisances._shadow_basis import CellBasis
from causalrec.nuisances._shadow_fit import ShadowEquations, ShadowSolution, shadow_strength

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]
CELLS_A_BLOCK = 1 << 16


@dataclass(frozen=True)
class ShadowTests:
    """Figures of a fitted shadow propensity, clustered by user and item."""

    strength: float
    slope_error: float
    excess: float
    freedom: int
    p_value: float


def shadow_tests(
    log: InteractionLog, basis: CellBasis, equations: ShadowEquations, solution: ShadowSolution
) -> ShadowTests:
    """Return the F of the shadow, the error of the slope, and the overidentification test."""
    from scipy.stats import f

    matrix = np.column_stack([solution.response[-1], solution.left_over])
    covariance = _covariance_of_equations(log, basis, equations, solution.theta, matrix)
    left = equations.imbalance(solution.theta) @ solution.left_over
    freedom, excess, p_value = len(left), float("nan"), float("nan")
    if freedom:
        clusters = min(log.n_users, log.n_items)
        # Two-way sums of few clusters are noisy, and the smaller spread would reject too often.
        each = solution.left_over.T @ equations.spread(solution.theta) @ solution.left_over
        excess = min(wald(left, covariance[1:, 1:]), wald(left, each)) / freedom
        p_value = float(f.sf(excess, freedom, max(clusters - freedom, 1)))
    error = float(np.sqrt(max(covariance[0, 0], 0.0)))
    return ShadowTests(
        _strength(log, basis, equations, solution.theta), error, excess, freedom, p_value
    )


def _covariance_of_equations(
    log: InteractionLog,
    basis: CellBasis,
    equations: ShadowEquations,
    theta: Floats,
    matrix: Floats,
) -> Floats:
    """Return the covariance of combinations (the columns of `matrix`) of the equations."""
    totals = CellTotals(log.n_users, log.n_items, matrix.shape[1])
    cells = log.observed_cells()
    weight = 1.0 + equations.odds_against(theta)
    totals.add_rows(cells.users, cells.items, (equations.functions @ matrix) * weight[:, None])
    height = max(1, CELLS_A_BLOCK // max(log.n_items, 1))
    for start in range(0, log.n_users, height):
        part = slice(start, min(start + height, log.n_users))
        totals.add(part, -basis.block(part, matrix, log.eligible_block(part)))
    return _covariance_of_totals(totals) / float(equations.n_cells) ** 2


def _covariance_of_totals(totals: CellTotals) -> Floats:
    q = totals.n_columns
    means = totals.to_estimate(range(q), [CELLS] * q)
    return means.covariance * float(totals.n_users * totals.n_items) ** 2


def _strength(
    log: InteractionLog, basis: CellBasis, equations: ShadowEquations, theta: Floats
) -> float:
    coefficients, information, rows = shadow_strength(equations, theta, basis.explains)
    totals = CellTotals(log.n_users, log.n_items, rows.shape[1])
    cells = log.observed_cells()
    totals.add_rows(cells.users, cells.items, rows)
    score = information @ coefficients
    return wald(score, _covariance_of_totals(totals)) / len(coefficients)


def wald(value: Floats, covariance: Floats) -> float:
    """Return value' covariance^-1 value, leaving out directions without a positive variance.

    Examples
    --------
    >>> round(wald(np.array([2.0, 1.0]), np.diag([1.0, 0.25])), 6)
    8.0
    """
    scale = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    kept = values > 1e-6 * max(values[-1], 0.0)
    along = vectors[:, kept].T @ (value / scale)
    return float(np.square(along) @ (1.0 / values[kept]))
