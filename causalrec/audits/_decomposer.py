"""How a decomposition is computed: rows with support, and repeats with other folds."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from causalrec.audits._decomposition_fits import Bools, Codes, Floats, RowFeatures, deal_folds
from causalrec.audits._decomposition_parts import Parts
from causalrec.audits._exposure_parts import ExposureRows, exposure_parts
from causalrec.audits._fairness_parts import FairnessRows, R, S, Z, fairness_parts
from causalrec.audits._interventional_parts import InterventionalRows, interventional_parts
from causalrec.errors import DataError, OverlapWarning
from causalrec.nuisances import Propensity, resolve_propensity, row_propensity

if TYPE_CHECKING:
    from causalrec.audits._decomposition_graph import Pathways
    from causalrec.audits._decomposition_question import GapQuestion
    from causalrec.interactions import InteractionLog

NOTABLE = 0.01
"""A share of rows set aside above this is warned about; a smaller one is only counted."""
MOST_LEVELS = 10
"""A mediator of interventional parts with more levels has no law that a few rows can tell."""


class GapRows(Protocol):
    """The rows of the two groups as one of the methods reads them."""

    @property
    def outcome(self) -> Floats:
        """Outcomes (n,)."""
        ...

    def rows(self, inside: Bools | Codes) -> Self:
        """Return some of the rows."""
        ...

    def has_arms(self) -> bool:
        """Return whether there is anything to compare."""
        ...


@dataclass(frozen=True, eq=False)
class Computed:
    """The parts of a gap, and what they were computed from.

    Attributes
    ----------
    rows : GapRows
        The supported rows.
    supported : bool (n,)
        Which of the rows of the two groups they are.
    parts : Parts or None
        Of the repeat that was kept; None where the groups have nothing in common to compare.
    behind : list of dict
        What stands behind each group or step.
    spread : float64 (parts,)
        Largest minus smallest value over the repeats.
    """

    rows: GapRows
    supported: Bools
    parts: Parts | None
    behind: list[dict[str, float]]
    spread: Floats


def read_rows(question: GapQuestion, pathways: Pathways) -> GapRows:
    """Return the rows of the two groups as the method reads them.

    Raises
    ------
    DataError
        If the graph's outcome or a covariate has no column, or the mediator cannot be used.
    """
    log = question.log
    outcome = outcome_of(question, pathways.outcome)
    given, model = _propensity(question)
    before = RowFeatures.of(log, pathways.before)
    if question.method == "exposure":
        assert log.exposure is not None  # candidates have one
        exposure = log.exposure.astype(np.float64)
        return ExposureRows(
            outcome, exposure, question.side, before, given, question.outcome_model, model
        )
    features = {Z: before}
    if question.effect == "natural":
        if pathways.allowed:
            features[S] = RowFeatures.of(log, (*pathways.before, *pathways.allowed))
        if pathways.others:
            every = (*pathways.before, *pathways.allowed, *pathways.others)
            features[R] = RowFeatures.of(log, every)
    fairness = FairnessRows(outcome, question.side, features, question.outcome_model, model)
    if question.effect == "natural":
        return fairness
    levels, codes = _mediator(log, pathways.allowed)
    between = RowFeatures.of(log, (*pathways.before, *pathways.between))
    return InterventionalRows(fairness, between, codes, levels)


def outcome_of(question: GapQuestion, column: str) -> Floats:
    """Return the outcome of each row: the log's, or another column that the graph names."""
    log = question.log
    if column == log.columns.outcome or question.method == "exposure":
        assert log.outcome is not None  # candidates and impressions have one
        return log.outcome
    values = log.column(column)
    if values.dtype.kind not in "biuf" and str(values.dtype) not in {"Int64", "Float64"}:
        raise DataError(f"The graph's outcome, column {column!r}, is not numeric: no gap in it.")
    return values.to_numpy(dtype=np.float64)


