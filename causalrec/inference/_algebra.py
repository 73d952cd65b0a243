"""Operations on estimates: each is a linear map of the influence (the delta method for ratios)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from causalrec.errors import DataError, ResultError
from causalrec.inference._influence import join_influences
from causalrec.inference._sums import FloatArray

if TYPE_CHECKING:
    from causalrec.inference._estimate import Estimate


def smallest(per_atom: ArrayLike, matrix: FloatArray) -> FloatArray:
    """Smallest entry among the atoms that each column of `matrix` (K, q) involves, (q,).

    Examples
    --------
    >>> smallest([40, 8], np.array([[1.0, 1.0], [0.0, -1.0]]))
    array([40.,  8.])
    """
    column = np.asarray(per_atom, dtype=np.float64)[:, None]
    found: FloatArray = np.where(matrix != 0.0, column, np.inf).min(axis=0, initial=np.inf)
    found[np.isinf(found)] = column.min()
    return found


def stack(estimates: Sequence[Estimate], labels: Sequence[str] | None) -> Estimate:
    """Put estimates side by side: see `Estimate.stack`."""
    if not estimates:
        raise ResultError("Nothing to stack: pass at least one estimate.")
    first = estimates[0]
    names = [name for e in estimates for name in e.labels] if labels is None else list(labels)
    if len(set(names)) < len(names):
        raise ResultError(
            f"The stacked labels are not distinct: {names}. Pass labels=[...], one for each."
        )
    if any(e.scale != first.scale for e in estimates):
        raise ResultError("A ratio and a difference cannot be stacked: their scales differ.")
    matrix, influence = _joint(estimates)
    marks = {
        name: mark
        for old, name in zip([(e, o) for e in estimates for o in e.labels], names, strict=True)
        if (mark := old[0].marks.get(old[1])) is not None
    }
    return replace(
        first,
        labels=tuple(names),
        value=np.concatenate([e.value for e in estimates]),
        influence=influence,
        matrix=matrix,
        population=_common([e.population for e in estimates]),
        estimator=_common([e.estimator for e in estimates]),
        marks=marks,
    )


def _joint(estimates: Sequence[Estimate]) -> tuple[FloatArray, Any]:
    influence, where = join_influences([e.influence for e in estimates])
    matrix = np.zeros((influence.n_atoms, sum(len(e) for e in estimates)))
    column = 0
    for estimate, places in zip(estimates, where, strict=True):
        matrix[places, column : column + len(estimate)] = estimate.matrix
        column += len(estimate)
    return matrix, influence


def _common(texts: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(text for text in texts if text))
    return ", ".join(distinct)


def contrast(
    estimate: Estimate,
    coefficients: Mapping[str, float] | Mapping[str, Mapping[str, float]] | ArrayLike,
    labels: Sequence[str] | str | None,
) -> Estimate:
    """Linear combinations of the labels: see `Estimate.contrast`."""
    rows, names = _coefficient_rows(estimate, coefficients)
    if labels is not None:
        names = [labels] if isinstance(labels, str) else [str(label) for label in labels]
    # A label with coefficient zero must not turn a combination into NaN.
    products = np.where(rows != 0.0, rows * estimate.value, 0.0)
    return replace(
        estimate,
        labels=tuple(names),
        value=products.sum(axis=1),
        matrix=estimate.matrix @ rows.T,
        scale="identity",
        marks={},
    )


def _coefficient_rows(estimate: Estimate, coefficients: Any) -> tuple[FloatArray, list[str]]:
    if not isinstance(coefficients, Mapping):
        rows = np.atleast_2d(np.asarray(coefficients, dtype=np.float64))
        if rows.shape[1] != len(estimate):
            raise DataError(
                f"The contrast has {rows.shape[1]} columns; the estimate has {len(estimate)}"
                f" labels ({', '.join(estimate.labels)}). Pass an array (contrasts, labels)."
            )
        return rows, [f"contrast {k}" for k in range(len(rows))]
    nested = {
        name: value if isinstance(value, Mapping) else None for name, value in coefficients.items()
    }
    if all(value is None for value in nested.values()):
        nested = {"contrast": coefficients}
    rows = np.zeros((len(nested), len(estimate)))
    for line, (name, inner) in enumerate(nested.items()):
        if inner is None:
            raise DataError(f"Contrast {name!r} is a number beside mappings; pass one kind.")
        for label, coefficient in inner.items():
            rows[line, estimate.position(label)] = float(coefficient)
    return rows, list(nested)


def ratio(estimate: Estimate, first: str, second: str, label: str | None) -> Estimate:
    """Divide one label by another, on the log scale: see `Estimate.ratio`."""
    top, bottom = estimate[first], estimate[second]
    a, b = float(top.value[0]), float(bottom.value[0])
    value = a / b if b != 0.0 else float("nan")
    # d(a / b) = da / b - a db / b^2
    gradient = (top.matrix - value * bottom.matrix) / b if b != 0.0 else 0.0 * top.matrix
    if label is None:
        label = f"{first} / {second}"
    return replace(
        top, labels=(label,), value=np.array([value]), matrix=gradient, scale="log", marks={}
    )


def add(left: Estimate, right: Estimate | float, sign: float) -> Estimate:
    """Elementwise `left + sign * right`; one label is added to each of several."""
    if isinstance(right, int | float | np.number):
        return left.shift(sign * float(right))
    influence, where = join_influences([left.influence, right.influence])
    q = max(len(left), len(right))
    if {len(left), len(right)} - {1, q}:
        raise ResultError(
            f"Estimates of {len(left)} and {len(right)} labels cannot be added; they need equally"
            " many, or one of them a single label."
        )
    matrix = np.zeros((influence.n_atoms, q))
    np.add.at(matrix, where[0], np.broadcast_to(left.matrix, (left.matrix.shape[0], q)))
    np.add.at(matrix, where[1], sign * np.broadcast_to(right.matrix, (right.matrix.shape[0], q)))
    return replace(
        left,
        labels=_sum_labels(left, right, "+" if sign > 0 else "-"),
        value=left.value + sign * right.value,
        influence=influence,
        matrix=matrix,
        scale="identity",
        population=_common([left.population, right.population]),
        estimator=_common([left.estimator, right.estimator]),
        marks={},
    )


def _sum_labels(left: Estimate, right: Estimate, symbol: str) -> tuple[str, ...]:
    if left.labels == right.labels:
        return left.labels
    q = max(len(left), len(right))
    ours = left.labels * (q if len(left) == 1 else 1)
    theirs = right.labels * (q if len(right) == 1 else 1)
    return tuple(f"{a} {symbol} {b}" for a, b in zip(ours, theirs, strict=True))


def scale(estimate: Estimate, factor: float) -> Estimate:
    """Multiply by a known number."""
    if not np.isscalar(factor):
        raise ResultError("An estimate is multiplied by one known number; use ratio for quotients.")
    known = float(factor)  # type: ignore[arg-type]
    kept = estimate.scale if known > 0.0 else "identity"
    return replace(
        estimate, value=estimate.value * known, matrix=estimate.matrix * known, scale=kept
    )


def divide(estimate: Estimate, divisor: float) -> Estimate:
    """Divide by a known number; division, so that (e + e) / 2 is e to the last bit."""
    if not np.isscalar(divisor) or float(divisor) == 0.0:  # type: ignore[arg-type]
        raise ResultError("An estimate is divided by one known number; use ratio for quotients.")
    known = float(divisor)  # type: ignore[arg-type]
    kept = estimate.scale if known > 0.0 else "identity"
    return replace(
        estimate, value=estimate.value / known, matrix=estimate.matrix / known, scale=kept
    )
