"""How much each row counts in the population that an effect speaks of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from causalrec.errors import DataError

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]


def read_weights(given: Any, log: InteractionLog) -> tuple[Floats | None, str]:
    """Return the weights of the rows of a log, and what they are called.

    Parameters
    ----------
    given : None, str or array-like (n_rows,)
        Nothing, a column's name, or a value a row.
    log : InteractionLog

    Returns
    -------
    (float64 (n_rows,) or None, str)

    Raises
    ------
    DataError
        If they are of another length, negative, missing or infinite, or all zero; or if they are
        a pandas Series whose index is not that of the rows.
    """
    if given is None:
        return None, ""
    name = given if isinstance(given, str) else "weights"
    words = repr(given) if isinstance(given, str) else "an array of weights"
    values = _numbers(given, log, name)
    if values.shape != (log.n_rows,):
        raise DataError(
            f"weights has shape {values.shape}, but the log has {log.n_rows:,} rows. Give one"
            " weight a row, or the name of a column: it follows the rows through selections."
        )
    wrong = ~(np.isfinite(values) & (values >= 0.0))
    if wrong.any():
        where = np.flatnonzero(wrong)
        raise DataError.bad_rows(
            name,
            "is not a finite number of at least 0, as a weight must be,",
            count=len(where),
            total=len(values),
            rows=[f"row {at}: {float(values[at])!r}" for at in where[:5].tolist()],
            way_out="A row that is not to count has weight 0.",
        )
    if not values.any():
        raise DataError(f"All {len(values):,} weights ({name}) are 0: nobody is left to speak of.")
    return values, words


def rows_that_count(
    log: InteractionLog, weights: Floats | None, propensity: Any
) -> tuple[InteractionLog, Floats | None, Any]:
    """Return the three without the rows of weight 0, which are as if they were not there.

    Left in, they would take part in the folds and in the support. A fitted propensity may know
    the rows by their place: then nothing is left out, and they count for nothing all the same.
    """
    known_by_place = propensity is not None and not isinstance(propensity, np.ndarray | list | str)
    if weights is None or weights.all() or known_by_place:
        return log, weights, propensity
    counts = weights > 0.0
    if isinstance(propensity, np.ndarray | list) and np.shape(propensity) == counts.shape:
        propensity = np.asarray(propensity)[counts]
    return log.select(counts), weights[counts], propensity


def _numbers(given: Any, log: InteractionLog, name: str) -> Floats:
    values = log.column(given) if isinstance(given, str) else given
    if isinstance(given, pd.Series) and not given.index.equals(pd.RangeIndex(len(given))):
        raise DataError(
            f"The weights ({name}) are a Series whose index is not 0 to {len(given) - 1:,}: it is"
            " not known which row each belongs to. Make them a column of the events, or pass"
            " .to_numpy() if they are in the order of the log's rows."
        )
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(
            f"The weights ({name}) are not numbers. Give one number of at least 0 a row."
        ) from None
