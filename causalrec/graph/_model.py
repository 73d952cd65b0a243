"""The graph itself: nodes with roles and columns, arrows between them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from types import MappingProxyType
from typing import TYPE_CHECKING

from causalrec.errors import GraphError, near_miss
from causalrec.graph import _paths
from causalrec.graph._node import Node
from causalrec.graph._parser import parse
from causalrec.graph._vocabulary import (
    SINGLE_ROLES,
    Entity,
    Role,
    listed,
    name_problem,
    plain_text,
)
from causalrec.graph._write import to_dagitty, to_dot

if TYPE_CHECKING:
    import networkx as nx

    from causalrec.graph._declared import NegativeControl
    from causalrec.graph._estimand import Estimand, PathEffect, Query
    from causalrec.graph._parsed import ParsedGraph, ParsedNode

QUERIES = ("effect", "mean", "path")


@dataclass(frozen=True)
class CausalGraph:
    """A directed acyclic graph whose nodes have roles and columns; immutable, comparable.

    Build one with `CausalGraph.from_dot` or `load_graph`.

    Parameters
    ----------
    name : str
    label : str
        What the graph assumes, in a sentence.
    node_table : tuple of Node
        Sorted by name on construction.
    edges : tuple of (cause, effect)
        Sorted, each once, on construction.

    Raises
    ------
    GraphError
        If a name is used twice, an edge leads nowhere, a role is taken twice, two nodes claim one
        column, or the arrows run in a circle (which is named).

    Examples
    --------
    >>> graph = CausalGraph.from_dot('''
    ...     digraph shelf {
    ...         shown [role=exposure]; bought [role=outcome];
    ...         age [entity=user];
    ...         age -> {shown bought}; shown -> bought
    ...     }''')
    >>> graph.exposure, graph.outcome, graph.measured
    ('shown', 'bought', ('age', 'bought', 'shown'))
    >>> graph.open_path("shown", "bought")
    'shown -> bought'
    """

    name: str
    label: str
    node_table: tuple[Node, ...]
    edges: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        for text, what in ((self.name, "name"), (plain_text(self.label), "label")):
            if problem := name_problem(text, empty=True):
                raise GraphError(f"The graph's {what} {problem}.")
        fill = object.__setattr__
        fill(self, "label", plain_text(self.label))
        fill(self, "node_table", tuple(sorted(self.node_table, key=lambda node: node.name)))
        fill(self, "edges", tuple(sorted(set(self.edges))))
        self._check_nodes()
        self._check_edges()

    @classmethod
    def from_dot(cls, text: str, name: str | None = None) -> CausalGraph:
        """Read a graph from Graphviz or DAGitty text.

        Parameters
        ----------
        text : str
            `digraph name { ... }` or `dag { ... }`. Node attributes: `role=`, `column=`,
            `entity=user|item|event`, `label=`; DAGitty's bare words (`[exposure]`, `[latent]`...)
            say the same. `a <-> b` becomes a fresh latent cause of both. Attributes that only draw
            are passed over.
        name : str, optional
            The graph's name, where the text's own shall not stand.

        Raises
        ------
        GraphError
            With line and column, the offending line and a caret below the place.

        Examples
        --------
        >>> graph = CausalGraph.from_dot("dag { E [exposure] Y [outcome] E -> Y E <-> Y }")
        >>> graph.latents, graph.edges[-1]
        (('latent_E_Y',), ('latent_E_Y', 'Y'))
        >>> CausalGraph.from_dot("digraph { a -> }")
        Traceback (most recent call last):
            ...
        causalrec.errors.GraphError: Line 1, column 16: A node's name is expected here, not '}'.
        digraph { a -> }
                       ^
        """
        if not isinstance(text, str):
            raise GraphError(
                f"from_dot reads text, not {type(text).__name__}; load_graph reads a file."
            )
        parsed = parse(text.replace("\r\n", "\n").replace("\r", "\n"))
        return _build(parsed, parsed.name if name is None else name)

    @cached_property
    def nodes(self) -> Mapping[str, Node]:
        """Name -> node, sorted by name; read-only."""
        return MappingProxyType({node.name: node for node in self.node_table})

    def __getstate__(self) -> dict[str, object]:
        # The cached read-only view cannot be pickled, and need not be.
        return {key: value for key, value in self.__dict__.items() if key != "nodes"}

    def with_role(self, role: Role) -> tuple[str, ...]:
        """Return the names of the nodes that have a role, sorted."""
        return tuple(node.name for node in self.node_table if node.role == role)

    @property
    def exposure(self) -> str | None:
        """The node that somebody could have set otherwise, if declared."""
        return next(iter(self.with_role("exposure")), None)

    @property
    def outcome(self) -> str | None:
        """The outcome node, if declared."""
        return next(iter(self.with_role("outcome")), None)

    @property
    def observed(self) -> str | None:
        """The indicator that the outcome is recorded, if declared."""
        return next(iter(self.with_role("observed")), None)

    @property
    def latents(self) -> tuple[str, ...]:
        """Names of the nodes that nobody measures, sorted."""
        return tuple(node.name for node in self.node_table if node.latent)

    @property
    def measured(self) -> tuple[str, ...]:
        """Names of the nodes that have a column, sorted."""
        return tuple(node.name for node in self.node_table if not node.latent)

    def network(self) -> nx.DiGraph[str]:
        """Return a fresh `networkx.DiGraph` of the names, to keep or to change."""
        import networkx as nx

        network: nx.DiGraph[str] = nx.DiGraph()
        network.add_nodes_from(node.name for node in self.node_table)
        network.add_edges_from(self.edges)
        return network

    def open_path(self, source: str, target: str, given: Collection[str] = ()) -> str | None:
        """Return a shortest open path in words (`a <- b -> c`), or None if `given` closes all.

        Raises
        ------
        GraphError
            If a name is unknown, or an end of the path is itself conditioned on.
        """
        for name in (source, target, *sorted(given)):
            if name not in self.nodes:
                raise GraphError(f"The graph has no node {name!r}.{near_miss(name, self.nodes)}")
        if source == target or source in given or target in given:
            raise GraphError("A path runs between two different nodes that are not conditioned on.")
        path = _paths.open_path(self.edges, source, target, given)
        return None if path is None else _paths.arrows(path, self.edges, given)

    def negative_controls(self, given: Collection[str] = ()) -> tuple[NegativeControl, ...]:
        """Judge the declared negative controls of the effect, adjusted for `given`.

        Nodes of role=negative_control_outcome are what the exposure cannot cause, those of
        role=negative_control_exposure what cannot cause the outcome. Either is never adjusted for;
        `EffectResult.refute` tests those that are valid.

        Parameters
        ----------
        given : collection of str
            Node names, `Estimand.adjustment` as a rule.

        Raises
        ------
        GraphError
            If exposure or outcome is missing, a name is unknown, or the arrows contradict a role.

        References
        ----------
        Lipsitch, Tchetgen Tchetgen & Cohen (2010), "Negative controls: a tool for detecting
        confounding and bias in observational studies", Epidemiology 21(3).

        Examples
        --------
        >>> graph = CausalGraph.from_dot(
        ...     "dag { shown [exposure] bought [outcome] visit [role=negative_control_outcome]"
        ...     " taste [latent] shown -> bought taste -> {bought visit} }")
        >>> [(one.node, one.valid, one.shares) for one in graph.negative_controls()]
        [('visit', True, ('taste',))]
        """
        from causalrec.graph._declared import negative_controls, refuse_false_controls
        from causalrec.graph._effect import ends

        exposure, outcome = ends(self)
        for name in sorted(given):
            if name not in self.nodes:
                raise GraphError(f"The graph has no node {name!r}.{near_miss(name, self.nodes)}")
        refuse_false_controls(self, exposure, outcome)
        return negative_controls(self, exposure, outcome, given)

    def identify(
        self,
        query: Query = "effect",
        strategies: tuple[str, ...] = ("randomised", "back-door", "instrument", "front-door"),
        effect: PathEffect = "natural",
    ) -> Estimand:
        """Say which columns answer a question, or refuse and name the open path.

        Parameters
        ----------
        query : {"effect", "mean", "path"}
            "effect": the effect of the exposure on the outcome, by the first of `strategies` that
            succeeds.
            "mean": the mean outcome over all cells, recorded or not; it asks that given measured
            covariates the outcome is independent of its being recorded.
            "path": the effects through the nodes of role=mediator and beside them.
        strategies : tuple of str
            Ways to an effect, tried in this order. "randomised": nothing joins what decides the
            exposure to the outcome. "back-door": adjustment (DoWhy's generalised criterion: van
            der Zander, Liskiewicz & Textor 2014; networkx checks it). "instrument": a measured
            node that is as good as random given covariates, moves the exposure, and reaches the
            outcome through it alone; it identifies the effect among those whom it moves.
            "front-door": a measured mediator that carries all of the effect (Pearl 2009,
            definition 3.3.3, with covariates). `Estimand.strategy` says which it was:
            "randomised", "back-door adjustment", "instrument" or "front-door". A mean that the
            outcome's own selection hides is identified through a node of role=shadow only if
            "shadow" is among the strategies: `estimate_mean` asks for it.
        effect : {"natural", "interventional", "controlled"}
            Which path effects. Natural ones are refused where an effect of the exposure decides
            both mediator and outcome; the others may survive it.

        Returns
        -------
        Estimand
            Its adjustment set is a minimal one, and those measured causes of the outcome that make
            the estimate more precise; never an instrument, never an effect of the exposure.

        Raises
        ------
        GraphError
            If the question does not fit the graph (a role is missing or contradicts the arrows).
        IdentificationError
            If the graph does not identify it; `open_path` is the path, the message names what to
            measure.

        Examples
        --------
        >>> graph = CausalGraph.from_dot(
        ...     "dag { observed [observed] rating [outcome] age -> {observed rating} }")
        >>> graph.identify(query="mean").adjustment
        ('age',)
        >>> graph = CausalGraph.from_dot(
        ...     "dag { arm shown [exposure] bought [outcome] arm -> shown -> bought"
        ...     " shown <-> bought }")
        >>> found = graph.identify()
        >>> found.strategy, found.instruments
        ('instrument', ('arm',))
        """
        if query == "effect":
            from causalrec.graph._effect import identify_effect

            return identify_effect(self, strategies)
        if query == "mean":
            from causalrec.graph._mean import identify_mean

            return identify_mean(self, strategies)
        if query == "path":
            from causalrec.graph._mediation import identify_path

            return identify_path(self, effect)
        raise GraphError(
            f"A graph cannot be asked for {query!r}.{near_miss(str(query), QUERIES)}"
            " Ask query='effect', query='mean' or query='path'."
        )

    def to_dot(self) -> str:
        """Return the graph as Graphviz text; reading it gives an equal graph."""
        return to_dot(self)

    def to_dagitty(self) -> str:
        """Return the graph as DAGitty text; reading it gives an equal graph."""
        return to_dagitty(self)

    def _check_nodes(self) -> None:
        seen: dict[str, str] = {}
        columns: dict[str, str] = {}
        for node in self.node_table:
            if node.name in seen:
                raise GraphError(f"Two nodes are called {node.name!r}.")
            seen[node.name] = node.name
            if node.column is not None:
                if node.column in columns:
                    raise GraphError(
                        f"The nodes {columns[node.column]!r} and {node.name!r} both name the column"
                        f" {node.column!r}. One column holds one variable."
                    )
                columns[node.column] = node.name
        for role in SINGLE_ROLES:
            if len(found := self.with_role(role)) > 1:
                raise GraphError(
                    f"{len(found)} nodes have the role {role!r}: {listed(map(repr, found))}."
                    " A question has one of each."
                )

    def _check_time(self, cause: str, effect: str) -> None:
        before, after = self.nodes[cause].time, self.nodes[effect].time
        if before is not None and after is not None and before > after:
            raise GraphError(
                f"{cause} is measured after {effect} (time={before} against time={after}), so it"
                f" cannot cause it. Take the value of {cause} from before {effect}, or correct the"
                " time."
            )

    def _check_edges(self) -> None:
        known = {node.name for node in self.node_table}
        causes: dict[str, list[str]] = {name: [] for name in sorted(known)}
        for cause, effect in self.edges:
            for name in (cause, effect):
                if name not in known:
                    raise GraphError(
                        f"The edge {cause} -> {effect} names {name!r}, which is no node."
                        f"{near_miss(name, known)}"
                    )
            causes[effect].append(cause)
            self._check_time(cause, effect)
        try:
            TopologicalSorter(causes).prepare()
        except CycleError as error:
            circle = list(error.args[1])[:-1]
            start = circle.index(min(circle))
            circle = [*circle[start:], *circle[:start], circle[start]]
            raise GraphError(
                f"The arrows run in a circle: {' -> '.join(circle)}. A cause comes before its"
                " effect: split what changes over time into one node for each time, or turn an"
                " arrow."
            ) from None


def _build(parsed: ParsedGraph, name: str) -> CausalGraph:
    nodes = [_node(node_name, node) for node_name, node in parsed.nodes.items()]
    edges = list(parsed.edges)
    names = set(parsed.nodes)
    for left, right in sorted(set(parsed.bidirected)):
        latent = f"latent_{left}_{right}"
        while latent in names:
            latent += "_"
        names.add(latent)
        nodes.append(
            Node(latent, role="latent", label=f"an unmeasured common cause of {left} and {right}")
        )
        edges += [(latent, left), (latent, right)]
    return CausalGraph(name=name, label=parsed.label, node_table=tuple(nodes), edges=tuple(edges))


def _node(name: str, parsed: ParsedNode) -> Node:
    latent = parsed.get("latent") is not None
    default = "latent" if latent else "covariate"
    # The parser let only known roles and entities pass.
    role: Role = parsed.get("role") or default  # type: ignore[assignment]
    entity: Entity | None = parsed.get("entity")  # type: ignore[assignment]
    return Node(
        name=name,
        role=role,
        column=parsed.get("column"),
        entity=entity,
        label=parsed.get("label") or "",
        latent=latent,
        time=None if (time := parsed.get("time")) is None else int(time),
    )
