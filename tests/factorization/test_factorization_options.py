"""Options and logs of a `DebiasedMF`: what goes together, what is kept, what is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from causalrec import DebiasedMF, InteractionLog, KnownPropensity, load_model, simulate, tune
from causalrec.errors import DataError, StudyError
from causalrec.factorization import regularization_path
from causalrec.factorization._early_stopping import HeldOut

EVERYTHING = slice(None)
ALL_OPTIONS = {
    "estimator": "stable_dr",
    "n_factors": 2,
    "regularization": 3.0,
    "regularization_form": "count",
    "features": ("age",),
    "feature_regularization": 2.0,
    "features_as": "regression",
    "imputation": "naive",
    "solver": "als",
    "n_sweeps": 7,
    "tol": 0.0,
    "learning_rate": 0.01,
    "clip_to_range": True,
    "dtype": "float32",
    "kernel": "scipy",
    "n_jobs": 2,
    "random_state": 5,
    "objective": "preference",
    "sensitivity": 1.0,
    "use_randomized": False,
    "popularity": "ignore",
    "popularity_exponent": 0.3,
    "biases": False,
    "early_stopping": 0.25,
    "patience": 4,
}


@pytest.fixture(scope="module")
def world():
    return simulate("music", n_users=120, n_items=60, random_state=0)


@pytest.fixture(scope="module")
def propensity(world) -> KnownPropensity:
    return KnownPropensity(world.potential.propensity)


@pytest.fixture(scope="module")
def likes() -> tuple[InteractionLog, np.ndarray]:
    """Return a log of positives, with the exposure that let them be seen."""
    rng = np.random.default_rng(0)
    relevance = 1.0 / (1.0 + np.exp(-2.0 * rng.normal(size=(50, 2)) @ rng.normal(size=(2, 30))))
    exposure = rng.uniform(0.3, 0.9, relevance.shape)
    users, items = np.nonzero(rng.random(relevance.shape) < relevance * exposure)
    events = pd.DataFrame({"user_id": users, "item_id": items})
    log = InteractionLog(
        events,
        users=pd.DataFrame({"user_id": range(50)}),
        items=pd.DataFrame({"item_id": range(30)}),
        outcome=None,
    )
    assert log.kind == "positives"
    return log, exposure


# ------------------------------------------------------------------ conventions


def test_every_option_is_cloned_pickled_and_set() -> None:
    model = DebiasedMF(**ALL_OPTIONS)
    assert model.get_params() == ALL_OPTIONS
    assert clone(model).get_params() == ALL_OPTIONS
    assert pickle.loads(pickle.dumps(model)).get_params() == ALL_OPTIONS
    assert DebiasedMF().set_params(**ALL_OPTIONS).get_params() == ALL_OPTIONS


@pytest.mark.parametrize(
    "options",
    [
        {"estimator": "eib", "biases": False},
        {"estimator": "stable_dr", "early_stopping": True},
        {"estimator": "dr", "biases": False, "solver": "svd"},
    ],
)
def test_a_fitted_model_survives_pickling_and_saving(world, propensity, tmp_path, options) -> None:
    model = DebiasedMF(n_factors=2, regularization=0.5, **options).fit(world.log, propensity)
    predicted = model.predict_block(EVERYTHING)
    loaded = load_model(model.save(tmp_path / "model"))
    for copied in (pickle.loads(pickle.dumps(model)), loaded):
        np.testing.assert_array_equal(copied.predict_block(EVERYTHING), predicted)
        np.testing.assert_array_equal(copied.validation_losses_, model.validation_losses_)
        assert copied.notes_ == model.notes_
    folded = [one.fold_in(world.log, propensity) for one in (model, loaded)]
    np.testing.assert_array_equal(*(one.predict_block(EVERYTHING) for one in folded))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"solver": "svd"}, "biases=False"),
        ({"solver": "svd", "biases": False, "estimator": "ips"}, "weighted cells"),
        ({"solver": "svd", "biases": False, "regularization_form": "count"}, "uniform"),
        ({"solver": "svd", "biases": False, "early_stopping": True}, "early_stopping"),
        ({"solver": "svd", "biases": False, "objective": "effect"}, "weighted cells"),
        ({"solver": "sgd", "biases": False}, "biases"),
        ({"features_as": "prior", "biases": False}, "biases=False"),
        ({"features_as": "prior", "early_stopping": True}, "early_stopping"),
        ({"biases": False, "n_factors": 0}, "nothing to fit"),
        ({"biases": 1}, "True or False"),
        ({"early_stopping": 1.0}, "share"),
        ({"early_stopping": "yes"}, "share"),
        ({"patience": 0}, "patience"),
        ({"estimator": "relmf", "early_stopping": True}, "relmf"),
        ({"estimator": "eib", "imputation": "ips"}, "no propensity"),
        ({"estimator": "eib", "use_randomized": True}, "use_randomized"),
        ({"estimator": "stable_dr", "objective": "effect"}, "two-arm"),
    ],
)
def test_options_that_mean_nothing_together_are_refused(world, options, says: str) -> None:
    with pytest.raises(StudyError, match=says):
        DebiasedMF(**{"estimator": "dr", **options}).fit(world.log, 0.2)


# ------------------------------------------------------------------ kinds of logs


def test_eib_needs_no_propensity_and_says_what_it_rests_on(world, propensity) -> None:
    alone = DebiasedMF("eib", n_factors=2, regularization=0.5).fit(world.log)
    told = DebiasedMF("eib", n_factors=2, regularization=0.5).fit(world.log, propensity)
    np.testing.assert_array_equal(alone.predict_block(EVERYTHING), told.predict_block(EVERYTHING))
    assert "as far as the imputation is right" in alone.notes_[0]
    assert alone.effective_sample_size_ == pytest.approx(len(world.log.observed_cells()))
    assert alone.fold_in(world.log).user_ids_.equals(alone.user_ids_)


def test_positives_train_by_relmf_under_a_declared_exposure(likes, tmp_path) -> None:
    log, exposure = likes
    model = DebiasedMF("relmf", n_factors=2, regularization=2.0, n_sweeps=800, tol=0.0)
    model.fit(log, exposure)
    predicted = model.predict_block(EVERYTHING)
    folded = model.fold_in(log, exposure)
    np.testing.assert_allclose(folded.predict_block(EVERYTHING), predicted, atol=1e-6)
    loaded = load_model(model.save(tmp_path / "likes"))
    np.testing.assert_array_equal(loaded.predict_block(EVERYTHING), predicted)
    seen = set(log.item_codes[log.user_codes == 0])
    assert not seen & set(model.recommend([0], k=30)["item_id"])
    why = model.explain(0, 3)
    assert why.score == pytest.approx(why.predicted, abs=1e-6)
    clipped = DebiasedMF("relmf", n_factors=2, regularization=2.0)
    clipped.fit(log, KnownPropensity(exposure, clip=0.45))
    assert clipped.share_clipped_ > 0


def test_relmf_with_certain_exposure_is_the_factorisation_of_the_indicator(likes) -> None:
    log, _ = likes
    model = DebiasedMF("relmf", n_factors=2, regularization=1.0, biases=False, solver="svd",
                       n_sweeps=300, tol=0.0).fit(log, 1.0)  # fmt: skip
    indicator = np.zeros((50, 30))
    indicator[log.user_codes, log.item_codes] = 1.0
    left, values, right = np.linalg.svd(indicator - indicator.mean(), full_matrices=False)
    kept = np.maximum(values[:2] - indicator.size / indicator.sum(), 0.0)
    expected = indicator.mean() + (left[:, :2] * kept) @ right[:2]
    np.testing.assert_allclose(model.predict_block(EVERYTHING), expected, atol=1e-8)


def test_what_a_kind_of_log_cannot_answer_is_refused_with_the_way_out(likes, world) -> None:
    log, exposure = likes
    with pytest.raises(DataError, match="estimator='relmf'"):
        DebiasedMF("naive").fit(log)
    with pytest.raises(DataError, match="declared exposure"):
        DebiasedMF("relmf").fit(log)
    with pytest.raises(DataError, match="not in one of ratings"):
        DebiasedMF("relmf").fit(world.log, 0.2)
    shop = simulate("shop", n_users=40, n_items=20, random_state=0)
    with pytest.raises(DataError, match="not in one of candidates"):
        DebiasedMF("relmf").fit(shop.log, 0.2)
    features = np.eye(30)
    with pytest.raises(StudyError, match="features_as='prior'"):
        DebiasedMF("relmf", n_factors=1).fit(log, exposure, item_features=features)


# ------------------------------------------------------------------ early stopping


@pytest.mark.parametrize("solver", ["als", "sgd"])
@pytest.mark.parametrize("estimator", ["naive", "ips", "mrdr"])
def test_early_stopping_fits_all_cells_with_the_best_number_of_sweeps(
    world, propensity, estimator: str, solver: str
) -> None:
    options = {"n_factors": 5, "regularization": 0.1, "tol": 0.0, "n_sweeps": 25, "solver": solver}
    model = DebiasedMF(estimator, early_stopping=0.2, patience=2, **options)
    model.fit(world.log, propensity)
    losses = model.validation_losses_
    best = int(np.argmin(losses)) + 1
    assert model.n_sweeps_ == best
    assert len(losses) == 25 or len(losses) == best + 2
    assert f"sweep {best} had the smallest" in model.notes_[-1]
    again = clone(model).fit(world.log, propensity)
    assert again.predict_block(EVERYTHING).tobytes() == model.predict_block(EVERYTHING).tobytes()
    if estimator != "mrdr":  # whose imputation takes all its sweeps
        plain = DebiasedMF(estimator, **{**options, "n_sweeps": best}).fit(world.log, propensity)
        np.testing.assert_array_equal(
            plain.predict_block(EVERYTHING), model.predict_block(EVERYTHING)
        )


def test_the_watched_loss_is_self_normalised_and_patience_is_counted_from_the_best() -> None:
    from causalrec.factorization._common import Factors

    cells = np.array([0, 1]), np.array([0, 0])
    watch = HeldOut(*cells, np.array([1.0, 4.0]), np.array([3.0, 1.0]), patience=2)
    none = np.zeros((2, 0)), np.zeros((1, 0)), np.zeros(2), np.zeros(1)
    stopped = [watch(Factors(mean, *none)) for mean in (0.0, 1.0, 0.0, 0.0)]
    assert watch.losses == [19 / 4, 9 / 4, 19 / 4, 19 / 4]
    assert stopped == [False, False, False, True]


# ------------------------------------------------------------------ the path


@pytest.mark.parametrize("estimator", ["ips", "dr"])
def test_the_path_reaches_what_a_cold_fit_reaches(world, propensity, estimator: str) -> None:
    base = DebiasedMF(estimator, n_factors=2, n_sweeps=600, tol=1e-10)
    path = regularization_path(base, world.log, propensity, n_values=5, smallest=0.05)
    frame = path.to_frame()
    assert frame["regularization"].is_monotonic_decreasing
    assert frame["interaction"].iloc[0] < 0.05 * frame["interaction"].iloc[-1]
    for ridge, model in zip(path.regularizations, path.models, strict=True):
        cold = clone(base).set_params(regularization=ridge).fit(world.log, propensity)
        assert model.regularization == ridge
        # Both stop where a sweep gains 1e-10 of the loss, from either side of a flat valley.
        reached, other = model.loss_history_[-1], cold.loss_history_[-1]
        assert reached <= other + 1e-4 * abs(other)
    assert base.regularization == 8.0


def test_a_path_of_named_ridges_is_walked_from_the_strongest(world, propensity) -> None:
    path = regularization_path(DebiasedMF("dr", n_factors=2, biases=False, solver="svd"),
                               world.log, propensity, regularizations=[1.0, 4.0])  # fmt: skip
    assert path.regularizations == (4.0, 1.0)
    assert path.models[1].predict_block(EVERYTHING).shape == (120, 60)
    for wrong in ({"regularizations": []}, {"n_values": 0}, {"smallest": 1.0}):
        with pytest.raises(StudyError):
            regularization_path(DebiasedMF("ips"), world.log, propensity, **wrong)


# ------------------------------------------------------------------ several estimators


def test_estimators_are_tuned_on_one_budget_and_compared_in_pairs(world, propensity) -> None:
    grid = {"estimator": ["naive", "eib", "ips", "mrdr"], "regularization": [1.0, 8.0]}
    base = DebiasedMF(n_factors=1, n_sweeps=5)
    found = tune(base, world.log, propensity, grid=grid, n_repeats=1)
    tables = {table.name: table for table in found.tables}
    assert len(tables["grid"].rows) == 8
    assert len(tables["differences"].rows) == 7
    assert [row[0] for row in tables["estimators"].rows] == grid["estimator"]
    assert found.model.estimator == found.selected["estimator"]
    again = clone(base).set_params(**found.selected).fit(world.log, propensity)
    np.testing.assert_array_equal(
        again.predict_block(EVERYTHING), found.model.predict_block(EVERYTHING)
    )
    values = {row.label: row.value for row in found.rows}
    chosen = next(row for row in tables["grid"].rows if row[-1])
    for name, gap, error, lower, upper in tables["differences"].rows:
        assert gap == pytest.approx(values[name] - chosen[2])
        assert lower < gap < upper
        # Paired: the difference is known better than either loss.
        assert error < 2.0 * max(row[3] for row in tables["grid"].rows)
    assert any(note.startswith("Rule:") for note in found.notes)
    assert "after selection" in found.notes[0]


def test_a_grid_is_checked_configuration_by_configuration(world) -> None:
    with pytest.raises(StudyError, match="nothing to fit"):
        tune(DebiasedMF("ips", biases=False), world.log, 0.2)
    grid = {"estimator": ["ips", "dr"]}
    with pytest.raises(StudyError, match="same outcomes"):
        tune(DebiasedMF("ips", popularity="remove"), world.log, 0.2, grid=grid)
