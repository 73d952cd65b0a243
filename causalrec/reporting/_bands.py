"""Bands behind the curves of a chart, where a table has the ends of each."""

from __future__ import annotations

import math
from collections.abc import Sequence

from causalrec.reporting._axes import Scale
from causalrec.reporting._svg import Svg, plain
from causalrec.results import Table

Band = list[tuple[float, float, float]]
"""(place, lower, upper), left to right."""


def bands_of(table: Table, names: Sequence[str]) -> list[Band]:
    """Return the band of each series: its columns "NAME, lower" and "NAME, upper".

    A series without them has an empty band.
    """
    place = {column: i for i, column in enumerate(table.columns)}
    found: list[Band] = []
    for name in names:
        ends = [place.get(f"{name}, {end}") for end in ("lower", "upper")]
        low, high = ends
        if low is None or high is None or table.x not in place:
            found.append([])
            continue
        lines = [
            tuple(_number(row[at]) for at in (place[table.x], low, high)) for row in table.rows
        ]
        found.append(
            [(x, a, b) for x, a, b in lines if x is not None and a is not None and b is not None]
        )
    return found


def _number(value: object) -> float | None:
    fine = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if fine and math.isfinite(value) else None  # type: ignore[arg-type]


def draw_bands(svg: Svg, bands: Sequence[Band], colours: Sequence[str], x: Scale, y: Scale) -> None:
    """Draw each band as a tint of its colour."""
    for band, colour in zip(bands, colours, strict=False):
        if len(band) > 1:
            above = [f"{plain(x(place))} {plain(y(high))}" for place, _, high in band]
            below = [f"{plain(x(place))} {plain(y(low))}" for place, low, _ in reversed(band)]
            svg.add("path", d=f"M{'L'.join([*above, *below])}z", class_=f"tint c-{colour}")
