"""Items that the same users like, by what the model predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causalrec.errors import StudyError
from causalrec.factorization._ranking import top_k
from causalrec.factorization._state import State
from causalrec.threads import one_blas_thread

if TYPE_CHECKING:
    import pandas as pd


def similar_items(state: State, item: int, k: int) -> pd.DataFrame:
    """Return the k items that correlate most with one; see `DebiasedMF.similar_items`."""
    import pandas as pd

    if k < 1:
        raise StudyError(f"k={k!r} of similar_items must be at least 1.")
    left, right = state.factors.user_factors, state.factors.item_factors
    if state.features is not None:
        # Without the two last columns: what a user rates, and how an item is rated, on average.
        left = np.hstack([left, state.features.left[:, :-2]])
        right = np.hstack([right, state.features.right[:, :-2]])
    with one_blas_thread():
        left = (left - left.mean(0)).astype(np.float64)
        right = right.astype(np.float64)
        covariance = left.T @ left / len(left)
        spread = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", right, covariance, right), 0.0))
        varies = spread > 1e-9 * max(float(spread.max(initial=0.0)), 1e-12)
        if not varies[item]:
            raise StudyError(
                f"The model predicts the same taste for {state.item_ids[item]!r} to every user, so"
                " no item is more similar to it than another: n_factors of 0, or no events of it."
            )
        together = right @ (covariance @ right[item])
    scores = np.full(len(right), -np.inf)
    scores[varies] = together[varies] / (spread[varies] * spread[item])
    scores[item] = -np.inf
    _, ranks, columns = top_k(scores[None, :], k)
    return pd.DataFrame(
        {
            "rank": ranks,
            "item_id": state.item_ids[columns],
            "similarity": scores[columns].clip(-1.0, 1.0),
        }
    )
