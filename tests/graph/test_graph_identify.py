"""What each graph identifies, or the path by which it does not, and every refusal in words."""

from __future__ import annotations

import random

import networkx as nx
import pytest

from causalrec.errors import GraphError, IdentificationError
from causalrec.graph import CausalGraph, Covariate, Estimand, _adjust, _effect, _paths

# graph -> (strategy, adjustment, the part of it that is needed)
EFFECTS: dict[str, tuple[str, str, str]] = {
    "E [exposure] Y [outcome] E -> Y": ("randomised", "", ""),
    "E [exposure] Y [outcome] E -> Y P -> Y": ("randomised", "P", ""),
    "E [exposure] Y [outcome] Z [role=instrument] Z -> E -> Y P -> Y": ("randomised", "P", ""),
    "E [exposure] Y [outcome] E -> Y C -> {E Y}": ("back-door adjustment", "C", "C"),
    "E [exposure] Y [outcome] E -> Y C -> {E Y} D -> E P -> Y": (
        "back-door adjustment",
        "C P",
        "C",
    ),
    "E [exposure] Y [outcome] E -> Y A -> {E Y} B -> {E Y}": ("back-door adjustment", "A B", "A B"),
    # The near end of the confounder only adds variance: its causes of the outcome suffice.
    "E [exposure] Y [outcome] E -> Y C -> W -> E C -> Y": ("back-door adjustment", "C", "C"),
    # A cause of a confounder that also causes the outcome is there for precision.
    "E [exposure] Y [outcome] E -> Y G -> C C -> {E Y} G -> Y": (
        "back-door adjustment",
        "C G",
        "C",
    ),
    # A latent cause of the exposure behind a measured one.
    "E [exposure] Y [outcome] U [latent] E -> Y U -> C -> Y U -> E": (
        "back-door adjustment",
        "C",
        "C",
    ),
    "E [exposure] Y [outcome] U [latent] E -> Y E <- W <- U -> Y": (
        "back-door adjustment",
        "W",
        "W",
    ),
    # M-bias: the collider stays out, nothing is needed, yet the exposure is not random.
    "E [exposure] Y [outcome] E -> Y E <- U1 -> C <- U2 -> Y U1 [latent] U2 [latent]": (
        "back-door adjustment",
        "",
        "",
    ),
    # Never a mediator or another effect of the exposure; a cause of the mediator for precision.
    "E [exposure] Y [outcome] M [role=mediator] E -> M -> Y E -> D C -> {E Y} P -> M": (
        "back-door adjustment",
        "C P",
        "C",
    ),
    # A declared instrument stays out even where it would be harmless.
    "E [exposure] Y [outcome] Z [role=instrument] Z -> E -> Y C -> {E Y}": (
        "back-door adjustment",
        "C",
        "C",
    ),
    # Rows are selected by a node that the exposure does not change.
    "E [exposure] Y [outcome] S [selected] C -> S C -> {E Y} E -> Y": (
        "back-door adjustment",
        "C",
        "C",
    ),
    "E [exposure] Y [outcome] S [selected] A -> {E S} B -> {S Y} E -> Y": (
        "back-door adjustment",
        "B",
        "B",
    ),
    # No arrow from exposure to outcome.
    "E [exposure] Y [outcome] C -> {E Y}": ("back-door adjustment", "C", "C"),
}


def graph_of(body: str) -> CausalGraph:
    return CausalGraph.from_dot(f"dag {{ {body} }}")


@pytest.mark.parametrize("body", EFFECTS)
def test_an_effect_is_identified(body: str) -> None:
    strategy, adjustment, needed = EFFECTS[body]
    found = graph_of(body).identify(query="effect")
    assert found.query == "effect"
    assert found.strategy == strategy
    assert found.adjustment == tuple(adjustment.split())
    assert found.minimal == tuple(needed.split())
    assert found.covariates == tuple(Covariate(n, n, None) for n in adjustment.split())
    assert (found.exposure, found.outcome, found.observed) == ("E", "Y", None)