def _propensity(question: GapQuestion) -> tuple[Floats | None, Any]:
    """Return given propensities of the rows, or a model of the exposure (of the group)."""
    asked, log = question.propensity, question.log
    if question.method == "exposure":
        if asked is None and log.logging_propensity is None:
            return None, None
        if asked is None or isinstance(asked, Propensity | str | float) or np.ndim(asked) > 0:
            whole = question.whole
            found = row_propensity(resolve_propensity(asked, whole), whole)
            return found[_inside(question)], None
    return None, asked


def _inside(question: GapQuestion) -> Bools:
    codes = question.attribute.codes
    log = question.whole
    place = [question.attribute.levels.index(one) for one in (question.first, question.second)]
    at = codes[log.user_codes if question.attribute.entity == "user" else log.item_codes]
    return np.isin(at, place)


def _mediator(log: InteractionLog, columns: tuple[str, ...]) -> tuple[int, Codes]:
    if len(columns) != 1:
        raise DataError(
            f"Interventional parts are of one allowed mediator, and there are {len(columns)}"
            f" ({', '.join(columns)}): name one in allowed_mediators=[...]."
        )
    levels, codes = np.unique(log.column(columns[0]).astype(str), return_inverse=True)
    if not 2 <= len(levels) <= MOST_LEVELS:
        raise DataError(
            f"The mediator {columns[0]!r} has {len(levels):,} values: interventional parts take"
            f" 2 to {MOST_LEVELS}. Cut it into a few named levels (pandas.cut), and add that"
            " column."
        )
    return len(levels), codes.astype(np.int64)


def compute(question: GapQuestion, rows: GapRows) -> Computed:
    """Return the parts, by the repeat nearest to all the others.

    Warns
    -----
    OverlapWarning
        If more than `NOTABLE` of the rows are set aside.
    """
    everybody = np.ones(len(rows.outcome), dtype=bool)
    supported = everybody
    if rows.has_arms():
        supported = _supported(question, rows)
    kept = rows.rows(supported) if supported.any() else rows
    if not supported.any() or not kept.has_arms():
        return Computed(rows, supported, None, [], np.zeros(0))
    _warn(supported, question.floor)
    subjects = question.subjects[supported]
    found = []
    for seed in question.seeds():
        fold = deal_folds(subjects, question.n_folds, np.random.default_rng(seed))
        found.append(parts_by(kept, fold, question.floor, question.random_state))
    values = np.array([parts.values for parts, _ in found])
    apart = np.abs(values[:, None, :] - values[None, :, :]).sum(axis=(1, 2))
    parts, behind = found[int(np.argmin(apart))]
    return Computed(kept, supported, parts, behind, np.ptp(values, axis=0))


def parts_by(
    rows: Any, fold: Codes, floor: float, seed: int | None
) -> tuple[Parts, list[dict[str, float]]]:
    """Return parts and diagnostics of rows, by whichever method they were read for."""
    if isinstance(rows, ExposureRows):
        return exposure_parts(rows, fold, floor=floor, seed=seed)
    if isinstance(rows, FairnessRows):
        return fairness_parts(rows, fold, floor=floor, seed=seed)
    return interventional_parts(rows, fold, floor=floor, seed=seed)


def _supported(question: GapQuestion, rows: Any) -> Bools:
    """Return the rows of either group that could have been otherwise.

    A linear model is fitted once on all rows; another learns its own rows by heart, so it is
    cross-fitted here too.
    """
    floor, seed = question.floor, question.random_state
    fold = np.zeros(len(rows.outcome), dtype=np.int64)
    if question.propensity is not None:
        fold = deal_folds(question.subjects, question.n_folds, np.random.default_rng(seed))
    if isinstance(rows, ExposureRows):
        p, _ = rows.propensity(fold, seed)
        return np.asarray((p >= floor) & (p <= 1.0 - floor))
    found: Bools = rows.supported(fold, floor, seed)
    return found


def _warn(supported: Bools, floor: float) -> None:
    aside = int((~supported).sum())
    if aside > NOTABLE * len(supported):
        warnings.warn(
            f"{aside:,} of {len(supported):,} rows of the two groups have no counterpart"
            f" (probability outside [{floor:g}, {1 - floor:g}]). They are set aside: the parts"
            " speak of the others.",
            OverlapWarning,
            stacklevel=4,
        )
