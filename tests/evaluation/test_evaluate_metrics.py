"""The metrics as `evaluate` reports them: values by brute force, labels, what is refused."""

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.errors import DataError, StudyError
from causalrec.nuisances import KnownPropensity

N_USERS, N_ITEMS, K = 30, 12, 3


def made(seed=0):
    """Clicks of a small grid: recorded, y, p, f (a probability), g."""
    rng = np.random.default_rng(seed)
    shape = (N_USERS, N_ITEMS)
    p = rng.uniform(0.2, 0.8, shape)
    recorded = rng.random(shape) < p
    f, g = rng.uniform(0.05, 0.95, shape).round(2), rng.uniform(0.1, 0.9, shape)
    y = (rng.random(shape) < f).astype(float)
    return recorded, y, p, f, g


def logged(recorded, y, **options):
    users, items = np.nonzero(recorded)
    events = pd.DataFrame({"user_id": users, "item_id": items, "click": y[recorded]})
    return cr.InteractionLog(
        events,
        users=pd.DataFrame({"user_id": np.arange(len(y))}),
        items=pd.DataFrame({"item_id": np.arange(N_ITEMS), "genre": np.arange(N_ITEMS) % 3}),
        outcome="click",
        kind="ratings",
        **options,
    )


@pytest.fixture(scope="module")
def small():
    recorded, y, p, f, g = made()
    return logged(recorded, y), recorded.astype(float), y, p, f, g


def scored(recorded, p, h, m, estimator):
    """Sums of h over cells, and what they are divided by."""
    w = recorded / p
    return {
        "naive": (recorded * h, recorded),
        "snips": (w * h, w),
        "ips": (w * h, np.ones_like(h)),
        "dr": (m + w * (h - m), np.ones_like(h)),
    }[estimator]


@pytest.mark.parametrize("estimator", ["naive", "snips", "ips", "dr"])
def test_weighted_metrics_equal_brute_force(small, estimator):
    log, recorded, y, p, f, g = small
    result = cr.evaluate(
        lambda u, i: f[u, i],
        log,
        ["log-loss", "auc", "calibration-error", f"precision@{K}", f"serendipity@{K}"],
        estimator=estimator,
        propensity=p,
        outcome_model=lambda u, i: g[u, i],
    )
    one, zero = -np.log(f), -np.log(1 - f)
    above, below = scored(recorded, p, np.where(y == 1, one, zero), g * one + (1 - g) * zero,
                          estimator)  # fmt: skip
    assert result["log-loss"].value == pytest.approx(above.sum() / below.sum(), rel=1e-12)

    place = np.argsort(np.argsort(-f, axis=1, kind="stable"), axis=1) + 1
    listed = (place <= K) / K
    counts = recorded.sum(0)
    # A cell that is recorded does not count towards the popularity of its item.
    less = counts[None, :] - recorded
    higher = (counts[None, None, :] > less[:, :, None]).sum(2) - (counts[None, :] > less)
    ahead = np.maximum(higher + 1 - place, 0) / N_ITEMS
    for name, weight in {f"precision@{K}": listed, f"serendipity@{K}": listed * ahead}.items():
        above, below = scored(recorded, p, weight * y, weight * g, estimator)
        value = N_ITEMS * above.sum() / below.sum()
        assert result[name].value == pytest.approx(value, rel=1e-12), name

    up = scored(recorded, p, y, g, estimator)[0].ravel()
    down = scored(recorded, p, 1 - y, 1 - g, estimator)[0].ravel()
    flat = f.ravel()
    wins = (flat[:, None] > flat[None, :]) + 0.5 * (flat[:, None] == flat[None, :])
    value = (up[:, None] * down[None, :] * wins).sum() / (up.sum() * down.sum())
    assert result["auc"].value == pytest.approx(value, rel=1e-10)

    residual, base = scored(recorded, p, y - f, g - f, estimator)
    edges = np.unique(np.quantile(f[recorded == 1], np.arange(1, 10) / 10))
    bins = np.searchsorted(edges, f)
    user, item = np.indices(f.shape)
    quarter = 2 * (user % 2) + item % 2
    total = 0.0
    for b in np.unique(bins):
        miss = [residual[(bins == b) & (quarter == q)].sum() for q in range(4)]
        total += sum(np.sign(miss[3 - q]) * miss[q] for q in range(4))
    assert result["calibration-error"].value == pytest.approx(total / base.sum(), abs=1e-12)
    for row in result.rows:
        assert row.standard_error is not None, row.label
        assert row.lower < row.value < row.upper, row.label


