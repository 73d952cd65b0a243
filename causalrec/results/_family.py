"""The declared multiplicity family, in words."""

from __future__ import annotations

from typing import Literal

Correction = Literal["holm", "bh", "sup-t", "none"]

_IN_WORDS: dict[Correction, str] = {
    "holm": "corrected together by Holm (family-wise error: the chance of any false verdict)",
    "bh": "screened together by Benjamini-Hochberg (false discovery rate)",
    "sup-t": "under one simultaneous band (sup-t: it covers all of them at once)",
    "none": "without correction: each interval stands alone, and is not to be picked from",
}


def multiplicity(size: int, correction: Correction, what: str = "contrasts") -> str:
    """Return the text of `Result.family`: which numbers were judged together, and how.

    Parameters
    ----------
    size : int
        How many numbers the family has.
    correction : {"holm", "bh", "sup-t", "none"}
        Holm for verdicts, BH for screens, sup-t for the largest or the best of several.
    what : str
        The plural noun of the members.

    Returns
    -------
    str

    Examples
    --------
    >>> multiplicity(6, "holm", "gaps between groups")[:47]
    'One family of 6 gaps between groups, corrected '
    """
    if size == 1:
        return f"A family of one ({what}): there is nothing to correct for."
    return f"One family of {size} {what}, {_IN_WORDS[correction]}."
