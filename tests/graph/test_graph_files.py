"""The graphs that ship, graphs by path, and the same bytes whatever the hash seed."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from causalrec.errors import GraphError, IdentificationError
from causalrec.graph import CausalGraph, checked_graph, list_graphs, load_graph

SHIPPED = {
    "attention_front_door": "effect",
    "coat_selection": "mean",
    "encouragement": "effect",
    "exposure_click": "effect",
    "exposure_click_latent": "effect",
    "feed_position": "effect",
    "feedback_loop": "effect",
    "negative_controls": "effect",
    "popularity_conformity": "effect",
    "position_trust": "effect",
    "provider_merit": "path",
    "rating_selection": "mean",
    "rating_selection_on_rating": "mean",
    "rating_selection_shadow": "mean",
    "text_proxy": "effect",
    "user_group_mix": "path",
    "watch_time": "effect",
}

COLUMNS = {
    "attention_front_door": "activity attention click exposed price",
    "encouragement": "activity arm exposed price purchase",
    "negative_controls": "activity age banner exposed price purchase quality visit",
    "feedback_loop": "activity click_1 click_2 exposure_1 exposure_2 quality",
    "popularity_conformity": "activity click exposed popularity quality",
    "position_trust": "click freshness interest position",
    "provider_merit": "activity exposed item_age market merit provider_group",
    "rating_selection_shadow": "critics engagement mainstream observed rating",
    "text_proxy": "activity click exposed text",
    "user_group_mix": "click country device exposure_mix user_group",
    "exposure_click": "activity age category exposed gender price purchase quality",
    "exposure_click_latent": "activity age category exposed gender price purchase quality",
    "rating_selection": "age_group country engagement genre mainstream observed rating",
    "rating_selection_on_rating": "age_group country engagement genre mainstream observed rating",
    "feed_position": "click device freshness interest position topic",
    "watch_time": "arm exposed length plan popularity tenure watch_time",
    "coat_selection": "age color fashioninterest gender item_gender jackettype location observed"
    " onfrontpage rating",
}


def test_every_shipped_graph_is_known_here() -> None:
    assert list_graphs() == tuple(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_graph(name: str) -> None:
    graph = load_graph(name)
    assert graph.name == name
    assert graph.label.endswith(".")
    columns = sorted(node.column for node in graph.node_table if node.column is not None)
    assert columns == COLUMNS[name].split()
    assert all(node.entity for node in graph.node_table if not node.latent)
    for text in (graph.to_dot(), graph.to_dagitty()):
        assert CausalGraph.from_dot(text) == graph


@pytest.mark.parametrize(
    ("name", "needed", "precision"),
    [
        ("exposure_click", "activity age price quality", "category gender"),
        ("feed_position", "freshness interest topic", "device"),
        ("negative_controls", "activity age price quality", ""),
        ("watch_time", "length plan popularity tenure", ""),
        ("rating_selection", "age_group country engagement genre mainstream", ""),
        (
            "coat_selection",
            "age color fashioninterest gender item_gender jackettype location onfrontpage",
            "",
        ),
    ],
)
def test_what_shipped_graphs_identify(name: str, needed: str, precision: str) -> None:
    found = load_graph(name).identify(query=SHIPPED[name])  # type: ignore[arg-type]
    assert found.minimal == tuple(needed.split())
    assert found.adjustment == tuple(sorted([*needed.split(), *precision.split()]))


# name -> (query, strategy, the part of the adjustment that is needed)
WAYS = {
    "attention_front_door": ("effect", "front-door", "activity"),
    "encouragement": ("effect", "instrument", ""),
    "feedback_loop": ("effect", "back-door adjustment", "activity click_1 exposure_1 quality"),
    "popularity_conformity": ("effect", "back-door adjustment", "activity popularity quality"),
    "position_trust": ("effect", "back-door adjustment", "freshness interest"),
    "provider_merit": ("path", "natural effects", "item_age market"),
    "text_proxy": ("effect", "back-door adjustment", "activity text"),
    "user_group_mix": ("path", "natural effects", "country device"),
}


@pytest.mark.parametrize("name", WAYS)
def test_by_what_way_shipped_graphs_identify(name: str) -> None:
    query, strategy, needed = WAYS[name]
    found = load_graph(name).identify(query)  # type: ignore[arg-type]
    assert found.strategy == strategy
    assert set(needed.split()) <= set(found.minimal)
    assert set(found.minimal) <= {*needed.split(), "activity"}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_graph_says_where_it_comes_from(name: str) -> None:
    source = (Path(__file__).parents[2] / "graphs" / f"{name}.dot").read_text(encoding="utf-8")
    assert source.startswith("//")


def test_the_arm_is_an_instrument_and_no_covariate() -> None:
    found = load_graph("watch_time").identify()
    assert found.instruments == ("arm",)
    assert "arm" not in found.adjustment


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("exposure_click_latent", "exposure <- taste -> click"),
        ("rating_selection_on_rating", "rating -> observed"),
    ],
)
def test_shipped_graphs_that_are_refused(name: str, path: str) -> None:
    with pytest.raises(IdentificationError) as caught:
        load_graph(name).identify(query=SHIPPED[name])  # type: ignore[arg-type]
    assert caught.value.open_path == path
    assert path in str(caught.value)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", SHIPPED)
def test_pydot_reads_what_we_write_as_the_same_arrows(name: str) -> None:
    pydot = pytest.importorskip("pydot")
    graph = load_graph(name)
    read = pydot.graph_from_dot_data(graph.to_dot())[0]
    edges = {(e.get_source().strip('"'), e.get_destination().strip('"')) for e in read.get_edges()}
    assert edges == set(graph.edges)
    nodes = {node.get_name().strip('"'): node.get_attributes() for node in read.get_nodes()}
    assert set(nodes) == set(graph.nodes)
    for node in graph.node_table:
        assert nodes[node.name].get("role", "covariate").strip('"') == node.role
    # And of the file as it was drawn by hand, with its groups.
    source = (Path(__file__).parents[2] / "graphs" / f"{name}.dot").read_text(encoding="utf-8")
    drawn = pydot.graph_from_dot_data(source)[0]
    assert drawn.get_name() == name
    names = {node.get_name() for node in drawn.get_nodes()}
    assert set(graph.nodes) <= names | {
        n.get_name() for s in drawn.get_subgraphs() for n in s.get_nodes()
    }


def test_a_graph_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.dot"
    path.write_text("dag { E [exposure] Y [outcome] E -> Y }", encoding="utf-8")
    assert load_graph(path).name == "mine"
    assert load_graph(str(path)).exposure == "E"
    path.write_text("digraph other { a }", encoding="utf-8")
    assert load_graph(path).name == "other"


def test_what_is_wrong_with_a_file_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.dot"
    path.write_text("dag {\n a -- b }", encoding="utf-8")
    with pytest.raises(GraphError, match=r"mine\.dot: Line 2, column 4"):
        load_graph(path)
    path.write_bytes(b"dag { \xff }")
    with pytest.raises(GraphError, match="not UTF-8"):
        load_graph(path)


def test_a_graph_that_is_not_there() -> None:
    with pytest.raises(GraphError, match="Did you mean 'exposure_click'"):
        load_graph("exposure_clik")
    with pytest.raises(GraphError, match="There is no graph and no file 'a\\\\x00b'"):
        load_graph("a\x00b")
    with pytest.raises(GraphError, match="There is no graph and no file 'xxx"):
        load_graph("x" * 5000)
    with pytest.raises(GraphError, match=r"CausalGraph\.from_dot"):
        load_graph("dag { a }")


def test_a_graph_can_be_copied_pickled_and_compared() -> None:
    graph = load_graph("exposure_click")
    assert graph.nodes["age"].entity == "user"
    for again in (copy.deepcopy(graph), pickle.loads(pickle.dumps(graph))):
        assert again == graph
        assert again.nodes == graph.nodes
    assert graph != load_graph("exposure_click_latent")
    network = graph.network()
    network.remove_node("age")
    assert "age" in graph.network()


_SCRIPT = """
from causalrec.errors import CausalRecError
from causalrec.graph import list_graphs, load_graph
from causalrec.reporting import graph_svg
for name in list_graphs():
    graph = load_graph(name)
    print(graph.to_dot(), graph.to_dagitty(), graph_svg(graph.to_dot()))
    for query in ("effect", "mean", "path"):
        for kind in ("natural", "interventional", "controlled"):
            try:
                print(graph.identify(query, effect=kind))
            except CausalRecError as error:
                print(error)
    try:
        print(graph.negative_controls())
    except CausalRecError as error:
        print(error)
