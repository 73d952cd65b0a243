"""Slates and users in place of rows: a log whose outcome is the total of a unit.

Two questions wear the same words. Where one decision exposes a whole unit (an arm, a page design),
its rows become one: the effect of that decision on the unit's total. Where items are exposed one
by one, rows stay, each with the total of its unit as outcome: the effect of one exposure on the
total, its neighbours' exposures as they were. The log says which of the two it can answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from causalrec.effects._unit_covariates import (
    as_numbers,
    constant_columns,
    mean_of_neighbours,
    mean_of_unit,
)
from causalrec.errors import DataError, OverlapError, StudyError
from causalrec.graph import CausalGraph, Covariate
from causalrec.interactions import InteractionLog
from causalrec.nuisances import PropensityModel, resolve_propensity, row_propensity

if TYPE_CHECKING:
    from causalrec.effects._question import Question
    from causalrec.graph import Estimand

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
WHOLE_ITEM = "(all rows)"
"""The item of a row that stands for a whole unit."""

MIXED = 0.1
"""Exposure that varies within units by less than this share of its variance is nearly whole."""


@dataclass(frozen=True, eq=False)
class Units:
    """What stands in for the log, the graph and the question of rows.

    Attributes
    ----------
    unit : "slate" or "user"
    whole : bool
        Whether one decision exposes a whole unit: then a row of `log` is a unit.
    log : InteractionLog
        Of candidates, with the unit's total as outcome.
    graph : CausalGraph
        The adjustment set, as the columns of `log`.
    identified : Estimand
        Of the graph that was declared, with those columns.
    propensity : object
        For the rows of `log`; unfitted models and None as they were.
    question : Question
    averaged : tuple of str
        Columns of `log` that average over a unit's rows, or over a row's neighbours.
    size : int64 (n_units,)
        Rows of each unit.
    exposed : float64 (n_units,)
        Exposed rows of each unit.
    again : callable
        From the log of rows, perhaps with more columns, to the log of units.
    """

    unit: str
    whole: bool
    log: InteractionLog
    graph: CausalGraph
    identified: Estimand
    propensity: Any
    question: Question
    averaged: tuple[str, ...]
    size: Codes
    exposed: Floats
    again: Callable[[InteractionLog], InteractionLog]


def as_units(
    log: InteractionLog,
    graph: CausalGraph,
    identified: Estimand,
    question: Question,
    propensity: Any,
    unit: str,
) -> Units:
    """Turn a question about rows into one about slates or users.

    Raises
    ------
    DataError
        If the log has no slates, or its exposure is neither of whole units nor of single rows.
    OverlapError
        If every unit exposes the same number of rows, so that no exposure changes alone.
    StudyError
        If something is asked that only rows have.
    """
    sampled = _sampled(question, unit)
    codes = unit_codes(log, unit)
    exposure = _exposure(log)
    whole = decided_as_a_whole(exposure, codes, unit)
    columns = tuple(sorted({one.column for one in identified.covariates}))
    made, averaged = _log_of_units(log, columns, unit, whole)
    known = {*made.users.columns, *made.items.columns, *made.events.columns}
    used = tuple(sorted({*averaged, *known.intersection(columns)}))
    return Units(
        unit=unit,
        whole=whole,
        log=made,
        graph=_graph_of(log, used),
        identified=replace(
            identified, covariates=tuple(Covariate(column, column, None) for column in used)
        ),
        propensity=_propensity(propensity, log, graph, codes if whole else None, unit),
        question=replace(question, sampled=sampled),
        averaged=averaged,
        size=np.bincount(codes),
        exposed=np.bincount(codes, exposure).astype(np.float64),
        again=lambda same: _log_of_units(same, columns, unit, whole)[0],
    )


def _exposure(log: InteractionLog) -> Floats:
    assert log.exposure is not None  # candidates have one
    return log.exposure.astype(np.float64)


def _log_of_units(
    log: InteractionLog, columns: Sequence[str], unit: str, whole: bool
) -> tuple[InteractionLog, tuple[str, ...]]:
    """Return the log whose outcome is a total, and the names of its averaged columns."""
    codes = unit_codes(log, unit)
    events, averaged = (_whole_rows if whole else _single_rows)(log, codes, columns, unit)
    names = {role: getattr(log.columns, role) for role in ("user_id", "item_id", "outcome")}
    made = InteractionLog(
        events,
        users=log.users.rename_axis(log.columns.user_id).reset_index(),
        items=None if whole else log.items.rename_axis(log.columns.item_id).reset_index(),
        kind="candidates",
        outcome_range=_range(log, codes),
        exposure=log.columns.exposure,
        slate=log.columns.slate if log.columns.slate in events else None,
        **names,
    )
    return made, averaged


def unit_codes(log: InteractionLog, unit: str) -> Codes:
    """Return the unit of each row: codes from 0 without gaps, int64 (n_rows,)."""
    if unit == "slate" and log.slate is None:
        raise DataError(
            "unit='slate' asks for the total of a slate, but the log does not say which rows stood"
            " together. Name the column with slate=... when the log is made, or ask for the total"
            " of a user: unit='user'."
        )
    of_rows = log.slate if unit == "slate" else log.user_codes
    return np.unique(np.asarray(of_rows), return_inverse=True)[1].astype(np.int64)


def decided_as_a_whole(exposure: Floats, codes: Codes, unit: str) -> bool:
    """Return whether exposure is the same in all rows of each unit.

    Raises
    ------
    DataError
        If it nearly is.
    OverlapError
        If units of one size all expose the same number of their rows.

    Examples
    --------
    >>> units = np.array([0, 0, 1, 1])
    >>> decided_as_a_whole(np.array([1.0, 1.0, 0.0, 0.0]), units, "slate")
    True
    """
    size, shown = np.bincount(codes), np.bincount(codes, exposure)
    varied = (shown > 0) & (shown < size)
    if not varied.any():
        return True
    within = exposure - (shown / size)[codes]
    if float(within @ within) < MIXED * len(exposure) * float(exposure.var()):
        raise DataError(
            f"Exposure is the same in all rows of most {unit}s, but differs within"
            f" {int(varied.sum()):,} of {len(size):,}: it was decided neither for whole {unit}s nor"
            f" item by item. Correct the exposure of those {unit}s (first rows:"
            f" {', '.join(map(str, np.flatnonzero(varied[codes])[:5].tolist()))}), or leave them"
            " out."
        )
    sizes = np.unique(size)
    pairs = np.unique(np.column_stack([size, shown]), axis=0)
    if len(pairs) == len(sizes) and len(size) >= 2 * len(sizes):
        raise OverlapError(
            f"Every {unit} exposes as many of its rows as any other of its size (e.g."
            f" {int(pairs[0, 1])} of {int(pairs[0, 0])}): exposing one item means leaving another"
            " out, so nothing tells what it would do with the others' exposures as they were. Ask"
            " for the item's own effect (unit='item'), for policies by policy_value on a log of"
            f" impressions, or decide the exposure of whole {unit}s at random."
        )
    return False


def _sampled(question: Question, unit: str) -> tuple[str, ...]:
    """Return what is drawn: users. The items of a total are too many to cluster by one."""
    unknown = [name for name in question.sampled if name not in {"user", "item"}]
    if unknown or question.sampled == ("item",):
        raise StudyError(
            f"sampled={question.sampled!r} does not go with unit={unit!r}: the total of a {unit}"
            " is of many items, so its interval can speak of new users of this catalogue,"
            " sampled=('user',), or of these very rows, sampled=()."
        )
    return tuple(name for name in question.sampled if name == "user")


def _whole_rows(
    log: InteractionLog, codes: Codes, columns: Sequence[str], unit: str
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return one event a unit: its total, its exposure, and its covariates averaged."""
    first = np.unique(codes, return_index=True)[1]
    assert log.outcome is not None and log.exposure is not None  # noqa: PT018 - candidates
    found: dict[str, Any] = {
        log.columns.user_id: log.user_ids[log.user_codes[first]],
        log.columns.item_id: np.full(len(first), WHOLE_ITEM, dtype=object),
        str(log.columns.outcome): np.bincount(codes, log.outcome),
        str(log.columns.exposure): log.exposure[first],
    }
    if log.slate is not None and unit == "slate":
        found[str(log.columns.slate)] = np.asarray(log.slate_ids)[log.slate[first]]
    kept = constant_columns(log.events, codes)
    found |= {name: log.events[name].to_numpy()[first] for name in kept}
    averaged: dict[str, Floats] = {}
    for column in columns:
        if column not in kept and log.entity_of(column) != "user":
            for name, values in as_numbers(log.column(column)).items():
                averaged[name] = mean_of_unit(values, codes)
    return pd.DataFrame(found | averaged), tuple(averaged)


