"""Selection on the outcome itself, and a shadow variable that sees through it.

A shadow goes with the outcome given the covariates and, given outcome and covariates, not with
the outcome's being recorded. Then the mean is identified if the shadow is rich enough
(completeness, which no graph can say): d'Haultfoeuille (2010); Miao & Tchetgen Tchetgen (2016).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from causalrec.graph import _paths
from causalrec.graph._adjust import covariates, measured_after, selection_assumption
from causalrec.graph._estimand import AssumptionStatus, Estimand
from causalrec.graph._selection import beyond_selection, mean_laws, selection_words
from causalrec.graph._vocabulary import listed

if TYPE_CHECKING:
    from causalrec.graph._model import CausalGraph


def by_shadow(graph: CausalGraph, observed: str, outcome: str) -> Estimand | None:
    """Identify the mean through a declared shadow variable where the outcome selects itself."""
    _, children = _paths.neighbours(graph.edges)
    if _paths.directed_path(children, outcome, observed) is None:
        return None
    given = _covariates(graph, observed, outcome)
    shadow = _valid_shadow(graph, observed, outcome, given)
    if shadow is None:
        return None
    adjustment = tuple(sorted(given))
    beside = f" and {listed(adjustment)}" if adjustment else ""
    stated: list[tuple[str, str, AssumptionStatus]] = [
        (
            "shadow variable",
            f"Given {outcome}{beside}, {shadow} does not go with whether {outcome} is recorded"
            f" ({observed}), as the graph says.",
            "untestable",
        ),
        (
            "completeness",
            f"{shadow} takes enough values, and moves {outcome} enough, to tell the laws of"
            f" {outcome} apart that would look alike among recorded cells.",
            "untestable",
        ),
    ]
    selection = graph.with_role("selection")
    if selection:
        stated.append((*selection_assumption(selection), "by design"))
    laws = mean_laws(outcome, adjustment)
    of_whom = selection_words(graph, laws, adjustment, what="mean")
    return Estimand(
        query="mean",
        strategy="shadow variable",
        exposure=None,
        outcome=outcome,
        observed=observed,
        adjustment=adjustment,
        covariates=covariates(graph, adjustment),
        instruments=(),
        mediators=(),
        assumptions=tuple(stated),
        words=f"The mean of {outcome} over all cells is identified although {outcome} decides its"
        f" own recording: through the shadow variable {shadow}, which goes with {outcome} and,"
        f" given {outcome}{beside}, not with {observed}; and if {shadow} is rich enough"
        " (completeness). Weighting by covariates alone does not estimate it."
        f"{' ' if of_whom else ''}{of_whom}",
        graph_dot=graph.to_dot(),
        minimal=adjustment,
        selection=selection,
        beyond_selection=beyond_selection(graph, laws),
        shadows=(shadow,),
    )


def shadow_words(graph: CausalGraph, observed: str, outcome: str) -> str:
    """Say whether a declared shadow variable would identify the mean; empty without one."""
    declared = graph.with_role("shadow")
    if not declared:
        return ""
    given = _covariates(graph, observed, outcome)
    shadow = _valid_shadow(graph, observed, outcome, given)
    if shadow is None:
        return (
            f" The declared shadow {listed(declared)} does not serve: it must be measured for"
            f" every cell, go with {outcome}, and given {outcome} and the covariates not with"
            f" {observed}."
        )
    return (
        f" The graph's {shadow} is such a shadow variable (identify with strategies=('shadow',)):"
        " cr.estimate_mean without a propensity, or with a cr.ShadowPropensity, weights by it."
    )


def _covariates(graph: CausalGraph, observed: str, outcome: str) -> frozenset[str]:
    """Return the measured causes of outcome and recording that are known for every cell."""
    parents, children = _paths.neighbours(graph.edges)
    later = _paths.reachable(children, [observed, outcome])
    later |= measured_after(graph, [observed])
    causes = {*parents.get(observed, ()), *parents.get(outcome, ())}
    return frozenset(
        name
        for name in causes - later
        if not graph.nodes[name].latent
        and graph.nodes[name].entity != "event"
        and graph.nodes[name].role == "covariate"
    )


def _valid_shadow(
    graph: CausalGraph, observed: str, outcome: str, given: frozenset[str]
) -> str | None:
    selection = frozenset(graph.with_role("selection"))
    late = measured_after(graph, [observed])
    for name in graph.with_role("shadow"):
        node = graph.nodes[name]
        if node.latent or node.entity == "event" or name in late:
            continue
        closed = _paths.open_path(graph.edges, name, observed, given | selection | {outcome})
        joined = _paths.open_path(graph.edges, name, outcome, given | selection)
        if closed is None and joined is not None:
            return name
    return None
