"""How unlike several groups are, in one number: with an interval that does not start above zero.

A distance between groups (a divergence, a sum of absolute differences, a deviation over its mean)
is above zero whatever is measured, and has no slope at zero, so its delta-method interval is wrong
exactly where the groups are alike. It is a function of contrasts that do have a joint covariance:
the interval here is the range of the function over their confidence ellipsoid. It covers at least
as often as it says, exactly so for two groups, and reaches zero whenever the joint test of the
contrasts does not reject.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from causalrec.audits._gaps import any_difference, clustered
from causalrec.inference import Estimate
from causalrec.results import Row

FloatArray = npt.NDArray[np.float64]
Function = Callable[[FloatArray], FloatArray]
"""Takes contrasts (points, m), 0 where groups are alike; returns distances (points,)."""

N_DRAWS = 4000
N_STEPS = 25
SEED = 20_261_124
FEW = "fewer than five clusters in a group: a value, no interval"


@dataclass(frozen=True)
class Distance:
    """A distance between groups.

    Attributes
    ----------
    value : float
        Plugged in.
    lower, upper : float or None
    floor : float or None
        Its mean were the groups alike, given the clusters: what sampling alone gives.
    p_value : float or None
        Of the joint test that all contrasts are null.
    """

    value: float
    lower: float | None
    upper: float | None
    floor: float | None
    p_value: float | None


def distance_of(contrasts: Estimate, function: Function, level: float) -> Distance:
    """Return a distance between groups with the range over the contrasts' confidence ellipsoid.

    Parameters
    ----------
    contrasts : Estimate
        Null where groups are alike: 0, or 1 for ratios, whose logarithms the function gets.
    function : callable
        Smallest, 0, where all contrasts are null.
    level : float

    Examples
    --------
    >>> import numpy as np
    >>> from causalrec.scores import Score
    >>> rng = np.random.default_rng(0)
    >>> gap = Estimate.from_score(Score(rng.normal(size=400)), {"user": np.arange(400)}, ["gap"])
    >>> found = distance_of(gap, lambda x: np.abs(x[:, 0]), 0.95)
    >>> found.lower, bool(0 < found.value < found.upper), bool(0 < found.floor < 0.1)
    (0.0, True, True)
    """
    centre, covariance = contrasts.value, contrasts.covariance
    if contrasts.scale == "log":
        with np.errstate(divide="ignore", invalid="ignore"):
            covariance = covariance / np.outer(centre, centre)
            centre = np.log(centre)
    value = float(function(centre[None, :])[0]) if np.isfinite(centre).all() else float("nan")
    *_, p_value = any_difference(contrasts)
    if p_value is None:
        return Distance(value, None, None, None, None)
    freedom, inflation = contrasts.small_sample
    covariance = covariance * np.outer(inflation, inflation)
    eigenvalues, vectors = np.linalg.eigh(covariance)
    kept = eigenvalues > eigenvalues.max() * 1e-10
    root = vectors[:, kept] * np.sqrt(eigenvalues[kept])
    rank = int(kept.sum())
    radius = float(np.sqrt(rank * stats.f.ppf(level, rank, float(freedom.min()))))
    rng = np.random.default_rng(SEED)
    normal = rng.standard_normal((N_DRAWS, rank))
    floor = float(function(normal @ root.T).mean())
    sphere = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    upper = _extreme(function, centre, radius * root, sphere, rng, 1.0)
    lower = 0.0
    if p_value < 1.0 - level:
        lower = -_extreme(function, centre, radius * root, sphere, rng, -1.0)
    return Distance(value, min(lower, value), max(upper, value), floor, p_value)


def _extreme(
    function: Function,
    centre: FloatArray,
    axes: FloatArray,
    sphere: FloatArray,
    rng: np.random.Generator,
    sign: float,
) -> float:
    """Return the largest value of sign x function on the surface of an ellipsoid.

    Of a distance that grows away from zero both extremes lie on the surface, unless zero is inside.
    """
    values = sign * function(centre + sphere @ axes.T)
    best = int(np.argmax(values))
    point, largest = sphere[best], float(values[best])
    if sphere.shape[1] == 1:
        return largest
    for step in range(N_STEPS):
        near = point + 0.5 * 0.7**step * rng.standard_normal((100, len(point)))
        near /= np.linalg.norm(near, axis=1, keepdims=True)
        values = sign * function(centre + near @ axes.T)
        best = int(np.argmax(values))
        if values[best] > largest:
            point, largest = near[best], float(values[best])
    return largest


def distance_row(
    contrasts: Estimate,
    function: Function,
    *,
    label: str,
    metric: str,
    population: str,
    estimator: str,
    unit: str,
    n: int,
    level: float,
    derived_from: Sequence[str] = (),
    note: str = "",
) -> Row:
    """Return the row of a distance between groups; its note says what sampling alone would give."""
    found = distance_of(contrasts, function, level)
    known = np.isfinite(found.value)
    said = [note] if note else []
    if found.floor is not None:
        said.append(
            f"never negative: were the groups alike, sampling alone would give {found.floor:.3g} on"
            " average"
        )
    elif known:
        said.append(FEW)
    return Row(
        label=label,
        metric=metric,
        value=found.value if known else None,
        lower=found.lower,
        upper=found.upper,
        level=level,
        p_value=found.p_value,
        n=n,
        unit=unit,
        clusters={name: int(np.min(c)) for name, c in sorted(contrasts.clusters_by_label.items())},
        population=population,
        estimator=estimator,
        derived_from=tuple(derived_from),
        status="ok" if found.lower is not None else "not_estimable",
        interval_method=f"range over the joint confidence ellipsoid, {clustered(contrasts)}"
        if found.lower is not None
        else "",
        note="; ".join(said),
    )
