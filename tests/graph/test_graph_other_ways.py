"""Instruments and front doors: found exactly where a search over all sets finds them."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import networkx as nx
import pytest

from causalrec.errors import GraphError, IdentificationError
from causalrec.graph import CausalGraph, Estimand, load_graph


def graph_of(body: str) -> CausalGraph:
    return CausalGraph.from_dot(f"dag {{ E [exposure] Y [outcome] {body} }}")


# graph -> (instrument, what it is adjusted for, the part that is needed)
INSTRUMENTS = {
    "Z -> E -> Y E <-> Y": ("Z", "", ""),
    "Z -> A -> E -> Y E <-> Y A <-> E": ("Z", "", ""),
    # Conditional: W joins the instrument with the outcome.
    "Z -> E -> Y E <-> Y W -> {Z Y}": ("Z", "W", "W"),
    "Z -> E -> Y E <-> Y W -> Z": ("Z", "", ""),
    "Z -> E -> Y E <-> Y P -> Y": ("Z", "P", ""),
    # A declared one comes before one that the arrows make.
    "A -> E Z [role=instrument] Z -> E -> Y E <-> Y": ("Z", "", ""),
    # Rows selected by something that neither changes.
    "Z -> E -> Y E <-> Y S [selected] C -> {S Y Z}": ("Z", "C", "C"),
}


@pytest.mark.parametrize("body", INSTRUMENTS)
def test_an_instrument_is_found(body: str) -> None:
    instrument, adjustment, needed = INSTRUMENTS[body]
    found = graph_of(body).identify()
    assert (found.strategy, found.instruments) == ("instrument", (instrument,))
    assert found.adjustment == tuple(adjustment.split())
    assert found.minimal == tuple(needed.split())
    assert "(LATE)" in found.words
    assert "not the effect for everybody" in found.words
    assert [name for name, _, _ in found.assumptions][:4] == [
        "exclusion", "instrument as good as random", "monotonicity", "no interference",
    ]  # fmt: skip


FRONT_DOORS = {
    "E -> M -> Y E <-> Y": ("M", "", ""),
    # Each of two in a row would do; the first by name is taken, a declared one before it.
    "E -> P -> A -> Y E <-> Y": ("A", "", ""),
    "P [role=mediator] E -> P -> A -> Y E <-> Y": ("P", "", ""),
    "E -> M -> Y E <-> Y C -> {E M}": ("M", "C", "C"),
    "E -> M -> Y E <-> Y C -> {M Y}": ("M", "C", "C"),
    "E -> M -> Y E <-> Y C -> Y": ("M", "C", ""),
}


@pytest.mark.parametrize("body", FRONT_DOORS)
def test_a_front_door_is_found(body: str) -> None:
    mediator, adjustment, needed = FRONT_DOORS[body]
    found = graph_of(body).identify(strategies=("randomised", "back-door", "front-door"))
    assert (found.strategy, found.mediators) == ("front-door", (mediator,))
    assert found.adjustment == tuple(adjustment.split())
    assert found.minimal == tuple(needed.split())
    assert "by the front door" in found.words
    assert [name for name, _, _ in found.assumptions] == [
        "full mediation", "mediator unconfounded", "no interference",
    ]  # fmt: skip


NEITHER = (
    "Z [role=instrument, latent] Z -> E -> Y E <-> Y",
    "Z -> E -> Y E <-> Y Z <-> Y",
    "Z -> E -> Y E <-> Y Z <-> E",  # as good as random for the outcome, yet not for the exposure
    "E -> {M Y} M -> Y E <-> Y",
    "E -> M -> Y E <-> Y M <-> Y",
    "E -> M -> Y E <-> Y M <-> E",
    "E -> {M N} {M N} -> Y E <-> Y",  # each carries a part only
    "M [latent] E -> M -> Y E <-> Y",
    "Z -> E -> Y E <-> Y S [selected] Z -> S",  # the instrument selects the rows
)


@pytest.mark.parametrize("body", NEITHER)
def test_what_is_neither_is_refused_with_what_was_tried(body: str) -> None:
    with pytest.raises(IdentificationError) as caught:
        graph_of(body).identify()
    message = str(caught.value)
    assert "E <- latent_E_Y -> Y stays open" in message
    assert "Tried: randomised: E is not set at random; back-door: no measured set" in message
    assert "instrument: no measured node moves E" in message
    assert "front-door: no measured mediator carries all of the effect" in message
    assert caught.value.open_path == "E <- latent_E_Y -> Y"


def test_adjustment_comes_first_unless_another_way_is_asked_for() -> None:
    graph = graph_of("Z [role=instrument] Z -> E -> Y C -> {E Y}")
    assert graph.identify().strategy == "back-door adjustment"
    assert graph.identify(strategies=("instrument",)).instruments == ("Z",)
    with pytest.raises(IdentificationError, match="Back-door adjustment identifies it"):
        graph.identify(strategies=("randomised", "front-door"))
    assert load_graph("watch_time").identify(strategies=("instrument",)).instruments == ("arm",)


def test_strategies_are_checked() -> None:
    graph = graph_of("E -> Y")
    with pytest.raises(GraphError, match="Did you mean 'front-door'"):
        graph.identify(strategies=("frontdoor",))
    with pytest.raises(GraphError, match="No identification strategy is named"):
        graph.identify(strategies=())


def _random_graph(rng: random.Random, *, direct: bool = True) -> CausalGraph:
    """Draw a graph of up to seven nodes in which exposure and outcome are confounded."""
    size = rng.randint(3, 6)
    names = [f"n{i}" for i in range(size)]
    share = rng.choice([0.25, 0.4])
    edges = [f"{a} -> {b}" for a, b in itertools.combinations(names, 2) if rng.random() < share]
    exposure = rng.randrange(0, size - 1)
    outcome = rng.randrange(exposure + 1, size)
    if not direct:
        edges = [edge for edge in edges if edge != f"n{exposure} -> n{outcome}"]
    marks = [f"n{exposure} [exposure]", f"n{outcome} [outcome]", f"n{exposure} <-> n{outcome}"]
    marks += [
        f"n{i} [latent]" for i in range(size) if i not in (exposure, outcome) and rng.random() < 0.2
    ]
    return CausalGraph.from_dot(f"dag {{ {' '.join([*names, *marks, *edges])} }}")


def _subsets(names: set[str]) -> Iterator[set[str]]:
    for size in range(len(names) + 1):
        yield from map(set, itertools.combinations(sorted(names), size))


def _without(network: nx.DiGraph, *, out_of: str) -> nx.DiGraph:
    copy = network.copy()
    copy.remove_edges_from(list(network.out_edges(out_of)))
    return copy


def _instruments(graph: CausalGraph) -> set[tuple[str, frozenset[str]]]:
    """Every (instrument, covariate set) by definition, one condition after the other."""
    whole, e, y = graph.network(), graph.exposure, graph.outcome
    assert e is not None
    assert y is not None
    found = set()
    for z in sorted(set(graph.measured) & nx.ancestors(whole, e)):
        allowed = set(graph.measured) - nx.descendants(whole, z) - {z, y, e}
        for w in _subsets(allowed - nx.descendants(whole, e)):
            if nx.is_d_separator(_without(whole, out_of=e), {z}, {y}, w) and nx.is_d_separator(
                _without(whole, out_of=z), {z}, {e}, w
            ):
                found.add((z, frozenset(w)))
    return found


def _front_doors(graph: CausalGraph) -> set[tuple[str, frozenset[str]]]:
    whole, e, y = graph.network(), graph.exposure, graph.outcome
    assert e is not None
    assert y is not None
    found = set()
    for m in sorted(set(graph.measured) & nx.descendants(whole, e) & nx.ancestors(whole, y)):
        around = whole.copy()
        around.remove_node(m)
        if nx.has_path(around, e, y):
            continue
        for w in _subsets(set(graph.measured) - nx.descendants(whole, e) - {e, y}):
            if nx.is_d_separator(_without(whole, out_of=e), {e}, {m}, w) and nx.is_d_separator(
                _without(whole, out_of=m), {m}, {y}, w | {e}
            ):
                found.add((m, frozenset(w)))
    return found


def _answer(graph: CausalGraph, strategy: str) -> Estimand | None:
    try:
        return graph.identify(strategies=(strategy,))
    except IdentificationError:
        return None


def test_random_graphs_have_an_instrument_exactly_where_a_search_of_all_sets_finds_one() -> None:
    rng = random.Random(5)
    n_found = n_none = 0
    for _ in range(600):
        graph = _random_graph(rng)
        valid = _instruments(graph)
        found = _answer(graph, "instrument")
        assert (found is None) == (not valid), graph.to_dot()
        if found is None:
            n_none += 1
            continue
        n_found += 1
        for chosen in (found.adjustment, found.minimal):
            assert (found.instruments[0], frozenset(chosen)) in valid, graph.to_dot()
    assert min(n_found, n_none) > 60


def test_random_graphs_have_a_front_door_exactly_where_a_search_of_all_sets_finds_one() -> None:
    rng = random.Random(6)
    n_found = n_none = 0
    for _ in range(1000):
        graph = _random_graph(rng, direct=False)
        valid = _front_doors(graph)
        found = _answer(graph, "front-door")
        assert (found is None) == (not valid), graph.to_dot()
        if found is None:
            n_none += 1
            continue
        n_found += 1
        for chosen in (found.adjustment, found.minimal):
            assert (found.mediators[0], frozenset(chosen)) in valid, graph.to_dot()
    assert min(n_found, n_none) > 30
