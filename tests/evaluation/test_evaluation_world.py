"""The evaluation experiment of Schnabel et al. (2016), and metrics that no weight repairs.

Every rating of a made-up low-rank world is known. A rating r is recorded with probability
k alpha^(4 - r) below 4 and k above (their section 6.2; alpha = .25), so that good items are
over-represented, and five made-up recommenders are judged on what was recorded. Biases are held
against the Monte Carlo error of their own mean: 4 of its standard errors.
"""

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.nuisances import KnownPropensity

pytestmark = pytest.mark.slow

SHAPE = (150, 80)
SHARES = (0.405, 0.194, 0.216, 0.138, 0.047)
DRAWS = 60
DISCOUNT = 1.0 / np.log2(np.arange(2, 7))


@pytest.fixture(scope="module")
def world():
    """Ratings of every cell, their propensities, and the five recommenders."""
    rng = np.random.default_rng(0)
    taste = rng.standard_normal((SHAPE[0], 3)) @ rng.standard_normal((3, SHAPE[1]))
    level = taste + 1.5 * rng.standard_normal(SHAPE[1]) + 0.7 * rng.standard_normal(SHAPE)
    rating = 1.0 + np.searchsorted(np.quantile(level, np.cumsum(SHARES)[:-1]), level)
    shape = 0.25 ** np.maximum(4.0 - rating, 0.0)
    p = shape * (0.08 / shape.mean())
    made = {}
    fives = int((rating == 5).sum())
    for name, flipped in (("ones", 1), ("fours", 4)):
        made[name] = rating.copy()
        of = rng.choice(np.flatnonzero(rating == flipped), size=fives, replace=False)
        made[name].flat[of] = 5.0
    made["rotate"] = np.where(rating >= 2, rating - 1.0, 5.0)
    made["skewed"] = np.clip(rng.normal(rating, (6.0 - rating) / 2.0), 0.0, 6.0)
    made["coarsened"] = np.where(rating <= 3, 3.0, 4.0)
    return rating, p, made


def recorded(rating, p, rng):
    """A log of what is drawn."""
    users, items = np.nonzero(rng.random(SHAPE) < p)
    return cr.InteractionLog(
        pd.DataFrame({"user_id": users, "item_id": items, "rating": rating[users, items]}),
        users=pd.DataFrame({"user_id": np.arange(SHAPE[0])}),
        items=pd.DataFrame({"item_id": np.arange(SHAPE[1])}),
        outcome_range=(1, 5),
    )


def truths(rating, f):
    top = np.argsort(-f, axis=1, kind="stable")[:, :5]
    listed = np.take_along_axis(rating, top, axis=1)
    relevant = rating >= 4
    return {
        "mae": np.abs(rating - f).mean(),
        "mse": np.square(rating - f).mean(),
        "dcg@5": ((listed >= 4) @ DISCOUNT).mean(),
        "recall@5": (listed >= 4).sum() / relevant.sum(),
        "precision@5": (listed >= 4).mean(),
        "auc": area(f.ravel(), relevant.ravel()),
    }


def area(f, positive):
    up, down = np.sort(f[positive]), np.sort(f[~positive])
    below = np.searchsorted(down, up, side="left") + np.searchsorted(down, up, side="right")
    return below.mean() / 2 / len(down)


METRICS = ("mae", "mse", "dcg@5", "recall@5", "precision@5", "auc")
ESTIMATORS = ("snips", "ips", "dr", "naive")


def test_weights_are_unbiased_on_all_five_and_naive_inverts_the_order(world):
    rating, p, made = world
    rng = np.random.default_rng(1)
    models = {name: (lambda u, i, f=f: f[u, i]) for name, f in made.items()}
    values = np.zeros((DRAWS, len(METRICS), len(made), len(ESTIMATORS)))
    for draw in range(DRAWS):
        result = cr.evaluate(
            models,
            recorded(rating, p, rng),
            METRICS,
            estimator=ESTIMATORS,
            propensity=KnownPropensity(p),
            outcome_model=lambda u, i: np.full(len(u), 2.5),
            relevance_threshold=4,
            sampled=(),
        )
        at = {(row.label, row.estimator): row.value for row in result.rows}
        for j, metric in enumerate(METRICS):
            for m, name in enumerate(made):
                for e, estimator in enumerate(ESTIMATORS):
                    suffix = "" if e == 0 else f" ({estimator})"
                    values[draw, j, m, e] = at[f"{name}: {metric}{suffix}", estimator]
    truth = np.array([[truths(rating, f)[metric] for f in made.values()] for metric in METRICS])
    bias = values.mean(0) - truth[:, :, None]
    error = values.std(0, ddof=1) / np.sqrt(DRAWS)
    # Some metrics are the same in every draw: the area of "coarsened" is 1.
    off = np.abs(bias[..., :3]) / np.maximum(error[..., :3], 1e-9)
    assert off.max() < 4, off
    ones, fours = list(made).index("ones"), list(made).index("fours")
    mae = METRICS.index("mae")
    assert truth[mae, ones] > 3 * truth[mae, fours]
    assert values[:, mae, ones, 3].mean() < 0.3 * values[:, mae, fours, 3].mean()
    for e in range(3):
        assert values[:, mae, ones, e].mean() > 3 * values[:, mae, fours, e].mean()
    # What is recorded is not what is there, by 8 standard errors and more.
    assert (np.abs(bias[:2, :, 3]) > 8 * error[:2, :, 3]).all()


def test_weighted_ndcg_and_macro_recall_stay_biased_where_dcg_and_micro_recall_do_not(world):
    """Why the two are declined: with the exact propensities, weighting user by user is wrong.

    Here a system shows what it predicts high, so that what it lists is recorded far more often.
    """
    rating, _, made = world
    rng = np.random.default_rng(2)
    f = made["skewed"]
    p = 0.02 + 0.3 / (1.0 + np.exp(6.0 - 2.0 * f))
    relevant = (rating >= 4).astype(float)
    place = np.argsort(np.argsort(-f, axis=1, kind="stable"), axis=1) + 1
    discount = np.where(place <= 5, 1.0 / np.log2(1.0 + place), 0.0)
    listed = (place <= 5).astype(float)

    def ideal(gains):
        return -np.sort(-gains, axis=1)[:, :5] @ DISCOUNT

    def ratio(above, below):
        some = below > 0
        return (above[some] / below[some]).mean()

    truth = {
        "ndcg": ratio((discount * relevant).sum(1), ideal(relevant)),
        "macro": ratio((listed * relevant).sum(1), relevant.sum(1)),
        "dcg": (discount * relevant).sum(1).mean(),
        "micro": (listed * relevant).sum() / relevant.sum(),
    }
    found = {name: [] for name in truth}
    # Many draws, all at once: arithmetic on arrays of 40.
    for _ in range(20):
        for seen in rng.random((40, *SHAPE)) < p:
            gains = seen * relevant / p
            found["ndcg"].append(ratio((discount * gains).sum(1), ideal(gains)))
            found["macro"].append(ratio((listed * gains).sum(1), gains.sum(1)))
            found["dcg"].append((discount * gains).sum(1).mean())
            found["micro"].append((listed * gains).sum() / gains.sum())
    n = len(found["dcg"])
    off = {
        name: (np.mean(values) - truth[name]) / (np.std(values, ddof=1) / np.sqrt(n))
        for name, values in found.items()
    }
    assert abs(off["dcg"]) < 4
    assert abs(off["micro"]) < 4
    assert off["macro"] > 15
    # Large weights of what is seldom shown make an ideal that no list can reach.
    assert np.mean(found["ndcg"]) < 0.5 * truth["ndcg"]
