"""Rows selected into the log: of whom does the answer speak, and could it speak of everybody?

An identified quantity is an average over covariates of what a node would be, were others set. It
can be carried from the selected rows to everybody where that is the same in both given the
covariates: where the covariates separate the node from the selection in the graph without the
arrows into what is set (Bareinboim & Tian 2015, "Recovering causal effects from selection bias";
Pearl & Bareinboim 2014, "External validity").
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from causalrec.graph import _paths
from causalrec.graph._vocabulary import listed

if TYPE_CHECKING:
    from causalrec.graph._model import CausalGraph


@dataclass(frozen=True)
class Law:
    """The law of a node, were `set_nodes` set, given covariates: what an answer is made of."""

    node: str
    set_nodes: frozenset[str]
    given: frozenset[str]


def _law(node: str, set_nodes: Collection[str], given: Collection[str]) -> Law:
    return Law(node, frozenset(set_nodes), frozenset(given))


def adjustment_laws(exposure: str, outcome: str, adjustment: Collection[str]) -> tuple[Law, ...]:
    """Return the law that adjustment averages."""
    return (_law(outcome, [exposure], adjustment),)


def mean_laws(outcome: str, adjustment: Collection[str]) -> tuple[Law, ...]:
    """Return the law that a mean over recorded and unrecorded cells averages."""
    return (_law(outcome, [], adjustment),)


def instrument_laws(
    instrument: str, exposure: str, outcome: str, adjustment: Collection[str]
) -> tuple[Law, ...]:
    """Return the laws of the effects of the instrument on exposure and on outcome."""
    return _law(exposure, [instrument], adjustment), _law(outcome, [instrument], adjustment)


def front_door_laws(
    mediator: str, exposure: str, outcome: str, adjustment: Collection[str]
) -> tuple[Law, ...]:
    """Return the laws of mediator and outcome that the front door combines."""
    return _law(mediator, [exposure], adjustment), _law(outcome, [mediator], adjustment)


def path_laws(
    mediators: Collection[str], exposure: str, outcome: str, adjustment: Collection[str]
) -> tuple[Law, ...]:
    """Return the laws of mediators and outcome that a decomposition combines."""
    return (
        *(_law(name, [exposure], adjustment) for name in mediators),
        _law(outcome, [exposure, *mediators], adjustment),
    )


def beyond_selection(graph: CausalGraph, laws: Sequence[Law]) -> bool:
    """Whether every law is the same in selected rows and in all."""
    return _leak(graph, laws) is None


def selection_words(
    graph: CausalGraph,
    laws: Sequence[Law],
    adjustment: Collection[str],
    *,
    what: str = "effect",
    averaged: str = "it",
) -> str:
    """Say of whom an answer from selected rows speaks; empty where nothing selects rows.

    `what` is the answer in a word, `averaged` what carries it to everybody.
    """
    selection = graph.with_role("selection")
    if not selection:
        return ""
    words = f"It is the {what} among the rows that {listed(selection)} let into the log."
    leak = _leak(graph, laws)
    if leak is not None:
        node, law, path = leak
        shown = _paths.arrows(path, graph.edges, law.given | law.set_nodes)
        alike = listed(sorted(law.given | law.set_nodes))
        return (
            f"{words} It says nothing of everybody: {node} and {law.node} stay connected"
            f" ({shown}){f' among rows alike in {alike}' if alike else ''}."
        )
    if not adjustment:
        return f"{words} The graph says that it is the {what} for everybody as well."
    return (
        f"{words} For everybody, average {averaged} over {listed(sorted(adjustment))} as they are"
        f" in all rows, selected or not: the graph says that rows alike in them have the same"
        f" {what}."
    )


def _leak(graph: CausalGraph, laws: Sequence[Law]) -> tuple[str, Law, tuple[str, ...]] | None:
    """Return a selection node, a law that it changes, and the path between them."""
    for node in graph.with_role("selection"):
        for law in laws:
            edges = [edge for edge in graph.edges if edge[1] not in law.set_nodes]
            path = _paths.open_path(edges, node, law.node, law.given | law.set_nodes)
            if path is not None:
                return node, law, path
    return None
