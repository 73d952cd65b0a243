"""Path effects: what runs through a mediator, the recanting witness, and what survives it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import networkx as nx
import pytest

from causalrec.errors import GraphError, IdentificationError
from causalrec.graph import CausalGraph, Estimand


def graph_of(body: str) -> CausalGraph:
    return CausalGraph.from_dot(f"dag {{ E [exposure] Y [outcome] M [role=mediator] {body} }}")


# (graph, effect) -> (covariates of the exposure, covariates of the mediator)
FOUND = {
    ("E -> {M Y} M -> Y", "natural"): ("", ""),
    ("E -> {M Y} M -> Y C -> {E M Y}", "natural"): ("C", "C"),
    ("E -> {M Y} M -> Y C -> {E Y} D -> {M Y} A -> {E M}", "natural"): ("A C D", "A C D"),
    ("E -> {M Y} M -> Y P -> Y", "natural"): ("P", "P"),
    ("E -> N -> Y E -> M -> Y N [role=mediator]", "natural"): ("", ""),
    # The exposure's own effect decides the mediator alone: no recanting witness.
    ("E -> {L Y} L -> M -> Y", "natural"): ("", ""),
    ("E -> {L M Y} L -> {M Y} M -> Y", "interventional"): ("", "L"),
    ("E -> {L M Y} L -> {M Y} M -> Y", "controlled"): ("", "L"),
    # What joins the exposure and the mediator is no matter where the mediator is set.
    ("E -> {M Y} M -> Y E <-> M", "controlled"): ("", ""),
    ("E -> {M Y} M -> Y C -> {E Y} D -> {M Y}", "interventional"): ("C D", "C D"),
}


@pytest.mark.parametrize(("body", "effect"), FOUND)
def test_path_effects_are_identified(body: str, effect: str) -> None:
    first, second = FOUND[body, effect]
    found = graph_of(body).identify("path", effect=effect)  # type: ignore[arg-type]
    assert (found.query, "M" in found.mediators) == ("path", True)
    assert found.strategy.startswith(effect)
    assert found.adjustment == tuple(first.split())
    assert found.mediator_adjustment == tuple(second.split())
    assert [c.node for c in found.mediator_covariates] == second.split()
    assert found.assumptions[-1][0] == "no interference"
    assert "identified" in found.words


RECANTING = "E -> {L M Y} L -> {M Y} M -> Y"


def test_a_recanting_witness_is_named_and_the_way_out_offered() -> None:
    with pytest.raises(IdentificationError) as caught:
        graph_of(RECANTING).identify("path")
    message = str(caught.value)
    assert "L is a recanting witness" in message
    assert caught.value.open_path == "M <- L -> Y"
    assert "interventional direct and indirect effects (effect='interventional')" in message
    assert "the controlled direct effect (effect='controlled')" in message


def test_a_latent_recanting_witness_leaves_no_way_out() -> None:
    with pytest.raises(IdentificationError, match="not identified either"):
        graph_of(f"{RECANTING} L [latent]").identify("path")


REFUSED = {
    ("E -> {M Y} M -> Y M <-> Y", "natural"): ("M <- latent_M_Y -> Y", "Measure latent_M_Y"),
    ("E -> {M Y} M -> Y M <-> Y", "controlled"): ("M <- latent_M_Y -> Y", "Measure latent_M_Y"),
    ("E -> {M Y} M -> Y E <-> M", "natural"): (
        "E <- latent_E_M -> M",
        "The graph does identify the controlled direct effect",
    ),
    ("E -> {M Y} M -> Y E <-> Y", "interventional"): ("E <- latent_E_Y -> Y", "latent_E_Y"),
    ("E -> {L M Y} L -> M -> Y L <-> Y", "natural"): (
        "M <- L <- latent_L_Y -> Y",
        "The graph does identify interventional",
    ),
    ("N [role=mediator, latent] E -> {M Y} M -> N -> Y", "natural"): (
        "E -> N -> Y",
        "the mediator is latent",
    ),
}


@pytest.mark.parametrize(("body", "effect"), REFUSED)
def test_path_effects_are_refused_with_the_open_path(body: str, effect: str) -> None:
    path, words = REFUSED[body, effect]
    with pytest.raises(IdentificationError) as caught:
        graph_of(body).identify("path", effect=effect)  # type: ignore[arg-type]
    assert caught.value.open_path == path
    assert words in str(caught.value)


def test_questions_that_do_not_fit() -> None:
    with pytest.raises(GraphError, match="No node of this graph has role=mediator"):
        CausalGraph.from_dot("dag { E [exposure] Y [outcome] E -> Y }").identify("path")
    with pytest.raises(GraphError, match="is declared a mediator, yet"):
        graph_of("E -> Y").identify("path")
    with pytest.raises(GraphError, match="Did you mean 'controlled'"):
        graph_of("E -> M -> Y").identify("path", effect="control")  # type: ignore[arg-type]


def _random_graph(rng: random.Random) -> CausalGraph:
    size = rng.randint(4, 6)
    names = [f"n{i}" for i in range(size)]
    share = rng.choice([0.3, 0.45])
    edges = [f"{a} -> {b}" for a, b in itertools.combinations(names, 2) if rng.random() < share]
    e, m, y = sorted(rng.sample(range(size), 3))
    edges += [f"n{e} -> n{m} -> n{y}"]
    marks = [f"n{e} [exposure]", f"n{m} [role=mediator]", f"n{y} [outcome]"]
    marks += [f"n{i} [latent]" for i in range(size) if i not in (e, m, y) and rng.random() < 0.7]
    return CausalGraph.from_dot(f"dag {{ {' '.join([*names, *marks, *edges])} }}")


def _subsets(names: set[str]) -> Iterator[set[str]]:
    for size in range(len(names) + 1):
        yield from map(set, itertools.combinations(sorted(names), size))


def _cut(network: nx.DiGraph, out_of: str, into: str = "") -> nx.DiGraph:
    copy = network.copy()
    copy.remove_edges_from(list(network.out_edges(out_of)))
    copy.remove_edges_from(list(network.in_edges(into)) if into else [])
    return copy


def _exposure_closed(graph: CausalGraph, effect: str, w: set[str]) -> bool:
    e, y, m = graph.exposure, graph.outcome, graph.with_role("mediator")[0]
    assert e is not None
    assert y is not None
    if effect == "controlled":
        return bool(nx.is_d_separator(_cut(graph.network(), e, m), {e}, {y}, w))
    return bool(nx.is_d_separator(_cut(graph.network(), e), {e}, {m, y}, w))


def _mediator_closed(graph: CausalGraph, w: set[str]) -> bool:
    e, y, m = graph.exposure, graph.outcome, graph.with_role("mediator")[0]
    assert e is not None
    assert y is not None
    return bool(nx.is_d_separator(_cut(graph.network(), m), {m}, {y}, w | {e}))


def _valid(graph: CausalGraph, effect: str) -> set[tuple[frozenset[str], frozenset[str]]]:
    """Every pair of covariate sets that meets the conditions of the papers, one by one."""
    whole, e, y, m = graph.network(), graph.exposure, graph.outcome, graph.with_role("mediator")[0]
    measured = set(graph.measured) - {e, y, m}
    beside = measured - nx.descendants(whole, m)
    found = set()
    for w in _subsets(measured - nx.descendants(whole, e)):
        if not _exposure_closed(graph, effect, w):
            continue
        for more in [set()] if effect == "natural" else _subsets(beside - w):
            if _mediator_closed(graph, w | more):
                found.add((frozenset(w), frozenset(w | more)))
    return found


@pytest.mark.parametrize("effect", ["natural", "interventional", "controlled"])
def test_random_graphs_agree_with_a_search_of_all_sets(effect: str) -> None:
    rng = random.Random(8)
    n_found = n_none = 0
    for _ in range(500):
        graph = _random_graph(rng)
        valid = _valid(graph, effect)
        found: Estimand | None
        try:
            found = graph.identify("path", effect=effect)  # type: ignore[arg-type]
        except IdentificationError:
            found = None
        assert (found is None) == (not valid), graph.to_dot()
        if found is None:
            n_none += 1
            continue
        n_found += 1
        chosen = (frozenset(found.adjustment), frozenset(found.mediator_adjustment))
        assert chosen in valid, graph.to_dot()
    assert min(n_found, n_none) > 40
