"""The effect by the front door: known truth, DoWhy on a linear world, broken assumptions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.effects._front_door import FrontDoorNuisances, fit_front_door, front_door_rows
from causalrec.effects._front_door_result import estimate
from causalrec.effects._question import Question
from causalrec.errors import IdentificationError, OverlapWarning, StudyError

REPLICATES = 400
TRUTH = 0.7 * 0.5
GRAPH = """digraph attention {
  shown [role=exposure, entity=event];
  attention [role=mediator, entity=event];
  clicks [role=outcome, entity=event];
  taste [role=latent];
  age [entity=user];
  quality [entity=item];
  {age quality} -> {shown attention clicks};
  taste -> {shown clicks};
  shown -> attention -> clicks;
}"""
ALONE = """digraph attention {
  shown [role=exposure, entity=event];
  attention [role=mediator, entity=event];
  clicks [role=outcome, entity=event];
  taste [role=latent];
  taste -> {shown clicks};
  shown -> attention -> clicks;
}"""
QUESTION = Question.of(
    contrast=(1, 0), unit="item", sampled=("user", "item"), estimator="front-door",
    estimand="ate", clip=None, floor=1e-3, n_folds=2, n_repeats=1, level=0.95, random_state=0,
)  # fmt: skip


def front_door_log(
    seed: int, *, direct: float = 0.0, alone: bool = False, strength: float = 0.7
) -> Any:
    """Exposure moves attention by .7, attention moves clicks by .5; taste confounds by .8.

    Taste is drawn given the exposure, which is the same joint law as the reverse, and makes every
    regression linear and every probability logistic.
    """
    rng = np.random.default_rng(seed)
    m, n = 150, 60
    user, item = np.repeat(np.arange(m), n), np.tile(np.arange(n), m)
    age, quality = rng.uniform(-1, 1, m), rng.uniform(-1, 1, n)
    x = np.zeros(m * n) if alone else 0.8 * age[user] + 0.6 * quality[item]
    shown = (rng.random(m * n) < 1 / (1 + np.exp(-x))).astype(np.int64)
    taste = 0.8 * shown + 0.4 * rng.normal(size=m)[user] + 0.4 * rng.normal(size=n)[item]
    attention = strength * shown + 0.3 * x + rng.normal(size=m * n)
    clicks = 0.5 * attention + 0.4 * x + taste + direct * shown + rng.normal(size=m * n)
    events = pd.DataFrame(
        {"user_id": user, "item_id": item, "shown": shown, "attention": attention,
         "clicks": clicks}
    )  # fmt: skip
    return cr.InteractionLog(
        events,
        users=pd.DataFrame({"user_id": np.arange(m), "age": age}),
        items=pd.DataFrame({"item_id": np.arange(n), "quality": quality}),
        outcome="clicks",
        exposure="shown",
    )


def by_front_door(log: Any, text: str = GRAPH, **options: Any) -> Any:
    graph = cr.CausalGraph.from_dot(text)
    return cr.estimate_effect(log, graph, estimator="front-door", n_repeats=1, **options)


def test_it_finds_the_effect_behind_a_latent_confounder() -> None:
    found = by_front_door(front_door_log(0))
    low, high = found.interval()
    assert low < TRUTH < high < found.naive
    assert found["naive - front-door"].value == pytest.approx(found.naive - found.value)
    with pytest.raises(IdentificationError):
        cr.estimate_effect(front_door_log(0), cr.CausalGraph.from_dot(GRAPH))
    back = by_front_door(front_door_log(0), contrast=(0, 1))
    assert back.value == pytest.approx(-found.value, rel=1e-12)


def test_a_direct_effect_is_missed_as_the_ledger_says() -> None:
    """Full mediation broken: the answer stays what runs through attention."""
    found = by_front_door(front_door_log(1, direct=0.5))
    assert found.interval()[1] < TRUTH + 0.5
    stated = next(a for a in found.assumptions if a.name == "full mediation")
    assert stated.status == "untestable"


def test_the_score_is_the_plug_in_formula_where_all_is_binary() -> None:
    """With saturated nuisances of the same rows the residual terms cancel, by construction."""
    rng = np.random.default_rng(0)
    n = 2000
    taste = rng.random(n) < 0.5
    a = (rng.random(n) < 0.3 + 0.4 * taste).astype(np.float64)
    m = (rng.random(n) < 0.2 + 0.5 * a).astype(np.int64)
    y = 0.3 * m + 0.5 * taste + rng.normal(size=n)
    pi, of_mediator = a.mean(), np.array([a[m == k].mean() for k in (0, 1)])
    mean = np.array([[y[(a == k) & (m == j)].mean() for j in (0, 1)] for k in (0, 1)])
    mediated = np.array([[mean[k][m[a == arm]].mean() for k in (0, 1)] for arm in (0, 1)])
    found = FrontDoorNuisances(
        np.full(n, pi), of_mediator[m], mean[:, m], np.repeat(mediated[:, :, None], n, axis=2)
    )
    weights = np.array([1 - pi, pi])
    plug_in = float(mediated[1] @ weights - mediated[0] @ weights)
    assert front_door_rows(y, a, found).mean() == pytest.approx(plug_in, abs=1e-12)


@pytest.mark.parametrize("wrong", ["exposure", "outcome", "both"])
def test_models_of_exposure_or_of_outcome_may_be_wrong_but_not_both(wrong: str) -> None:
    """Bound: 3.2 Monte Carlo errors of the mean over 40 worlds."""
    graph, errors = cr.CausalGraph.from_dot(GRAPH), []
    for seed in range(40):
        log = front_door_log(200 + seed)
        found = fit_front_door(log, graph, ["age", "quality"], "attention", None, 2, seed)
        if wrong in {"exposure", "both"}:
            half = np.full(log.n_rows, 0.5)
            found = replace(found, exposed=half, exposed_given_mediator=half)
        if wrong in {"outcome", "both"}:
            found = replace(found, outcome=found.outcome / 2, mediated=found.mediated / 2)
        joint, _ = estimate(log, found, QUESTION)
        errors.append(float(joint["front-door"]) - TRUTH)
    off = abs(np.mean(errors)) / (np.std(errors) / np.sqrt(40))
    assert (off > 5.0) == (wrong == "both"), off
    if wrong != "both":
        assert off < 3.2, off


def test_it_agrees_with_dowhy_on_a_linear_world() -> None:
    """Both estimate .35; over 20 worlds their mean difference is within 3 of its errors of 0."""
    ours, theirs = [], []
    for seed in range(20):
        log = front_door_log(100 + seed, alone=True)
        found = by_front_door(log, ALONE, n_folds=2)
        ours.append(found.value)
        frame = pd.DataFrame(
            {"shown": log.exposure.astype(float), "attention": log.column("attention").to_numpy(),
             "clicks": log.outcome}
        )  # fmt: skip
        theirs.append(_two_stage(frame))
    gap = np.array(ours) - np.array(theirs)
    assert abs(gap.mean()) < 3 * gap.std() / np.sqrt(len(gap)) + 1e-4
    assert np.abs(gap).max() < 0.01
    assert np.mean(theirs) == pytest.approx(TRUTH, abs=3 * np.std(theirs) / np.sqrt(20))


def _two_stage(frame: pd.DataFrame) -> float:
    import networkx as nx
    from dowhy import CausalModel

    graph = nx.DiGraph(
        [("U", "shown"), ("U", "clicks"), ("shown", "attention"), ("attention", "clicks")]
    )
    model = CausalModel(frame.copy(), treatment="shown", outcome="clicks", graph=graph)
    estimand = model.identify_effect(proceed_when_unidentifiable=True)
    found = model.estimate_effect(estimand, method_name="frontdoor.two_stage_regression")
    return float(found.value)


def test_a_mediator_that_gives_the_exposure_away_is_set_aside() -> None:
    with pytest.warns(OverlapWarning, match="give the exposure"):
        found = by_front_door(front_door_log(2, strength=8.0))
    assert found.rows[0].n < 9000


def test_a_verb_that_needs_adjustment_says_what_to_ask_instead() -> None:
    found = by_front_door(front_door_log(0), n_folds=2)
    for ask in (lambda: found.by("age"), lambda: found.modifiers(["age"]), found.sensitivity,
                lambda: found.refute(front_door_log(0))):  # fmt: skip
        with pytest.raises(StudyError, match="reached by a front door"):
            ask()


def test_what_it_cannot_use_is_refused() -> None:
    log = front_door_log(0)
    with pytest.raises(StudyError, match="estimates both"):
        by_front_door(log, propensity=cr.PropensityModel())
    with pytest.raises(StudyError, match="sampled=\\(\\)"):
        by_front_door(log, sampled=())
    with pytest.raises(IdentificationError):
        by_front_door(log, ALONE.replace("shown -> attention", "taste -> attention; shown -> "
                                         "attention"))  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("direct", [0.0, 0.5])
def test_intervals_cover_unless_the_mediator_carries_only_a_part(direct: float) -> None:
    """Bound: 3.2 binomial standard errors (1.09 %) of 400 replicates."""
    graph = cr.CausalGraph.from_dot(GRAPH)
    hits, errors = [], []
    for seed in range(REPLICATES):
        log = front_door_log(1000 + seed, direct=direct)
        found = fit_front_door(log, graph, ["age", "quality"], "attention", None, 2, seed)
        joint, _ = estimate(log, found, QUESTION)
        low, high = joint["front-door"].interval()[0]
        hits.append(low <= TRUTH + direct <= high)
        errors.append(float(joint["front-door"]) - TRUTH - direct)
    if direct:
        assert np.mean(hits) < 0.05
        return
    assert 0.915 <= np.mean(hits) <= 0.985, np.mean(hits)
    assert abs(np.mean(errors)) < 3.2 * np.std(errors) / np.sqrt(REPLICATES), np.mean(errors)
