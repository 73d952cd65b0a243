"""Thresholds on a study's numbers, so that a pipeline can fail when one is breached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from causalrec.errors import StudyError, near_miss
from causalrec.results import Result

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
}
_FIELDS = ("value", "lower", "upper", "p_value", "p_adjusted")


@dataclass(frozen=True)
class Threshold:
    """One figure of a study, and the limit that it must not pass.

    Attributes
    ----------
    text : str
        As it was written.
    question, label, field : str
        Which figure: `field` is value, lower, upper, p_value or p_adjusted.
    operator : ">" or "<"
    limit : float
    """

    text: str
    question: str
    label: str
    field: str
    operator: str
    limit: float

    @classmethod
    def read(cls, text: str) -> Threshold:
        """Read "QUESTION/LABEL.FIELD > NUMBER" (or <).

        Raises
        ------
        StudyError
            If the text is not of that form.

        Examples
        --------
        >>> Threshold.read("audit/gap: f - m.lower > 0.1").label
        'gap: f - m'
        """
        operator = next((o for o in _OPERATORS if f" {o} " in text), None)
        if operator is None:
            raise StudyError(f"--fail-on {text!r}: write 'QUESTION/LABEL.lower > 0.1'.")
        name, _, number = text.rpartition(f" {operator} ")
        try:
            limit = float(number)
        except ValueError:
            raise StudyError(f"--fail-on {text!r}: {number!r} is not a number.") from None
        place, _, field = name.strip().rpartition(".")
        question, _, label = place.partition("/")
        if field not in _FIELDS or not label:
            raise StudyError(
                f"--fail-on {text!r}: write 'QUESTION/LABEL.FIELD > NUMBER' with FIELD one of"
                f" {', '.join(_FIELDS)}."
            )
        return cls(text, question, label, field, operator, limit)

    def figure(self, result: Result) -> float | None:
        """Return the figure, or None where the result has no number there."""
        section = next(s for s in result.sections if s.name == self.question)
        for row in section.rows:
            if row.label == self.label:
                value = getattr(row, self.field)
                return None if value is None else float(value)
        labels = ", ".join(repr(row.label) for row in section.rows)
        raise StudyError(
            f"--fail-on {self.text!r}: {self.question} has no {self.label!r}, only {labels}."
        )


def read_thresholds(texts: Sequence[str], questions: Sequence[str]) -> tuple[Threshold, ...]:
    """Read thresholds before a study runs, so that a slip costs no run.

    Parameters
    ----------
    texts : sequence of str
        Each "QUESTION/LABEL.FIELD > NUMBER" (or <).
    questions : sequence of str
        The names of the study's questions.

    Raises
    ------
    StudyError
        If one cannot be read, or names a question that the study does not have.
    """
    thresholds = tuple(map(Threshold.read, texts))
    for threshold in thresholds:
        if threshold.question not in questions:
            raise StudyError(
                f"--fail-on {threshold.text!r}: the study has no question"
                f" {threshold.question!r}.{near_miss(threshold.question, questions)}"
            )
    return thresholds


def breaches(result: Result, thresholds: Sequence[Threshold]) -> list[str]:
    """Return the thresholds that hold, each with the figure that breaches it.

    Parameters
    ----------
    result : Result
        A study's result.
    thresholds : sequence of Threshold
        "audit/gap: f - m.lower > 0.1" breaches where the interval lies above 0.1.

    Raises
    ------
    StudyError
        If one names a number that the result does not have.

    Examples
    --------
    >>> from causalrec.results import Row
    >>> row = Row(label="effect", value=0.2, lower=0.1, upper=0.3)
    >>> section = Result(kind="effect", title="Effect", name="sells", rows=(row,))
    >>> study = Result(kind="study", title="Study", sections=(section,))
    >>> breaches(study, read_thresholds(["sells/effect.lower > 0.05"], ["sells"]))
    ['sells/effect.lower > 0.05 (it is 0.1)']
    """
    found = []
    for threshold in thresholds:
        figure = threshold.figure(result)
        if figure is not None and _OPERATORS[threshold.operator](figure, threshold.limit):
            found.append(f"{threshold.text} (it is {figure:.4g})")
    return found
