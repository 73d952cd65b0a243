"""Do the intervals of the metrics cover what they claim to? Nominal 95 %, 400 worlds.

The Monte Carlo error of a coverage of 95 % is 1.1 points, so 92 % is 2.7 of them below. New users
and new items are drawn for metrics of cells; for lists, whose intervals are for new users of this
catalogue, the items stay.
"""

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.evaluation.metrics import popularity_places
from causalrec.nuisances import KnownPropensity

pytestmark = pytest.mark.slow

REPLICATES = 400
N_USERS, N_ITEMS = 120, 50


def items_of(rng, n=N_ITEMS):
    return rng.standard_normal(n), 0.5 * rng.standard_normal(n)


def world(rng, items, n_users=N_USERS):
    """Chances of a click, predictions that shrink them, propensities that go with both."""
    z, b = items
    x, a = rng.standard_normal((n_users, 1)), 0.5 * rng.standard_normal((n_users, 1))
    known = -0.3 + 0.8 * x * z + 0.4 * z
    chance = 1.0 / (1.0 + np.exp(-(known + a + b)))
    f = 1.0 / (1.0 + np.exp(-0.7 * known))
    p = 0.08 + 0.4 / (1.0 + np.exp(-1.5 * x * z - z))
    return chance, f, p


def logged(y, recorded, **options):
    users, items = np.nonzero(recorded)
    n_items = y.shape[1]
    return cr.InteractionLog(
        pd.DataFrame({"user_id": users, "item_id": items, "click": y[users, items]}),
        users=pd.DataFrame({"user_id": np.arange(len(y))}),
        items=pd.DataFrame({"item_id": np.arange(n_items), "genre": np.arange(n_items) % 3}),
        outcome="click",
        kind="ratings",
        **options,
    )


def area(chance, f):
    """AUC of predictions when each cell is relevant with its chance."""
    order = np.argsort(f, axis=None)
    up, down = chance.ravel()[order], 1.0 - chance.ravel()[order]
    return (up * (np.cumsum(down) - 0.5 * down)).sum() / (up.sum() * down.sum())


def covered(found, truth):
    value, lower, upper = np.array(found).T
    centre = value.mean() if truth is None else truth
    return ((lower <= centre) & (centre <= upper)).mean(), value.mean() - centre, value.std()


def collected(replicate):
    found = {}
    for seed in range(REPLICATES):
        for row in replicate(np.random.default_rng(seed)).rows:
            found.setdefault(row.label, []).append((row.value, row.lower, row.upper))
    return found


def test_metrics_of_cells_cover_for_new_users_and_items():
    def replicate(rng):
        chance, f, p = world(rng, items_of(rng))
        y = (rng.random(chance.shape) < chance).astype(float)
        log = logged(y, rng.random(p.shape) < p)
        return cr.evaluate(
            lambda u, i: f[u, i],
            log,
            ["auc", "log-loss", "calibration-error"],
            propensity=KnownPropensity(p),
        )

    found = collected(replicate)
    rng = np.random.default_rng(10_000)
    many = [world(rng, items_of(rng, 1000), 1000)[:2] for _ in range(12)]
    truths = {
        "auc": np.mean([area(c, f) for c, f in many]),
        "log-loss": np.mean([-(c * np.log(f) + (1 - c) * np.log(1 - f)).mean() for c, f in many]),
        "calibration-error": None,
    }
    for name, truth in truths.items():
        share, bias, spread = covered(found[name], truth)
        assert share >= 0.92, (name, share)
        assert abs(bias) < 0.25 * spread, (name, bias, spread)
    assert covered(found["auc"], truths["auc"])[0] <= 0.985
    # Of what was recorded alone the log-loss misses the truth in most worlds.
    assert abs(covered(found["log-loss (naive)"], truths["log-loss"])[1]) > 0.005


def test_metrics_of_lists_cover_for_new_users_of_the_catalogue():
    items = items_of(np.random.default_rng(77))
    names = ["precision@5", "serendipity@5", "dcg@5", "intra-list-diversity@5"]
    popular = []

    def replicate(rng):
        chance, f, p = world(rng, items)
        y = (rng.random(chance.shape) < chance).astype(float)
        log = logged(y, rng.random(p.shape) < p)
        popular.append(popularity_places(np.bincount(log.item_codes, minlength=N_ITEMS)))
        return cr.evaluate(
            lambda u, i: f[u, i], log, names, propensity=KnownPropensity(p), item_columns="genre"
        )

    found = collected(replicate)
    rng = np.random.default_rng(20_000)
    chance, f, _ = world(rng, items, 20_000)
    top = np.argsort(-f, axis=1, kind="stable")[:, :5]
    listed = np.take_along_axis(chance, top, axis=1)
    own = top % 3
    differ = np.mean([own[:, a] != own[:, b] for a in range(5) for b in range(a)])
    truths = {
        "precision@5": listed.mean(),
        "dcg@5": (listed / np.log2(np.arange(2, 7))).sum(axis=1).mean(),
        "intra-list-diversity@5": differ,
    }
    for name, truth in truths.items():
        share, bias, spread = covered(found[name], truth)
        assert 0.92 <= share <= 0.98, (name, share)
        assert abs(bias) < 0.25 * spread, (name, bias, spread)
    # Serendipity takes popularity as given: the truth is that of each log's own places.
    own = [
        (np.maximum(places[top] - np.arange(1, 6), 0) / N_ITEMS * listed).sum(axis=1).mean() / 5
        for places in popular
    ]
    _, lower, upper = np.array(found["serendipity@5"]).T
    assert 0.92 <= ((lower <= own) & (own <= upper)).mean() <= 0.98


def test_novelty_and_coverage_cover_for_as_many_new_users():
    z = items_of(np.random.default_rng(79), 150)[0]
    user, item = np.indices((60, 150))
    log = logged(user % 2, user < 3 + item % 50)

    def replicate(rng):
        score = z + rng.gumbel(size=(60, 150))
        return cr.evaluate(lambda u, i: score[u, i], log, ["coverage@3", "novelty@3"])

    found = collected(replicate)
    assert 0.92 <= covered(found["novelty@3"], None)[0] <= 0.98
    share, _, spread = covered(found["coverage@3"], None)
    assert spread > 0.01
    # A jackknife of a count of distinct items is too wide, by Efron and Stein, never too narrow.
    assert share >= 0.93


def test_whole_lists_of_a_slice_cover_for_new_users():
    items = items_of(np.random.default_rng(78))
    names = ["ndcg@3", "macro-recall@3", "hit@3", "map@3", "mrr@3"]

    def replicate(rng):
        chance, f, _ = world(rng, items)
        y = (rng.random(chance.shape) < chance).astype(float)
        drawn = np.argsort(rng.random(y.shape), axis=1) < 12
        log = logged(y, drawn, randomized=True)
        return cr.evaluate(lambda u, i: f[u, i], log, names)

    found = collected(replicate)
    assert len(found) == len(names)
    for label, rows in found.items():
        share = covered(rows, None)[0]
        assert 0.92 <= share <= 0.98, (label, share)
