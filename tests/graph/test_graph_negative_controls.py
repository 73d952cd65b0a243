"""Negative controls are declared in the graph, held to its arrows, and never adjusted for."""

from __future__ import annotations

import random

import networkx as nx
import pytest

from causalrec.errors import GraphError, IdentificationError
from causalrec.graph import CausalGraph, Node, load_graph

OUTCOME, EXPOSURE = "negative_control_outcome", "negative_control_exposure"


def graph_of(body: str) -> CausalGraph:
    return CausalGraph.from_dot(f"dag {{ E [exposure] Y [outcome] E -> Y {body} }}")


def test_the_shipped_controls_say_what_they_can_show() -> None:
    graph = load_graph("negative_controls")
    found = graph.identify()
    assert found.strategy == "back-door adjustment"
    assert found.adjustment == ("activity", "age", "price", "quality")
    visit, banner = graph.negative_controls(found.adjustment)
    assert (visit.node, visit.role, visit.shares) == ("visit", OUTCOME, ("taste",))
    assert (banner.node, banner.role, banner.shares) == ("banner", EXPOSURE, ("audience",))
    assert visit.valid
    assert banner.valid
    assert "an association with exposure would say that taste reaches exposure" in visit.words
    assert "an association with purchase would say that audience reaches purchase" in banner.words


def test_a_control_that_shares_no_unmeasured_cause_shows_nothing() -> None:
    for role in (OUTCOME, EXPOSURE):
        (found,) = graph_of(f"N [{role}] C -> {{E Y N}}").negative_controls(["C"])
        assert found.valid
        assert found.shares == ()
        assert "a test that finds nothing shows nothing" in found.words
    # What runs through an adjusted node is closed by it.
    (found,) = graph_of(f"N [{OUTCOME}] U [latent] U -> C -> {{N Y}}").negative_controls(["C"])
    assert found.shares == ()


def test_a_control_that_is_joined_to_the_other_end_is_not_valid() -> None:
    graph = graph_of(f"N [{OUTCOME}] C -> {{E N}}")
    (found,) = graph.negative_controls()
    assert found.open_path == "N <- C -> E"
    assert "goes with E even if the graph is right (N <- C -> E)" in found.words
    assert graph.negative_controls(["C"])[0].valid
    (found,) = graph_of(f"N [{EXPOSURE}] U [latent] U -> {{N Y}}").negative_controls()
    assert found.open_path == "N <- U -> Y"


def test_roles_that_the_arrows_contradict_are_refused() -> None:
    with pytest.raises(GraphError, match="negative-control outcome, yet E causes it: E -> M -> N"):
        graph_of(f"N [{OUTCOME}] E -> M -> N").identify()
    with pytest.raises(GraphError, match="negative-control exposure, yet it causes Y: N -> Y"):
        graph_of(f"N [{EXPOSURE}] N -> Y").negative_controls()
    with pytest.raises(GraphError, match="yet E causes it"):
        graph_of(f"N [{OUTCOME}] M [mediator] E -> M -> {{N Y}}").identify("path")
    with pytest.raises(GraphError, match="negative control and latent"):
        Node("N", role=OUTCOME, latent=True)  # type: ignore[arg-type]
    with pytest.raises(GraphError, match=r"no node 'actvity'.*Did you mean 'activity'"):
        load_graph("negative_controls").negative_controls(["actvity"])


def test_a_control_is_never_adjusted_for_even_where_that_would_help() -> None:
    with pytest.raises(IdentificationError, match="N is declared a negative control, yet it lies"):
        graph_of(f"N [{OUTCOME}] N -> {{E Y}}").identify()
    graph = graph_of(f"N [{OUTCOME}] N -> Y M [mediator] E -> M -> Y")
    assert graph.identify().adjustment == ()  # for precision neither
    assert graph.identify("path").adjustment == ()
    rated = f"dag {{ O [observed] Y [outcome] N [{OUTCOME}, entity=user] N -> {{O Y}} }}"
    with pytest.raises(IdentificationError):
        CausalGraph.from_dot(rated).identify("mean")


def test_a_control_is_no_instrument() -> None:
    body = "U [latent] U -> {E Y} N -> E"
    assert graph_of(f"N {body}").identify().instruments == ("N",)
    with pytest.raises(IdentificationError):
        graph_of(f"N [{OUTCOME}] {body}").identify()


def test_hyphens_are_read_in_quotes_and_roles_written_back() -> None:
    graph = CausalGraph.from_dot('digraph { N [role="negative-control-outcome"] }')
    assert graph.nodes["N"].role == OUTCOME
    for text in (graph.to_dot(), graph.to_dagitty()):
        assert CausalGraph.from_dot(text) == graph
    with pytest.raises(GraphError, match="Did you mean 'negative_control_outcome'"):
        CausalGraph.from_dot("digraph { N [role=negative_controls_outcome] }")


def test_random_graphs_judge_controls_as_networkx_does() -> None:
    rng = random.Random(4)
    n_valid = n_judged = 0
    for _ in range(600):
        names = ["a", "b", "E", "c", "N", "Y"]
        rng.shuffle(names)
        if names.index("E") > names.index("Y"):
            continue
        pairs = [(x, y) for i, x in enumerate(names) for y in names[i + 1 :]]
        edges = [f"{x} -> {y}" for x, y in pairs if rng.random() < 0.4]
        latent = rng.choice(["a", "b"])
        role = rng.choice([OUTCOME, EXPOSURE])
        graph = graph_of(f"N [{role}] a b c {latent} [latent] {' '.join(edges)}")
        network = graph.network()
        given = {name for name in ("a", "b", "c") if name != latent and rng.random() < 0.5}
        source, target = ("E", "N") if role == OUTCOME else ("N", "Y")
        if nx.has_path(network, source, target):
            with pytest.raises(GraphError, match="negative-control"):
                graph.negative_controls(given)
            continue
        (found,) = graph.negative_controls(given)
        n_judged += 1
        fixed = given if role == OUTCOME else given | {"E"}
        other = "E" if role == OUTCOME else "Y"
        assert found.valid == nx.is_d_separator(network, {"N"}, {other}, fixed)
        n_valid += found.valid
    assert 20 < n_valid < n_judged - 20
