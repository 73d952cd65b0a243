"""The metrics of lists beside LensKit's and RecTools', where they define the same thing.

Elsewhere they differ. LensKit discounts by max(log2(place), 1) unless told otherwise, divides
recall by the smaller of k and the relevant items, and precision by the length of a short list.
RecTools divides average precision by all relevant items, NDCG by that of k relevant items unless
asked for the achievable one, and ranks popularity without gaps.
"""

import numpy as np
import pandas as pd
import pytest

import causalrec as cr

N_USERS, N_ITEMS, K = 25, 15, 4
SHAPE = (N_USERS, N_ITEMS)


@pytest.fixture(scope="module")
def toy():
    """Relevance of every cell, what came before, lists of unseen items, and our numbers."""
    rng = np.random.default_rng(3)
    # Item j is known by j + 1 users, so that no two are equally popular; every user has 1 to K
    # relevant items, so that all conventions for more than K agree.
    before = np.stack([rng.permutation(N_USERS) <= j for j in range(N_ITEMS)], axis=1)
    unseen = np.where(before, 2.0, rng.random(SHAPE))
    relevant = np.argsort(np.argsort(unseen, axis=1), axis=1) < rng.integers(1, K, (N_USERS, 1))
    relevant &= ~before
    score = np.where(before, -np.inf, rng.random(SHAPE))
    order = np.argsort(-score, axis=1)[:, :K]
    lists = pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(N_USERS), K),
            "item_id": order.ravel(),
            "rank": np.tile(np.arange(1, K + 1), N_USERS),
        }
    )
    return before, relevant, lists


def ours(toy, names, **options):
    """Everything is recorded, so that the plain numbers are those of the lists."""
    before, relevant, lists = toy
    users, items = (part.ravel() for part in np.indices(SHAPE))
    tables = {
        "users": pd.DataFrame({"user_id": np.arange(N_USERS)}),
        "items": pd.DataFrame(
            {
                "item_id": np.arange(N_ITEMS),
                "a": np.arange(N_ITEMS) % 3,
                "b": np.arange(N_ITEMS) % 2,
            }
        ),
    }
    cells = pd.DataFrame(
        {"user_id": users, "item_id": items, "click": relevant.ravel().astype(int)}
    )
    log = cr.InteractionLog(cells, outcome="click", kind="ratings", randomized=True, **tables)
    past = pd.DataFrame(dict(zip(("user_id", "item_id"), np.nonzero(before), strict=True)))
    train = cr.InteractionLog(
        past.assign(click=np.arange(len(past)) % 2), outcome="click", kind="ratings", **tables
    )
    result = cr.evaluate(lists, log, names, train=train, **options)
    return {row.metric: row.value for row in result.rows}


def pairs(mask):
    users, items = np.nonzero(mask)
    return pd.DataFrame({"user_id": users, "item_id": items})


def test_lenskit(toy):
    pytest.importorskip("lenskit", reason="LensKit is not installed")
    from lenskit.data import ItemList
    from lenskit.metrics.ranking import (
        DCG,
        NDCG,
        AveragePrecision,
        Hit,
        Precision,
        Recall,
        RecipRank,
    )

    _, relevant, lists = toy
    discount = lambda place: np.log2(place + 1)  # noqa: E731
    peers = {
        f"dcg@{K}": DCG(K, discount=discount),
        f"ndcg@{K}": NDCG(K, discount=discount),
        f"precision@{K}": Precision(K),
        f"hit@{K}": Hit(K),
        f"mrr@{K}": RecipRank(K),
        f"macro-recall@{K}": Recall(K),
        f"map@{K}": AveragePrecision(K),
    }
    found = ours(toy, list(peers))
    for name, peer in peers.items():
        values = [
            peer.measure_list(
                ItemList(item_ids=own["item_id"].to_numpy(), ordered=True),
                ItemList(item_ids=np.flatnonzero(relevant[user])),
            )
            for user, own in lists.groupby("user_id")
        ]
        assert found[name] == pytest.approx(np.mean(values), rel=1e-6), name


def test_rectools(toy):
    pytest.importorskip("rectools", reason="RecTools is not installed")
    from rectools.metrics import (
        MAP,
        MRR,
        NDCG,
        CatalogCoverage,
        HitRate,
        IntraListDiversity,
        MeanInvUserFreq,
        PairwiseHammingDistanceCalculator,
        Precision,
        Recall,
        Serendipity,
    )

    before, relevant, lists = toy
    names = [
        *(f"{m}@{K}" for m in ("precision", "macro-recall", "hit", "mrr", "map", "ndcg")),
        *(f"{m}@{K}" for m in ("coverage", "novelty", "intra-list-diversity", "serendipity")),
    ]
    found = ours(toy, names, item_columns=["a", "b"])
    test, past = pairs(relevant), pairs(before)
    catalog = np.arange(N_ITEMS)
    peers = {
        "precision": Precision(K).calc(lists, test),
        "macro-recall": Recall(K).calc(lists, test),
        "hit": HitRate(K).calc(lists, test),
        "mrr": MRR(K).calc(lists, test),
        "map": MAP(K).calc(lists, test),
        "ndcg": NDCG(K, divide_by_achievable=True).calc(lists, test),
        "coverage": CatalogCoverage(K, normalize=True).calc(lists, catalog),
        "novelty": MeanInvUserFreq(K).calc(lists, past),
        "serendipity": Serendipity(K).calc(lists, test, past, catalog),
    }
    columns = pd.DataFrame({"a": catalog % 3, "b": catalog % 2}, index=catalog)
    distance = PairwiseHammingDistanceCalculator(columns)
    # Their Hamming distance counts the columns that differ, ours is a share of them.
    peers["intra-list-diversity"] = IntraListDiversity(K, distance).calc(lists) / 2
    for name, value in peers.items():
        assert found[f"{name}@{K}"] == pytest.approx(value, rel=1e-9), name
