"""Rows from an estimate: the bridge between the floor's inference and its result model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from causalrec.results._model import Row, RowStatus

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class EstimateLike(Protocol):
    """What `rows_from_estimate` reads of an estimate: `causalrec.Estimate` has it all.

    `n`, `effective_sample_size` and the counts of `clusters` are one number for all labels or
    one a label.
    """

    @property
    def labels(self) -> Sequence[str]: ...
    @property
    def value(self) -> NDArray[np.float64]: ...
    @property
    def standard_error(self) -> NDArray[np.float64]: ...
    @property
    def n(self) -> Any: ...
    @property
    def clusters(self) -> Mapping[str, Any]: ...
    @property
    def effective_sample_size(self) -> Any: ...
    @property
    def status(self) -> Sequence[str]: ...
    def interval(self, level: float = ...) -> NDArray[np.float64]: ...
    def p_value(self, null: float = ...) -> NDArray[np.float64]: ...


def rows_from_estimate(
    estimate: EstimateLike,
    *,
    metric: str,
    population: str,
    estimator: str,
    unit: str = "cells",
    groups: Mapping[str, Mapping[str, str]] | None = None,
    level: float = 0.95,
    null: float | None = 0.0,
    n: Mapping[str, int] | None = None,
    p_adjusted: Mapping[str, float] | None = None,
    derived_from: Mapping[str, Sequence[str]] | None = None,
    interval_method: str = "",
    note: str = "",
) -> tuple[Row, ...]:
    """Return one row a label of an estimate.

    Parameters
    ----------
    estimate : EstimateLike
        A labelled vector with its inference (`causalrec.Estimate`).
    metric, population, estimator : str
        What is measured, whom it speaks of, by which recipe.
    unit : str
        Unit of `n`: "cells", "users", "items", "rows", "slates".
    groups : mapping, optional
        Label -> {attribute: level}, for the labels that speak of a group.
    level : float
        Level of the intervals, in (0, 1).
    null : float, optional
        Null hypothesis of the p-values; None where a p-value means nothing (a mean loss).
    n : mapping, optional
        Label -> subjects behind it, where disclosure control must count others than the
        estimate does (users of a group rather than cells).
    p_adjusted : mapping, optional
        Label -> p-value corrected within the declared family.
    derived_from : mapping, optional
        Label -> labels that it is computed from (a gap between two groups), so that it is hidden
        when one of them is.
    interval_method, note : str
        Written into every row.

    Returns
    -------
    tuple of Row
        In the order of the labels. What is not finite becomes None; a suppressed label keeps
        nothing but its name.

    Examples
    --------
    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> estimate = SimpleNamespace(
    ...     labels=("all",), value=np.array([0.25]), standard_error=np.array([0.05]), n=400,
    ...     clusters={"user": 40}, effective_sample_size=310.0, status=("ok",),
    ...     interval=lambda level: np.array([[0.15, 0.35]]), p_value=lambda null: np.array([1e-6]))
    >>> row, = rows_from_estimate(
    ...     estimate, metric="effect", population="supported cells", estimator="dr")
    >>> row.value, row.lower, row.upper, row.n, row.clusters
    (0.25, 0.15, 0.35, 400, {'user': 40})
    """
    bounds = estimate.interval(level)
    p_values = None if null is None else estimate.p_value(null)
    # Where it is known, a row shows the clusters behind itself, not those behind all labels.
    by_label = getattr(estimate, "clusters_by_label", None)
    clusters = estimate.clusters if by_label is None else by_label
    rows = []
    for i, label in enumerate(estimate.labels):
        status = cast("RowStatus", estimate.status[i])
        common = {
            "label": label,
            "metric": metric,
            "population": population,
            "estimator": estimator,
            "unit": unit,
            "level": level,
            "status": status,
            "group": dict((groups or {}).get(label, {})),
            "derived_from": tuple((derived_from or {}).get(label, ())),
        }
        if status == "suppressed":
            rows.append(Row(**common))
            continue
        lower, upper = _finite(bounds[i][0]), _finite(bounds[i][1])
        rows.append(
            Row(
                **common,
                value=_finite(estimate.value[i]),
                standard_error=_finite(estimate.standard_error[i]),
                lower=lower,
                upper=upper,
                p_value=None if p_values is None else _finite(p_values[i]),
                p_adjusted=_finite((p_adjusted or {}).get(label)),
                n=_count((n or {}).get(label, _at(estimate.n, i))),
                effective_sample_size=_finite(_at(estimate.effective_sample_size, i)),
                clusters={name: int(_at(count, i)) for name, count in sorted(clusters.items())},
                interval_method=interval_method if lower is not None else "",
                note=note,
            )
        )
    return tuple(rows)


def _at(quantity: Any, position: int) -> Any:
    """Return the entry of a quantity that is given once, or once a label."""
    if quantity is None or isinstance(quantity, int | float) or getattr(quantity, "ndim", 1) == 0:
        return quantity
    return quantity[position]


def _finite(number: Any) -> float | None:
    if number is None or not math.isfinite(number):
        return None
    return float(number)


def _count(number: Any) -> int | None:
    return None if number is None else int(number)
