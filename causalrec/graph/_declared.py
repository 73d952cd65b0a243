"""Roles that a graph declares, held to its arrows: a role that they contradict is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from causalrec.errors import GraphError
from causalrec.graph import _paths
from causalrec.graph._vocabulary import CONTROL_ROLES, Role, listed

if TYPE_CHECKING:
    from collections.abc import Collection

    from causalrec.graph._model import CausalGraph


@dataclass(frozen=True)
class NegativeControl:
    """A declared negative control, and what the graph says a test of it can show.

    Attributes
    ----------
    node, column : str
    role : "negative_control_outcome" or "negative_control_exposure"
    open_path : str or None
        The path that would join it to what it is tested against even if the graph is right; a
        control with such a path is not used.
    shares : tuple of str
        The unmeasured causes that it shares with the outcome (a negative-control outcome) or with
        the exposure (a negative-control exposure), sorted. Without one a test that passes shows
        nothing.
    words : str
        What a test of it can show, in a sentence.
    """

    node: str
    column: str
    role: Role
    open_path: str | None
    shares: tuple[str, ...]
    words: str

    @property
    def valid(self) -> bool:
        """Whether the graph implies that a test of it finds nothing."""
        return self.open_path is None


def never_adjusted(graph: CausalGraph) -> frozenset[str]:
    """Return the nodes that no adjustment set may hold whatever the arrows say."""
    kept_out = ("selection", *CONTROL_ROLES)
    return frozenset(name for role in kept_out for name in graph.with_role(role))


def negative_controls(
    graph: CausalGraph, exposure: str, outcome: str, given: Collection[str]
) -> tuple[NegativeControl, ...]:
    """Judge the declared negative controls of an effect that is adjusted for `given`."""
    return tuple(
        _judged(graph, name, exposure, outcome, frozenset(given))
        for role in CONTROL_ROLES
        for name in graph.with_role(role)
    )


def _judged(
    graph: CausalGraph, name: str, exposure: str, outcome: str, given: frozenset[str]
) -> NegativeControl:
    """Lipsitch, Tchetgen Tchetgen & Cohen (2010), Epidemiology 21: what makes a control a control.

    A control outcome must be separated from the exposure given the covariates, a control exposure
    from the outcome given covariates and exposure; and each must share an unmeasured cause with
    the other end, or no confounding could reach it.
    """
    node = graph.nodes[name]
    is_outcome = node.role == "negative_control_outcome"
    fixed = (given if is_outcome else given | {exposure}) | frozenset(graph.with_role("selection"))
    against, partner = (exposure, outcome) if is_outcome else (outcome, exposure)
    path = _paths.open_path(graph.edges, name, against, fixed - {name, against})
    shown = None if path is None else _paths.arrows(path, graph.edges, fixed)
    shares = _shared_causes(graph, name, partner, given)
    kind = "outcome" if is_outcome else "exposure"
    if shown is not None:
        words = (
            f"{name} is no negative-control {kind} for this adjustment set: it goes with {against}"
            f" even if the graph is right ({shown})."
        )
    elif shares:
        other = exposure if is_outcome else outcome
        words = (
            f"{name} is a negative-control {kind}: it shares {listed(shares)} with {partner}, so an"
            f" association with {against} would say that {listed(shares, last='or')} reaches"
            f" {other} as well."
        )
    else:
        words = (
            f"{name} is a negative-control {kind} that can show little: the graph draws no"
            f" unmeasured cause that it shares with {partner}, so a test that finds nothing shows"
            " nothing."
        )
    assert node.column is not None
    return NegativeControl(name, node.column, node.role, shown, shares, words)


def _shared_causes(
    graph: CausalGraph, name: str, partner: str, given: frozenset[str]
) -> tuple[str, ...]:
    """Return the latents with directed paths, past what is adjusted for, to both nodes."""
    parents, _ = _paths.neighbours([edge for edge in graph.edges if not {*edge} & given])
    both = _paths.reachable(parents, [name]) & _paths.reachable(parents, [partner])
    return tuple(sorted(both & frozenset(graph.latents)))


def refuse_false_controls(graph: CausalGraph, exposure: str, outcome: str) -> None:
    """Refuse negative controls that the arrows contradict whatever is adjusted for."""
    _, children = _paths.neighbours(graph.edges)
    for role, ends, wrong in (
        ("negative_control_outcome", (exposure, None), f"{exposure} causes it"),
        ("negative_control_exposure", (None, outcome), f"it causes {outcome}"),
    ):
        for name in graph.with_role(role):  # type: ignore[arg-type]
            source, target = ends[0] or name, ends[1] or name
            path = _paths.directed_path(children, source, target)
            if path is not None:
                raise GraphError(
                    f"{name} is declared a {role.replace('_', '-', 1).replace('_', ' ')}, yet"
                    f" {wrong}: {_paths.arrows(path, graph.edges)}. Take role={role} from it, or"
                    " the arrow out of the graph."
                )


def instruments(
    graph: CausalGraph,
    exposure: str,
    outcome: str,
    adjustment: tuple[str, ...],
    selection: frozenset[str],
) -> tuple[str, ...]:
    """Return the measured instruments; refuse one that the arrows contradict."""
    given = frozenset(adjustment) | selection
    without = [edge for edge in graph.edges if edge[0] != exposure]
    found = []
    for name in graph.with_role("instrument"):
        path = _paths.open_path(without, name, outcome, given)
        if path is not None:
            raise GraphError(
                f"{name} is declared an instrument, yet it reaches the outcome by another way than"
                f" the exposure: {_paths.arrows(path, without, given)}. Take role=instrument from"
                " it, or the arrow out of the graph."
            )
        if _paths.open_path(without, name, exposure, given) is None:
            raise GraphError(
                f"{name} is declared an instrument, yet nothing joins it to the exposure"
                f" {exposure}. Draw {name} -> {exposure}, or take role=instrument from it."
            )
        if not graph.nodes[name].latent:
            found.append(name)
    return tuple(found)


def mediators(graph: CausalGraph, exposure: str, outcome: str) -> tuple[str, ...]:
    """Return the declared mediators; refuse one that the arrows contradict."""
    parents, children = _paths.neighbours(graph.edges)
    between = _paths.reachable(children, [exposure]) & _paths.reachable(parents, [outcome])
    declared = graph.with_role("mediator")
    for name in declared:
        if name not in between - {exposure, outcome}:
            raise GraphError(
                f"{name} is declared a mediator, yet no directed path leads from {exposure} through"
                f" it to {outcome}. Draw the arrows, or take role=mediator from it."
            )
    return declared
