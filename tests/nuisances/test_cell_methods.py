"""Propensities of cells by the other methods: samples, factors, ratings, classifiers, sizes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

import causalrec as cr
from causalrec.errors import DataError, StudyError
from causalrec.nuisances import (
    PropensityModel,
    balance,
    calibration_table,
    cell_propensity,
    grid_propensity,
    inverse_propensity_sum,
    row_propensity,
    support,
)
from causalrec.nuisances import _fit_cells as fits
from causalrec.nuisances._case_control import draw_sample
from causalrec.nuisances._cell_folds import CellFolds
from causalrec.nuisances._features import Encoders, choose_covariates
from causalrec.nuisances._fit_cells import CellProblem, choose_method
from causalrec.nuisances._low_rank import LowRankProblem, low_rank_derivatives
from causalrec.nuisances._options import FitOptions, Within


@pytest.fixture(scope="module")
def music():
    return cr.simulate("music", n_users=1000, n_items=300, random_state=1)


def snips(log, p: np.ndarray) -> float:
    return float((log.outcome / p).sum() / (1 / p).sum())


def problem_of(log, model: PropensityModel, method: str = "case-control") -> CellProblem:
    covariates = choose_covariates(log, None, None)
    options = FitOptions.of(model, method, None, effects=True)
    return CellProblem.of(log, Encoders.of(log, covariates), options, Within.of(log, None, None))


# --- the world of features, effects and factors ------------------------------------------------


@pytest.fixture(scope="module")
def world():
    """Effects, crosses of words and two factors: a small one of the benchmark's."""
    rng = np.random.default_rng(0)
    m, n = 700, 400
    plan, genre = rng.integers(0, 4, m), rng.integers(0, 6, n)
    logit = 0.6 * rng.normal(size=(4, 6))[np.ix_(plan, genre)]
    logit += 0.7 * rng.normal(size=(m, 1)) + 0.8 * rng.normal(size=n) - 3.2
    logit += 0.5 * rng.normal(size=(m, 2)) @ rng.normal(size=(2, n))
    p = 1 / (1 + np.exp(-logit))
    u, i = np.nonzero(rng.random((m, n)) < p)
    users = pd.DataFrame({"user_id": range(m), "plan": [f"plan {k}" for k in plan]})
    items = pd.DataFrame({"item_id": range(n), "genre": [f"genre {k}" for k in genre]})
    events = pd.DataFrame({"user_id": u, "item_id": i, "rating": (u + i) % 5 + 1})
    return cr.InteractionLog(events, users, items), p


def divergence(p: np.ndarray, q: np.ndarray) -> float:
    """Return KL(p, q) over all cells, per mille of the entropy of p."""
    entropy = -(p * np.log(p) + (1 - p) * np.log1p(-p)).sum()
    loss = -(p * np.log(q) + (1 - p) * np.log1p(-q)).sum()
    return float(1000 * (loss - entropy) / entropy)


def test_distance_to_the_truth_and_calibration_of_every_method(world) -> None:
    log, p = world
    options = {
        "logistic": {},
        "cloglog": {},
        "case-control": {},
        "low-rank": {"rank": 2, "factor_regularization": 5.0},
        "effects only": {"method": "logistic", "covariates": []},
        "popularity": {},
        "independence": {},
    }
    off, total = {}, {}
    for name, chosen in options.items():
        model = PropensityModel(**({"method": name} | chosen)).fit(log)
        q = np.minimum(model.block(slice(None)), 1 - 1e-9)
        off[name] = divergence(p, q)
        total[name] = inverse_propensity_sum(model, log)
    # Of four seeds: low-rank 32-38, logit 72-80, cloglog .4 more, case-control 2-3 more, effects
    # 88-94, popularity 92-98, independence 232-255
    assert off["low-rank"] < 0.6 * off["logistic"]
    assert off["cloglog"] < 1.03 * off["logistic"]
    assert off["case-control"] < 1.1 * off["logistic"]
    assert off["logistic"] < 0.9 * min(off["effects only"], off["popularity"])
    assert off["independence"] > 2 * off["popularity"]
    assert 0.95 < total["low-rank"] < 1.05
    # and sum(1/p)/cells tells that the others lack something (.89-.93)
    assert max(total[name] for name in ("logistic", "cloglog", "case-control")) < 0.95


