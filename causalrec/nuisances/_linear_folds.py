"""Linear fits of many folds at once: every row is read once for all of them.

A fold's training rows are the parts that are not held out, so its Gram matrix is a sum over parts.
A logistic fit of four fifths of the rows lies within its sampling error of the fit of all: Newton's
step from there takes the Hessians of the parts, and what is left takes gradients alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from causalrec.nuisances._linear import LinearFit, fit_linear, rows_at_a_time
from causalrec.threads import one_thread

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Codes = NDArray[np.int16]

FEW_STEPS = 12
NEAR = 0.02
"""A first step longer than this, on the logit, asks for Newton's own steps in each fold."""
EXACT = 1e-9


@one_thread
def fit_linear_folds(
    matrix: Floats,
    outcome: Floats,
    parts: Codes,
    members: Bools,
    *,
    penalty: Floats,
    binary: bool,
    weights: Floats | None = None,
    start: Floats | None = None,
) -> list[LinearFit]:
    """Fit `fit_linear` on several unions of parts of the rows.

    Parameters
    ----------
    matrix : float64 (n, k)
        The first column is 1.
    outcome : float64 (n,)
    parts : int16 (n,)
        The part that each row is of; -1 is of none.
    members : bool (n_fits, n_parts)
        Which parts each fit is fitted on.
    penalty, binary, weights
        As in `fit_linear`.
    start : float64 (k,), optional
        Coefficients near those of all rows.

    Returns
    -------
    list of LinearFit
        The same as of `fit_linear` on the rows of each union, to the last few digits.

    Examples
    --------
    >>> x = np.column_stack([np.ones(6), np.arange(6.0)])
    >>> parts = np.array([0, 1, 2, 0, 1, 2], dtype=np.int16)
    >>> fits = fit_linear_folds(x, 3 * x[:, 1], parts, ~np.eye(3, dtype=bool),
    ...                         penalty=np.array([0, 1e-9]), binary=False)
    >>> [round(float(fit.coefficients[1]), 6) for fit in fits]
    [3.0, 3.0, 3.0]
    """
    family = _Family(matrix, outcome, parts, members, weights)
    ridge = np.concatenate([[0.0], np.asarray(penalty, dtype=np.float64)[1:]])
    if not binary:
        grams, crossed = family.moments(None)
        return [
            LinearFit("identity", np.linalg.solve(gram + np.diag(ridge), both), ridge, gram)
            for gram, both in zip(family.summed(grams), family.summed(crossed), strict=True)
        ]
    found = None if matrix.shape[1] == 1 else _logistic(family, ridge, start)
    if found is not None:
        return [LinearFit("logit", np.ascontiguousarray(b), ridge) for b in found.T]
    return [
        fit_linear(
            matrix[rows],
            outcome[rows],
            penalty=penalty,
            binary=True,
            weights=None if weights is None else weights[rows],
        )
        for rows in (family.rows(fit) for fit in range(len(members)))
    ]


def _logistic(family: _Family, ridge: Floats, start: Floats | None) -> Floats | None:
    """Return the coefficients of all fits, (k, n_fits), or None where they are far apart."""
    near = family.start(ridge) if start is None else start
    if near is None:
        return None
    hessians, gradients = (family.summed(both) for both in family.moments(near))
    hessians = hessians + np.diag(ridge)
    try:
        inverses = np.linalg.inv(hessians)
    except np.linalg.LinAlgError:
        return None
    gradients = gradients - ridge * near
    spread = np.sqrt(np.diagonal(hessians, axis1=1, axis2=2) / family.totals[:, None])
    found = np.repeat(near[:, None], len(hessians), axis=1)
    for _ in range(FEW_STEPS):
        steps = np.einsum("fjk,fk->fj", inverses, gradients)
        longest = float(np.abs(steps * spread).max(initial=0.0))
        if not longest <= NEAR:
            return None
        found += steps.T
        if longest <= EXACT:
            return found
        gradients = family.gradients(found) - ridge * found.T
    return None


