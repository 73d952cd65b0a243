"""Intervals and p-values of an estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causalrec.inference._influence import FEWEST_CLUSTERS
from causalrec.inference._intervals import (
    check_level,
    sup_t_critical,
    t_critical,
    two_sided_p,
)
from causalrec.inference._permutation import permutation_p
from causalrec.inference._sums import FloatArray

if TYPE_CHECKING:
    from causalrec.inference._estimate import Estimate


def interval(estimate: Estimate, level: float, kind: str) -> FloatArray:
    """Confidence intervals (q, 2): see `Estimate.interval`."""
    check_level(level)
    freedom, inflation = estimate.small_sample
    usable = np.array([s not in ("not_estimable", "suppressed") for s in estimate.status])
    critical = np.full(len(estimate), np.nan)
    if kind == "pointwise":
        critical = t_critical(level, freedom)
    elif usable.any():
        joint = estimate.covariance[np.ix_(usable, usable)]
        critical[:] = sup_t_critical(level, joint, float(freedom[usable].min()))
    half = critical * inflation * estimate.standard_error
    if estimate.scale == "log":
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            factor = np.exp(half / estimate.value)
            bounds = np.stack([estimate.value / factor, estimate.value * factor], axis=1)
    else:
        bounds = np.stack([estimate.value - half, estimate.value + half], axis=1)
    bounds[~usable] = np.nan
    return bounds


def p_value(estimate: Estimate, null: float | None) -> FloatArray:
    """Two-sided p-values (q,): see `Estimate.p_value`."""
    at = (1.0 if estimate.scale == "log" else 0.0) if null is None else float(null)
    freedom, inflation = estimate.small_sample
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = estimate.value - at
        if estimate.scale == "log":
            distance = estimate.value * np.log(estimate.value / at)
        p = two_sided_p(distance / (estimate.standard_error * inflation), freedom)
    p[(estimate.standard_error == 0.0) & (distance == 0.0)] = 1.0
    for j, status in enumerate(estimate.status):
        if status == "suppressed":
            p[j] = np.nan
        elif status == "not_estimable":
            p[j] = _by_permutation(estimate, j, float(estimate.value[j]) - at)
    return p


def _by_permutation(estimate: Estimate, j: int, distance: float) -> float:
    counts = {name: int(found[j]) for name, found in estimate.clusters_by_label.items()}
    few = {name: count for name, count in counts.items() if count < FEWEST_CLUSTERS}
    if not np.isfinite(estimate.value[j]) or not few:
        return float("nan")
    fewest = min(few, key=lambda name: (few[name], name))
    influence = estimate.influence
    return permutation_p(
        influence.cluster_sums(fewest),
        influence.full_share(fewest),
        influence.values,
        estimate.matrix[:, j],
        distance,
    )