def test_factors_do_not_help_where_there_are_none(music) -> None:
    plain = PropensityModel("logistic", cell_folds=5).fit(music.log, music.graph)
    model = PropensityModel("low-rank", factor_regularization=2.0).fit(music.log, music.graph)
    truth = music.potential.propensity
    off = [divergence(truth, found.block(slice(None))) for found in (plain, model)]
    assert off[1] > off[0]  # they only add noise; a large ridge leaves none of them
    careful = PropensityModel("low-rank", factor_regularization=100.0).fit(music.log, music.graph)
    assert any("left none of them" in note for note in careful.notes_)
    assert divergence(truth, careful.block(slice(None))) == pytest.approx(off[0], rel=0.02)


@pytest.mark.parametrize("link", ["logit", "cloglog"])
def test_where_propensities_are_large_the_link_matters_and_calibration_tells(link) -> None:
    rng = np.random.default_rng(5)
    value = -0.7 + 1.2 * rng.normal(size=(400, 1)) + 1.2 * rng.normal(size=300)
    p = 1 / (1 + np.exp(-value)) if link == "logit" else 1 - np.exp(-np.exp(value))
    p = np.clip(p, 1e-6, 1 - 1e-6)
    u, i = np.nonzero(rng.random(p.shape) < p)
    log = cr.InteractionLog(pd.DataFrame({"user_id": u, "item_id": i, "rating": u % 5 + 1}))
    off, z = {}, {}
    for method in ("logistic", "cloglog"):
        model = PropensityModel(method).fit(log)
        q = np.clip(model.block(slice(None)), 1e-9, 1 - 1e-9)
        off[method] = divergence(p, q)
        rows = calibration_table(model, log).rows
        z[method] = float(np.sqrt(np.mean([row[-1] ** 2 for row in rows])))
    right, wrong = ("logistic", "cloglog") if link == "logit" else ("cloglog", "logistic")
    # three seeds of each: 6-8 by the right link and 11-20 by the wrong one; z of 2.7-3.5 (effects
    # are shrunk, and were learned from these very cells) against 5.9-9.0
    assert off[right] < 0.7 * off[wrong]
    assert z[wrong] > 1.8 * z[right]


# --- case-control ------------------------------------------------------------------------------


def small(seed: int = 0, m: int = 60, n: int = 50):
    rng = np.random.default_rng(seed)
    users = pd.DataFrame({"user_id": range(m), "age": rng.normal(size=m).round(2)})
    items = pd.DataFrame({"item_id": range(n), "genre": rng.choice(["a", "b", "c"], n)})
    logit = -2.5 + 0.6 * users["age"].to_numpy()[:, None] * (items["genre"] == "b").to_numpy()
    u, i = np.nonzero(rng.random((m, n)) < 1 / (1 + np.exp(-logit)))
    events = pd.DataFrame({"user_id": u, "item_id": i, "rating": (u + i) % 5 + 1})
    return cr.InteractionLog(events, users, items)


def test_with_every_control_it_is_the_logit_of_the_grid() -> None:
    log = small()
    options = {"effect_regularization": 2.0, "tolerance": 1e-7}
    grid = PropensityModel("logistic", **options).fit(log).block(slice(None))
    sampled = PropensityModel("case-control", controls=1000, **options).fit(log).block(slice(None))
    # the recalibration moves the intercept by nothing: the likelihood's own equation says the same
    np.testing.assert_allclose(sampled, grid, rtol=1e-5)


