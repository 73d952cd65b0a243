"""Diagnostics of propensities, each a plain table."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from causalrec.nuisances._base import Propensity
from causalrec.nuisances._profile import PropensityProfile, profile_propensity
from causalrec.results import Table

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog
    from causalrec.nuisances._support import Support

Floats = NDArray[np.float64]


def effective_sample_size(weights: ArrayLike) -> float:
    """Return (sum w)^2 / sum w^2: how many equal weights would estimate a mean as well (Kish 1965).

    Examples
    --------
    >>> effective_sample_size([1.0, 1.0, 1.0, 1.0]), effective_sample_size([1.0, 0.0])
    (4.0, 1.0)
    """
    w = np.asarray(weights, dtype=np.float64)
    squares = float((w**2).sum())
    return float(w.sum()) ** 2 / squares if squares > 0 else 0.0


def inverse_propensity_sum(
    propensity: Propensity, log: InteractionLog, support: Support | None = None
) -> float:
    """Return sum(1/p) over what happened, as a share of the cells (rows): 1 in expectation.

    Far below 1 the model has seen what it is to predict; far above, weights explode.

    Parameters
    ----------
    propensity : Propensity
    log : InteractionLog
    support : Support, optional
        Count supported cells (rows) only.
    """
    return inverse_sum_and_error(propensity, log, support)[0]


def inverse_sum_and_error(
    propensity: Propensity, log: InteractionLog, support: Support | None = None
) -> tuple[float, float]:
    """Return sum(1/p)/cells and its Monte Carlo error, were each cell drawn by its propensity.

    Parameters
    ----------
    propensity : Propensity
    log : InteractionLog
    support : Support, optional
        Count supported cells (rows) only.
    """
    if support is None:
        found = profile_propensity(propensity, log)
        total, squares = float(found.weight.sum()), float(found.squared_weight.sum())
        cells = max(float(found.population.sum()), 1.0)
        return total / cells, max(squares - total, 0.0) ** 0.5 / cells
    from causalrec.nuisances._resolve import cell_propensity, row_propensity

    if support.unit == "rows":
        inside, p = support.rows(), row_propensity(propensity, log)
        p = p[inside if log.exposure is None else inside & (log.exposure == 1)]
    else:
        seen = log.observed_cells()
        inside = support.cells(seen.users, seen.items)
        p = cell_propensity(propensity, log, seen.users[inside], seen.items[inside])
    n = max(support.n_supported, 1)
    # E[sum O (1 - p) / p^2] = sum (1 - p) / p, the variance of sum O / p
    return float((1.0 / p).sum() / n), float(((1.0 - p) / p**2).sum() ** 0.5 / n)


def words_for(propensity: Propensity, log: InteractionLog) -> tuple[str, str]:
    """Return what the population and what happened are called."""
    if log.kind in {"candidates", "impressions"}:
        return "rows", "exposed rows"
    return ("eligible cells", "observed cells") if propensity.of_ == "observed" else (
        "cells", "exposed cells"
    )  # fmt: skip


def overlap_table(
    propensity: Propensity,
    log: InteractionLog,
    *,
    n_bins: int = 12,
    profile: PropensityProfile | None = None,
) -> Table:
    """Return the histogram of the propensity: all eligible cells (rows), and those that happened.

    Parameters
    ----------
    propensity : Propensity
    log : InteractionLog
    n_bins : int
        Bins of equal width (on the log scale for observation).
    profile : PropensityProfile, optional
        Saves the pass over the cells.
    """
    found = profile or profile_propensity(propensity, log)
    inside = found.occupied()
    cuts = np.unique(np.linspace(inside.start, inside.stop, n_bins + 1).round().astype(int))
    total, happened = found.population.sum(axis=0), found.happened.sum(axis=0)
    all_of, some_of = total.sum(), max(happened.sum(), 1.0)
    rows = []
    for low, high in pairwise(cuts):
        n, k = float(total[low:high].sum()), float(happened[low:high].sum())
        ends = (float(found.edges[low]), float(found.edges[high]))
        rows.append(
            (f"{ends[0]:.3g} to {ends[1]:.3g}", *ends, int(n), int(k), n / all_of, k / some_of)
        )
    population, event = words_for(propensity, log)
    return Table(
        name="overlap",
        title=f"Overlap: the propensity of all {population} and of the {event}",
        columns=(
            "propensity", "from", "to", "n_eligible", "n_happened",
            f"share of {population}", f"share of {event}",
        ),
        rows=tuple(rows),
        caption="Where a bar of all cells has no bar of those that happened, nothing is known.",
        figure="histogram",
        x="propensity",
        y=(f"share of {population}", f"share of {event}"),
    )  # fmt: skip


def calibration_table(
    propensity: Propensity,
    log: InteractionLog,
    by: str | None = None,
    *,
    n_bins: int = 10,
    profile: PropensityProfile | None = None,
) -> Table:
    """Return predicted and observed shares in bins of equal size, by group.

    Parameters
    ----------
    propensity : Propensity
    log : InteractionLog
    by : str, optional
    n_bins : int
    profile : PropensityProfile, optional
        Of the same `by`.
    """
    found = profile or profile_propensity(propensity, log, by)
    cuts = found.coarse_edges(n_bins)
    rows: list[tuple[str | float | int, ...]] = []
    for g, group in enumerate(found.groups):
        for low, high in pairwise(cuts):
            n = float(found.population[g, low:high].sum())
            if n == 0:
                continue
            mean = float(found.expected[g, low:high].sum()) / n
            share = float(found.happened[g, low:high].sum()) / n
            z = (share - mean) / max(np.sqrt(max(mean * (1.0 - mean), 1e-300) / n), 1e-300)
            named = f"{mean:.3g}" if by is None else f"{group}: {mean:.3g}"
            rows.append((group, named, mean, share, int(n), float(z)))
    return Table(
        name="calibration",
        title="Calibration: predicted against observed shares"
        + (f", by {by}" if by is not None else ""),
        columns=("group", "bin", "predicted", "observed", "n", "z"),
        rows=tuple(rows),
        caption="Bins hold equal numbers of cells. z counts binomial standard errors; cells of one"
        " user are not independent, so that |z| somewhat above 2 is common.",
        figure="dots",
        x="bin",
        y=("predicted", "observed"),
    )


def weight_table(
    propensity: Propensity,
    log: InteractionLog,
    by: str | None = None,
    *,
    profile: PropensityProfile | None = None,
) -> Table:
    """Return sum(1/p)/cells, the effective sample size and the largest weight, by group."""
    found = profile or profile_propensity(propensity, log, by)
    rows = []
    for g, group in enumerate(found.groups):
        n, k = float(found.population[g].sum()), float(found.happened[g].sum())
        weight, squares = float(found.weight[g]), float(found.squared_weight[g])
        ess = weight**2 / squares if squares > 0 else 0.0
        largest = float(found.largest_weight[g]) / weight if weight > 0 else 0.0
        rows.append((group, int(n), int(k), weight / max(n, 1.0), ess, ess / max(k, 1.0), largest))
    population, event = words_for(propensity, log)
    return Table(
        name="weights",
        title=f"Weights of the {event}" + (f", by {by}" if by is not None else ""),
        columns=(
            "group", population, event, "sum(1/p)/cells", "effective sample size",
            "effective share", "largest weight",
        ),
        rows=tuple(rows),
        caption="sum(1/p) over what happened estimates the number of cells: the ratio is to be 1.",
        figure="bars",
        x="group",
        y=("sum(1/p)/cells",),
    )  # fmt: skip


def support_table(support: Support, by: str | None = None) -> Table:
    """Return the share of unsupported cells (rows), by group."""
    rows: list[tuple[str | float, ...]] = [("all", support.share_unsupported)]
    if by is not None:
        rows += sorted(support.share_by(by).items())
    return Table(
        name="support",
        title=f"Share of eligible {support.unit} with a propensity under {support.floor:g}"
        + (f", by {by}" if by is not None else ""),
        columns=("group", "share unsupported"),
        rows=tuple(rows),
        caption="Cells that were never eligible are not counted: they are not missing.",
        figure="bars",
        x="group",
        y=("share unsupported",),
    )
