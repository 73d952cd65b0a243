"""Write a graph back as text, in either dialect, always the same bytes for the same graph."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from causalrec.graph._vocabulary import SINGLE_ROLES

if TYPE_CHECKING:
    from causalrec.graph._model import CausalGraph
    from causalrec.graph._node import Node

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEYWORDS = {"graph", "node", "edge", "subgraph", "digraph", "strict", "dag", "mag", "pdag", "pag"}
_DAGITTY_WORDS = {"exposure": "exposure", "outcome": "outcome", "selection": "selected"}


def quote(name: str) -> str:
    r"""Return a name as DOT writes it, in quotes only where it must.

    Examples
    --------
    >>> print(quote("age"), quote("age group"), quote('a "b"'), quote("node"))
    age "age group" "a \"b\"" "node"
    """
    if _PLAIN.fullmatch(name) and name.lower() not in _KEYWORDS:
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def to_dot(graph: CausalGraph) -> str:
    """Return Graphviz text."""
    lines = [f"digraph {quote(graph.name)} {{" if graph.name else "digraph {"]
    if graph.label:
        lines.append(f"  label={_string(graph.label)};")
    for node in graph.node_table:
        written = [] if node.role == "covariate" else [f"role={node.role}"]
        written += ["latent=yes"] if node.latent and node.role != "latent" else []
        lines.append(f"  {quote(node.name)}{_attributes(written + _common(node))};")
    lines += [f"  {quote(cause)} -> {quote(effect)};" for cause, effect in graph.edges]
    return "\n".join([*lines, "}"]) + "\n"


def to_dagitty(graph: CausalGraph) -> str:
    """Return DAGitty text: its own words for the roles it knows, `role=` for the others."""
    lines = [f"dag {quote(graph.name)} {{" if graph.name else "dag {"]
    if graph.label:
        lines.append(f"label={_string(graph.label)}")
    for node in graph.node_table:
        written = ["latent"] if node.latent else []
        if node.role in _DAGITTY_WORDS:
            written.append(_DAGITTY_WORDS[node.role])
        elif node.role not in ("covariate", "latent"):
            written.append(f"role={node.role}")
        lines.append(f"{quote(node.name)}{_attributes(written + _common(node))}")
    lines += [f"{quote(cause)} -> {quote(effect)}" for cause, effect in graph.edges]
    return "\n".join([*lines, "}"]) + "\n"


def _common(node: Node) -> list[str]:
    """Return what both dialects write alike, defaults left out."""
    written = []
    if node.column is not None and node.column != node.name:
        written.append(f"column={quote(node.column)}")
    if node.entity is not None and not (node.role in SINGLE_ROLES and node.entity == "event"):
        written.append(f"entity={node.entity}")
    if node.time is not None:
        written.append(f"time={node.time}")
    if node.label:
        written.append(f"label={_string(node.label)}")
    return written


def _attributes(written: list[str]) -> str:
    return f" [{', '.join(written)}]" if written else ""


def _string(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
