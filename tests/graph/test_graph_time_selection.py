"""Declared time keeps later columns out; selected rows say of whom they speak."""

from __future__ import annotations

import networkx as nx
import pytest

from causalrec.errors import GraphError, IdentificationError
from causalrec.graph import CausalGraph, Node


def graph_of(body: str) -> CausalGraph:
    return CausalGraph.from_dot(f"dag {{ {body} }}")


TIMED = "E [exposure, time=1] Y [outcome, time=2] E -> Y U [latent] U -> {E W} W -> Y"


def test_a_covariate_measured_before_the_exposure_is_used() -> None:
    assert graph_of(f"W [time=0] {TIMED}").identify().adjustment == ("W",)
    assert graph_of(f"W [time=1] {TIMED}").identify().adjustment == ("W",)
    assert graph_of(f"W {TIMED}").identify().adjustment == ("W",)


def test_a_covariate_measured_after_the_exposure_is_refused_by_name() -> None:
    with pytest.raises(IdentificationError) as caught:
        graph_of(f"W [time=2] {TIMED}").identify()
    assert "W is measured after E (time=2 against time=1)" in str(caught.value)
    assert "take its value from before the exposure" in str(caught.value)
    assert caught.value.open_path == "E <- U -> W -> Y"


def test_what_only_sharpens_is_left_out_where_it_is_late() -> None:
    body = "E [exposure, time=1] Y [outcome] E -> Y P [time={}] P -> Y"
    assert graph_of(body.format(0)).identify().adjustment == ("P",)
    assert graph_of(body.format(5)).identify().adjustment == ()


def test_other_strategies_keep_late_columns_out() -> None:
    body = "E [exposure, time=1] Y [outcome] Z [role=instrument] Z -> E -> Y E <-> Y"
    body += " U [latent] U -> {Z W} W -> Y"
    assert graph_of(f"{body} W [time=0]").identify().adjustment == ("W",)
    with pytest.raises(IdentificationError):
        graph_of(f"{body} W [time=3]").identify()
    body = "E [exposure, time=1] Y [outcome] M [role=mediator, time=2] E -> {M Y} M -> Y"
    body += " U [latent] U -> {E W} W -> {M Y}"
    assert graph_of(f"{body} W [time=1]").identify("path").adjustment == ("W",)
    with pytest.raises(IdentificationError):
        graph_of(f"{body} W [time=2]").identify("path")


def test_an_arrow_against_time_is_refused() -> None:
    with pytest.raises(GraphError, match=r"W is measured after E \(time=2 against time=1\)"):
        graph_of("E [exposure, time=1] W [time=2] W -> E")
    with pytest.raises(GraphError, match="A time is a whole number, not 'noon'"):
        graph_of("E [exposure, time=noon]")


@pytest.mark.parametrize("time", [1.5, True, 10**9, "3"])
def test_a_time_is_a_whole_number(time: object) -> None:
    with pytest.raises(GraphError, match="a time is a whole number"):
        Node("W", time=time)  # type: ignore[arg-type]


def test_times_are_written_and_read_again() -> None:
    graph = graph_of("E [exposure, time=1] W [time=-2] W -> E")
    assert graph.nodes["W"].time == -2
    for text in (graph.to_dot(), graph.to_dagitty()):
        assert CausalGraph.from_dot(text) == graph


# graph -> (adjustment, whether it says something of everybody, words)
SELECTED = {
    "E [exposure] Y [outcome] S [selected] C -> {S E Y} E -> Y": (
        "C",
        True,
        "For everybody, average it over C as they are in all rows",
    ),
    "E [exposure] Y [outcome] S [selected] E -> Y": (
        "",
        True,
        "it is the effect for everybody as well",
    ),
    "E [exposure] Y [outcome] S [selected] U [latent] U -> {S Y} E -> Y": (
        "",
        False,
        "It says nothing of everybody: S and Y stay connected (S <- U -> Y)",
    ),
}


@pytest.mark.parametrize("body", SELECTED)
def test_selected_rows_say_of_whom_they_speak(body: str) -> None:
    adjustment, everybody, words = SELECTED[body]
    found = graph_of(body).identify()
    assert found.adjustment == tuple(adjustment.split())
    assert found.beyond_selection is everybody
    assert "the effect among the rows that S let into the log" in found.words
    assert words in found.words
    network = graph_of(body).network()
    assert nx.is_d_separator(network, {"S"}, {"Y"}, {"E", *found.adjustment}) is everybody


def test_without_selection_nothing_is_said_of_it() -> None:
    assert "among the rows" not in graph_of("E [exposure] Y [outcome] E -> Y").identify().words


RATED = "O [observed, time=1] R [outcome] U [latent] U -> {{O W}} W [entity=user"


def test_a_mean_keeps_columns_from_after_the_recording_out() -> None:
    body = RATED + ", time={}] W -> R"
    assert graph_of(body.format(1)).identify("mean").adjustment == ("W",)
    with pytest.raises(IdentificationError) as caught:
        graph_of(body.format(2)).identify("mean")
    assert "W is measured after O (time=2 against time=1)" in str(caught.value)
    assert "from before the outcome was recorded" in str(caught.value)
    assert caught.value.open_path == "O <- U -> W -> R"
    precise = "O [observed, time=1] R [outcome] P [time={}] P -> R"
    assert graph_of(precise.format(0)).identify("mean").adjustment == ("P",)
    assert graph_of(precise.format(2)).identify("mean").adjustment == ()


def test_a_late_shadow_does_not_serve() -> None:
    body = "O [observed, time=1] R [outcome] K [role=shadow, time={}] K -> R -> O"
    found = graph_of(body.format(1)).identify("mean", strategies=("shadow",))
    assert found.shadows == ("K",)
    with pytest.raises(IdentificationError, match="does not serve"):
        graph_of(body.format(2)).identify("mean", strategies=("shadow",))
