"""Layers for a causal graph: causes left of their effects, few crossings (Sugiyama et al. 1981).

Longest-path layers, invisible stops where an arrow passes a layer, then sweeps that put each node
at the mean place (barycentre) of its neighbours. Small graphs, so plain Python.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import pairwise

Edge = tuple[str, str]
_SWEEPS = 24


@dataclass(frozen=True)
class Layout:
    """Where things stand: columns of names, and the stops that each arrow passes."""

    columns: tuple[tuple[str, ...], ...]
    rows: Mapping[str, float]
    """Name (of nodes and stops) -> vertical place, in units of one row."""
    stops: Mapping[Edge, tuple[str, ...]]

    @property
    def column_of(self) -> dict[str, int]:
        """Name -> its column."""
        return {name: i for i, column in enumerate(self.columns) for name in column}

    @property
    def height(self) -> float:
        """Rows from the first to the last."""
        return max(self.rows.values(), default=0.0) + 1


def lay_out(nodes: Sequence[str], edges: Sequence[Edge]) -> Layout:
    r"""Return the layout of an acyclic graph; the same graph gives the same layout.

    Examples
    --------
    >>> layout = lay_out(["age", "shown", "bought"],
    ...                  [("age", "shown"), ("age", "bought"), ("shown", "bought")])
    >>> [column[0] for column in layout.columns], layout.stops[("age", "bought")]
    (['age', 'shown', 'bought'], ('age\x00bought\x001',))
    """
    layer = _layers(nodes, edges)
    columns: list[list[str]] = [[] for _ in range(max(layer.values(), default=0) + 1)]
    for name in sorted(nodes):
        columns[layer[name]].append(name)
    stops: dict[Edge, tuple[str, ...]] = {}
    links: list[Edge] = []
    for cause, effect in sorted(edges):
        between = tuple(
            f"{cause}\x00{effect}\x00{i}" for i in range(layer[cause] + 1, layer[effect])
        )
        for i, stop in enumerate(between, start=layer[cause] + 1):
            columns[i].append(stop)
        stops[cause, effect] = between
        chain = (cause, *between, effect)
        links += pairwise(chain)
    _order(columns, links)
    return Layout(tuple(tuple(column) for column in columns), _rows(columns, links), stops)


def _layers(nodes: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    causes: dict[str, set[str]] = {name: set() for name in sorted(nodes)}
    effects: dict[str, set[str]] = {name: set() for name in sorted(nodes)}
    for cause, effect in edges:
        causes[effect].add(cause)
        effects[cause].add(effect)
    layer: dict[str, int] = {}
    order = list(TopologicalSorter(causes).static_order())
    for name in order:
        layer[name] = 1 + max((layer[cause] for cause in causes[name]), default=-1)
    for name in reversed(order):
        # A root stands right before its first effect, so that its arrows are short.
        if effects[name] and not causes[name]:
            layer[name] = min(layer[effect] for effect in effects[name]) - 1
    return layer


def _order(columns: list[list[str]], links: Sequence[Edge]) -> None:
    best = [list(column) for column in columns]
    fewest = _crossings(columns, links)
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        for column in columns if forward else reversed(columns):
            place = {name: i for other in columns for i, name in enumerate(other)}
            beside = _neighbours(links, forward)
            means = {
                name: _mean([place[n] for n in beside.get(name, ())], place[name])
                for name in column
            }
            column.sort(key=lambda name, means=means: (means[name], name))  # type: ignore[misc]
        crossings = _crossings(columns, links)
        if crossings < fewest:
            best, fewest = [list(column) for column in columns], crossings
    columns[:] = best


def _neighbours(links: Sequence[Edge], causes: bool) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for cause, effect in links:
        one, other = (effect, cause) if causes else (cause, effect)
        found.setdefault(one, []).append(other)
    return found


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def _crossings(columns: Sequence[Sequence[str]], links: Sequence[Edge]) -> int:
    place = {name: (c, i) for c, column in enumerate(columns) for i, name in enumerate(column)}
    by_column: dict[int, list[tuple[int, int]]] = {}
    for cause, effect in links:
        by_column.setdefault(place[cause][0], []).append((place[cause][1], place[effect][1]))
    return sum(
        (a[0] - b[0]) * (a[1] - b[1]) < 0
        for pairs in by_column.values()
        for k, a in enumerate(pairs)
        for b in pairs[k + 1 :]
    )


def _rows(columns: Sequence[Sequence[str]], links: Sequence[Edge]) -> dict[str, float]:
    """Return vertical places: columns are centred, then pulled towards their neighbours."""
    tallest = max((len(column) for column in columns), default=1)
    rows = {
        name: i + (tallest - len(column)) / 2 for column in columns for i, name in enumerate(column)
    }
    beside = _neighbours(links, True)
    for name, others in _neighbours(links, False).items():
        beside.setdefault(name, []).extend(others)
    for _ in range(_SWEEPS):
        for column in columns:
            wanted = [_mean([rows[n] for n in beside.get(name, ())], rows[name]) for name in column]
            rows.update(zip(column, _spread(column, wanted), strict=True))
    top = min(rows.values(), default=0.0)
    return {name: place - top for name, place in rows.items()}


def _spread(column: Sequence[str], wanted: Sequence[float]) -> list[float]:
    """Return places in order and far enough apart, near the wanted ones.

    Two nodes stand a row apart; arrows that only pass may run closer together.
    """
    gaps = [
        0.4 if one in _passing(column) and other in _passing(column)
        else 0.7 if {one, other} & _passing(column)
        else 1.0
        for one, other in pairwise(column)
    ]  # fmt: skip
    down = [wanted[0]] if wanted else []
    for place, gap in zip(wanted[1:], gaps, strict=True):
        down.append(max(place, down[-1] + gap))
    up = [wanted[-1]] if wanted else []
    for place, gap in zip(reversed(wanted[:-1]), reversed(gaps), strict=True):
        up.append(min(place, up[-1] - gap))
    return [(a + b) / 2 for a, b in zip(down, reversed(up), strict=True)]


def _passing(column: Sequence[str]) -> set[str]:
    return {name for name in column if "\x00" in name}
