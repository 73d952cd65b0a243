"""Thresholds on a study's numbers, so that a pipeline can fail when one is breached."""

from __future__ import annotations

from collections.abc import Callable

from causalrec.errors import StudyError, near_miss
from causalrec.results import Result

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
}
_FIELDS = ("value", "lower", "upper", "p_value", "p_adjusted")


def breaches(result: Result, thresholds: list[str]) -> list[str]:
    """Return the thresholds that hold, each with the figure that breaches it.

    Parameters
    ----------
    result : Result
        A study's result.
    thresholds : list of str
        Each "QUESTION/LABEL.FIELD > NUMBER" (or <): FIELD is value, lower, upper, p_value or
        p_adjusted. "audit/gap: f - m.lower > 0.1" breaches where the interval lies above 0.1.

    Raises
    ------
    StudyError
        If a threshold cannot be read, or names a number that the result does not have.

    Examples
    --------
    >>> from causalrec.results import Row
    >>> row = Row(label="effect", value=0.2, lower=0.1, upper=0.3)
    >>> section = Result(kind="effect", title="Effect", name="sells", rows=(row,))
    >>> study = Result(kind="study", title="Study", sections=(section,))
    >>> breaches(study, ["sells/effect.lower > 0.05"])
    ['sells/effect.lower > 0.05 (it is 0.1)']
    """
    found = []
    for threshold in thresholds:
        operator = next((o for o in _OPERATORS if f" {o} " in threshold), None)
        if operator is None:
            raise StudyError(f"--fail-on {threshold!r}: write 'QUESTION/LABEL.lower > 0.1'.")
        name, _, number = threshold.rpartition(f" {operator} ")
        try:
            limit = float(number)
        except ValueError:
            raise StudyError(f"--fail-on {threshold!r}: {number!r} is not a number.") from None
        figure = _figure(result, name.strip(), threshold)
        if figure is not None and _OPERATORS[operator](figure, limit):
            found.append(f"{threshold} (it is {figure:.4g})")
    return found


def _figure(result: Result, name: str, threshold: str) -> float | None:
    place, _, field = name.rpartition(".")
    question, _, label = place.partition("/")
    if field not in _FIELDS or not label:
        raise StudyError(
            f"--fail-on {threshold!r}: write 'QUESTION/LABEL.FIELD > NUMBER' with FIELD one of"
            f" {', '.join(_FIELDS)}."
        )
    for section in result.sections:
        if section.name == question:
            for row in section.rows:
                if row.label == label:
                    value = getattr(row, field)
                    return None if value is None else float(value)
            labels = ", ".join(repr(row.label) for row in section.rows)
            raise StudyError(
                f"--fail-on {threshold!r}: {question} has no {label!r}, only {labels}."
            )
    hint = near_miss(question, [section.name for section in result.sections])
    raise StudyError(f"--fail-on {threshold!r}: the study has no question {question!r}.{hint}")
