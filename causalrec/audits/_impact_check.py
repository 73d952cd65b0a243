"""The arithmetic of a table of impact ratios, ours or one read from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from causalrec.errors import DataError
from causalrec.results import Table

EXACT = 1e-9
MOST_DECIMALS = 8


@dataclass(frozen=True)
class Printed:
    """A number as it was printed: with how much its last decimal may be off."""

    value: float
    half: float


@dataclass(frozen=True)
class Rate:
    """A rate as the counts give it and as it is printed, whichever are there."""

    exact: float | None
    printed: Printed | None

    @classmethod
    def of(
        cls, size: Printed | None, chosen: Printed | None, printed: Printed | None
    ) -> Rate | None:
        """Return the rate of a row; None where the row has none."""
        known = size is not None and chosen is not None and size.value > 0
        exact = chosen.value / size.value if known and chosen and size else None
        return None if exact is None and printed is None else cls(exact, printed)

    @property
    def value(self) -> float:
        """The exact rate, else the printed one."""
        if self.exact is not None:
            return self.exact
        assert self.printed is not None
        return self.printed.value

    def over(self, highest: Rate) -> list[tuple[float, float]]:
        """Return the ranges in which the ratio may lie: of exact rates, of printed ones."""
        if self is highest:
            return [(1.0, 1.0)]
        found = []
        if self.exact is not None and highest.exact is not None:
            exact = self.exact / highest.exact if highest.exact else math.nan
            found.append((exact, exact))
        if self.printed is not None and highest.printed is not None:
            own, top = self.printed, highest.printed
            # Rates that were rounded first; without counts, whatever rounds to them.
            slack = (0.0, 0.0) if found else (own.half, top.half)
            low = max(own.value - slack[0], 0.0) / (top.value + slack[1])
            below = top.value - slack[1]
            found.append((low, (own.value + slack[0]) / below if below > 0 else math.inf))
        return found or [(0.0, 1.0)]


def check_impact_ratios(
    table: Table | pd.DataFrame | Iterable[Mapping[str, Any]],
    *,
    n: str = "n",
    selected: str = "n selected",
    rate: str = "selection rate",
    ratio: str = "impact ratio",
    by: str | None = None,
) -> int:
    """Refuse a table of impact ratios whose rows contradict themselves.

    In each row the rate must be selected / n, and the ratio the rate over the highest rate among
    the rows that have a ratio, to the decimals that are printed. A ratio of rates that were
    rounded first is accepted too: published tables have such.

    Parameters
    ----------
    table : Table, DataFrame, or rows as mappings
        Numbers, or texts such as "48%", ".979" and "1,390"; what is no number ("suppressed",
        "N/A") is not checked.
    n, selected, rate, ratio : str
        Names of the columns.
    by : str, optional
        A column that parts the table into tables of their own (sex, race, their intersection):
        each has its own highest rate.

    Returns
    -------
    int
        Rows that were checked.

    Raises
    ------
    DataError
        If a column is missing, more were selected than there are, or a row contradicts itself;
        the rows and what they should say are shown.

    Notes
    -----
    Of the audits published under New York's Local Law 144, some print rates that are not selected
    over n, or ratios to another rate than the highest (Gerchick et al. 2025): hence this.

    Examples
    --------
    >>> check_impact_ratios([
    ...     {"n": 1390, "n selected": 667, "selection rate": "48%", "impact ratio": "1.00"},
    ...     {"n": 1181, "n selected": 555, "selection rate": "47%", "impact ratio": ".979"}])
    2
    """
    frame = _frame(table)
    for name in (n, selected, rate, ratio, *([] if by is None else [by])):
        if name not in frame.columns:
            raise DataError.missing_column(name, list(frame.columns), role=name, table="impact")
    parts = [frame] if by is None else [part for _, part in frame.groupby(by, sort=False)]
    return sum(_check_part(part, n, selected, rate, ratio) for part in parts)


def _frame(table: Any) -> pd.DataFrame:
    if isinstance(table, Table):
        return table.to_frame()
    return table if isinstance(table, pd.DataFrame) else pd.DataFrame(list(table))


def _check_part(frame: pd.DataFrame, n: str, selected: str, rate: str, ratio: str) -> int:
    lines = [
        tuple(_printed(value) for value in row)
        for row in frame[[n, selected, rate, ratio]].itertuples(index=False, name=None)
    ]
    rates = [Rate.of(*line[:3]) for line in lines]
    compared = [found for found, line in zip(rates, lines, strict=True) if found and line[3]]
    highest = max(compared, key=lambda one: one.value, default=None)
    wrong: dict[str, list[tuple[int, str]]] = {}
    for at, ((size, chosen, printed, quotient), own) in enumerate(zip(lines, rates, strict=True)):
        if size and chosen and chosen.value > size.value:
            wrong.setdefault(selected, []).append((at, f"at most {size.value:g}"))
        elif size and chosen and printed and size.value > 0:
            exact = chosen.value / size.value
            if abs(printed.value - exact) > printed.half + EXACT:
                wrong.setdefault(rate, []).append((at, f"{exact:.6g}"))
        if quotient and own and highest:
            ranges = own.over(highest)
            off = min(max(low - quotient.value, quotient.value - high) for low, high in ranges)
            if off > quotient.half + EXACT:
                low, high = ranges[0]
                text = f"{low:.6g}" if high - low < EXACT else f"{low:.6g} to {high:.6g}"
                wrong.setdefault(ratio, []).append((at, text))
    for column, found in wrong.items():
        raise _contradiction(frame, column, found)
    return sum(any(cell is not None for cell in line) for line in lines)


def _printed(value: Any) -> Printed | None:
    """Read a number and its last decimal; None for what is no number."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int | np.integer):
        return Printed(float(value), 0.0)
    text = repr(float(value)) if isinstance(value, float | np.floating) else str(value)
    bare = text.strip().replace(",", "")
    percent = bare.endswith("%")
    bare = bare.removesuffix("%").strip()
    try:
        number = float(bare)
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    decimals = len(bare.partition(".")[2]) if "e" not in bare.lower() else MOST_DECIMALS + 1
    half = 0.5 * 10.0**-decimals if decimals <= MOST_DECIMALS else EXACT
    return Printed(number / 100.0, half / 100.0) if percent else Printed(number, half)


def _contradiction(frame: pd.DataFrame, column: str, found: list[tuple[int, str]]) -> DataError:
    rows = frame.iloc[[at for at, _ in found]].assign(expected=[text for _, text in found])
    return DataError.bad_rows(
        column,
        "contradicts the other numbers of its row (or the highest rate)",
        count=len(found),
        total=len(frame),
        rows=rows,
        way_out="`expected` is what the counts give: correct the table, or ask who made it.",
    )
