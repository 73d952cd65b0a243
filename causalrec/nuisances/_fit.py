"""From a log and covariates to a fitted backend."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import DataError
from causalrec.nuisances._backends import Backend, Rates, Restricted, RowLogit
from causalrec.nuisances._by_rating import fit_by_rating
from causalrec.nuisances._features import Covariates, Encoders, RowDesign
from causalrec.nuisances._fit_cells import CellProblem, fit_cells
from causalrec.nuisances._linear import LinearFit, fit_linear
from causalrec.nuisances._linear_folds import fit_linear_folds
from causalrec.nuisances._never import Never
from causalrec.nuisances._options import FitOptions, Within
from causalrec.nuisances._shared import shared_design, shared_never

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Fitted:
    """A fitted backend and what is to be said about the fit."""

    backend: Backend
    group_columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    converged: bool = True
    iterations: int = 0
    row_design: RowDesign | None = None
    linear_fit: LinearFit | None = None
    method: str = "logistic"
    never: Never = field(default_factory=Never)


def fit_backend(
    log: InteractionLog,
    covariates: Covariates,
    options: FitOptions,
    users: Bools | None,
    items: Bools | None,
    weights: Floats | None = None,
) -> Fitted:
    """Fit the method of `options` on (a part of) a log."""
    within = Within.of(log, users, items)
    if options.method in {"popularity", "independence"}:
        return _fit_rates(log, options, within)
    if options.method == "naive-bayes":
        found = fit_by_rating(log, options, within, _eligible_counts(log, within)[0].sum())
        return Fitted(found.backend, (), found.notes, method=options.method)
    encoders = Encoders.of(log, covariates)
    groups = _group_columns(encoders)
    if log.kind == "candidates":
        return _fit_rows(log, encoders, options, within, groups, weights)
    if covariates.event:
        raise DataError(
            f"{', '.join(map(repr, covariates.event))}: columns of the events cannot explain which"
            " cells were observed, because unobserved cells have no event. Take them out of the"
            " covariates, or record them for users or items."
        )
    return _fit_cells(log, encoders, options, within, groups)


def _group_columns(encoders: Encoders) -> tuple[str, ...]:
    both = (*encoders.user.codes, *encoders.item.codes)
    return tuple(code.column for code in both if code.levels)


def _fit_rates(log: InteractionLog, options: FitOptions, within: Within) -> Fitted:
    """Activity x popularity, as rates among what was eligible."""
    shown_users, shown_items = within.happened(log)
    eligible_users, eligible_items = _eligible_counts(log, within)
    overall = len(shown_users) / eligible_users.sum()
    if options.method == "independence":
        constant = Rates(np.full(log.n_users, overall), np.ones(log.n_items))
        return Fitted(constant, method=options.method)
    if options.popularity_exponent is not None:
        count = np.maximum(np.bincount(shown_items, minlength=log.n_items), 0.5)
        power = count**options.popularity_exponent
        mean = float(power @ eligible_items) / float(eligible_items.sum())
        return Fitted(Rates(np.full(log.n_users, overall), power / mean), method=options.method)
    user = _rate(np.bincount(shown_users, minlength=log.n_users), eligible_users, overall)
    item = _rate(np.bincount(shown_items, minlength=log.n_items), eligible_items, overall)
    return Fitted(Rates(user, item / overall), method=options.method)


def _rate(observed: NDArray[Any], eligible: Floats, otherwise: float) -> Floats:
    # an unseen user or item counts half a cell, so that no propensity is zero
    rate = np.maximum(observed, 0.5) / np.maximum(eligible, 1.0)
    return np.where(eligible > 0, rate, otherwise)


def _eligible_counts(log: InteractionLog, within: Within) -> tuple[Floats, Floats]:
    """Eligible cells (rows, for candidates) of each user and each item, within the fit."""
    if log.kind == "candidates":
        kept = within.cells(log.user_codes, log.item_codes)
        by_user = np.bincount(log.user_codes[kept], minlength=log.n_users)
        by_item = np.bincount(log.item_codes[kept], minlength=log.n_items)
        return by_user.astype(np.float64), by_item.astype(np.float64)
    if log.eligible_block(slice(0, 1)) is None:
        per_user, per_item = float(within.items.sum()), float(within.users.sum())
        return (
            np.where(within.users, per_user, 0.0),
            np.where(within.items, per_item, 0.0),
        )
    users, items = np.zeros(log.n_users), np.zeros(log.n_items)
    for user in range(log.n_users):
        if within.users[user]:
            allowed = log.eligible_block(slice(user, user + 1))
            row = within.items if allowed is None else allowed[0] & within.items
            users[user], items = row.sum(), items + row
    return users, items


def _fit_rows(
    log: InteractionLog,
    encoders: Encoders,
    options: FitOptions,
    within: Within,
    groups: tuple[str, ...],
    weights: Floats | None = None,
) -> Fitted:
    from sklearn.base import clone

    design = shared_design(log, encoders, crosses=options.crosses)
    kept = within.cells(log.user_codes, log.item_codes) & _undecided(log, encoders)
    assert log.exposure is not None  # candidates have one, the log has checked
    exposure = log.exposure[kept].astype(np.float64)
    matrix = design.matrix if kept.all() else design.matrix[kept]
    row_weights = None if weights is None else weights[kept]
    if options.classifier is None:
        penalty = _penalty(design, options)
        model: Any = fit_linear(matrix, exposure, penalty=penalty, binary=True, weights=row_weights)
    else:
        model = clone(options.classifier)
        if options.random_state is not None and "random_state" in model.get_params():
            model.set_params(random_state=options.random_state)
        weighted = {} if row_weights is None else {"sample_weight": row_weights}
        model.fit(matrix[:, 1:], exposure.astype(np.int64), **weighted)
    return _fitted_rows(model, log, encoders, options, design, groups)


def fit_rows_by_fold(
    log: InteractionLog,
    covariates: Covariates,
    options: FitOptions,
    parts: NDArray[np.int16],
    members: Bools,
    start: LinearFit | None,
    weights: Floats | None,
) -> list[Fitted]:
    """Fit the logistic model of candidates on several unions of parts of the rows at once.

    Parameters
    ----------
    log, covariates, options
        As for `fit_backend`.
    parts : int16 (n_rows,)
    members : bool (n_fits, n_parts)
        As for `fit_linear_folds`.
    start : LinearFit, optional
        A fit of the same design on all rows, if there is one.
    weights : float64 (n_rows,), optional
    """
    encoders = Encoders.of(log, covariates)
    design = shared_design(log, encoders, crosses=options.crosses)
    undecided = _undecided(log, encoders)
    assert log.exposure is not None  # candidates have one, the log has checked
    near = start is not None and len(start.coefficients) == design.matrix.shape[1]
    fits = fit_linear_folds(
        design.matrix,
        log.exposure.astype(np.float64),
        parts if undecided.all() else np.where(undecided, parts, np.int16(-1)),
        members,
        penalty=_penalty(design, options),
        binary=True,
        weights=weights,
        start=start.coefficients if start is not None and near else None,
    )
    groups = _group_columns(encoders)
    return [_fitted_rows(fit, log, encoders, options, design, groups) for fit in fits]


def _undecided(log: InteractionLog, encoders: Encoders) -> Bools:
    never, always = shared_never(log, encoders)
    cells = log.user_codes, log.item_codes
    return np.asarray(~(never.cells(*cells) | always.cells(*cells)))


def _penalty(design: RowDesign, options: FitOptions) -> Floats:
    return np.where(design.cross, options.cross_regularization, options.regularization)


def _fitted_rows(
    model: Any,
    log: InteractionLog,
    encoders: Encoders,
    options: FitOptions,
    design: RowDesign,
    groups: tuple[str, ...],
) -> Fitted:
    never, always = shared_never(log, encoders)
    x, z = encoders.user.apply(log.users).matrix, encoders.item.apply(log.items).matrix
    notes = (*_said(never, "shown"), *_said(always, "left out"))
    inner = RowLogit(model, encoders, options.crosses, x, z)
    backend = _restricted(inner, never, always)
    fit = model if isinstance(model, LinearFit) else None
    method = "classifier" if options.classifier is not None else "logistic"
    method = "boosting" if options.method == "boosting" else method
    return Fitted(
        backend, groups, notes, row_design=design, linear_fit=fit, method=method, never=never
    )


def _restricted(inner: Backend, never: Never, always: Never) -> Backend:
    return Restricted(inner, never, always) if never.profiles or always.profiles else inner


def _said(never: Never, what: str) -> tuple[str, ...]:
    if not never.profiles:
        return ()
    return (
        f"Never {what}, though it would have been at the average rate: {never.words}. These"
        " profiles are unsupported, whatever a logit would extrapolate, and stay out of the fit.",
    )


def _fit_cells(
    log: InteractionLog,
    encoders: Encoders,
    options: FitOptions,
    within: Within,
    groups: tuple[str, ...],
) -> Fitted:
    problem = CellProblem.of(log, encoders, options, within)
    found, method = fit_cells(problem)
    never = problem.never
    return Fitted(
        _restricted(found.backend, never, Never()),
        groups,
        (*found.notes, *_said(never, "observed")),
        found.converged,
        found.iterations,
        method=method,
        never=never,
    )
