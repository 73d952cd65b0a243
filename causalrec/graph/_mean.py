"""`identify(query="mean")`: the mean outcome of all cells, from those that are recorded.

Asked of a graph with a node of role "observed": the outcome must be d-separated from it given
measured covariates that are known for every cell, recorded or not (missing at random given
covariates; Mohan & Pearl 2021). Selection on the outcome itself is refused: there no propensity
given covariates repairs the mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from causalrec.errors import GraphError, IdentificationError
from causalrec.graph import _paths
from causalrec.graph._adjust import (
    Separation,
    chosen_in_words,
    closable,
    covariates,
    measured_after,
    named,
    selection_assumption,
)
from causalrec.graph._declared import never_adjusted
from causalrec.graph._estimand import AssumptionStatus, Estimand, Strategy
from causalrec.graph._selection import beyond_selection, mean_laws, selection_words
from causalrec.graph._shadow import by_shadow, shadow_words
from causalrec.graph._vocabulary import listed

if TYPE_CHECKING:
    from causalrec.graph._model import CausalGraph

_WAYS_OUT = (
    " Three ways out: (1) a randomised slice, rows whose outcome was recorded by chance alone,"
    " and an estimate from it; (2) a named shadow variable, one that causes the outcome but not its"
    " being recorded; (3) bounds instead of a point (cr.bounds)."
)


def identify_mean(graph: CausalGraph, strategies: Sequence[str] = ()) -> Estimand:
    """Identify the mean outcome over recorded and unrecorded cells, or refuse."""
    observed, outcome = _ends(graph)
    if "shadow" in strategies and (found := by_shadow(graph, observed, outcome)) is not None:
        return found
    _refuse_causation_between(graph, observed, outcome)
    selection = frozenset(graph.with_role("selection"))
    problem = _problem(graph, observed, outcome, selection)
    minimal = problem.minimal()
    if minimal is None:
        _refuse(graph, problem)
    if not problem.holds(minimal):
        raise RuntimeError(
            f"{sorted(minimal)} does not separate outcome and recording; please report this graph."
        )
    parents, _ = _paths.neighbours(graph.edges)
    adjustment = problem.improved(minimal, parents.get(outcome, ()))
    needed = problem.needed(adjustment, minimal)
    strategy: Strategy = (
        "randomised" if problem.disconnected() else "missing at random given covariates"
    )
    return Estimand(
        query="mean",
        strategy=strategy,
        exposure=None,
        outcome=outcome,
        observed=observed,
        adjustment=adjustment,
        covariates=covariates(graph, adjustment),
        instruments=(),
        mediators=(),
        assumptions=_assumptions(strategy, observed, outcome, adjustment, selection),
        words=_words(graph, observed, outcome, needed, adjustment, strategy),
        graph_dot=graph.to_dot(),
        minimal=needed,
        selection=tuple(sorted(selection)),
        beyond_selection=beyond_selection(graph, mean_laws(outcome, adjustment)),
    )


def _ends(graph: CausalGraph) -> tuple[str, str]:
    observed, outcome = graph.observed, graph.outcome
    if observed is None and graph.exposure is not None:
        raise GraphError(
            f"This graph has an exposure ({graph.exposure}) and no node of role=observed: it asks"
            " what exposure does, not which outcomes are recorded. Ask query='effect'; or add a"
            " node [role=observed] and what causes it, to ask for a mean."
        )
    for role, found in (("observed", observed), ("outcome", outcome)):
        if found is None:
            raise GraphError(
                f"No node of this graph has role={role}, and a mean over recorded and unrecorded"
                f" cells needs one. Add [role={role}] to its node; the nodes are"
                f" {listed(graph.nodes)}."
            )
    assert observed is not None
    assert outcome is not None
    return observed, outcome


def _refuse_causation_between(graph: CausalGraph, observed: str, outcome: str) -> None:
    _, children = _paths.neighbours(graph.edges)
    path = _paths.directed_path(children, outcome, observed)
    if path is not None:
        shown = _paths.arrows(path, graph.edges)
        raise IdentificationError(
            f"The mean of {outcome} is not identified: the outcome itself decides whether it is"
            f" recorded ({shown}), and no weighting by covariates repairs that.{_WAYS_OUT}"
            f"{shadow_words(graph, observed, outcome)}",
            open_path=shown,
        )
    path = _paths.directed_path(children, observed, outcome)
    if path is not None:
        shown = _paths.arrows(path, graph.edges)
        raise IdentificationError(
            f"The mean of {outcome} is not identified: in this graph being recorded changes the"
            f" outcome ({shown}). A node that somebody sets and that has an effect is an exposure:"
            f" give {observed} role=exposure and ask query='effect', or take the arrow out.",
            open_path=shown,
        )


def _problem(
    graph: CausalGraph, observed: str, outcome: str, selection: frozenset[str]
) -> Separation:
    _, children = _paths.neighbours(graph.edges)
    later = _paths.reachable(children, [observed, outcome])
    known = {
        name
        for name in graph.measured
        # The context of an event is known for the recorded cells alone.
        if graph.nodes[name].entity != "event" and graph.nodes[name].role != "exposure"
    }
    return Separation(
        edges=graph.edges,
        nodes=tuple(graph.nodes),
        source=observed,
        target=outcome,
        candidates=frozenset(known)
        - later
        - never_adjusted(graph)
        - measured_after(graph, [observed]),
        included=selection,
    )


def _refuse(graph: CausalGraph, problem: Separation) -> NoReturn:
    path, given = problem.witness()
    shown = _paths.arrows(path, problem.edges, given)
    blockers = closable(path, problem.edges)
    text = (
        f"The mean of {problem.target} is not identified from the recorded cells: the path {shown}"
        " stays open whatever measured nodes are adjusted for."
    )
    latent = next((node for node in blockers if graph.nodes[node].latent), None)
    context = next((node for node in blockers if graph.nodes[node].entity == "event"), None)
    late = next((n for n in blockers if n in measured_after(graph, [problem.source])), None)
    if late is not None:
        text += (
            f" {late} is measured after {problem.source} (time={graph.nodes[late].time} against"
            f" time={graph.nodes[problem.source].time}) and is no covariate of it: take its value"
            " from before the outcome was recorded."
        )
    elif latent is not None:
        text += (
            f" Measure {named(graph, latent)}, which the graph calls latent, and name its column."
        )
    elif context is not None:
        text += (
            f" {context} is declared entity=event: it is known only for recorded cells. If it is a"
            " property of the user or the item, say entity=user or entity=item."
        )
    raise IdentificationError(text + _WAYS_OUT, open_path=shown)


def _assumptions(
    strategy: Strategy,
    observed: str,
    outcome: str,
    adjustment: tuple[str, ...],
    selection: frozenset[str],
) -> tuple[tuple[str, str, AssumptionStatus], ...]:
    found: list[tuple[str, str, AssumptionStatus]] = []
    if strategy == "randomised":
        statement = f"Nothing that causes {outcome} decides {observed}: it was set at random."
        found.append(("missing at random given covariates", statement, "by design"))
    else:
        given = listed(adjustment) if adjustment else "nothing"
        statement = (
            f"Given {given}, whether {outcome} is recorded ({observed}) does not depend on"
            f" {outcome} itself, as the graph says."
        )
        found.append(("missing at random given covariates", statement, "untestable"))
    if selection:
        found.append((*selection_assumption(selection), "by design"))
    return tuple(found)


def _words(
    graph: CausalGraph,
    observed: str,
    outcome: str,
    needed: tuple[str, ...],
    adjustment: tuple[str, ...],
    strategy: Strategy,
) -> str:
    if strategy == "randomised":
        words = f"The mean of {outcome} over all cells is identified by randomisation: nothing that"
        words += f" causes it decides {observed}."
    else:
        words = f"The mean of {outcome} over all cells, recorded or not, is identified: given the"
        words += f" covariates, {outcome} is independent of {observed}."
    of_whom = selection_words(graph, mean_laws(outcome, adjustment), adjustment, what="mean")
    return " ".join(filter(None, (words, chosen_in_words(needed, adjustment), of_whom)))
