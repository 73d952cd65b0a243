"""Which column plays which role, named once; and the four kinds of log."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

from causalrec.errors import DataError

Kind = Literal["ratings", "candidates", "impressions", "positives"]
KINDS: tuple[Kind, ...] = get_args(Kind)

SHOWN_ONLY_ROLES = ("slate", "position", "logging_propensity")

WHAT_A_KIND_NEEDS: dict[Kind, str] = {
    "ratings": "outcome=... (the rating), one row for each rated cell; the others are missing",
    "candidates": (
        "exposure=... (0/1) with a row for every eligible item, the ones that were not shown too,"
        " and outcome=... measured in both arms over the same window"
    ),
    "impressions": (
        "outcome=... for every row that was shown, with slate=... and position=..., and"
        " logging_propensity=... where the logging policy was random"
    ),
    "positives": "outcome=None, one row for each click or play",
}
"""What to log, and how to name it, for the questions that need this kind."""


class Columns(BaseModel):
    """The names of the columns, by role; shared by `InteractionLog` and the study file.

    Parameters
    ----------
    user_id, item_id : str
        Ids in the events table, and the keys of the users and items tables.
    outcome : str or None
        Click, rating, purchase, watch time. None for a log of positives.
    exposure : str, optional
        0/1: the system put the item before the user.
    position, slate : str, optional
        Rank from 1 within the list that was shown, and the list's id.
    arm : str, optional
        Arm of an A/B test.
    logging_propensity : str, optional
        Known probability with which the logging policy took the logged action.
    randomized : str, optional
        True for the rows of a uniform (randomised) slice.
    eligible : str, optional
        False for the candidate rows that could not have been shown.
    provider : str, optional
        Who supplies the item (label, seller, channel): a column of the items table.
    timestamp : str, optional
        When the event happened.

    Examples
    --------
    >>> Columns(outcome="purchase", exposure="shown").exposure
    'shown'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    user_id: str = "user_id"
    item_id: str = "item_id"
    outcome: str | None = "rating"
    exposure: str | None = None
    position: str | None = None
    slate: str | None = None
    arm: str | None = None
    logging_propensity: str | None = None
    randomized: str | None = None
    eligible: str | None = None
    provider: str | None = None
    timestamp: str | None = None

    def named(self) -> dict[str, str]:
        """Return role -> column name, for the roles that a column plays."""
        return {role: name for role, name in self if name is not None}


def one_naming(columns: Columns | None, keywords: Columns) -> Columns:
    """Return the naming to use: `columns`, or the keywords, which are sugar for it."""
    if columns is None:
        return keywords
    twice = sorted(
        role for role, name in keywords if name not in (Columns.model_fields[role].default, None)
    )
    if twice:
        raise DataError(
            f"Columns are named twice: columns=... was given and so was {', '.join(twice)}."
            " Put every name into columns=Columns(...), or leave columns out."
        )
    return columns


def resolve_kind(kind: str | None, columns: Columns, available: list[str]) -> tuple[Kind, Columns]:
    """Return the kind of log that these columns make, and the columns it uses.

    Raises
    ------
    DataError
        If the kind is unknown or does not fit the columns; the message says what would.
    """
    if kind is not None and kind not in KINDS:
        raise DataError(f"kind={kind!r} is not a kind of log. The kinds are: {', '.join(KINDS)}.")
    found: Kind = _inferred(columns) if kind is None else kind
    is_default = columns.outcome == Columns.model_fields["outcome"].default
    if kind == "positives" and is_default and columns.outcome not in available:
        columns = columns.model_copy(update={"outcome": None})
    problem = _misfit(found, columns)
    if problem:
        raise DataError(
            f"kind={found!r} does not fit the columns: {problem}."
            f" A log of {found} needs {WHAT_A_KIND_NEEDS[found]}."
        )
    return found, columns


def _inferred(columns: Columns) -> Kind:
    if columns.exposure is not None:
        return "candidates"
    if any(getattr(columns, role) is not None for role in SHOWN_ONLY_ROLES):
        return "impressions"
    return "positives" if columns.outcome is None else "ratings"


def _misfit(kind: Kind, columns: Columns) -> str:
    """Return why this kind does not fit, or an empty string."""
    shown_only = [role for role in SHOWN_ONLY_ROLES if getattr(columns, role) is not None]
    checks = (
        (kind == "candidates" and columns.exposure is None, "no exposure column was named"),
        (
            kind != "candidates" and columns.exposure is not None,
            f"exposure={columns.exposure!r} was named, which makes it a log of candidates"
            " (if every row was shown, leave exposure out)",
        ),
        (
            kind == "positives" and columns.outcome is not None,
            f"outcome={columns.outcome!r} was named, but a log of positives has none",
        ),
        (
            kind != "positives" and columns.outcome is None,
            "outcome=None (if the rows are clicks or plays only, pass kind='positives')",
        ),
        (
            kind == "ratings" and bool(shown_only),
            f"{', '.join(shown_only)} was named, which makes it a log of impressions",
        ),
        (
            kind != "candidates" and columns.eligible is not None,
            f"eligible={columns.eligible!r} names an event column, which only candidates have"
            " (pass a users x items array, or a table of eligible pairs)",
        ),
    )
    return next((problem for is_so, problem in checks if is_so), "")