# graph -> (open path, words)
REFUSED_EFFECTS: dict[str, tuple[str, str]] = {
    'E [exposure] Y [outcome] U [latent, label="what users like"] E -> Y U -> {E Y}': (
        "E <- U -> Y",
        "Measure U (what users like), which the graph calls latent",
    ),
    "E [exposure] Y [outcome] E -> Y E <-> Y": ("E <- latent_E_Y -> Y", "Measure latent_E_Y"),
    "E [exposure] Y [outcome] U [latent] V [latent] E -> Y U -> {E C} V -> {C Y} C -> {E Y}": (
        "E <- U -> C <- V -> Y (C is adjusted for, which opens it)",
        "Measure U",
    ),
    "E [exposure] Y [outcome] U [latent] Z [role=instrument] Z -> E -> Y U -> {E Y}": (
        "E <- U -> Y",
        "The instrument Z may answer for those whom it moves.",
    ),
    "E [exposure] Y [outcome] Z [role=instrument] Z -> {E Y} E -> Y": (
        "E <- Z -> Y",
        "Z is declared an instrument, yet it causes the outcome by another way",
    ),
    "E [exposure] Y [outcome] Y -> E": (
        "E <- Y",
        "the outcome comes first and causes the exposure",
    ),
    "E [exposure] Y [outcome] Y -> A -> E": ("E <- A <- Y", "Take an outcome of a later window"),
    "E [exposure] Y [outcome] S [role=selection] E -> A -> S E -> Y": (
        "E -> A -> S",
        "the exposure itself changes who is in the log",
    ),
    "E [exposure] Y [outcome] S [selected] U [latent] V [latent] U -> {E S} V -> {S Y} E -> Y": (
        "E <- U -> S <- V -> Y (S is adjusted for, which opens it)",
        "Measure U",
    ),
}


@pytest.mark.parametrize("body", REFUSED_EFFECTS)
def test_an_effect_is_refused_with_its_open_path(body: str) -> None:
    path, words = REFUSED_EFFECTS[body]
    with pytest.raises(IdentificationError) as caught:
        graph_of(body).identify(query="effect", strategies=("randomised", "back-door"))
    assert caught.value.open_path == path
    assert caught.value.exit_code == 4
    assert path in str(caught.value)
    assert words in str(caught.value)


MEANS: dict[str, tuple[str, str]] = {
    "O [observed] Y [outcome]": ("randomised", ""),
    "O [observed] Y [outcome] A -> O P -> Y": ("randomised", "P"),
    "O [observed] Y [outcome] A -> {O Y}": ("missing at random given covariates", "A"),
    "O [observed] Y [outcome] A -> {O Y} B -> O P -> Y": (
        "missing at random given covariates",
        "A P",
    ),
    "O [observed] Y [outcome] C -> W -> O C -> Y": ("missing at random given covariates", "C"),
    "O [observed] Y [outcome] U [latent] U -> W -> O U -> Y": (
        "missing at random given covariates",
        "W",
    ),
    "O [observed] Y [outcome] S [selected] A -> {O S} B -> {S Y}": (
        "missing at random given covariates",
        "B",
    ),
    # Never an effect of the outcome.
    "O [observed] Y [outcome] A -> {O Y} Y -> D": ("missing at random given covariates", "A"),
}


@pytest.mark.parametrize("body", MEANS)
def test_a_mean_is_identified(body: str) -> None:
    strategy, adjustment = MEANS[body]
    found = graph_of(body).identify(query="mean")
    assert (found.query, found.strategy) == ("mean", strategy)
    assert found.adjustment == tuple(adjustment.split())
    assert (found.exposure, found.outcome, found.observed) == (None, "Y", "O")


REFUSED_MEANS: dict[str, tuple[str, str]] = {
    "O [observed] Y [outcome] Y -> O": ("Y -> O", "the outcome itself decides"),
    "O [observed] Y [outcome] Y -> D -> O": ("Y -> D -> O", "the outcome itself decides"),
    "O [observed] Y [outcome] U [latent] U -> {O Y}": ("O <- U -> Y", "Measure U"),
    "O [observed] Y [outcome] H [entity=event] H -> {O Y}": (
        "O <- H -> Y",
        "H is declared entity=event: it is known only for recorded cells",
    ),
    "O [observed] Y [outcome] O -> Y": ("O -> Y", "being recorded changes the outcome"),
}


