"""A declared graph in words: what it assumes, what it identifies and by what."""

from __future__ import annotations

from typing import Literal, cast

from causalrec.errors import StudyError
from causalrec.graph import CausalGraph, Estimand, list_graphs, load_graph
from causalrec.results import Assumption, Result, Table

_QUESTIONS = {
    "effect": "What does the exposure cause?",
    "mean": "What would the mean outcome be, had selection not been at work?",
}


def describe_graphs() -> Result:
    """Return the shipped graphs, each with the sentence that states its assumptions."""
    rows = tuple((name, load_graph(name).label) for name in list_graphs())
    table = Table(name="graphs", title="Shipped graphs", columns=("name", "label"), rows=rows)
    notes = tuple(f"{name}: {label}" for name, label in rows)
    return Result(kind="graph", title="Shipped graphs", tables=(table,), notes=notes)


def describe_graph(name: str, query: str | None = None) -> Result:
    """Say what a graph assumes and how it identifies a question.

    Parameters
    ----------
    name : str
        A shipped graph, or the path of a DOT or DAGitty file.
    query : {"effect", "mean"}, optional
        By default what the graph can be asked: "mean" where it has an observed node.

    Raises
    ------
    IdentificationError
        If the graph does not identify the question; the message names the open path.

    Examples
    --------
    >>> describe_graph("rating_selection").adjustment[:2]
    ('age_group', 'country')
    """
    graph = load_graph(name)
    asked = query or ("mean" if graph.observed else "effect")
    if asked not in _QUESTIONS:
        raise StudyError(f"--query {asked!r}: ask for 'effect' or 'mean'.")
    estimand = graph.identify(query=cast(Literal["effect", "mean"], asked))
    return Result(
        kind="graph",
        title=f"{graph.name}: {graph.label}",
        question=_QUESTIONS[asked],
        answer=estimand.words,
        tables=(_nodes(graph, estimand),),
        assumptions=tuple(
            Assumption(name=title, statement=statement, status=status)
            for title, statement, status in estimand.assumptions
        ),
        graph_dot=graph.to_dot(),
        adjustment=estimand.adjustment,
    )


def _nodes(graph: CausalGraph, estimand: Estimand) -> Table:
    return Table(
        name="nodes",
        title="What the graph names",
        columns=("node", "role", "column", "entity", "adjusted for"),
        rows=tuple(
            (node.name, node.role, node.column, node.entity, node.name in estimand.adjustment)
            for node in (graph.nodes[key] for key in sorted(graph.nodes))
        ),
    )