@pytest.mark.parametrize("pairs", [10_000_000, 0])
def test_it_is_the_optimum_of_scikit_learn_on_the_sampled_cells(pairs, monkeypatch) -> None:
    from causalrec.nuisances import _sampled_logit

    monkeypatch.setattr(_sampled_logit, "MOST_PAIRS", pairs)  # looked up, or cell by cell
    log = small(1, 120, 90)
    model = PropensityModel(
        "case-control", regularization=0.7, cross_regularization=3.0, effect_regularization=2.0,
        tolerance=1e-7,
    ).fit(log)  # fmt: skip
    of = problem_of(log, model)
    sample = draw_sample(of, 3)
    assert len(sample.users) == 4 * log.n_rows
    x, z = of.X[sample.users, 1:], of.Z[sample.items, 1:]
    crosses = (x[:, :, None] * z[:, None, :]).reshape(len(x), -1)
    design = np.hstack([
        np.hstack([x, z]) / np.sqrt(0.7), crosses / np.sqrt(3.0),
        np.eye(log.n_users)[sample.users] / np.sqrt(2.0),
        np.eye(log.n_items)[sample.items] / np.sqrt(2.0),
    ])  # fmt: skip
    peer = LogisticRegression(solver="newton-cholesky", tol=1e-10, max_iter=200)
    peer.fit(design, sample.observed)
    theirs = peer.decision_function(design) + np.log(sample.rate)
    p = model.predict_codes(sample.users, sample.items)
    ours = np.log(p / (1 - p))
    shift = ours - theirs  # the recalibrated intercept
    assert np.ptp(shift) < 1e-4
    assert abs(shift.mean()) < 0.1


def test_controls_are_a_uniform_sample_of_what_is_eligible() -> None:
    rng = np.random.default_rng(0)
    eligible = rng.random((80, 60)) < 0.7
    seen = eligible & (rng.random((80, 60)) < 0.03)
    u, i = np.nonzero(seen)
    events = pd.DataFrame({"user_id": u, "item_id": i, "rating": 1 + u % 5})
    frames = pd.DataFrame({"user_id": range(80)}), pd.DataFrame({"item_id": range(60)})
    log = cr.InteractionLog(events, *frames, eligible=eligible)
    count = np.zeros((80, 60))
    for seed in range(200):
        sample = draw_sample(problem_of(log, PropensityModel(random_state=seed)), 3)
        assert np.array_equal(
            np.sort(sample.users[sample.observed] * 60 + sample.items[sample.observed]),
            np.flatnonzero(seen),
        )
        drawn = ~sample.observed
        np.add.at(count, (sample.users[drawn], sample.items[drawn]), 1)
        # the share of eligible cells is estimated by the draws: 400 of them
        exact = drawn.sum() / (eligible.sum() - seen.sum())
        assert sample.rate == pytest.approx(exact, rel=0.15)
    assert not count[seen | ~eligible].any()
    share = count[eligible & ~seen] / 200
    expected = 3 * seen.sum() / (eligible.sum() - seen.sum())
    assert share.mean() == pytest.approx(expected)
    # a uniform sample has binomial counts
    assert share.var() == pytest.approx(expected * (1 - expected) / 200, rel=0.15)


def test_without_the_correction_it_would_be_wrong(music) -> None:
    model = PropensityModel("case-control").fit(music.log, music.graph)
    p = model.block(slice(None))
    rate = len(music.log.outcome) / p.size
    assert p.mean() == pytest.approx(rate, rel=0.02)
    odds = p / (1 - p)
    sampled = (1 - rate) / (3 * rate) * odds  # what the sample alone says
    assert (sampled / (1 + sampled)).mean() > 2 * rate


# --- folds over cells, factors -----------------------------------------------------------------


def test_folds_of_cells_are_even_and_independent_of_order() -> None:
    folds = CellFolds(5, seed=3)
    number = folds.block(np.arange(300), np.arange(200))
    share = np.bincount(number.ravel(), minlength=5) / number.size
    assert np.abs(share - 0.2).max() < 4 * np.sqrt(0.16 / number.size)
    by_user = (number == 0).mean(axis=1)
    assert by_user.var() == pytest.approx(0.16 / 200, rel=0.3)  # no user is in one fold
    np.testing.assert_array_equal(folds.of([7, 8], [9, 10]), [number[7, 9], number[8, 10]])
    assert (CellFolds(5, seed=4).block(np.arange(300), np.arange(200)) == number).mean() < 0.25


