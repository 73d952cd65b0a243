"""What is summed: each metric (or the outcome itself) as a function of one cell's outcome.

A term gives its value on recorded outcomes and, where the outcome model speaks, its expected
value under a law of the outcome. A metric per relevant cell has a second function below the
fraction line.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from causalrec.evaluation._cells import CellBlock
from causalrec.evaluation._law import Gain, OutcomeLaw
from causalrec.evaluation._recommenders import FloatArray
from causalrec.evaluation.metrics import Metric, unexpectedness


class Named(Protocol):
    """What a number is called by."""

    @property
    def metric(self) -> str:
        """The metric's label."""

    @property
    def model(self) -> str:
        """The model it belongs to; "" for none."""


class Term(Named, Protocol):
    """A function h of one cell's outcome, and what a sum of it is divided by."""

    @property
    def per_user(self) -> bool:
        """Whether a mean over cells is multiplied by the cells a user has."""

    def value(self, block: CellBlock, outcome: FloatArray) -> FloatArray:
        """Return h of the outcomes."""

    def expected(self, block: CellBlock, mean: FloatArray, law: OutcomeLaw) -> FloatArray:
        """Return E[h] under a law of the outcome."""

    def base(self, outcome: FloatArray) -> FloatArray | None:
        """Return the function below the fraction line; None for a count of cells."""

    def expected_base(self, mean: FloatArray, law: OutcomeLaw) -> FloatArray | None:
        """Return the expectation of `base`."""


@dataclass(frozen=True, eq=False)
class ModelMetric:
    """One metric of one model, where it is no sum over cells."""

    definition: Metric
    model: str

    @property
    def metric(self) -> str:
        """The metric's label."""
        return self.definition.label


@dataclass(frozen=True)
class OutcomeTerm:
    """The outcome itself: its sum over cells is a mean of the log's outcome."""

    metric: str = "mean"
    model: str = ""
    per_user: bool = False

    def value(self, block: CellBlock, outcome: FloatArray) -> FloatArray:
        """Return the outcomes."""
        return outcome

    def expected(self, block: CellBlock, mean: FloatArray, law: OutcomeLaw) -> FloatArray:
        """Return the outcome model's mean."""
        return mean

    def base(self, outcome: FloatArray) -> None:
        """Return None: it is divided by cells."""

    def expected_base(self, mean: FloatArray, law: OutcomeLaw) -> None:
        """Return None: it is divided by cells."""


@dataclass(frozen=True)
class LossTerm:
    """The loss of one model's predictions, cell by cell."""

    definition: Metric
    model: str
    per_user: bool = False

    @property
    def metric(self) -> str:
        """The metric's label."""
        return self.definition.label

    def value(self, block: CellBlock, outcome: FloatArray) -> FloatArray:
        """Return the losses."""
        return self.definition.loss(outcome, block.predictions[self.model])

    def expected(self, block: CellBlock, mean: FloatArray, law: OutcomeLaw) -> FloatArray:
        """Return the expected losses: of a squared error, with the variance of the outcome."""
        prediction = block.predictions[self.model]
        if self.metric == "mse":
            return law.squared_error(mean, prediction)
        if self.metric == "mae":
            return law.absolute_error(mean, prediction)
        chance = np.clip(mean, 0.0, 1.0)  # a log-loss is linear in an outcome of 0 or 1
        ones = self.definition.loss(np.ones_like(chance), prediction)
        zeros = self.definition.loss(np.zeros_like(chance), prediction)
        return chance * ones + (1.0 - chance) * zeros

    def base(self, outcome: FloatArray) -> None:
        """Return None: it is divided by cells."""

    def expected_base(self, mean: FloatArray, law: OutcomeLaw) -> None:
        """Return None: it is divided by cells."""


@dataclass(frozen=True)
class ListTerm:
    """The gain of the items that one model lists, weighted by place.

    Attributes
    ----------
    popularity : int64 array (2, n_items) or None
        Places of the items by popularity, for cells that are not recorded and for those that are:
        the weight is then also how far above it they stand.
    """

    definition: Metric
    model: str
    gain: Gain
    popularity: npt.NDArray[np.int64] | None = field(default=None, compare=False, repr=False)

    @property
    def metric(self) -> str:
        """The metric's label."""
        return self.definition.label

    @property
    def per_user(self) -> bool:
        """Whether a mean over cells is multiplied by the cells a user has."""
        return self.definition.definition.per == "user"

    def value(self, block: CellBlock, outcome: FloatArray) -> FloatArray:
        """Return place weight times gain."""
        return self._weight(block) * self.gain.of(outcome)

    def expected(self, block: CellBlock, mean: FloatArray, law: OutcomeLaw) -> FloatArray:
        """Return place weight times expected gain."""
        return self._weight(block) * law.gain(mean, self.gain)

    def base(self, outcome: FloatArray) -> FloatArray | None:
        """Return the relevance, for what is divided by relevant cells."""
        return None if self.per_user else self.gain.of(outcome)

    def expected_base(self, mean: FloatArray, law: OutcomeLaw) -> FloatArray | None:
        """Return the chance of relevance, for what is divided by relevant cells."""
        return None if self.per_user else law.gain(mean, self.gain)

    def _weight(self, block: CellBlock) -> FloatArray:
        place = block.places[self.model]
        weight = self.definition.place_weight(place)
        if self.popularity is None:
            return weight
        usual = self.popularity[block.observed.astype(np.intp), block.items]
        ahead = unexpectedness(place, usual, self.popularity.shape[1])
        return weight * ahead


def sum_term(
    metric: Metric, model: str, gain: Gain, popularity: npt.NDArray[np.int64] | None
) -> LossTerm | ListTerm:
    """Return the term of a metric that is a sum over cells."""
    if metric.scope == "cell":
        return LossTerm(metric, model)
    return ListTerm(metric, model, gain, popularity if needs_popularity(metric) else None)


def needs_popularity(metric: Metric) -> bool:
    """Return whether the metric asks which items are popular."""
    return metric.definition.name == "serendipity"
