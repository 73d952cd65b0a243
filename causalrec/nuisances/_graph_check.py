"""`check_graph`: does the log contradict the graph, and which arrow is missing?

Every pair of columns without an arrow is independent given some others, says the graph. The test
is the generalised covariance measure (Shah & Peters 2020, Annals of Statistics 48): both columns
are regressed on the others, out of fold, and the mean product of the residuals is zero. It needs
one of the two regressions to be right, not both. Rows of one user or item are not independent:
standard errors are clustered, by user and item over rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import DataError, GraphError, StudyError
from causalrec.graph import checked_graph
from causalrec.inference import Estimate, holm
from causalrec.nuisances._features import encode
from causalrec.nuisances._graph_check_dowhy import ask_dowhy, check_sample
from causalrec.nuisances._graph_check_result import Finding, graph_check_result
from causalrec.nuisances._graph_implications import Implication, Unit, implications
from causalrec.nuisances._linear import fit_linear
from causalrec.results import Result, provenance
from causalrec.scores import Score

if TYPE_CHECKING:
    import pandas as pd

    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]
_LEAST_SPREAD = 1e-8
"""A residual whose variance is below this share of the column's own leaves nothing to correlate."""
_FEWEST = 20
"""With fewer subjects no regression is fitted."""


@dataclass
class _Columns:
    """The columns of a graph as numbers, over users, items or rows."""

    log: InteractionLog
    graph: CausalGraph
    n_folds: int
    random_state: int | None
    residuals: dict[tuple[str, tuple[str, ...], Unit], Floats] = field(default_factory=dict)
    encoded: dict[tuple[str, Unit], tuple[Floats, tuple[str, ...]]] = field(default_factory=dict)

    def numbers(self, node: str, unit: Unit) -> tuple[Floats, tuple[str, ...]]:
        """Return the numbers of a node (n, k), one fewer than levels for words."""
        key = (node, unit)
        if key not in self.encoded:
            frame = self._values(node, unit).to_frame()
            column = str(frame.columns[0])
            features = encode(frame, [column], table=unit).apply(frame)
            two = features.matrix.shape[1] == 2  # one is the other, turned
            matrix = features.matrix[:, 1:] if two else features.matrix
            self.encoded[key] = (matrix, features.names[-matrix.shape[1] :])
        return self.encoded[key]

    def over_rows(self, node: str) -> Floats:
        """Return the numbers of a node over the rows of the log, whosever property it is."""
        return self.numbers(node, "rows")[0]

    def _values(self, node: str, unit: Unit) -> pd.Series:
        column, log = str(self.graph.nodes[node].column), self.log
        if unit != "rows":
            return (log.users if unit == "users" else log.items)[column].reset_index(drop=True)
        found = _by_role(self.graph, log, node)
        return (log.column(column) if found is None else found).reset_index(drop=True)

    def size(self, unit: Unit) -> int:
        """Return the number of subjects."""
        return {"users": self.log.n_users, "items": self.log.n_items}.get(unit, self.log.n_rows)

    def folds(self, unit: Unit) -> NDArray[np.int64]:
        """Return the fold of each subject; rows of one user share theirs."""
        dealt = np.random.default_rng(self.random_state).permutation(
            self.log.n_items if unit == "items" else self.log.n_users
        )
        fold = np.asarray(dealt % self.n_folds, dtype=np.int64)
        return fold[self.log.user_codes] if unit == "rows" else fold

    def residual(self, node: str, given: tuple[str, ...], unit: Unit) -> Floats:
        """Return what the other columns do not foretell of a node, out of fold, (n, k)."""
        key = (node, given, unit)
        if key not in self.residuals:
            target = self.numbers(node, unit)[0]
            design = self._design(given, unit)
            residual = np.empty_like(target)
            folds = self.folds(unit)
            for fold in range(self.n_folds):
                held = folds == fold
                for k in range(target.shape[1]):
                    foretold = _foretell(design[~held], target[~held, k], design[held])
                    residual[held, k] = target[held, k] - foretold
            self.residuals[key] = residual
        return self.residuals[key]

    def _design(self, given: tuple[str, ...], unit: Unit) -> Floats:
        parts = [self.numbers(node, unit)[0] for node in given]
        plain = np.hstack(parts) if parts else np.zeros((self.size(unit), 0))
        # Curves and products, between columns and of those that are more than two values.
        spread = [
            plain[:, i] * plain[:, j]
            for i in range(plain.shape[1])
            for j in range(i, plain.shape[1])
            if i != j or len(np.unique(plain[:, i])) > 2
        ]
        used = [column for column in spread if np.ptp(column) > 0]
        curved = np.column_stack(used) if used and len(used) * 20 < len(plain) else plain[:, :0]
        return np.hstack([np.ones((len(plain), 1)), plain, curved])


