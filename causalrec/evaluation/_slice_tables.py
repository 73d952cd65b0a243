"""Rows and tables of a planned slice."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causalrec.evaluation._slice_design import ITEMS_A_USER, Design, SliceQuestion
from causalrec.results import Row, Table

if TYPE_CHECKING:
    from causalrec.evaluation._slice_questions import RowsAsked
    from causalrec.inference import Estimate

WIDTHS = (3.0, 2.0, 1.5, 1.0, 0.75, 0.5)
"""Half widths that are tabulated, over the one that was asked for."""


@dataclass(frozen=True, eq=False)
class SlicePlan:
    """Everything that was computed.

    Attributes
    ----------
    rows : RowsAsked
    ready : SliceQuestion
    best : Design
    precision : float
    error : float
        Standard error of the logarithm of the size; NaN where it cannot be had.
    cost : Estimate or None
        Of one cell.
    users : int
        Of the log.
    """

    rows: RowsAsked
    ready: SliceQuestion
    best: Design
    precision: float
    error: float
    cost: Estimate | None
    users: int

    @property
    def cost_of_one(self) -> float | None:
        """What one cell costs."""
        return None if self.cost is None else float(self.cost)


def plan_rows(plan: SlicePlan) -> tuple[Row, ...]:
    """Return the size and the cost, each with what is known of its error."""
    best, unit, level = plan.best, plan.rows.unit, plan.ready.level
    factor = math.exp(1.96 * plan.error) if math.isfinite(plan.error) else None

    def size(label: str, value: float, metric: str, *, varies: bool = False) -> Row:
        wide = factor if varies else None
        return Row(
            label=label,
            value=value,
            lower=None if wide is None else value / wide,
            upper=None if wide is None else value * wide,
            level=0.95 if varies else level,
            metric=metric,
            unit="",
            estimator="variance components",
            interval_method="jackknife over users and items, of the logarithm" if wide else "",
        )

    found = [
        size(f"{unit} of the slice", best.cells, "size of the slice", varies=True),
        size("users of the slice", best.users, "size of the slice", varies=True),
        size("items a user", best.items_per_user, "shape of the slice"),
        size("design effect", best.effect, "shape of the slice"),
        size("half width promised", best.half_width, "precision"),
        size("detectable difference", best.detectable, "precision"),
    ]
    if plan.cost is not None:
        lower, upper = plan.cost.interval()[0].tolist()
        one = unit.removesuffix("s")
        for label, of, times in (
            (f"cost of a {one}", f"outcome lost a {one}", 1),
            ("cost of the slice", "outcome lost in all", best.cells),
        ):
            found.append(Row(
                label=label, value=times * float(plan.cost),
                standard_error=times * float(plan.cost.standard_error[0]),
                lower=_finite(times * lower), upper=_finite(times * upper), level=level,
                metric=of, unit=unit, n=len(plan.rows.outcome),
                estimator="naive - snips",
                status=plan.cost.status[0],
            ))  # fmt: skip
    return tuple(found)


def _finite(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None


def _line(plan: SlicePlan, design: Design) -> tuple[float | int | bool | None, ...]:
    one = plan.cost_of_one
    return (
        design.cells, design.users, design.items_per_user, design.standard_error,
        design.half_width, design.detectable, None if one is None else one * design.cells,
        design.users <= plan.users,
    )  # fmt: skip


def _columns(plan: SlicePlan) -> tuple[str, ...]:
    return (
        plan.rows.unit, "users", "items a user", "standard error", "half width",
        "detectable difference", "cost", "users enough",
    )  # fmt: skip


def precision_table(plan: SlicePlan) -> Table:
    """Return sizes against half widths, with as many items a user as the plan has or more."""
    lines = []
    for factor in WIDTHS:
        design = plan.ready.needed(factor * plan.precision, plan.best.items_per_user)
        if design is not None:
            lines.append(_line(plan, design))
    return Table(
        name="precision",
        title="Size against precision",
        columns=_columns(plan),
        rows=tuple(lines),
        caption=f"Half of a {plan.ready.level:.0%} interval, and the true difference that is found"
        f" with probability {plan.ready.power:g}. Cost: outcome lost in all.",
        figure="lines",
        x=plan.rows.unit,
        y=("half width", "detectable difference"),
    )


def designs_table(plan: SlicePlan, most: int) -> Table:
    """Return, for several numbers of items a user, the users it then takes."""
    sizes = sorted({*(each for each in ITEMS_A_USER if each <= most), plan.best.items_per_user})
    lines = []
    for each in sizes:
        design = plan.ready.needed(plan.precision, each)
        if design is not None:
            lines.append((*_line(plan, design), design.independent, design.effect))
    return Table(
        name="designs",
        title=f"Ways to a half width of {plan.precision:g}",
        columns=(*_columns(plan), "if rows were independent", "design effect"),
        rows=tuple(lines),
        caption="More items a user take fewer users and more cells: the cells of one user, and"
        " those of one item, say the same in part.",
    )


def components_table(plan: SlicePlan) -> Table:
    """Return the variances of users, items and cells, and their shares."""
    found = plan.ready.components
    parts = (("users", found.user), ("items", found.item), ("cells", found.cell))
    return Table(
        name="components",
        title="Where the variance of one cell lies",
        columns=("between", "variance", "standard deviation", "share"),
        rows=tuple(
            (name, value, float(np.sqrt(value)), value / max(found.total, 1e-300))
            for name, value in parts
        ),
        caption="From pairs of rows of one user, of one item and of neither, weighted to a random"
        " design.",
    )
