"""A declared graph in words: what it assumes, what it identifies and by what."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, cast

from causalrec.errors import GraphError, IdentificationError, StudyError, near_miss
from causalrec.graph import CausalGraph, Estimand, graph_comment, list_graphs, load_graph
from causalrec.results import Assumption, Result, Table

if TYPE_CHECKING:
    from causalrec.graph import Query

_QUESTIONS = {
    "effect": "What does the exposure cause?",
    "mean": "What would the mean outcome be, had selection not been at work?",
    "path": "What part of the effect runs through the mediator, and what part beside it?",
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
    query : {"effect", "mean", "path"}, optional
        By default what the graph can be asked: "mean" where it has an observed node, else
        "effect".

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
        raise StudyError(
            f"--query {asked!r}: ask for 'effect', 'mean' or 'path'.{near_miss(asked, _QUESTIONS)}"
        )
    estimand = graph.identify(query=cast("Query", asked))
    return Result(
        kind="graph",
        title=f"{graph.name}: {graph.label}",
        question=_QUESTIONS[asked],
        answer=estimand.words,
        tables=(_nodes(graph, estimand),),
        assumptions=Assumption.each(estimand.assumptions),
        notes=_notes(name, graph, estimand),
        graph_dot=graph.to_dot(),
        adjustment=estimand.adjustment,
    )


def write_graph(name: str, folder: Path, adjustment: tuple[str, ...] = ()) -> tuple[Path, ...]:
    """Write the drawing of a graph (SVG) and its text for DAGitty.

    Parameters
    ----------
    name : str
        A shipped graph, or the path of a DOT or DAGitty file.
    folder : path
        Made if need be; the files are called after the graph.
    adjustment : tuple of str
        Nodes that the drawing marks as adjusted for.

    Returns
    -------
    tuple of path
        The drawing and the text.
    """
    from causalrec.reporting import graph_svg

    graph = load_graph(name)
    drawn = graph_svg(graph.to_dot(), adjustment)
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", graph.name) or "graph"
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / f"{stem}.svg", folder / f"{stem}.dagitty.txt"
    for path, text in zip(written, (drawn, graph.to_dagitty()), strict=True):
        path.write_text(text, encoding="utf-8", newline="\n")
    return written


def _notes(name: str, graph: CausalGraph, estimand: Estimand) -> tuple[str, ...]:
    """Say what the log must hold, what else the graph answers, and where it comes from."""
    found = [_columns(graph)]
    if estimand.query == "effect":
        found += [one.words for one in graph.negative_controls(estimand.adjustment)]
    for query in _QUESTIONS:
        if query != estimand.query and _can_be_asked(graph, query):
            found.append(_other(graph, query))
    if comment := graph_comment(name):
        found.append(f"From its file: {comment}")
    return tuple(found)


def _columns(graph: CausalGraph) -> str:
    """Return the columns that the graph expects, by table."""
    tables = {"user": "users", "item": "items", "event": "events", None: "any table"}
    parts = []
    for entity, table in tables.items():
        held = sorted(str(n.column) for n in graph.node_table if n.column and n.entity == entity)
        if held:
            parts.append(f"{table}: {', '.join(held)}")
    return f"Columns that it expects: {'; '.join(parts)}."


def _can_be_asked(graph: CausalGraph, query: str) -> bool:
    if query == "mean":
        return graph.observed is not None
    if graph.exposure is None or graph.observed is not None:
        return False
    return query == "effect" or bool(graph.with_role("mediator"))


def _other(graph: CausalGraph, query: str) -> str:
    try:
        way = graph.identify(query=cast("Query", query)).strategy
    except (GraphError, IdentificationError):
        return f"Asked with --query {query}, it is refused."
    return f"Asked with --query {query}, it answers too ({way})."


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
