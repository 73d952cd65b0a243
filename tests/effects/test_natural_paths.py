"""Natural direct and indirect effects: known truth, exact sums, refusals, a broken assumption."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.effects import estimate_effect, estimate_paths
from causalrec.effects._front_door import fit_front_door
from causalrec.effects._natural_paths import DIRECT, INDIRECT, TOTAL, split_effect
from causalrec.errors import IdentificationError, StudyError

REPLICATES = 400
TRUTH = {TOTAL: 0.79, INDIRECT: 0.7 * 0.7, DIRECT: 0.3}
GRAPH = """digraph attention {
  shown [role=exposure, entity=event];
  attention [role=mediator, entity=event];
  clicks [role=outcome, entity=event];
  age [entity=user];
  quality [entity=item];
  {age quality} -> {shown attention clicks};
  shown -> attention -> clicks;
  shown -> clicks;
}"""


def path_log(seed: int, hidden: float = 0.0) -> Any:
    """Exposure moves attention by .7; clicks move by .3, and by .5 (exposed: .7) of attention."""
    rng = np.random.default_rng(seed)
    m, n = 150, 60
    user, item = np.repeat(np.arange(m), n), np.tile(np.arange(n), m)
    age, quality = rng.uniform(-1, 1, m), rng.uniform(-1, 1, n)
    x = 0.8 * age[user] + 0.6 * quality[item]
    shown = (rng.random(m * n) < 1 / (1 + np.exp(-x))).astype(np.int64)
    mood = hidden * rng.normal(size=m * n)
    attention = 0.7 * shown + 0.3 * x + mood + rng.normal(size=m * n)
    taste = 0.3 * rng.normal(size=m)[user] + 0.3 * rng.normal(size=n)[item]
    clicks = (0.5 + 0.2 * shown) * attention + 0.3 * shown + 0.4 * x + taste + mood
    events = pd.DataFrame(
        {"user_id": user, "item_id": item, "shown": shown, "attention": attention,
         "clicks": clicks + rng.normal(size=m * n)}
    )  # fmt: skip
    return cr.InteractionLog(
        events,
        users=pd.DataFrame({"user_id": np.arange(m), "age": age}),
        items=pd.DataFrame({"item_id": np.arange(n), "quality": quality}),
        outcome="clicks",
        exposure="shown",
    )


def test_the_parts_sum_to_the_total_and_the_total_is_the_effect(tmp_path: Any) -> None:
    log, graph = path_log(0), cr.CausalGraph.from_dot(GRAPH)
    found = estimate_paths(log, graph)
    total, through, beside, share = (row.value for row in found.rows)
    assert total == pytest.approx(through + beside, abs=1e-10)
    assert share == pytest.approx(through / total, abs=1e-12)
    whole = estimate_effect(log, graph, n_repeats=1)
    assert total == pytest.approx(whole.value, abs=0.5 * whole.standard_error)
    for row in found.rows[:3]:
        assert row.lower < TRUTH[row.label] < row.upper
    cr.write_report(found, tmp_path / "paths.html")


def test_a_recanting_witness_is_named_and_refused() -> None:
    text = GRAPH.rstrip("}") + "mood [entity=event]; shown -> mood; mood -> {attention clicks}; }"
    with pytest.raises(IdentificationError, match="mood is a recanting witness"):
        estimate_paths(path_log(0), cr.CausalGraph.from_dot(text))
    with pytest.raises(StudyError, match="sampled=\\(\\)"):
        estimate_paths(path_log(0), cr.CausalGraph.from_dot(GRAPH), sampled=())


ALONE = """digraph attention {
  shown [role=exposure]; attention [role=mediator]; clicks [role=outcome];
  shown -> attention -> clicks; shown -> clicks;
}"""


def linear_log(seed: int) -> Any:
    """No covariates and no interaction: .35 runs through attention, .3 beside it."""
    rng = np.random.default_rng(seed)
    n = 4000
    shown = rng.integers(0, 2, n)
    attention = 0.7 * shown + rng.normal(size=n)
    clicks = 0.5 * attention + 0.3 * shown + rng.normal(size=n)
    user = np.repeat(np.arange(n // 40), 40)
    events = pd.DataFrame(
        {"user_id": user, "item_id": np.tile(np.arange(40), n // 40), "shown": shown,
         "attention": attention, "clicks": clicks}
    )  # fmt: skip
    return cr.InteractionLog(events, outcome="clicks", exposure="shown")


def test_it_agrees_with_dowhy_on_a_linear_world() -> None:
    """Over 20 worlds the mean difference is within 3 of its own Monte Carlo errors of 0."""
    ours, theirs = [], []
    for seed in range(20):
        log = linear_log(seed)
        found = estimate_paths(log, cr.CausalGraph.from_dot(ALONE))
        ours.append([found[INDIRECT].value, found[DIRECT].value])
        theirs.append(_two_stage(log))
    gap = np.array(ours) - np.array(theirs)
    assert (np.abs(gap.mean(axis=0)) < 3 * gap.std(axis=0) / np.sqrt(20)).all(), gap
    assert np.mean(theirs, axis=0) == pytest.approx([0.35, 0.3], abs=0.03)


def _two_stage(log: Any) -> list[float]:
    import networkx as nx
    from dowhy import CausalModel
    from dowhy.causal_estimators.linear_regression_estimator import LinearRegressionEstimator

    frame = pd.DataFrame(
        {"shown": log.exposure.astype(float), "attention": log.column("attention").to_numpy(),
         "clicks": log.outcome}
    )  # fmt: skip
    graph = nx.DiGraph([("shown", "attention"), ("attention", "clicks"), ("shown", "clicks")])
    model = CausalModel(frame, treatment="shown", outcome="clicks", graph=graph)
    stages = {
        "first_stage_model": LinearRegressionEstimator,
        "second_stage_model": LinearRegressionEstimator,
    }
    return [
        float(
            model.estimate_effect(
                model.identify_effect(estimand_type=kind, proceed_when_unidentifiable=True),
                method_name="mediation.two_stage_regression",
                confidence_intervals=False,
                test_significance=False,
                method_params=dict(stages),
            ).value
        )
        for kind in ("nonparametric-nie", "nonparametric-nde")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("hidden", [0.0, 1.0])
def test_intervals_cover_unless_mediator_and_outcome_share_a_hidden_cause(hidden: float) -> None:
    """Bound: 3.2 binomial standard errors (1.09 %) of 400 replicates."""
    graph = cr.CausalGraph.from_dot(GRAPH)
    hits: dict[str, list[bool]] = {name: [] for name in TRUTH}
    errors: dict[str, list[float]] = {name: [] for name in TRUTH}
    for seed in range(REPLICATES):
        log = path_log(3000 + seed, hidden)
        found = fit_front_door(log, graph, ["age", "quality"], "attention", None, 2, seed)
        joint, _ = split_effect(log, found, ("user", "item"), 1e-3, 0.95)
        for name, truth in TRUTH.items():
            low, high = joint[name].interval()[0]
            hits[name].append(bool(low <= truth <= high))
            errors[name].append(float(joint[name]) - truth)
    share = {name: float(np.mean(hit)) for name, hit in hits.items()}
    if hidden:
        assert share[INDIRECT] < 0.2, share
        assert share[DIRECT] < 0.2, share
        return
    assert all(0.915 <= found <= 0.985 for found in share.values()), share
    for name, all_ in errors.items():
        assert abs(np.mean(all_)) < 3.2 * np.std(all_) / np.sqrt(REPLICATES), name
