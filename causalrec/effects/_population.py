"""Whom the effect speaks of: the rows with support, decided once."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import OverlapError, OverlapWarning
from causalrec.nuisances import (
    KnownPropensity,
    Propensity,
    PropensityModel,
    Support,
    resolve_propensity,
    row_propensity,
    support,
)

if TYPE_CHECKING:
    from causalrec.effects._question import Question
    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

NOTABLE = 0.01
"""A share of rows set aside above this is warned about; a smaller one is only counted."""


@dataclass(frozen=True, eq=False)
class SupportedRows:
    """A log and those of its rows that an effect speaks of.

    Attributes
    ----------
    log, rows : InteractionLog
        All rows, and the supported ones.
    supported : bool (log.n_rows,)
    """

    log: InteractionLog
    rows: InteractionLog
    supported: Bools

    @property
    def n_set_aside(self) -> int:
        """Rows without support."""
        return int((~self.supported).sum())

    @property
    def n_users(self) -> int:
        """Users with a supported row."""
        return int(np.unique(self.rows.user_codes).size)

    @property
    def outcome(self) -> Floats:
        """Outcomes of the supported rows."""
        assert self.rows.outcome is not None  # candidates and impressions have one
        return self.rows.outcome


@dataclass(frozen=True, eq=False)
class Population(SupportedRows):
    """The supported rows of a log, and where their propensities come from.

    Attributes
    ----------
    support : Support
    propensity : Propensity
        What decided the support: given, or fitted on all rows.
    values : float64 (log.n_rows,)
        Its values.
    template : PropensityModel or None
        The model to cross-fit on the supported rows; None where the propensities were given.
    """

    support: Support
    propensity: Propensity
    values: Floats
    template: PropensityModel | None
    weights: Floats | None = None
    """Of the supported rows; None where they count alike."""

    @property
    def exposure(self) -> Floats:
        """Exposures of the supported rows."""
        assert self.rows.exposure is not None  # candidates have one
        return self.rows.exposure.astype(np.float64)

    def known(self, values: Floats, note: str, covariates: tuple[str, ...]) -> KnownPropensity:
        """Return propensities of all rows of the log: these on the supported ones."""
        everywhere = self.values.copy()
        everywhere[self.supported] = values
        return KnownPropensity(everywhere, of="exposure", covariates=covariates, note=note)


def find_population(
    log: InteractionLog,
    graph: CausalGraph,
    propensity: Any,
    question: Question,
    weights: Floats | None = None,
) -> Population:
    """Decide the supported rows, from the propensities given or from a logistic fit on all rows.

    `weights` are those of all rows, or None.

    Warns
    -----
    OverlapWarning
        If more than `NOTABLE` of the rows are set aside.

    Raises
    ------
    OverlapError
        If no row is left, or only rows of one arm.
    """
    chosen, template = _propensity(log, graph, propensity, question, weights)
    found = support(chosen, log, question.floor)
    inside = found.rows()
    exposure = log.exposure
    assert exposure is not None  # candidates have one
    exposed = int((exposure[inside] == 1).sum())
    counted = inside if weights is None else inside & (weights > 0.0)
    if np.unique(exposure[counted]).size < 2:
        raise OverlapError(
            f"Of {log.n_rows:,} rows {int(inside.sum()):,} have a propensity within"
            f" [{question.floor:g}, {1 - question.floor:g}], and {exposed:,} of these were exposed:"
            " nobody is left to compare. What decides the exposure decides it completely; no"
            " adjustment can help. A randomised slice of the traffic would."
        )
    if found.share_unsupported > NOTABLE:
        aside = log.n_rows - int(inside.sum())
        warnings.warn(
            f"{aside:,} of {log.n_rows:,} rows ({found.share_unsupported:.1%}) could practically"
            f" never be in one of the arms (propensity outside [{question.floor:g},"
            f" {1 - question.floor:g}]). They are set aside: the effect speaks of the others.",
            OverlapWarning,
            stacklevel=3,
        )
    rows = log if inside.all() else log.select(inside)
    values = row_propensity(chosen, log)
    kept = None if weights is None else weights[inside]
    return Population(log, rows, inside, found, chosen, values, template, kept)


def _propensity(
    log: InteractionLog,
    graph: CausalGraph,
    propensity: Any,
    question: Question,
    weights: Floats | None,
) -> tuple[Propensity, PropensityModel | None]:
    """Return what decides the support, and the model to cross-fit if nothing was given."""
    unfitted = isinstance(propensity, PropensityModel) and not hasattr(propensity, "of_")
    if unfitted or (propensity is None and log.logging_propensity is None):
        template = propensity if unfitted else PropensityModel(random_state=question.random_state)
        return template.clone().fit(log, graph, weights=weights), template
    return resolve_propensity(propensity, log, graph), None
