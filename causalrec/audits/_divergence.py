"""Distances between shares."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def jensen_shannon(shares: npt.ArrayLike, others: npt.ArrayLike) -> FloatArray:
    """Return the Jensen-Shannon divergence of shares, in bits: 0 alike, 1 without overlap.

    Parameters
    ----------
    shares, others : float arrays (..., q)
        Not negative, each summing to one along the last axis.

    Returns
    -------
    float array (...)
        The divergence (Lin 1991), not its square root.

    Examples
    --------
    >>> jensen_shannon([0.5, 0.5], [0.5, 0.5]), jensen_shannon([1.0, 0.0], [0.0, 1.0])
    (array(0.), array(1.))
    """
    p, q = np.broadcast_arrays(
        np.asarray(shares, dtype=np.float64), np.asarray(others, dtype=np.float64)
    )
    middle = (p + q) / 2.0

    def relative(part: FloatArray) -> FloatArray:
        ratio = np.divide(part, middle, out=np.ones_like(middle), where=part > 0)
        return np.asarray((part * np.log2(ratio)).sum(axis=-1))

    return np.asarray(np.maximum((relative(p) + relative(q)) / 2.0, 0.0))
