"""What every question over cells settles first: the estimators, the slice, weights, support."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from causalrec.errors import DataError, IdentificationError, StudyError, near_miss
from causalrec.graph import checked_graph

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph, Estimand
    from causalrec.interactions import InteractionLog
    from causalrec.nuisances import Propensity, Support


@dataclass(frozen=True, eq=False)
class Parts:
    """A log, parted into what selection made and what a randomised slice holds.

    Attributes
    ----------
    whole : InteractionLog
    selected : InteractionLog or None
        None where every row is randomised.
    randomized : InteractionLog or None
        None where no row is.
    """

    whole: InteractionLog
    selected: InteractionLog | None
    randomized: InteractionLog | None


def parts_of(log: InteractionLog) -> Parts:
    """Part a log by its `randomized` rows."""
    if log.randomized is None or not log.randomized.any():
        return Parts(log, log, None)
    if log.randomized.all():
        return Parts(log, None, log)
    return Parts(log, log.selected_part(), log.randomized_part())


def propensity_of_selected(propensity: Any, parts: Parts) -> Any:
    """Return what was given as propensity, for the selected rows where it was one value a row."""
    from causalrec.nuisances import KnownPropensity

    whole, log = parts.whole, parts.selected
    if propensity is None or isinstance(propensity, str) or log is None or log is whole:
        return propensity
    assert whole.randomized is not None  # else the selected part is the whole
    kept = ~whole.randomized
    if isinstance(propensity, KnownPropensity):
        return propensity.of_rows(kept, whole)
    if hasattr(propensity, "for_rows") or np.shape(propensity) != (whole.n_rows,):
        return propensity
    return np.asarray(propensity, dtype=np.float64)[kept]


def set_aside(parts: Parts) -> str:
    """Return what is said of randomised rows that an answer does not use."""
    assert parts.randomized is not None
    assert parts.selected is not None
    return (
        f"{parts.randomized.n_rows:,} randomised rows are set aside: this speaks of the"
        f" {parts.selected.n_rows:,} rows that selection decided."
    )


def check_estimators(asked: str | Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return the estimators asked for, in order, without repeats."""
    names = (asked,) if isinstance(asked, str) else tuple(dict.fromkeys(asked))
    for name in names:
        if name not in known:
            raise StudyError(
                f"There is no estimator {name!r} here.{near_miss(name, known)}"
                f" The estimators are: {', '.join(known)}."
            )
    if not names:
        raise StudyError(f"No estimator was asked for; they are: {', '.join(known)}.")
    return names


def check_sampled(sampled: Sequence[str]) -> tuple[str, ...]:
    """Return what is sampled, refusing what a mean over cells does not have."""
    chosen = (sampled,) if isinstance(sampled, str) else tuple(sampled)
    if chosen not in {("user", "item"), ("user",), ("item",), ()}:
        raise StudyError(
            f"sampled={chosen!r} means nothing here: ('user', 'item') for new users and items,"
            " ('user',) for new users of this catalogue, () for these very cells."
        )
    return chosen


def check_population(population: str) -> str:
    """Return "supported" or "all"."""
    if population not in {"supported", "all"}:
        raise StudyError(
            f"population={population!r} is not known: 'supported' (eligible cells with a"
            " propensity above the floor) or 'all' (bounds where support fails)."
        )
    return population


def identify_mean(
    graph: CausalGraph | None, force: bool, propensity: Any = None
) -> tuple[Estimand | None, str]:
    """Ask the graph; return its answer, and its refusal where it was overridden.

    A propensity that depends on the outcome may identify by a shadow variable.
    """
    from causalrec.nuisances import ShadowPropensity

    if graph is None:
        return None, ""
    ways = ("shadow",) if isinstance(propensity, ShadowPropensity) else ()
    try:
        return checked_graph(graph).identify("mean", strategies=ways), ""
    except IdentificationError as refusal:
        if not force:
            raise
        return None, str(refusal)


@dataclass(frozen=True, eq=False)
class Weighting:
    """The propensity of the recorded cells, and the cells that it supports.

    Attributes
    ----------
    propensity : Propensity
    support : Support or None
        None where the population is every eligible cell.
    missing : tuple of str
        Columns that the graph asks for and a fitted propensity does not use.
    """

    propensity: Propensity
    support: Support
    missing: tuple[str, ...] = ()


def weighting(
    propensity: Any,
    log: InteractionLog,
    graph: CausalGraph | None,
    estimand: Estimand | None,
    floor: float,
) -> Weighting:
    """Resolve the propensity of a log, and decide its support."""
    from causalrec.nuisances import resolve_propensity, support, warn_of_inverse_sum

    found = resolve_propensity(propensity, log, graph if estimand is not None else None)
    supported = support(found, log, floor, both_arms=False)
    if supported.n_supported == 0:
        raise DataError(
            f"No eligible cell has a propensity of at least {floor:g}: nothing can be estimated."
            " Check the propensities, or lower the floor."
        )
    warn_of_inverse_sum(found, log, supported)
    missing: tuple[str, ...] = ()
    if estimand is not None and found.covariates_:
        known = {c.node: c.column for c in estimand.covariates}
        asked = {known[node] for node in (estimand.minimal or estimand.adjustment) if node in known}
        missing = tuple(sorted(asked - set(found.covariates_)))
    return Weighting(found, supported, missing)


def slice_rate(slice_log: InteractionLog, declared: float | None) -> tuple[float, float]:
    """Return the rate with which the cells of a slice were drawn, and its part's rate.

    A declared rate speaks of the whole slice; without one, the share of eligible cells that this
    slice holds is its rate, whatever part of a split it is.
    """
    if declared is None:
        rate = len(slice_log.observed_cells()) / max(slice_log.n_eligible, 1)
        own = 1.0 if slice_log.part is None else slice_log.part.rate
        return rate, own
    if not (np.isfinite(declared) and 0.0 < declared <= 1.0):
        raise DataError(f"randomized_rate={declared!r} must lie in (0, 1].")
    return float(declared), 1.0
