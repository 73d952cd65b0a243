"""The lists of many users: the compiled choice against a full sort."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from causalrec.factorization import _ranking
from causalrec.factorization._ranking import ranked_blocks
from causalrec.factorization._state import State


@dataclass(frozen=True)
class Scored:
    """What ranking asks of a fitted state."""

    low_rank: tuple[np.ndarray, np.ndarray]
    seen_pointer: np.ndarray
    seen_items: np.ndarray
    block = State.block
    seen_in = State.seen_in
    may_not_list = State.may_not_list
    eligible = None


def a_state(dtype: str, n_users: int = 300, n_items: int = 150) -> Scored:
    """Return scores with many ties; user 3 has seen everything but two items."""
    rng = np.random.default_rng(0)
    left = rng.integers(-3, 4, size=(n_users, 3)).astype(dtype)
    right = rng.integers(-3, 4, size=(n_items, 3)).astype(dtype)
    seen = rng.random((n_users, n_items)) < 0.2
    seen[3] = True
    seen[3, [5, 90]] = False
    pointer = np.concatenate([[0], np.cumsum(seen.sum(1))])
    return Scored((left, right), pointer, np.nonzero(seen)[1].astype(np.int32))


def lists(state: Scored, users: np.ndarray, k: int, exclude_seen: bool, kernel: str):
    """Return the blocks' columns joined."""
    found = ranked_blocks(state, users, k, exclude_seen=exclude_seen, kernel=kernel)
    return [np.concatenate(column) for column in zip(*found, strict=True)]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("exclude_seen", [True, False])
@pytest.mark.parametrize("k", [1, 10, 60, 400])
def test_both_kernels_list_what_a_full_sort_lists(k: int, exclude_seen: bool, dtype: str) -> None:
    state = a_state(dtype)
    users = np.random.default_rng(1).permutation(300)
    scores = np.asarray(state.low_rank[0] @ state.low_rank[1].T, dtype=float)
    if exclude_seen:
        scores[state.seen_in(np.arange(300))] = -np.inf
    for kernel in ("scipy", "numba"):
        listed, ranks, items, values = lists(state, users, k, exclude_seen, kernel)
        for user in users:
            expected = np.argsort(-scores[user], kind="stable")[:k]  # ties: the lower item first
            expected = expected[np.isfinite(scores[user, expected])]
            mine = listed == user
            np.testing.assert_array_equal(items[mine], expected)
            np.testing.assert_array_equal(ranks[mine], np.arange(len(expected)) + 1)
            np.testing.assert_array_equal(values[mine], scores[user, expected])


def test_a_user_with_two_items_left_gets_two() -> None:
    state = a_state("float64")
    for kernel in ("scipy", "numba"):
        listed, _, items, _ = lists(state, np.array([3]), 10, True, kernel)
        assert sorted(items) == [5, 90]
        assert (listed == 3).all()


def test_many_scores_are_worth_a_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    monkeypatch.setattr(_ranking, "_by_numba", lambda *given: iter([called.append(given)]))
    state = a_state("float32")
    list(ranked_blocks(state, np.arange(300), 5, exclude_seen=True))
    assert not called
    monkeypatch.setattr(_ranking, "SCORES_WORTH_COMPILING", 300 * 150)
    list(ranked_blocks(state, np.arange(300), 5, exclude_seen=True))
    assert called
