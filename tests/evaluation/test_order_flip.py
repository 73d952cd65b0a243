"""The order of two models under hidden selection: bounds hold, and Lambda* is recovered."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.errors import ResultError, StudyError
from causalrec.evaluation._order_flip import Weighed, flip_of

P, ODDS = 0.3, 2.0
"""Nominal propensity, and the factor by which its odds are wrong: up for likes, down for others."""
LIKED = 0.5
MODELS = {"low": lambda u, i: np.full(len(u), 0.4), "high": lambda u, i: np.full(len(u), 0.6)}


def hidden(seed: int, *, odds: float = ODDS, liked: float = LIKED, n_users=150, n_items=80):
    """Draw a log whose likes are recorded more often than the propensity says.

    Losses differ by (y - .4)^2 - (y - .6)^2 = .2 (2 y - 1): on all cells by .2 (2 liked - 1).
    """
    rng = np.random.default_rng(seed)
    y = (rng.random((n_users, n_items)) < liked).astype(float)
    factor = np.where(y > 0, odds, 1 / odds) * P / (1 - P)
    users, items = np.nonzero(rng.random(y.shape) < factor / (1 + factor))
    log = cr.InteractionLog(
        pd.DataFrame({"user_id": users, "item_id": items, "like": y[users, items]}),
        users=pd.DataFrame({"user_id": range(n_users)}),
        items=pd.DataFrame({"item_id": range(n_items)}), outcome="like", kind="ratings",
    )  # fmt: skip
    return log, y


def evaluated(log, metrics="mse", models=MODELS, **options):
    p = cr.KnownPropensity(np.full((log.n_users, log.n_items), P), of="observed")
    return cr.evaluate(models, log, metrics, propensity=p, estimator="snips", **options)


def test_lambda_is_recovered_where_hidden_selection_makes_the_whole_difference() -> None:
    """No true difference: the weights at the bounds of the true odds ratio are the true ones."""
    log, _ = hidden(0, n_users=600, n_items=300)
    result = evaluated(log)
    assert result["mse: low - high"].lower > 0.05
    found = result.sensitivity()
    order = found.tables[0].to_frame().iloc[0]
    assert abs(order["Lambda of the difference"] - ODDS) < 0.05
    assert 1 < order["Lambda of the interval"] < order["Lambda of the difference"]
    assert found.rows[0].value == order["Lambda of the difference"]
    assert "could reverse the order" in found.answer


def test_bounds_hold_at_the_true_odds_ratio_and_not_below() -> None:
    log, y = hidden(1, n_users=600, n_items=300)
    found = evaluated(log).sensitivity(lam=(1.4, ODDS)).tables[1].to_frame()
    truth = {name: np.mean((y - c) ** 2) for name, c in (("low", 0.4), ("high", 0.6))}
    truth["low - high"] = truth["low"] - truth["high"]
    for name, value in truth.items():
        lines = found[found["model"] == name].set_index("Lambda")
        assert lines.loc[ODDS, "interval from"] < value < lines.loc[ODDS, "interval to"]
        assert not lines.loc[1.4, "interval from"] < value < lines.loc[1.4, "interval to"]
        assert lines.loc[1.0, "lower bound"] == pytest.approx(lines.loc[1.0, "upper bound"])


def test_a_difference_is_bounded_as_one_not_as_two() -> None:
    """The same error of the propensity holds for both: the pair is tighter than its parts."""
    log, _ = hidden(2)
    models = {"a": lambda u, i: np.full(len(u), 0.5), "b": lambda u, i: 0.45 + 0.1 * (i % 2)}
    found = evaluated(log, models=models).sensitivity(lam=(3.0,)).tables[1].to_frame()
    width = found.assign(width=found["upper bound"] - found["lower bound"])
    width = width[width["Lambda"] == 3.0].set_index("model")["width"]
    assert width["a - b"] < width["a"] + width["b"]


def test_lists_and_relevant_cells_are_bounded_at_the_same_values_as_evaluated() -> None:
    world = cr.simulate("music", n_users=200, n_items=60, density=0.2, random_state=0)
    p = cr.KnownPropensity(world.potential.propensity)
    models = {
        "true": lambda u, i: world.potential.expected_rating[u, i] if np.max(u) < 200 else None,
        "ends": lambda u, i: np.asarray(i, dtype=float),
    }
    tables = {
        name: pd.DataFrame({
            "user_id": world.log.user_ids[np.repeat(np.arange(200), 60)],
            "item_id": world.log.item_ids[np.tile(np.arange(60), 200)],
            "score": model(np.repeat(np.arange(200), 60), np.tile(np.arange(60), 200)),
        })
        for name, model in models.items()
    }  # fmt: skip
    result = cr.evaluate(
        tables, world.log, ["mse", "dcg@5", "recall@5", "precision@5"], propensity=p,
        estimator=["dr", "snips"], relevance_threshold=4.0,
    )  # fmt: skip
    found = result.sensitivity(lam=(1.5,))
    order = found.tables[0].to_frame().set_index("metric")
    for metric in ("mse", "dcg@5", "recall@5", "precision@5"):
        rows = {name: result[f"{name}: {metric} (snips)"].value for name in tables}
        assert order.loc[metric, "difference"] == pytest.approx(rows["true"] - rows["ends"])
        lines = found.tables[1].to_frame().query("metric == @metric and Lambda == 1.0")
        ends = lines.set_index("model")["lower bound"]
        assert ends["true"] == pytest.approx(rows["true"])
    assert cr.Result.from_json(found.to_json()).rows == found.rows
    # at Lambda 1 the intervals are those of the evaluation
    plain = cr.evaluate(
        tables, world.log, ["mse", "dcg@5"], propensity=p, relevance_threshold=4.0
    )  # fmt: skip
    for row, line in zip(plain.differences, plain.sensitivity().tables[0].rows, strict=True):
        assert line[3] == pytest.approx(row.value)
        assert line[4:6] == pytest.approx((row.lower, row.upper))


def test_what_is_not_settled_and_what_nothing_reverses() -> None:
    log, _ = hidden(3, odds=1.0)
    order = evaluated(log).sensitivity().tables[0].to_frame().iloc[0]
    assert order["Lambda of the interval"] == 1.0
    never = {"worse": lambda u, i: np.full(len(u), 3.0), "better": MODELS["low"]}
    found = evaluated(log, models=never).sensitivity()
    assert found.rows[0].value is None
    assert found.rows[0].status == "not_estimable"
    assert "up to a factor 100" in found.answer
    alone = evaluated(log, models={"low": MODELS["low"]}).sensitivity()
    assert alone.rows == ()
    assert alone.tables[0].name == "sensitivity bounds"


def test_refusals() -> None:
    log, _ = hidden(4)
    result = evaluated(log)
    with pytest.raises(StudyError, match=r"lam=0\.5 must be at least 1"):
        result.sensitivity(lam=(0.5,))
    with pytest.raises(StudyError, match="no propensity to be wrong"):
        cr.evaluate(MODELS, log, "mse", estimator="naive").sensitivity()
    uniform = cr.InteractionLog(log.events.assign(user_id=log.user_codes, item_id=log.item_codes,
                                                  like=log.outcome), outcome="like",
                                randomized=True, kind="ratings")  # fmt: skip
    with pytest.raises(StudyError, match="rest on no propensity"):
        cr.evaluate(MODELS, uniform, "mse").sensitivity()
    reloaded = type(result).model_validate_json(result.to_json())
    with pytest.raises(ResultError, match="reloaded"):
        reloaded.sensitivity()


@pytest.mark.slow
def test_intervals_around_the_bounds_cover_and_lambda_is_centred() -> None:
    """400 logs; a share of 95 % has a Monte Carlo error of 1.1 %, and the bounds are attained."""
    truth = 0.2 * (2 * LIKED - 1)
    covered, of_difference, of_interval = [], [], []
    for seed in range(400):
        log, _ = hidden(seed, n_users=100, n_items=60)
        cells = Weighed(
            log.user_codes, log.item_codes, np.full(log.n_rows, P),
            {("mse", "low"): (log.outcome - 0.4) ** 2, ("mse", "high"): (log.outcome - 0.6) ** 2},
            {"mse": np.ones(log.n_rows)}, {"mse": ("user", "item")}, 0.95,
        )  # fmt: skip
        h = cells.values["mse", "low"] - cells.values["mse", "high"]
        lower, upper = cells.bounds(h, "mse", ODDS, "difference").interval()[0]
        covered.append(lower <= truth <= upper)
        flip = flip_of(cells, "mse", "low", "high")
        of_difference.append(math.log(flip.of_difference))
        of_interval.append(math.log(flip.of_interval))
    assert np.mean(covered) > 0.95 - 3 * 0.011
    error = np.std(of_difference) / 20
    assert abs(np.mean(of_difference) - math.log(ODDS)) < 3 * error + np.var(of_difference)
    # the interval's Lambda is a lower confidence limit of Lambda*: below it in 95 % of logs or more
    assert np.mean(np.array(of_interval) <= math.log(ODDS)) > 0.95 - 3 * 0.011
