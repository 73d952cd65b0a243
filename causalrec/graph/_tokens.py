"""Cut Graphviz or DAGitty text into tokens, each of which remembers where it stood."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from causalrec.errors import GraphError

TokenKind = Literal["word", "string", "edge", "refused", "mark", "end"]

_SHOWN_WIDTH = 90  # of an offending line, so that the caret stays on the screen

_PATTERN = re.compile(
    r"""
    (?P<space>[ \t\n\f\v\u00a0\ufeff]+ | //[^\n]* | /\*.*?\*/)
  | (?P<hash>\#[^\n]*)
  | (?P<string>"(?:[^"\\]|\\.)*")
  | (?P<refused><-@|@->|--@|@--|@-@|--)
  | (?P<edge><->|->|<-)
  | (?P<number>-(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?))
  | (?P<word>[\w.]+)
  | (?P<mark>[{}\[\];,=+:])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {'"': '"', "\\": "\\", "\n": "", "n": "\n", "l": "\n", "r": "\n"}


class Token(NamedTuple):
    """A piece of the text: `text` is what it means (quotes and escapes removed)."""

    kind: TokenKind
    text: str
    offset: int

    @property
    def is_name(self) -> bool:
        """Whether it can name something (a bare word or a quoted string)."""
        return self.kind in ("word", "string")

    def shown(self) -> str:
        """Return the token as an error message quotes it."""
        return "the end of the text" if self.kind == "end" else repr(self.text)


def syntax_error(text: str, offset: int, message: str) -> GraphError:
    r"""Build the error that names line and column, prints the line and marks the place.

    Examples
    --------
    >>> print(syntax_error("dag {\n  a -> ;\n}", 13, "An arrow needs a node here."))
    Line 2, column 8: An arrow needs a node here.
      a -> ;
           ^
    """
    start = text.rfind("\n", 0, offset) + 1
    end = text.find("\n", offset)
    line = text[start:] if end < 0 else text[start:end]
    column = offset - start
    first = max(0, column - _SHOWN_WIDTH // 2) if len(line) > _SHOWN_WIDTH else 0
    shown = re.sub(r"\s", " ", line[first : first + _SHOWN_WIDTH])
    caret = " " * (column - first) + "^"
    number = text.count("\n", 0, offset) + 1
    return GraphError(f"Line {number}, column {column + 1}: {message}\n{shown}\n{caret}")


def unescape(quoted: str) -> str:
    r"""Return what a quoted string means: `\"` and `\\` are literal, `\n` is a new line.

    Examples
    --------
    >>> print(unescape(r'"a \"b\" \\ c"'))
    a "b" \ c
    """
    return _ESCAPE.sub(lambda m: _ESCAPED.get(m[1], m[0]), quoted[1:-1])


def tokenize(text: str) -> list[Token]:
    """Return the tokens of `text`, an "end" token last.

    Raises
    ------
    GraphError
        At the first character that belongs to no token; the message marks it.

    Examples
    --------
    >>> [token.text for token in tokenize('a -> "b c"; // why')]
    ['a', '->', 'b c', ';', '']
    """
    tokens: list[Token] = []
    offset = 0
    while offset < len(text):
        found = _PATTERN.match(text, offset)
        if found is None or (found.lastgroup == "hash" and not _opens_line(text, offset)):
            raise _unreadable(text, offset)
        kind, piece = found.lastgroup, found.group()
        if kind == "string":
            tokens.append(Token("string", unescape(piece), offset))
        elif kind in ("word", "number"):
            tokens.append(Token("word", piece, offset))
        elif kind == "edge":
            tokens.append(Token("edge", piece, offset))
        elif kind == "refused":
            tokens.append(Token("refused", piece, offset))
        elif kind == "mark":
            tokens.append(Token("mark", piece, offset))
        offset = found.end()
    tokens.append(Token("end", "", len(text)))
    return tokens


def _opens_line(text: str, offset: int) -> bool:
    return not text[text.rfind("\n", 0, offset) + 1 : offset].strip()


def refusal_of_edge(piece: str) -> str:
    """Say why an edge mark without a decided arrow is not read, and what to write."""
    if piece == "--":
        return (
            "An undirected edge '--' says nothing about cause and effect. Write '->' for a cause,"
            " or '<->' for an unmeasured common cause."
        )
    return (
        f"The edge mark {piece!r} belongs to graphs whose arrows are partly unknown (pag)."
        " A causal question needs every arrow decided: write '->', '<-' or '<->'."
    )


def _unreadable(text: str, offset: int) -> GraphError:
    character = text[offset]
    if character == '"':
        problem = "This quoted string is never closed."
    elif text.startswith("/*", offset):
        problem = "This comment is never closed."
    elif character == "<":
        problem = "HTML-like labels are not read. Put the text in double quotes."
    elif character == "#":
        problem = "A comment after '#' has a line of its own; elsewhere write '//'."
    elif character in "->":
        problem = (
            f"A lone {character!r} is no edge: write '->', '<-' or '<->'. A name that contains it"
            " needs double quotes."
        )
    else:
        problem = f"The character {character!r} cannot stand here; quote names that contain it."
    return syntax_error(text, offset, problem)