def check_graph(
    graph: CausalGraph,
    log: InteractionLog,
    *,
    level: float = 0.05,
    sampled: Sequence[str] = ("user", "item"),
    n_folds: int = 5,
    second_opinion: bool = False,
    sample: int = 2000,
    random_state: int | None = 0,
) -> Result:
    """Hold a graph to a log: test every independence that it implies among its columns.

    A rejected pair names an arrow, or an unmeasured common cause, that the graph leaves out. A
    graph that is not rejected is not proved: other graphs imply the same independences, and an
    arrow too many implies nothing that could fail.

    Parameters
    ----------
    graph : CausalGraph
        Its measured nodes must have columns in the log.
    log : InteractionLog
    level : float
        Chance of rejecting any independence of a right graph (Holm's correction holds it).
    sampled : sequence of "user", "item"
        What is drawn at random, for the tests over rows.
    n_folds : int
        Folds of the regressions, dealt by user (by item for pairs of item columns).
    second_opinion : bool
        Ask DoWhy's `falsify_graph` too (some seconds; off by default): a table and a note, labelled
        as its own. It takes rows as independent, so it gets rows of which no two share a user or
        an item.
    sample : int
        Rows of the second opinion at most, 50 or more.
    random_state : int or None
        Seed of the folds, and of the second opinion's sample and permutations.

    Returns
    -------
    Result
        Kind "graph_check". One row an implied independence: `value` is the residual correlation,
        `p_adjusted` Holm's p-value. The assumption "declared graph" is "tested" or "violated".

    Raises
    ------
    DataError
        If a node has no column in the log, a column has missing values, `sampled` names something
        else, or a second opinion finds fewer than 50 rows that share neither user nor item.
    GraphError
        If the graph implies nothing that the log can show; or a second opinion is asked about a
        graph with unmeasured common causes or selected rows, which DoWhy does not know.
    StudyError
        If `level`, `n_folds` or `sample` make no sense.

    Notes
    -----
    Two properties of users are compared over users, two of items over items, everything else over
    rows with standard errors by user and item (Cameron, Gelbach & Miller 2011). Over the rows of
    a rating log the outcome is known only where it is recorded, so pairs that the graph separates
    only among all cells are left out and counted; so are pairs of a user's and an item's property
    where the log holds only what was shown or chosen. Regressions are linear or logistic in the
    columns, their squares and their products.

    Examples
    --------
    >>> import causalrec as cr
    >>> world = cr.simulate("shop", n_users=300, n_items=80, random_state=1)
    >>> found = cr.check_graph(world.graph, world.log)
    >>> found.assumptions[0].status
    'tested'
    """
    graph = checked_graph(graph)
    _check(level, sampled, n_folds)
    if second_opinion:
        check_sample(sample)
    entities = _entities(graph, log)
    implied, silent = implications(graph, entities, log)
    if not implied:
        raise GraphError(
            "This graph implies no independence among the columns of the log: every pair is joined"
            " by an arrow, or by something that nobody measures. There is nothing to test."
        )
    columns = _Columns(log, graph, n_folds, random_state)
    findings = [_test(columns, one, tuple(sampled)) for one in implied]
    adjusted = holm([finding.p_value for finding in findings])
    config: dict[str, Any] = {"level": level, "sampled": list(sampled), "n_folds": n_folds}
    opinion = None
    if second_opinion:
        config["second_opinion_sample"] = sample
        opinion = ask_dowhy(
            graph,
            log,
            columns.over_rows,
            sample=sample,
            level=level,
            seed=random_state,
        )
    found = graph_check_result(graph, findings, adjusted, silent, level, opinion)
    return found.model_copy(update={"provenance": provenance(log, random_state, config)})


