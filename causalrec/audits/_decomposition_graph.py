"""What the graph says of a decomposition: what to adjust for, which paths are which, or a refusal.

An exposure decomposition needs the effect of exposure *within* each group, so the group stands
among what is conditioned on. A standard fairness model takes the group for the cause: the graph's
roles are read again around it, and `CausalGraph.identify(query="path")` answers or refuses.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from causalrec.errors import GraphError, IdentificationError, near_miss
from causalrec.graph import CausalGraph

if TYPE_CHECKING:
    from causalrec.graph import Estimand, PathEffect
    from causalrec.results import Assumption

STRATEGIES = ("randomised", "back-door")


@dataclass(frozen=True)
class Pathways:
    """What a decomposition is computed from, by the columns that hold it.

    Attributes
    ----------
    outcome : str
    before : tuple of str
        Covariates Z that close what joins the groups (or the exposure) to the outcome besides.
    allowed : tuple of str
        Mediators whose part is told apart.
    others : tuple of str
        Mediators that are not allowed, where the graph lets their part be told apart too.
    left_in : tuple of str
        Mediators that are not allowed and whose part stays in the direct one.
    between : tuple of str
        Of interventional parts: what else stands between group and outcome and is adjusted for.
    nodes : tuple of str
        The nodes adjusted for, as the result names them.
    words : str
        The identification in a few sentences.
    assumptions : tuple of Assumption
    """

    outcome: str
    before: tuple[str, ...]
    nodes: tuple[str, ...]
    words: str
    assumptions: tuple[Assumption, ...]
    allowed: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    left_in: tuple[str, ...] = ()
    between: tuple[str, ...] = ()


def identify_gap(
    graph: CausalGraph,
    *,
    by: str,
    method: str = "exposure",
    effect: PathEffect = "natural",
    allowed_mediators: Sequence[str] | None = None,
) -> Pathways:
    """Say what the parts of a gap are identified by, without touching a log.

    Parameters
    ----------
    graph : CausalGraph
    by, method, effect, allowed_mediators
        As in `decompose_gap`.

    Returns
    -------
    Pathways
        `words` says it in a few sentences; `before`, `allowed`, `others`, `left_in` and `between`
        name the columns.

    Raises
    ------
    GraphError, IdentificationError
        As `decompose_gap`.

    Examples
    --------
    >>> import causalrec as cr
    >>> graph = cr.load_graph("user_group_mix")
    >>> found = identify_gap(graph, by="user_group", method="standard_fairness")
    >>> found.allowed, found.before
    (('exposure_mix',), ('country', 'device'))
    """
    if method == "exposure":
        return within_groups(graph, by)
    return fairness_paths(graph, by, allowed_mediators, effect)


def within_groups(graph: CausalGraph, column: str) -> Pathways:
    """Identify the effect of exposure within the groups of a column.

    Raises
    ------
    IdentificationError
        If the graph does not identify it, or does not once the group is conditioned on.
    """
    from causalrec.results import Assumption

    found = graph.identify(query="effect", strategies=STRATEGIES)
    stated = list(Assumption.each(found.assumptions))
    group = node_of(graph, column)
    chosen = set(found.adjustment)
    if group is None:
        stated.append(
            Assumption(
                name="the group is outside the graph",
                statement=f"No node of the graph has the column {column!r}: within its groups the"
                " same covariates close every path between exposure and outcome.",
                status="untestable",
            )
        )
    else:
        chosen = _given_group(graph, group, found.adjustment)
    nodes = tuple(sorted(chosen - {group}))
    words = found.words
    if chosen - {group} != set(found.adjustment) - {group}:
        stated = [_restated(one, found, (str(group), *nodes)) for one in stated]
        words = (
            f"Within the groups of {column} the effect of {found.exposure} on {found.outcome} is"
            f" identified by adjustment for {_listed(nodes)}."
        )
    return Pathways(
        outcome=_column(graph, found.outcome),
        before=tuple(sorted(_column(graph, name) for name in nodes)),
        nodes=nodes,
        words=words,
        assumptions=tuple(stated),
    )


def _restated(one: Assumption, found: Estimand, given: Sequence[str]) -> Assumption:
    """Return an assumption of the whole effect as it is within the groups."""
    if one.name != "no unmeasured confounding":
        return one
    statement = (
        f"Given {_listed(given)}, nothing else that causes {found.outcome} decides"
        f" {found.exposure}, as the graph says."
    )
    return one.model_copy(update={"statement": statement})


def _given_group(graph: CausalGraph, group: str, adjustment: Sequence[str]) -> set[str]:
    """Return covariates that close the back-doors of exposure given the group, or refuse."""
    exposure, outcome = str(graph.exposure), str(graph.outcome)
    below = _reached(graph.edges, exposure)
    if group in below:
        raise IdentificationError(
            f"The groups of {group} are made by the exposure itself in this graph"
            f" ({graph.open_path(exposure, group)}): rows of one group are then no longer alike"
            " between the arms. Take groups that stood before the exposure.",
            open_path=graph.open_path(exposure, group),
        )
    above = _reached(_turned(graph.edges), outcome)
    causal = (below & above) - {exposure}
    cut = _with_edges(graph, [e for e in graph.edges if e[0] != exposure or e[1] not in causal])
    selection = set(graph.with_role("selection"))
    chosen = {*adjustment, group}
    if cut.open_path(exposure, outcome, sorted(chosen | selection)) is None:
        return chosen
    # If any set with the group in it closes all, so do the measured ancestors of the three.
    turned = _turned(graph.edges)
    ancestors = {n for end in (exposure, outcome, group) for n in _reached(turned, end)}
    never = {n.name for n in graph.node_table if n.role.startswith("negative_control")}
    kept = (set(graph.measured) & ancestors) - below - never - {exposure, outcome} - selection
    chosen = {*kept, group}
    path = cut.open_path(exposure, outcome, sorted(chosen | selection))
    if path is None:
        return chosen
    raise IdentificationError(
        f"Within the groups of {group} the effect of {exposure} on {outcome} is not identified: the"
        f" path {path} stays open whatever measured nodes are adjusted for.",
        open_path=path,
    )


def fairness_paths(
    graph: CausalGraph,
    column: str,
    allowed: Sequence[str] | None,
    effect: PathEffect,
) -> Pathways:
    """Read the standard fairness model around the groups of a column.

    Parameters
    ----------
    graph : CausalGraph
    column : str
        Of the groups; it must be a node's.
    allowed : sequence of str or None
        Nodes or columns of the mediators whose part is told apart. Default: the nodes of
        role=mediator between group and outcome; where there are none, all measured ones.
    effect : {"natural", "interventional"}

    Raises
    ------
    GraphError
        If the column is no node's, or an allowed mediator does not stand between.
    IdentificationError
        If the graph does not identify the parts; a recanting witness is named.
    """
    from causalrec.results import Assumption

    group, outcome = _ends(graph, column)
    between = _between(graph, group, outcome)
    chosen = _allowed(graph, group, between, allowed)
    if not chosen:
        found = _around(graph, group, ()).identify(query="effect", strategies=STRATEGIES)
    else:
        found = _around(graph, group, chosen).identify(query="path", effect=effect)
    after = set(found.mediator_adjustment) - set(found.adjustment)
    others: tuple[str, ...] = ()
    if chosen and effect == "natural":
        others = _told_apart(graph, group, chosen, between, found.adjustment)
    return Pathways(
        outcome=_column(graph, outcome),
        before=tuple(sorted(_column(graph, name) for name in found.adjustment)),
        nodes=found.adjustment,
        words=found.words,
        assumptions=Assumption.each(found.assumptions),
        allowed=tuple(sorted(_column(graph, name) for name in chosen)),
        others=tuple(sorted(_column(graph, name) for name in others)),
        left_in=tuple(_column(graph, name) for name in between if name not in {*chosen, *others}),
        between=tuple(sorted(_column(graph, name) for name in after)),
    )


def node_of(graph: CausalGraph, column: str) -> str | None:
    """Return the name of the node that a column holds, or None."""
    return next((node.name for node in graph.node_table if node.column == column), None)


def _ends(graph: CausalGraph, column: str) -> tuple[str, str]:
    group, outcome = node_of(graph, column), graph.outcome
    if group is None:
        columns = [node.column for node in graph.node_table if node.column]
        raise GraphError(
            f"No node of this graph has the column {column!r}.{near_miss(column, columns)} The"
            " standard fairness model needs to know what joins the groups to the outcome: add the"
            " node and its arrows. The exposure decomposition (method='exposure') does without."
        )
    if outcome is None:
        raise GraphError("No node of this graph has role=outcome: there is no gap to decompose.")
    if group == outcome:
        raise GraphError(f"{column!r} is the outcome itself: name the column of the groups.")
    return group, outcome


def _between(graph: CausalGraph, group: str, outcome: str) -> tuple[str, ...]:
    """Return the measured nodes on directed paths from the group to the outcome, sorted."""
    below, above = _reached(graph.edges, group), _reached(_turned(graph.edges), outcome)
    return tuple(sorted((below & above & set(graph.measured)) - {group, outcome}))


def _allowed(
    graph: CausalGraph, group: str, between: Sequence[str], asked: Sequence[str] | None
) -> tuple[str, ...]:
    if asked is None:
        declared = tuple(name for name in between if graph.nodes[name].role == "mediator")
        return declared or tuple(between)
    found = []
    for name in (asked,) if isinstance(asked, str) else asked:
        node = name if name in graph.nodes else node_of(graph, name)
        if node is None or node not in between:
            raise GraphError(
                f"{name!r} is no measured node between {group} and the outcome."
                f"{near_miss(name, between)} Those are: {_listed(between)}."
            )
        found.append(node)
    return tuple(sorted(set(found)))


def _told_apart(
    graph: CausalGraph,
    group: str,
    allowed: Sequence[str],
    between: Sequence[str],
    adjustment: Sequence[str],
) -> tuple[str, ...]:
    """Return the other mediators, if with them too the same covariates identify natural parts."""
    others = tuple(name for name in between if name not in allowed)
    if not others:
        return ()
    try:
        found = _around(graph, group, (*allowed, *others)).identify(query="path", effect="natural")
    except IdentificationError:
        return ()
    return others if set(found.adjustment) <= set(adjustment) else ()


def _around(graph: CausalGraph, group: str, mediators: Collection[str]) -> CausalGraph:
    """Return the graph with the group as the cause and these nodes as mediators."""
    nodes = []
    for node in graph.node_table:
        if node.name == group:
            nodes.append(replace(node, role="exposure"))
        elif node.name in mediators:
            nodes.append(replace(node, role="mediator"))
        elif node.role in {"exposure", "mediator"}:
            nodes.append(replace(node, role="latent" if node.latent else "covariate"))
        else:
            nodes.append(node)
    return CausalGraph(
        name=graph.name, label=graph.label, node_table=tuple(nodes), edges=graph.edges
    )


def _with_edges(graph: CausalGraph, edges: Iterable[tuple[str, str]]) -> CausalGraph:
    return CausalGraph(
        name=graph.name, label=graph.label, node_table=graph.node_table, edges=tuple(edges)
    )


def _reached(edges: Iterable[tuple[str, str]], start: str) -> set[str]:
    """Return the nodes that arrows lead to from `start`, which belongs to them."""
    children: dict[str, list[str]] = {}
    for cause, effect in edges:
        children.setdefault(cause, []).append(effect)
    found, queue = {start}, [start]
    while queue:
        for child in children.get(queue.pop(), ()):
            if child not in found:
                found.add(child)
                queue.append(child)
    return found


def _turned(edges: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(effect, cause) for cause, effect in edges]


def _column(graph: CausalGraph, name: str) -> str:
    return str(graph.nodes[name].column)


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "nothing"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
