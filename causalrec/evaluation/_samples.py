"""Metrics of all cells together that are no sums: pairs of cells, bins of them.

They are smooth in the weights of the cells, so 1/p (or the doubly robust score in place of the
outcome) makes them those of the population, up to terms that vanish with the number of cells. Each
is linearised at its value: every cell has an influence, and clusters, pairs of models and
differences between estimators work as for sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from causalrec.errors import DataError, StudyError
from causalrec.evaluation._cells import CellBlock, CellSource, Coverage
from causalrec.evaluation._engine import NEEDS_EVERY_CELL, NEEDS_MEAN, NEEDS_WEIGHT, key
from causalrec.evaluation._law import Gain, OutcomeLaw
from causalrec.evaluation._recommenders import FloatArray
from causalrec.evaluation._terms import ModelMetric
from causalrec.evaluation.metrics import (
    area_under_curve,
    equal_count_bins,
    signed_miss,
)
from causalrec.inference import Estimate
from causalrec.scores import Score

MOST_CELLS = 50_000_000
"""More cells than this are not held at once."""


@dataclass(frozen=True, eq=False)
class _Column:
    """One number as rows of a ratio: above, below, what the recording made random, weights."""

    above: FloatArray
    below: FloatArray
    random: FloatArray
    weight: FloatArray


class _Made(Protocol):
    def __call__(
        self, prediction: FloatArray, outcome: FloatArray, mean: FloatArray | None, cells: _Cells
    ) -> _Column:
        """Return the rows of the ratio."""


@dataclass(frozen=True, eq=False)
class _Cells:
    """The members of the population that an estimator looks at, with its weights.

    Attributes
    ----------
    weight : float64 array (n,)
        0 where the outcome is not recorded.
    chance : float64 array (n,)
        Probability of being recorded.
    observed : bool array (n,)
    quarter : int array (n,)
        Which of even and odd places of the user and the item table it has: 0 to 3.
    by_mean, by_count : bool
        The outcome model speaks for every cell; sums are divided by cells, not by weights.
    """

    weight: FloatArray
    chance: FloatArray
    observed: npt.NDArray[np.bool_]
    quarter: npt.NDArray[np.integer]
    by_mean: bool
    by_count: bool


def sample_estimate(
    source: CellSource,
    terms: Sequence[ModelMetric],
    estimators: Sequence[str],
    *,
    law: OutcomeLaw | None,
    gain: Gain | None,
    sampled: tuple[str, ...],
    level: float,
) -> Estimate:
    """Estimate every term by every estimator, jointly.

    Parameters
    ----------
    source : CellSource
    terms : sequence of ModelMetric
    estimators : sequence of str
    law : OutcomeLaw, optional
        For "dr".
    gain : Gain, optional
        Which outcomes are relevant, for "auc".
    sampled : tuple of "user", "item"
    level : float

    Raises
    ------
    DataError
        If all recorded outcomes are relevant, or none is: then there is no area.
    StudyError
        If more cells than `MOST_CELLS` would be held at once.
    """
    if NEEDS_EVERY_CELL & set(estimators):
        source = replace(source, every_cell=True)
        if source.log.n_eligible > MOST_CELLS:
            raise StudyError(
                f"auc and calibration-error by {', '.join(estimators)} hold all"
                f" {source.log.n_eligible:,} cells at once. Ask for estimator='snips', which needs"
                " the recorded ones."
            )
    cells = _members(source, [term.model for term in terms])
    columns, labels = [], []
    for term in terms:
        for estimator in estimators:
            labels.append(key(term, estimator))
            columns.append(_column(term, estimator, cells, source, law, gain))
    above, below, random, weight = (
        np.column_stack([getattr(c, name) for c in columns])
        for name in ("above", "below", "random", "weight")
    )
    return Estimate.from_score(
        Score(above, below, weight=weight, design_residual=None if sampled else random),
        {"user": cells.users, "item": cells.items},
        labels,
        sampled=sampled,
        level=level,
        one_row_per_cell=source.log.kind == "ratings" or source.log.one_row_per_cell,
    )


def _members(source: CellSource, models: Sequence[str]) -> CellBlock:
    """Return all members of the population that the source has, as one block."""
    kept = [block.take(block.member) for block in source.blocks(Coverage())]
    if not any(block.observed.any() for block in kept):
        raise DataError(
            "There is no recorded cell in the population: look at log.support(propensity,"
            " floor=...), and at the cells that were excluded."
        )
    means = [block.mean for block in kept if block.mean is not None]
    return CellBlock(
        users=np.concatenate([block.users for block in kept]),
        items=np.concatenate([block.items for block in kept]),
        observed=np.concatenate([block.observed for block in kept]),
        outcome=np.concatenate([block.outcome for block in kept]),
        propensity=np.concatenate([block.propensity for block in kept]),
        member=np.concatenate([block.member for block in kept]),
        mean=np.concatenate(means) if means else None,
        predictions={
            name: np.concatenate([block.predictions[name] for block in kept]) for name in models
        },
    )


def _column(
    term: ModelMetric,
    estimator: str,
    block: CellBlock,
    source: CellSource,
    law: OutcomeLaw | None,
    gain: Gain | None,
) -> _Column:
    observed = block.observed
    weighted = estimator in NEEDS_WEIGHT
    rate = float(observed.sum()) / max(source.log.n_eligible, 1)
    cells = _Cells(
        weight=observed / block.propensity if weighted else observed.astype(np.float64),
        chance=block.propensity if weighted else np.full(len(block), min(rate, 1.0)),
        observed=observed,
        quarter=2 * (block.users % 2) + block.items % 2,
        by_mean=estimator in NEEDS_MEAN,
        by_count=estimator in NEEDS_EVERY_CELL,
    )
    outcome, mean = block.outcome, block.mean if cells.by_mean else None
    if term.definition.definition.outcome == "relevance":
        assert gain is not None  # the question has one where relevance is asked for
        outcome = gain.of(outcome)
        if mean is not None:
            assert law is not None  # there is a law where there is an outcome model
            mean = law.gain(mean, gain)
    made: _Made = _area if term.definition.definition.name == "auc" else _miscalibration
    return made(block.predictions[term.model], outcome, mean, cells)


def _area(
    prediction: FloatArray, outcome: FloatArray, mean: FloatArray | None, cells: _Cells
) -> _Column:
    """Return AUC, linearised: value + n x influence, over ones."""
    n = len(prediction)
    expected = np.zeros(n) if mean is None else mean
    up = cells.weight * (outcome - expected)
    down = -up if mean is not None else cells.weight * (1.0 - outcome)
    positive, negative = (up, down) if mean is None else (mean + up, 1.0 - mean + down)
    area, by_up, by_down = area_under_curve(prediction, positive, negative)
    if not np.isfinite(area):
        raise DataError(
            "All recorded outcomes are relevant, or none is: there are no pairs for an AUC. Choose"
            " another relevance_threshold."
        )
    random = (up * by_up + down * by_down) * np.sqrt(1.0 - cells.chance)
    influence = positive * by_up + negative * by_down
    return _Column(area + n * influence, np.ones(n), n * random, cells.weight)


def _miscalibration(
    prediction: FloatArray, outcome: FloatArray, mean: FloatArray | None, cells: _Cells
) -> _Column:
    """Return the signed misses over the weights (or cells) that they are a mean of.

    Two quarters that sign each other have misses that go together: their sum varies by up to twice
    the variance that it would have with signs known, which is taken.
    """
    expected = prediction if mean is None else mean
    random = cells.weight * (outcome - expected)
    residual = random if mean is None else random + (mean - prediction)
    bins = equal_count_bins(prediction, prediction[cells.observed])
    signed = signed_miss(residual, bins, cells.quarter)
    sign = np.divide(signed, residual, out=np.zeros_like(signed), where=residual != 0.0)
    below = np.ones(len(prediction)) if cells.by_count else cells.weight
    centre = float(signed.sum() / below.sum()) * below
    drawn = sign * random if cells.by_count else sign * random - centre
    drawn = np.sqrt(2.0 * (1.0 - cells.chance)) * drawn
    return _Column(centre + np.sqrt(2.0) * (signed - centre), below, drawn, cells.weight)
