"""Critical values: t with effective clusters, and sup-t bands by simulation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from causalrec.errors import DataError
from causalrec.inference._sums import FloatArray

SUP_T_DRAWS = 20_000
SUP_T_SEED = 20_260_101


def check_level(level: float) -> float:
    """Return a confidence level in (0, 1), or say that it is not one."""
    if not 0.0 < level < 1.0:
        way_out = f" Did you mean {level / 100:g}?" if 1.0 < level < 100.0 else ""
        raise DataError(f"level={level} is not a confidence level between 0 and 1.{way_out}")
    return float(level)


def small_sample(
    effective: Mapping[str, FloatArray], n_labels: int
) -> tuple[FloatArray, FloatArray]:
    """Return the degrees of freedom and the inflation of the standard error, each (q,).

    The dimension with the fewest effective clusters decides, G of them: G - 1 degrees of freedom,
    and a standard error sqrt(G / (G - 1)) larger, because residuals about an estimated mean are
    too small. With one dimension of equal clusters this is Student's interval exactly. In the
    studies of tests/inference the minimum covers 93-97 %; averaging over dimensions, 90-95 %.

    Parameters
    ----------
    effective : mapping from dimension to effective clusters (q,)
    n_labels : int
    """
    if not effective:
        return np.full(n_labels, np.inf), np.ones(n_labels)
    fewest = np.maximum(np.min(list(effective.values()), axis=0), 2.0)
    return fewest - 1.0, np.sqrt(fewest / (fewest - 1.0))


def t_critical(level: float, freedom: FloatArray) -> FloatArray:
    """Two-sided critical value of Student's t (the normal's where the freedom is infinite)."""
    from scipy import special

    quantile = (1.0 + check_level(level)) / 2.0
    critical: FloatArray = np.where(
        np.isfinite(freedom),
        special.stdtrit(np.where(np.isfinite(freedom), freedom, 1.0), quantile),
        special.ndtri(quantile),
    )
    return critical


def two_sided_p(statistic: FloatArray, freedom: FloatArray) -> FloatArray:
    """Two-sided p-value of a t statistic."""
    from scipy import special

    size = np.abs(statistic)
    p: FloatArray = np.where(
        np.isfinite(freedom),
        2.0 * special.stdtr(np.where(np.isfinite(freedom), freedom, 1.0), -size),
        2.0 * special.ndtr(-size),
    )
    return p


def sup_t_critical(level: float, covariance: FloatArray, freedom: float) -> float:
    """Critical value of the largest |t| of several labels (Montiel Olea & Plagborg-Moller 2019).

    Draws from the multivariate t with the correlation of `covariance`, with a fixed seed: the
    same covariance gives the same band. The result lies between the pointwise critical value
    and Bonferroni's.
    """
    spread = np.sqrt(np.diag(covariance))
    used = np.isfinite(spread) & (spread > 0.0)
    if not used.any():
        return float(t_critical(level, np.array([freedom]))[0])
    correlation = covariance[np.ix_(used, used)] / np.outer(spread[used], spread[used])
    eigenvalues, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.maximum(eigenvalues, 0.0))
    rng = np.random.default_rng(SUP_T_SEED)
    draws = np.abs(rng.standard_normal((SUP_T_DRAWS, len(root))) @ root.T).max(axis=1)
    if np.isfinite(freedom):
        draws /= np.sqrt(rng.chisquare(freedom, SUP_T_DRAWS) / freedom)
    simulated = float(np.quantile(draws, check_level(level)))
    single, family = t_critical(level, np.array([freedom])), 1.0 - (1.0 - level) / used.sum()
    return float(np.clip(simulated, single[0], t_critical(family, np.array([freedom]))[0]))
