"""How numbers are written: as many decimals as the standard error supports, and no more."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from causalrec.results import Row, format_cell

MINUS = "\N{MINUS SIGN}"
MAX_DECIMALS = 6


def decimals_for(values: Iterable[float | None], errors: Iterable[float | None] = ()) -> int:
    """Return the decimals for a column: two digits of its smallest error, else four of its values.

    Examples
    --------
    >>> decimals_for([0.08312, 0.1], [0.012, 0.02]), decimals_for([123.4, 5.0]), decimals_for([])
    (3, 1, 0)
    """
    sizes = [abs(e) for e in errors if e is not None and math.isfinite(e) and e > 0]
    if sizes:
        wanted = 1 - math.floor(math.log10(min(sizes)))
    else:
        known = [abs(v) for v in values if v is not None and math.isfinite(v) and v != 0]
        wanted = 3 - math.floor(math.log10(max(known))) if known else 0
    return min(MAX_DECIMALS, max(0, wanted))


def row_decimals(rows: Sequence[Row]) -> int:
    """Return the decimals that the rows of one metric share.

    The typical error decides, so that one row of great precision does not lengthen all others.
    """
    errors = sorted(e for row in rows if (e := half_width(row)) is not None and e > 0)
    values = [row.value for row in rows if row.value is not None]
    if not errors:
        return _without_zeros(values, decimals_for(values))
    middle = errors[len(errors) // 2 : len(errors) // 2 + 1]
    return decimals_for(values, [e / 2 for e in middle])


def half_width(row: Row) -> float | None:
    """Return half the width of a row's interval, or its standard error times two."""
    if row.lower is not None and row.upper is not None:
        return (row.upper - row.lower) / 2
    return None if row.standard_error is None else 2 * row.standard_error


def number(value: float | None, decimals: int) -> str:
    """Return a number with a true minus sign and no negative zero.

    Examples
    --------
    >>> number(-0.0831, 3), number(-0.0001, 2), number(None, 2), number(12345.6, 0)
    ('−0.083', '0.00', '', '12,346')
    """
    if value is None or not math.isfinite(value):
        return ""
    text = f"{value:,.{decimals}f}"
    if not any(digit in text for digit in "123456789"):
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def interval(row: Row, decimals: int) -> str:
    """Return a row's interval as text, or an empty string."""
    if row.lower is None or row.upper is None:
        return ""
    return f"[{number(row.lower, decimals)}, {number(row.upper, decimals)}]"


def p_text(p_value: float | None) -> str:
    """Return a p-value as text.

    Examples
    --------
    >>> p_text(0.00001), p_text(0.0312), p_text(None)
    ('< 0.001', '0.031', '')
    """
    if p_value is None:
        return ""
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def column_texts(values: Sequence[object]) -> list[str]:
    """Return a table column as texts that line up: one number of decimals for all."""
    floats = [v for v in values if isinstance(v, float) and math.isfinite(v)]
    sizes = [abs(v) for v in floats if v]
    if not floats or (sizes and max(sizes) > 1e4 * min(sizes)):
        return [format_cell(v).replace("-", MINUS) if _numeric(v) else _text(v) for v in values]
    decimals = _without_zeros(floats, decimals_for(floats))
    return [number(float(v), decimals) if isinstance(v, float) else _text(v) for v in values]


def _without_zeros(values: Sequence[float], decimals: int) -> int:
    """Return fewer decimals where zeros end every number of a column: they say nothing."""
    while decimals and all(number(v, decimals).endswith("0") for v in values):
        decimals -= 1
    return decimals


def _numeric(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format_cell(value)
