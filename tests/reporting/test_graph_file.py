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
    assert "http" not in style


def test_shadow_has_a_shape_and_a_word_of_its_own() -> None:
    drawn = graph_svg(load_graph("rating_selection_shadow").to_dot())
    assert 'class="node n-shadow"' in drawn
    assert "shadow variable" in drawn


def test_nothing_is_no_graph() -> None:
    with pytest.raises(GraphError, match="no graph to draw"):
        graph_svg(" ")
