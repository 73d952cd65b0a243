"""Which users teach and which users judge, and the predictions that are judged."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from causalrec.errors import DataError, StudyError

if TYPE_CHECKING:
    from causalrec.effects._population import Population
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
FEWEST_USERS = 10


def deal_users(rows: InteractionLog, share: float, random_state: int | None) -> Bools:
    """Return which rows belong to the users that teach (n,); the others are held out.

    Raises
    ------
    StudyError
        If `share` leaves under `FEWEST_USERS` users on a side.
    """
    users = np.unique(rows.user_codes)
    taught = round(share * len(users)) if 0.0 < share < 1.0 else 0
    if min(taught, len(users) - taught) < FEWEST_USERS:
        raise StudyError(
            f"share={share!r} of {len(users):,} users to learn from: at least {FEWEST_USERS} users"
            " are needed to learn from, and as many to hold out."
        )
    chosen = np.random.default_rng(random_state).permutation(users)[:taught]
    inside = np.zeros(int(users.max()) + 1, dtype=bool)
    inside[chosen] = True
    return np.asarray(inside[rows.user_codes])


def predictions_of(
    cate: ArrayLike | Callable[[InteractionLog], ArrayLike], population: Population
) -> Floats:
    """Return the predicted effects of the supported rows (n,), NaN where none is to be judged.

    Raises
    ------
    DataError
        If they are not one number a row, infinite, all missing, or all the same.
    """
    log = population.log
    values = np.asarray(cate(log) if callable(cate) else cate, dtype=np.float64)
    if values.shape != (log.n_rows,):
        raise DataError(
            f"The predicted effects have shape {values.shape}; pass one number for each of the"
            f" {log.n_rows:,} rows of the log, NaN for rows of users the model learned from."
        )
    kept: Floats = values[population.supported]
    known = np.isfinite(kept)
    if np.isinf(kept).any() or not known.any():
        raise DataError(
            f"{int(np.isinf(kept).sum()):,} predicted effects are infinite and"
            f" {int(np.isnan(kept).sum()):,} of {len(kept):,} missing: there must be a finite one"
            " for every row to be judged."
        )
    if np.ptp(kept[known]) == 0.0:
        raise DataError(
            f"All {int(known.sum()):,} predicted effects are {kept[known][0]:.4g}: predictions"
            " that do not differ rank nobody, and there is nothing to validate."
        )
    users = np.unique(population.rows.user_codes[known]).size
    if users < FEWEST_USERS:
        raise DataError(
            f"The predictions are of {users:,} users; at least {FEWEST_USERS} held-out users are"
            " needed to judge them."
        )
    return kept
