"""The door, and what every world promises: the same bytes, honest tables, calibrated selection."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from causalrec.errors import IdentificationError, StudyError
from causalrec.graph import load_graph
from causalrec.simulation import World, list_worlds, simulate

WORLDS = ("music", "shop", "social", "video")
GRAPHS = {
    "music": "rating_selection",
    "shop": "exposure_click",
    "social": "feed_position",
    "video": "watch_time",
}
QUERY = {"music": "mean", "shop": "effect", "social": "effect", "video": "effect"}


def test_list_worlds() -> None:
    assert list_worlds() == WORLDS


@pytest.mark.parametrize("name", WORLDS)
def test_same_seed_same_world(name: str) -> None:
    first, second = simulate(name, 50, 40, 3), simulate(name, 50, 40, 3)
    other = simulate(name, 50, 40, 4)
    for table in ("users", "items", "events"):
        pd.testing.assert_frame_equal(getattr(first, table), getattr(second, table))
    assert first.truth == second.truth
    assert first.population_truth == second.population_truth
    np.testing.assert_array_equal(first.potential.propensity, second.potential.propensity)
    assert first.log.fingerprint() == second.log.fingerprint()
    assert first.log.fingerprint() != other.log.fingerprint()


@pytest.mark.parametrize("name", WORLDS)
def test_log_holds_the_tables_and_sizes(name: str) -> None:
    world = simulate(name, 50, 40)
    assert (world.log.n_users, world.log.n_items) == (50, 40)
    assert world.log.n_rows == len(world.events)
    assert world.log.provider is not None
    assert f"World {name!r}" in repr(world)
    assert set(map(str, world.log.user_ids)) == set(world.users["user_id"].map(str))


@pytest.mark.parametrize("name", WORLDS)
def test_graph_is_shipped_and_names_columns_of_the_log(name: str) -> None:
    world = simulate(name, 50, 40)
    shipped = load_graph(GRAPHS[name])
    assert world.graph.edges == shipped.edges
    assert world.graph.nodes == shipped.nodes
    for covariate in world.graph.identify(query=QUERY[name]).covariates:
        assert world.log.entity_of(covariate.column) == covariate.entity


@pytest.mark.parametrize("name", WORLDS)
def test_latent_taste_is_refused_with_its_path(name: str) -> None:
    graph = simulate(name, 50, 40, unmeasured=1.0).graph
    with pytest.raises(IdentificationError, match=r"<- taste ->"):
        graph.identify(query=QUERY[name], strategies=("randomised", "back-door"))


def test_selection_on_the_rating_is_refused() -> None:
    graph = simulate("music", 50, 40, selection_on_rating=1.0).graph
    assert graph.edges == load_graph("rating_selection_on_rating").edges
    with pytest.raises(IdentificationError):
        graph.identify(query="mean")


def test_critics_are_a_shadow_and_change_nothing_where_they_are_not_asked_for() -> None:
    with_critics = simulate("music", 50, 40, selection_on_rating=1.0, critics=0.5)
    without = simulate("music", 50, 40, selection_on_rating=1.0)
    assert with_critics.graph.identify("mean", strategies=("shadow",)).shadows == ("critics",)
    assert "critics" not in without.items
    assert with_critics.users.equals(without.users)
    assert with_critics.items.drop(columns="critics").equals(without.items)


@pytest.mark.parametrize(("name", "latent"), [("shop", "crowding"), ("social", "neighbours")])
def test_interference_stands_in_the_graph(name: str, latent: str) -> None:
    graph = simulate(name, 50, 40, interference=0.5).graph
    assert latent in graph.latents
    assert graph.identify(query="effect").adjustment  # the item effect is still identified


def test_both_switches_at_once_keep_both_arrows() -> None:
    graph = simulate("shop", 50, 40, interference=0.5, unmeasured=1.0).graph
    assert set(graph.latents) == {"taste", "crowding"}


@pytest.mark.parametrize(
    ("name", "switches", "message"),
    [
        ("shop", {"selection_on_rating": 1.0}, "n_candidates"),
        ("music", {"unmesured": 1.0}, "'unmeasured'"),
        ("music", {"interference": 1.0}, "no switch 'interference'"),
        ("music", {"unsupported": 0.6}, r"\[0, 0.5\)"),
        ("shop", {"unsupported": 0.6}, r"\[0, 0.5\)"),
        ("social", {"unsupported": 0.6}, r"\[0, 0.5\)"),
        ("video", {"unsupported": 0.7}, r"\[0, 0.6\)"),
        ("video", {"randomized_share": 1.0}, r"\[0, 1\)"),
        ("social", {"interference": 2.0}, r"\[0, 1\]"),
        ("social", {"exploration": 0.0}, r"\(0, 1\]"),
        ("social", {"trust": 1.0}, r"trust=1\.0 must lie in \[0, 1\)"),
        ("social", {"n_positions": 99}, "cannot fill"),
        ("music", {"density": 1.5}, r"\(0, 1\)"),
        ("music", {"n_randomized": 10_000}, "2,000 cells"),
        ("shop", {"model": "probit"}, "neither"),
        ("shop", {"model": "linear", "interference": 1.0}, "model='logistic'"),
        ("shop", {"unmeasured": "strong"}, "must be a number"),
    ],
)
def test_wrong_switches_say_what_is_allowed(
    name: str, switches: dict[str, object], message: str
) -> None:
    with pytest.raises(StudyError, match=message):
        simulate(name, 50, 40, **switches)


def test_wrong_world_and_sizes() -> None:
    with pytest.raises(StudyError, match="'music'"):
        simulate("musik")
    with pytest.raises(StudyError, match="n_users=0"):
        simulate("music", n_users=0)


def _draws(world: World) -> tuple[np.ndarray, np.ndarray]:
    """Selection indicators and their probabilities, one a decision."""
    if world.name == "music":
        observed = np.zeros(world.potential.propensity.shape)
        observed[world.log.user_codes, world.log.item_codes] = 1
        return observed, world.potential.propensity
    return world.events["exposed"].to_numpy(float), world.potential.row_propensity


@pytest.mark.parametrize(
    ("name", "switches"),
    [
        ("music", {}),
        ("music", {"unmeasured": 1.0}),
        ("music", {"selection_on_rating": 1.0}),
        ("music", {"selection_on_rating": 0.5, "ordinal": False}),
        ("music", {"unsupported": 0.3}),
        ("music", {"density": 0.15}),
        ("shop", {}),
        ("shop", {"model": "linear"}),
        ("shop", {"unmeasured": 1.0}),
        ("shop", {"interference": 2.0}),
        ("shop", {"unsupported": 0.3}),
        ("video", {}),
        ("video", {"unmeasured": 1.0}),
        ("video", {"unsupported": 0.3}),
    ],
)
def test_selection_is_calibrated(name: str, switches: dict[str, object]) -> None:
    # Decisions are independent given p: the mean of O - p has variance sum p (1 - p) / N².
    world = simulate(name, 800, 120, 7, **switches)
    drawn, p = _draws(world)
    for part in (p < np.median(p), p >= np.median(p)):
        gap = (drawn - p)[part].sum() / np.sqrt((p * (1 - p))[part].sum())
        assert abs(gap) < 4


@pytest.mark.parametrize("name", ["music", "shop", "video"])
def test_propensities_keep_off_zero(name: str) -> None:
    p = simulate(name).potential.propensity
    assert p.min() > 0.008
    assert p.max() < 0.96


@pytest.mark.parametrize("name", ["music", "shop", "video"])
def test_unsupported_cells_are_never_shown_by_a_rule_in_the_covariates(name: str) -> None:
    world = simulate(name, 800, 120, 7, unsupported=0.25)
    supported = world.potential.supported
    assert (world.potential.propensity[~supported] == 0).all()
    assert (world.potential.propensity[supported] > 0).all()
    drawn, p = _draws(world)
    assert not drawn[p == 0].any()
    # The share of users and of items that the rule concerns are binomial: 5 of their deviations.
    tolerance = 5 * (0.5 / np.sqrt(800) + 0.5 / np.sqrt(120)) * 0.5
    assert abs((~supported).mean() - 0.25) < tolerance
    assert world.population_truth["share:supported"] == pytest.approx(0.75, abs=1e-12)
    # A block of users never meets a block of items.
    rows, columns = (~supported).any(axis=1), (~supported).any(axis=0)
    assert (~supported == np.outer(rows, columns)).all()
