"""Coverage of the effects of positions and of an arm, each on its own target (slow).

Bounds as in test_effect_coverage: with 400 replicates nine right 95 % intervals all stay within
3.2 binomial standard errors (1.09 %) of it in 99 of 100 studies: [91.5 %, 98.5 %].
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import causalrec as cr
from causalrec.effects._contrast import find_contrast
from causalrec.effects._level_population import find_levels
from causalrec.effects._levels import LevelComputation, LevelFitter
from causalrec.effects._question import Question
from causalrec.inference import Estimate

REPLICATES = 400
LOWEST, HIGHEST = 0.915, 0.985
SETTINGS: Any = {
    "contrast": (1, 5), "unit": "item", "estimator": "dr", "estimand": "ate", "clip": None,
    "floor": 1e-3, "n_folds": 2, "n_repeats": 1, "level": 0.95, "random_state": 0,
}  # fmt: skip


def probabilities(world: Any) -> dict[int, np.ndarray]:
    at = world.potential.propensity[world.log.user_codes, :, world.log.item_codes]
    share = at / at.sum(axis=1, keepdims=True)
    return {r + 1: share[:, r] for r in range(share.shape[1])}


def compute(
    world: Any, propensity: Any, estimator: str = "dr", weights: Any = None
) -> LevelComputation:
    """Return what `estimate_effect` computes, without the tables around it."""
    contrast = find_contrast(world.log, "position", (1, 5))
    assert contrast is not None
    asked = {**SETTINGS, "estimator": estimator, "sampled": ("user", "item")}
    question = Question.of(**asked, column="position", levels=contrast.levels)
    population = find_levels(world.log, world.graph, contrast, propensity, question, weights)
    fitter = LevelFitter(population, world.graph, question, None)
    return LevelComputation(population, question, fitter.fit(0))


def effect_of(found: LevelComputation, sampled: tuple[str, ...]) -> Estimate:
    return found.estimate(found.everybody(), ("effect",), sampled)["effect"]


def covers(estimate: Estimate, truth: float) -> bool:
    low, high = estimate.interval()[0]
    return bool(low <= truth <= high)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("estimator", "source"), [("dr", "known"), ("dr", "estimated"), ("snips", "estimated")]
)
def test_intervals_of_positions_cover(estimator: str, source: str) -> None:
    hits: dict[str, list[bool]] = defaultdict(list)
    errors: list[float] = []
    population: Any = None
    for seed in range(REPLICATES):
        world = cr.simulate("social", n_users=150, n_items=60, random_state=3000 + seed)
        population = population or world.population_truth
        found = compute(world, probabilities(world) if source == "known" else None, estimator)
        for sampled in (("user", "item"), ("slate",)):
            one = effect_of(found, sampled)
            hits[" and ".join(sampled)].append(covers(one, population["effect:1-5"]))
        errors.append(float(one) - world.truth["effect:1-5"])
    share = {sampled: float(np.mean(hit)) for sampled, hit in hits.items()}
    if source == "known":
        assert abs(np.mean(errors)) < 3.5 * np.std(errors, ddof=1) / np.sqrt(REPLICATES)
    assert LOWEST <= share["user and item"] <= HIGHEST, share
    assert share["slate"] < share["user and item"], share  # posts repeat; slates do not see it


@pytest.mark.slow
def test_an_arm_drawn_by_user_covers_by_user_and_not_by_row() -> None:
    by_user, by_row = [], []
    graph = cr.CausalGraph.from_dot(
        "digraph { arm [role=exposure, entity=event]; watch_time [role=outcome, entity=event];"
        " tenure [entity=user]; arm -> watch_time; tenure -> watch_time; }"
    )
    target: Any = None
    for seed in range(REPLICATES):
        world = cr.simulate(
            "video", n_users=150, n_items=40, n_candidates=20, random_state=5000 + seed
        )
        target = target or world.population_truth["effect:treatment-control"]
        found = cr.estimate_effect(
            world.log, graph, contrast=("treatment", "control"), n_repeats=1, n_folds=2,
            estimator="snips",
        )  # fmt: skip
        by_user.append(covers(found.estimate["snips"], target))
        computation = found.internal("by")
        score = computation.adjusted(computation.everybody(), 1)
        alone = Estimate.from_score(score, {"row": np.arange(world.log.n_rows)})
        by_row.append(covers(alone, target))
    assert LOWEST <= np.mean(by_user) <= HIGHEST, np.mean(by_user)
    assert np.mean(by_row) < 0.90, np.mean(by_row)


@pytest.mark.slow
def test_weighted_rows_cover_the_reweighted_population() -> None:
    hits = []
    for seed in range(REPLICATES):
        world = cr.simulate("social", n_users=150, n_items=60, random_state=7000 + seed)
        log, potential = world.log, world.potential
        weights = np.exp(log.column("interest").to_numpy())
        found = compute(world, probabilities(world), weights=weights)
        gap = potential.examination[0] - potential.examination[4]
        tau = gap * potential.relevance[log.user_codes, log.item_codes]
        these = effect_of(found, ("user",))
        # These users of these rows: what is random is who stood where and clicked.
        hits.append(covers(these, float(np.average(tau, weights=weights))))
    assert np.mean(hits) >= LOWEST, np.mean(hits)


def plans(seed: int, n_users: int = 300, n_items: int = 50, per_user: int = 20) -> Any:
    """Return a log whose plan follows one multinomial logit; "a" adds .5 to what "b" does."""
    rng = np.random.default_rng(seed)
    age, price = rng.normal(size=n_users), rng.normal(size=n_items)
    u = np.repeat(np.arange(n_users), per_user)
    i = np.concatenate([rng.permutation(n_items)[:per_user] for _ in range(n_users)])
    drawn = [0.7 * age[u] - 0.5 * price[i], -0.7 * age[u] + 0.5 * price[i], 0.0 * u]
    at = np.argmax(np.column_stack(drawn) + rng.gumbel(size=(len(u), 3)), axis=1)
    y = np.array([1.0, 0.5, 0.0])[at] + age[u] + 0.5 * price[i] + rng.normal(size=len(u))
    events = pd.DataFrame({"user_id": u, "item_id": i, "plan": np.array(["a", "b", "c"])[at]})
    return cr.InteractionLog(
        events.assign(y=y),
        pd.DataFrame({"user_id": range(n_users), "age": age}),
        pd.DataFrame({"item_id": range(n_items), "price": price}),
        kind="impressions", outcome="y", arm="plan",
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::causalrec.errors.OverlapWarning")  # a few rows in some logs
def test_one_multinomial_logit_of_all_values_where_one_model_a_value_is_biased() -> None:
    """The same weights by scikit-learn's logistic regression, one value against the others."""
    graph = cr.CausalGraph.from_dot(
        "digraph { plan [role=exposure, entity=event]; y [role=outcome, entity=event];"
        " age [entity=user]; price [entity=item]; age -> plan; price -> plan; age -> y;"
        " price -> y; plan -> y; }"
    )
    options: Any = {"contrast": ("a", "b"), "estimator": "snips", "n_repeats": 1, "n_folds": 2}
    jointly, single = [], []
    for seed in range(100):
        log = plans(seed)
        found = cr.estimate_effect(log, graph, **options)
        jointly.append((found.value - 0.5, found.standard_error))
        if seed < 50:
            alone = cr.PropensityModel(classifier=LogisticRegression(C=1.0))
            other = cr.estimate_effect(log, graph, propensity=alone, **options)
            single.append(other.value - 0.5)
    errors, claimed = np.array(jointly).T
    assert abs(errors.mean()) < 3.5 * errors.std(ddof=1) / np.sqrt(len(errors))
    # A standard deviation of 100 draws is known to 7 %, with heavy weights a little worse.
    assert 0.75 < claimed.mean() / errors.std(ddof=1) < 1.33
    assert np.mean(single) > 5 * np.std(single, ddof=1) / np.sqrt(len(single))
    notes = " ".join(str(one) for one in found.assumptions)
    assert "one multinomial logit of all values of 'plan'" in notes
    assert "one model a value against all others" in " ".join(map(str, other.assumptions))
