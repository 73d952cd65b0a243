"""DoWhy's `falsify_graph` as a second opinion on a graph, kept away from its traps.

DoWhy 0.14 counts violated local Markov conditions and asks whether the graph violates fewer than
the same graph with its nodes' names dealt anew (Eulig, Mastakouri, Bloebaum, Hardt & Janzing 2023).
Its tests take rows as independent, its default kernel test is slow and gave false alarms on small
samples, twenty permutations make its p coarse, it starts worker processes and draws from the
global generator; and it knows of no unmeasured cause and no selected rows. So: a sample in which no
user and no item stands twice, its own generalised covariance test with linear models, every
permutation of up to six nodes and two hundred of more, one job, the generator put back.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import DataError, GraphError, StudyError
from causalrec.results import Table

if TYPE_CHECKING:
    import networkx as nx

    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]
PERMUTATIONS = 200
_ALL_UP_TO = 6
"""Nodes of which every permutation is taken: 720."""
_FEWEST = 50


@dataclass(frozen=True)
class Opinion:
    """A table and a note to add to a graph check."""

    table: Table
    note: str


def ask_dowhy(
    graph: CausalGraph,
    log: InteractionLog,
    numbers: Callable[[str], Floats],
    *,
    sample: int,
    level: float,
    seed: int | None,
) -> Opinion:
    """Return DoWhy's verdict on the local Markov conditions of a graph.

    Parameters
    ----------
    numbers : callable
        Node name -> its numbers over the rows of the log, (n, k).
    sample : int
        Rows at most.
    level : float
        Of each test of a condition.

    Raises
    ------
    GraphError
        If the graph has unmeasured common causes, or nodes that select rows.
    DataError
        If too few rows share neither user nor item.
    """
    network = _measured_network(graph)
    rows = unrelated_rows(log, sample, seed)
    if len(rows) < _FEWEST:
        raise DataError(
            f"DoWhy's tests take rows as independent, and only {len(rows)} rows of this log share"
            f" neither user nor item with one another; {_FEWEST} are needed. Leave"
            " second_opinion=False."
        )
    columns = {name: numbers(name)[rows] for name in network}
    result = _falsify(network, columns, level, seed)
    return _opinion(result, len(rows), network, level)


def unrelated_rows(log: InteractionLog, most: int, seed: int | None) -> NDArray[np.int64]:
    """Return rows, dealt at random, of which no two share a user or an item, sorted."""
    users, items = np.asarray(log.user_codes), np.asarray(log.item_codes)
    met_users, met_items = np.zeros(log.n_users, bool), np.zeros(log.n_items, bool)
    kept: list[int] = []
    for row in np.random.default_rng(seed).permutation(log.n_rows).tolist():
        if len(kept) == min(most, log.n_users, log.n_items):
            break
        if not (met_users[users[row]] or met_items[items[row]]):
            met_users[users[row]] = met_items[items[row]] = True
            kept.append(row)
    return np.sort(np.array(kept, dtype=np.int64))


def check_sample(sample: int) -> None:
    """Refuse a sample that holds no test."""
    if sample < _FEWEST:
        raise StudyError(f"sample={sample}: DoWhy's second opinion needs {_FEWEST} rows or more.")


def _measured_network(graph: CausalGraph) -> nx.DiGraph[str]:
    """Return the graph of the measured nodes, latents with one effect passed through."""
    network = graph.network()
    if graph.observed is not None or graph.with_role("selection"):
        raise GraphError(
            "DoWhy's falsify_graph knows nothing of selected rows, and this graph has"
            f" {', '.join(filter(None, (graph.observed, *graph.with_role('selection'))))}. Leave"
            " second_opinion=False."
        )
    for name in graph.latents:
        effects = sorted(network.successors(name))
        if len(effects) > 1:
            raise GraphError(
                f"DoWhy's falsify_graph tests local Markov conditions, which need every common"
                f" cause measured; {name}, which causes {' and '.join(effects)}, is latent. Leave"
                " second_opinion=False."
            )
        # Whatever causes the latent causes its one effect: the law of the others is unchanged.
        network.add_edges_from(
            [(cause, e) for cause in network.predecessors(name) for e in effects]
        )
        network.remove_node(name)
    return network


def _falsify(
    network: nx.DiGraph[str], columns: dict[str, Floats], level: float, seed: int | None
) -> Any:
    import pandas as pd
    from dowhy.gcm.falsify import falsify_graph

    names = list(columns)
    n = len(columns[names[0]])
    # DoWhy hands one column of each node to the test. A node of words has several: so a cell is
    # an address, from which the test recovers node and row.
    frame = pd.DataFrame({name: i * n + np.arange(n) for i, name in enumerate(names)})
    test = _Test(tuple(columns[name] for name in names))
    every = len(names) <= _ALL_UP_TO
    kept = np.random.get_state()  # noqa: NPY002
    try:
        np.random.seed(seed)  # noqa: NPY002
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning)
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            return falsify_graph(
                network,
                frame,
                independence_test=test,
                conditional_independence_test=test,
                significance_ci=level,
                n_permutations=-1 if every else PERMUTATIONS,
                show_progress_bar=False,
                n_jobs=1,
            )
    finally:
        np.random.set_state(kept)  # noqa: NPY002


@dataclass(frozen=True)
class _Test:
    """DoWhy's generalised covariance test, level by level for nodes of words (Bonferroni)."""

    columns: tuple[Floats, ...]

    def __call__(
        self, first: NDArray[Any], second: NDArray[Any], given: NDArray[Any] | None = None
    ) -> float:
        """Return the p-value of an independence."""
        from dowhy.gcm.independence_test import generalised_cov_based
        from dowhy.gcm.ml import create_linear_regressor

        options: dict[str, Any] = {}
        if given is not None:
            options = {
                "Z": np.hstack([self._numbers(column) for column in np.asarray(given).T]),
                "prediction_model_X": create_linear_regressor,
                "prediction_model_Y": create_linear_regressor,
            }
        found = [
            generalised_cov_based(x[:, None], y[:, None], **options)
            for x in self._numbers(first).T
            for y in self._numbers(second).T
            if np.ptp(x) > 0 and np.ptp(y) > 0
        ]
        return float(min(1.0, len(found) * min(found))) if found else 1.0

    def _numbers(self, cells: NDArray[Any]) -> Floats:
        n = len(self.columns[0])
        return self.columns[int(cells[0]) // n][np.asarray(cells, dtype=np.int64) % n]


def _opinion(result: Any, n: int, network: nx.DiGraph[str], level: float) -> Opinion:
    from dowhy.gcm.falsify import FalsifyConst

    about = (
        f"DoWhy's falsify_graph on {n:,} rows of which no two share a user or an item: its"
        " generalised covariance test, linear models, rows as independent"
    )
    columns = ("node", "non-descendant", "given (parents)", "p", "violated")
    if result.falsifiable is None:
        note = f"Second opinion ({about}): the graph implies no local Markov condition to test."
        return Opinion(_table(columns, (), note), note)
    markov = result.summary[FalsifyConst.VALIDATE_LMC]
    found = sorted(markov[FalsifyConst.LOCAL_VIOLATION_INSIGHT].items())
    rows = tuple(
        (node, other, ", ".join(sorted(network.predecessors(node))), float(p), bool(violated))
        for (node, other), (p, violated) in found
    )
    dealt = len(markov[FalsifyConst.PERM_VIOLATIONS])
    p = float(markov[FalsifyConst.P_VALUE])
    verdict = (
        "it cannot tell the graph from its permutations"
        if not result.falsifiable
        else "its rule rejects the graph"
        if result.falsified
        else "its rule does not reject the graph"
    )
    note = (
        f"Second opinion ({about}): {markov[FalsifyConst.GIVEN_VIOLATIONS]} of"
        f" {markov[FalsifyConst.N_TESTS]} local Markov conditions are violated at"
        f" {100 * level:g} % each, uncorrected; {p:.1%} of {dealt:,} graphs with the names of the"
        f" nodes dealt anew violate no larger share, so {verdict}. Its question is whether the"
        " graph is better than chance, not whether it is right; the tests above are the evidence."
    )
    return Opinion(_table(columns, rows, note), note)


def _table(columns: tuple[str, ...], rows: tuple[Any, ...], note: str) -> Table:
    return Table(
        name="second opinion",
        title="DoWhy's second opinion: local Markov conditions",
        columns=columns,
        rows=rows,
        caption=note,
    )
