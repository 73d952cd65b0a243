"""Whom the effects of several levels speak of: the rows that could have been at each."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.effects._contrast import given_by_level
from causalrec.effects._level_logits import LevelLogits
from causalrec.effects._population import NOTABLE, SupportedRows
from causalrec.errors import OverlapError, OverlapWarning, StudyError
from causalrec.nuisances import PropensityModel, row_propensity

if TYPE_CHECKING:
    from causalrec.effects._contrast import Contrast
    from causalrec.effects._question import Question
    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LevelPopulation(SupportedRows):
    """The rows that could have been at each of the levels.

    Attributes
    ----------
    contrast : Contrast
        Of the supported rows.
    values : float64 (log.n_rows, L)
        P(level | covariates): given, or fitted on all rows.
    template : PropensityModel or None
        The model to cross-fit; None where the propensities were given.
    logits : LevelLogits or None
        The multinomial logit of the supported rows; None where each level has a model of its own.
    notes : tuple of str
        Where the propensities come from.
    weights : float64 (n,) or None
        Of the supported rows.
    """

    contrast: Contrast
    values: Floats
    template: PropensityModel | None
    logits: LevelLogits | None
    notes: tuple[str, ...]
    weights: Floats | None

    @property
    def exposure(self) -> Floats:
        """1 at the first level, 0 at the second, -1 at others."""
        return np.select([self.contrast.codes == 0, self.contrast.codes == 1], [1.0, 0.0], -1.0)


def find_levels(
    log: InteractionLog,
    graph: CausalGraph,
    contrast: Contrast,
    propensity: Any,
    question: Question,
    weights: Floats | None,
) -> LevelPopulation:
    """Decide the supported rows: a propensity of at least the floor at every level compared.

    Warns
    -----
    OverlapWarning
        If more than `NOTABLE` of the rows are set aside.

    Raises
    ------
    OverlapError
        If no row is left at one of the levels.
    """
    values, template, logits, notes = _propensities(
        log, graph, contrast, propensity, question, weights
    )
    inside = np.asarray((values >= question.floor).all(axis=1))
    counted = inside if weights is None else inside & (weights > 0.0)
    left = [int((counted & (contrast.codes == at)).sum()) for at in range(len(contrast.levels))]
    if min(left) == 0:
        counts = ", ".join(f"{n:,} at {name}" for n, name in zip(left, contrast.names, strict=True))
        raise OverlapError(
            f"Of {log.n_rows:,} rows {int(inside.sum()):,} could have been at every level compared"
            f" (propensity of at least {question.floor:g} at each); of these {counts}: nobody is"
            f" left to compare. What decides {contrast.column!r} decides it completely; a"
            " randomised slice of the traffic would help."
        )
    share = float((~inside).mean())
    if share > NOTABLE:
        warnings.warn(
            f"{int((~inside).sum()):,} of {log.n_rows:,} rows ({share:.1%}) could practically never"
            f" be at one of {', '.join(contrast.names)} (propensity below {question.floor:g})."
            " They are set aside: the effect speaks of the others.",
            OverlapWarning,
            stacklevel=4,
        )
    rows = log if inside.all() else log.select(inside)
    kept = None if weights is None else weights[inside]
    of_rows = contrast.select(inside)
    of_them = logits if logits is None or inside.all() else logits.select(inside)
    return LevelPopulation(log, rows, inside, of_rows, values, template, of_them, notes, kept)


def _propensities(
    log: InteractionLog,
    graph: CausalGraph,
    contrast: Contrast,
    given: Any,
    question: Question,
    weights: Floats | None,
) -> tuple[Floats, PropensityModel | None, LevelLogits | None, tuple[str, ...]]:
    """Return P(level | covariates) of all rows, and what to cross-fit if none were given."""
    if isinstance(given, Mapping):
        said = f"The propensities of {contrast.column!r} were given, value by value."
        return given_by_level(given, log, contrast), None, None, (said,)
    if given is not None and not _unfitted(given):
        raise StudyError(
            f"propensity= of one number a row is the probability of one value of"
            f" {contrast.column!r}; the contrast needs one for each. Give a dict,"
            f" {{{', '.join(f'{level!r}: ...' for level in contrast.levels)}}}, of columns or"
            " arrays; or an unfitted PropensityModel; or nothing: they are then estimated."
        )
    template = PropensityModel(random_state=question.random_state) if given is None else given
    found = np.empty((log.n_rows, len(contrast.levels)))
    models = []
    for place in range(len(contrast.levels)):
        level_log = contrast.indicator_log(log, place)
        models.append(template.clone().fit(level_log, graph, weights=weights))
        found[:, place] = row_propensity(models[-1], level_log)
    notes = models[-1].notes_
    logits = LevelLogits.of(contrast, models, found, weights)
    if logits is not None:
        found = logits.instead_of(found)
    if log.logging_propensity is not None:
        notes = (
            *notes,
            f"The log's {log.columns.logging_propensity!r} is the probability of what was shown,"
            f" not of each value of {contrast.column!r} given that it was shown, and is not used:"
            " give propensity={value: column} if the policy is known.",
        )
    return found, template, logits, notes


def _unfitted(given: Any) -> bool:
    return isinstance(given, PropensityModel) and not hasattr(given, "of_")
