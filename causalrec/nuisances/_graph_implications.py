"""What a graph says must be independent, and over which subjects a log can hold it to that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog

Unit = Literal["users", "items", "rows"]


@dataclass(frozen=True)
class Implication:
    """One independence that the missing arrow between two nodes implies."""

    first: str
    second: str
    given: tuple[str, ...]
    unit: Unit

    @property
    def label(self) -> str:
        """The statement as rows and notes call it."""
        given = f" given {', '.join(self.given)}" if self.given else ""
        return f"{self.first} and {self.second}{given}"


def implications(
    graph: CausalGraph, entities: dict[str, str], log: InteractionLog
) -> tuple[tuple[Implication, ...], tuple[tuple[str, str], ...]]:
    """Return what is implied for every pair of columns, and the pairs for which nothing is.

    A minimal separator of measured nodes is taken for each pair without an arrow. Two properties
    of users are compared over users where properties of users separate them, and likewise for
    items; everything else is compared over rows, and there the nodes that select rows are given.
    """
    import networkx as nx

    network = graph.network()
    selected = _selecting(graph, log)
    nodes = [name for name in graph.measured if name in entities and name not in selected]
    found, silent = [], []
    # Which user met which item is decided by what was shown or chosen, outside the graph.
    chosen = log.kind != "candidates"
    for first, second in combinations(nodes, 2):
        if network.has_edge(first, second) or network.has_edge(second, first):
            continue
        implied = None
        apart = {entities[first], entities[second]} == {"user", "item"}
        if chosen and apart:
            silent.append((first, second))
            continue
        for unit, candidates, included in _units(first, second, entities, nodes, selected):
            separator = nx.find_minimal_d_separator(
                network, {first}, {second},
                included=included, restricted=candidates | included,
            )  # fmt: skip
            if separator is not None:
                given = tuple(sorted(separator - selected))
                implied = Implication(first, second, given, unit)
                break
        if implied is None:
            silent.append((first, second))
        else:
            found.append(implied)
    return tuple(found), tuple(silent)


def _selecting(graph: CausalGraph, log: InteractionLog) -> set[str]:
    """Return the nodes that have one value in every row of the log."""
    selected = set(graph.with_role("selection"))
    if graph.observed is not None and log.kind in ("ratings", "positives"):
        selected.add(graph.observed)
    return selected


def _units(
    first: str,
    second: str,
    entities: dict[str, str],
    nodes: Iterable[str],
    selected: set[str],
) -> list[tuple[Unit, set[str], set[str]]]:
    others = {name for name in nodes if name not in (first, second)}
    found: list[tuple[Unit, set[str], set[str]]] = []
    for entity, unit in (("user", "users"), ("item", "items")):
        if entities[first] == entities[second] == entity:
            same = {name for name in others if entities[name] == entity}
            found.append(("users" if unit == "users" else "items", same, set()))
    return [*found, ("rows", others, selected)]