def _check(level: float, sampled: Sequence[str], n_folds: int) -> None:
    if not 0 < level < 1:
        raise StudyError(f"level={level} is no chance of error: name one between 0 and 1.")
    if n_folds < 2:
        raise StudyError(f"n_folds={n_folds}: a regression out of fold needs two folds at least.")
    unknown = sorted(set(sampled) - {"user", "item"})
    if unknown or not sampled:
        raise DataError(
            f"sampled={list(sampled)}: rows of a graph check are clustered by 'user', 'item' or"
            " both."
        )


def _entities(graph: CausalGraph, log: InteractionLog) -> dict[str, str]:
    """Return whose property each measured node is; refuse a node without a column."""
    entities: dict[str, str] = {}
    for name in graph.measured:
        if name in graph.with_role("selection") or name == graph.observed:
            continue  # one value in every row of the log
        if _by_role(graph, log, name) is not None:
            entities[name] = "event"
        else:
            entities[name] = log.entity_of(str(graph.nodes[name].column))
    return entities


def _by_role(graph: CausalGraph, log: InteractionLog, name: str) -> pd.Series | None:
    """Return the values of the columns that the log has taken in: exposure, outcome, arm..."""
    import pandas as pd

    node = graph.nodes[name]
    named = log.columns.named()
    arrays = {"exposure": log.exposure, "outcome": log.outcome, "position": log.position}
    for role, values in arrays.items():
        here = named.get(role) == node.column or (
            node.role == role and node.column not in {*log.events, *log.users, *log.items}
        )
        if values is not None and here:
            return pd.Series(values, name=name)
    if log.arm is not None and named.get("arm") == node.column:
        return pd.Series(np.asarray(log.arm_ids)[log.arm], name=name).astype(str)
    return None


def _foretell(design: Floats, target: Floats, held: Floats) -> Floats:
    values = np.unique(target)
    penalty = np.full(design.shape[1], 1.0)
    if len(values) != 2:
        return fit_linear(design, target, penalty=penalty, binary=False).predict(held)
    low, high = values
    fit = fit_linear(design, (target == high).astype(float), penalty=penalty, binary=True)
    return np.asarray(low + (high - low) * fit.predict(held))


def _test(columns: _Columns, one: Implication, sampled: tuple[str, ...]) -> Finding:
    if columns.size(one.unit) < _FEWEST:
        return Finding(one, None)
    first = columns.residual(one.first, one.given, one.unit)
    second = columns.residual(one.second, one.given, one.unit)
    names_first = columns.numbers(one.first, one.unit)[1]
    names_second = columns.numbers(one.second, one.unit)[1]
    products, labels = [], []
    for i, left in enumerate(names_first):
        for j, right in enumerate(names_second):
            scale = first[:, i].std() * second[:, j].std()
            if scale > _LEAST_SPREAD:
                products.append(first[:, i] * second[:, j] / scale)
                labels.append(f"{left} and {right}")
    if not products:
        return Finding(one, None)
    estimates = [
        Estimate.from_score(
            Score(np.column_stack(products)),
            clusters=_clusters(columns.log, one.unit),
            labels=labels,
            sampled=dimensions,
            population=f"all {one.unit} of the log",
            estimator="residuals",
        )
        for dimensions in _clusterings(one.unit, sampled)
    ]
    p_values = np.max([estimate.p_value(0.0) for estimate in estimates], axis=0)
    if np.isnan(p_values).all():
        return Finding(one, None)
    worst = int(np.nanargmin(p_values))
    widest = max(estimates, key=lambda estimate: float(estimate.standard_error[worst]))
    p_value = min(1.0, float(p_values[worst]) * len(labels))  # Bonferroni over the levels
    return Finding(one, widest[labels[worst]], p_value, labels[worst])


def _clusterings(unit: Unit, sampled: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return the clusterings of which the widest counts.

    For a product of a user's and an item's residual, two-way sums cancel and fall short; clusters
    of one kind alone do not (MacKinnon, Nielsen & Webb 2021 take the largest as well).
    """
    if unit != "rows":
        return [(unit[:-1],)]
    alone = [(name,) for name in sampled] if len(sampled) > 1 else []
    return [sampled, *alone]


def _clusters(log: InteractionLog, unit: Unit) -> dict[str, NDArray[np.int32]]:
    if unit == "users":
        return {"user": np.arange(log.n_users, dtype=np.int32)}
    if unit == "items":
        return {"item": np.arange(log.n_items, dtype=np.int32)}
    return {"user": log.user_codes, "item": log.item_codes}
