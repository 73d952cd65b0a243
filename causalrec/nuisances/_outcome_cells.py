"""Outcome models of cells: g = A B', for every cell of the grid."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import ConvergenceWarning, DataError, StudyError
from causalrec.nuisances._base import code_map
from causalrec.nuisances._cells_ridge import CellProblem, fit_low_rank, gather, solve_cells
from causalrec.nuisances._features import Covariates, Encoders, choose_covariates
from causalrec.nuisances._grid import NO_CROSS
from causalrec.nuisances._options import Within
from causalrec.nuisances._parameters import Parameters

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


BACKFITTING = 3
"""Rounds of linear part and low rank in turn."""


def mrdr_weights(propensity: Floats) -> Floats:
    """Return (1 - p) / p^2 with mean 1: the weights that minimise the variance of DR.

    Farajtabar, Chow & Ghavamzadeh (2018), "More Robust Doubly Robust Off-policy Evaluation",
    equation 12; Guo et al. (2021) for recommenders.

    Examples
    --------
    >>> mrdr_weights(np.array([0.5, 0.25])).round(4).tolist()
    [0.2857, 1.7143]
    """
    weights = (1.0 - propensity) / propensity**2
    return np.asarray(weights / weights.mean(), dtype=np.float64)


class CellOutcomeModel(Parameters):
    """E[outcome | cell, observed] as A B': features, crosses and effects by ridge, then low rank.

    Parameters
    ----------
    method : {"features", "factors"}
        "features": x_u' B z_i + a_u + b_i. "factors" adds U_u . V_i, fitted to its residuals by
        weighted alternating least squares.
    n_factors : int, default 8
    regularization, cross_regularization : float, default 1, 30
        Ridge of features and of crosses, in units of mean-1 weights.
    effect_regularization : float, default 4
        Ridge of user and item effects: outcomes with residual variance 1 and effects of standard
        deviation .5.
    factor_regularization : float, default 10
    user_effects, item_effects, crosses : bool, default True
    covariates : sequence of str, optional
        Column names; they win over the graph's.
    random_state : int, optional
        Start of the factors, and the probes for the effective number of parameters.

    Attributes
    ----------
    covariates_, notes_ : tuple of str
    residual_variance_ : float
        Var(outcome | cell), corrected for what the fit has taken from the residuals (exactly so,
        up to the probes' noise, for "features"; approximately for "factors").
    effective_parameters_ : float
    in_sample_ : float64 (n_cells,)
        Predictions for the observed cells it was fitted on, in the order of `observed_cells()`.

    Examples
    --------
    >>> import causalrec as cr
    >>> world = cr.simulate("music", n_users=100, n_items=50, random_state=0, density=0.2)
    >>> model = CellOutcomeModel().fit(world.log, world.graph)
    >>> A, B = model.factors()
    >>> bool(np.allclose(A[:2] @ B.T, model.block(slice(0, 2))))
    True
    """

    def __init__(
        self,
        method: Literal["features", "factors"] = "features",
        *,
        n_factors: int = 8,
        regularization: float = 1.0,
        cross_regularization: float = 30.0,
        effect_regularization: float = 4.0,
        factor_regularization: float = 10.0,
        user_effects: bool = True,
        item_effects: bool = True,
        crosses: bool = True,
        covariates: Sequence[str] | None = None,
        random_state: int | None = 0,
    ) -> None:
        self.method = method
        self.n_factors = n_factors
        self.regularization = regularization
        self.cross_regularization = cross_regularization
        self.effect_regularization = effect_regularization
        self.factor_regularization = factor_regularization
        self.user_effects = user_effects
        self.item_effects = item_effects
        self.crosses = crosses
        self.covariates = covariates
        self.random_state = random_state

    def fit(
        self,
        log: InteractionLog,
        graph: CausalGraph | None = None,
        *,
        weights: Floats | None = None,
        users: Bools | None = None,
        items: Bools | None = None,
    ) -> CellOutcomeModel:
        """Fit on the observed cells.

        Parameters
        ----------
        log : InteractionLog
            Ratings, candidates (their exposed rows) or impressions.
        graph : CausalGraph, optional
            Decides the covariates.
        weights : float64 (n_cells,), optional
            One a cell of `log.observed_cells()`; scaled to mean 1 (see `mrdr_weights`).
        users, items : bool (n_users,), (n_items,), optional
            Fit on the cells of these only (cross-fitting); the others' effects are zero.

        Raises
        ------
        DataError
            If there is no cell to fit on, or a covariate belongs to events.
        """
        if self.method not in {"features", "factors"}:
            raise StudyError(f"method must be 'features' or 'factors', not {self.method!r}.")
        chosen = _of_cells(choose_covariates(log, graph, self.covariates))
        self.covariates_, self.notes_ = chosen.columns, chosen.notes
        self.user_ids_, self.item_ids_ = log.user_ids, log.item_ids
        cells = log.observed_cells()
        kept = Within.of(log, users, items).cells(cells.users, cells.items)
        if not kept.any():
            raise DataError("No observed cell among the users and items to fit on.")
        weight = np.ones(len(kept)) if weights is None else np.asarray(weights, dtype=np.float64)
        if len(weight) != len(kept):
            raise DataError(
                f"{len(weight):,} weights were given for {len(kept):,} observed cells: give one a"
                " cell of log.observed_cells(), in its order."
            )
        weight = weight[kept] / weight[kept].mean()
        problem = self._problem(log, chosen, cells.users[kept], cells.items[kept], weight)
        self._solve(replace(problem, outcome=cells.outcome[kept]))
        self.in_sample_ = self.predict_codes(cells.users, cells.items)
        return self

    def _problem(
        self,
        log: InteractionLog,
        chosen: Covariates,
        users: NDArray[Any],
        items: NDArray[Any],
        weight: Floats,
    ) -> CellProblem:
        encoders = Encoders.of(log, chosen)
        X = np.column_stack([np.ones(log.n_users), encoders.user.apply(log.users).matrix])
        Z = np.column_stack([np.ones(log.n_items), encoders.item.apply(log.items).matrix])
        cross = self.cross_regularization if self.crosses else NO_CROSS
        penalty = np.full((X.shape[1], Z.shape[1]), cross)
        penalty[0], penalty[:, 0] = self.regularization, self.regularization
        penalty[0, 0] = 0.0
        return CellProblem(
            X, Z, users, items, np.empty(0), weight, penalty,
            self.effect_regularization if self.user_effects else None,
            self.effect_regularization if self.item_effects else None,
        )  # fmt: skip

    def _solve(self, problem: CellProblem) -> None:
        """Fit the linear part, then (for "factors") the two parts in turn."""
        outcome, m, n = problem.outcome, len(problem.X), len(problem.Z)
        low_rank, taken = np.zeros(len(outcome)), 0.0
        found, U, V = solve_cells(problem, seed=self.random_state or 0), None, None
        for _ in range(BACKFITTING if self.method == "factors" else 0):
            residual = outcome - problem.mean(found.theta)
            U, V, taken = fit_low_rank(
                residual, problem.weight, problem.users, problem.items, (m, n),
                n_factors=self.n_factors, ridge=self.factor_regularization,
                seed=self.random_state, start=V,
            )  # fmt: skip
            low_rank = gather(U, V, problem.users, problem.items)
            rest = replace(problem, outcome=outcome - low_rank)
            found = replace(found, theta=solve_cells(rest, probes=0).theta)
        if not found.converged:
            warnings.warn(
                "The ridge regression of the outcome did not converge; raise the regularisation.",
                ConvergenceWarning,
                stacklevel=3,
            )
        residual = outcome - problem.mean(found.theta) - low_rank
        self.effective_parameters_ = found.effective_parameters + taken
        freedom = max(1.0, found.residual_freedom - taken)
        self.residual_variance_ = float((problem.weight * residual**2).sum()) / freedom
        self._keep(problem, found.theta, U, V)

    def _keep(
        self, problem: CellProblem, theta: Floats, U: Floats | None, V: Floats | None
    ) -> None:
        B, a, b = problem.split(theta)
        m, n = len(problem.X), len(problem.Z)
        parts = [(problem.X @ B, problem.Z)]
        if self.user_effects:
            parts.append((a[:, None], np.ones((n, 1))))
        if self.item_effects:
            parts.append((np.ones((m, 1)), b[:, None]))
        if U is not None and V is not None:
            parts.append((U, V))
        self._A = np.hstack([left for left, _ in parts])
        self._B = np.hstack([right for _, right in parts])

    def factors(self) -> tuple[Floats, Floats]:
        """Return (A (n_users, k), B (n_items, k)) with g = A B'."""
        if not hasattr(self, "_A"):
            from causalrec import errors

            raise errors.NotFittedError.of(self)
        return self._A, self._B

    def block(self, users: slice) -> Floats:
        """Return g of a block of users against all items, (b, n_items)."""
        A, B = self.factors()
        return np.asarray(A[users] @ B.T)

    def predict_codes(self, user_codes: NDArray[Any], item_codes: NDArray[Any]) -> Floats:
        """Return g of aligned cells by integer codes, float64."""
        A, B = self.factors()
        return gather(A, B, np.asarray(user_codes), np.asarray(item_codes))

    def for_rows(self, log: InteractionLog) -> Floats:
        """Return g of the cell of each row of a log, float64 (n_rows,)."""
        to_user = code_map(log.user_ids, self.user_ids_, "user")
        to_item = code_map(log.item_ids, self.item_ids_, "item")
        return self.predict_codes(
            log.user_codes if to_user is None else to_user[log.user_codes],
            log.item_codes if to_item is None else to_item[log.item_codes],
        )


def _of_cells(chosen: Covariates) -> Covariates:
    if chosen.event:
        raise DataError(
            f"{', '.join(map(repr, chosen.event))}: columns of the events are not known for"
            " unobserved cells. Take them out of the covariates, or use an outcome model of rows"
            " (ArmOutcomeModel)."
        )
    return chosen