class _Family:
    """The rows, read in pieces that stay in the cache."""

    def __init__(
        self,
        matrix: Floats,
        outcome: Floats,
        parts: Codes,
        members: Bools,
        weights: Floats | None,
    ) -> None:
        self.matrix, self.outcome, self.parts = matrix, outcome, parts
        self.members, self.weights = members, weights
        counted = parts >= 0
        of_part = np.bincount(
            parts[counted],
            weights=None if weights is None else weights[counted],
            minlength=members.shape[1],
        )
        self.totals = np.maximum(members @ of_part.astype(np.float64), 1e-300)

    def rows(self, fit: int) -> Bools:
        """Return the rows of one fit."""
        return np.asarray((self.parts >= 0) & self.members[fit][self.parts])

    def start(self, ridge: Floats) -> Floats | None:
        """Return the coefficients of all rows, or None where one fit has one class only."""
        counted = self.parts >= 0
        ones = np.bincount(self.parts[counted], self.outcome[counted], self.members.shape[1])
        sizes = np.bincount(self.parts[counted], minlength=self.members.shape[1])
        share = (self.members @ ones) / np.maximum(self.members @ sizes, 1)
        if not ((share > 0.0) & (share < 1.0)).all():
            return None
        every = bool(counted.all())
        weights = self.weights
        fit = fit_linear(
            self.matrix if every else self.matrix[counted],
            self.outcome if every else self.outcome[counted],
            penalty=ridge,
            binary=True,
            weights=weights if weights is None or every else weights[counted],
        )
        return fit.coefficients

    def summed(self, of_parts: Floats) -> Floats:
        """Return the sums over the parts of each fit."""
        return np.asarray(np.tensordot(self.members.astype(np.float64), of_parts, axes=1))

    def _pieces(self) -> Iterator[slice]:
        step = rows_at_a_time(self.matrix.shape[1])
        for at in range(0, len(self.matrix), step):
            yield slice(at, min(at + step, len(self.matrix)))

    def moments(self, coefficients: Floats | None) -> tuple[Floats, Floats]:
        """Return X'WX and X'W(y - mean) of each part; without coefficients, X'X and X'y."""
        k, n_parts = self.matrix.shape[1], self.members.shape[1]
        grams, crossed = np.zeros((n_parts, k, k)), np.zeros((n_parts, k))
        for piece in self._pieces():
            order = np.argsort(self.parts[piece], kind="stable")
            codes = self.parts[piece][order]
            x, y = self.matrix[piece][order], self.outcome[piece][order]
            w = None if self.weights is None else self.weights[piece][order]
            ends = np.searchsorted(codes, np.arange(n_parts + 1))
            curvature = w
            if coefficients is not None:
                mean = _expit(x @ coefficients)
                y = y - mean
                curvature = mean * (1.0 - mean)
                curvature = curvature if w is None else curvature * w
            residual = y if w is None else w * y
            heavy = x if curvature is None else x * np.sqrt(curvature)[:, None]
            for part in range(n_parts):
                inside = slice(ends[part], ends[part + 1])
                grams[part] += heavy[inside].T @ heavy[inside]
                crossed[part] += x[inside].T @ residual[inside]
        return grams, crossed

    def gradients(self, coefficients: Floats) -> Floats:
        """Return X'W(y - mean) of each fit at its own coefficients, (n_fits, k)."""
        total = np.zeros((self.matrix.shape[1], len(self.members)))
        inside = np.vstack([self.members.T.astype(np.float64), np.zeros(len(self.members))])
        for piece in self._pieces():
            residual = self.outcome[piece][:, None] - _expit(self.matrix[piece] @ coefficients)
            residual *= inside[self.parts[piece]]  # -1 takes the last line: in no fit
            if self.weights is not None:
                residual *= self.weights[piece][:, None]
            total += self.matrix[piece].T @ residual
        return total.T


def _expit(eta: Floats) -> Floats:
    from scipy.special import expit

    return np.asarray(expit(eta, out=eta), dtype=np.float64)
