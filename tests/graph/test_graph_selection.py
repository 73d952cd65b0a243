"""From selected rows to everybody, for every strategy, against exact sums over binary worlds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from causalrec.errors import IdentificationError
from causalrec.graph import CausalGraph, Estimand

Floats = NDArray[np.float64]
ROUNDING = 1e-9


class World:
    """Binary nodes with random conditional probabilities; the joint law is exact."""

    def __init__(self, graph: CausalGraph, seed: int) -> None:
        self.names = tuple(graph.nodes)
        rng = np.random.default_rng(seed)
        self.joint: Floats = np.ones((2,) * len(self.names))
        states = np.indices(self.joint.shape)
        for name in self.names:
            causes = [self.names.index(cause) for cause, effect in graph.edges if effect == name]
            table = rng.uniform(0.15, 0.85, (2,) * len(causes))
            p = table[tuple(states[cause] for cause in causes)]
            self.joint *= np.where(states[self.names.index(name)] == 1, p, 1 - p)

    def law(self, node: str, given: dict[str, int], selected: bool) -> float:
        """Return P(node = 1 given ...)."""
        fixed = {**given, "S": 1} if selected else given
        return self._p({**fixed, node: 1}) / self._p(fixed)

    def _p(self, values: dict[str, int]) -> float:
        index = tuple(values.get(name, slice(None)) for name in self.names)
        return float(np.sum(self.joint[index]))

    def average(self, names: Sequence[str], what: Callable[[dict[str, int]], float]) -> float:
        """Return the mean over everybody of a function of some nodes."""
        total = 0.0
        for values in np.ndindex(*(2,) * len(names)):
            state = dict(zip(names, values, strict=True))
            total += self._p(state) * what(state)
        return total


def _either(p: float, value: int) -> float:
    return p if value else 1 - p


def _answer(world: World, found: Estimand, selected: bool) -> list[float]:
    """Return what the estimand is made of, with laws of the selected rows or of everybody."""

    def law(node: str, given: dict[str, int]) -> float:
        return world.law(node, given, selected)

    def difference(node: str, cause: str) -> float:
        return world.average(
            found.adjustment,
            lambda w: law(node, {**w, cause: 1}) - law(node, {**w, cause: 0}),
        )

    if found.query == "mean":
        return [world.average(found.adjustment, lambda w: law("Y", {**w, "O": 1}))]
    if found.strategy == "instrument":
        return [difference("E", "Z"), difference("Y", "Z")]
    if found.strategy == "front-door":
        return [
            world.average(found.adjustment, lambda w, e=e: _front_door(law, w, e)) for e in (0, 1)
        ]
    if found.query == "path":
        return [
            world.average(found.adjustment, lambda w, e=e, m=m: _mediated(law, w, e, m))
            for e in (0, 1)
            for m in (0, 1)
        ]
    return [difference("Y", "E")]


def _front_door(
    law: Callable[[str, dict[str, int]], float], w: dict[str, int], exposure: int
) -> float:
    return sum(
        _either(law("M", {**w, "E": exposure}), m)
        * _either(law("E", w), e)
        * law("Y", {**w, "E": e, "M": m})
        for m in (0, 1)
        for e in (0, 1)
    )


def _mediated(
    law: Callable[[str, dict[str, int]], float], w: dict[str, int], exposure: int, other: int
) -> float:
    return sum(
        _either(law("M", {**w, "E": other}), m) * law("Y", {**w, "E": exposure, "M": m})
        for m in (0, 1)
    )


EFFECT = "E [exposure] Y [outcome] S [selected]"
MEAN = "O [observed] Y [outcome] S [selected]"
# graph -> (query, whether it says something of everybody)
CASES = {
    f"{EFFECT} E -> Y C -> {{E Y S}}": ("effect", True),
    f"{EFFECT} E -> Y": ("effect", True),
    f"{EFFECT} E -> Y C -> {{E Y}} U [latent] U -> {{S Y}}": ("effect", False),
    f"{EFFECT} Z -> E -> Y E <-> Y C -> {{Z E Y S}}": ("effect", True),
    f"{EFFECT} Z -> E -> Y E <-> Y C -> {{Z Y}} U [latent] U -> {{S Y}}": ("effect", False),
    f"{EFFECT} Z -> E -> Y E <-> Y U [latent] U -> {{S E}}": ("effect", False),
    f"{EFFECT} E -> M -> Y E <-> Y C -> {{E M Y S}}": ("effect", True),
    f"{EFFECT} E -> M -> Y E <-> Y U [latent] U -> {{S E}}": ("effect", True),
    f"{EFFECT} E -> M -> Y U [latent] U -> {{S E Y}}": ("effect", False),
    f"{EFFECT} E -> M -> Y E <-> Y U [latent] U -> {{S M}}": ("effect", False),
    f"{EFFECT} E -> {{M Y}} M [mediator] M -> Y C -> {{E M Y S}}": ("path", True),
    f"{EFFECT} E -> {{M Y}} M [mediator] M -> Y U [latent] U -> {{S M}}": ("path", False),
    f"{MEAN} C -> {{O Y S}}": ("mean", True),
    f"{MEAN} S": ("mean", True),
    f"{MEAN} C -> {{O Y}} U [latent] U -> {{S Y}}": ("mean", False),
}


@pytest.mark.parametrize("body", CASES)
def test_laws_of_selected_rows_serve_everybody_exactly_where_the_graph_says_so(body: str) -> None:
    query, everybody = CASES[body]
    graph = CausalGraph.from_dot(f"dag {{ {body} }}")
    found = graph.identify(query)  # type: ignore[arg-type]
    assert found.selection == ("S",)
    assert found.beyond_selection is everybody
    for seed in range(5):
        world = World(graph, seed)
        gap = np.subtract(_answer(world, found, True), _answer(world, found, False))
        assert bool(np.abs(gap).max() < ROUNDING) is everybody


@pytest.mark.parametrize("body", CASES)
def test_words_say_of_whom_the_answer_speaks(body: str) -> None:
    query, everybody = CASES[body]
    words = CausalGraph.from_dot(f"dag {{ {body} }}").identify(query).words  # type: ignore[arg-type]
    assert "among the rows that S let into the log" in words
    assert ("It says nothing of everybody: S and " in words) is not everybody
    assert ("verybody as well" in words or "For everybody, average" in words) is everybody
    if "Z -> E" in body and everybody:
        assert "average the effects of Z on E and on Y over C" in words


def test_the_front_door_of_selected_rows_is_the_effect_of_setting_the_exposure() -> None:
    """Against the truth, which knows the unmeasured cause."""
    body = f"{EFFECT} E -> M -> Y U [latent] U -> {{E Y}} C -> {{E M Y S}}"
    graph = CausalGraph.from_dot(f"dag {{ {body} }}")
    found = graph.identify()
    for seed in range(5):
        world = World(graph, seed)
        for e, value in enumerate(_answer(world, found, True)):

            def outcome(state: dict[str, int], e: int = e, world: World = world) -> float:
                return world.law("Y", {**state, "E": e}, False)

            assert value == pytest.approx(world.average(["U", "C"], outcome))


def test_rows_that_the_exposure_or_a_mediator_selects_are_refused() -> None:
    for body, query in (
        (f"{EFFECT} E -> {{Y S}}", "effect"),
        (f"{EFFECT} E -> M -> {{Y S}} M [mediator]", "path"),
        (f"{EFFECT} E -> {{Y S}} Z -> E <-> Y", "effect"),
    ):
        with pytest.raises(IdentificationError, match="the exposure itself changes who is in"):
            CausalGraph.from_dot(f"dag {{ {body} }}").identify(query)  # type: ignore[arg-type]


def test_a_shadow_says_of_whom_the_mean_speaks() -> None:
    body = f"{MEAN} K [role=shadow] K -> Y -> O"
    found = CausalGraph.from_dot(f"dag {{ {body} }}").identify("mean", strategies=("shadow",))
    assert found.beyond_selection
    body += " U [latent] U -> {S Y}"
    found = CausalGraph.from_dot(f"dag {{ {body} }}").identify("mean", strategies=("shadow",))
    assert not found.beyond_selection
    assert "S and Y stay connected (S <- U -> Y)" in found.words