def _single_rows(
    log: InteractionLog, codes: Codes, columns: Sequence[str], unit: str
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the rows, each with its unit's total as outcome and its neighbours as covariates."""
    assert log.outcome is not None and log.exposure is not None  # noqa: PT018 - candidates
    found: dict[str, Any] = {
        log.columns.user_id: log.user_ids[log.user_codes],
        log.columns.item_id: log.item_ids[log.item_codes],
        str(log.columns.outcome): np.bincount(codes, log.outcome)[codes],
        str(log.columns.exposure): log.exposure,
    }
    if log.slate is not None:
        found[str(log.columns.slate)] = np.asarray(log.slate_ids)[log.slate]
    found |= {str(name): log.events[name].to_numpy() for name in log.events.columns}
    around = {
        f"share of the {unit}'s other rows exposed": mean_of_neighbours(
            log.exposure.astype(np.float64), codes
        )
    }
    size = np.bincount(codes)
    if np.ptp(size) > 0:
        around[f"rows of the {unit}"] = size[codes].astype(np.float64)
    for column in columns:
        if log.entity_of(column) != "user":
            for name, values in as_numbers(log.column(column)).items():
                around[f"neighbours' {name}"] = mean_of_neighbours(values, codes)
    return pd.DataFrame(found | around), tuple(around)


def _range(log: InteractionLog, codes: Codes) -> tuple[float, float] | None:
    """Return the range of totals, where that of an outcome was declared."""
    if not log.outcome_range_declared:
        return None
    low, high = log.outcome_range
    size = np.bincount(codes)
    return (
        float(min(low * size.min(), low * size.max())),
        float(max(high * size.min(), high * size.max())),
    )


def _graph_of(log: InteractionLog, columns: Sequence[str]) -> CausalGraph:
    """Return the graph in which these columns are what is to be adjusted for."""
    nodes = [f'"c{place}" [column={_quoted(name)}];' for place, name in enumerate(columns)]
    arrows = [f'"c{place}" -> {{a y}};' for place in range(len(columns))]
    text = "\n".join(
        [
            "digraph {",
            f"a [role=exposure, column={_quoted(str(log.columns.exposure))}];",
            f"y [role=outcome, column={_quoted(str(log.columns.outcome))}];",
            "a -> y;",
            *nodes,
            *arrows,
            "}",
        ]
    )
    return CausalGraph.from_dot(text)


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _propensity(
    given: Any, log: InteractionLog, graph: CausalGraph, units: Codes | None, unit: str
) -> Any:
    """Return given propensities, one a row of the log of units; None and models as they are."""
    unfitted = isinstance(given, PropensityModel) and not hasattr(given, "of_")
    if unfitted or (given is None and log.logging_propensity is None):
        return given
    values = row_propensity(resolve_propensity(given, log, graph), log)
    if units is None:
        return values
    first = np.unique(units, return_index=True)[1]
    differ = ~np.isclose(values, values[first][units], rtol=1e-9, atol=1e-12)
    if differ.any():
        raise DataError(
            f"The propensities given differ within {len(np.unique(units[differ])):,} of"
            f" {len(first):,} {unit}s, though one decision exposed each as a whole: they are"
            f" probabilities of something else. Give the probability that the whole {unit} is"
            " exposed, or propensity=PropensityModel() to estimate it."
        )
    return values[first]
