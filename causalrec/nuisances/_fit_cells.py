"""From a rating log and covariates to a fitted propensity of every cell, by each method."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import StudyError
from causalrec.nuisances._backends import Backend, GridLogit
from causalrec.nuisances._cell_folds import CellFolds, FoldedCells, HeldOut
from causalrec.nuisances._grid import Grid, Penalties
from causalrec.nuisances._grid_logit import blocks
from causalrec.nuisances._low_rank import LowRankProblem, fit_low_rank
from causalrec.nuisances._never import Never, never_observed

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog
    from causalrec.nuisances._features import Encoders
    from causalrec.nuisances._options import FitOptions, Within

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LARGEST_GRID = 5e7
"""Cells up to which "auto" goes over the whole grid in every evaluation (.3 s there)."""
MOST_PROFILE_PAIRS = 1e7
"""Pairs of user and item profiles up to which "auto" takes the complementary log-log."""
CELL_FOLDS = 5
CALIBRATION_STEPS = 8


@dataclass(frozen=True)
class CellProblem:
    """What every method of cells starts from.

    Attributes
    ----------
    X, Z : float64 (n_users, p), (n_items, q)
        Features with a leading 1, of all users and items.
    """

    log: InteractionLog
    encoders: Encoders
    options: FitOptions
    within: Within
    never: Never
    X: Floats
    Z: Floats

    @classmethod
    def of(
        cls, log: InteractionLog, encoders: Encoders, options: FitOptions, within: Within
    ) -> CellProblem:
        """Encode the features and find the never-observed profiles."""
        X = np.column_stack([np.ones(log.n_users), encoders.user.apply(log.users).matrix])
        Z = np.column_stack([np.ones(log.n_items), encoders.item.apply(log.items).matrix])
        return cls(log, encoders, options, within, never_observed(log, encoders), X, Z)

    def grid(self, held_out: HeldOut | None = None) -> Grid:
        """Collect what was observed where."""
        return Grid.of(self.log, self.X, self.Z, self.within, self.never, held_out)

    def placed(self, user_values: Floats, item_values: Floats) -> tuple[Floats, Floats]:
        """Return values of the users and items within at their places among all; zero elsewhere."""
        users = np.zeros((self.log.n_users, *user_values.shape[1:]))
        items = np.zeros((self.log.n_items, *item_values.shape[1:]))
        users[self.within.users], items[self.within.items] = user_values, item_values
        return users, items


@dataclass(frozen=True)
class CellFit:
    """A fitted backend of cells and what is to be said about the fit."""

    backend: Backend
    notes: tuple[str, ...] = ()
    converged: bool = True
    iterations: int = 0


def fit_cells(problem: CellProblem) -> tuple[CellFit, str]:
    """Fit the method that the options name; also return the method, which "auto" chooses."""
    options = problem.options
    if options.classifier is not None:
        from causalrec.nuisances._cell_classifier import fit_classifier

        name = "boosting" if options.method == "boosting" else "classifier"
        return fit_classifier(problem), name
    method = options.method
    said: tuple[str, ...] = ()
    if method == "auto":
        method, said = choose_method(problem)
    found = _FITS[method](problem)
    return replace(found, notes=(*said, *found.notes)), method


def choose_method(problem: CellProblem) -> tuple[str, tuple[str, ...]]:
    """Choose by size: the whole grid, its profiles, or a sample of it; and say why."""
    log = problem.log
    cells = float(log.n_users) * log.n_items
    if problem.options.cell_folds is not None:
        return "logistic", ("method='auto' took 'logistic', which can be folded over cells.",)
    if cells <= LARGEST_GRID:
        return "logistic", (
            f"method='auto' took 'logistic': {cells:.3g} cells are few enough (at most"
            f" {LARGEST_GRID:.0e}) to go over all of them.",
        )
    over = f"{cells:.3g} cells are more than {LARGEST_GRID:.0e}"
    pairs = float(len(np.unique(problem.X, axis=0))) * len(np.unique(problem.Z, axis=0))
    if log.eligible_block(slice(0, 1)) is not None:
        return "case-control", (
            f"method='auto' took 'case-control': {over}, and not all of them are eligible.",
        )
    if pairs <= MOST_PROFILE_PAIRS:
        return "cloglog", (
            f"method='auto' took 'cloglog': {over}, but they fall into {pairs:,.0f} pairs of"
            " profiles, over which the exact likelihood is summed.",
        )
    return "case-control", (
        f"method='auto' took 'case-control': {over}, and their {pairs:.3g} pairs of profiles are"
        f" more than {MOST_PROFILE_PAIRS:.0e}.",
    )


def _logistic(problem: CellProblem) -> CellFit:
    """Fit the logit of the whole grid, cross-fitted over cells where that was asked for."""
    options, grid = problem.options, problem.grid()
    penalties, said, start = grid.effect_penalties(options)
    if options.cell_folds is None:
        found = _logit(problem, grid, penalties, start)
        return replace(found, notes=said)
    return _folded(problem, options.cell_folds, penalties, start, said, rank=0)


def _low_rank(problem: CellProblem) -> CellFit:
    """Fit factors on top of the logit, cross-fitted over cells."""
    options = problem.options
    penalties, said, start = problem.grid().effect_penalties(options)
    folds = CELL_FOLDS if options.cell_folds is None else options.cell_folds
    return _folded(problem, folds, penalties, start, said, rank=options.rank)


def _folded(
    problem: CellProblem,
    n_folds: int,
    penalties: Penalties,
    start: Floats | None,
    said: tuple[str, ...],
    *,
    rank: int,
) -> CellFit:
    log, options = problem.log, problem.options
    seed = int(np.random.default_rng(options.random_state).integers(2**31))
    folds = CellFolds(n_folds, seed)
    fits = []
    for number in range(n_folds):
        grid = problem.grid(HeldOut(folds, number))
        base = _logit(problem, grid, penalties, start)
        fits.append(base if rank == 0 else _with_factors(problem, grid, base, rank, seed))
    backend = FoldedCells(tuple(fit.backend for fit in fits), folds, log.n_users, log.n_items)
    if rank:
        backend, calibrated = recalibrated(problem, backend)
        said = (*said, *fits[0].notes, calibrated)
    note = (
        f"Cross-fitted over {n_folds} folds of cells: each cell is predicted by the model whose"
        " likelihood did not see it."
    )
    return CellFit(
        backend,
        (*said, note),
        all(fit.converged for fit in fits),
        max(fit.iterations for fit in fits),
    )


def _logit(problem: CellProblem, grid: Grid, penalties: Penalties, start: Floats | None) -> CellFit:
    found, user_of, item_of = grid.fit(problem.options, penalties, start)
    effects = problem.placed(found.user_effect[user_of], found.item_effect[item_of])
    backend = GridLogit(problem.X @ found.B, problem.Z, *effects)
    return CellFit(backend, (), found.converged, found.iterations)


def _with_factors(problem: CellProblem, grid: Grid, base: CellFit, rank: int, seed: int) -> CellFit:
    import scipy.sparse as sp

    logit, within, options = base.backend, problem.within, problem.options
    assert isinstance(logit, GridLogit)  # made by _logit
    users, items = within.observed(problem.log)
    if grid.held_out is not None:
        seen = ~grid.held_out.cells(users, items)
        users, items = users[seen], items[seen]
    at_user, at_item = np.cumsum(within.users) - 1, np.cumsum(within.items) - 1
    shape = int(within.users.sum()), int(within.items.sum())
    observed = sp.csr_array((np.ones(len(users)), (at_user[users], at_item[items])), shape=shape)
    ones = np.ones((len(problem.X), 1)), np.ones((len(problem.Z), 1))
    left = np.hstack([logit.XB, logit.user_effect[:, None], ones[0]])[within.users]
    right = np.hstack([logit.Z, ones[1], logit.item_effect[:, None]])[within.items]
    found = fit_low_rank(
        LowRankProblem(left, right, observed, options.factor_regularization, grid.eligible),
        rank, tolerance=options.tolerance, max_iterations=options.max_iterations, seed=seed,
    )  # fmt: skip
    U, V = problem.placed(found.U, found.V)
    backend = GridLogit(
        np.hstack([logit.XB, U]), np.hstack([logit.Z, V]), logit.user_effect, logit.item_effect
    )
    kept = int((np.abs(found.U).max(axis=0) > 1e-8).sum()) if len(found.U) else 0
    said = () if kept else (
        "The ridge of the factors left none of them: the propensity is the logit without factors.",
    )  # fmt: skip
    return CellFit(
        backend, said, base.converged and found.converged, base.iterations + found.iterations
    )


def recalibrated(problem: CellProblem, backend: FoldedCells) -> tuple[FoldedCells, str]:
    """Return the models with their logits moved to alpha + beta logit, and say by how much.

    Factors are noisy, and a noisy logit makes too many propensities large or small. The two numbers
    maximise the likelihood of all cells at their out-of-fold logits (Platt 1999), by Newton's
    method.
    """
    alpha, beta = 0.0, 1.0
    for _ in range(CALIBRATION_STEPS):
        gradient, information = _calibration_step(problem, backend, alpha, beta)
        step = np.linalg.solve(information + 1e-9 * np.eye(2), gradient)
        alpha, beta = alpha + float(step[0]), beta + float(step[1])
        if np.abs(step).max() < 1e-6:
            break
    models = []
    for model in backend.models:
        assert isinstance(model, GridLogit)  # made by _with_factors
        models.append(GridLogit(
            beta * model.XB, model.Z, alpha + beta * model.user_effect, beta * model.item_effect
        ))  # fmt: skip
    said = f"Out-of-fold logits were recalibrated: {alpha:+.3f} {beta:+.3f} x logit."
    return replace(backend, models=tuple(models)), said


def _calibration_step(
    problem: CellProblem, backend: FoldedCells, alpha: float, beta: float
) -> tuple[Floats, Floats]:
    """Return the gradient and the information of the log-likelihood in (alpha, beta)."""
    from scipy.special import expit, logit

    log, within = problem.log, problem.within
    users, items = within.observed(log)
    own = logit(backend.codes(users, items))
    gradient = np.array([float(len(users)), float(own.sum())])
    information = np.zeros((2, 2))
    eligible, place = problem.grid().eligible, np.concatenate([[0], np.cumsum(within.users)])
    for rows in blocks(log.n_users, log.n_items):
        x = logit(backend.block(rows))[within.users[rows]][:, within.items]
        mine = slice(int(place[rows.start]), int(place[rows.stop]))
        allowed = None if eligible is None else eligible(mine)
        x = x.ravel() if allowed is None else x[allowed]
        p = expit(alpha + beta * x)
        spread = p * (1.0 - p)
        gradient -= [float(p.sum()), float(p @ x)]
        cross = float(spread @ x)
        information += [[float(spread.sum()), cross], [cross, float(spread @ (x * x))]]
    return gradient, information


def _cloglog(problem: CellProblem) -> CellFit:
    from causalrec.nuisances._fit_cloglog import fit_cloglog_cells

    return fit_cloglog_cells(problem)


def _case_control(problem: CellProblem) -> CellFit:
    from causalrec.nuisances._case_control import fit_case_control

    return fit_case_control(problem)


_FITS = {
    "logistic": _logistic,
    "cloglog": _cloglog,
    "case-control": _case_control,
    "low-rank": _low_rank,
}


def require_complete(problem: CellProblem, method: str) -> None:
    """Refuse a log that declares some cells of its users and items not eligible."""
    log, within = problem.log, problem.within
    if log.eligible_block(slice(0, 1)) is None:
        return
    for user in np.flatnonzero(within.users):
        allowed = log.eligible_block(slice(int(user), int(user) + 1))
        if allowed is not None and not allowed[0, within.items].all():
            raise StudyError(
                f"method={method!r} sums its likelihood over pairs of profiles, so every cell of"
                " its users and items has to be eligible; this log declares others"
                " (eligible=...). Use 'logistic' or 'case-control'."
            )
