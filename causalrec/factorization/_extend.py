"""Users and items that came after the fit: rows without cells, from their features alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import DataError
from causalrec.factorization._common import SMALLEST_RIDGE, Factors
from causalrec.factorization._feature_prior import SharedGram
from causalrec.factorization._recipe import Recipe
from causalrec.factorization._side_features import SideFeatures, ids_of
from causalrec.factorization._state import PriorSide, State
from causalrec.threads import one_blas_thread

if TYPE_CHECKING:
    import pandas as pd

_Array = NDArray[np.float64]
Side = Literal["user", "item"]


def extended_state(
    state: State, recipe: Recipe, side: Side, table: pd.DataFrame, given: Any
) -> State:
    """Return the state with the rows of a table behind those of the fit.

    Raises
    ------
    DataError
        If the model has no features of that side, or ids are known already or occur twice.
    """
    features = _features_of(state, side)
    ids = _new_ids(state, side, table, features.id_column)
    matrix = features.matrix(table, given)
    with one_blas_thread():
        if state.prior is not None:
            return _with_prior_rows(state, side, ids, matrix)
        return _with_regression_rows(state, recipe, side, ids, matrix)


def _features_of(state: State, side: Side) -> SideFeatures:
    found = None
    if state.prior is not None:
        found = getattr(state.prior, side).features
    elif state.features is not None:
        found = getattr(state.features, f"{side}_side")
    if found is None or found.n_columns == 0:
        raise DataError(
            f"The model has no features of {side}s, so that nothing is known of a {side} without"
            f" events: fit with features=... or {side}_features=..."
        )
    assert isinstance(found, SideFeatures)
    return found


def _new_ids(state: State, side: Side, table: pd.DataFrame, id_column: str) -> pd.Index:
    import pandas as pd

    ids: pd.Index = pd.Index(ids_of(table, id_column), tupleize_cols=False)
    known = state.user_ids if side == "user" else state.item_ids
    twice = ids[ids.duplicated() | ids.isin(known)].unique()
    if len(twice):
        raise DataError(
            f"{len(twice):,} of {len(ids):,} {side} ids are known to the model already or occur"
            f" twice: {', '.join(map(repr, twice[:5].tolist()))}. extend takes new {side}s, one"
            " row each."
        )
    return ids


def _with_prior_rows(state: State, side: Side, ids: pd.Index, matrix: _Array) -> State:
    assert state.prior is not None  # the caller asked
    one: PriorSide = getattr(state.prior, side)
    rows = one.scale.apply(matrix)
    factors, imputation = _appended(state.factors, side, one.prior.cold(rows)), state.imputation
    if imputation is not None:
        none = np.zeros((len(rows), imputation.n_factors + 1))
        behind = none if one.imputation is None else one.imputation.cold(rows)
        imputation = _appended(imputation, side, behind)
    warm = np.concatenate([one.warm, np.zeros(len(rows), dtype=bool)])
    grown = replace(one, rows=np.vstack([one.rows, rows]), warm=warm)
    prior = replace(state.prior, **{side: grown})
    state = replace(state, factors=factors, imputation=imputation, prior=prior)
    return _with_ids(state, side, ids)


def _with_regression_rows(
    state: State, recipe: Recipe, side: Side, ids: pd.Index, matrix: _Array
) -> State:
    features = state.features
    assert features is not None  # the caller asked
    if side == "user":
        left = np.vstack([features.left, features.prior.user_side(matrix)])
        features = replace(features, left=left)
    else:
        right = np.vstack([features.right, features.prior.item_side(matrix)])
        features = replace(features, right=right)
    n, imputation = len(matrix), state.imputation
    solved = np.zeros((n, state.factors.n_factors + 1))
    if imputation is not None:
        behind = np.zeros((n, imputation.n_factors + 1))
        solved = _over_all_cells(state, recipe, side, behind)
        imputation = _appended(imputation, side, behind)
    factors = _appended(state.factors, side, solved)
    state = replace(state, factors=factors, imputation=imputation, features=features)
    return _with_ids(state, side, ids)


def _over_all_cells(state: State, recipe: Recipe, side: Side, behind: _Array) -> _Array:
    """Solve rows whose target is their imputation in every cell, as a fit on the grid does."""
    factors, imputation = state.factors, state.imputation
    assert imputation is not None  # the caller asked
    if side == "user":
        design, level = factors.item_design(), factors.item_biases
        other, imputed_level = imputation.item_design(), imputation.item_biases
    else:
        design, level = factors.user_design(), factors.user_biases
        other, imputed_level = imputation.user_design(), imputation.user_biases
    off = imputed_level + imputation.intercept - level - factors.intercept
    ridge = max(recipe.regularization, SMALLEST_RIDGE) * state.scales.cells_per_observed
    if recipe.regularization_form == "count":
        ridge /= state.scales.mean_count
    design, other = design.astype(np.float64), other.astype(np.float64)
    right_side = behind @ (other.T @ design) + off.astype(np.float64) @ design
    return SharedGram.of(design, np.full(len(behind), ridge), right_side).solve(right_side)


def _appended(factors: Factors, side: Side, solved: _Array) -> Factors:
    rows = solved.astype(factors.user_factors.dtype)
    if side == "user":
        more = np.vstack([factors.user_factors, rows[:, :-1]])
        levels = np.concatenate([factors.user_biases, rows[:, -1]])
        return replace(factors, user_factors=more, user_biases=levels)
    more = np.vstack([factors.item_factors, rows[:, :-1]])
    levels = np.concatenate([factors.item_biases, rows[:, -1]])
    return replace(factors, item_factors=more, item_biases=levels)


def _with_ids(state: State, side: Side, ids: pd.Index) -> State:
    if side == "item":
        return replace(state, item_ids=state.item_ids.append(ids))
    pointer = state.seen_pointer
    more = np.full(len(ids), pointer[-1], dtype=pointer.dtype)
    return replace(
        state,
        user_ids=state.user_ids.append(ids),
        seen_pointer=np.concatenate([pointer, more]),
    )
