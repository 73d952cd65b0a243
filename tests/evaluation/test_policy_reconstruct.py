"""A policy's action distribution from its own log, and the Open Bandit logs both ways."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.errors import DataError
from causalrec.evaluation import reconstruct_policy


def shown_by(policy: np.ndarray, rows: int, seed: int, **more: object) -> cr.InteractionLog:
    """Return a log of a policy that looks at the position alone, (places, items)."""
    rng = np.random.default_rng(seed)
    position = np.arange(rows) % len(policy)
    item = (policy.cumsum(1)[position] < rng.random((rows, 1))).sum(1)
    click = rng.random(rows) < 0.1 + 0.2 * item / (1.0 + position)
    events = pd.DataFrame(
        {
            "user_id": np.arange(rows),
            "item_id": item,
            "position": position + 1,
            "click": click.astype(int),
            "p": policy[position, item],
            "device": np.where(np.arange(rows) % 4 < 2, "phone", "desk"),
        }
    )
    items = pd.DataFrame({"item_id": np.arange(policy.shape[1])})
    return cr.InteractionLog(
        events, items=items, outcome="click", position="position", logging_propensity="p", **more
    )


EVEN = np.full((2, 4), 0.25)
SHARP = np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.2, 0.3, 0.4]])


def test_shares_by_position_are_the_policy():
    own, other = shown_by(SHARP, 40_000, 0), shown_by(EVEN, 400, 1)
    policy = reconstruct_policy(own)
    assert policy.by == ("position",)
    assert policy.contexts.tolist() == [1, 2]
    assert policy.rows.tolist() == [20_000, 20_000]
    # A share of 20,000 rows is off by at most four of its standard errors, 4 x .0035.
    assert np.abs(policy.shares - SHARP).max() < 4 * np.sqrt(0.25 / 20_000)
    given = policy(other)
    np.testing.assert_allclose(given, policy.shares[other.position - 1])
    assert "does not move" in policy.assumption
    value = cr.policy_value(other, policy, estimator="ips")
    named = {a.name: a for a in value.assumptions}
    assert named["reconstructed policy"].statement == policy.assumption
    assert "reconstructed from its own log" in value.answer


def test_it_can_look_at_columns_or_at_nothing():
    own = shown_by(SHARP, 4000, 0)
    both = reconstruct_policy(own, by=("position", "device"))
    assert len(both.contexts) == 4
    np.testing.assert_allclose(both(own).sum(axis=1), 1.0)
    none = reconstruct_policy(own, by=())
    np.testing.assert_allclose(none(own)[0], np.bincount(own.item_codes) / 4000)
    assert "looks at nothing and" in none.assumption


def test_what_the_other_log_lacks_is_refused():
    policy = reconstruct_policy(shown_by(SHARP, 4000, 0))
    deeper = shown_by(np.full((3, 4), 0.25), 300, 1)
    with pytest.raises(DataError, match="does not have"):
        policy(deeper)
    fewer = shown_by(np.full((2, 3), 1 / 3), 300, 1)
    with pytest.raises(DataError, match=r"shows 1 items .* such as \[3\]"):
        policy(fewer)
    rated = pd.DataFrame({"user_id": [1, 2], "item_id": [1, 1], "rating": [3, 4]})
    with pytest.raises(DataError, match="impressions"):
        reconstruct_policy(cr.InteractionLog(rated))


@pytest.mark.parametrize("campaign", ["all", "men", "women"])
def test_the_open_bandit_logs_value_each_other(campaign):
    bandit = cr.datasets.open_bandit(policy="bts", campaign=campaign)
    uniform = cr.datasets.open_bandit(policy="random", campaign=campaign)

    def agrees(row: object, other: cr.InteractionLog) -> None:
        own = other.outcome.std() / np.sqrt(other.n_rows)
        assert abs(row.value - other.outcome.mean()) < 3 * np.hypot(row.standard_error, own), row

    back = cr.policy_value(
        uniform, reconstruct_policy(bandit), estimator=["ips", "snips", "dr", "shrinkage_dr"]
    )
    for row in back.rows[:4]:
        agrees(row, bandit)
        assert row.effective_sample_size > 2000
    there = cr.policy_value(bandit, "uniform", estimator=["dr", "ips"], adaptive=True)
    for row in there.rows[:2]:
        agrees(row, uniform)
    # The largest weights come where the bandit had made up its mind; time weights take them back.
    plain = cr.policy_value(bandit, "uniform", estimator=["dr", "ips"])
    assert there.rows[0].standard_error < 1.05 * plain.rows[0].standard_error
