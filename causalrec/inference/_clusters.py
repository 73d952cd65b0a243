"""Cluster codes: sums by cluster, intersections, and the multiway combination of variances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from causalrec.errors import DataError, near_miss
from causalrec.inference._sums import FloatArray, IntArray


def check_clusters(
    clusters: Mapping[str, IntArray], sampled: Sequence[str] | None, n_rows: int
) -> tuple[dict[str, IntArray], tuple[str, ...]]:
    """Return the codes of each dimension as integer arrays, and the dimensions sampled."""
    codes = {name: _check_codes(name, np.asarray(c), n_rows) for name, c in clusters.items()}
    chosen = tuple(codes) if sampled is None else tuple(sampled)
    if len(set(chosen)) < len(chosen):
        raise DataError(f"sampled={chosen} names a dimension twice; name each once.")
    for name in chosen:
        if name not in codes:
            raise DataError(
                f"sampled={chosen} names {name!r}, but clusters were given for"
                f" {', '.join(map(repr, codes)) or 'nothing'}.{near_miss(name, codes)}"
                f" Pass clusters={{{name!r}: codes}}, one integer a row."
            )
    return codes, chosen


def _check_codes(name: str, codes: IntArray, n_rows: int) -> IntArray:
    if codes.shape != (n_rows,):
        raise DataError(
            f"The {name!r} clusters have shape {codes.shape}; the score has {n_rows:,} rows."
            " Pass one integer code a row."
        )
    if not np.issubdtype(codes.dtype, np.integer):
        raise DataError(
            f"The {name!r} clusters are {codes.dtype}, not integer codes."
            " Number them first, e.g. with pandas.factorize."
        )
    bad = np.flatnonzero(codes < 0)
    if bad.size:
        raise DataError.bad_rows(
            name,
            "has a negative cluster code",
            count=bad.size,
            total=n_rows,
            rows=bad.tolist(),
            way_out="Leave out rows that belong to no cluster, or give them clusters of their own.",
        )
    return codes


def sum_by(codes: IntArray, values: FloatArray, n_groups: int | None = None) -> FloatArray:
    """Sum the rows of `values` (n, K) by cluster, as (groups, K).

    Examples
    --------
    >>> sum_by(np.array([0, 2, 0]), np.array([[1.0], [2.0], [3.0]])).ravel()
    array([4., 0., 2.])
    """
    groups = int(codes.max(initial=-1)) + 1 if n_groups is None else n_groups
    if values.shape[1] == 1:
        one = np.bincount(codes, weights=values[:, 0], minlength=groups)
        return np.asarray(one, dtype=np.float64)[:, None]
    from scipy import sparse

    # The transposed indicator times the values reads the rows once, in order, whatever the codes.
    places = np.arange(len(codes) + 1)
    indicator = sparse.csc_matrix((np.ones(len(codes)), codes, places), (groups, len(codes)))
    return np.asarray(indicator @ values, dtype=np.float64)


def intersect(codes: Sequence[IntArray]) -> tuple[IntArray, int]:
    """Return one code for each distinct combination of several dimensions, and their number.

    Examples
    --------
    >>> intersect([np.array([0, 0, 1, 0]), np.array([1, 0, 1, 1])])
    (array([1, 0, 2, 1]), 3)
    """
    joint = codes[0].astype(np.int64)
    width = int(joint.max(initial=-1)) + 1
    for other in codes[1:]:
        n_other = int(other.max(initial=-1)) + 1
        joint = joint * n_other + other
        width *= n_other
        if width > 4 * len(joint):
            distinct, joint = np.unique(joint, return_inverse=True)
            width = len(distinct)
    used = np.zeros(width, dtype=bool)
    used[joint] = True
    renumbered = np.cumsum(used) - 1
    return renumbered[joint], int(used.sum())


def subsets(dimensions: Sequence[str]) -> list[tuple[str, ...]]:
    """Return every non-empty subset of the dimensions, single ones first.

    Examples
    --------
    >>> subsets(["user", "item"])
    [('user',), ('item',), ('user', 'item')]
    """
    sizes = range(1, len(dimensions) + 1)
    return [subset for size in sizes for subset in combinations(dimensions, size)]


def combine_terms(terms: Mapping[tuple[str, ...], FloatArray]) -> FloatArray:
    """Combine the variance terms of every subset of dimensions by inclusion and exclusion.

    Cameron, Gelbach & Miller (2011), equation 2.11 for two dimensions: user + item - cell. The
    combination need not be positive. A label with a non-positive variance takes its larger
    one-way term; a matrix with a negative eigenvalue has its correlations taken from the same
    matrix with negative eigenvalues set to zero (as the authors advise), its variances kept.

    Parameters
    ----------
    terms : mapping from a subset of the dimensions to its Gram matrix (q, q)
    """
    total = sum((-1.0) ** (len(s) + 1) * term for s, term in terms.items())
    combined: FloatArray = np.asarray(total, dtype=np.float64)
    one_way = np.max([np.diag(t) for s, t in terms.items() if len(s) == 1], axis=0)
    variance = np.diag(combined).copy()
    failed = variance <= 1e-12 * one_way
    variance[failed] = one_way[failed]
    combined = (combined + combined.T) / 2.0
    eigenvalues, vectors = np.linalg.eigh(np.nan_to_num(combined))
    if not failed.any() and eigenvalues[0] >= -1e-12 * max(eigenvalues[-1], 0.0):
        return combined
    nearest = (vectors * np.maximum(eigenvalues, 0.0)) @ vectors.T
    scale = np.sqrt(np.maximum(np.diag(nearest), 0.0))
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0.0)
    correlation = np.clip(nearest * np.outer(inverse, inverse), -1.0, 1.0)
    np.fill_diagonal(correlation, 1.0)
    spread = np.sqrt(variance)
    rebuilt: FloatArray = correlation * np.outer(spread, spread)
    return rebuilt
