"""`identify(query="effect")`: adjustment, instrument, front door, or the path that stays open.

DoWhy names a minimal adjustment set, networkx and our own search check it. DoWhy knows nothing of
rows selected into the log; there the minimal set comes from networkx. Instruments are kept out
(adjusting for one inflates the variance and what bias is left), causes of the outcome are let in
(they lower the variance).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from causalrec.errors import GraphError, IdentificationError, near_miss
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
from causalrec.graph._declared import (
    instruments,
    mediators,
    never_adjusted,
    refuse_false_controls,
)
from causalrec.graph._estimand import AssumptionStatus, Estimand, Strategy
from causalrec.graph._other_ways import by_front_door, by_instrument
from causalrec.graph._selection import adjustment_laws, beyond_selection, selection_words
from causalrec.graph._vocabulary import listed

if TYPE_CHECKING:
    from causalrec.graph._model import CausalGraph


STRATEGIES = ("randomised", "back-door", "instrument", "front-door")


def identify_effect(graph: CausalGraph, strategies: Sequence[str] = STRATEGIES) -> Estimand:
    """Identify the effect of the exposure on the outcome by one of the strategies, or refuse."""
    strategies = _checked(strategies)
    exposure, outcome = ends(graph)
    refuse_reverse(graph, exposure, outcome)
    selection = frozenset(graph.with_role("selection"))
    refuse_selection_by_exposure(graph, exposure, selection)
    refuse_false_controls(graph, exposure, outcome)
    problem = _back_door(graph, exposure, outcome, selection)
    for strategy in strategies:
        if strategy == "instrument":
            found = by_instrument(graph, exposure, outcome)
        elif strategy == "front-door":
            found = by_front_door(graph, exposure, outcome)
        elif strategy == "randomised" and not problem.disconnected():
            found = None
        else:
            found = _by_adjustment(graph, problem)
        if found is not None:
            return found
    _refuse(graph, problem, strategies)


def _checked(strategies: Sequence[str]) -> tuple[str, ...]:
    asked = (strategies,) if isinstance(strategies, str) else tuple(strategies)
    for name in asked:
        if name not in STRATEGIES:
            raise GraphError(
                f"There is no identification strategy {name!r}.{near_miss(str(name), STRATEGIES)}"
                f" Strategies: {listed(STRATEGIES)}."
            )
    if not asked:
        raise GraphError(f"No identification strategy is named. Name some of {listed(STRATEGIES)}.")
    return asked


def _by_adjustment(graph: CausalGraph, problem: Separation) -> Estimand | None:
    exposure, outcome, selection = problem.source, problem.target, problem.included
    minimal = _minimal_set(graph, problem)
    if minimal is None:
        return None
    adjustment = problem.improved(minimal, _causes_of_outcome(graph, exposure, outcome))
    needed = problem.needed(adjustment, minimal)
    strategy: Strategy = "randomised" if problem.disconnected() else "back-door adjustment"
    return Estimand(
        query="effect",
        strategy=strategy,
        exposure=exposure,
        outcome=outcome,
        observed=None,
        adjustment=adjustment,
        covariates=covariates(graph, adjustment),
        instruments=instruments(graph, exposure, outcome, adjustment, selection),
        mediators=mediators(graph, exposure, outcome),
        assumptions=_assumptions(strategy, exposure, outcome, adjustment, selection),
        words=_words(graph, exposure, outcome, needed, adjustment, strategy),
        graph_dot=graph.to_dot(),
        minimal=needed,
        selection=tuple(sorted(selection)),
        beyond_selection=beyond_selection(graph, adjustment_laws(exposure, outcome, adjustment)),
    )


def ends(graph: CausalGraph) -> tuple[str, str]:
    """Return exposure and outcome; refuse a graph that has not both."""
    exposure, outcome = graph.exposure, graph.outcome
    if exposure is None and graph.observed is not None:
        raise GraphError(
            f"This graph has no exposure: its node {graph.observed!r} says which outcomes are"
            " recorded. Ask it query='mean'; or, to ask for an effect, give role=exposure to the"
            " node that somebody could have set otherwise."
        )
    for role, found in (("exposure", exposure), ("outcome", outcome)):
        if found is None:
            raise GraphError(
                f"No node of this graph has role={role}, and an effect needs one. Add"
                f" [role={role}] to its node; the nodes are {listed(graph.nodes)}."
            )
    if graph.observed is not None:
        raise GraphError(
            f"This graph has an exposure and a node {graph.observed!r} that says which outcomes are"
            " recorded; an effect is estimated from rows whose outcome is always recorded. Leave"
            f" {graph.observed!r} out if every row has its outcome, or ask query='mean'."
        )
    assert exposure is not None
    assert outcome is not None
    return exposure, outcome


def refuse_reverse(graph: CausalGraph, exposure: str, outcome: str) -> None:
    """Refuse a graph in which the outcome causes the exposure."""
    _, children = _paths.neighbours(graph.edges)
    path = _paths.directed_path(children, outcome, exposure)
    if path is not None:
        shown = _paths.arrows(path[::-1], graph.edges)
        raise IdentificationError(
            f"The effect of {exposure} on {outcome} is not identified: in this graph the outcome"
            f" comes first and causes the exposure ({shown}). Take an outcome of a later window, or"
            " split it into a node before the exposure (a covariate) and one after it.",
            open_path=shown,
        )


def refuse_selection_by_exposure(
    graph: CausalGraph, exposure: str, selection: frozenset[str]
) -> None:
    """Refuse rows that the exposure itself lets into the log."""
    _, children = _paths.neighbours(graph.edges)
    for node in sorted(selection):
        path = _paths.directed_path(children, exposure, node)
        if path is not None:
            shown = _paths.arrows(path, graph.edges)
            raise IdentificationError(
                f"The effect of {exposure} is not identified from the rows that {node} selects:"
                f" the exposure itself changes who is in the log ({shown}), so exposed and"
                " unexposed rows are no longer alike whatever is adjusted for. Log every eligible"
                " row, selected or not.",
                open_path=shown,
            )


def _causal_nodes(graph: CausalGraph, exposure: str, outcome: str) -> frozenset[str]:
    """Return the nodes on directed paths from exposure to outcome, the exposure left out."""
    parents, children = _paths.neighbours(graph.edges)
    below, above = _paths.reachable(children, [exposure]), _paths.reachable(parents, [outcome])
    return below & above - {exposure}


def _causes_of_outcome(graph: CausalGraph, exposure: str, outcome: str) -> set[str]:
    """Return the direct causes of the outcome and of what mediates the effect."""
    parents, _ = _paths.neighbours(graph.edges)
    through = {outcome, *_causal_nodes(graph, exposure, outcome)}
    return {parent for node in through for parent in parents.get(node, ())}


def _back_door(
    graph: CausalGraph, exposure: str, outcome: str, selection: frozenset[str]
) -> Separation:
    causal = _causal_nodes(graph, exposure, outcome)
    _, children = _paths.neighbours(graph.edges)
    later = _paths.reachable(children, [exposure, outcome])
    kept_out = later | never_adjusted(graph) | set(graph.with_role("instrument"))
    kept_out |= measured_after(graph, [exposure])
    return Separation(
        edges=tuple(e for e in graph.edges if e[0] != exposure or e[1] not in causal),
        nodes=tuple(graph.nodes),
        source=exposure,
        target=outcome,
        candidates=frozenset(graph.measured) - kept_out,
        included=selection,
    )


def _minimal_set(graph: CausalGraph, problem: Separation) -> frozenset[str] | None:
    found = problem.minimal()
    if not problem.included:
        dowhy = _by_dowhy(graph, problem)
        if (dowhy is None) != (found is None):
            raise RuntimeError(
                "DoWhy and networkx disagree on whether an adjustment set exists; please report"
                " this graph as a defect."
            )
        found = dowhy
    if found is not None and not problem.holds(found):
        raise RuntimeError(
            f"The adjustment set {sorted(found)} leaves a back-door path open; please report this"
            " graph as a defect."
        )
    return found


def _by_dowhy(graph: CausalGraph, problem: Separation) -> frozenset[str] | None:
    # DoWhy's import takes seconds, so it waits until an effect is asked for. It starts sympy's
    # printing, which would show every string of the session without its quotes.
    hook = sys.displayhook
    from dowhy.causal_identifier.auto_identifier import identify_generalized_adjustment_set

    sys.displayhook = hook
    found = identify_generalized_adjustment_set(
        graph.network(), [problem.source], [problem.target], sorted(problem.candidates)
    )
    return frozenset(found[0].get_adjustment_variables()) if found else None


def _refuse(graph: CausalGraph, problem: Separation, tried: tuple[str, ...]) -> NoReturn:
    if problem.minimal() is not None:
        raise IdentificationError(
            f"The effect of {problem.source} on {problem.target} is not identified by the"
            f" strategies asked for ({listed(tried)}): {_unfound(graph, tried)} Back-door"
            " adjustment identifies it."
        )
    path, given = problem.witness()
    shown = _paths.arrows(path, problem.edges, given)
    blockers = closable(path, problem.edges)
    exposure, outcome = problem.source, problem.target
    text = (
        f"The effect of {exposure} on {outcome} is not identified by adjustment: the back-door path"
        f" {shown} stays open whatever measured nodes are adjusted for."
    )
    latent = next((node for node in blockers if graph.nodes[node].latent), None)
    late = next((node for node in blockers if node in measured_after(graph, [exposure])), None)
    if late is not None:
        text += (
            f" {late} is measured after {exposure} (time={graph.nodes[late].time} against"
            f" time={graph.nodes[exposure].time}) and is no covariate of it: take its value from"
            " before the exposure."
        )
    elif latent is not None:
        text += (
            f" Measure {named(graph, latent)}, which the graph calls latent, and name its column;"
            " or randomise the exposure in a slice of the log."
        )
    elif (control := next((b for b in blockers if b in never_adjusted(graph)), None)) is not None:
        text += (
            f" {control} is declared a negative control, yet it lies on this path: it is a"
            " confounder. Take the role from it to adjust for it."
        )
    else:
        # The first cause of the exposure on the path is measured, and only its role kept it out.
        text += (
            f" {blockers[0]} is declared an instrument, yet it causes the outcome by another way"
            " than the exposure: it is a confounder. Take the role from it to adjust for it."
        )
    usable = [
        node
        for node in graph.with_role("instrument")
        if not graph.nodes[node].latent and node not in path
    ]
    if "instrument" in tried or "front-door" in tried:
        text += f" {_unfound(graph, tried)}"
    elif usable:
        text += f" The instrument {listed(usable)} may answer for those whom it moves."
    raise IdentificationError(text, open_path=shown)


def _unfound(graph: CausalGraph, tried: tuple[str, ...]) -> str:
    """Say what the strategies looked for in vain, in the order in which they were tried."""
    sought = {
        "randomised": f"{graph.exposure} is not set at random",
        "back-door": "no measured set closes the back-door paths",
        "instrument": f"no measured node moves {graph.exposure} as good as at random and reaches"
        f" {graph.outcome} through it alone",
        "front-door": f"no measured mediator carries all of the effect and is free of what joins"
        f" {graph.exposure} and {graph.outcome}",
    }
    return "Tried: " + "; ".join(f"{name}: {sought[name]}" for name in tried) + "."


def _assumptions(
    strategy: Strategy,
    exposure: str,
    outcome: str,
    adjustment: tuple[str, ...],
    selection: frozenset[str],
) -> tuple[tuple[str, str, AssumptionStatus], ...]:
    found: list[tuple[str, str, AssumptionStatus]] = []
    if strategy == "randomised":
        found.append(
            (
                "no unmeasured confounding",
                f"Nothing that causes {outcome} decides {exposure}: it was set at random.",
                "by design",
            )
        )
    else:
        given = listed(adjustment) if adjustment else "nothing"
        found.append(
            (
                "no unmeasured confounding",
                f"Given {given}, nothing else that causes {outcome} decides {exposure}, as the"
                " graph says.",
                "untestable",
            )
        )
    found.append(
        (
            "no interference",
            f"The {outcome} of a row depends on its own {exposure} only, not on what other users or"
            " items were given.",
            "untestable",
        )
    )
    if selection:
        found.append((*selection_assumption(selection), "by design"))
    return tuple(found)


def _words(
    graph: CausalGraph,
    exposure: str,
    outcome: str,
    needed: tuple[str, ...],
    adjustment: tuple[str, ...],
    strategy: Strategy,
) -> str:
    columns = f"{exposure} (column {graph.nodes[exposure].column!r}) on {outcome}" + (
        f" (column {graph.nodes[outcome].column!r})"
    )
    if strategy == "randomised":
        words = f"The effect of {columns} is identified by randomisation: no path leads from what"
        words += " decides the exposure to the outcome but through it."
    elif needed:
        words = f"The effect of {columns} is identified by back-door adjustment."
    else:
        words = f"The effect of {columns} is identified without adjustment: every back-door path is"
        words += " closed by itself."
    chosen = chosen_in_words(needed, adjustment)
    words += f" {chosen}" if chosen else ""
    laws = adjustment_laws(exposure, outcome, adjustment)
    of_whom = selection_words(graph, laws, adjustment)
    words += f" {of_whom}" if of_whom else ""
    if not _causal_nodes(graph, exposure, outcome):
        words += (
            " The graph has no directed path from exposure to outcome, so it says that the effect"
            " is zero: an estimate that differs from zero contradicts it."
        )
    return words
