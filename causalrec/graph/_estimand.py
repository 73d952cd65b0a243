"""What a graph identifies: the answer of `CausalGraph.identify`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from causalrec.graph._vocabulary import Entity

Query = Literal["effect", "mean", "path"]
PathEffect = Literal["natural", "interventional", "controlled"]
Strategy = Literal[
    "back-door adjustment",
    "controlled direct effect",
    "front-door",
    "instrument",
    "interventional effects",
    "missing at random given covariates",
    "natural effects",
    "randomised",
    "shadow variable",
]
AssumptionStatus = Literal["by design", "tested", "untestable", "violated"]


@dataclass(frozen=True)
class Covariate:
    """A node to adjust for, and the column that holds it.

    `entity` is what the graph file declares ("user", "item", "event"), or None where it is silent:
    the log knows in which table the column stands.
    """

    node: str
    column: str
    entity: Entity | None


@dataclass(frozen=True)
class Estimand:
    """A question that the graph identifies, with the columns that answer it.

    All names are node names, sorted; `covariates` pairs those of `adjustment` with their columns.
    With the strategy "instrument", `instruments` is the one to use and `adjustment` is what it is
    as good as random given; with "front-door", the same holds of `mediators`. Otherwise the two
    list what the graph declares.
    Assumptions are those of the graph; overlap is a matter of the data, which the estimators
    measure and state.
    """

    query: Query
    strategy: Strategy
    exposure: str | None
    outcome: str
    observed: str | None
    adjustment: tuple[str, ...]
    covariates: tuple[Covariate, ...]
    instruments: tuple[str, ...]
    mediators: tuple[str, ...]
    assumptions: tuple[tuple[str, str, AssumptionStatus], ...]
    """(name, statement, status) each."""
    words: str
    """The identification in a few plain sentences."""
    graph_dot: str
    minimal: tuple[str, ...] = ()
    """The part of `adjustment` that identification needs; the rest is there for precision."""
    selection: tuple[str, ...] = ()
    """Nodes that decide which rows stand in the log: the answer speaks of the selected ones."""
    beyond_selection: bool = False
    """Whether rows outside the log that are alike in the covariates have the same answer: averaged
    over the covariates of everybody, it holds for everybody. True where nothing selects rows."""
    shadows: tuple[str, ...] = ()
    """For "shadow variable": the declared shadow that stands in for what selection hides."""
    mediator_adjustment: tuple[str, ...] = ()
    """For "path": what closes, with the exposure, the paths between mediators and outcome; it may
    hold effects of the exposure, which `adjustment` never does."""
    mediator_covariates: tuple[Covariate, ...] = ()
    """The columns of `mediator_adjustment`."""

    def __str__(self) -> str:
        return self.words
