"""From a log and covariates to a fitted backend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import DataError
from causalrec.nuisances._backends import Backend, GridLogit, Rates, Restricted, RowLogit
from causalrec.nuisances._features import Covariates, Encoders, RowDesign, row_design
from causalrec.nuisances._grid_logit import GridProblem, bucket, fit_grid
from causalrec.nuisances._linear import LinearFit, fit_linear
from causalrec.nuisances._never import Never, never_observed

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class FitOptions:
    """The parameters of `PropensityModel`, settled for the kind of log."""

    method: str
    regularization: float
    cross_regularization: float
    effect_regularization: float
    user_effects: bool
    item_effects: bool
    crosses: bool
    classifier: Any
    random_state: int | None
    tolerance: float
    max_iterations: int


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


@dataclass(frozen=True)
class Within:
    """The users and items that a fit may look at."""

    users: Bools
    items: Bools
    everybody: bool

    @classmethod
    def of(cls, log: InteractionLog, users: Bools | None, items: Bools | None) -> Within:
        """Settle the masks; a part of a split by user holds its own users only."""
        everybody = users is None and items is None
        allowed = np.ones(log.n_users, dtype=bool) if users is None else np.asarray(users)
        if log.part is not None and log.part.by == "user":
            present = np.bincount(log.user_codes, minlength=log.n_users) > 0
            allowed, everybody = allowed & present, everybody and bool(present.all())
        taken = np.ones(log.n_items, dtype=bool) if items is None else np.asarray(items)
        return cls(allowed, taken, everybody)

    def cells(self, users: NDArray[Any], items: NDArray[Any]) -> Bools:
        """Whether aligned cells lie within."""
        return np.asarray(self.users[users] & self.items[items])


def _observed(log: InteractionLog, within: Within) -> tuple[NDArray[Any], NDArray[Any]]:
    cells = log.observed_cells()
    users, items = np.asarray(cells.users), np.asarray(cells.items)
    kept = within.cells(users, items)
    return users[kept], items[kept]


def _happened(log: InteractionLog, within: Within) -> tuple[NDArray[Any], NDArray[Any]]:
    """Users and items of what happened: observed cells, or exposed rows."""
    if log.exposure is None:
        return _observed(log, within)
    kept = within.cells(log.user_codes, log.item_codes) & (log.exposure == 1)
    return log.user_codes[kept], log.item_codes[kept]


def _fit_rates(log: InteractionLog, options: FitOptions, within: Within) -> Fitted:
    """Activity x popularity, as rates among what was eligible."""
    shown_users, shown_items = _happened(log, within)
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
    problem, user_of, item_of = grid_problem(log, X, Z, options, within, never)
    found = fit_grid(problem, tolerance=options.tolerance, max_iterations=options.max_iterations)
    user_effect, item_effect = np.zeros(log.n_users), np.zeros(log.n_items)
    user_effect[within.users] = found.user_effect[user_of]
    item_effect[within.items] = found.item_effect[item_of]
    inner = GridLogit(X @ found.B, Z, user_effect, item_effect)
    return Fitted(
        _restricted(inner, never, Never()), groups, _said(never, "observed"),
        found.converged, found.iterations, never=never,
    )  # fmt: skip


def grid_problem(
    log: InteractionLog, X: Floats, Z: Floats, options: FitOptions, within: Within, never: Never
) -> tuple[GridProblem, NDArray[np.intp], NDArray[np.intp]]:
    """Bucket the grid of a ratings log; also return the bucket of each user and item within."""
    import scipy.sparse as sp

    users, items = _observed(log, within)
    if not len(users):
        raise DataError("No cell was observed among the users and items to fit on.")
    observed = sp.csr_array((np.ones(len(users)), (users, items)), shape=(log.n_users, log.n_items))
    by_user = np.bincount(users, minlength=log.n_users)[within.users].astype(np.float64)
    by_item = np.bincount(items, minlength=log.n_items)[within.items].astype(np.float64)
    everything = log.eligible_block(slice(0, 1)) is None
    Xb, cu, nu, user_of = _side(X[within.users], by_user, options.user_effects, everything)
    Zb, ci, ni, item_of = _side(Z[within.items], by_item, options.item_effects, everything)
    eligible = _eligible_within(log, within, never, user_of, item_of)
    penalty = np.full((X.shape[1], Z.shape[1]), options.cross_regularization)
    penalty[0], penalty[:, 0], penalty[0, 0] = options.regularization, options.regularization, 0.0
    if not options.crosses:
        penalty[1:, 1:] = NO_CROSS
    effect = options.effect_regularization
    problem = GridProblem(
        X=Xb, Z=Zb, user_count=cu, item_count=ci, observed_by_user=nu, observed_by_item=ni,
        cross=np.asarray(X.T @ (observed @ Z)), penalty=penalty,
        user_penalty=effect if options.user_effects else None,
        item_penalty=effect if options.item_effects else None, eligible=eligible,
    )  # fmt: skip
    return problem, user_of, item_of


NO_CROSS = 1e12
"""A ridge that leaves nothing of a cross: the model without crosses, to machine precision."""


def _side(
    features: Floats, observed: Floats, effects: bool, may_bucket: bool
) -> tuple[Floats, Floats, Floats, NDArray[np.intp]]:
    if not may_bucket:
        return features, np.ones(len(features)), observed, np.arange(len(features))
    if effects:
        return bucket(features, observed)
    profiles, count, _, of = bucket(features, np.zeros(len(features)))
    total = np.bincount(of, weights=observed, minlength=len(profiles)).astype(np.float64)
    return profiles, count, total, of


def _eligible_within(
    log: InteractionLog,
    within: Within,
    never: Never,
    user_of: NDArray[np.intp],
    item_of: NDArray[np.intp],
) -> Callable[[slice], Bools | None] | None:
    """Return block of buckets -> cells of the likelihood; None where it has them all.

    A profile is a matter of features, so one member stands for its bucket.
    """
    everything = log.eligible_block(slice(0, 1)) is None
    if everything and not never.profiles:
        return None
    users = np.flatnonzero(within.users)[np.unique(user_of, return_index=True)[1]]
    items = np.flatnonzero(within.items)[np.unique(item_of, return_index=True)[1]]

    def block(rows: slice) -> Bools | None:
        codes = users[rows]
        out = never.block(codes, items)
        inside = None if out is None else ~out
        if everything:
            return inside
        lines = [log.eligible_block(slice(int(u), int(u) + 1)) for u in codes]
        allowed = np.vstack([line for line in lines if line is not None])[:, items]
        return allowed if inside is None else allowed & inside

    return block
