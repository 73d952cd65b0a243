"""The value of a policy: formulas by hand, a feed with known clicks, a real randomised log."""

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.errors import DataError, StudyError


@pytest.fixture
def tiny():
    """Six impressions of three items; p of what was shown, a target policy, a reward model."""
    rng = np.random.default_rng(2)
    n, items = 6, 3
    logging = rng.dirichlet(np.ones(items), n)
    shown = np.array([0, 1, 2, 0, 1, 2])
    click = np.array([1.0, 0.0, 1.0, 0.0, 0.0, 1.0])
    events = pd.DataFrame(
        {"user_id": np.arange(n), "item_id": shown, "click": click, "p": logging[range(n), shown]}
    )
    log = cr.InteractionLog(events, outcome="click", logging_propensity="p")
    return log, rng.dirichlet(np.ones(items), n), rng.random((n, items))


def test_estimators_by_hand(tiny):
    log, target, q = tiny
    rows = np.arange(6)
    w = target[rows, log.item_codes] / log.logging_propensity
    y = log.outcome
    result = cr.policy_value(log, target, estimator=["ips", "snips", "dr"], q_model=q)
    assert result["policy value"].value == pytest.approx((w * y).mean())
    assert result["policy value (snips)"].value == pytest.approx((w * y).sum() / w.sum())
    dr = (target * q).sum(1) + w * (y - q[rows, log.item_codes])
    assert result["policy value (dr)"].value == pytest.approx(dr.mean())
    assert result["policy value (dr)"].standard_error == pytest.approx(
        np.sqrt(np.square(dr - dr.mean()).sum()) / 6
    )
    assert result["logging policy"].value == pytest.approx(y.mean())
    gap = result["policy value - logging policy"]
    assert gap.value == pytest.approx((w * y).mean() - y.mean())
    assert result.rows[0].effective_sample_size == pytest.approx(w.sum() ** 2 / (w**2).sum())
    clipped = cr.policy_value(log, target, estimator="ips", clip=0.5)
    assert clipped.rows[0].value == pytest.approx((np.minimum(w, 0.5) * y).mean())
    assert any("biased" in note for note in clipped.notes)


def test_policies_come_in_several_shapes(tiny):
    log, target, _ = tiny
    logged = target[np.arange(6), log.item_codes]
    values = [
        cr.policy_value(log, policy, estimator="snips").rows[0].value
        for policy in (target, logged, lambda rows: target, lambda rows: logged)
    ]
    assert np.ptp(values) == 0.0
    uniform = cr.policy_value(log, np.full((6, 3), 1 / 3), estimator="dr").rows[0]
    assert cr.policy_value(log, "uniform", estimator="dr").rows[0] == uniform


def test_reward_models_come_in_several_shapes(tiny):
    log, target, _ = tiny
    q = np.random.default_rng(0).random((6, 3))

    class Model:
        def predict(self, users, items):
            return q[users, items]

    values = [
        cr.policy_value(log, target, estimator="dr", q_model=model).rows[0].value
        for model in (q, lambda rows: q, Model())
    ]
    assert np.ptp(values) < 1e-15


def test_what_means_nothing_is_refused(tiny):
    log, target, _ = tiny
    with pytest.raises(DataError, match="does not sum to one"):
        cr.policy_value(log, target * 0.5)
    with pytest.raises(DataError, match=r"not a probability in \[0, 1\]"):
        cr.policy_value(log, target - 1.0)
    with pytest.raises(DataError, match="has shape"):
        cr.policy_value(log, target[:, :2])
    with pytest.raises(StudyError, match="probability of every item"):
        cr.policy_value(log, target[:, 0], estimator="dr")
    with pytest.raises(StudyError, match="Did you mean 'snips'"):
        cr.policy_value(log, estimator="snip")
    with pytest.raises(StudyError, match="'uniform', an array"):
        cr.policy_value(log, "popular")
    with pytest.raises(StudyError, match="not possible here"):
        cr.policy_value(log, sampled=("slate",))
    rated = pd.DataFrame({"user_id": [1, 2], "item_id": [1, 1], "rating": [3, 4]})
    ratings = cr.InteractionLog(rated)
    with pytest.raises(DataError, match="impressions"):
        cr.policy_value(ratings)


def test_mass_without_support_is_found():
    rng = np.random.default_rng(0)
    shown = rng.integers(0, 2, 500)
    events = pd.DataFrame(
        {"user_id": np.arange(500), "item_id": shown, "click": rng.integers(0, 2, 500), "p": 0.5}
    )
    items = pd.DataFrame({"item_id": np.arange(4)})
    log = cr.InteractionLog(events, items=items, outcome="click", logging_propensity="p")
    result = cr.policy_value(log, "uniform")
    overlap = next(a for a in result.assumptions if a.name == "overlap")
    assert overlap.status == "violated"
    assert "50.00% of the policy's mass" in overlap.evidence
    assert "of what the policy would show is never shown" in result.answer


def test_a_feed_with_known_clicks():
    world = cr.simulate("social", 600, 30, random_state=0, n_slates=4)
    potential = world.potential
    target = potential.target_policy
    truth = potential.policy_value(target)
    result = cr.policy_value(
        world.log, target[world.log.user_codes], estimator=["dr", "snips", "ips"]
    )
    for row in result.rows[:3]:
        assert abs(row.value - truth) < 4 * row.standard_error
        assert row.clusters == {"user": 600}
    assert any(a.name == "no interference within a list" for a in result.assumptions)
    slates = cr.policy_value(world.log, target[world.log.user_codes], sampled=("slate",))
    assert slates.rows[0].clusters == {"slate": 2400}


@pytest.mark.slow
def test_the_feed_is_valued_without_bias_and_covered():
    inside, off = 0, []
    for seed in range(400):
        world = cr.simulate("social", 150, 30, random_state=seed)
        target = world.potential.target_policy
        row = cr.policy_value(world.log, target[world.log.user_codes], estimator="dr").rows[0]
        truth = world.potential.policy_value(target)
        off.append(row.value - truth)
        inside += row.lower <= truth <= row.upper
    assert abs(np.mean(off)) < 4 * np.std(off, ddof=1) / 20
    # The truth is that of the users drawn, so an interval for new users is a little too wide.
    assert inside / 400 >= 0.95 - 0.033


@pytest.mark.parametrize("campaign", ["all", "men", "women"])
def test_uniform_from_thompson_sampling_agrees_with_the_random_log(campaign):
    logged = cr.datasets.open_bandit(policy="bts", campaign=campaign)
    uniform = cr.datasets.open_bandit(policy="random", campaign=campaign)
    result = cr.policy_value(logged, "uniform", estimator=["ips", "snips", "dr"])
    on_policy = uniform.outcome.mean()
    own = uniform.outcome.std() / np.sqrt(uniform.n_rows)
    for row in result.rows[:3]:
        distance = abs(row.value - on_policy) / np.hypot(row.standard_error, own)
        assert distance < 3, row
        assert row.effective_sample_size < 1000
    same = cr.policy_value(uniform, "uniform", estimator="ips")
    # Propensities of the random log are written with seven digits.
    assert same.rows[0].value == pytest.approx(on_policy, rel=1e-4)
