"""Parity with the Open Bandit Pipeline on the same inputs; skipped where it is not installed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import causalrec as cr

pytestmark = pytest.mark.filterwarnings("ignore")

ROWS, ITEMS, SLATES, PLACES = 400, 7, 150, 3


@pytest.fixture(scope="module")
def ope():
    pytest.importorskip("torch")
    return pytest.importorskip("obp.ope")


@pytest.fixture(scope="module")
def drawn():
    """Rows of a logging policy, another policy and a reward model."""
    rng = np.random.default_rng(5)
    logging = rng.dirichlet(np.ones(ITEMS), ROWS)
    target = rng.dirichlet(np.full(ITEMS, 0.7), ROWS)
    shown = (logging.cumsum(1) < rng.random((ROWS, 1))).sum(1)
    click = (rng.random(ROWS) < 0.3).astype(float)
    model = rng.random((ROWS, ITEMS))
    events = pd.DataFrame(
        {
            "user_id": np.arange(ROWS),
            "item_id": shown,
            "click": click,
            "p": logging[np.arange(ROWS), shown],
        }
    )
    items = pd.DataFrame({"item_id": np.arange(ITEMS)})
    log = cr.InteractionLog(events, items=items, outcome="click", logging_propensity="p")
    return log, target, model


SUB = {"lambda_": 0.2}
CASES = [
    ("ips", {}, "InverseProbabilityWeighting", {}),
    ("snips", {}, "SelfNormalizedInverseProbabilityWeighting", {}),
    ("regression", {}, "DirectMethod", {}),
    ("dr", {}, "DoublyRobust", {}),
    ("sndr", {}, "SelfNormalizedDoublyRobust", {}),
    ("ips", {"clip": 2.0}, "InverseProbabilityWeighting", {"lambda_": 2.0}),
    ("dr", {"clip": 2.0}, "DoublyRobust", {"lambda_": 2.0}),
    ("switch_dr", {"tuning": 1.5}, "SwitchDoublyRobust", {"tau": 1.5, "lambda_": 1.5}),
    ("shrinkage_dr", {"tuning": 3.0}, "DoublyRobustWithShrinkage", {"lambda_": 3.0}),
    ("sub_gaussian_ips", {"tuning": 0.2}, "SubGaussianInverseProbabilityWeighting", SUB),
    ("sub_gaussian_dr", {"tuning": 0.2}, "SubGaussianDoublyRobust", SUB),
]  # fmt: skip


@pytest.mark.parametrize(("name", "ours", "theirs", "parameters"), CASES)
def test_the_same_value_and_an_error_beside_it(ope, drawn, name, ours, theirs, parameters):
    log, target, model = drawn
    kind = getattr(ope, theirs, None)
    if kind is None:
        pytest.skip(f"this version of obp has no {theirs}")
    known = set(kind.__dataclass_fields__)
    taken = {key: value for key, value in parameters.items() if key in known}
    if parameters and not taken:
        pytest.skip(f"{theirs} of this version has no such parameter")
    peer = kind(**taken).estimate_policy_value(
        reward=log.outcome,
        action=log.item_codes.astype(int),
        position=np.zeros(ROWS, dtype=int),
        pscore=log.logging_propensity,
        action_dist=target[:, :, None],
        estimated_rewards_by_reg_model=model[:, :, None],
    )
    row = cr.policy_value(log, target, estimator=name, q_model=model, **ours).rows[0]
    assert abs(row.value - peer) < 1e-10
    assert row.standard_error > 0


@pytest.fixture(scope="module")
def slates():
    """Slates whose places were drawn independently, conditional probabilities in every row."""
    rng = np.random.default_rng(6)
    n = SLATES * PLACES
    logging, target = rng.dirichlet(np.ones(ITEMS), n), rng.dirichlet(np.ones(ITEMS), n)
    shown = (logging.cumsum(1) < rng.random((n, 1))).sum(1)
    slate, place = np.repeat(np.arange(SLATES), PLACES), np.tile(np.arange(PLACES), SLATES)
    events = pd.DataFrame(
        {
            "user_id": slate,
            "item_id": shown,
            "slate": slate,
            "position": place + 1,
            "click": (rng.random(n) < 0.4).astype(float),
            "p": logging[np.arange(n), shown],
        }
    )
    log = cr.InteractionLog(
        events,
        items=pd.DataFrame({"item_id": np.arange(ITEMS)}),
        outcome="click",
        slate="slate",
        position="position",
        logging_propensity="p",
    )
    return log, target, rng.random((n, ITEMS))


SLATE_CASES = [
    ("independent", "ips", "SlateIndependentIPS"),
    ("cascade", "ips", "SlateRewardInteractionIPS"),
    ("standard", "ips", "SlateStandardIPS"),
    ("independent", "snips", "SelfNormalizedSlateIndependentIPS"),
    ("cascade", "snips", "SelfNormalizedSlateRewardInteractionIPS"),
    ("standard", "snips", "SelfNormalizedSlateStandardIPS"),
    ("cascade", "dr", "SlateCascadeDoublyRobust"),
]


@pytest.mark.parametrize(("model", "name", "theirs"), SLATE_CASES)
def test_the_same_value_of_slates(ope, slates, model, name, theirs):
    log, target, q = slates
    kind = getattr(ope, theirs, None)
    if kind is None:
        pytest.skip(f"this version of obp has no {theirs}")
    rows = np.arange(log.n_rows)

    def along(p: np.ndarray, how: str) -> np.ndarray:
        by_slate = p.reshape(SLATES, PLACES)
        if how == "independent":
            return p
        down = by_slate.cumprod(1)
        return (down if how == "cascade" else np.repeat(down[:, -1:], PLACES, 1)).ravel()

    suffix = {"independent": "_item_position", "cascade": "_cascade", "standard": ""}[model]
    inputs = {
        "slate_id": log.slate.astype(int),
        "reward": log.outcome,
        "position": (log.position - 1).astype(int),
        f"pscore{suffix}": along(log.logging_propensity, model),
        f"evaluation_policy_pscore{suffix}": along(target[rows, log.item_codes], model),
    }
    arguments = {"len_list": PLACES}
    if name == "dr":
        arguments["n_unique_action"] = ITEMS
        inputs |= {
            "action": log.item_codes.astype(int),
            "q_hat": q.ravel(),
            "evaluation_policy_action_dist": target.ravel(),
        }
    peer = kind(**arguments).estimate_policy_value(**inputs)
    given = {"q_model": q} if name == "dr" else {}
    row = cr.policy_value(log, target, estimator=name, slate_model=model, **given).rows[0]
    assert abs(row.value - peer) < 1e-10
    assert row.unit == "slates"
    assert row.standard_error > 0
