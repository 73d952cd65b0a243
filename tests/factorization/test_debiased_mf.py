"""`DebiasedMF` as its users meet it: conventions, predictions, lists, fold-in, refusals."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from causalrec import DebiasedMF, InteractionLog, KnownPropensity, simulate
from causalrec.errors import DataError, NotFittedError, StudyError
from causalrec.factorization import Recommender

ESTIMATORS = ["naive", "ips", "snips", "eib", "dr", "mrdr", "stable_dr"]


@pytest.fixture(scope="module")
def world():
    return simulate("music", n_users=80, n_items=40, random_state=0)


@pytest.fixture(scope="module")
def propensity(world) -> KnownPropensity:
    return KnownPropensity(world.potential.propensity)


@pytest.fixture(scope="module")
def model(world, propensity) -> DebiasedMF:
    return DebiasedMF("ips", n_factors=3, n_sweeps=5).fit(world.log, propensity)


# ---------------------------------------------------------------------- conventions


def test_constructor_stores_and_clone_copies() -> None:
    model = DebiasedMF("dr", n_factors=3, features=("age",), tol=0.0)
    copied = clone(model)
    assert copied.get_params() == model.get_params()
    assert copied is not model
    assert model.set_params(n_factors=5).n_factors == 5
    assert repr(model) == "DebiasedMF(estimator='dr', n_factors=5, features=('age',), tol=0.0)"


def test_set_params_names_the_near_miss() -> None:
    with pytest.raises(StudyError, match="Did you mean 'n_factors'"):
        DebiasedMF().set_params(n_factor=3)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_fit_returns_self_and_fills_the_attributes(world, propensity, estimator: str) -> None:
    model = DebiasedMF(estimator, n_factors=3, n_sweeps=4)
    assert model.fit(world.log, propensity) is model
    assert model.user_factors_.shape == (80, 3)
    assert model.item_factors_.shape == (40, 3)
    assert model.user_biases_.shape == (80,)
    assert model.item_biases_.shape == (40,)
    assert np.isfinite(model.intercept_)
    assert len(model.loss_history_) == model.n_sweeps_ <= 4
    assert model.solver_path_ == "scipy"
    assert model.share_clipped_ == 0.0
    assert 0 < model.effective_sample_size_ <= world.log.n_rows
    assert model.notes_


def test_effective_sample_size_is_kishs(world, propensity) -> None:
    cells = world.log.observed_cells()
    w = 1.0 / world.potential.propensity[cells.users, cells.items]
    ips = DebiasedMF("ips", n_sweeps=1).fit(world.log, propensity)
    naive = DebiasedMF("naive", n_sweeps=1).fit(world.log, propensity)
    assert ips.effective_sample_size_ == pytest.approx(w.sum() ** 2 / (w**2).sum())
    assert naive.effective_sample_size_ == pytest.approx(len(cells))


def test_before_fit_is_an_error_of_both_libraries() -> None:
    with pytest.raises(NotFittedError, match="not fitted yet"):
        DebiasedMF().predict([1], [1])


def test_naive_needs_no_propensity_and_others_say_that_one_was_fitted(world) -> None:
    naive = DebiasedMF("naive", n_sweeps=2).fit(world.log)
    assert "selection is not corrected" in naive.notes_[0]
    fitted = DebiasedMF("ips", n_sweeps=2).fit(world.log, graph=world.graph)
    assert "No propensity was given" in fitted.notes_[0]


@pytest.mark.parametrize("solver", ["als", "sgd"])
def test_a_second_fit_forgets_the_first_and_repeats_the_bytes(
    world, propensity, solver: str
) -> None:
    model = DebiasedMF("mrdr", n_factors=3, n_sweeps=4, solver=solver)
    once = model.fit(world.log, propensity).predict_block(slice(None)).tobytes()
    model.fit(world.log.split()[0], propensity)
    assert model.fit(world.log, propensity).predict_block(slice(None)).tobytes() == once


def test_another_seed_is_another_start(world, propensity) -> None:
    one, two = (
        DebiasedMF("ips", n_factors=3, n_sweeps=2, random_state=seed).fit(world.log, propensity)
        for seed in (0, 1)
    )
    assert not np.allclose(one.item_factors_, two.item_factors_)


def test_training_part_of_a_split_uses_its_own_propensities(world, propensity) -> None:
    train, _ = world.log.split(test_size=0.5)
    known = world.potential.propensity * train.part.rate
    by_hand = DebiasedMF("dr", n_factors=2, n_sweeps=3).fit(
        train, KnownPropensity(known, sampling_rate=train.part.rate)
    )
    rescaled = DebiasedMF("dr", n_factors=2, n_sweeps=3).fit(train, propensity)
    np.testing.assert_allclose(
        by_hand.predict_block(slice(None)), rescaled.predict_block(slice(None))
    )


THREADS = """
import hashlib, sys
from causalrec import DebiasedMF, KnownPropensity, simulate
world = simulate("music", n_users=3000, n_items=40, random_state=0)
p = KnownPropensity(world.potential.propensity)
model = DebiasedMF("mrdr", n_factors=6, n_sweeps=2, kernel="numba", n_jobs=int(sys.argv[1]),
                   features=True).fit(world.log, p)
