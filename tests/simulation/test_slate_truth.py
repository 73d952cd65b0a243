"""What one exposure, and all of them, do to a user's total: true by counting and by experiment."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from causalrec.errors import StudyError
from causalrec.simulation import simulate
from causalrec.simulation._shop import (
    _crowding,
    _draw_items,
    _draw_users,
    _outcomes,
    _Settings,
    _spillover,
)


def test_the_spillover_is_what_flipping_each_exposure_does_to_the_others() -> None:
    rng = np.random.default_rng(3)
    m, n, k = 4, 6, 5
    user = np.repeat(np.arange(m), k)
    item = np.concatenate([rng.permutation(n)[:k] for _ in range(m)])
    exposed = rng.random(m * k) < 0.5
    settings = _Settings(k, "logistic", 0.0, 1.5, 0.0, "item")

    drawn = np.random.default_rng(1)
    users, items = _draw_users(drawn, m, settings), _draw_items(drawn, n, settings)

    def total(shown: Any) -> Any:
        """Return the expected total of each row's user, without the row itself."""
        crowding = _crowding(user, item, shown, (m, n))
        low, high = _outcomes(users, items, np.zeros((1, 1)), crowding, settings)
        mean = np.where(shown, high[user, item], low[user, item])
        return np.bincount(user, mean)[user] - mean

    flipped = []
    for row in range(m * k):
        arms = []
        for value in (False, True):
            shown = exposed.copy()
            shown[row] = value
            arms.append(total(shown)[row])
        flipped.append(arms[1] - arms[0])
    crowding, step = _crowding(user, item, exposed, (m, n)), 1.0 / (k - 1)
    around = [
        _outcomes(users, items, np.zeros((1, 1)), crowding + move, settings)
        for move in (-step, 0.0, step)
    ]
    assert _spillover(user, item, exposed, around) == pytest.approx(np.mean(flipped), abs=1e-12)


def test_one_exposure_and_all_of_them_are_different_things_under_interference() -> None:
    calm: Any = simulate("shop", 300, 80, 1, n_candidates=10)
    truth = calm.population_truth
    assert truth["ate:slate"] == truth["ate"]
    assert truth["policy:slate"] == pytest.approx(10 * truth["ate"])
    crowded: Any = simulate("shop", 300, 80, 1, n_candidates=10, interference=1.0)
    for found in (crowded.truth, crowded.population_truth):
        assert found["ate"] > 0.1  # on its own purchases
        assert found["ate:slate"] < 0.03  # on the total
        assert found["policy:slate"] < 0.2 * 10 * found["ate"]


def test_a_user_is_exposed_as_a_whole_where_the_user_is_what_is_decided_about() -> None:
    world: Any = simulate(
        "shop", 4000, 80, 1, n_candidates=10, interference=1.0, exposure_by="user"
    )
    by_user = world.events.groupby("user_id")["exposed"]
    assert (by_user.nunique() == 1).all()
    # Weighting users by the true p gives the effect of the whole on the total.
    exposed, total = by_user.first().to_numpy(), world.events.groupby("user_id")["purchase"].sum()
    p, y = world.potential.propensity[:, 0], total.to_numpy()
    score = y * (exposed / p - (1 - exposed) / (1 - p))
    error = score.std() / np.sqrt(len(score))
    assert abs(score.mean() - world.truth["policy:slate"]) < 4 * error
    assert abs(score.mean() - 10 * world.truth["ate"]) > 5 * error
    assert "crowding" in world.graph.nodes


@pytest.mark.parametrize(
    ("switches", "message"),
    [
        ({"exposure_by": "slate"}, "neither 'item' nor 'user'"),
        ({"exposure_by": "user", "unmeasured": 1.0}, "single items"),
        ({"exposure_by": "user", "unsupported": 0.2}, "single items"),
    ],
)
def test_contradictory_switches_are_refused(switches: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        simulate("shop", 30, 20, 1, **switches)
