"""The causal graph as a picture: roles by shape and colour, the adjustment set marked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from markupsafe import Markup

from causalrec.graph import CausalGraph
from causalrec.reporting._graph_layout import Layout, lay_out
from causalrec.reporting._svg import Svg, fit, plain

_BOX, _WIDEST, _TALL = 112.0, 176.0, 36.0
_ACROSS, _DOWN = 60.0, 52.0
"""Between boxes, side by side; from row to row."""
_LETTER = 6.9
"""Of a name, at its widest on average."""
_EDGE, _LEGEND = 8.0, 204.0

_ROLE_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "exposure": "exposure",
        "outcome": "outcome",
        "observed": "recorded or not",
        "latent": "not measured",
        "instrument": "instrument",
        "mediator": "mediator",
        "selection": "selection",
        "shadow": "shadow variable",
        "negative_control_outcome": "negative-control outcome",
        "negative_control_exposure": "negative-control exposure",
        "adjusted": "adjusted for",
        "covariate": "measured, not adjusted for",
    }
)

# Corners as (share of the width, cut corners, share of the height): a hexagon, trapezoids, a
# parallelogram, and two that point: from what the exposure cannot reach, to what cannot be reached.
_CORNERS: Mapping[str, tuple[tuple[float, float, float], ...]] = MappingProxyType(
    {
        "observed": ((0, 1, 0), (1, -1, 0), (1, 0, 0.5), (1, -1, 1), (0, 1, 1), (0, 0, 0.5)),
        "selection": ((0, 1, 0), (1, -1, 0), (1, 0, 1), (0, 0, 1)),
        "shadow": ((0, 0, 0), (1, 0, 0), (1, -1, 1), (0, 1, 1)),
        "instrument": ((0, 1, 0), (1, 0, 0), (1, -1, 1), (0, 0, 1)),
        "negative_control_outcome": ((0, 1, 0), (1, 0, 0), (1, 0, 1), (0, 1, 1), (0, 0, 0.5)),
        "negative_control_exposure": ((0, 0, 0), (1, -1, 0), (1, 0, 0.5), (1, -1, 1), (0, 0, 1)),
    }
)
_SLANTED = frozenset({"selection", "shadow", "instrument"})
_CUT = 0.28
"""Of the height: how far a corner is cut."""
# Told apart by shape; in the colour of instruments, which are not adjusted for either.
_PAINTED_AS: Mapping[str, str] = MappingProxyType(
    {"negative_control_outcome": "instrument", "negative_control_exposure": "instrument"}
)


def draw_graph(dot: str, adjustment: Collection[str], *, identity: str) -> Markup | None:
    """Return the picture of a graph, or None where there is no graph.

    Parameters
    ----------
    dot : str
        The graph as DOT text (`Result.graph_dot`).
    adjustment : collection of str
        Nodes of the adjustment set.
    identity : str
        An id that no other figure of the page has.

    Raises
    ------
    GraphError
        If the text is not a graph.
    """
    if not dot.strip():
        return None
    graph = CausalGraph.from_dot(dot)
    layout = lay_out(list(graph.nodes), list(graph.edges))
    roles = node_roles(graph, adjustment)
    box = _box_width(graph.nodes)
    across = box + _ACROSS
    width = (len(layout.columns) - 1) * across + box + 2 * _EDGE
    shown = [role for role in _ROLE_WORDS if role in roles.values()]
    width = max(width, 420.0)
    per_line = max(1, int(width // _LEGEND))
    legend = 26.0 * -(-len(shown) // per_line)
    height = (layout.height - 1) * _DOWN + _TALL + 2 * _EDGE + legend + 16
    words = "; ".join(f"{cause} causes {effect}" for cause, effect in graph.edges)
    svg = Svg(width, height, title=f"Causal graph {graph.name}", description=words + ".",
              identity=identity)  # fmt: skip
    places = _places(layout, box, across)
    for edge in graph.edges:
        insets = tuple(_TALL * _CUT / 2 if roles[name] in _SLANTED else 0.0 for name in edge)
        latent = graph.nodes[edge[0]].latent
        _arrow(svg, edge, layout, places, box=box, insets=insets, latent=latent)
    for name, node in sorted(graph.nodes.items()):
        hover = f"{name} ({_ROLE_WORDS[roles[name]]})" + (f": {node.label}" if node.label else "")
        _node(svg, name, roles[name], *places[name], box=box, hover=hover)
    _legend(svg, shown, height - legend - 2, per_line)
    return svg.render()


def node_roles(graph: CausalGraph, adjustment: Collection[str]) -> dict[str, str]:
    """Return how each node is drawn; being adjusted for outranks being a covariate."""
    return {
        name: "latent"
        if node.latent
        else "adjusted"
        if name in adjustment and node.role not in {"exposure", "outcome", "observed"}
        else node.role
        for name, node in sorted(graph.nodes.items())
    }


def _box_width(names: Collection[str]) -> float:
    """Return a width at which no word of a name is broken, if it is not a monster."""
    words = (word for name in names for word in name.replace("_", " ").split())
    longest = max((len(word) for word in words), default=0)
    return min(_WIDEST, max(_BOX, longest * _LETTER + 14))


def _places(layout: Layout, box: float, across: float) -> dict[str, tuple[float, float]]:
    """Return the centre of every node and stop."""
    return {
        name: (
            _EDGE + box / 2 + column * across,
            _EDGE + _TALL / 2 + layout.rows[name] * _DOWN,
        )
        for name, column in layout.column_of.items()
    }


def _arrow(
    svg: Svg,
    edge: tuple[str, str],
    layout: Layout,
    places: Mapping[str, tuple[float, float]],
    *,
    box: float,
    insets: tuple[float, ...],
    latent: bool,
) -> None:
    """Draw an arrow as a smooth curve through its stops, from outline to outline."""
    (x, y), (end_x, end_y) = places[edge[0]], places[edge[1]]
    x, end_x = x + box / 2 - insets[0], end_x - box / 2 - 2 + insets[1]
    path = f"M{plain(x)} {plain(y)}"
    for stop in layout.stops[edge]:
        middle_x, middle_y = places[stop]
        before, after = middle_x - box / 2, middle_x + box / 2
        path += _bend(x, y, before, middle_y) + f"H{plain(after)}"
        x, y = after, middle_y
    path += _bend(x, y, end_x - 6, end_y) + f"H{plain(end_x)}"
    kind = "arrow dashed" if latent else "arrow"
    svg.add("path", d=path, class_=kind)
    head = f"M{plain(end_x + 1)} {plain(end_y)}l-8 -4v8z"
    svg.add("path", d=head, class_="head")


def _bend(x: float, y: float, to_x: float, to_y: float) -> str:
    pull = (to_x - x) / 2
    points = (x + pull, y, to_x - pull, to_y, to_x, to_y)
    return "C" + " ".join(plain(p) for p in points)


def _node(svg: Svg, name: str, role: str, x: float, y: float, *, box: float, hover: str) -> None:
    _shape(svg, role, x, y, box, _TALL, hover)
    texts = fit(name.replace("_", " "), box - 14, 12, 2)
    svg.lines(texts, x, y + 4, step=13, class_=f"node-text t-{role}", hover=hover)
    if role == "adjusted":
        _badge(svg, x + box / 2 - 5, y - _TALL / 2 + 4)


def _badge(svg: Svg, x: float, y: float) -> None:
    svg.add("circle", cx=x, cy=y, r=7, class_="badge")
    svg.add("path", d=f"M{plain(x - 3.5)} {plain(y)}l2.5 3l4.5 -6", class_="badge-tick")


def _shape(
    svg: Svg, role: str, x: float, y: float, width: float, height: float, hover: str
) -> None:
    """Draw a role's shape; no two roles differ by colour alone."""
    left, top = x - width / 2, y - height / 2
    name = f"node n-{_PAINTED_AS.get(role, role)}"
    if role in {"latent", "mediator"}:
        svg.add("ellipse", cx=x, cy=y, rx=width / 2, ry=height / 2, class_=name, hover=hover)
        return
    if role in _CORNERS:
        cut = height * _CUT
        corners = ((left + a * width + b * cut, top + c * height) for a, b, c in _CORNERS[role])
        points = " ".join(f"{plain(px)},{plain(py)}" for px, py in corners)
        svg.add("polygon", points=points, class_=name, hover=hover)
        return
    radius = {"exposure": 2.0, "outcome": height / 2}.get(role, 7.0)
    svg.add("rect", x=left, y=top, width=width, height=height, rx=radius, class_=name, hover=hover)


def _legend(svg: Svg, roles: Collection[str], top: float, per_line: int) -> None:
    for i, role in enumerate(roles):
        x = _EDGE + _LEGEND * (i % per_line)
        y = top + 26.0 * (i // per_line) + 8
        _shape(svg, role, x + 15, y, 30, 15, "")
        if role == "adjusted":
            _badge(svg, x + 27, y - 6)
        svg.add("text", _ROLE_WORDS[role], x=x + 38, y=y + 4, class_="small")
