"""One small real result of every kind, each asked of a simulated world, made once a session."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

import causalrec as cr
from causalrec.audits import (
    CalibratedReranker,
    ExposureReranker,
    compare_mitigations,
    decompose_gap,
    impact_ratio_table,
    simulate_feedback,
)
from causalrec.effects import estimate_paths
from causalrec.errors import CausalRecWarning
from causalrec.reporting import evidence_annex, model_card
from causalrec.results import Result

PATH = """digraph attention {
  shown [role=exposure, entity=event]; attention [role=mediator, entity=event];
  clicks [role=outcome, entity=event]; age [entity=user]; taste [role=latent];
  age -> {shown attention clicks}; shown -> attention -> clicks; %s
}"""


@cache
def real_results() -> dict[str, Result]:
    """Return the results by what was asked."""
    with warnings.catch_warnings():
        # Small logs have few clusters and rough propensities; here only the pages matter.
        warnings.simplefilter("ignore", CausalRecWarning)
        found = {**_effects(), **_other_ways(), **_preferences(), **_policies()}
        return {**found, **_regulators(found["audit"])}


def _effects() -> dict[str, Result]:
    shop: Any = cr.simulate("shop", n_users=150, n_items=50, random_state=0)
    effect = cr.estimate_effect(shop.log, shop.graph, n_repeats=1)
    found: dict[str, Result] = {
        "effect by group": effect.by("gender"),
        "effect by many groups": effect.by("category", min_cell=0),
        "estimators": effect.compare_estimators(),
        "heterogeneity": effect.modifiers(["age", "price"]),
        "validation": effect.validate_cate(np.linspace(0.0, 0.2, shop.log.n_rows)),
        "policy tree": effect.policy_tree(["age", "price"], cost=0.05),
        "forest": effect.forest(["age", "price"], n_trees=40),
        "refutation": effect.refute(shop.log, n_draws=5),
        "sensitivity": effect.sensitivity(lam=[1.2, 2.0]),
        "interference, unknown": effect.interference(shop.log),
        "decomposition": decompose_gap(shop.log, shop.graph, by="gender", n_repeats=1),
        "graph check": cr.check_graph(shop.graph, shop.log),
        "propensity": cr.PropensityModel()
        .fit(shop.log, graph=shop.graph)
        .diagnostics(shop.log, by="gender"),
    }
    return {"one answer": _composed(effect, found), "effect": effect, **found}


def _composed(effect: Any, found: dict[str, Result]) -> Result:
    from causalrec.reporting._compose import compose

    asked = ("sensitivity", "refutation", "effect by group", "heterogeneity", "policy tree",
             "estimators", "interference, unknown")  # fmt: skip
    return compose([effect, *(found[name] for name in asked)])


def _other_ways() -> dict[str, Result]:
    video: Any = cr.simulate("video", n_users=300, n_items=40, unmeasured=1.0, random_state=0)
    rng = np.random.default_rng(0)
    user, item = np.repeat(np.arange(80), 30), np.tile(np.arange(30), 80)
    age = rng.uniform(-1, 1, 80)
    shown = (rng.random(2400) < 1 / (1 + np.exp(-age[user]))).astype(int)
    attention = 0.7 * shown + 0.3 * age[user] + rng.normal(size=2400)
    clicks = 0.5 * attention + 0.4 * age[user] + rng.normal(size=2400)
    log = cr.InteractionLog(
        pd.DataFrame({"user_id": user, "item_id": item, "shown": shown, "attention": attention,
                      "clicks": clicks}),
        users=pd.DataFrame({"user_id": np.arange(80), "age": age}),
        outcome="clicks", exposure="shown",
    )  # fmt: skip
    hidden = cr.CausalGraph.from_dot(PATH % "taste -> {shown clicks};")
    direct = cr.CausalGraph.from_dot(PATH % "taste -> clicks; shown -> clicks;")
    return {
        "instrument": cr.estimate_effect(video.log, video.graph, estimator="iv", n_repeats=1),
        "front door": cr.estimate_effect(log, hidden, estimator="front-door", n_repeats=1),
        "paths": estimate_paths(log, direct),
    }


def _preferences() -> dict[str, Result]:
    music: Any = cr.simulate("music", n_users=120, n_items=50, n_randomized=900, random_state=0)
    propensity = cr.PropensityModel().fit(music.log, graph=music.graph)
    train, test = music.log.split(by="cell", test_size=0.2, random_state=0)
    models = {
        name: cr.DebiasedMF(way, n_factors=2, random_state=0).fit(train, propensity=propensity)
        for name, way in (("uncorrected", "naive"), ("corrected", "ips"))
    }
    mean = cr.estimate_mean(music.log, propensity, graph=music.graph, estimator="dr")
    return {
        "mean": mean,
        "bounds": cr.bounds(music.log, kind="msm", lam=1.5, propensity=propensity),
        "evaluation": cr.evaluate(
            models, test, metrics=["mse", "mae"], propensity=propensity
        ),
        "tuning": cr.tune(
            cr.DebiasedMF("ips"), train, propensity, grid={"n_factors": [0, 2]}, n_repeats=1
        ),
        "comparison": cr.compare_with_randomized(mean, music.log, margin=0.1),
        "audit": cr.audit(music.log, user_groups=["country"], propensity=propensity,
                          graph=music.graph),
    }  # fmt: skip


def _policies() -> dict[str, Result]:
    feed: Any = cr.simulate("social", n_users=120, n_items=40, random_state=0)
    crowded: Any = cr.simulate(
        "shop", n_users=200, n_items=40, n_candidates=6, interference=1.0, random_state=0
    )
    log = cr.InteractionLog(
        crowded.events.assign(slate=crowded.events["user_id"]), users=crowded.users,
        items=crowded.items, slate="slate", **crowded.log_columns,
    )  # fmt: skip
    graph = cr.load_graph("exposure_click")
    total = cr.estimate_effect(log, graph, unit="user", n_repeats=1)
    curve = cr.estimate_effect(feed.log, feed.graph, contrast=(1, 2, 3), n_repeats=1)
    policy = cr.policy_value(feed.log, "uniform", estimator=["dr", "snips"])
    return {
        "policy value": policy,
        "positions": curve,
        "total": total,
        "interference": cr.estimate_effect(log, graph, n_repeats=1).interference(log),
        "study": _study([policy, curve, total]),
    }


def _regulators(audit: Result) -> dict[str, Result]:
    music: Any = cr.simulate("music", n_users=120, n_items=50, density=0.3, random_state=3)
    train, test = music.log.split(by="cell", test_size=0.4, random_state=0)

    def deployed(users: Any, items: Any) -> Any:
        return (5100.0 - np.asarray(items, dtype=float)) / 100.0

    models = {
        "deployed": deployed,
        "parity": ExposureReranker(deployed, "label_group", k=4).fit(train),
        "calibrated": CalibratedReranker(deployed, "genre", tradeoff=0.9, k=4).fit(train),
    }
    compared = compare_mitigations(
        test, models, accuracy="dcg@4", fairness=["exposure:label_group", "miscalibration:genre"],
        propensity=music.potential.propensity, train=train, relevance_threshold=4,
    )  # fmt: skip
    ratios = impact_ratio_table(music.log, groups=["country", "age_group"], scores="rating")
    loop = simulate_feedback(
        music.log, {"popular": "popular", "random": "random"}, np.full((120, 50), 0.3), k=4,
        rounds=4, n_simulations=4, item_groups="label_group", user_groups="country", repeat=True,
    )  # fmt: skip
    scope = {"system": "songs", "auditor": "an office", "not_audited": "the ads: no log."}
    return {
        "impact ratios": ratios,
        "mitigations": compared,
        "simulation": loop,
        "annex": evidence_annex([audit, ratios], scope),
        "model card": model_card([audit, compared], {"name": "songs"}),
    }


def _study(results: list[Result]) -> Result:
    from causalrec.reporting._compose import compose

    return compose(results, "Several questions")