def test_a_slice_has_every_metric_plainly():
    recorded, y, _, f, _ = made(1)
    log = logged(recorded, y, randomized=True)
    names = ["auc", "macro-recall@2", "hit@2", "map@2", "mrr@2", "ndcg@2", "precision@2"]
    result = cr.evaluate(lambda u, i: f[u, i], log, names)
    lists = {name: [] for name in names}
    for user in range(N_USERS):
        items = np.flatnonzero(recorded[user])
        order = items[np.argsort(-f[user, items], kind="stable")]
        gains = y[user, order]
        if gains.sum() == 0:
            continue
        top, total = gains[:2], gains.sum()
        lists["macro-recall@2"].append(top.sum() / total)
        lists["hit@2"].append(float(top.any()))
        lists["map@2"].append((top * np.cumsum(top) / [1, 2])[: len(top)].sum() / min(2, total))
        lists["mrr@2"].append(next((1 / (r + 1) for r, g in enumerate(top) if g), 0.0))
    among = recorded.sum(1)
    suffix = f" among {among.min()}-{among.max()} of {N_ITEMS}"
    for name in ("macro-recall@2", "hit@2", "map@2", "mrr@2"):
        row = result[name + suffix]
        assert row.value == pytest.approx(np.mean(lists[name]), rel=1e-12), name
        assert (row.estimator, row.unit, row.n) == ("plain", "users", len(lists[name]))
        assert row.lower <= row.value <= row.upper
    assert result["auc"].estimator == "plain"


def test_a_biased_log_declines_lists_with_the_reason_of_each(small):
    log, _, _, p, f, _ = small
    names = ["hit@3", "map@3", "mrr@3", "macro-recall@3", "ndcg@3"]
    result = cr.evaluate(lambda u, i: f[u, i], log, names, propensity=p)
    reasons = {row.note for row in result.rows}
    assert {row.status for row in result.rows} == {"not_estimable"}
    assert len(reasons) == 5
    assert all("no weight makes it unbiased" in reason for reason in reasons)
    assert "declined" in result.answer


def test_with_an_outcome_model_they_are_its_expectations(small):
    log, _, _, p, f, g = small
    result = cr.evaluate(
        {"a": lambda u, i: f[u, i], "b": lambda u, i: -f[u, i]},
        log,
        ["hit@3", "mrr@3", "macro-recall@3", "map@3"],
        propensity=p,
        outcome_model=lambda u, i: g[u, i],
    )
    top = np.argsort(-f, axis=1, kind="stable")[:, :3]
    chance = np.take_along_axis(g, top, axis=1)
    found = {m: result[f"a: {m}@3 of the outcome model"] for m in ("hit", "mrr", "macro-recall")}
    liked = np.random.default_rng(1).random((2_000, *g.shape)) < g
    listed = np.take_along_axis(liked, np.broadcast_to(top, (2_000, *top.shape)), axis=2)
    some = liked.any(axis=2).sum()
    none_above = np.c_[np.ones(N_USERS), np.cumprod(1 - chance, axis=1)[:, :-1]]
    expected = {
        "hit": 2_000 * np.sum(1 - np.prod(1 - chance, axis=1)) / some,
        "mrr": 2_000 * np.sum(chance * none_above / [1, 2, 3]) / some,
        "macro-recall": (listed.sum(2) / np.maximum(liked.sum(2), 1)).sum() / some,
    }
    noise = 0.5 / np.sqrt(20 * N_USERS)  # of 20 draws of values within [0, 1], at most
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value, abs=4 * noise), name
    assert {row.estimator for row in result.rows} == {"regression"}
    assert all("not judged" in row.note for row in result.differences)


DISPLAYS = ["coverage@3", "novelty@3", "intra-list-diversity@3", "miscalibration@3"]


