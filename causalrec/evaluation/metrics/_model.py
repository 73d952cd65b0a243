"""What a metric is: data about it, and pure functions of arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

Scope = Literal["cell", "list"]
Per = Literal["cell", "user", "relevant"]
Form = Literal["sum", "sample", "gains", "lists", "arms"]
Outcome = Literal["any", "binary", "relevance", "none"]


@dataclass(frozen=True)
class MetricDefinition:
    """A metric of the registry: what it measures, how it adds up, where it was written down.

    Attributes
    ----------
    name : str
        As users write it, without the cut-off: "dcg".
    scope : {"cell", "list"}
        A cell metric compares an outcome with a prediction; a list metric looks at the places
        of a ranked list and has a cut-off.
    form : {"sum", "sample", "gains", "lists", "arms"}
        How it is made, and hence what selection does to it. "sum": a ratio of two sums over
        cells, each term a function of one cell's outcome; weights repair it. "sample": a smooth
        function of the weighted cells of all users together (pairs, bins); weights repair it up
        to terms that vanish with the number of cells. "gains": a function of all outcomes of one
        user, who has few recorded; no weight repairs it. "lists": no outcome enters, so that
        selection does not either. "arms": outcomes with and without exposure.
    per : {"cell", "user", "relevant"}
        What a sum is divided by.
    higher_is_better : bool
        The direction in which a model is better.
    paper, convention : str
        Where the formula is from, and the choices that papers leave open.
    outcome : {"any", "binary", "relevance", "none"}
        What it asks of outcomes: any number; 0 or 1 in the log; 0 or 1, by a threshold where the
        log has other numbers; nothing.
    loss : callable, optional
        `(outcome, prediction) -> loss` a cell, for sums with `scope="cell"`.
    place_weight : callable, optional
        `(place, k) -> weight` of a 1-based place in the list, 0 beyond `k` and for place 0 (not
        ranked), for sums with `scope="list"`.
    whole_list : callable, optional
        `(gains in list order, gains in ideal order, sum of all gains of the user, k) -> value` a
        user, for "gains".
    why_not_weighted : str
        For "gains": what about it no weight repairs.
    range : (float, float), optional
        What it cannot leave: intervals end there.
    item_columns : bool
        It compares items by columns of the item table.
    """

    name: str
    scope: Scope
    form: Form
    per: Per
    higher_is_better: bool
    paper: str
    convention: str
    outcome: Outcome = "any"
    loss: Callable[[FloatArray, FloatArray], FloatArray] | None = None
    place_weight: Callable[[IntArray, int], FloatArray] | None = None
    whole_list: Callable[[FloatArray, FloatArray, FloatArray, int], FloatArray] | None = None
    why_not_weighted: str = ""
    range: tuple[float, float] | None = None
    item_columns: bool = False

    @property
    def additive(self) -> bool:
        """Whether it is a ratio of sums over cells."""
        return self.form == "sum"


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
        """Whether it is a ratio of sums over cells."""
        return self.definition.additive

    @property
    def form(self) -> Form:
        """How it is made: see `MetricDefinition`."""
        return self.definition.form

    @property
    def scope(self) -> Scope:
        """Whether it looks at cells or at lists."""
        return self.definition.scope

    def place_weight(self, place: IntArray) -> FloatArray:
        """Return the weight of each 1-based place of a list (additive list metrics only)."""
        if self.definition.place_weight is None or self.cutoff is None:
            raise TypeError(f"{self.label} has no weight by place")
        return self.definition.place_weight(place, self.cutoff)

    def loss(self, outcome: FloatArray, prediction: FloatArray) -> FloatArray:
        """Return the loss of each cell (cell metrics only)."""
        if self.definition.loss is None:
            raise TypeError(f"{self.label} has no loss by cell")
        return self.definition.loss(outcome, prediction)
