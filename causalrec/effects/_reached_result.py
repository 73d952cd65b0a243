"""`ReachedResult`: an effect by an instrument or a front door, and what it cannot be asked."""

from __future__ import annotations

from typing import Any

from causalrec.effects._result import EffectResult
from causalrec.errors import StudyError

NEEDS_ADJUSTMENT = ("computation", "columns", "propensity")
"""Numbers that the verbs need, and that only an adjustment for the exposure has."""
INSTRUMENT = (
    "This effect is reached by an instrument, without adjusting for the exposure, which the verb"
    " needs: for groups, select their rows (log.select) and ask estimate_effect of each; to refute"
    " or bound it, make a log with the instrument as its exposure and ask that effect. An effect of"
    " the instrument past the exposure, as large as the row 'intention to treat', would leave"
    " nothing of it."
)
FRONT_DOOR = (
    "This effect is reached by a front door, without adjusting for the exposure, which the verb"
    " needs: for groups, select their rows (log.select) and ask estimate_effect of each; to refute"
    " it, name a negative-control outcome as the outcome of log and graph. An effect past the"
    " mediator would overturn it: ask estimate_paths of a graph that draws it."
)


class ReachedResult(EffectResult):
    """The effect by an instrument or a front door.

    Value, interval and `estimate` are those of any effect; a verb that needs an adjustment for the
    exposure says what to ask instead.
    """

    def internal(self, name: str) -> Any:
        """Return a numeric internal, or say what to ask instead of the verb that needs it."""
        if name in NEEDS_ADJUSTMENT and "instead" in self._internals:
            raise StudyError(self._internals["instead"])
        return super().internal(name)