def test_what_is_listed_needs_neither_outcomes_nor_weights(small):
    log, recorded, _, _, f, _ = small
    result = cr.evaluate(lambda u, i: f[u, i], log, DISPLAYS, item_columns="genre")
    top = np.argsort(-f, axis=1, kind="stable")[:, :3]
    counts = recorded.sum(0)
    genre = np.arange(N_ITEMS) % 3
    own = genre[top]
    differ = [(own[:, a] != own[:, b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    q = np.stack([(own == g).mean(1) for g in range(3)], axis=1)
    past = np.stack([recorded[:, genre == g].sum(1) for g in range(3)], axis=1)
    want = past / past.sum(1, keepdims=True)
    mixed = 0.99 * q + 0.01 * want
    ratio = np.log(np.where(want > 0, want / np.where(mixed > 0, mixed, 1.0), 1.0))
    expected = {
        "coverage@3": len(np.unique(top)) / N_ITEMS,
        "novelty@3": np.log2(N_USERS / counts)[top].mean(),
        "intra-list-diversity@3": np.mean(differ),
        "miscalibration@3": (want * ratio).sum(1).mean(),
    }
    for name, value in expected.items():
        row = result[name]
        assert row.value == pytest.approx(value, rel=1e-12), name
        assert (row.estimator, row.unit) == ("lists", "users")
        assert row.standard_error is not None
    assert [a.name for a in result.assumptions] == ["what was sampled"]
    assert result.answer.startswith("Of lists over the first 3 eligible items of each user")


def test_a_training_part_is_not_listed_and_is_the_history(small):
    log, _, _, _, f, _ = small
    train, test = log.split(test_size=0.4, random_state=0)
    result = cr.evaluate(lambda u, i: f[u, i], test, ["coverage@3", "novelty@3"], train=train)
    seen = np.zeros(f.shape, dtype=bool)
    seen[train.user_codes, train.item_codes] = True
    order = np.argsort(-np.where(seen, -np.inf, f), axis=1, kind="stable")[:, :3]
    unseen = ~np.take_along_axis(seen, order, axis=1)
    known = np.log2(len(np.unique(train.user_codes)) / np.maximum(seen.sum(0), 1))
    means = [known[own[free]].mean() for own, free in zip(order, unseen, strict=True) if free.any()]
    assert result["novelty@3"].value == pytest.approx(np.mean(means), rel=1e-12)
    assert result["coverage@3"].value == len(np.unique(order[unseen])) / N_ITEMS


def test_positives_alone_suffice_for_what_is_listed():
    recorded, y, _, f, _ = made(2)
    users, items = np.nonzero(recorded & (y == 1))
    log = cr.InteractionLog(pd.DataFrame({"user_id": users, "item_id": items}), kind="positives")
    models = {"up": lambda u, i: f[u, i], "down": lambda u, i: -f[u, i]}
    result = cr.evaluate(models, log, ["coverage@2", "novelty@2"])
    assert {row.estimator for row in result.rows} == {"lists"}
    with pytest.raises(DataError):
        cr.evaluate(models, log, ["coverage@2", "mse"])


def test_three_models_are_compared_under_one_band(small):
    log, _, _, p, f, _ = small
    models = {
        "one": lambda u, i: f[u, i],
        "twin": lambda u, i: f[u, i],
        "worse": lambda u, i: 1 - f[u, i],
    }
    result = cr.evaluate(models, log, ["auc", "coverage@2"], propensity=p)
    band = next(table for table in result.tables if table.name == "simultaneous").to_frame()
    auc = band[band["metric"] == "auc"].set_index("difference")
    assert len(auc) == 3
    assert auc.loc["one - twin", "value"] == 0.0
    row = result["auc: one - worse"]
    assert auc.loc["one - worse", "lower"] <= row.lower
    assert auc.loc["one - worse", "upper"] >= row.upper
    assert row.note.startswith("one is better")
    assert result["auc: one - twin"].note.startswith("indistinguishable")
    assert "indistinguishable" in result.answer


def test_these_very_cells_have_narrower_intervals(small):
    log, _, _, p, f, g = small
    options = {"propensity": p, "estimator": ["snips", "dr"], "outcome_model": lambda u, i: g[u, i]}
    metrics = ["auc", "log-loss"]
    new = cr.evaluate(lambda u, i: f[u, i], log, metrics, **options)
    same = cr.evaluate(lambda u, i: f[u, i], log, metrics, sampled=(), **options)
    for name in (*metrics, "auc (dr)"):
        assert 0 < same[name].standard_error < new[name].standard_error


def test_what_cannot_be_measured_is_refused_in_words(small, music):
    log, _, _, p, f, _ = small
    model = lambda u, i: f[u, i]  # noqa: E731
    with pytest.raises(StudyError, match="evaluate_uplift"):
        cr.evaluate(model, log, "uplift@5", propensity=p)
    with pytest.raises(StudyError, match="item_columns"):
        cr.evaluate(model, log, "miscalibration@3")
    with pytest.raises(DataError, match="gnre"):
        cr.evaluate(model, log, "miscalibration@3", item_columns="gnre")
    with pytest.raises(DataError, match="outside \\[0, 1\\]"):
        cr.evaluate(lambda u, i: 3 * f[u, i], log, "log-loss", propensity=p)
    ratings, known = music.log(0), KnownPropensity(music.propensity)
    half = lambda u, i: np.full(len(u), 0.5)  # noqa: E731
    with pytest.raises(StudyError, match="outcomes 0 and 1"):
        cr.evaluate(half, ratings, "log-loss", propensity=known)
    listened = pd.DataFrame(
        {"user_id": np.arange(60) % 12, "item_id": np.arange(60) // 12, "rating": np.arange(60.0)}
    )
    times = cr.InteractionLog(listened)
    for name in ("auc", "precision@3", "hit@3", "serendipity@3"):
        with pytest.raises(StudyError, match="relevance_threshold"):
            cr.evaluate(half, times, name, propensity=0.2)
    with pytest.raises(DataError, match="no pairs for an AUC"):
        cr.evaluate(half, ratings, "auc", propensity=known, relevance_threshold=99)


def test_groups_take_what_adds_up_alone():
    from causalrec.evaluation import group_estimates

    world = cr.simulate("music", n_users=100, n_items=30, density=0.3, random_state=0)
    options = {
        "model": lambda u, i: np.full(len(u), 3.0),
        "estimators": ["snips"],
        "propensity": world.potential.propensity,
        "relevance_threshold": 4,
    }
    found = group_estimates(
        world.log, "country", metrics=["precision@3", "serendipity@3"], **options
    )
    assert found.found[0].metrics == ("precision@3", "serendipity@3")
    with pytest.raises(StudyError, match="hit@3 cannot be parted by group"):
        group_estimates(world.log, "country", metrics=["hit@3"], **options)


def test_lists_of_candidates_hold_candidates_alone():
    world = cr.simulate("shop", 60, 20, random_state=0, n_candidates=8)
    log = world.log
    quality = log.items["quality"].to_numpy()
    result = cr.evaluate(lambda u, i: log.items.loc[i, "quality"], log, "coverage@3")
    listed = set()
    for user in range(log.n_users):
        own = log.item_codes[log.user_codes == user]
        listed |= set(own[np.argsort(-quality[own], kind="stable")[:3]].tolist())
    assert result["coverage@3"].value == pytest.approx(len(listed) / log.n_items)


def test_intervals_end_where_a_metric_ends(small):
    log, _, _, p, f, _ = small
    result = cr.evaluate(lambda u, i: f[u, i], log, ["coverage@5", "auc"], propensity=p)
    for row in result.rows:
        assert 0 <= row.lower <= row.value <= row.upper <= 1 or " - " in row.estimator


def test_a_slice_beside_a_biased_log_judges_sums_and_is_there_for_the_rest():
    world = cr.simulate("music", 200, 60, random_state=1, density=0.2, n_randomized=2000)
    p = KnownPropensity(world.potential.propensity)
    good = world.potential.expected_rating
    codes = {name: at for at, name in enumerate(world.log.user_ids)}
    places = {name: at for at, name in enumerate(world.log.item_ids)}

    def model(users, items):
        return good[[codes[u] for u in users], [places[i] for i in items]]

    options = {"propensity": p, "relevance_threshold": 4}
    result = cr.evaluate(model, world.log, ["precision@5", "auc"], **options)
    (compared,) = result.sections
    assert {row.metric.removeprefix("difference of ") for row in compared.rows} == {"precision@5"}
    assert any(note.startswith("auc: not compared") for note in compared.notes)
    difference = next(row for row in compared.rows if row.metric == "difference of precision@5")
    assert difference.interval_method == "t, clustered by user"
    alone = cr.evaluate(model, world.log, ["auc", "ndcg@5"], estimator="plain", **options)
    assert {row.estimator for row in alone.rows} == {"plain"}
    # Flat propensities repair nothing: the weighted precision is the naive one, and the slice
    # tells, as no look at the weights would.
    flat = cr.evaluate(
        model,
        world.log,
        "precision@5",
        propensity=KnownPropensity(np.full(good.shape, 0.2)),
        relevance_threshold=4,
    )
    assert flat["precision@5"].value == pytest.approx(flat["precision@5 (naive)"].value)
    told = next(row for row in flat.sections[0].rows if row.metric.startswith("difference of"))
    assert told.p_value < 0.05
    assert difference.p_value > 0.05
