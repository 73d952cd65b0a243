"""`ContrastResult`: an effect of other values than 0 and 1, with the verbs that answer for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from causalrec.effects._result import EffectResult
from causalrec.errors import StudyError
from causalrec.results import DEFAULT_MIN_CELL, Result

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

WORKS_ON_TWO_ARMS = ("computation", "propensity", "support", "columns")
"""Numbers that the verbs need and that only two arms, counted alike, have."""


class ContrastResult(EffectResult):
    """The effect of a value of an exposure against another, or against each of several.

    Where the rows are those of two arms it has every verb of an effect; the average over rows of
    other values too, and an effect on weighted rows, have `by` and the intervals.
    """

    @property
    def naive(self) -> float:
        """The (first) difference of the observed means, unadjusted."""
        found = next(row.value for row in self.rows if row.estimator == "naive")
        return float("nan") if found is None else found

    def interval(self, level: float | None = None) -> tuple[float, float]:
        """Return the confidence interval of the first effect; simultaneous where several are."""
        several = [row.label for row in self.rows if row.metric == self.rows[0].metric]
        several = [name for name in several if not self[name].derived_from]
        row = self.rows[0]
        if level is None or level == row.level or "simultaneous" not in row.interval_method:
            return super().interval(level)
        adjusted = [name for name in several if self[name].estimator != "naive"]
        lower, upper = self.estimate[adjusted].simultaneous_interval(level)[0].tolist()
        return lower, upper

    def internal(self, name: str) -> Any:
        """Return a numeric internal, or say which question has the verb that asked for it."""
        if name in WORKS_ON_TWO_ARMS and name not in self._internals and "why" in self._internals:
            raise StudyError(self._internals["why"])
        return super().internal(name)

    def by(self, column: str, *, min_cell: int = DEFAULT_MIN_CELL) -> Result:
        """Return the effect in each group of a column: see `EffectResult.by`."""
        from causalrec.effects._groups import effect_by

        if len(self._internals.get("levels", ())) > 4:  # adjusted and observed means of two
            raise StudyError(
                "The effects are of one value against several: ask for a contrast of two to have"
                " it by group."
            )
        return effect_by(self.internal("by"), self, column, min_cell)

    def refute(self, log: InteractionLog, **options: Any) -> Result:
        """Return attempts to refute it: see `EffectResult.refute`."""
        self.internal("computation")  # refuse before the log is read
        as_asked = self.internal("as_asked")
        return super().refute(as_asked(log), **options)


def no_verb(reason: str, way_out: str) -> str:
    """Return why a verb is refused.

    Examples
    --------
    >>> no_verb("The rows are weighted", "Leave the weights out.")
    'The rows are weighted, which this verb has no answer for; by, interval and estimate have. \
Leave the weights out.'
    """
    return f"{reason}, which this verb has no answer for; by, interval and estimate have. {way_out}"


def as_contrast(result: EffectResult, update: dict[str, Any], **internals: Any) -> ContrastResult:
    """Return an effect with other words, and other numbers beside it."""
    fields = {name: getattr(result, name) for name in type(result).model_fields}
    found = ContrastResult(**(fields | update))
    found._internals = {**result._internals, **internals}
    return found


def simultaneous(rows: Any, band: Any) -> tuple[Any, ...]:
    """Return rows with the ends of a simultaneous band, where they have an interval."""
    return tuple(
        row
        if row.lower is None or not np.isfinite(ends).all()
        else row.model_copy(update={"lower": float(ends[0]), "upper": float(ends[1])})
        for row, ends in zip(rows, band, strict=True)
    )
