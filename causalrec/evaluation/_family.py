"""One declared family of tests across several results."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import numpy as np

from causalrec.errors import StudyError
from causalrec.inference import benjamini_hochberg, holm
from causalrec.results import Result, Row, format_cell, multiplicity

ALPHA = 0.05


def family(*results: Result, method: Literal["holm", "bh"] = "holm") -> Result:
    """Judge every test of several results together.

    Parameters
    ----------
    *results : Result
        Every row with a p-value is in the family, whatever its result corrected for.
    method : {"holm", "bh"}
        Holm (1979) for verdicts: the chance of any false one. Benjamini & Hochberg (1995) for
        screens: the expected share of false ones.

    Returns
    -------
    Result
        Of kind "family": the rows with their `p_adjusted` within the whole family. Labels that
        occur in several results get the result's number in front.

    Raises
    ------
    StudyError
        If there is no result, no p-value, or an unknown method.

    Examples
    --------
    >>> from causalrec.results import Result, Row
    >>> one = Result(kind="effect", title="A", rows=(Row(label="a", value=1.0, p_value=0.01),))
    >>> two = Result(kind="effect", title="B", rows=(Row(label="b", value=1.0, p_value=0.04),))
    >>> [row.p_adjusted for row in family(one, two).rows]
    [0.02, 0.04]
    """
    if method not in {"holm", "bh"}:
        raise StudyError(f"method={method!r} is not known: 'holm' (verdicts) or 'bh' (screens).")
    found = [
        (number, row)
        for number, result in enumerate(results, start=1)
        for row in result.rows
        if row.p_value is not None
    ]
    if not found:
        raise StudyError("None of the results has a p-value: there is no family to correct.")
    correct = holm if method == "holm" else benjamini_hochberg
    adjusted = correct(np.array([row.p_value for _, row in found], dtype=np.float64))
    repeated = Counter(row.label for _, row in found)
    rows = tuple(
        row.model_copy(
            update={
                "label": f"{number}. {row.label}" if repeated[row.label] > 1 else row.label,
                "p_adjusted": float(p),
            }
        )
        for (number, row), p in zip(found, adjusted, strict=True)
    )
    return Result(
        kind="family",
        title="Tests judged together",
        question="Which differences stand, given how many were looked at?",
        answer=_answer(rows),
        rows=rows,
        family=multiplicity(len(rows), method, "tests"),
        notes=tuple(f"{n}. {result.title}" for n, result in enumerate(results, start=1)),
    )


def _answer(rows: tuple[Row, ...]) -> str:
    kept = [row for row in rows if row.p_adjusted is not None and row.p_adjusted < ALPHA]
    text = f"{len(kept)} of {len(rows)} tests stand at {ALPHA:g} within the family"
    if not kept:
        return text + "."
    named = "; ".join(
        f"{row.label} (adjusted p = {format_cell(row.p_adjusted)})" for row in kept[:5]
    )
    return f"{text}: {named}{'; ...' if len(kept) > 5 else ''}."
