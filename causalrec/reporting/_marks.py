"""One mark for each estimator: a shape and a colour, the same in every figure of every report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from causalrec.reporting._svg import Svg, plain
from causalrec.results import Row

# Estimator -> (shape, colour class). The naive answer is hollow, so that it recedes in grey too.
_MARKS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "naive": ("ring", "vermillion"),
        "dr": ("diamond", "blue"),
        "mrdr": ("diamond", "blue"),
        "econml": ("diamond", "blue"),
        "snips": ("square", "sky"),
        "ips": ("triangle", "sky"),
        "regression": ("wedge", "purple"),
        "plain": ("disc", "green"),
        "truth": ("cross", "ink"),
    }
)
_OTHER = ("disc", "blue")
_DIFFERENCE = ("disc", "ink")

# Series of a chart, in their order.
SERIES = (
    ("ring", "vermillion"),
    ("diamond", "blue"),
    ("square", "green"),
    ("triangle", "purple"),
    ("wedge", "orange"),
    ("disc", "sky"),
)


def is_truth(row: Row) -> bool:
    """Return whether a row is the known truth of a simulated world."""
    names = {row.estimator.lower(), row.label.lower()}
    return "truth" in names or row.label.lower().startswith(("truth ", "truth:", "truth("))


def is_drawable(row: Row) -> bool:
    """Return whether a row has a point or at least bounds."""
    return row.value is not None or (row.lower is not None and row.upper is not None)


def mark_of(row: Row) -> tuple[str, str]:
    """Return the shape and the colour of a row's mark."""
    if is_truth(row):
        return _MARKS["truth"]
    if _is_difference(row.estimator):
        return _DIFFERENCE
    return _MARKS.get(estimator_of(row), _OTHER)


def estimator_of(row: Row) -> str:
    """Return the estimator's name in lower case, without what stands after it."""
    return row.estimator.lower().split(" ")[0].split(",")[0].strip("()")


def subject_of(row: Row) -> str:
    """Return whom a row speaks of, the same for naive, debiased and true; "" for everybody."""
    if row.group and not row.derived_from:
        return ", ".join(f"{name} = {level}" for name, level in sorted(row.group.items()))
    bare = row.label
    if row.metric and row.derived_from:
        # The panel's heading says the metric.
        bare = bare.removeprefix(f"{row.metric} gap, ").removeprefix(f"{row.metric}, ")
    if bare.lower() == row.estimator.lower():
        return ""
    for name in sorted({row.estimator, row.estimator.lower(), "truth"} - {""}):
        for tail in (f" ({name})", f", {name}", f": {name}", f" {name}"):
            # "naive - dr" by dr is a contrast, and not "naive -" by dr.
            if not bare.removesuffix(tail).endswith(("-", "\N{MINUS SIGN}")):
                bare = bare.removesuffix(tail)
    bare = bare.removeprefix("truth: ")
    if bare.lower() in {row.metric.lower(), "truth", "all", "everybody", "overall"}:
        return ""
    return bare.removesuffix(f": {row.metric}") if row.metric else bare


def _is_difference(estimator: str) -> bool:
    return any(sign in estimator for sign in (" - ", " \N{MINUS SIGN} ", " minus "))


def draw_mark(svg: Svg, shape: str, colour: str, x: float, y: float, *, hover: str = "") -> None:
    """Draw one mark, about eleven units across."""
    _SHAPES[shape](svg, x, y, f"mark {shape} c-{colour}", hover)


def _ring(svg: Svg, x: float, y: float, name: str, hover: str) -> None:
    svg.add("circle", cx=x, cy=y, r=4.6, class_=name, hover=hover)


def _disc(svg: Svg, x: float, y: float, name: str, hover: str) -> None:
    svg.add("circle", cx=x, cy=y, r=4.8, class_=name, hover=hover)


def _polygon(*corners: tuple[float, float]) -> Callable[[Svg, float, float, str, str], None]:
    def draw(svg: Svg, x: float, y: float, name: str, hover: str) -> None:
        points = " ".join(f"{plain(x + dx)},{plain(y + dy)}" for dx, dy in corners)
        svg.add("polygon", points=points, class_=name, hover=hover)

    return draw


def _cross(svg: Svg, x: float, y: float, name: str, hover: str) -> None:
    across = f"M{plain(x - 4.5)} {plain(y - 4.5)}l9 9m0 -9l-9 9"
    svg.add("path", d=across, class_=name, hover=hover)


_SHAPES: Mapping[str, Callable[[Svg, float, float, str, str], None]] = MappingProxyType(
    {
        "ring": _ring,
        "disc": _disc,
        "cross": _cross,
        "diamond": _polygon((0, -6.2), (6.2, 0), (0, 6.2), (-6.2, 0)),
        "square": _polygon((-4.6, -4.6), (4.6, -4.6), (4.6, 4.6), (-4.6, 4.6)),
        "triangle": _polygon((0, -5.8), (5.6, 4.6), (-5.6, 4.6)),
        "wedge": _polygon((0, 5.8), (5.6, -4.6), (-5.6, -4.6)),
    }
)
