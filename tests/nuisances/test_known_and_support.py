"""Given propensities, what they are checked for, and the support they imply."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.errors import DataError, StudyError
from causalrec.nuisances import (
    KnownPropensity,
    PropensityModel,
    cell_propensity,
    grid_propensity,
    resolve_propensity,
    row_propensity,
    support,
)


def ratings(**more) -> cr.InteractionLog:
    events = pd.DataFrame({
        "user_id": [0, 0, 1, 2], "item_id": [0, 1, 1, 0], "rating": [5, 3, 4, 2],
        "p": [0.5, 0.25, 0.2, 0.1],
    })  # fmt: skip
    users = pd.DataFrame({"user_id": [0, 1, 2], "group": ["a", "a", "b"]})
    return cr.InteractionLog(events, users, **more)


GRID = np.array([[0.5, 0.25], [0.3, 0.2], [0.1, 0.4]])


@pytest.mark.parametrize("given", [GRID, [0.5, 0.25, 0.2, 0.1], "p"])
def test_three_ways_to_give_the_same_propensities(given) -> None:
    log = ratings()
    found = resolve_propensity(given, log)
    assert row_propensity(found, log).tolist() == [0.5, 0.25, 0.2, 0.1]
    assert cell_propensity(found, log, [0, 2], [1, 0]).tolist() == [0.25, 0.1]


def test_a_constant() -> None:
    log = ratings()
    found = resolve_propensity(0.5, log)
    assert row_propensity(found, log).tolist() == [0.5] * 4
    assert grid_propensity(found, log, slice(1, 3)).tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_values_by_row_follow_their_cells_into_parts() -> None:
    log = ratings()
    found = resolve_propensity([0.5, 0.25, 0.2, 0.1], log)
    train, test = log.split(test_size=0.5, random_state=0)
    for part in (train, test):
        expected = part.column("p").to_numpy() * part.part.rate
        np.testing.assert_allclose(row_propensity(found, part), expected)


def test_cells_without_rows_are_refused() -> None:
    log = ratings()
    for given in ([0.5, 0.25, 0.2, 0.1], "p"):
        found = resolve_propensity(given, log)
        with pytest.raises(DataError, match="1 of 2 cells have no row"):
            cell_propensity(found, log, [0, 1], [0, 0])
        with pytest.raises(DataError, match="given for rows"):
            grid_propensity(found, log, slice(0, 1))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([0.5, 0.25, 1.2, 0.1], "not a probability in \\[0, 1\\] in 1 of 4 rows"),
        ([0.5, np.nan, 0.2, 0.1], "not a probability"),
        (np.zeros((2, 2, 2)), "3 dimensions"),
    ],
)
def test_what_is_no_probability_is_refused(given, words) -> None:
    with pytest.raises(DataError, match=words):
        KnownPropensity(given)


def test_wrong_shapes_are_refused() -> None:
    log = ratings()
    with pytest.raises(DataError, match="shape \\(2, 3\\)"):
        row_propensity(KnownPropensity(GRID.T), log)
    with pytest.raises(DataError, match="3 propensities were given, one a row"):
        row_propensity(KnownPropensity([0.5, 0.5, 0.5]), log)


def test_zero_for_what_happened_is_refused() -> None:
    with pytest.raises(DataError, match="is zero for what did happen in 1 of 4 rows"):
        row_propensity(KnownPropensity([0.5, 0.0, 0.2, 0.1]), ratings())


def test_a_propensity_of_exposure_is_not_one_of_observation() -> None:
    log = ratings()
    with pytest.raises(DataError, match="probability of 'exposure'"):
        resolve_propensity(KnownPropensity(GRID, "exposure"), log)
    events = log.events.assign(user_id=[0, 0, 1, 2], item_id=[0, 1, 1, 0])
    events = events.assign(shown=[1, 0, 1, 0], bought=[1, 0, 1, 1])
    shown = cr.InteractionLog(events, exposure="shown", outcome="bought")
    assert resolve_propensity(KnownPropensity("p"), shown).of_ == "exposure"


def test_logged_propensities_win_over_estimated_ones() -> None:
    world = cr.simulate("social", n_users=60, n_items=30, random_state=0)
    found = resolve_propensity(None, world.log)
    assert isinstance(found, KnownPropensity)
    np.testing.assert_array_equal(row_propensity(found, world.log), world.log.logging_propensity)


def test_support_counts_eligible_cells_only() -> None:
    eligible = np.array([[True, True], [True, True], [True, False]])
    log = ratings(eligible=eligible)
    p = GRID.copy()
    p[1, 0] = 0.0005
    found = support(KnownPropensity(p), log)
    assert found.block(slice(0, 3)).tolist() == [[True, True], [False, True], [True, False]]
    assert (found.n_eligible, found.n_supported) == (5, 4)
    assert found.share_by("group") == {"a": 0.25, "b": 0.0}
    assert found.rows().tolist() == [True] * 4
    assert found.cells([1, 1], [0, 1]).tolist() == [False, True]
    again = log.support(KnownPropensity(p))
    assert again.hash == found.hash
    assert support(KnownPropensity(p), log, 0.2).hash != found.hash
    with pytest.raises(StudyError, match="floor"):
        support(KnownPropensity(p), log, 0.0)


def test_support_of_candidates_asks_for_both_arms() -> None:
    world = cr.simulate("shop", n_users=100, n_items=40, random_state=0)
    p = np.full(world.log.n_rows, 0.5)
    p[:10], p[10:20] = 0.9999, 0.0001
    p[:20] = np.where(world.log.exposure[:20] == 1, 0.9999, 0.0001)
    known = KnownPropensity(p)
    assert support(known, world.log).n_supported == world.log.n_rows - 20
    assert support(known, world.log, both_arms=False).rows()[:20].sum() == (
        world.log.exposure[:20].sum()
    )


def test_profiles_that_were_never_shown_are_unsupported() -> None:
    world = cr.simulate("music", n_users=800, n_items=300, random_state=0, unsupported=0.3)
    model = PropensityModel().fit(world.log, world.graph)
    found = support(model, world.log)
    wrong = found.block(slice(0, 800)) != world.potential.supported
    assert wrong.mean() < 0.005
    assert "country=B and mainstream <" in model.never_observed_.words
    assert found.share_by("country")["A"] == 0.0
    inside = world.potential.supported
    ratio = model.block(slice(0, 800))[inside] / world.potential.propensity[inside]
    # without the exclusion the cross of country and mainstream would bend to fit the zeros
    assert np.abs(np.log(ratio)).mean() < 0.1


def test_a_rule_in_two_numbers_is_found_too() -> None:
    rng = np.random.default_rng(0)
    users = pd.DataFrame({"user_id": range(200), "age": np.linspace(18.0, 80.0, 200)})
    items = pd.DataFrame({"item_id": range(50), "price": np.linspace(1.0, 9.0, 50)})
    rows = users.merge(items, how="cross")
    never = (rows["age"] < rows["age"].median()) & (rows["price"] > 6.0)
    rows["shown"] = np.where(never, 0, rng.random(len(rows)) < 0.3).astype(int)
    rows["bought"] = rng.integers(0, 2, len(rows))
    log = cr.InteractionLog(
        rows[["user_id", "item_id", "shown", "bought"]],
        users=users, items=items, exposure="shown", outcome="bought",
    )  # fmt: skip
    model = PropensityModel().fit(log)
    found = model.never_observed_.cells(log.user_codes, log.item_codes)
    assert np.array_equal(found, never.to_numpy())
    assert model.never_observed_.words.startswith("age < 49 and price > ")


def test_nothing_is_called_never_shown_where_everything_can_be() -> None:
    for seed in range(5):
        world = cr.simulate("shop", n_users=300, n_items=60, random_state=seed)
        assert not PropensityModel().fit(world.log, world.graph).never_observed_.profiles


def test_strata_of_rows_that_were_never_shown_are_unsupported() -> None:
    rng = np.random.default_rng(0)
    users = pd.DataFrame({"user_id": range(300), "stratum": np.repeat(["x", "y", "z"], 100)})
    user = np.repeat(np.arange(300), 20)
    p = np.repeat([0.1, 0.5, 0.0], 2000)
    events = pd.DataFrame({
        "user_id": user, "item_id": np.tile(np.arange(20), 300),
        "shown": (rng.random(6000) < p).astype(int), "sold": rng.integers(0, 2, 6000),
    })  # fmt: skip
    log = cr.InteractionLog(events, users, exposure="shown", outcome="sold")
    model = PropensityModel().fit(log)
    found = support(model, log)
    assert found.share_unsupported == pytest.approx(1 / 3)
    assert found.share_by("stratum") == {"x": 0.0, "y": 0.0, "z": 1.0}
    fitted = row_propensity(model, log)
    assert fitted[:2000].mean() == pytest.approx(0.1, abs=0.02)
    assert np.isfinite(log.exposure / fitted).all()