lists = model.recommend(k=3)
print(hashlib.sha256(model.predict_block(slice(None)).tobytes()).hexdigest(),
      hashlib.sha256(lists.to_csv().encode()).hexdigest())
"""


def test_threads_and_hash_seed_change_no_byte() -> None:
    found = set()
    for threads in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": threads}
        environment |= {"OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
        found.add(
            subprocess.run(
                [sys.executable, "-c", THREADS, threads],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
    assert len(found) == 1


# ---------------------------------------------------------------------- predictions


def test_predictions_agree_by_id_by_code_and_by_block(model) -> None:
    assert isinstance(model, Recommender)
    users, items = np.array([0, 5, 79]), np.array([3, 3, 39])
    by_code = model.predict_codes(users, items)
    by_id = model.predict(model.user_ids_[users], model.item_ids_[items].tolist())
    np.testing.assert_array_equal(by_code, by_id)
    np.testing.assert_allclose(model.predict_block(slice(0, 80))[users, items], by_code)
    left, right = model.factors()
    np.testing.assert_allclose((left @ right.T)[users, items], by_code)


def test_predictions_are_cut_only_when_asked(world, propensity) -> None:
    wild = DebiasedMF("ips", regularization=0.01, n_factors=5).fit(world.log, propensity)
    assert wild.predict_block(slice(None)).max() > world.log.outcome_range[1]
    wild.set_params(clip_to_range=True)
    block = wild.predict_block(slice(None))
    assert (block.min(), block.max()) == world.log.outcome_range


def test_unknown_ids_and_lengths_are_named(model) -> None:
    with pytest.raises(DataError, match=r"1 of 2 user ids are unknown to the model: 'nobody'"):
        model.predict([model.user_ids_[0], "nobody"], model.item_ids_[:2])
    with pytest.raises(DataError, match="fold_in"):
        model.recommend(["nobody"])
    with pytest.raises(DataError, match="aligned pairs"):
        model.predict(model.user_ids_[:2], model.item_ids_[:3])


# ---------------------------------------------------------------------- lists


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_lists_are_the_sorted_predictions(world, model, exclude_seen: bool) -> None:
    found = model.recommend(k=4, exclude_seen=exclude_seen)
    assert list(found.columns) == ["user_id", "rank", "item_id", "score"]
    scores = model.predict_block(slice(None)).copy()
    if exclude_seen:
        cells = world.log.observed_cells()
        scores[cells.users, cells.items] = -np.inf
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :4]
    shown = model.item_ids_.get_indexer(found["item_id"]).reshape(-1, 4)
    np.testing.assert_array_equal(shown, expected)
    np.testing.assert_array_equal(found["rank"].to_numpy().reshape(-1, 4)[0], [1, 2, 3, 4])


def test_lists_of_many_users_do_not_depend_on_the_blocks(world, model) -> None:
    everybody = model.recommend(k=3)
    some = model.recommend(model.user_ids_[[7, 3]], k=3)
    for user in model.user_ids_[[7, 3]]:
        one, other = (f[f["user_id"] == user].reset_index(drop=True) for f in (everybody, some))
        pd.testing.assert_frame_equal(one, other)
    assert some["user_id"].tolist() == [model.user_ids_[7]] * 3 + [model.user_ids_[3]] * 3


def test_equal_items_keep_the_tables_order() -> None:
    events = pd.DataFrame({"user_id": [1, 2], "item_id": ["a", "b"], "rating": [1.0, 5.0]})
    items = pd.DataFrame({"item_id": ["b", "a", "z", "y"]})
    log = InteractionLog(events, items=items)
    lists = DebiasedMF("naive", n_factors=0).fit(log).recommend([1], k=4)
    assert lists["item_id"].tolist() == ["b", "z", "y"]  # a was seen; z and y are equal


def test_a_list_of_nothing_is_refused(model) -> None:
    with pytest.raises(StudyError, match="at least 1"):
        model.recommend(k=0)


# ---------------------------------------------------------------------- fold-in


@pytest.mark.parametrize("features", [False, True])
@pytest.mark.parametrize("form", ["uniform", "count"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_folding_the_training_users_in_again_returns_them(
    world, propensity, estimator: str, form: str, features: bool
) -> None:
    """At convergence the users' normal equations hold, so solving them again moves nobody."""
    model = DebiasedMF(
        estimator,
        n_factors=2,
        n_sweeps=1_500,
        tol=0.0,
        features=features,
        regularization_form=form,
        regularization=4.0,
    ).fit(world.log, propensity)
    folded = model.fold_in(world.log, propensity)
    np.testing.assert_allclose(
        folded.predict_block(slice(None)), model.predict_block(slice(None)), atol=1e-6
    )


