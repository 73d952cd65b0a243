"""A mean hidden by selection on the outcome, and the shadow variable that identifies it."""

from __future__ import annotations

import networkx as nx
import pytest

from causalrec.errors import IdentificationError
from causalrec.graph import CausalGraph, load_graph


def graph_of(body: str) -> CausalGraph:
    return CausalGraph.from_dot(f"dag {{ O [observed] Y [outcome] {body} }}")


def test_a_shadow_identifies_the_mean_if_it_is_asked_for() -> None:
    graph = load_graph("rating_selection_shadow")
    found = graph.identify("mean", strategies=("shadow",))
    assert found.strategy == "shadow variable"
    assert found.shadows == ("critics",)
    assert found.adjustment == ("engagement", "mainstream")
    assert [name for name, _, _ in found.assumptions] == ["shadow variable", "completeness"]
    given = {*found.adjustment, "rating"}
    assert nx.is_d_separator(graph.network(), {"critics"}, {"observed"}, given)


def test_estimators_do_not_take_it_for_missing_at_random() -> None:
    with pytest.raises(IdentificationError) as caught:
        load_graph("rating_selection_shadow").identify("mean")
    assert caught.value.open_path == "rating -> observed"
    assert "The graph's critics is such a shadow variable" in str(caught.value)


NO_SHADOW = (
    "Z [role=shadow] Z -> {Y O} Y -> O",
    "Z [role=shadow] Y -> O",
    "Z [role=shadow, latent] Z -> Y -> O",
    "Z [role=shadow, entity=event] Z -> Y -> O",
    "Z [role=shadow] Z -> Y -> O Y <-> O",  # given the outcome, a collider, it goes with O
)


@pytest.mark.parametrize("body", NO_SHADOW)
def test_what_does_not_serve_as_a_shadow(body: str) -> None:
    with pytest.raises(IdentificationError, match="The declared shadow Z does not serve"):
        graph_of(body).identify("mean", strategies=("shadow",))


def test_missing_at_random_needs_no_shadow() -> None:
    graph = graph_of("Z [role=shadow] Z -> Y A -> {Y O}")
    assert graph.identify("mean", strategies=("shadow",)).strategy == (
        "missing at random given covariates"
    )