def test_a_fold_is_predicted_by_the_logit_of_the_other_cells() -> None:
    log = small(2)
    options = {"effect_regularization": 2.0, "tolerance": 1e-7}
    model = PropensityModel("logistic", cell_folds=3, **options).fit(log)
    folds = model._backend.folds
    number = folds.block(np.arange(log.n_users), np.arange(log.n_items))
    tables = log.users.assign(user_id=log.user_ids), log.items.assign(item_id=log.item_ids)
    for at in range(3):
        rows = folds.of(log.user_codes, log.item_codes) != at
        kept = log.select(rows)
        events = pd.DataFrame({
            "user_id": kept.user_codes, "item_id": kept.item_codes, "rating": kept.outcome
        })  # fmt: skip
        rest = cr.InteractionLog(events, *tables, eligible=number != at)
        apart = PropensityModel("logistic", **options).fit(rest).block(slice(None))
        np.testing.assert_allclose(model.block(slice(None))[number == at], apart[number == at],
                                   rtol=1e-4)  # fmt: skip
    u, i = np.divmod(np.arange(number.size), log.n_items)
    np.testing.assert_allclose(model.predict_codes(u, i), model.block(slice(None)).ravel())


@pytest.mark.parametrize("masked", [False, True])
def test_the_gradient_of_factors_is_the_slope(masked: bool) -> None:
    import scipy.sparse as sp

    rng = np.random.default_rng(0)
    allowed = rng.random((7, 5)) < 0.8
    seen = (rng.random((7, 5)) < 0.4) & allowed
    of = LowRankProblem(
        rng.normal(size=(7, 2)), rng.normal(size=(5, 2)), sp.csr_array(seen.astype(float)), 0.8,
        (lambda rows: allowed[rows]) if masked else None,
    )  # fmt: skip
    U, V = rng.normal(size=(7, 3)), rng.normal(size=(5, 3))
    logit = of.left @ of.right.T + U @ V.T
    cells = np.logaddexp(0, logit)[allowed if masked else np.ones_like(allowed)].sum()
    value, of_U, of_V = low_rank_derivatives(of, U, V)
    ridge = 0.4 * ((U * U).sum() + (V * V).sum())
    assert value == pytest.approx(cells - (U @ V.T)[seen].sum() + ridge)
    for array, gradient in ((U, of_U), (V, of_V)):
        for at in [(0, 0), (3, 2), (4, 1)]:
            array[at] += 1e-6
            up = low_rank_derivatives(of, U, V)[0]
            array[at] -= 2e-6
            down = low_rank_derivatives(of, U, V)[0]
            array[at] += 1e-6
            assert (up - down) / 2e-6 == pytest.approx(gradient[at], abs=1e-5)


# --- naive Bayes -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def not_at_random():
    return cr.simulate(
        "music", n_users=800, n_items=300, density=0.1, random_state=3,
        selection_on_rating=0.8, n_randomized=8000,
    )  # fmt: skip


def test_by_rating_it_is_schnabels_formula(not_at_random) -> None:
    log = not_at_random.log
    model = PropensityModel("naive-bayes").fit(log)
    selected, uniform = log.selected_part(), log.randomized_part()
    p = row_propensity(model, selected)
    for rating in (1.0, 3.0, 5.0):
        given = (selected.outcome == rating).mean() * selected.n_rows / selected.n_eligible
        expected = given / (uniform.outcome == rating).mean()
        np.testing.assert_allclose(p[selected.outcome == rating], expected)
    assert model.depends_on_outcome
    assert model.covariates_ == ()


