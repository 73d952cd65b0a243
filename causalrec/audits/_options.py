"""The options of an audit, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from causalrec.audits._browsing import Browsing, browsing_words
from causalrec.audits._crossed import Crossed, Unknown
from causalrec.audits._measures import DEFAULT
from causalrec.errors import StudyError
from causalrec.evaluation.metrics import parse_metric
from causalrec.graph import checked_graph
from causalrec.results import Assumption

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog

Target = str | Mapping[str, Mapping[str, float]]

MEAN = "mean"


def is_of_items(name: str) -> bool:
    """Return whether a metric means something for some items only; a list belongs to a user."""
    return name == MEAN or parse_metric(name).scope == "cell"


@dataclass(frozen=True, eq=False)
class AuditQuestion:
    """The options of `audit`, checked."""

    log: InteractionLog
    given: Any
    source: InteractionLog
    crossing: Crossed
    unknown: Unknown
    propensity: Any
    graph: CausalGraph | None
    min_cell: int
    metrics: tuple[str, ...] | None
    k: int
    estimators: tuple[str, ...]
    outcome_model: Any
    relevance_threshold: float | None
    train: InteractionLog | None
    browsing: Browsing
    tail_share: float
    exclude_seen: bool
    sampled: tuple[str, ...]
    clip: float | None
    floor: float
    level: float
    seed: int | None
    measures: tuple[str, ...] = DEFAULT
    sensitivity: bool = True
    target: Target = "catalogue"
    soft_groups: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def user_groups(self) -> tuple[str, ...]:
        """The attributes of users, crossed ones by their joint name."""
        return self.crossing.columns["user"]

    @property
    def item_groups(self) -> tuple[str, ...]:
        """The attributes of items, crossed ones by their joint name."""
        return self.crossing.columns["item"]

    @property
    def is_model(self) -> bool:
        """Whether a recommender was given, and not a table of lists."""
        return callable(self.given) or hasattr(self.given, "predict")

    @property
    def history(self) -> InteractionLog:
        """What is seen, and what makes items popular."""
        return self.log if self.train is None else self.train

    @property
    def measured(self) -> tuple[str, ...]:
        """The metrics of the groups.

        Raises
        ------
        StudyError
            If a metric needs predictions and there is no model.
        """
        if self.metrics is None:
            return ("mse",) if self.is_model else (MEAN,)
        needing = [name for name in self.metrics if name != MEAN]
        if needing and not self.is_model:
            raise StudyError(
                f"{needing[0]!r} compares outcomes with predictions: pass the model. Of a log or"
                " of lists alone the metric is 'mean', the outcome itself."
            )
        return self.metrics

    @property
    def estimation(self) -> dict[str, Any]:
        """The options that every estimate of this audit shares."""
        return {
            "outcome_model": self.outcome_model,
            "relevance_threshold": self.relevance_threshold,
            "train": self.train,
            "clip": self.clip,
            "floor": self.floor,
            "level": self.level,
            "random_state": self.seed,
        }

    @property
    def config(self) -> dict[str, Any]:
        """The choices, as plain JSON types."""
        return {
            "user_groups": list(self.user_groups),
            "item_groups": list(self.item_groups),
            "unknown": self.unknown,
            "sensitivity": self.sensitivity,
            "metrics": None if self.metrics is None else list(self.metrics),
            "estimators": list(self.estimators),
            "min_cell": self.min_cell,
            "k": self.k,
            "browsing": self.browsing
            if isinstance(self.browsing, (str, float))
            else browsing_words(self.browsing),
            "tail_share": self.tail_share,
            "exclude_seen": self.exclude_seen,
            "relevance_threshold": self.relevance_threshold,
            "sampled": list(self.sampled),
            "clip": self.clip,
            "floor": self.floor,
            "level": self.level,
            "measures": list(self.measures),
            "target": self.target
            if isinstance(self.target, str)
            else {column: dict(shares) for column, shares in self.target.items()},
            "soft_groups": {name: list(columns) for name, columns in self.soft_groups.items()},
        }


def means_under_exposure(
    question: AuditQuestion,
) -> tuple[Any, CausalGraph | None, tuple[Assumption, ...]]:
    """Return propensity and graph for the means, where the graph speaks of exposure.

    A graph of candidates identifies the effect of exposure, and with it the mean outcome under
    exposure: the propensity is fitted on its adjustment set.

    Returns
    -------
    (propensity, graph for `identify("mean")`, assumptions)
    """
    graph, log = question.graph, question.log
    if graph is not None:
        graph = checked_graph(graph)
    if graph is None or log.kind != "candidates" or graph.observed is not None:
        return question.propensity, graph, ()
    from causalrec.nuisances import resolve_propensity

    estimand = graph.identify("effect", strategies=("randomised", "back-door"))
    propensity = resolve_propensity(question.propensity, log, graph)
    stated = Assumption(
        name="no unmeasured confounding",
        statement=f"means are those under exposure. {estimand.words}",
        status="untestable",
        evidence="The graph identifies it from what is measured; nothing in the log can confirm"
        " the graph.",
    )
    return propensity, None, (stated,)
