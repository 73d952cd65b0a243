"""What a path effect is computed from: covariates before the exposure, those after it, mediator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from causalrec.errors import DataError
from causalrec.nuisances import Encoders, choose_covariates, row_design
from causalrec.threads import one_thread

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph, Estimand
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]
DISCRETE = 10
"""A mediator of numbers with more levels than this is taken as continuous."""
MOST_LEVELS = 20
"""Words with more levels than this name rather than group."""
NODES = 12
"""Values of a continuous mediator at which outcomes are predicted; linear in between."""


@dataclass(frozen=True)
class PathColumns:
    """The columns of a path effect.

    Attributes
    ----------
    before : tuple of str
        W: they close the back-doors of the exposure.
    after : tuple of str
        L: with W and the exposure they close those of the mediator; the exposure may cause them.
    mediator : str
    """

    before: tuple[str, ...]
    after: tuple[str, ...]
    mediator: str

    @classmethod
    def of(cls, log: InteractionLog, graph: CausalGraph, identified: Estimand) -> PathColumns:
        """Return the columns of what the graph identified.

        Raises
        ------
        DataError
            If the graph has several mediators, or the mediator is no column of the events.
        """
        mediator = only_mediator(graph, identified)
        if log.entity_of(mediator) != "event":
            raise DataError(
                f"The mediator {mediator!r} stands in the {log.entity_of(mediator)}s table: what"
                " the exposure of a row changes is a column of the events. Add it there."
            )
        first = {str(covariate.column) for covariate in identified.covariates}
        second = {str(covariate.column) for covariate in identified.mediator_covariates}
        return cls(tuple(sorted(first)), tuple(sorted(second - first)), mediator)


def only_mediator(graph: CausalGraph, identified: Estimand) -> str:
    """Return the column of the one mediator, or refuse.

    Raises
    ------
    DataError
        If the graph has several mediators.
    """
    if len(identified.mediators) != 1:
        raise DataError(
            f"The graph has {len(identified.mediators)} mediators"
            f" ({', '.join(identified.mediators)}); one at a time is split off. Take role=mediator"
            " from the others."
        )
    return str(graph.nodes[identified.mediators[0]].column)


@dataclass(frozen=True, eq=False)
class Mediator:
    """A mediator on nodes: its levels, or values between which outcomes are interpolated.

    Attributes
    ----------
    column : str
    nodes : tuple (k,)
        The levels, sorted; of a continuous mediator `NODES` of its quantiles.
    levels : int64 (n,) or None
        Place of each row among the levels; None where it is continuous.
    values : float64 (n,)
        The mediator, or the place of its level.
    """

    column: str
    nodes: tuple[Any, ...]
    levels: NDArray[np.int64] | None
    values: Floats

    @classmethod
    def of(cls, log: InteractionLog, column: str) -> Mediator:
        """Read the mediator of each row.

        Raises
        ------
        DataError
            If it never varies, or has more than `MOST_LEVELS` levels of words.
        """
        series = log.column(column)
        numbers = series.dtype.kind in "iuf" or str(series.dtype) in {"Int64", "Float64"}
        found = sorted(series.unique().tolist())
        if len(found) < 2:
            raise DataError(f"The mediator {column!r} has one value: nothing can run through it.")
        if numbers and len(found) > DISCRETE:
            values = series.to_numpy(dtype=np.float64)
            if not np.isfinite(values).all():
                raise DataError(f"The mediator {column!r} has infinite values. Mend them first.")
            nodes = np.unique(np.quantile(values, np.linspace(0.0, 1.0, NODES)))
            return cls(column, tuple(nodes.tolist()), None, values)
        if len(found) > MOST_LEVELS:
            raise DataError(
                f"The mediator {column!r} has {len(found):,} levels of words, more than"
                f" {MOST_LEVELS}: it names rather than groups. Group its levels first."
            )
        levels = pd.Index(found).get_indexer(pd.Index(series)).astype(np.int64)
        return cls(column, tuple(found), levels, levels.astype(np.float64))

    def weights(self, values: Floats) -> Floats:
        """Return the share of each node in each value (n, k); they sum to 1 and interpolate."""
        n, k = len(values), len(self.nodes)
        if self.levels is not None:
            return np.eye(k)[values.astype(np.int64)]
        nodes = np.array(self.nodes)
        left = np.clip(np.searchsorted(nodes, values, side="right") - 1, 0, k - 2)
        share = (values - nodes[left]) / (nodes[left + 1] - nodes[left])  # linear beyond the ends
        found = np.zeros((n, k))
        at = np.arange(n)
        found[at, left], found[at, left + 1] = 1.0 - share, share
        return found

    def logs(self, log: InteractionLog) -> list[InteractionLog]:
        """Return the log with the mediator set to each node."""
        return [
            log._derive(_events=log.events.assign(**{self.column: value})) for value in self.nodes
        ]


@dataclass(frozen=True, eq=False)
class Design:
    """A design of rows and the ridge of each of its columns.

    Attributes
    ----------
    matrix : float64 (n, k)
        The first column is 1.
    penalty : float64 (k,)
    """

    matrix: Floats
    penalty: Floats

    @classmethod
    def of(cls, log: InteractionLog, columns: tuple[str, ...]) -> Design:
        """Encode columns of the rows, as the outcome models do."""
        chosen = choose_covariates(log, None, columns)
        found = row_design(log, Encoders.of(log, chosen), crosses=True)
        penalty = np.where(found.cross, 30.0, 1.0)
        penalty[0] = 0.0
        return cls(found.matrix, penalty)

    @one_thread
    def regress(self, target: Floats, rows: NDArray[np.bool_]) -> Floats:
        """Return the ridge prediction of every row (n, q) of targets (n, q), fitted on `rows`."""
        learn = self.matrix[rows]
        gram = learn.T @ learn + np.diag(self.penalty)
        fitted = self.matrix @ np.linalg.solve(gram, learn.T @ target[rows])
        return np.asarray(fitted, dtype=np.float64)