def test_new_users_get_their_own_taste_and_lists(world, model) -> None:
    most_active = np.argsort(np.bincount(world.log.user_codes))[-2:]
    first = world.log.select(np.isin(world.log.user_codes, most_active))
    events = pd.DataFrame(
        {
            "user_id": np.where(first.user_codes == most_active[0], "new", "newer"),
            "item_id": first.item_ids[first.item_codes],
            "rating": first.outcome,
        }
    )
    folded = model.fold_in(InteractionLog(events), 0.2)
    assert sorted(folded.user_ids_) == ["new", "newer"]
    assert folded.item_ids_.equals(model.item_ids_)
    seen = set(events.loc[events["user_id"] == "new", "item_id"])
    assert not seen & set(folded.recommend(["new"], k=40)["item_id"])
    assert model.user_ids_.tolist() != folded.user_ids_.tolist()  # the model itself is unchanged


def test_fold_in_refuses_what_it_cannot_know(world, model) -> None:
    events = pd.DataFrame({"user_id": ["n", "n"], "item_id": ["x", "y"], "rating": [2.0, 3.0]})
    with pytest.raises(DataError, match="Items cannot be folded in"):
        model.fold_in(InteractionLog(events), 0.2)
    with pytest.raises(DataError, match="needs the propensity"):
        model.fold_in(world.log)


# ---------------------------------------------------------------------- kinds and options


def test_candidates_train_on_the_exposed_cells() -> None:
    shop = simulate("shop", n_users=60, n_items=30, random_state=0)
    model = DebiasedMF("ips", n_factors=2, n_sweeps=3).fit(shop.log, 0.3)
    exposed = int(shop.log.exposure.sum())
    assert model.effective_sample_size_ == pytest.approx(exposed)


def test_positives_cannot_be_debiased() -> None:
    events = pd.DataFrame({"user_id": [1, 1, 2], "item_id": [1, 2, 1]})
    with pytest.raises(DataError, match="DebiasedMF"):
        DebiasedMF("naive").fit(InteractionLog(events, outcome=None))


def test_a_propensity_of_zero_for_what_was_observed_is_refused(world) -> None:
    with pytest.raises(DataError, match="zero"):
        DebiasedMF("ips").fit(world.log, np.zeros((80, 40)))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("estimator", "mrrd"),
        ("n_factors", -1),
        ("n_factors", 2.5),
        ("regularization", -1.0),
        ("regularization", float("nan")),
        ("regularization", "much"),
        ("feature_regularization", float("inf")),
        ("n_sweeps", 0),
        ("solver", "adam"),
        ("dtype", "int8"),
        ("imputation", "mean"),
        ("regularization_form", "counts"),
        ("kernel", "cuda"),
        ("n_jobs", True),
    ],
)
def test_options_that_mean_nothing_are_refused_at_fit(world, option: str, value) -> None:
    model = DebiasedMF().set_params(**{option: value})
    with pytest.raises(StudyError, match=option):
        model.fit(world.log, 0.2)


@pytest.mark.parametrize("imputation", ["constant", "biases", "naive", "ips"])
def test_every_imputation_trains(world, propensity, imputation: str) -> None:
    model = DebiasedMF("dr", imputation=imputation, n_factors=2, regularization=30.0)
    assert np.isfinite(model.fit(world.log, propensity).predict_block(slice(None))).all()


def test_float32_is_near_float64(world, propensity) -> None:
    single, double = (
        DebiasedMF("mrdr", n_factors=2, n_sweeps=5, dtype=dtype).fit(world.log, propensity)
        for dtype in ("float32", "float64")
    )
    assert single.user_factors_.dtype == np.float32
    np.testing.assert_allclose(
        single.predict_block(slice(None)), double.predict_block(slice(None)), atol=2e-3
    )


def test_ids_of_another_type_are_told_from_unknown_ones() -> None:
    events = pd.DataFrame({"user_id": ["a", "a", "b"], "item_id": [1, 2, 1],
                           "rating": [1.0, 2.0, 3.0]})  # fmt: skip
    model = DebiasedMF("naive", n_factors=1).fit(InteractionLog(events))
    with pytest.raises(DataError, match="knows 1, of type int, and not '1', of type str"):
        model.predict(["a"], ["1"])
    with pytest.raises(DataError, match=r"one user id, not a sequence of them: pass \['a'\]"):
        model.recommend("a")


def test_tuples_are_ids_like_others() -> None:
    events = pd.DataFrame({"user_id": ["a", "a", "b"], "item_id": [("x", 1), ("x", 2), ("x", 1)],
                           "rating": [1.0, 2.0, 3.0]})  # fmt: skip
    model = DebiasedMF("naive", n_factors=1).fit(InteractionLog(events))
    assert model.predict(["a", "b"], [("x", 1), ("x", 2)]).shape == (2,)


def test_factors_that_the_ridge_has_left_nothing_of_are_told(world) -> None:
    gone = DebiasedMF("ips", n_factors=2, regularization=1e4).fit(world.log, 0.2)
    assert "Nothing is left of the 2 factors at regularization=10000" in gone.notes_[-1]
    kept = DebiasedMF("ips", n_factors=2, regularization=0.1).fit(world.log, 0.2)
    assert not any("Nothing is left" in note for note in kept.notes_)
