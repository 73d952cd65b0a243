"""The search for an open path agrees with networkx, and its path is one that is really open."""

from __future__ import annotations

import random

import networkx as nx
import pytest

from causalrec.errors import GraphError
from causalrec.graph import CausalGraph, _paths


def _random_case(
    rng: random.Random,
) -> tuple[list[tuple[str, str]], list[str], str, str, list[str]]:
    size = rng.randint(2, 9)
    names = [f"n{i}" for i in range(size)]
    share = rng.choice([0.15, 0.3, 0.5])
    edges = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :] if rng.random() < share]
    source, target = rng.sample(names, 2)
    given = [n for n in names if n not in (source, target) and rng.random() < 0.35]
    return edges, names, source, target, given


def _is_open(network: nx.DiGraph, path: tuple[str, ...], given: list[str]) -> bool:
    """The textbook definition: chains and forks outside `given`, colliders above it."""
    for before, node, after in zip(path, path[1:], path[2:], strict=False):
        if network.has_edge(before, node) and network.has_edge(after, node):
            if not ({node} | nx.descendants(network, node)) & set(given):
                return False
        elif node in given:
            return False
    return True


def test_agreement_with_networkx_on_random_graphs() -> None:
    rng = random.Random(20)
    n_open = 0
    for _ in range(3000):
        edges, names, source, target, given = _random_case(rng)
        network = nx.DiGraph(edges)
        network.add_nodes_from(names)
        path = _paths.open_path(edges, source, target, given)
        assert (path is None) == nx.is_d_separator(network, {source}, {target}, set(given))
        if path is None:
            continue
        n_open += 1
        assert (path[0], path[-1]) == (source, target)
        assert len(set(path)) == len(path)
        assert all(
            network.has_edge(a, b) or network.has_edge(b, a) for a, b in nx.utils.pairwise(path)
        )
        assert _is_open(network, path, given)
    assert 1000 < n_open < 2900  # both answers occurred often


def test_no_shorter_path_is_open() -> None:
    rng = random.Random(5)
    for _ in range(300):
        edges, _, source, target, given = _random_case(rng)
        path = _paths.open_path(edges, source, target, given)
        if path is None:
            continue
        network = nx.DiGraph(edges)
        skeleton = network.to_undirected()
        shortest = min(
            len(p)
            for p in nx.all_simple_paths(skeleton, source, target)
            if _is_open(network, tuple(p), given)
        )
        assert len(path) == shortest


def test_directed_paths() -> None:
    _, children = _paths.neighbours([("a", "b"), ("b", "c"), ("a", "c"), ("d", "c")])
    assert _paths.directed_path(children, "a", "c") == ("a", "c")
    assert _paths.directed_path(children, "c", "a") is None


def test_a_path_in_words() -> None:
    graph = CausalGraph.from_dot(
        "dag { E <- U1 -> C <- U2 -> Y C -> D E -> Y U1 [latent] U2 [latent] }"
    )
    assert graph.open_path("E", "U2") is None
    assert graph.open_path("E", "U2", ["C"]) == (
        "E <- U1 -> C <- U2 (C is adjusted for, which opens it)"
    )
    assert graph.open_path("E", "U2", ["D"]) == (
        "E <- U1 -> C <- U2 (D is adjusted for, an effect of C, which opens it)"
    )
    with pytest.raises(GraphError, match="no node 'U3'"):
        graph.open_path("E", "U3")
    with pytest.raises(GraphError, match="two different nodes"):
        graph.open_path("E", "Y", ["Y"])
