"""`identify(query="path")`: what runs through the declared mediators, and what does not.

Natural effects (Pearl 2001) need covariates W, none an effect of the exposure, that close every
back-door among exposure, mediators and outcome. An effect of the exposure that decides both the
mediator and the outcome (a recanting witness: Avin, Shpitser & Pearl 2005) forbids them: no data
tell what would become of it in two worlds at once. Interventional effects (VanderWeele,
Vansteelandt & Robins 2014) and controlled direct effects (Pearl & Robins 1995) survive it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, get_args

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
from causalrec.graph._declared import mediators, never_adjusted, refuse_false_controls
from causalrec.graph._effect import ends, refuse_reverse, refuse_selection_by_exposure
from causalrec.graph._estimand import AssumptionStatus, Estimand, PathEffect, Strategy
from causalrec.graph._selection import Law, beyond_selection, path_laws, selection_words
from causalrec.graph._vocabulary import listed

if TYPE_CHECKING:
    from causalrec.graph._model import CausalGraph

PATH_EFFECTS: tuple[PathEffect, ...] = get_args(PathEffect)

_STRATEGIES: dict[PathEffect, Strategy] = {
    "natural": "natural effects",
    "interventional": "interventional effects",
    "controlled": "controlled direct effect",
}


@dataclass(frozen=True)
class _Question:
    graph: CausalGraph
    exposure: str
    outcome: str
    mediators: tuple[str, ...]
    selection: frozenset[str]
    before: frozenset[str]
    """Measured nodes that the exposure does not change."""
    beside: frozenset[str]
    """Measured nodes that no mediator changes, effects of the exposure among them."""


@dataclass(frozen=True)
class _Answer:
    first: tuple[str, ...]
    """Closes the back-doors of the exposure."""
    second: tuple[str, ...]
    """Closes, with the exposure, those from the mediators to the outcome."""


@dataclass(frozen=True)
class _Failure:
    problem: Separation
    path: tuple[str, ...]
    given: frozenset[str]


def identify_path(graph: CausalGraph, effect: str = "natural") -> Estimand:
    """Identify the effects along and beside the declared mediators, or refuse."""
    if effect not in PATH_EFFECTS:
        raise GraphError(
            f"There is no path effect {effect!r}.{near_miss(str(effect), PATH_EFFECTS)}"
            f" Ask for {listed(map(repr, PATH_EFFECTS), last='or')}."
        )
    question = _question(graph)
    if effect == "natural":
        _refuse_recanting_witness(question)
    answer = _solve(question, effect)
    if isinstance(answer, _Failure):
        _refuse(question, effect, answer)
    return _estimand(question, effect, answer)


def _question(graph: CausalGraph) -> _Question:
    exposure, outcome = ends(graph)
    refuse_reverse(graph, exposure, outcome)
    selection = frozenset(graph.with_role("selection"))
    refuse_selection_by_exposure(graph, exposure, selection)
    refuse_false_controls(graph, exposure, outcome)
    mediators = _declared_mediators(graph, exposure, outcome)
    _, children = _paths.neighbours(graph.edges)
    kept_out = never_adjusted(graph) | {exposure, outcome} | frozenset(mediators)
    kept_out |= frozenset(graph.with_role("instrument"))
    after = _paths.reachable(children, [exposure, outcome])
    after_mediators = _paths.reachable(children, [*mediators, outcome])
    measured = frozenset(graph.measured) - kept_out
    after |= measured_after(graph, [exposure])
    after_mediators |= measured_after(graph, mediators)
    return _Question(
        graph, exposure, outcome, mediators, selection, measured - after, measured - after_mediators
    )


def _declared_mediators(graph: CausalGraph, exposure: str, outcome: str) -> tuple[str, ...]:
    declared = mediators(graph, exposure, outcome)
    if not declared:
        raise GraphError(
            "No node of this graph has role=mediator, and a path effect needs to know which paths"
            " are meant. Add [role=mediator] to the nodes that they run through."
        )
    for name in declared:
        if graph.nodes[name].latent:
            raise IdentificationError(
                f"The effect through {named(graph, name)} is not identified: the mediator is"
                " latent, and no column says what became of it. Measure it and name its column.",
                open_path=f"{exposure} -> {name} -> {outcome}",
            )
    return declared


def _solve(question: _Question, effect: PathEffect) -> _Answer | _Failure:
    """Return the covariates, or the path that no covariates close."""
    exposed = _exposure_problem(question, effect)
    if effect == "natural":
        return _solve_natural(question, exposed)
    minimal = exposed.minimal()
    if minimal is None:
        return _Failure(exposed, *exposed.witness())
    causes = _causes(question)
    first = exposed.improved(minimal, causes)
    mediated = _mediator_problem(question, question.beside, frozenset(first))
    more = mediated.minimal()
    if more is None:
        return _Failure(mediated, *mediated.witness())
    return _Answer(first, tuple(sorted({*first, *mediated.improved(more, causes)})))


def _solve_natural(question: _Question, exposed: Separation) -> _Answer | _Failure:
    # Both separations by one set. If any set of candidates achieves both, so do all those among
    # the ancestors of the three (van der Zander, Liskiewicz & Textor 2014); then drop what is idle.
    mediated = _mediator_problem(question, question.before, frozenset())
    parents, _ = _paths.neighbours(question.graph.edges)
    ends = {question.exposure, question.outcome, *question.mediators}
    chosen = set(question.before & _paths.reachable(parents, ends | question.selection))
    for problem in (exposed, mediated):
        if not problem.holds(chosen):
            given = frozenset(chosen) | problem.included
            path = _paths.open_path(problem.edges, problem.source, problem.target, given)
            assert path is not None
            return _Failure(problem, path, given)
    causes = _causes(question)
    for node in sorted(chosen - causes) + sorted(chosen & causes):
        fewer = chosen - {node}
        if node not in causes and exposed.holds(fewer) and mediated.holds(fewer):
            chosen = fewer
    first = tuple(sorted(chosen))
    return _Answer(first, first)


def _causes(question: _Question) -> frozenset[str]:
    parents, _ = _paths.neighbours(question.graph.edges)
    return frozenset(parents.get(question.outcome, ()))


def _exposure_problem(question: _Question, effect: PathEffect) -> Separation:
    """Close the back-doors from the exposure to mediators and outcome.

    For a controlled effect the mediators are set: what decides them does not matter.
    """
    edges = [edge for edge in question.graph.edges if edge[0] != question.exposure]
    if effect == "controlled":
        edges = [edge for edge in edges if edge[1] not in question.mediators]
        return _separation(question, edges, question.exposure, question.outcome, question.before)
    joint = _fresh(question, [*question.mediators, question.outcome])
    edges += [(name, joint) for name in (*question.mediators, question.outcome)]
    return _separation(question, edges, question.exposure, joint, question.before)


def _mediator_problem(
    question: _Question, candidates: frozenset[str], given: frozenset[str]
) -> Separation:
    """Close, with the exposure, the back-doors from the mediators to the outcome."""
    joint = _fresh(question, question.mediators)
    edges = [edge for edge in question.graph.edges if edge[0] not in question.mediators]
    edges += [(name, joint) for name in question.mediators]
    given = given | {question.exposure}
    return _separation(question, edges, joint, question.outcome, candidates - given, given)


def _separation(
    question: _Question,
    edges: list[tuple[str, str]],
    source: str,
    target: str,
    candidates: frozenset[str],
    given: frozenset[str] = frozenset(),
) -> Separation:
    return Separation(
        edges=tuple(sorted(edges)),
        nodes=tuple(sorted({*question.graph.nodes, source, target})),
        source=source,
        target=target,
        candidates=candidates,
        included=question.selection | given,
    )


def _fresh(question: _Question, names: list[str] | tuple[str, ...]) -> str:
    """Name a common effect of `names` that nobody conditions on: it stands for all of them."""
    if len(names) == 1:
        return f"{names[0]}'" if f"{names[0]}'" not in question.graph.nodes else f"{names[0]}''"
    joint = listed(names, last="or")
    while joint in question.graph.nodes:
        joint += "'"
    return joint


def _refuse_recanting_witness(question: _Question) -> None:
    """Name an effect of the exposure that decides a mediator and reaches the outcome beside it."""
    graph, mediators = question.graph, question.mediators
    _, children = _paths.neighbours(graph.edges)
    beside = {
        name: [child for child in found if child not in mediators]
        for name, found in children.items()
    }
    for name in sorted(_paths.reachable(beside, [question.exposure]) - {question.exposure}):
        if name == question.outcome:
            continue
        to_outcome = _paths.directed_path(beside, name, question.outcome)
        to_mediator = next(
            (
                path
                for mediator in mediators
                if (path := _paths.directed_path(children, name, mediator)) is not None
            ),
            None,
        )
        if to_outcome is None or to_mediator is None:
            continue
        through = _paths.arrows(to_mediator[::-1], graph.edges)
        shown = f"{through}{_paths.arrows(to_outcome, graph.edges)[len(name) :]}"
        raise IdentificationError(
            f"Natural effects through {listed(mediators)} are not identified: {name} is a recanting"
            f" witness. {question.exposure} changes it, and it decides both the mediator and the"
            f" outcome ({shown}): the natural effect would need its value under exposure and"
            f" without it, in the same row. {_offer(question)}",
            open_path=shown,
        )


def _offer(question: _Question) -> str:
    """Say which of the other path effects the same graph identifies."""
    found = [
        f"{words} (effect={effect!r})"
        for effect, words in (
            ("interventional", "interventional direct and indirect effects"),
            ("controlled", "the controlled direct effect"),
        )
        if not isinstance(_solve(question, effect), _Failure)  # type: ignore[arg-type]
    ]
    if not found:
        return "Interventional and controlled direct effects are not identified either."
    return f"The graph does identify {listed(found)}."


def _refuse(question: _Question, effect: PathEffect, failure: _Failure) -> NoReturn:
    graph, problem = question.graph, failure.problem
    drawn = {name for name in (problem.source, problem.target) if name not in graph.nodes}
    path = tuple(
        name for name in failure.path if name not in drawn
    )  # the stand-ins are no part of it
    shown = _paths.arrows(path, problem.edges, failure.given)
    latent = next((node for node in closable(path, problem.edges) if graph.nodes[node].latent), "")
    text = (
        f"{_STRATEGIES[effect].capitalize()} through {listed(question.mediators)} cannot be told"
        f" from the data: the path {shown} stays open whatever measured nodes are adjusted for."
    )
    if latent:
        text += f" Measure {named(graph, latent)}, which the graph calls latent."
    if effect == "natural":
        text += f" {_offer(question)}"
    raise IdentificationError(text, open_path=shown)


def _estimand(question: _Question, effect: PathEffect, answer: _Answer) -> Estimand:
    graph = question.graph
    laws = path_laws(question.mediators, question.exposure, question.outcome, answer.first)
    stated = [
        *_assumptions(question, effect, answer),
        (
            "no interference",
            f"{question.outcome} and {listed(question.mediators)} of a row depend on its own"
            f" {question.exposure} only.",
            "untestable",
        ),
    ]
    if question.selection:
        stated.append((*selection_assumption(question.selection), "by design"))
    return Estimand(
        query="path",
        strategy=_STRATEGIES[effect],
        exposure=question.exposure,
        outcome=question.outcome,
        observed=None,
        adjustment=answer.first,
        covariates=covariates(graph, answer.first),
        instruments=(),
        mediators=question.mediators,
        assumptions=tuple(stated),
        words=_words(question, effect, answer, laws),
        graph_dot=graph.to_dot(),
        minimal=answer.first,
        selection=tuple(sorted(question.selection)),
        beyond_selection=beyond_selection(graph, laws),
        mediator_adjustment=answer.second,
        mediator_covariates=covariates(graph, answer.second),
    )


def _assumptions(
    question: _Question, effect: PathEffect, answer: _Answer
) -> list[tuple[str, str, AssumptionStatus]]:
    exposure, outcome, through = question.exposure, question.outcome, listed(question.mediators)
    given = f"Given {listed(answer.first)}," if answer.first else "Without adjustment,"
    both = listed([exposure, *answer.second])
    targets = outcome if effect == "controlled" else f"{through} or {outcome}"
    found: list[tuple[str, str, AssumptionStatus]] = [
        (
            "no unmeasured confounding of the exposure",
            f"{given} nothing else that causes {targets} decides {exposure}, as the graph says.",
            "untestable",
        ),
        (
            "no unmeasured confounding of the mediator",
            f"Given {both}, nothing else that causes {outcome} decides {through}, as the graph"
            " says.",
            "untestable",
        ),
    ]
    if effect == "natural":
        found.append(
            (
                "no recanting witness",
                f"Nothing that {exposure} changes decides both {through} and {outcome} (a statement"
                " about two worlds at once, which no experiment checks).",
                "untestable",
            )
        )
    return found


def _words(question: _Question, effect: PathEffect, answer: _Answer, laws: tuple[Law, ...]) -> str:
    exposure, outcome, through = question.exposure, question.outcome, listed(question.mediators)
    words = {
        "natural": f"The natural indirect effect of {exposure} on {outcome} through {through} and"
        " the natural direct effect beside it are identified; they sum to the total effect.",
        "interventional": f"The interventional indirect effect of {exposure} on {outcome} through"
        f" {through} (its distribution is shifted, not each row's own value) and the interventional"
        " direct effect are identified; their sum need not be the total effect.",
        "controlled": f"The controlled direct effect of {exposure} on {outcome} with {through} set"
        " to one value for everybody is identified; it has no indirect part.",
    }[effect]
    if answer.first:
        words += f" {chosen_in_words(answer.first, answer.first)}"
    more = sorted(set(answer.second) - set(answer.first))
    if more:
        words += f" For {through} and {outcome}, also adjusted for: {listed(more)}."
    of_whom = selection_words(question.graph, laws, answer.first, what="answer")
    return f"{words} {of_whom}" if of_whom else words
