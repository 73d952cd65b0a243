"""New events of a fitted model: the users who have them are solved again, items as they are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import DataError
from causalrec.factorization._common import Factors, Integers, Pattern, dot_rows
from causalrec.factorization._fold_in import solved_users
from causalrec.factorization._prepare import training_cells
from causalrec.factorization._state import Events, State, codes_of
from causalrec.threads import one_blas_thread

if TYPE_CHECKING:
    import pandas as pd

    from causalrec.interactions import InteractionLog

_Array = NDArray[np.float64]
NEW_ITEM = "Add items by their features first (extend), or fit again on a log that has them."


def updated_state(
    state: State, recipe: Any, log: InteractionLog, propensity: _Array, user_features: Any
) -> State:
    """Return the state with the events of `log` added; see `DebiasedMF.partial_fit`."""
    if state.events is None:
        raise DataError(
            "The model was saved without the events it learned from (events=False), so new ones"
            " cannot be added to them: fold_in takes users with all their events."
        )
    cells = training_cells(log, recipe.estimator)
    items = codes_of(state.item_ids, log.item_ids, "item", NEW_ITEM)[cells.items]
    state = _with_new_users(state, log, user_features)
    users = state.user_ids.get_indexer(log.user_ids)
    state = _with_events(state, users[cells.users], items, cells.outcome, propensity)
    moved = np.unique(users)
    moved = moved[np.isin(moved, users[cells.users]) | (moved >= len(state.factors.user_biases))]
    with one_blas_thread():
        return _solved(state, recipe, moved)


def _with_new_users(state: State, log: InteractionLog, user_features: Any) -> State:
    """Return the state with the ids and the features of the log's new users; not yet solved."""
    new = ~log.user_ids.isin(state.user_ids)
    if not new.any():
        return state
    features, prior = state.features, state.prior
    if features is not None:
        matrix = features.user_side.matrix(log.users, user_features)[new]
        left = np.vstack([features.left, features.prior.user_side(matrix)])
        features = replace(features, left=left)
    if prior is not None:
        rows = prior.user.read(log.users, user_features)[new]
        warm = np.concatenate([prior.user.warm, np.zeros(int(new.sum()), dtype=bool)])
        user = replace(prior.user, rows=np.vstack([prior.user.rows, rows]), warm=warm)
        prior = replace(prior, user=user)
    more: pd.Index = log.user_ids[new]
    pointer = state.seen_pointer
    return replace(
        state,
        user_ids=state.user_ids.append(more),
        features=features,
        prior=prior,
        seen_pointer=np.concatenate([pointer, np.full(len(more), pointer[-1])]),
    )


def _with_events(
    state: State, users: Integers, items: Integers, outcome: _Array, propensity: _Array
) -> State:
    """Return the state with the union of events; a later one of a cell replaces the earlier."""
    assert state.events is not None  # asked before
    n_users, n_items = len(state.user_ids), len(state.item_ids)
    old = np.repeat(np.arange(n_users), np.diff(state.seen_pointer)) * n_items + state.seen_items
    keys = np.concatenate([old, users.astype(np.int64) * n_items + items])
    last = len(keys) - 1 - np.unique(keys[::-1], return_index=True)[1]
    by_user, by_item = np.divmod(keys[last], n_items)
    counts = np.bincount(by_user, minlength=n_users)
    return replace(
        state,
        seen_pointer=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        seen_items=by_item.astype(np.int32),
        events=Events(
            np.concatenate([state.events.outcome, outcome])[last],
            np.concatenate([state.events.propensity, propensity])[last],
        ),
    )


def _solved(state: State, recipe: Any, moved: Integers) -> State:
    """Return the state with some users solved for the items as they are."""
    assert state.events is not None  # asked before
    rows, items = state.seen_in(moved)
    starts, counts = state.seen_pointer[moved], np.diff(state.seen_pointer)[moved]
    entries = np.repeat(starts - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
    pattern = Pattern(rows.astype(np.int32), items, len(moved), len(state.item_ids))
    target = state.events.outcome[entries]
    part = state
    if state.features is not None:
        left = state.features.left[moved]
        target = target - dot_rows(left, state.features.right, rows, items)
    if state.prior is not None:
        user = replace(state.prior.user, rows=state.prior.user.rows[moved])
        part = replace(part, prior=replace(state.prior, user=user))
    solved = solved_users(part, recipe, pattern, target, state.events.propensity[entries])
    size = len(state.user_ids)
    factors = _put(state.factors, solved[0], moved, size)
    imputation = state.imputation
    if imputation is not None and solved[1] is not None:
        imputation = _put(imputation, solved[1], moved, size)
    return replace(state, factors=factors, imputation=imputation)


def _put(old: Factors, solved: Factors, rows: Integers, size: int) -> Factors:
    """Return the factors with some user rows replaced, and room for `size` users."""
    factors = np.zeros((size, old.n_factors), dtype=old.user_factors.dtype)
    biases = np.zeros(size, dtype=old.user_biases.dtype)
    factors[: len(old.user_factors)], biases[: len(old.user_biases)] = (
        old.user_factors,
        old.user_biases,
    )
    factors[rows], biases[rows] = solved.user_factors, solved.user_biases
    return replace(old, user_factors=factors, user_biases=biases)