@pytest.mark.parametrize("body", REFUSED_MEANS)
def test_a_mean_is_refused_with_its_open_path(body: str) -> None:
    path, words = REFUSED_MEANS[body]
    with pytest.raises(IdentificationError) as caught:
        graph_of(body).identify(query="mean")
    message = str(caught.value)
    assert caught.value.open_path == path
    assert path in message
    assert words in message
    if path != "O -> Y":
        for way_out in ("a randomised slice", "a named shadow variable", "bounds"):
            assert way_out in message


MISFITS: dict[tuple[str, str], str] = {
    ("O [observed] Y [outcome]", "effect"): "Ask it query='mean'",
    ("E [exposure] Y [outcome] E -> Y", "mean"): "Ask query='effect'",
    ("A Y [outcome]", "effect"): "No node of this graph has role=exposure",
    ("E [exposure] B", "effect"): "No node of this graph has role=outcome",
    ("A Y [outcome]", "mean"): "No node of this graph has role=observed",
    ("O [observed] B", "mean"): "No node of this graph has role=outcome",
    ("", "effect"): "No node of this graph has role=exposure",
    ("E [exposure] O [observed] Y [outcome] E -> Y", "effect"): "Leave 'O' out",
    ("E [exposure] Y [outcome] E -> Y", "efect"): "Did you mean 'effect'?",
    ("E [exposure] Y [outcome] Z [role=instrument] E -> Y Z -> Y", "effect"): (
        "Z is declared an instrument, yet it reaches the outcome"
    ),
    ("E [exposure] Y [outcome] Z [role=instrument] E -> Y", "effect"): "nothing joins it",
    ("E [exposure] Y [outcome] M [role=mediator] E -> Y", "effect"): "is declared a mediator",
}


@pytest.mark.parametrize(("body", "query"), MISFITS)
def test_a_question_that_does_not_fit_the_graph(body: str, query: str) -> None:
    graph = graph_of(body)
    with pytest.raises(GraphError) as caught:
        graph.identify(query)  # type: ignore[arg-type]
    assert MISFITS[body, query] in str(caught.value)


def test_columns_and_entities_go_with_the_nodes() -> None:
    found = graph_of(
        "E [exposure, column=shown] Y [outcome] C [column=age, entity=user] C -> {E Y} E -> Y"
    ).identify()
    assert found.covariates == (Covariate("C", "age", "user"),)
    assert "E (column 'shown')" in found.words


def test_assumptions_are_data() -> None:
    confounded = graph_of("E [exposure] Y [outcome] C -> {E Y} E -> Y").identify()
    assert [(name, status) for name, _, status in confounded.assumptions] == [
        ("no unmeasured confounding", "untestable"),
        ("no interference", "untestable"),
    ]
    assert "Given C" in confounded.assumptions[0][1]
    random_one = graph_of("E [exposure] Y [outcome] E -> Y").identify()
    assert random_one.assumptions[0][2] == "by design"
    missing = graph_of("O [observed] Y [outcome] A -> {O Y}").identify("mean")
    assert missing.assumptions[0][0] == "missing at random given covariates"
    assert missing.assumptions[0][2] == "untestable"
    chosen = graph_of("O [observed] Y [outcome] O2 [selected] A -> {O Y O2}").identify("mean")
    assert chosen.selection == ("O2",)
    assert chosen.assumptions[-1][0] == "selected rows"


def test_words_say_what_is_adjusted_for_and_why() -> None:
    found = graph_of("E [exposure] Y [outcome] C -> {E Y} P -> Y E -> Y").identify()
    assert "Adjusted for: C. Also adjusted for, for precision only: P." in str(found)
    none = graph_of("E [exposure] Y [outcome] C -> {E Y}").identify()
    assert "it says that the effect is zero" in none.words
    assert none.graph_dot == graph_of("E [exposure] Y [outcome] C -> {E Y}").to_dot()


def test_only_sound_measured_instruments_are_listed() -> None:
    body = (
        "E [exposure] Y [outcome] Z [role=instrument] L [role=instrument, latent] {Z L} -> E -> Y"
    )
    assert graph_of(body).identify().instruments == ("Z",)


