"""What the two queries share: separators among measured nodes, and words for what stays open."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from causalrec.graph import _paths
from causalrec.graph._estimand import Covariate
from causalrec.graph._vocabulary import listed

if TYPE_CHECKING:
    import networkx as nx

    from causalrec.graph._model import CausalGraph


@dataclass(frozen=True)
class Separation:
    """A separation problem: which of `candidates` close every path between two nodes of `edges`.

    `included` is conditioned on whatever is chosen (the nodes that select rows into the log).
    """

    edges: tuple[tuple[str, str], ...]
    nodes: tuple[str, ...]
    source: str
    target: str
    candidates: frozenset[str]
    included: frozenset[str] = frozenset()

    @cached_property
    def network(self) -> nx.DiGraph[str]:
        """The arrows as a `networkx.DiGraph`, built once and only read."""
        import networkx as nx

        network: nx.DiGraph[str] = nx.DiGraph()
        network.add_nodes_from(self.nodes)
        network.add_edges_from(self.edges)
        return network

    def minimal(self) -> frozenset[str] | None:
        """Return a minimal separator without `included`, or None if no candidates separate."""
        import networkx as nx

        found = nx.find_minimal_d_separator(
            self.network,
            {self.source},
            {self.target},
            included=set(self.included),
            restricted=set(self.candidates | self.included),
        )
        return None if found is None else frozenset(found) - self.included

    def holds(self, chosen: Collection[str]) -> bool:
        """Whether `chosen` separates, by networkx and by our own search, which must agree.

        Raises
        ------
        RuntimeError
            If they disagree: a defect of one of them, and no answer to be trusted.
        """
        import networkx as nx

        given = set(chosen) | self.included
        says = bool(nx.is_d_separator(self.network, {self.source}, {self.target}, given))
        path = _paths.open_path(self.edges, self.source, self.target, given)
        if says != (path is None):
            raise RuntimeError(
                f"networkx and causalrec disagree on whether {sorted(given)} separates"
                f" {self.source!r} and {self.target!r}; please report this graph as a defect."
            )
        return says

    def improved(self, minimal: Collection[str], causes: Collection[str]) -> tuple[str, ...]:
        """Return a separator that estimates well, sorted.

        To `minimal` are added the `causes` of the outcome that keep the separation (they lower the
        variance); then what only decides the exposure is dropped where the causes close its paths
        already (it raises the variance: Henckel, Perkovic & Maathuis 2022).
        """
        chosen = set(minimal)
        for node in sorted(set(causes) & self.candidates - chosen):
            if self.holds(chosen | {node}):
                chosen.add(node)
        return self._without(chosen, sorted(chosen - set(causes)))

    def needed(self, chosen: Collection[str], minimal: Collection[str]) -> tuple[str, ...]:
        """Return the part of `chosen` that the separation needs; the rest is for precision."""
        return self._without(chosen, sorted(chosen, key=lambda node: (node in minimal, node)))

    def _without(self, chosen: Collection[str], droppable: Iterable[str]) -> tuple[str, ...]:
        kept = set(chosen)
        for node in droppable:
            if self.holds(kept - {node}):
                kept.remove(node)
        return tuple(sorted(kept))

    def disconnected(self) -> bool:
        """Whether no path at all joins the two, open or closed."""
        both: dict[str, list[str]] = {}
        for cause, effect in self.edges:
            both.setdefault(cause, []).append(effect)
            both.setdefault(effect, []).append(cause)
        return self.target not in _paths.reachable(both, [self.source])

    def witness(self) -> tuple[tuple[str, ...], frozenset[str]]:
        """Return a path that no choice of candidates closes, and what it was sought given.

        The candidates among the ancestors of both ends separate them if any candidates do (van der
        Zander, Liskiewicz & Textor 2014); a path open given those is open for a reason that no
        choice mends, and every inner node at which it could be closed is not a candidate.
        """
        parents, _ = _paths.neighbours(self.edges)
        ancestors = _paths.reachable(parents, {self.source, self.target} | self.included)
        given = (self.candidates & ancestors) | self.included
        path = _paths.open_path(self.edges, self.source, self.target, given)
        if path is None:
            raise RuntimeError(
                f"No open path joins {self.source!r} and {self.target!r}, yet no separator was"
                " found; please report this graph as a defect."
            )
        return path, given


def measured_after(graph: CausalGraph, nodes: Iterable[str]) -> frozenset[str]:
    """Return the nodes whose declared time is after that of one of `nodes`."""
    times = [time for name in nodes if (time := graph.nodes[name].time) is not None]
    return frozenset(
        node.name
        for node in graph.node_table
        if times and node.time is not None and node.time > min(times)
    )


def closable(path: tuple[str, ...], edges: Collection[tuple[str, str]]) -> list[str]:
    """Return the inner nodes that would close the path if they were adjusted for."""
    met = _paths.colliders(path, edges)
    return [node for node in path[1:-1] if node not in met]


def covariates(graph: CausalGraph, chosen: Collection[str]) -> tuple[Covariate, ...]:
    """Pair the chosen nodes with their columns."""
    found = []
    for name in sorted(chosen):
        node = graph.nodes[name]
        if node.column is None:
            raise RuntimeError(f"The latent node {name!r} was chosen; please report this graph.")
        found.append(Covariate(node=name, column=node.column, entity=node.entity))
    return tuple(found)


def named(graph: CausalGraph, name: str) -> str:
    """Return a node's name, with its label where it has one."""
    label = graph.nodes[name].label
    return f"{name} ({label})" if label else name


def chosen_in_words(minimal: Collection[str], adjustment: Collection[str]) -> str:
    """Say what is adjusted for, and which part of it only for precision."""
    extra = sorted(set(adjustment) - set(minimal))
    words = f"Adjusted for: {listed(sorted(minimal))}." if minimal else ""
    if extra:
        also = "Also adjusted for" if minimal else "Adjusted for"
        words += f"{' ' if words else ''}{also}, for precision only: {listed(extra)}."
    return words


def selection_assumption(selection: Collection[str]) -> tuple[str, str]:
    """Return the name and the statement that go with rows selected into the log."""
    return (
        "selected rows",
        f"The log holds only the rows that {listed(sorted(selection))} let in; the answer speaks of"
        " those rows, not of everybody.",
    )