def test_by_rating_it_repairs_selection_on_the_rating_where_the_others_stay_off(
    not_at_random,
) -> None:
    log, truth = not_at_random.log, not_at_random.truth["mean"]
    selected = log.selected_part()
    naive = selected.outcome.mean()
    by_rating = snips(selected, row_propensity(PropensityModel("naive-bayes").fit(log), selected))
    # Weighted so, the recorded ratings have the distribution of the slice: its standard error
    error = log.randomized_part().outcome.std() / np.sqrt(log.randomized_part().n_rows)
    assert abs(by_rating - truth) < 4 * error
    for method in ("logistic", "cloglog", "case-control", "low-rank", "popularity"):
        model = PropensityModel(method).fit(selected)
        at_random = snips(selected, row_propensity(model, selected))
        assert abs(at_random - truth) > 0.25 * abs(naive - truth), method
        assert abs(at_random - truth) > 8 * error, method


def test_by_rating_it_fails_where_something_else_is_at_work(music) -> None:
    # Selection by country and age: for groups the rating says little, and the diagnostics tell
    slice_log = cr.simulate(
        "music", n_users=1000, n_items=300, random_state=1, n_randomized=8000
    ).log
    by_rating = PropensityModel("naive-bayes").fit(slice_log)
    logistic = PropensityModel("logistic").fit(music.log, music.graph)
    lines = [balance(model, music.log) for model in (by_rating, logistic)]
    worst = [max(abs(line.after) for line in found if line.group == "all") for found in lines]
    assert worst[0] > 3 * worst[1]
    assert worst[0] > 0.1


def test_by_rating_it_serves_weights_but_no_outcome_model(not_at_random) -> None:
    class Constant:
        def predict(self, users, items):
            return np.full(len(users), 3.0)

    log = not_at_random.log
    selected = log.selected_part()
    model = PropensityModel("naive-bayes").fit(log)
    found = cr.evaluate({"three": Constant()}, selected, "mse", propensity=model, estimator="snips")
    ratings = not_at_random.potential.rating
    assert found.rows[0].value == pytest.approx(((ratings - 3.0) ** 2).mean(), abs=0.1)
    mean = cr.estimate_mean(selected, model, estimator="snips")
    for result in (found, mean):
        names = {one.name for one in result.assumptions}
        assert "recorded by the outcome alone" in names
        assert "missing at random" not in names
    cr.DebiasedMF("ips", n_factors=2).fit(selected, propensity=model)
    with pytest.raises(StudyError, match="depends on the outcome"):
        cr.evaluate({"three": Constant()}, selected, "mse", propensity=model, estimator="dr")
    with pytest.raises(StudyError, match="depends on the outcome"):
        cr.DebiasedMF("mrdr", n_factors=2).fit(selected, propensity=model)


def test_by_rating_cells_without_a_rating_have_no_propensity(not_at_random) -> None:
    log = not_at_random.log
    model = PropensityModel("naive-bayes").fit(log)
    with pytest.raises(DataError, match="asked of cells without one"):
        model.block(slice(0, 2))
    with pytest.raises(DataError, match="only recorded cells have a propensity"):
        model.predict_propensity([log.user_ids[0]] * 300, log.item_ids)
    selected = log.selected_part()
    u, i = selected.user_codes[:9], selected.item_codes[:9]
    np.testing.assert_allclose(
        cell_propensity(model, selected, u, i), row_propensity(model, selected)[:9]
    )
    # support is decided for all: a cell whose rating is unknown counts by the overall rate
    rate = selected.n_rows / selected.n_eligible
    assert grid_propensity(model, selected, slice(0, 1)).min() <= rate
    assert support(model, selected).share_unsupported == 0.0


def test_by_rating_it_can_learn_from_another_log(not_at_random) -> None:
    log = not_at_random.log
    beside = PropensityModel("naive-bayes", randomized=log.randomized_part())
    p = beside.fit(log.selected_part()).for_rows(log.selected_part())
    own = PropensityModel("naive-bayes").fit(log).for_rows(log.selected_part())
    np.testing.assert_array_equal(p, own)
    part, _ = log.selected_part().split(by="cell", test_size=0.4, random_state=0)
    of_part = row_propensity(beside, part)
    again = cell_propensity(beside, log.selected_part(), part.user_codes, part.item_codes)
    np.testing.assert_allclose(of_part, part.part.rate * again)


