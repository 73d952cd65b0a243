"""Interventional effects: known truths, exact sums, either model wrong, broken assumptions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import causalrec as cr
from causalrec.effects import _interventional_paths as paths
from causalrec.effects import estimate_paths
from causalrec.effects._path_columns import Mediator, PathColumns
from causalrec.errors import DataError, IdentificationError, OverlapError, ResultError, StudyError

REPLICATES = 400
THROUGH, BESIDE = 0.30, 0.55
"""(.3 + .5 x .4) x .6 through attention, .2 + .5 x .7 beside it."""
TRUTH = {
    paths.BOTH: 0.85,
    paths.INDIRECT: THROUGH,
    paths.DIRECT: BESIDE,
    paths.TOTAL: 0.85,
    paths.REMAINDER: 0.0,
}
GRAPH = """digraph recanting {
  shown [role=exposure, entity=event];
  interest [entity=event];
  attention [role=mediator, entity=event];
  clicks [role=outcome, entity=event];
  age [entity=user];
  quality [entity=item];
  {age quality} -> {shown interest attention clicks};
  shown -> {interest attention clicks};
  interest -> {attention clicks};
  attention -> clicks;
}"""
COLUMNS = PathColumns(("age", "quality"), ("interest",), "attention")


class World:
    """Users, items and exposure; what comes after is set by each test."""

    def __init__(self, seed: int, m: int = 150, n: int = 60) -> None:
        self.rng = np.random.default_rng(seed)
        self.user, self.item = np.repeat(np.arange(m), n), np.tile(np.arange(n), m)
        self.age, self.quality = self.rng.uniform(-1, 1, m), self.rng.uniform(-1, 1, n)
        self.w = 0.8 * self.age[self.user] + 0.6 * self.quality[self.item]
        self.shown = (self.rng.random(m * n) < expit(self.w)).astype(np.int64)
        self.taste = (
            0.3 * self.rng.normal(size=m)[self.user] + 0.3 * self.rng.normal(size=n)[self.item]
        )

    def noise(self) -> Any:
        return self.rng.normal(size=len(self.user))

    def log(self, interest: Any, attention: Any, clicks: Any) -> Any:
        events = pd.DataFrame(
            {"user_id": self.user, "item_id": self.item, "shown": self.shown,
             "interest": interest, "attention": attention, "clicks": clicks}
        )  # fmt: skip
        return cr.InteractionLog(
            events,
            users=pd.DataFrame({"user_id": np.arange(len(self.age)), "age": self.age}),
            items=pd.DataFrame({"item_id": np.arange(len(self.quality)), "quality": self.quality}),
            outcome="clicks",
            exposure="shown",
        )


def recanting_log(seed: int, *, hidden: float = 0.0, skewed: bool = False) -> Any:
    """The recanting-witness world; a hidden mood may move attention and clicks."""
    it = World(seed)
    interest = 0.5 * it.shown + 0.3 * it.w + it.noise()
    mood = it.noise()
    error = it.rng.exponential(size=len(it.user)) - 1.0 if skewed else it.noise()
    attention = 0.4 * interest + 0.3 * it.shown + 0.3 * it.w + hidden * mood + error
    clicks = 0.6 * attention + 0.7 * interest + 0.2 * it.shown + 0.4 * it.w
    return it.log(interest, attention, clicks + it.taste + hidden * mood + it.noise())


def graph() -> Any:
    return cr.CausalGraph.from_dot(GRAPH)


def split(log: Any, seed: int, found: Any = None, columns: PathColumns = COLUMNS) -> Any:
    if found is None:
        found = paths.fit_interventional(log, graph(), columns, None, 2, seed)
    inside = np.ones(log.n_rows, dtype=bool)
    return paths.split_interventional(log, found, inside, ("user", "item"), 0.95)


def off(errors: list[Any]) -> Any:
    """Return mean errors in their Monte Carlo standard errors."""
    return np.abs(np.mean(errors, axis=0)) / (np.std(errors, axis=0) / np.sqrt(len(errors)))


def test_the_recanting_witness_forbids_natural_effects_only(tmp_path: Any) -> None:
    log = recanting_log(0)
    with pytest.raises(IdentificationError, match="interest is a recanting witness") as told:
        estimate_paths(log, graph())
    assert "effect='interventional'" in str(told.value)
    found = estimate_paths(log, graph(), effect="interventional")
    for row in found.rows:
        assert row.lower < TRUTH[row.label] < row.upper, row.label
    both, through, beside, total, remainder = (row.value for row in found.rows)
    assert both == pytest.approx(through + beside, abs=1e-12)
    assert remainder == pytest.approx(total - both, abs=1e-12)
    whole = cr.estimate_effect(log, graph(), n_repeats=1)
    assert total == pytest.approx(whole.value, abs=0.5 * whole.standard_error)
    assert found.estimate.labels == tuple(TRUTH)
    cr.write_report(found, tmp_path / "paths.html")
    again = estimate_paths(log, graph(), effect="interventional")
    assert again.to_json() == found.to_json()


def test_without_a_witness_they_are_the_natural_effects() -> None:
    it = World(3)
    attention = 0.7 * it.shown + 0.3 * it.w + it.noise()
    clicks = (0.5 + 0.2 * it.shown) * attention + 0.3 * it.shown + 0.4 * it.w
    log = it.log(it.w, attention, clicks + it.taste + it.noise())
    plain = cr.CausalGraph.from_dot(
        "digraph { shown [role=exposure]; attention [role=mediator]; clicks [role=outcome];"
        " {age quality} -> {shown attention clicks}; shown -> attention -> clicks;"
        " shown -> clicks; }"
    )
    natural = estimate_paths(log, plain)
    moved = estimate_paths(log, plain, effect="interventional")
    for part in ("direct", "indirect"):
        ours, theirs = moved[f"interventional {part}"], natural[f"natural {part}"]
        assert ours.value == pytest.approx(theirs.value, abs=0.5 * theirs.standard_error)
        assert ours.standard_error == pytest.approx(theirs.standard_error, rel=0.2)
    assert abs(moved[paths.REMAINDER].value) < 2e-2


def test_what_the_parts_leave_runs_through_both_together() -> None:
    """Interest moves attention among the exposed alone, and both multiply in clicks.

    theta(a, b) = .6 m_b + .7 l_a + .2 a + l_a m_b with l_1 = m_1 = .5 (0 without exposure), and
    Cov(interest, attention) = .4 among the exposed: the remainder is .4. The default outcome model
    has no such product: the models of exposure and mediator must repair it. Bound: 3.2 Monte Carlo
    errors over 20 worlds.
    """
    through, beside = (0.6 + 0.5) * 0.5, 0.7 * 0.5 + 0.2
    both = through + beside
    truth = np.array([both, through, beside, both + 0.4, 0.4])
    errors = []
    for seed in range(20):
        it = World(100 + seed)
        interest = 0.5 * it.shown + it.noise()
        attention = (0.3 + 0.4 * interest) * it.shown + it.noise()
        clicks = 0.6 * attention + 0.7 * interest + 0.2 * it.shown + interest * attention
        log = it.log(interest, attention, clicks + 0.4 * it.w + it.taste + it.noise())
        errors.append(split(log, seed).value - truth)
    assert (off(errors) < 3.2).all(), np.mean(errors, axis=0)


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["probabilities", "outcome", "both"])
def test_probabilities_or_outcome_models_may_be_wrong_but_not_both(wrong: str) -> None:
    """Bound: 3.2 Monte Carlo errors of the mean over 40 worlds."""
    errors = []
    for seed in range(40):
        log = recanting_log(200 + seed)
        found = paths.fit_interventional(log, graph(), COLUMNS, None, 2, seed)
        if wrong in {"probabilities", "both"}:
            half = np.full(log.n_rows, 0.5)
            found = replace(found, exposed=half, ratio=np.ones_like(found.ratio))
        if wrong in {"outcome", "both"}:
            parts = ("outcome", "moved", "moved_mean", "mediated", "mediated_mean")
            found = replace(found, **{name: getattr(found, name) / 2 for name in parts})
        errors.append(split(log, seed, found).value[1:3] - [THROUGH, BESIDE])
    if wrong == "both":
        assert off(errors).max() > 5.0, off(errors)
    else:
        assert (off(errors) < 3.2).all(), (off(errors), np.mean(errors, axis=0))


@pytest.mark.slow
def test_a_skewed_mediator_is_repaired_by_the_outcome_model() -> None:
    """The normal working model is wrong. Bound: 3.2 Monte Carlo errors over 40 worlds."""
    errors = [
        split(recanting_log(300 + seed, skewed=True), seed).value - list(TRUTH.values())
        for seed in range(40)
    ]
    assert (off(errors) < 3.2).all(), np.mean(errors, axis=0)


def test_a_mediator_of_two_words_and_a_witness_of_three() -> None:
    """The truth by enumeration. Bound: 3.2 Monte Carlo errors over 20 worlds."""
    reached = np.array([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]])  # P(interest | shown)
    notice = np.array([[0.2, 0.4, 0.5], [0.4, 0.5, 0.7]])  # P(attention = yes | shown, interest)
    value = np.array([0.0, 0.5, 1.0])
    moved = (reached * notice).sum(axis=1)

    def theta(a: int, b: int) -> float:
        gain = 0.6 * moved[b] + 0.5 * moved[b] * (reached[a] @ value)
        return float(gain + reached[a] @ value + 0.2 * a)

    whole = [
        (reached[a] * (0.6 * notice[a] + (0.5 * notice[a] + 1.0) * value)).sum() + 0.2 * a
        for a in (0, 1)
    ]
    through, beside = theta(1, 1) - theta(1, 0), theta(1, 0) - theta(0, 0)
    total = whole[1] - whole[0]
    truth = np.array([through + beside, through, beside, total, total - through - beside])
    errors = []
    for seed in range(20):
        it = World(400 + seed)
        interest = (it.rng.random(len(it.user))[:, None] > reached[it.shown].cumsum(axis=1)).sum(1)
        interest = np.minimum(interest, 2)
        attention = it.rng.random(len(it.user)) < notice[it.shown, interest]
        clicks = (0.6 + 0.5 * value[interest]) * attention + value[interest] + 0.2 * it.shown
        log = it.log(
            np.array(["low", "middle", "high"])[interest],
            np.where(attention, "yes", "no"),
            clicks + 0.4 * it.w + it.taste + 0.5 * it.noise(),
        )
        errors.append(split(log, seed).value - truth)
    assert (off(errors) < 3.2).all(), np.mean(errors, axis=0)


@pytest.mark.slow
def test_a_binary_outcome_of_a_continuous_mediator() -> None:
    """The truth from 4e5 draws of its own. Bound: 3.2 Monte Carlo errors over 40 worlds."""

    def chance(shown: Any, interest: Any, attention: Any, w: Any) -> Any:
        return expit(0.6 * attention + 0.7 * interest + 0.2 * shown + 0.4 * w - 0.5)

    big = World(0, m=2000, n=200)
    e1, e2, e3 = big.noise(), big.noise(), big.noise()

    def theta(a: int, b: int) -> float:
        interest, other = 0.5 * a + 0.3 * big.w + e1, 0.5 * b + 0.3 * big.w + e3
        attention = 0.4 * other + 0.3 * b + 0.3 * big.w + e2  # drawn apart from interest
        return float(chance(a, interest, attention, big.w).mean())

    truth = [theta(1, 1) - theta(1, 0), theta(1, 0) - theta(0, 0)]
    errors = []
    for seed in range(40):
        it = World(500 + seed)
        interest = 0.5 * it.shown + 0.3 * it.w + it.noise()
        attention = 0.4 * interest + 0.3 * it.shown + 0.3 * it.w + it.noise()
        p = chance(it.shown, interest, attention, it.w)
        log = it.log(interest, attention, (it.rng.random(len(p)) < p).astype(float))
        errors.append(split(log, seed).value[1:3] - truth)
    assert (off(errors) < 3.2).all(), np.mean(errors, axis=0)


def test_a_hidden_cause_of_mediator_and_outcome_misleads_by_what_the_ledger_says() -> None:
    """It moves clicks by 1 and differs by -.25 between arms at one attention: .55 becomes .30."""
    found = estimate_paths(recanting_log(5, hidden=1.0), graph(), effect="interventional")
    through, beside = found[paths.INDIRECT], found[paths.DIRECT]
    assert beside.upper < BESIDE
    assert through.lower > THROUGH
    assert beside.value == pytest.approx(BESIDE - 0.25, abs=3 * beside.standard_error)
    assert through.value == pytest.approx(THROUGH + 0.25, abs=3 * through.standard_error)
    told = next(a for a in found.assumptions if "confounding of the mediator" in a.name)
    assert told.status == "untestable"
    assert f"g x d = {beside.value:.4g} would explain the direct effect away" in told.evidence


def test_what_it_cannot_use_is_refused() -> None:
    log = recanting_log(0)
    asked: Any = {"effect": "interventional"}
    with pytest.raises(StudyError, match="Leave it out"):
        estimate_paths(log, graph(), mediator_level=1, **asked)
    two = cr.CausalGraph.from_dot(GRAPH.replace("interest [entity", "interest [role=mediator, ent"
                                                "ity"))  # fmt: skip
    with pytest.raises(DataError, match="2 mediators"):
        estimate_paths(log, two, **asked)
    it = World(0)
    names = np.array([f"level {at}" for at in range(25)])[np.arange(len(it.user)) % 25]
    with pytest.raises(DataError, match="25 levels of words"):
        Mediator.of(it.log(it.w, names, it.w), "attention")
    with pytest.raises(DataError, match="one value"):
        Mediator.of(it.log(it.w, np.zeros(len(it.user)), it.w), "attention")
    with pytest.raises(OverlapError, match="never 1"):
        estimate_paths(it.log(it.w, it.shown * (it.w > 0), it.w), graph(), **asked)
    of_item = it.log(it.w, it.w, it.w)
    at_item = cr.CausalGraph.from_dot(GRAPH.replace("attention [role=mediator, entity=event]",
                                                    "attention [role=mediator, column=quality]")
                                      .replace("{age quality} ->", "age ->")
                                      .replace("quality [entity=item];", ""))  # fmt: skip
    with pytest.raises(DataError, match="items table"):
        estimate_paths(of_item, at_item, **asked)


def test_what_a_path_result_cannot_be_asked_says_what_to_ask_instead() -> None:
    found = estimate_paths(recanting_log(0), graph(), effect="interventional", n_folds=2)
    with pytest.raises(ResultError, match="select its rows"):
        found.by("gender")
    with pytest.raises(ResultError, match="estimate_effect"):
        found.modifiers(["age"])
    with pytest.raises(ResultError, match="negative-control"):
        found.refute(None)
    with pytest.raises(ResultError, match="assumptions"):
        found.sensitivity()


@pytest.mark.slow
def test_intervals_cover_with_clustered_users_and_items() -> None:
    """Bound: 93 to 97 % within 3.2 binomial standard errors (1.09 %) of 400 replicates."""
    hits, errors = [], []
    truth = np.array(list(TRUTH.values()))
    for seed in range(REPLICATES):
        joint = split(recanting_log(5000 + seed), seed)
        low, high = joint.interval().T
        hits.append((low <= truth) & (truth <= high))
        errors.append(joint.value - truth)
    share = np.mean(hits, axis=0)
    assert ((share >= 0.915) & (share <= 0.985)).all(), share
    assert (off(errors) < 3.2).all(), np.mean(errors, axis=0)


@pytest.mark.slow
def test_intervals_do_not_cover_where_mediator_and_outcome_share_a_hidden_cause() -> None:
    hits = []
    for seed in range(60):
        low, high = split(recanting_log(6000 + seed, hidden=1.0), seed).interval()[1:3].T
        hits.append((low <= [THROUGH, BESIDE]) & (high >= [THROUGH, BESIDE]))
    assert (np.mean(hits, axis=0) < 0.2).all(), np.mean(hits, axis=0)
