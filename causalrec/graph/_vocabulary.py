"""The words of a graph file, and what a name may look like."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Literal

Role = Literal[
    "covariate",
    "exposure",
    "outcome",
    "observed",
    "latent",
    "instrument",
    "mediator",
    "selection",
    "shadow",
    "negative_control_outcome",
    "negative_control_exposure",
]
Entity = Literal["user", "item", "event"]

ROLES: tuple[Role, ...] = (
    "exposure",
    "outcome",
    "observed",
    "covariate",
    "latent",
    "instrument",
    "mediator",
    "selection",
    "shadow",
    "negative_control_outcome",
    "negative_control_exposure",
)
ENTITIES: tuple[Entity, ...] = ("user", "item", "event")
SINGLE_ROLES: tuple[Role, ...] = ("exposure", "outcome", "observed")
"""Roles that one node at most may have; they are facts of the event."""
CONTROL_ROLES: tuple[Role, ...] = ("negative_control_outcome", "negative_control_exposure")
"""Roles of nodes that stand by to be tested, and are never adjusted for."""


def name_problem(name: str, *, empty: bool = False) -> str | None:
    r"""Return what is wrong with a name as a predicate, or None.

    Examples
    --------
    >>> name_problem("age group"), name_problem(""), name_problem("a\x00b")
    (None, 'is empty', "contains the control character '\\x00'")
    """
    if not name and not empty:
        return "is empty"
    for character in name:
        # Surrogates cannot be written as UTF-8, control characters not be read by anybody.
        if unicodedata.category(character) in ("Cc", "Cs"):
            return f"contains the control character {character!r}"
    return None


def plain_text(text: str) -> str:
    """Return a label on one line, single-spaced."""
    return " ".join(text.split())


def listed(words: Iterable[str], *, last: str = "and") -> str:
    """Return words as a phrase.

    Examples
    --------
    >>> listed(["age", "genre", "price"]), listed(["age"])
    ('age, genre and price', 'age')
    """
    words = list(words)
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else ""
