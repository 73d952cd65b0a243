"""From a log and covariates to a fitted backend."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import DataError
from causalrec.nuisances._backends import Backend, GridLogit, Rates, Restricted, RowLogit
from causalrec.nuisances._features import Covariates, Encoders, RowDesign, row_design
from causalrec.nuisances._grid import Grid
from causalrec.nuisances._linear import LinearFit, fit_linear
from causalrec.nuisances._never import Never, never_observed
from causalrec.nuisances._options import FitOptions, Within

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
    never: Never = field(default_factory=Never)


def fit_backend(
    log: InteractionLog,
    covariates: Covariates,
    options: FitOptions,
    users: Bools | None,
    items: Bools | None,
) -> Fitted:
    """Fit the method of `options` on (a part of) a log."""
    within = Within.of(log, users, items)
    if options.method != "logistic":
        return _fit_rates(log, options, within)
    encoders = Encoders.of(log, covariates)
    groups = tuple(
        code.column
        for encoder in (encoders.user, encoders.item)
        for code in encoder.codes
        if code.levels
    )
    if log.kind == "candidates":
        return _fit_rows(log, encoders, options, within, groups)
    if covariates.event:
        raise DataError(
            f"{', '.join(map(repr, covariates.event))}: columns of the events cannot explain which"
            " cells were observed, because unobserved cells have no event. Take them out of the"
            " covariates, or record them for users or items."
        )
    return _fit_cells(log, encoders, options, within, groups)


def _fit_rates(log: InteractionLog, options: FitOptions, within: Within) -> Fitted:
    """Activity x popularity, as rates among what was eligible."""
    shown_users, shown_items = within.happened(log)
    eligible_users, eligible_items = _eligible_counts(log, within)
    overall = len(shown_users) / eligible_users.sum()
    if options.method == "independence":
        return Fitted(Rates(np.full(log.n_users, overall), np.ones(log.n_items)))
    user = _rate(np.bincount(shown_users, minlength=log.n_users), eligible_users, overall)
    item = _rate(np.bincount(shown_items, minlength=log.n_items), eligible_items, overall)
    return Fitted(Rates(user, item / overall))


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
) -> Fitted:
    from sklearn.base import clone

    design = row_design(log, encoders, crosses=options.crosses)
    never, always = never_observed(log, encoders), never_observed(log, encoders, exposed=False)
    kept = within.cells(log.user_codes, log.item_codes)
    kept &= ~(
        never.cells(log.user_codes, log.item_codes) | always.cells(log.user_codes, log.item_codes)
    )
    assert log.exposure is not None  # candidates have one, the log has checked
    exposure = log.exposure[kept].astype(np.float64)
    matrix = design.matrix if kept.all() else design.matrix[kept]
    x, z = encoders.user.apply(log.users).matrix, encoders.item.apply(log.items).matrix
    notes = (*_said(never, "shown"), *_said(always, "left out"))
    fit, model = None, options.classifier
    if model is None:
        penalty = np.where(design.cross, options.cross_regularization, options.regularization)
        fit = model = fit_linear(matrix, exposure, penalty=penalty, binary=True)
    else:
        model = clone(model)
        if options.random_state is not None and "random_state" in model.get_params():
            model.set_params(random_state=options.random_state)
        model.fit(matrix[:, 1:], exposure.astype(np.int64))
    inner = RowLogit(model, encoders, options.crosses, x, z)
    backend = _restricted(inner, never, always)
    return Fitted(backend, groups, notes, row_design=design, linear_fit=fit, never=never)


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
    X = np.column_stack([np.ones(log.n_users), encoders.user.apply(log.users).matrix])
    Z = np.column_stack([np.ones(log.n_items), encoders.item.apply(log.items).matrix])
    never = never_observed(log, encoders)
    grid = Grid.of(log, X, Z, within, never)
    penalties, said, start = grid.effect_penalties(options)
    found, user_of, item_of = grid.fit(options, penalties, start)
    user_effect, item_effect = np.zeros(log.n_users), np.zeros(log.n_items)
    user_effect[within.users] = found.user_effect[user_of]
    item_effect[within.items] = found.item_effect[item_of]
    inner = GridLogit(X @ found.B, Z, user_effect, item_effect)
    notes = (*said, *_said(never, "observed"))
    backend = _restricted(inner, never, Never())
    return Fitted(backend, groups, notes, found.converged, found.iterations, never=never)
