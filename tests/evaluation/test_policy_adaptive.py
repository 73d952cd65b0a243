"""Logs whose policy learned as it went: Thompson sampling, and what its interval needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.errors import DataError, StudyError

MEANS = (0.7, 1.0, 1.0)


@dataclass(frozen=True)
class Bandits:
    """Runs of a bandit: all probabilities, what was drawn, and what came of it."""

    chance: np.ndarray
    arm: np.ndarray
    outcome: np.ndarray

    @property
    def propensity(self) -> np.ndarray:
        return np.take_along_axis(self.chance, self.arm[..., None], axis=2)[..., 0]

    def events(self, run: int) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "user_id": np.arange(self.arm.shape[1]),
                "item_id": self.arm[run],
                "y": self.outcome[run],
                "p": self.propensity[run],
            }
        )

    def log(self, run: int, **columns: str) -> cr.InteractionLog:
        return as_log(self.events(run), self.chance.shape[2], **columns)


def as_log(events: pd.DataFrame, arms: int, **columns: str) -> cr.InteractionLog:
    items = pd.DataFrame({"item_id": np.arange(arms)})
    return cr.InteractionLog(
        events, items=items, outcome="y", kind="impressions", logging_propensity="p", **columns
    )


def bandits(
    runs: int, steps: int, seed: int, means: tuple[float, ...] = MEANS, batch: int = 400
) -> Bandits:
    """Draw Thompson sampling of normal outcomes, all runs at once.

    Probabilities are renewed after each batch: the share of 100 posterior draws that an arm wins,
    mixed with a floor of 1 / (arms x rows so far), so that a loser is shown less and less.
    """
    rng = np.random.default_rng(seed)
    arms, rows = len(means), np.arange(runs)
    chance = np.empty((runs, steps, arms))
    arm, outcome = np.zeros((runs, steps), dtype=np.int64), np.zeros((runs, steps))
    count, total = np.zeros((runs, arms)), np.zeros((runs, arms))
    now = np.full((runs, arms), 1.0 / arms)
    for step in range(steps):
        if step and step % batch == 0:
            known = np.maximum(count, 1.0)
            draws = rng.standard_normal((runs, 100, arms)) / np.sqrt(known)[:, None]
            draws += (total / known)[:, None]
            wins = np.eye(arms)[draws.argmax(axis=2)].mean(axis=1)
            now = 1.0 / step / arms + (1.0 - 1.0 / step) * wins
        shown = np.minimum((now.cumsum(1) < rng.random((runs, 1))).sum(1), arms - 1)
        chance[:, step], arm[:, step] = now, shown
        outcome[:, step] = np.asarray(means)[shown] + rng.standard_normal(runs)
        count[rows, shown] += 1.0
        total[rows, shown] += outcome[:, step]
    return Bandits(chance, arm, outcome)


def first_arm(log: cr.InteractionLog) -> np.ndarray:
    return np.tile(np.eye(log.n_items)[0], (log.n_rows, 1))


def test_weights_come_from_the_past_alone():
    drawn = bandits(1, 400, 3, means=(1.0, 1.0), batch=50)
    log = drawn.log(0)
    score = (drawn.arm[0] == 0) / drawn.propensity[0] * drawn.outcome[0]

    def by_hand(variance: np.ndarray) -> tuple[float, float]:
        weight = 1.0 / np.sqrt(np.maximum(variance, 1.0))
        value = float(weight @ score / weight.sum())
        return value, float(np.sqrt(np.square(weight * (score - value)).sum()) / weight.sum())

    # With two arms a row tells the probabilities of both, for the next row.
    inverse = 1.0 / drawn.chance[0, :, 0]
    row = cr.policy_value(log, first_arm, estimator="ips", adaptive=True).rows[0]
    expected = by_hand(np.append(2.0, inverse[:-1]))
    assert (row.value, row.standard_error) == pytest.approx(expected, rel=1e-6)
    assert "weighted by time" in row.interval_method
    recent = [2.0, *(inverse[max(t - 10, 0) : t].mean() for t in range(1, 400))]
    given = cr.policy_value(
        log, first_arm, estimator="ips", adaptive=True, logging_policy=drawn.chance[0]
    ).rows[0]
    expected = by_hand(np.array(recent))
    assert (given.value, given.standard_error) == pytest.approx(expected, rel=1e-9)


def test_the_reward_model_sees_earlier_rows_only():
    one, other = bandits(1, 400, 3), bandits(1, 400, 4)
    events = pd.concat([one.events(0), other.events(0).assign(y=lambda f: f["y"] + 5.0)])
    events["user_id"] = np.arange(800)
    whole = as_log(events, 3)
    early = whole.select(np.arange(800) < 400)
    rows = [cr.policy_value(log, first_arm, adaptive=True) for log in (early, one.log(0))]
    assert rows[0].rows[0].value == rows[1].rows[0].value


def test_time_comes_from_the_timestamp_and_slates_keep_together():
    drawn = bandits(1, 300, 1, batch=50)
    seconds = pd.to_timedelta(np.arange(300), unit="s")
    events = drawn.events(0).assign(at=pd.Timestamp("2024-01-01") + seconds)
    by_row = cr.policy_value(as_log(events, 3), first_arm, adaptive=True)
    shuffled = events.sample(frac=1.0, random_state=0)
    by_time = cr.policy_value(as_log(shuffled, 3, timestamp="at"), first_arm, adaptive=True)
    assert by_time.rows[0].value == pytest.approx(by_row.rows[0].value, abs=1e-12)
    wrong = cr.policy_value(as_log(shuffled, 3), first_arm, adaptive=True)
    assert wrong.rows[0].value != pytest.approx(by_row.rows[0].value, abs=1e-6)
    said, of_rows = ({a.name: a for a in r.assumptions} for r in (by_time, by_row))
    assert "'at'" in said["adaptive logging"].statement
    assert "order of the rows" in of_rows["adaptive logging"].statement
    assert said["no drift"].status == "untestable"  # the loser is hardly shown in the later half
    slated = events.assign(slate=np.arange(300) // 3, user_id=np.arange(300) // 3)
    joint = as_log(slated, 3, slate="slate", timestamp="at")
    found = cr.policy_value(joint, first_arm, adaptive=True)
    assert found.rows[0].clusters == {"slate": 100}
    assert "users of this log come back" in found.assumptions[-2].statement


def test_drift_is_found():
    drawn = bandits(1, 2000, 5)
    moved = Bandits(drawn.chance, drawn.arm, drawn.outcome + np.linspace(0, 3, 2000))
    for run, status in ((drawn, "tested"), (moved, "violated")):
        log = run.log(0)
        winners = np.tile([0.0, 0.5, 0.5], (log.n_rows, 1))
        result = cr.policy_value(log, winners, adaptive=True)
        assert {a.name: a.status for a in result.assumptions}["no drift"] == status


def test_what_means_nothing_in_an_adaptive_log_is_refused():
    drawn = bandits(1, 200, 0)
    log = drawn.log(0)
    with pytest.raises(StudyError, match="not unbiased given the past"):
        cr.policy_value(log, estimator="snips", adaptive=True)
    with pytest.raises(StudyError, match="those of an adaptive log"):
        cr.policy_value(log, estimator="ips", adaptive=True, interval="empirical_bernstein")
    with pytest.raises(StudyError, match="follows time"):
        cr.policy_value(log, estimator="ips", adaptive=True, sampled=("user",))
    with pytest.raises(DataError, match="differs from column 'p'"):
        cr.policy_value(log, adaptive=True, logging_policy=np.tile([0.2, 0.4, 0.4], (200, 1)))


@pytest.mark.slow
def test_the_plain_interval_covers_too_little_where_the_adaptive_one_holds():
    runs = 400
    drawn = bandits(runs, 2000, 11)
    inside = {"plain": 0, "tracked": 0, "given": 0}
    for run in range(runs):
        log = drawn.log(run)
        found = {
            "plain": cr.policy_value(log, first_arm),
            "tracked": cr.policy_value(log, first_arm, adaptive=True),
            "given": cr.policy_value(
                log, first_arm, adaptive=True, logging_policy=drawn.chance[run]
            ),
        }
        for name, result in found.items():
            inside[name] += result.rows[0].lower <= MEANS[0] <= result.rows[0].upper
    share = {name: count / runs for name, count in inside.items()}
    noise = 1.96 * np.sqrt(0.95 * 0.05 / runs)
    assert 0.93 - noise <= share["given"] <= 0.97 + noise, share
    # Without the losers' probabilities the first rows after a change weigh too much.
    assert share["plain"] + 0.2 < share["tracked"] <= share["given"] + noise, share
    assert share["plain"] < 0.7, share
