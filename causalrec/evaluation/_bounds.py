"""Bounds of a mean that the log does not pin down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from causalrec.errors import StudyError, check_log, check_number
from causalrec.evaluation import _assumptions
from causalrec.evaluation._cells import CellSource
from causalrec.evaluation._disclosure import hide_small_groups
from causalrec.evaluation._engine import Sums, key
from causalrec.evaluation._groups import Group, groups_by
from causalrec.evaluation._plan import Plan
from causalrec.evaluation._sensitivity import Recorded, recorded
from causalrec.evaluation._setup import (
    check_sampled,
    parts_of,
    propensity_of_selected,
    weighting,
)
from causalrec.evaluation._terms import OutcomeTerm
from causalrec.inference import Bounds, Estimate, marginal_sensitivity_bounds, range_bounds
from causalrec.results import (
    DEFAULT_MIN_CELL,
    Assumption,
    Result,
    Row,
    Table,
    format_cell,
    provenance,
)

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

BoundsKind = Literal["range", "msm"]
METHOD = "Imbens-Manski, around both bounds"


def bounds(
    log: InteractionLog,
    kind: BoundsKind = "range",
    *,
    lam: float = 1.5,
    propensity: Any = None,
    by: str | Sequence[str] | None = None,
    sampled: Sequence[str] = ("user", "item"),
    floor: float = 1e-3,
    min_cell: int = DEFAULT_MIN_CELL,
    level: float = 0.95,
) -> Result:
    """Bound the mean outcome over cells without assuming that selection is explained.

    Parameters
    ----------
    log : InteractionLog
        Ratings.
    kind : {"range", "msm"}
        "range": the missing outcomes could be anything in the outcome's range, over all eligible
        cells (Manski 1989). "msm": the odds of being recorded may differ from those of the
        propensity by a factor of at most `lam`, over supported cells (Tan 2006; Zhao, Small &
        Bhattacharya 2019).
    lam : float
        At least 1; 1 gives the SNIPS mean itself.
    propensity : Propensity, array, column name or float, optional
        For "msm"; default: a logistic model.
    by : str or sequence of str, optional
        Columns of users or items.
    sampled : tuple
        ("user", "item"), ("user",) or ("item",).
    floor : float
        Cells with a smaller propensity lack support ("msm").
    min_cell : int
        Groups of fewer users are suppressed, and with them what would give them away.
    level : float
        Level of the intervals, which cover the mean itself (Imbens & Manski 2004).

    Returns
    -------
    Result
        Of kind "bounds": a row has no value, its interval surrounds both bounds; the table has
        the bounds.

    Examples
    --------
    >>> import causalrec as cr
    >>> world = cr.simulate("music", n_users=200, n_items=50, density=0.2)
    >>> row = cr.bounds(world.log).rows[0]
    >>> row.value is None, row.lower < world.truth["mean"] < row.upper
    (True, True)
    """
    check_log(log)
    log.require("ratings", purpose="bounds of a mean over cells")
    chosen = check_sampled(sampled)
    if not chosen:
        raise StudyError("Bounds have no sampled=(): name what was drawn, ('user', 'item').")
    parts = parts_of(log)
    selected = parts.selected or log
    propensity = propensity_of_selected(propensity, parts)
    groups, notes = groups_by(selected, by)
    if kind == "range":
        found, counts, assumptions = _by_range(selected, groups, chosen, level)
    elif kind == "msm":
        found, counts, assumptions = _by_sensitivity(
            selected, groups, chosen, level, lam, propensity, floor
        )
    else:
        raise StudyError(f"kind={kind!r} is not known: 'range' or 'msm'.")
    population = "all eligible cells" if kind == "range" else "supported cells"
    rows, tables = hide_small_groups(
        rows_of_bounds(found, groups, population, kind, level, counts),
        (bounds_table(found, level),),
        groups,
        selected,
        min_cell,
    )
    config = {"kind": kind, "lam": lam if kind == "msm" else None, "floor": floor}
    return Result(
        kind="bounds",
        title="Bounds of the mean",
        question="Between which values does the mean lie, whatever selection did?",
        answer=_answer(found, rows, kind, lam),
        rows=rows,
        tables=tables,
        assumptions=(*assumptions, _assumptions.speaks_of(chosen)),
        notes=notes,
        provenance=provenance(selected, None, config),
    ).with_internals(bounds=found)


def _by_range(
    log: InteractionLog, groups: Sequence[Group], sampled: tuple[str, ...], level: float
) -> tuple[Bounds, list[int], tuple[Assumption, ...]]:
    """Bound by the outcome's range: each recorded share has its own influence."""
    low, high = log.outcome_range
    source = CellSource(log, every_cell=True)
    terms = (_Filled("lower", low), _Filled("upper", high))
    plan = Plan(source, terms, ("ips",), tuple(groups), None, sampled, level)
    sums = plan.run()
    ends = []
    for term in terms:
        labels = [group.label or "mean" for group in groups]
        picked = sums.estimate[[key(term, "ips", group) for group in groups]].relabel(labels)
        ends.append(picked.shift(term.fill))
    found = Bounds(ends[0].labels, ends[0], ends[1], f"outcome between {low:g} and {high:g}")
    how = "declared" if log.outcome_range_declared else "the recorded extremes, not declared"
    stated = Assumption(
        name="outcome range",
        statement=f"every outcome lies between {low:g} and {high:g} ({how})",
        status="by design" if log.outcome_range_declared else "untestable",
    )
    return found, [sums.weights["ips", group.label].n for group in groups], (stated,)


