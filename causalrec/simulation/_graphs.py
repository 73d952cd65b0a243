"""The honest graph of a world: the shipped one, with the arrows that its switches add."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from causalrec.graph import CausalGraph, load_graph

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph as Graph


def with_statements(graph: Graph, statements: Sequence[str], name: str) -> Graph:
    """Return the graph with DOT statements added before its closing brace."""
    head, _, _ = graph.to_dot().rpartition("}")
    return CausalGraph.from_dot(head + "\n".join(statements) + "\n}\n", name=name)


def with_latent_taste(graph: Graph) -> Graph:
    """Return the graph with a latent taste that causes exposure (or observation) and outcome.

    Raises nothing: identification is what then refuses, naming the open path.
    """
    target = graph.observed if graph.observed is not None else graph.exposure
    statements = [
        'taste [role=latent, label="what the user would like and nobody measured"];',
        f'taste -> "{target}";',
        f'taste -> "{graph.outcome}";',
    ]
    return with_statements(graph, statements, f"{graph.name}_latent")


def with_critics(graph: Graph) -> Graph:
    """Return the graph with a critics' score that moves the outcome and not its recording."""
    statements = [
        'critics [role=shadow, entity=item, label="the mean score of professional critics"];',
        f'critics -> "{graph.outcome}";',
    ]
    return with_statements(graph, statements, f"{graph.name}_critics")


def honest_graph(name: str, *, unmeasured: bool) -> Graph:
    """Return a shipped graph, with a latent taste if the world has one."""
    graph = load_graph(name)
    return with_latent_taste(graph) if unmeasured else graph
