"""What the text of a graph says, before it is a graph."""

from __future__ import annotations

from dataclasses import dataclass, field

from causalrec.graph._tokens import Token


@dataclass
class ParsedNode:
    """What the text says of one node; every value keeps the token that said it."""

    first: Token
    values: dict[str, tuple[str, Token]] = field(default_factory=dict)

    def get(self, key: str) -> str | None:
        """Return a declared value, or None."""
        return self.values[key][0] if key in self.values else None


@dataclass
class ParsedGraph:
    """What the text says: names in order of first appearance, edges as written."""

    name: str = ""
    label: str = ""
    nodes: dict[str, ParsedNode] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    bidirected: list[tuple[str, str]] = field(default_factory=list)