"""

_LIGHT = """
import sys
from causalrec.graph import load_graph
load_graph("exposure_click").to_dot()
heavy = {"networkx", "numpy", "pandas", "dowhy", "scipy", "matplotlib"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""


def _run(script: str, seed: str) -> bytes:
    environment = {**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, check=True
    )
    return done.stdout


def test_the_hash_seed_changes_nothing() -> None:
    first = _run(_SCRIPT, "1")
    assert first == _run(_SCRIPT, "2")
    assert b"exposure <- taste -> click" in first


def test_reading_a_graph_imports_nothing_heavy() -> None:
    _run(_LIGHT, "0")


@pytest.mark.parametrize(
    ("given", "way"),
    [
        ("exposure_click", r"load it with load_graph\('exposure_click'\)"),
        (Path("mine.dot"), r"load it with load_graph\('mine.dot'\)"),
        ("digraph { a -> b }", "CausalGraph.from_dot"),
        (7, "not a int: pass load_graph"),
    ],
)
def test_what_is_no_graph_is_refused_with_the_way_to_one(given: object, way: str) -> None:
    with pytest.raises(GraphError, match=way):
        checked_graph(given)


def test_the_name_of_a_file_is_no_text() -> None:
    with pytest.raises(GraphError, match="name of a file: read it with load_graph"):
        CausalGraph.from_dot("mine.dot")
