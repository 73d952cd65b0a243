"""New users of a fitted model: their own normal equations, with the items as they are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.factorization import _weighted
from causalrec.factorization._common import (
    Factors,
    Pattern,
    RidgeForm,
    dot_rows,
)
from causalrec.factorization._doubly_robust import doubly_robust_score, solve_users
from causalrec.factorization._eligible_items import EligibleItems
from causalrec.factorization._feature_prior import SidePrior
from causalrec.factorization._prepare import training_cells
from causalrec.factorization._prior_sweeps import (
    grid_user_rows,
    weighted_user_rows,
    with_users,
)
from causalrec.factorization._recipe import (
    Recipe,
    correction_weights,
    imputation_weighting,
    raw_weights,
)
from causalrec.factorization._state import Events, PriorSide, State, codes_of
from causalrec.threads import one_blas_thread

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog


def folded_state(
    state: State,
    recipe: Recipe,
    log: InteractionLog,
    propensity: NDArray[np.float64],
    user_features: Any = None,
) -> State:
    """Return the state whose users are those of `log`, solved for the items as fitted.

    Parameters
    ----------
    state : State
    recipe : Recipe
    log : InteractionLog
        Events of the new users; its items must be known.
    propensity : float64 array, shape (observed cells of `log`,)
    user_features : array, frame or callable, optional
        As the model was fitted with.

    Raises
    ------
    DataError
        If an item is unknown, or a feature's column or level is.
    """
    cells = training_cells(log, recipe.estimator)
    way_out = "Items cannot be folded in: fit again on a log that has them."
    item_codes = codes_of(state.item_ids, log.item_ids, "item", way_out)[cells.items]
    order = np.lexsort((item_codes, cells.users))
    users, items = cells.users[order], item_codes[order].astype(np.int32)
    pattern = Pattern(users, items, log.n_users, len(state.item_ids))
    target, features = np.array(cells.outcome[order]), state.features
    if features is not None:
        left = features.prior.user_side(features.user_side.matrix(log.users, user_features))
        features = replace(features, left=left)
        target -= dot_rows(left, features.right, users, items)
    prior = state.prior
    if prior is not None:
        rows = prior.user.read(log.users, user_features)
        prior = replace(prior, user=replace(prior.user, rows=rows))
    state = replace(state, features=features, prior=prior)
    with one_blas_thread():
        factors, imputation = solved_users(state, recipe, pattern, target, propensity[order])
    return replace(
        state,
        user_ids=log.user_ids,
        factors=factors,
        imputation=imputation,
        seen_pointer=pattern.user_pointer,
        seen_items=pattern.items,
        events=Events(np.asarray(cells.outcome[order], dtype=np.float64), propensity[order]),
        eligible=EligibleItems.of(log, state.item_ids),
    )


def solved_users(
    state: State,
    recipe: Recipe,
    pattern: Pattern,
    target: NDArray[np.float64],
    propensity: NDArray[np.float64],
) -> tuple[Factors, Factors | None]:
    """Return the factors and the imputation with the user side solved.

    Parameters
    ----------
    state : State
        Its items stand; the rows of its user prior are those of the pattern's users.
    recipe : Recipe
    pattern : Pattern
    target : float64 array, shape (n,)
        The outcomes, less what the regression on features says of them.
    propensity : float64 array, shape (n,)
    """
    scales = state.scales
    side = None if state.prior is None else state.prior.user
    counts = np.diff(pattern.user_pointer)
    ridge = _ridge(recipe.regularization, counts, recipe.regularization_form, scales.mean_count)
    if state.imputation is None:
        weights = units(raw_weights(recipe.estimator, propensity), scales.weight)
        start = _without_users(state.factors, pattern.n_users)
        prior = None if side is None else side.prior
        return _weighted_users(pattern, target, weights, start, ridge, side, prior), None
    imputation = _without_users(state.imputation, pattern.n_users)
    if not recipe.fixed_imputation:
        raw = raw_weights(imputation_weighting(recipe), propensity)
        weights = units(raw, scales.imputation_weight)
        prior = None if side is None else side.imputation
        imputation = _weighted_users(pattern, target, weights, imputation, ridge, side, prior)
    left, right = imputation.low_rank()
    predicted = np.asarray(imputation.predict(pattern.users, pattern.items), dtype=np.float64)
    corrections = correction_weights(recipe.estimator, propensity, scales.correction)
    score = doubly_robust_score(pattern, target, corrections, left, right, predicted)
    start = _without_users(state.factors, pattern.n_users)
    ridge = ridge * scales.cells_per_observed
    if side is None:
        return solve_users(score, start, ridge), imputation
    assert state.prior is not None  # its user side was found above
    equations = grid_user_rows(score, start, ridge, state.prior.item.warm)
    pulled = equations.right_side + ridge[:, None] * side.prior.means(side.rows)
    solved = equations.solve(pulled)
    cold = counts == 0
    solved[cold] = side.prior.cold(side.rows)[cold]
    return with_users(start, solved), imputation


def _weighted_users(
    pattern: Pattern,
    target: NDArray[np.float64],
    weights: NDArray[np.float64],
    start: Factors,
    ridge: NDArray[np.float64],
    side: PriorSide | None,
    prior: SidePrior | None,
) -> Factors:
    """Return the factors with each user's weighted ridge regression around its prior mean."""
    if side is None or prior is None:
        return _weighted.solve_users(pattern, target, weights, start, ridge)
    equations = weighted_user_rows(pattern, target, weights, start, ridge)
    solved = equations.solve(equations.right_side + ridge[:, None] * prior.means(side.rows))
    solved[np.diff(pattern.user_pointer) == 0, -1] += prior.shift
    return with_users(start, solved)


def units(weights: NDArray[np.float64], mean: float) -> NDArray[np.float64]:
    """Return weights in units of the fit's mean weight (see `mean_one` for a mean of zero)."""
    return weights / mean if mean > 0 else np.ones_like(weights)


def _ridge(
    ridge: float, counts: NDArray[np.int64], form: RidgeForm, mean_count: float
) -> NDArray[np.float64]:
    if form == "uniform":
        return np.full(len(counts), ridge)
    return np.asarray(ridge * np.maximum(counts, 1) / mean_count)


def _without_users(factors: Factors, n_users: int) -> Factors:
    dtype = factors.user_factors.dtype
    return replace(
        factors,
        user_factors=np.zeros((n_users, factors.n_factors), dtype=dtype),
        user_biases=np.zeros(n_users, dtype=dtype),
    )