def test_by_rating_it_says_what_is_missing(music, not_at_random) -> None:
    with pytest.raises(StudyError, match="cells drawn at random"):
        PropensityModel("naive-bayes").fit(music.log)
    log = not_at_random.log
    few = log.randomized_part().select(log.randomized_part().outcome != 5.0)
    with pytest.raises(DataError, match="never occurs in the randomised slice"):
        PropensityModel("naive-bayes", randomized=few).fit(log.selected_part())


# --- classifiers, popularity, sizes ------------------------------------------------------------


def test_a_classifier_is_given_every_cell_of_a_small_grid() -> None:
    log = small(3)
    mine = PropensityModel(LogisticRegression(C=1 / 2.0, tol=1e-8, max_iter=2000)).fit(log)
    grid = PropensityModel(
        regularization=2.0, cross_regularization=2.0, user_effects=False, item_effects=False,
        tolerance=1e-8,
    ).fit(log)  # fmt: skip
    assert mine.method_ == "classifier"
    np.testing.assert_allclose(mine.block(slice(None)), grid.block(slice(None)), rtol=1e-3)
    assert any("fitted on all 3,000 cells" in note for note in mine.notes_)


def test_a_classifier_is_given_a_corrected_sample_of_a_large_grid(world, monkeypatch) -> None:
    from causalrec.nuisances import _cell_classifier

    log, _ = world
    exact = PropensityModel(LogisticRegression(max_iter=500)).fit(log).block(slice(None))
    monkeypatch.setattr(_cell_classifier, "MOST_ROWS", 1000)
    model = PropensityModel(classifier=LogisticRegression(max_iter=500)).fit(log)
    sampled = model.block(slice(None))
    # 24 groups of cells, each with some hundred cases and three times as many controls
    assert np.abs(np.log(sampled / exact)).mean() < 0.1
    assert any("its odds are multiplied" in note for note in model.notes_)
    trees = PropensityModel(HistGradientBoostingClassifier(max_iter=20)).fit(log)
    assert inverse_propensity_sum(trees, log) == pytest.approx(1.0, abs=0.1)


def test_popularity_as_a_power_law(music) -> None:
    log = music.log
    p = PropensityModel("popularity", popularity_exponent=0.5).fit(log).block(slice(0, 2))
    count = np.bincount(log.item_codes, minlength=log.n_items)
    shape = np.sqrt(np.maximum(count, 0.5) / count.max())
    np.testing.assert_allclose(p[0] / p[0].max(), shape / shape.max())
    np.testing.assert_array_equal(p[0], p[1])
    assert p[0].mean() == pytest.approx(log.n_rows / (log.n_users * log.n_items))


def test_auto_chooses_by_size_and_says_why(music, monkeypatch) -> None:
    model = PropensityModel().fit(music.log, music.graph)
    assert model.method_ == "logistic"
    (said,) = [note for note in model.notes_ if "method='auto'" in note]
    assert "3e+05 cells are few enough" in said
    of = problem_of(music.log, PropensityModel(), "auto")
    monkeypatch.setattr(fits, "LARGEST_GRID", 1e5)
    monkeypatch.setattr(fits, "MOST_PROFILE_PAIRS", 1e6)
    assert choose_method(of)[0] == "cloglog"
    monkeypatch.setattr(fits, "MOST_PROFILE_PAIRS", 10.0)
    method, (why,) = choose_method(of)
    assert method == "case-control"
    assert "pairs of profiles are more than" in why
    model = PropensityModel().fit(music.log, music.graph)
    assert model.method_ == "case-control"


