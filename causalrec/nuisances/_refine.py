"""What is done to a fitted propensity: folds of users, calibration, entropy balancing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import StudyError
from causalrec.nuisances._backends import Restricted
from causalrec.nuisances._calibrate import (
    Calibrated,
    Calibration,
    Counts,
    Map,
    count_cells,
    count_rows,
    fit_map,
)
from causalrec.nuisances._cell_folds import FoldedCells
from causalrec.nuisances._entropy import Moment, balanced
from causalrec.nuisances._fit import Fitted, fit_backend
from causalrec.nuisances._fit_cells import CELL_FOLDS
from causalrec.nuisances._options import FitOptions, Within
from causalrec.nuisances._user_folds import USER_FOLDS, FoldedUsers, deal_users

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog
    from causalrec.nuisances._features import Covariates
    from causalrec.nuisances._model import PropensityModel

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

CELL_FOLDED = frozenset({"auto", "logistic", "low-rank"})


@dataclass(frozen=True)
class Refinement:
    """What was asked for beside the method.

    Attributes
    ----------
    folded : bool
        Predict each user by a model that has not seen him.
    calibration : "platt", "isotonic" or None
    balance : tuple of str or (str, str)
    """

    folded: bool = False
    calibration: Calibration | None = None
    balance: tuple[Moment, ...] = ()

    @classmethod
    def of(
        cls, model: PropensityModel, method: str, classifier: Any, log: InteractionLog
    ) -> Refinement:
        """Read the parameters of a model.

        Raises
        ------
        StudyError
            If they mean nothing with the method.
        """
        calibration = model.calibration
        if calibration not in {None, "platt", "isotonic"}:
            raise StudyError(
                f"calibration={calibration!r} is not known: 'platt' (a line on the logit),"
                " 'isotonic' (any rising map), or None."
            )
        by_cell = log.kind == "ratings" and classifier is None
        if calibration and by_cell and method not in CELL_FOLDED:
            raise StudyError(
                "calibration learns from predictions of cells that the fit has not seen:"
                f" 'logistic', 'low-rank', 'boosting' or a classifier have them, {method!r} has"
                " not. Leave calibration out, or use balance= for the moments that matter."
            )
        balance = () if model.balance is None else tuple(model.balance)
        if isinstance(model.balance, str):
            raise StudyError(f"balance takes a list of columns: balance=[{model.balance!r}].")
        if balance and method == "naive-bayes":
            raise StudyError(
                "balance moves the propensity of every cell, but 'naive-bayes' knows only that of"
                " recorded ones. Leave one of them out."
            )
        if balance and model.clip is not None:
            raise StudyError("clip would undo what balance matched exactly: leave one of them out.")
        folded = method == "boosting" or (calibration is not None and not by_cell)
        return cls(folded, calibration, balance)

    def __bool__(self) -> bool:
        return self.folded or self.calibration is not None or bool(self.balance)


def fit_refined(
    log: InteractionLog,
    covariates: Covariates,
    options: FitOptions,
    refinement: Refinement,
    users: Bools | None,
    items: Bools | None,
    weights: Floats | None = None,
) -> Fitted:
    """Fit the method of `options`, then calibrate and balance as asked."""
    within = Within.of(log, users, items)
    if refinement.folded:
        fitted, fold = _folded(log, covariates, options, within, weights)
    else:
        if refinement.calibration and options.cell_folds is None:
            options = replace(options, cell_folds=CELL_FOLDS)
        fitted, fold = fit_backend(log, covariates, options, users, items, weights), None
    if refinement.calibration:
        fitted = _calibrated(fitted, fold, log, within, refinement.calibration)
    if refinement.balance:
        backend, notes = balanced(fitted.backend, log, within, refinement.balance)
        fitted = replace(fitted, backend=backend, notes=(*fitted.notes, *notes))
    if refinement:
        # the stacked influence is that of one plain logit, which this no longer is
        fitted = replace(fitted, row_design=None, linear_fit=None)
    return fitted


def _folded(
    log: InteractionLog,
    covariates: Covariates,
    options: FitOptions,
    within: Within,
    weights: Floats | None,
) -> tuple[Fitted, NDArray[np.int64]]:
    fold = deal_users(within.users, options.random_state)
    fits = [
        fit_backend(log, covariates, options, within.users & (fold != k), within.items, weights)
        for k in range(min(USER_FOLDS, int(within.users.sum())))
    ]
    backend = FoldedUsers(tuple(fit.backend for fit in fits), fold, log.user_ids)
    said = (
        f"Cross-fitted over {len(fits)} folds of users: each user is predicted by the model that"
        " has not seen him."
    )
    first = fits[0]
    converged = all(fit.converged for fit in fits)
    iterations = max(fit.iterations for fit in fits)
    return replace(
        first, backend=backend, notes=(*first.notes, said), converged=converged,
        iterations=iterations,
    ), fold  # fmt: skip


def _calibrated(
    fitted: Fitted,
    fold: NDArray[np.int64] | None,
    log: InteractionLog,
    within: Within,
    kind: Calibration,
) -> Fitted:
    """Move each fold's propensities by a map that the other folds taught."""
    folded: Any = fitted.backend
    outer = folded if isinstance(folded, Restricted) else None
    folded = folded if outer is None else outer.inner
    if log.kind == "candidates":
        assert fold is not None  # rows are folded by user
        counts = count_rows(fitted.backend, log, within, fold)
    else:
        counts = count_cells(fitted.backend, log, within, folded.folds if fold is None else fold)
    maps = [fit_map(kind, *counts.without(k)) for k in range(len(folded.models))]
    models = tuple(Calibrated(m, move) for m, move in zip(folded.models, maps, strict=True))
    assert isinstance(folded, FoldedCells | FoldedUsers)  # calibration asks for folds
    backend: Any = replace(folded, models=models)
    if outer is not None:
        backend = replace(outer, inner=backend)
    said = _said(kind, maps, counts)
    return replace(fitted, backend=backend, notes=(*fitted.notes, said))


def _said(kind: Calibration, maps: list[Map], counts: Counts) -> str:
    n = int(counts.population.sum())
    if kind == "platt":
        alpha, beta = np.mean([found.y for found in maps], axis=0)
        return (
            f"Calibrated by Platt's line on {n:,} out-of-fold logits: {alpha:+.3f} {beta:+.3f} x"
            " logit (mean over folds)."
        )
    return f"Calibrated by a rising map (isotonic regression) on {n:,} out-of-fold predictions."
