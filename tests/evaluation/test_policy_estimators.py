"""Nine estimators of a policy value where the truth is known, their tuning, and bounds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.errors import StudyError

ITEMS = 5
GROUPS = np.array([[0.5, 0.2, 0.1, 0.3, 0.4], [0.1, 0.3, 0.6, 0.2, 0.1]])
"""Mean click of each item by the group of the context."""
LOGGING = np.array([[0.5, 0.2, 0.1, 0.1, 0.1], [0.4, 0.3, 0.1, 0.1, 0.1]])
TARGET = np.array([[0.1, 0.1, 0.1, 0.2, 0.5], [0.1, 0.1, 0.6, 0.1, 0.1]])
TRUTH = float((TARGET * GROUPS).sum(axis=1).mean())
ALL = ("ips", "snips", "regression", "dr", "sndr")
TUNED = ("switch_dr", "shrinkage_dr", "sub_gaussian_ips", "sub_gaussian_dr")


def drawn(rows: int, seed: int, users: int | None = None) -> tuple[cr.InteractionLog, np.ndarray]:
    """Return a log and the group of each row; a user keeps a group and a taste."""
    rng = np.random.default_rng(seed)
    user = np.arange(rows) if users is None else np.arange(rows) * users // rows
    group = rng.integers(0, 2, user.max() + 1)[user]
    taste = 1.0 if users is None else (0.5 + rng.random(users))[user]
    item = (LOGGING.cumsum(1)[group] < rng.random((rows, 1))).sum(1)
    click = (rng.random(rows) < GROUPS[group, item] * taste).astype(float)
    events = pd.DataFrame(
        {"user_id": user, "item_id": item, "click": click, "p": LOGGING[group, item]}
    )
    items = pd.DataFrame({"item_id": np.arange(ITEMS)})
    log = cr.InteractionLog(
        events, items=items, outcome="click", logging_propensity="p", outcome_range=(0, 1)
    )
    return log, group


def test_modified_weights_by_hand():
    log, group = drawn(300, 0)
    target, q = TARGET[group], np.full((300, ITEMS), 0.25)
    w = target[np.arange(300), log.item_codes] / log.logging_propensity
    y = log.outcome
    modified = {
        "switch_dr": (2.0, np.where(w <= 2.0, w, 0.0)),
        "shrinkage_dr": (3.0, 3.0 * w / (w**2 + 3.0)),
        "sub_gaussian_dr": (0.2, w / (0.8 + 0.2 * w)),
        "sub_gaussian_ips": (0.2, w / (0.8 + 0.2 * w)),
    }
    for name, (parameter, weight) in modified.items():
        residual = y - 0.25 if name.endswith("dr") else y
        expected = weight * residual + (0.25 if name.endswith("dr") else 0.0)
        row = cr.policy_value(log, target, estimator=name, tuning=parameter, q_model=q).rows[0]
        assert row.value == pytest.approx(expected.mean())
        assert f"parameter {parameter:.4g}, given" in row.note
    sndr = cr.policy_value(log, target, estimator="sndr", q_model=q).rows[0]
    assert sndr.value == pytest.approx(0.25 + (w * (y - 0.25)).sum() / w.sum())
    direct = cr.policy_value(log, target, estimator="regression", q_model=q).rows[0]
    assert direct.value == pytest.approx(0.25)
    assert "takes the reward model as known" in direct.note


def test_the_standard_error_of_sndr_is_that_of_the_delta_method():
    log, group = drawn(400, 1)
    q = np.random.default_rng(1).random((400, ITEMS))
    target = TARGET[group]
    row = cr.policy_value(log, target, estimator="sndr", q_model=q).rows[0]
    w = target[np.arange(400), log.item_codes] / log.logging_propensity
    base, residual = (target * q).sum(1), log.outcome - q[np.arange(400), log.item_codes]
    ratio = (w * residual).sum() / w.sum()
    influence = (base - base.mean()) / 400 + w * (residual - ratio) / w.sum()
    assert row.standard_error == pytest.approx(np.sqrt(np.square(influence).sum()))


def test_rules_choose_and_say_so_beside_the_interval():
    log, group = drawn(2000, 2)
    target = TARGET[group]
    for rule, words in (("slope", "SLOPE"), ("mse_bound", "upper bound of the squared error")):
        result = cr.policy_value(log, target, estimator=list(TUNED), tuning=rule)
        table = next(t for t in result.tables if t.name == "tuning").to_frame()
        for name, row in zip(TUNED, result.rows, strict=False):
            assert f"chosen on this log ({rule})" in row.note
            (note,) = (found for found in result.notes if found.startswith(f"{name}: "))
            assert words in note
            assert "does not know of the choice" in note
            tried = table[table["estimator"] == name]
            chosen = tried[tried["chosen"]]
            assert len(chosen) == 1
            assert chosen["value"].item() == pytest.approx(row.value)
            if rule == "mse_bound":
                bound = tried["bias bound"] ** 2 + tried["standard error"] ** 2
                assert bound.idxmin() == chosen.index[0]
        parameters = result.provenance.config["parameters"]
        assert set(parameters) == set(TUNED)
    each = cr.policy_value(
        log, target, estimator=["switch_dr", "shrinkage_dr"], tuning={"switch_dr": 2.0}
    )
    assert "given" in each.rows[0].note
    assert "mse_bound" in each.rows[1].note
    clipped = cr.policy_value(log, target, estimator="ips", clip="mse_bound")
    assert any("Weights above" in note for note in clipped.notes)
    assert "mse_bound" in clipped.rows[0].note


def test_slope_keeps_the_last_candidate_that_agrees_with_all_before():
    from causalrec.evaluation._policy_tuning import _slope

    width = np.array([1.0, 2.0, 0.5, 0.1])
    assert _slope(np.array([0.0, 0.0, 0.0, 0.0]), width) == 3
    assert _slope(np.array([0.0, 0.0, 0.0, 9.0]), width) == 2
    assert _slope(np.array([0.0, 0.0, 9.0, 0.0]), width) == 0
    assert _slope(np.array([9.0, 0.0, 0.0, 0.0]), width) == 1
    # Against the second: .1 + (sqrt(6) - 1) x .5 = .825 is as far as the last may lie.
    assert _slope(np.array([0.0, 0.0, 0.0, 0.82]), width) == 3
    assert _slope(np.array([0.0, 0.0, 0.0, 0.83]), width) == 2


def test_support_is_counted_exactly_where_the_logging_policy_is_known():
    log, group = drawn(500, 3)
    logging = LOGGING[group].copy()
    result = cr.policy_value(log, TARGET[group], logging_policy=logging)
    table = dict(next(t for t in result.tables if t.name == "weights").rows)
    assert table["policy mass that the logging policy cannot show"] == 0.0
    narrow = LOGGING[0] * (np.arange(ITEMS) != 4)
    narrow /= narrow.sum()
    rng = np.random.default_rng(0)
    item = rng.choice(ITEMS, 500, p=narrow)
    events = pd.DataFrame(
        {"user_id": range(500), "item_id": item, "click": rng.integers(0, 2, 500)}
    ).assign(p=narrow[item])
    thin = cr.InteractionLog(
        events,
        items=pd.DataFrame({"item_id": range(ITEMS)}),
        outcome="click",
        logging_propensity="p",
    )
    result = cr.policy_value(thin, "uniform", logging_policy=np.tile(narrow, (500, 1)))
    table = dict(next(t for t in result.tables if t.name == "weights").rows)
    assert table["policy mass that the logging policy cannot show"] == pytest.approx(0.2)
    assert table["policy mass on items never logged"] == pytest.approx(0.2)
    assert table["policy mass without support, by 1 - mean weight"] == pytest.approx(0.2, abs=0.1)


def test_bernstein_by_hand():
    log, group = drawn(200, 4)
    target = TARGET[group]
    w = target[np.arange(200), log.item_codes] / log.logging_propensity
    row = cr.policy_value(
        log, target, estimator="ips", interval="empirical_bernstein", largest_weight=10.0
    )
    x = w * log.outcome
    log_term = np.log(2 / 0.025)
    half = np.sqrt(2 * x.var(ddof=1) * log_term / 200) + 7 * 10.0 * log_term / (3 * 199)
    assert row.rows[0].upper - row.rows[0].value == pytest.approx(half)
    assert "empirical Bernstein" in row.rows[0].interval_method
    said = next(a for a in row.assumptions if a.name == "known range")
    assert "[0, 10] (given)" in said.statement
    assert said.status == "by design"
    guessed = cr.policy_value(log, target, estimator="ips", interval="empirical_bernstein")
    said = next(a for a in guessed.assumptions if a.name == "known range")
    assert "the largest of this log" in said.statement
    assert said.status == "untestable"
    doubly = cr.policy_value(
        log,
        target,
        q_model=np.full((200, ITEMS), 0.25),
        interval="empirical_bernstein",
        largest_weight=10.0,
    ).rows[0]
    x = 0.25 + w * (log.outcome - 0.25)  # from .25 - 10 x .25 to .25 + 10 x .75
    half = np.sqrt(2 * x.var(ddof=1) * log_term / 200) + 7 * 10.0 * log_term / (3 * 199)
    assert doubly.upper - doubly.value == pytest.approx(half)
    # A gentler hand on the weights has a smaller range, so a narrower bound.
    shrunk = cr.policy_value(
        log, target, estimator="sub_gaussian_ips", tuning=0.5, interval="empirical_bernstein"
    )
    assert shrunk.rows[0].upper - shrunk.rows[0].lower < guessed.rows[0].upper


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"estimator": "dm"}, "called 'regression' here"),
        ({"estimator": []}, "No estimator"),
        ({"estimator": "snips", "interval": "empirical_bernstein"}, "no such mean"),
        ({"estimator": "ips", "interval": "bernstein"}, "is unknown"),
        ({"sampled": ("user", "item"), "interval": "empirical_bernstein"}, "one kind"),
        ({"largest_weight": 3.0}, "of interval='empirical_bernstein' only"),
        ({"estimator": "switch_dr", "tuning": "slop"}, "Did you mean 'slope'"),
        ({"estimator": "switch_dr", "tuning": {"dr": 1.0}}, "with a parameter are"),
        ({"estimator": "sub_gaussian_dr", "tuning": 2.0}, "between 0 and 1"),
        ({"estimator": "shrinkage_dr", "tuning": -2.0}, "above 0"),
        ({"clip": -1.0}, "must lie above 0"),
        ({"clip": "lepski"}, "is no rule"),
    ],
)
def test_what_means_nothing_is_refused(options, words):
    log, _ = drawn(60, 5)
    with pytest.raises(StudyError, match=words):
        cr.policy_value(log, **options)


REPLICATES = 400
NOISE = 1.96 * np.sqrt(0.95 * 0.05 / REPLICATES)


@pytest.mark.slow
def test_values_are_unbiased_covered_and_bounded_and_a_wrong_model_shows_where_it_matters():
    """Rows of users in clusters; a reward model off by .15 for the items that the target likes."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    wrong = np.full((2, ITEMS), 0.2)
    for seed in range(REPLICATES):
        log, group = drawn(1200, seed, users=200)
        results = {
            "": cr.policy_value(log, TARGET[group], estimator=ALL, q_model=wrong[group]),
            "bound ": cr.policy_value(
                log,
                TARGET[group],
                estimator=("ips", "dr"),
                q_model=wrong[group],
                interval="empirical_bernstein",
                largest_weight=6.0,
            ),
            "mse_bound ": cr.policy_value(log, TARGET[group], estimator=TUNED),
            "slope ": cr.policy_value(log, TARGET[group], estimator="shrinkage_dr", tuning="slope"),
        }
        for prefix, result in results.items():
            for row in result.rows[:-2]:
                found.setdefault(prefix + row.estimator, []).append(
                    (row.value, row.lower, row.upper)
                )
    for name, runs in found.items():
        value, lower, upper = np.array(runs).T
        covered = float(((lower <= TRUTH) & (upper >= TRUTH)).mean())
        if name == "regression":
            assert value.mean() - TRUTH == pytest.approx(0.2 - TRUTH)
            assert covered == 0.0
        elif name.startswith("bound "):
            assert covered >= 0.95 - NOISE, (name, covered)
            assert covered > 0.99, (name, covered)  # it holds in any sample, so it is wide
        elif name.startswith("mse_bound "):
            # Chosen on the same log, so some bias; it stays within the noise of one estimate.
            assert abs(value.mean() - TRUTH) < value.std(ddof=1) / 2, name
        elif name.startswith("slope "):
            # It accepts a bias of several standard errors, and the interval does not know.
            assert TRUTH - value.mean() > 3 * value.std(ddof=1)
            assert covered < 0.5
        else:
            off = (value.mean() - TRUTH) / (value.std(ddof=1) / np.sqrt(REPLICATES))
            assert abs(off) < 4, (name, off)
            assert 0.93 - NOISE <= covered <= 0.97 + NOISE, (name, covered)
    assert np.std([v for v, *_ in found["dr"]]) < np.std([v for v, *_ in found["ips"]])
