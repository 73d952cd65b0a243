"""The families of measures that an audit of lists can have, and which of them were asked for."""

from __future__ import annotations

from collections.abc import Sequence

from causalrec.errors import StudyError, near_miss

MEASURES = {
    "popularity": "average popularity, share and number of the tail, popularity lift by user group",
    "concentration": "Gini, entropy and Herfindahl index of exposure, coverage, tail coverage",
    "exposure": "attention an item of each group gets, and its ratio (demographic parity)",
    "target": "distance of the groups' shares of attention from a recorded target (AWRF)",
    "deviation": "how far lists depart from a user's own profile in popularity (UPD)",
    "opportunity": "chance of a place, of any item (RSP) and of a relevant one (REO)",
    "merit": "attention and outcomes an item gets for its merit (DTR, DIR), inequity of attention",
    "expected exposure": "disparity, relevance and loss of expected exposure (EED, EER, EEL)",
    "unfairness": "how differently a model errs on the same items by user group (Yao & Huang)",
    "miscalibration": "how far lists are from what histories ask for, by user group (Steck)",
    "trends": "concentration, entropy and gaps from window to window, where there are timestamps",
}
DEFAULT = ("popularity", "concentration", "exposure")
NOT_OF_LISTS = frozenset({"unfairness", "trends"})
"""Families of predictions and of a log's rows: for these alone no lists are made."""


def checked_measures(asked: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the families in the order of `MEASURES`; "all" is every one of them.

    Parameters
    ----------
    asked : str, sequence of str, or None
        None for the default.

    Raises
    ------
    StudyError
        For a name that is not known.

    Examples
    --------
    >>> checked_measures(["merit", "exposure"])
    ('exposure', 'merit')
    """
    if asked is None:
        return DEFAULT
    names = (asked,) if isinstance(asked, str) else tuple(asked)
    if names == ("all",):
        return tuple(MEASURES)
    for name in names:
        if name not in MEASURES:
            listed = "; ".join(f"{known!r}: {words}" for known, words in MEASURES.items())
            raise StudyError(
                f"measures has no family {name!r}.{near_miss(name, MEASURES)} The families are"
                f" {listed}. 'all' is every one of them."
            )
    return tuple(name for name in MEASURES if name in names)
