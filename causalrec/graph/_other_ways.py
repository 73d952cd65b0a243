"""Where no adjustment set exists: an instrument, or a mediator that carries the whole effect.

Both rest on one separation. A node Z is as good as randomised given W where W closes every path
from Z to the exposure *and* to the outcome in the graph without the arrows out of Z and out of
the exposure. Such a Z is

- a conditional instrument, if it causes the exposure and no directed path leads from it past the
  exposure to the outcome (Angrist, Imbens & Rubin 1996; Brito & Pearl 2002);
- a front-door mediator, if it lies on the directed paths from exposure to outcome and on all of
  them. Pearl's conditions (2009, definition 3.3.3, given W) that W closes the back-doors from the
  exposure to Z, and W with the exposure those from Z to the outcome, say the same: no member of W
  is an effect of the exposure or of Z. (The tests compare the two on small graphs.)

Pearl (2009), "Causality", 2nd ed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from causalrec.graph import _paths
from causalrec.graph._adjust import (
    Separation,
    chosen_in_words,
    covariates,
    measured_after,
    selection_assumption,
)
from causalrec.graph._declared import never_adjusted
from causalrec.graph._estimand import AssumptionStatus, Estimand, Strategy
from causalrec.graph._selection import (
    Law,
    beyond_selection,
    front_door_laws,
    instrument_laws,
    selection_words,
)
from causalrec.graph._vocabulary import listed

if TYPE_CHECKING:
    from causalrec.graph._model import CausalGraph


@dataclass(frozen=True)
class _Way:
    """A node as good as randomised given `adjustment`, of which `needed` is the smaller part."""

    node: str
    needed: tuple[str, ...]
    adjustment: tuple[str, ...]
    by_design: bool


def by_instrument(graph: CausalGraph, exposure: str, outcome: str) -> Estimand | None:
    """Identify the effect among rows that a measured instrument moves, or return None.

    Declared instruments come before measured nodes that the arrows make instruments, and those
    that need fewer covariates before those that need more.
    """
    found = list(_ways(graph, exposure, outcome, _instrument_candidates(graph, exposure, outcome)))
    if not found:
        return None
    declared = graph.with_role("instrument")
    near = _paths.neighbours(graph.edges)[0].get(exposure, [])  # the nearer, the stronger
    way = min(
        found,
        key=lambda one: (
            one.node not in declared,
            len(one.needed),
            one.node not in near,
            one.node,
        ),
    )
    others = sorted(one.node for one in found if one.node != way.node)
    laws = instrument_laws(way.node, exposure, outcome, way.adjustment)
    words = (
        f"The effect of {_columns(graph, exposure, outcome)} is not identified by adjustment, but"
        f" {way.node} is an instrument: it moves {exposure} and reaches {outcome} through"
        f" {exposure} alone. What is identified is the local average effect (LATE): the effect"
        f" among those rows whose {exposure} {way.node} changes, if it moves no row the other way."
        " It is not the effect for everybody."
    )
    if others:
        words += f" Other instruments that the graph allows: {listed(others)}."
    assumptions: list[tuple[str, str, AssumptionStatus]] = [
        (
            "exclusion",
            f"{way.node} changes {outcome} through {exposure} alone, as the graph says.",
            "untestable",
        ),
        (
            "instrument as good as random",
            f"{_given(way)} nothing that causes {exposure} or {outcome} decides {way.node}.",
            "by design" if way.by_design else "untestable",
        ),
        (
            "monotonicity",
            f"{way.node} moves the {exposure} of no row against the direction in which it moves"
            " the others; without it the answer is no average effect of anybody.",
            "untestable",
        ),
    ]
    return _estimand(graph, exposure, outcome, way, "instrument", words, assumptions, laws)


def by_front_door(graph: CausalGraph, exposure: str, outcome: str) -> Estimand | None:
    """Identify the effect through one measured mediator that carries all of it, or return None."""
    found = list(_ways(graph, exposure, outcome, _front_door_candidates(graph, exposure, outcome)))
    if not found:
        return None
    declared = graph.with_role("mediator")
    way = min(found, key=lambda one: (one.node not in declared, len(one.needed), one.node))
    words = (
        f"The effect of {_columns(graph, exposure, outcome)} is not identified by adjustment, but"
        f" by the front door: {way.node} carries all of it, and what decides {exposure} out of"
        f" sight does not decide {way.node}. The effect of {exposure} on {way.node} and that of"
        f" {way.node} on {outcome} are combined."
    )
    assumptions: list[tuple[str, str, AssumptionStatus]] = [
        (
            "full mediation",
            f"{exposure} changes {outcome} through {way.node} alone, as the graph says.",
            "untestable",
        ),
        (
            "mediator unconfounded",
            f"{_given(way)} nothing else decides both {exposure} and {way.node}, and given"
            f" {exposure} as well nothing else decides both {way.node} and {outcome}.",
            "untestable",
        ),
    ]
    laws = front_door_laws(way.node, exposure, outcome, way.adjustment)
    return _estimand(graph, exposure, outcome, way, "front-door", words, assumptions, laws)


def _instrument_candidates(graph: CausalGraph, exposure: str, outcome: str) -> Iterator[str]:
    parents, _ = _paths.neighbours(graph.edges)
    before = _paths.reachable(parents, [exposure]) - {exposure}
    # Past the exposure, the causes of the outcome are out: they violate the exclusion.
    past = [edge for edge in graph.edges if exposure not in edge]
    excluded = _paths.reachable(_paths.neighbours(past)[0], [outcome])
    usable = before - excluded - never_adjusted(graph)
    yield from (name for name in graph.measured if name in usable)


def _front_door_candidates(graph: CausalGraph, exposure: str, outcome: str) -> Iterator[str]:
    parents, children = _paths.neighbours(graph.edges)
    between = _paths.reachable(children, [exposure]) & _paths.reachable(parents, [outcome])
    for name in graph.measured:
        if name not in between - {exposure, outcome} - never_adjusted(graph):
            continue
        around = [edge for edge in graph.edges if name not in edge]
        if _paths.directed_path(_paths.neighbours(around)[1], exposure, outcome) is None:
            yield name


def _ways(graph: CausalGraph, exposure: str, outcome: str, nodes: Iterator[str]) -> Iterator[_Way]:
    selection = frozenset(graph.with_role("selection"))
    parents, children = _paths.neighbours(graph.edges)
    causes = parents.get(outcome, [])
    for node in nodes:
        later = _paths.reachable(children, [exposure, node, outcome])
        if later & selection:
            continue  # the rows are selected by what the node changes: no longer comparable
        problem = _as_good_as_random(graph, node, exposure, outcome, later, selection)
        minimal = problem.minimal()
        if minimal is None or not problem.holds(minimal):
            continue
        adjustment = problem.improved(minimal, causes)
        yield _Way(
            node=node,
            needed=problem.needed(adjustment, minimal),
            adjustment=adjustment,
            by_design=problem.disconnected(),
        )


def _as_good_as_random(
    graph: CausalGraph,
    node: str,
    exposure: str,
    outcome: str,
    later: frozenset[str],
    selection: frozenset[str],
) -> Separation:
    # A common effect of exposure and outcome that nobody conditions on: whatever is separated from
    # it is separated from both.
    both = f"{exposure} or {outcome}"
    while both in graph.nodes:
        both += "_"
    kept = [edge for edge in graph.edges if edge[0] not in (node, exposure)]
    return Separation(
        edges=tuple(sorted([*kept, (exposure, both), (outcome, both)])),
        nodes=(*graph.nodes, both),
        source=node,
        target=both,
        candidates=frozenset(graph.measured)
        - later
        - never_adjusted(graph)
        - measured_after(graph, [node, exposure]),
        included=selection,
    )


def _estimand(
    graph: CausalGraph,
    exposure: str,
    outcome: str,
    way: _Way,
    strategy: Strategy,
    words: str,
    assumptions: list[tuple[str, str, AssumptionStatus]],
    laws: tuple[Law, ...],
) -> Estimand:
    selection = graph.with_role("selection")
    stated = [
        *assumptions,
        (
            "no interference",
            f"The {outcome} of a row depends on its own {exposure} only, not on what other users or"
            " items were given.",
            "untestable",
        ),
    ]
    if selection:
        stated.append((*selection_assumption(selection), "by design"))
    both = f"the effects of {way.node} on {exposure} and on {outcome}"
    more = (
        chosen_in_words(way.needed, way.adjustment),
        selection_words(
            graph, laws, way.adjustment, averaged=both if strategy == "instrument" else "it"
        ),
    )
    return Estimand(
        query="effect",
        strategy=strategy,
        exposure=exposure,
        outcome=outcome,
        observed=None,
        adjustment=way.adjustment,
        covariates=covariates(graph, way.adjustment),
        instruments=(way.node,) if strategy == "instrument" else (),
        mediators=(way.node,) if strategy == "front-door" else (),
        assumptions=tuple(stated),
        words=" ".join(filter(None, (words, *more))),
        graph_dot=graph.to_dot(),
        minimal=way.needed,
        selection=selection,
        beyond_selection=beyond_selection(graph, laws),
    )


def _given(way: _Way) -> str:
    return f"Given {listed(way.needed)}," if way.needed else "Without any adjustment,"


def _columns(graph: CausalGraph, exposure: str, outcome: str) -> str:
    return f"{exposure} (column {graph.nodes[exposure].column!r}) on {outcome}" + (
        f" (column {graph.nodes[outcome].column!r})"
    )