def test_auto_takes_a_sample_where_not_all_cells_are_eligible(monkeypatch) -> None:
    events = pd.DataFrame({"user_id": [0, 1, 2], "item_id": [0, 1, 2], "rating": [1, 2, 3]})
    log = cr.InteractionLog(events, eligible=np.eye(3) + np.eye(3)[::-1] > 0)
    monkeypatch.setattr(fits, "LARGEST_GRID", 2)
    assert choose_method(problem_of(log, PropensityModel(), "auto"))[0] == "case-control"


@pytest.mark.parametrize("method", ["cloglog", "case-control", "low-rank"])
def test_the_same_bytes_twice_and_parts_of_splits(method, music) -> None:
    train, test = music.log.split(by="cell", test_size=0.3, random_state=2)
    model = PropensityModel(method).fit(train, music.graph)
    again = PropensityModel(method).fit(train, music.graph)
    users = slice(3, 7)
    assert model.block(users).tobytes() == again.block(users).tobytes()
    whole = grid_propensity(model, music.log, users)
    parts = grid_propensity(model, train, users) + grid_propensity(model, test, users)
    np.testing.assert_allclose(parts, whole, rtol=1e-12)
    for log in (train, test, music.log):
        assert inverse_propensity_sum(model, log) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"method": "cloglog", "classifier": LogisticRegression()}, "fits its own model"),
        ({"classifier": LogisticRegression(), "user_effects": True}, "A classifier sees features"),
        ({"method": "cloglog", "cell_folds": 3}, "cell_folds deals the cells"),
        ({"method": "logistic", "cell_folds": 1}, "cell_folds must be at least 2"),
        ({"method": "low-rank", "rank": 0}, "rank must be at least 1"),
        ({"method": "logistic", "popularity_exponent": 0.5}, "popularity_exponent is for"),
        ({"method": LogisticRegression(), "classifier": LogisticRegression()}, "Two classifiers"),
    ],
)
def test_options_that_mean_nothing_together_are_refused(music, parameters, words) -> None:
    with pytest.raises(StudyError, match=words):
        PropensityModel(**parameters).fit(music.log)


@pytest.mark.parametrize("method", ["cloglog", "case-control", "low-rank", "naive-bayes"])
def test_methods_of_cells_are_refused_on_candidates(method) -> None:
    shop = cr.simulate("shop", n_users=60, n_items=20, random_state=1)
    with pytest.raises(StudyError, match="for the cells of a rating log"):
        PropensityModel(method).fit(shop.log, shop.graph)


def test_ratings_of_a_slice_are_for_naive_bayes_only(music, not_at_random) -> None:
    with pytest.raises(StudyError, match="has no use for them"):
        PropensityModel("logistic", randomized=not_at_random.log).fit(music.log)


@pytest.mark.data
def test_coat(data_dir) -> None:
    folder = data_dir("coat")
    rating = np.loadtxt(folder / "train.ascii")
    u, i = np.nonzero(rating)
    sides = {}
    for side in ("user", "item"):
        flags = np.loadtxt(folder / "user_item_features" / f"{side}_features.ascii").astype(bool)
        frame = pd.DataFrame(flags, columns=[f"{side}_{k}" for k in range(flags.shape[1])])
        sides[side] = frame.assign(**{f"{side}_id": range(len(frame))})
    events = pd.DataFrame({"user_id": u, "item_id": i, "rating": rating[u, i]})
    log = cr.InteractionLog(events, sides["user"], sides["item"], outcome_range=(1, 5))
    out_of_fold = [
        PropensityModel("logistic", cell_folds=5),
        PropensityModel("low-rank", factor_regularization=3.0),
        PropensityModel("low-rank", factor_regularization=5.0, covariates=[]),
    ]
    for model in (PropensityModel("cloglog"), PropensityModel("case-control"), *out_of_fold[:2]):
        assert snips(log, model.fit(log).for_rows(log)) <= 2.36
    for model in out_of_fold:
        assert 0.95 <= inverse_propensity_sum(model.fit(log), log) <= 1.1