class _Filled(OutcomeTerm):
    """The outcome above the value that missing cells are filled with.

    The mean of O (Y - fill) over all cells, plus the fill, is the mean with the missing outcomes
    set to it.
    """

    def __init__(self, end: str, fill: float) -> None:
        super().__init__(metric=f"mean, {end} bound")
        object.__setattr__(self, "fill", fill)

    fill: float

    def value(self, block: Any, outcome: Any) -> Any:
        """Return the outcome minus the fill."""
        return outcome - self.fill


def _by_sensitivity(
    log: InteractionLog,
    groups: Sequence[Group],
    sampled: tuple[str, ...],
    level: float,
    lam: float,
    propensity: Any,
    floor: float,
) -> tuple[Bounds, list[int], tuple[Assumption, ...]]:
    """Bound by the marginal sensitivity model, group by group."""
    check_number("lam", lam, least=1.0, words=", where the propensity is right")
    weights = weighting(propensity, log, None, None, floor)
    source = CellSource(log, propensity=weights.propensity, support=weights.support)
    cells = recorded(source, OutcomeTerm())
    ends = [_of_group(cells, group, sampled, level, lam) for group in groups]
    found = Bounds(
        tuple(b.labels[0] for b in ends),
        Estimate.stack([b.lower_bound for b in ends]),
        Estimate.stack([b.upper_bound for b in ends]),
        ends[0].kind,
    )
    stated = Assumption(
        name="marginal sensitivity model",
        statement=f"the odds of being recorded, given covariates and outcome, are within a factor"
        f" of {lam:g} of the propensity's",
        status="untestable",
    )
    overlap = _assumptions.overlap(weights.support, cells.coverage)
    return found, found.n.tolist(), (stated, overlap)


def _of_group(
    cells: Recorded, group: Group, sampled: tuple[str, ...], level: float, lam: float
) -> Bounds:
    inside = np.ones(len(cells.values), dtype=bool)
    if group.users is not None:
        inside = group.users[cells.users]
    elif group.items is not None:
        inside = group.items[cells.items]
    return marginal_sensitivity_bounds(
        cells.values,
        cells.propensity,
        inside,
        lam,
        {"user": cells.users, "item": cells.items},
        [group.label or "mean"],
        sampled=sampled,
        level=level,
        one_row_per_cell=True,
    )


def bounds_where_support_fails(
    plan: Plan, sums: Sums, log: InteractionLog
) -> tuple[Bounds, tuple[Row, ...]]:
    """Bound the means over all eligible cells, from the supported ones and the outcome's range."""
    term, head = plan.terms[0], plan.estimators[0]
    labels = [group.label or term.metric for group in plan.groups]
    picked = sums.estimate[[key(term, head, group) for group in plan.groups]].relabel(labels)
    shares = [_unsupported(plan, sums, group) for group in plan.groups]
    found = range_bounds(picked, shares, log.outcome_range)
    counts = [sums.weights[head, group.label].n for group in plan.groups]
    rows = rows_of_bounds(found, plan.groups, "all eligible cells", head, plan.level, counts)
    return found, tuple(row.model_copy(update={"status": "not_estimable"}) for row in rows)


def _unsupported(plan: Plan, sums: Sums, group: Group) -> float:
    """Return the share of a group's eligible cells without support."""
    support = plan.source.support
    if group.label == "" or support is None:
        return sums.coverage.share_unsupported
    ((attribute, level),) = group.levels.items()
    return support.share_by(attribute)[level]


def rows_of_bounds(
    found: Bounds,
    groups: Sequence[Group],
    population: str,
    estimator: str,
    level: float,
    counts: Sequence[int],
) -> tuple[Row, ...]:
    """Return a row a label: no value, an interval around both bounds."""
    intervals = found.interval(level)
    rows = []
    for at, label in enumerate(found.labels):
        lower, upper = (float(end) for end in intervals[at])
        finite = math.isfinite(lower) and math.isfinite(upper)
        rows.append(
            Row(
                label=label,
                metric="mean",
                lower=lower if finite else None,
                upper=upper if finite else None,
                level=level,
                n=counts[at],
                population=population,
                estimator=f"bounds ({estimator})",
                group=dict(groups[at].levels),
                interval_method=METHOD if finite else "",
                note=f"bounds {format_cell(float(found.lower[at]))} to"
                f" {format_cell(float(found.upper[at]))}",
            )
        )
    return tuple(rows)


def bounds_table(found: Bounds, level: float) -> Table:
    """Return the bounds and the interval around them."""
    intervals = found.interval(level)
    lines = [
        (label, float(found.lower[at]), float(found.upper[at]), *map(_finite, intervals[at]))
        for at, label in enumerate(found.labels)
    ]
    return Table(
        name="bounds",
        title=f"Bounds: {found.kind}",
        columns=("label", "lower bound", "upper bound", "interval from", "interval to"),
        rows=tuple(lines),
        caption=f"The {level:.0%} interval covers the mean itself ({METHOD}).",
    )


def _finite(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None


def _answer(found: Bounds, rows: Sequence[Row], kind: str, lam: float) -> str:
    low, high = float(found.lower[0]), float(found.upper[0])
    if kind == "range":
        why = "if the missing outcomes could be anything in the outcome's range"
    else:
        why = f"if the odds of being recorded are wrong by a factor of at most {lam:g}"
    text = f"The mean over {rows[0].population} lies between {low:.4g} and {high:.4g} {why}"
    if rows[0].lower is None or rows[0].upper is None:
        return text + "; there are too few clusters for an interval."
    return text + f" ({rows[0].level:.0%} interval {rows[0].lower:.4g} to {rows[0].upper:.4g})."
