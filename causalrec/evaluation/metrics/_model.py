"""What a metric is: data about it, and pure functions of arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

Scope = Literal["cell", "list"]
Per = Literal["cell", "user", "relevant"]


@dataclass(frozen=True)
class MetricDefinition:
    """A metric of the registry: what it measures, how it adds up, where it was written down.

    Attributes
    ----------
    name : str
        As users write it, without the cut-off: "dcg".
    scope : {"cell", "list"}
        A cell metric compares an outcome with a prediction; a list metric looks at the places
        of a ranked list.
    additive : bool
        The metric is a ratio of two sums over cells, each term a function of one cell's outcome.
        Only such metrics can be weighted by inverse propensities; a normaliser that depends on
        the other cells of the user (the ideal DCG of NDCG) cannot.
    per : {"cell", "user", "relevant"}
        What the sum is divided by.
    higher_is_better : bool
        The direction in which a model is better.
    paper, convention : str
        Where the formula is from, and the choices that papers leave open.
    loss : callable, optional
        `(outcome, prediction) -> loss` a cell, for `scope="cell"`.
    place_weight : callable, optional
        `(place, k) -> weight` of a 1-based place in the list, 0 beyond `k` and for place 0 (not
        ranked), for additive list metrics.
    whole_list : callable, optional
        `(gain in list order, gain in ideal order, k) -> value` a user, for what is not additive.
    """

    name: str
    scope: Scope
    additive: bool
    per: Per
    higher_is_better: bool
    paper: str
    convention: str
    loss: Callable[[FloatArray, FloatArray], FloatArray] | None = None
    place_weight: Callable[[npt.NDArray[np.int64], int], FloatArray] | None = None
    whole_list: Callable[[FloatArray, FloatArray, int], FloatArray] | None = None


@dataclass(frozen=True)
class Metric:
    """A metric as asked for: its definition and its cut-off.

    Examples
    --------
    >>> from causalrec.evaluation.metrics import parse_metric
    >>> parse_metric("dcg@5").label
    'dcg@5'
    """

    definition: MetricDefinition
    cutoff: int | None = None

    @property
    def label(self) -> str:
        """The name with its cut-off."""
        cut = "" if self.cutoff is None else f"@{self.cutoff}"
        return f"{self.definition.name}{cut}"

    @property
    def additive(self) -> bool:
        """Whether inverse-propensity weights can repair it."""
        return self.definition.additive

    @property
    def scope(self) -> Scope:
        """Whether it looks at cells or at lists."""
        return self.definition.scope

    def place_weight(self, place: npt.NDArray[np.int64]) -> FloatArray:
        """Return the weight of each 1-based place of a list (additive list metrics only)."""
        if self.definition.place_weight is None or self.cutoff is None:
            raise TypeError(f"{self.label} has no weight by place")
        return self.definition.place_weight(place, self.cutoff)

    def loss(self, outcome: FloatArray, prediction: FloatArray) -> FloatArray:
        """Return the loss of each cell (cell metrics only)."""
        if self.definition.loss is None:
            raise TypeError(f"{self.label} has no loss by cell")
        return self.definition.loss(outcome, prediction)