def test_a_disagreement_is_an_internal_error(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of("E [exposure] Y [outcome] C -> {E Y} E -> Y")
    for wrong in (None, frozenset[str]()):
        monkeypatch.setattr(_effect, "_by_dowhy", lambda *_, wrong=wrong: wrong)
        with pytest.raises(RuntimeError, match="report this graph"):
            graph.identify()


def test_searches_that_disagree_are_an_internal_error(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of("O [observed] Y [outcome] A -> {O Y}")
    with monkeypatch.context() as patched:
        patched.setattr(_adjust.Separation, "minimal", lambda _: frozenset[str]())
        with pytest.raises(RuntimeError, match="does not separate"):
            graph.identify("mean")
    with monkeypatch.context() as patched:
        patched.setattr(_paths, "open_path", lambda *_: ("O", "Y"))
        with pytest.raises(RuntimeError, match="networkx and causalrec disagree"):
            graph.identify("mean")


def _random_graph(rng: random.Random) -> CausalGraph:
    size = rng.randint(3, 8)
    names = [f"n{i}" for i in range(size)]
    share = rng.choice([0.25, 0.45])
    edges = [
        f"{a} -> {b}" for i, a in enumerate(names) for b in names[i + 1 :] if rng.random() < share
    ]
    exposure = rng.randrange(size // 2, size - 1)
    outcome = rng.randrange(exposure + 1, size)
    marks = [f"n{exposure} [exposure]", f"n{outcome} [outcome]"]
    marks += [
        f"n{i} [latent]" for i in range(size) if i not in (exposure, outcome) and rng.random() < 0.6
    ]
    return graph_of(" ".join([*names, *marks, *edges]))


ADJUSTMENT = ("randomised", "back-door")


def _answer(graph: CausalGraph) -> Estimand | IdentificationError:
    try:
        return graph.identify(strategies=ADJUSTMENT)
    except IdentificationError as error:
        return error


def _is_a_path(words: str, network: nx.DiGraph, start: str, end: str) -> bool:
    """Whether the words walk along edges from start to end, through no node twice."""
    steps = words.partition(" (")[0].split(" ")
    nodes, arrows = steps[::2], steps[1::2]
    along = all(
        network.has_edge(a, b) if arrow == "->" else network.has_edge(b, a)
        for a, arrow, b in zip(nodes, arrows, nodes[1:], strict=False)
    )
    return along and nodes[0] == start and nodes[-1] == end and len(set(nodes)) == len(nodes)


def test_random_graphs_are_identified_exactly_where_networkx_says_so() -> None:
    rng = random.Random(11)
    n_refused = 0
    for _ in range(2_000):
        graph = _random_graph(rng)
        exposure, outcome = graph.exposure, graph.outcome
        assert exposure is not None
        assert outcome is not None
        back_door = graph.network()
        back_door.remove_edges_from(list(back_door.out_edges(exposure)))
        later = nx.descendants(graph.network(), exposure)
        allowed = set(graph.measured) - later - {exposure, outcome}
        expected = nx.find_minimal_d_separator(back_door, {exposure}, {outcome}, restricted=allowed)
        found = _answer(graph)
        assert isinstance(found, Estimand) == (expected is not None)
        if isinstance(found, IdentificationError):
            n_refused += 1
            assert found.open_path is not None
            assert found.open_path.startswith(f"{exposure} <- ")
            assert _is_a_path(found.open_path, back_door, str(exposure), str(outcome))
            assert any(f"Measure {latent}" in str(found) for latent in graph.latents)
            continue
        assert set(found.adjustment) <= allowed
        assert set(found.minimal) <= set(found.adjustment)
        for chosen in (found.adjustment, found.minimal):
            assert nx.is_d_separator(back_door, {exposure}, {outcome}, set(chosen))
    assert 200 < n_refused < 1_800


SIXTY = " ".join(f"c{i}" for i in range(60))
LARGE = {
    f"E [exposure] Y [outcome] E -> Y {{{SIXTY}}} -> {{E Y}}": "back-door adjustment",
    f"E [exposure] Y [outcome] E -> Y E <-> Y Z -> E {{{SIXTY}}} -> {{E Y Z}}": "instrument",
    f"E [exposure] Y [outcome] E -> Y E <-> Y {{{SIXTY}}} -> E": "instrument",
    f"E [exposure] Y [outcome] E -> M -> Y E <-> Y {{{SIXTY}}} -> {{E M Y}}": "front-door",
}


@pytest.mark.parametrize("body", LARGE)
def test_sixty_confounders_are_identified(body: str) -> None:
    """A search over subsets would never end; benchmarks/start_up.py prints the time."""
    assert graph_of(body).identify().strategy == LARGE[body]
