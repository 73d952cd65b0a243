"""Read the Graphviz and DAGitty dialects of DOT by recursive descent.

The subset: `digraph` or `dag`, `strict`, a name, node statements, chains of `->`, `<-` and `<->`,
`{}` groups and subgraphs, attributes with or without values, node defaults, three kinds of
comment, quoted names. What would change the meaning of an arrow (undirected edges, `dir=back`,
graphs with undecided arrows) is refused at its place; attributes that only draw are passed over.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import NoReturn

from causalrec.errors import near_miss
from causalrec.graph._parsed import ParsedGraph, ParsedNode
from causalrec.graph._tokens import Token, refusal_of_edge, syntax_error, tokenize
from causalrec.graph._vocabulary import (
    ENTITIES,
    ROLES,
    SINGLE_ROLES,
    listed,
    name_problem,
    plain_text,
)

_KEYWORDS = ("graph", "node", "edge", "subgraph", "digraph", "strict")
_REFUSED_TYPES = ("mag", "pdag", "pag")
_MEANT = ("role", "column", "entity", "latent", "label", "time")
_WHOLE = re.compile(r"-?[0-9]{1,9}")
_TRUE, _FALSE = ("1", "true", "yes"), ("0", "false", "no")
_BARE_WORDS: dict[str, str] = {role: role for role in ROLES}
_BARE_WORDS |= {"selected": "selection", "unobserved": "latent"}
_HYPHENED = {role.replace("_", "-"): role for role in ROLES if "_" in role}
_MAX_DEPTH = 50  # of nested braces; nobody reviews a deeper graph

Attribute = tuple[Token, Token | None]


def parse(text: str) -> ParsedGraph:
    """Read a graph, or raise a `GraphError` that marks the place.

    Examples
    --------
    >>> parsed = parse("dag { E [exposure] E -> Y <- W }")
    >>> parsed.edges, parsed.nodes["E"].get("role")
    ([('E', 'Y'), ('W', 'Y')], 'exposure')
    """
    return _Parser(text).read()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokenize(text)
        self.index = 0
        self.depth = 0
        self.result = ParsedGraph()
        self.defaults: list[list[Attribute]] = [[]]

    # -- the grammar ---------------------------------------------------------------------------

    def read(self) -> ParsedGraph:
        self._header()
        if not self._at("{"):
            self._fail(self._next, "The graph opens with '{' after its type and name.")
        self._take()
        self._statements(inside="graph")
        if self._next.kind != "end":
            self._fail(self._next, "The graph is closed, but more text follows; one graph a file.")
        return self.result

    def _header(self) -> None:
        if self._next.kind == "end":
            self._fail(self._next, "The text is empty. A graph begins with 'digraph {' or 'dag {'.")
        if self._keyword() == "strict":
            self._take()
        kind = self._take()
        word = kind.text.lower() if kind.kind == "word" else ""
        if word == "graph":
            self._fail(kind, "An undirected 'graph' says nothing about causes. Write 'digraph'.")
        if word in _REFUSED_TYPES:
            self._fail(
                kind,
                f"A {word!r} leaves arrows undecided. A causal question needs a 'dag': decide every"
                " arrow, and write '<->' for an unmeasured common cause.",
            )
        if word not in ("digraph", "dag"):
            hint = near_miss(word, ("digraph", "dag")) if word else ""
            if word.endswith((".dot", ".gv", ".txt", ".dag")):
                hint = " This is the name of a file: read it with load_graph."
            self._fail(kind, f"A graph begins with 'digraph' or 'dag', not {kind.shown()}.{hint}")
        if self._next.is_name:
            name = self._take()
            self._check_text(name, "The graph's name")
            self.result.name = name.text

    def _statements(self, *, inside: str) -> list[str]:
        """Read statements up to the closing brace; return the nodes named, in order."""
        opening = self.tokens[self.index - 1]
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            self._fail(opening, f"Braces are nested more than {_MAX_DEPTH} deep.")
        self.defaults.append(list(self.defaults[-1]))
        names: dict[str, None] = {}
        while not self._at("}"):
            if self._next.kind == "end":
                self._fail(opening, f"This '{{' opens the {inside}, and is never closed.")
            names.update(dict.fromkeys(self._statement()))
            while self._at(";") or self._at(","):
                self._take()
        self._take()
        self.defaults.pop()
        self.depth -= 1
        return list(names)

    def _statement(self) -> list[str]:
        keyword = self._keyword()
        if keyword in ("graph", "node", "edge"):
            self._default_statement(keyword)
            return []
        if self._next.is_name and self._peek(1).text == "=" and self._peek(1).kind == "mark":
            key = self._take()
            self._take()
            self._graph_attribute((key, self._value()))
            return []
        return self._edge_or_node_statement()

    def _default_statement(self, keyword: str) -> None:
        opening = self._take()
        if not self._at("["):
            self._fail(
                opening,
                f"{opening.text!r} is a keyword of DOT and wants '[...]' after it; a node of that"
                " name needs double quotes.",
            )
        attributes = self._attributes()
        if keyword == "graph":
            for attribute in attributes:
                self._graph_attribute(attribute)
        elif keyword == "edge":
            self._check_edge_attributes(attributes)
        else:
            for key, _ in attributes:
                if key.text in ("column", "label"):
                    self._fail(key, f"A default {key.text} would give many nodes the same one.")
            self.defaults[-1] += attributes

    def _edge_or_node_statement(self) -> list[str]:
        subject = self._next
        is_group = self._group_ahead()
        left = self._operand()
        names = list(left)
        chain: list[tuple[list[str], Token, list[str]]] = []
        while self._next.kind == "edge":
            arrow = self._take()
            right = self._operand()
            chain.append((left, arrow, right))
            names += right
            left = right
        if self._next.kind == "refused":
            self._fail(self._next, refusal_of_edge(self._next.text))
        attributes = self._attributes() if self._at("[") else []
        if chain:
            self._check_edge_attributes(attributes)
            for left, arrow, right in chain:
                self._add_edges(left, arrow, right)
        elif attributes and is_group:
            self._fail(subject, "A group takes no attributes; write 'node [...]' inside it.")
        else:
            for attribute in attributes:
                self._node_attribute(left[0], attribute)
        return names

    def _group_ahead(self) -> bool:
        return self._at("{") or self._keyword() == "subgraph"

    def _operand(self) -> list[str]:
        if self._keyword() == "subgraph":
            self._take()
            if self._next.is_name:
                self._take()
            if not self._at("{"):
                self._fail(self._next, "A subgraph opens with '{'.")
        if self._at("{"):
            self._take()
            return self._statements(inside="group")
        name = self._next
        if not name.is_name:
            self._fail(name, f"A node's name is expected here, not {name.shown()}.")
        if self._keyword() in _KEYWORDS:
            self._fail(
                name,
                f"{name.text!r} is a keyword of DOT; as a node's name, put it in double quotes.",
            )
        self._take()
        self._concatenate(name)
        if self._at(":"):
            self._fail(self._next, "Ports are not read. Quote a name that contains a colon.")
        return [self._declare(name)]

    def _concatenate(self, first: Token) -> None:
        if self._at("+"):
            self._fail(self._next, f"Write {first.text!r} as one string; '+' is not read.")

    def _attributes(self) -> list[Attribute]:
        """Read one or several `[...]` lists."""
        found: list[Attribute] = []
        while self._at("["):
            opening = self._take()
            while not self._at("]"):
                key = self._take()
                if key.kind == "end":
                    self._fail(opening, "This '[' is never closed.")
                if not key.is_name:
                    self._fail(key, f"An attribute's name is expected here, not {key.shown()}.")
                value = None
                if self._at("="):
                    self._take()
                    value = self._value()
                found.append((key, value))
                while self._at(",") or self._at(";"):
                    self._take()
            self._take()
        return found

    def _value(self) -> Token:
        value = self._take()
        if not value.is_name:
            self._fail(value, f"A value is expected after '=', not {value.shown()}.")
        self._concatenate(value)
        return value

    # -- what the words mean -------------------------------------------------------------------

    def _graph_attribute(self, attribute: Attribute) -> None:
        key, value = attribute
        # A subgraph's label names a box of the drawing, not the graph.
        if key.text == "label" and value is not None and self.depth == 1:
            self._check_text(value, "The graph's label", lines=True)
            self.result.label = plain_text(value.text)

    def _declare(self, token: Token) -> str:
        if token.text not in self.result.nodes:
            self._check_text(token, "A node's name")
            self.result.nodes[token.text] = ParsedNode(token)
            for attribute in self.defaults[-1]:
                self._node_attribute(token.text, attribute)
        return token.text

    def _check_text(self, token: Token, what: str, *, lines: bool = False) -> None:
        problem = name_problem(plain_text(token.text) if lines else token.text, empty=lines)
        if problem and not (what == "The graph's name" and token.text == ""):
            self._fail(token, f"{what} {problem}.")

    def _node_attribute(self, name: str, attribute: Attribute) -> None:
        key, value = attribute
        if value is None:
            self._bare_word(name, key)
        elif key.text == "role":
            self._set_role(name, self._role(value), value)
        elif key.text == "entity":
            self._check_known(value, "entity", "Entities", ENTITIES)
            self._set(name, "entity", value.text, value)
        elif key.text == "time":
            if not _WHOLE.fullmatch(value.text):
                self._fail(value, f"A time is a whole number, not {value.text!r}.")
            self._set(name, "time", str(int(value.text)), value)
        elif key.text == "column":
            self._check_text(value, "A column's name")
            self._set(name, "column", value.text, value)
        elif key.text == "label":
            self._check_text(value, "A label", lines=True)
            self._set(name, "label", plain_text(value.text), value)
        elif key.text == "observed":
            if self._truth(value) is False:  # as DoWhy writes a latent node
                self._set_role(name, "latent", key)
        elif key.text in _BARE_WORDS:
            if self._truth(value):
                self._set_role(name, _BARE_WORDS[key.text], key)
        else:
            self._refuse_misspelt(key)

    def _role(self, value: Token) -> str:
        if value.text in _HYPHENED:  # in quotes: DOT has no hyphen in a bare word
            return _HYPHENED[value.text]
        self._check_known(value, "role", "Roles", ROLES)
        return value.text

    def _check_known(self, value: Token, what: str, all_of_them: str, known: Sequence[str]) -> None:
        if value.text not in known:
            hint = near_miss(value.text, known)
            self._fail(
                value, f"No {what} is called {value.text!r}.{hint} {all_of_them}: {listed(known)}."
            )

    def _bare_word(self, name: str, key: Token) -> None:
        word = key.text
        if word == "adjusted":  # a mark of DAGitty's screen: here the graph decides the covariates
            return
        if word not in _BARE_WORDS:
            hint = near_miss(word, (*_BARE_WORDS, "adjusted"))
            self._fail(
                key,
                f"{word!r} is no role.{hint} Roles: {listed(ROLES)}; attributes that only draw are"
                " written name=value.",
            )
        self._set_role(name, _BARE_WORDS[word], key)

    def _truth(self, value: Token) -> bool:
        text = value.text.lower()
        if text not in _TRUE + _FALSE:
            self._fail(value, f"Yes or no is expected here, not {value.text!r}.")
        return text in _TRUE

    def _refuse_misspelt(self, key: Token) -> None:
        close = difflib.get_close_matches(key.text.lower(), _MEANT, n=1, cutoff=0.8)
        if close:
            self._fail(key, f"{key.text!r} is no attribute. Did you mean {close[0]!r}?")

    def _set_role(self, name: str, role: str, token: Token) -> None:
        if role == "latent":
            self._set(name, "latent", "yes", token)
            return
        if role in SINGLE_ROLES:
            for other, node in self.result.nodes.items():
                if other != name and node.get("role") == role:
                    self._fail(
                        token,
                        f"Two nodes have the role {role!r}: {other!r} and {name!r}."
                        " A question has one of each; take the role from the other.",
                    )
        self._set(name, "role", role, token)

    def _set(self, name: str, key: str, value: str, token: Token) -> None:
        values = self.result.nodes[name].values
        if key in values and values[key][0] != value:
            self._fail(
                token,
                f"Node {name!r} already has the {key} {values[key][0]!r}; it cannot also be"
                f" {value!r}.",
            )
        values[key] = (value, token)

    def _check_edge_attributes(self, attributes: Iterable[Attribute]) -> None:
        for key, value in attributes:
            text = value.text.lower() if value else ""
            if key.text == "dir" and text != "forward":
                self._fail(
                    key, f"dir={text} would draw another arrow than the text says; write the arrow."
                )
            if key.text == "style" and "invis" in text:
                self._fail(key, "An invisible edge hides a cause from the reviewer; draw it.")

    def _add_edges(self, left: list[str], arrow: Token, right: list[str]) -> None:
        for a in left:
            for b in right:
                if a == b:
                    self._fail(arrow, f"Node {a!r} cannot cause itself.")
                if arrow.text == "<->":
                    self.result.bidirected.append((min(a, b), max(a, b)))
                else:
                    self.result.edges.append((a, b) if arrow.text == "->" else (b, a))

    # -- moving through the tokens -------------------------------------------------------------

    @property
    def _next(self) -> Token:
        return self.tokens[self.index]

    def _peek(self, ahead: int) -> Token:
        return self.tokens[min(self.index + ahead, len(self.tokens) - 1)]

    def _take(self) -> Token:
        token = self.tokens[self.index]
        self.index = min(self.index + 1, len(self.tokens) - 1)
        return token

    def _at(self, mark: str) -> bool:
        return self._next.kind == "mark" and self._next.text == mark

    def _keyword(self) -> str:
        token = self._next
        word = token.text.lower() if token.kind == "word" else ""
        return word if word in _KEYWORDS else ""

    def _fail(self, token: Token, message: str) -> NoReturn:
        raise syntax_error(self.text, token.offset, message)
