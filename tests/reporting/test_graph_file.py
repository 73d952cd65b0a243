"""A graph as a file of its own: well formed, styled, and drawn for every shipped graph."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from causalrec.errors import GraphError
from causalrec.graph import list_graphs, load_graph
from causalrec.reporting import graph_svg

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("name", list_graphs())
def test_every_shipped_graph_is_drawn_by_itself(name: str) -> None:
    graph = load_graph(name)
    root = ElementTree.fromstring(graph_svg(graph.to_dot(), ("age",)))
    assert root.tag == f"{SVG}svg"
    words = " ".join(text for node in root.iter(f"{SVG}text") for text in node.itertext())
    for node in graph.nodes:
        assert node.replace("_", " ").split()[0] in words
    style = root.findtext(f"{SVG}style") or ""
    assert "--paper" in style
    assert "svg .n-exposure" in style
    assert "@media (prefers-color-scheme: dark)" in style
    assert "http" not in style


def test_shadow_has_a_shape_and_a_word_of_its_own() -> None:
    drawn = graph_svg(load_graph("rating_selection_shadow").to_dot())
    assert 'class="node n-shadow"' in drawn
    assert "shadow variable" in drawn


def test_negative_controls_point_away_from_what_they_cannot_touch() -> None:
    drawn = graph_svg(load_graph("negative_controls").to_dot(), ["age", "price"])
    for words in ("negative-control outcome", "negative-control exposure", "adjusted for"):
        assert f">{words}</text>" in drawn
    polygons = [
        node.attrib["points"] for node in ElementTree.fromstring(drawn).iter(f"{SVG}polygon")
    ]
    assert len(polygons) == 4  # two nodes, two in the legend
    assert len({len(points.split()) for points in polygons}) == 1
    # Two nodes and the legend carry the tick.
    assert drawn.count('class="badge"') == 3


def test_arrows_leave_from_the_outline_of_a_slanted_shape() -> None:
    drawn = graph_svg("digraph { arm [role=instrument]; shown [role=exposure]; arm -> shown }")
    root = ElementTree.fromstring(drawn)
    shape = next(n for n in root.iter(f"{SVG}polygon") if "n-instrument" in n.attrib["class"])
    corners = [tuple(map(float, p.split(","))) for p in shape.attrib["points"].split()]
    outline = (corners[1][0] + corners[2][0]) / 2  # of the right side, half way down
    path = next(n for n in root.iter(f"{SVG}path") if n.attrib["class"] == "arrow").attrib["d"]
    assert abs(float(path[1:].split()[0]) - outline) < 0.2


@pytest.mark.parametrize("word", ["fashioninterest", "recommendability"])
def test_a_long_word_widens_the_boxes_and_is_not_broken(word: str) -> None:
    drawn = graph_svg(f"digraph {{ {word} -> y }}")
    assert f">{word}</text>" in drawn or f">{word}</tspan>" in drawn
    monster = "a" * 60
    assert "\N{HORIZONTAL ELLIPSIS}" in graph_svg(f"digraph {{ {monster} -> y }}")


def _boxes(root: ElementTree.Element) -> list[tuple[float, float, float, float]]:
    """Return left, top, right, bottom of every node's shape, legend left out."""
    found = []
    for node in root.iter():
        kind, get = node.tag.removeprefix(SVG), node.attrib
        if not get.get("class", "").startswith("node "):
            continue
        if kind == "rect":
            left, top = float(get["x"]), float(get["y"])
            box = (left, top, left + float(get["width"]), top + float(get["height"]))
        elif kind == "ellipse":
            x, y, rx, ry = (float(get[key]) for key in ("cx", "cy", "rx", "ry"))
            box = (x - rx, y - ry, x + rx, y + ry)
        else:
            points = [tuple(map(float, p.split(","))) for p in get["points"].split()]
            xs, ys = [p[0] for p in points], [p[1] for p in points]
            box = (min(xs), min(ys), max(xs), max(ys))
        if box[2] - box[0] > 50:
            found.append(box)
    return found


@pytest.mark.parametrize("name", list_graphs())
def test_no_two_nodes_overlap_and_all_are_inside(name: str) -> None:
    graph = load_graph(name)
    root = ElementTree.fromstring(graph_svg(graph.to_dot()))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    boxes = _boxes(root)
    assert len(boxes) == len(graph.nodes)
    for i, a in enumerate(boxes):
        assert a[0] >= 0
        assert a[1] >= 0
        assert a[2] <= width
        assert a[3] <= height
        for b in boxes[i + 1 :]:
            apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
            assert apart, (a, b)


def test_nothing_is_no_graph() -> None:
    with pytest.raises(GraphError, match="no graph to draw"):
        graph_svg(" ")
