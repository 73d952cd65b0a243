"""New events move the users who have them to where all their events put them, and nobody else."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest

from causalrec import DebiasedMF, InteractionLog, load_model, simulate
from causalrec.errors import DataError, StudyError

EVERYTHING = slice(None)
MODELS = [
    ("naive", {}),
    ("snips", {"features": True}),
    ("ips", {"features": True, "features_as": "prior"}),
    ("ips", {"regularization_form": "count"}),
    ("dr", {}),
    ("mrdr", {}),
    ("mrdr", {"features": True, "features_as": "prior"}),
    ("eib", {}),
    ("stable_dr", {"biases": False}),
]


@pytest.fixture(scope="module")
def world():
    return simulate("music", n_users=60, n_items=40, density=0.3, random_state=0)


@pytest.mark.parametrize(("estimator", "options"), MODELS)
def test_users_move_to_where_all_their_events_put_them(world, estimator, options) -> None:
    log, p = world.log, world.potential.propensity
    late = (log.user_codes < 20) & (np.arange(log.n_rows) % 3 == 0)
    model = DebiasedMF(estimator, n_factors=3, n_sweeps=6, **options).fit(log.select(~late), p)
    before, whole = model.predict_block(EVERYTHING), model.fold_in(log, p)
    model.partial_fit(log.select(late), p)
    after = model.predict_block(EVERYTHING)
    moved = np.unique(log.user_codes[late])
    stayed = np.setdiff1d(np.arange(60), moved)
    np.testing.assert_allclose(after[moved], whole.predict_block(EVERYTHING)[moved], atol=1e-9)
    assert after[stayed].tobytes() == before[stayed].tobytes()
    np.testing.assert_array_equal(model._state.seen_items, whole._state.seen_items)
    np.testing.assert_array_equal(model._state.seen_pointer, whole._state.seen_pointer)


@pytest.mark.parametrize("features_as", ["regression", "prior"])
def test_new_users_join(world, features_as: str) -> None:
    log = world.log
    early = log.user_codes < 50
    model = DebiasedMF("ips", n_factors=2, features=True, features_as=features_as)
    frame = pd.DataFrame(
        {
            "user_id": log.user_ids[log.user_codes],
            "item_id": log.item_ids[log.item_codes],
            "rating": log.outcome,
        }
    )
    known, strangers = (
        InteractionLog(
            frame[who],
            log.users.loc[ids].reset_index(names="user_id"),
            log.items.reset_index(names="item_id"),
            outcome_range=log.outcome_range,
        )
        for who, ids in ((early, log.user_ids[:50]), (~early, log.user_ids[50:]))
    )
    model.fit(known, 0.3)
    alone = model.fold_in(strangers, 0.3).predict_block(EVERYTHING)
    model.partial_fit(strangers, 0.3)
    assert model.user_ids_.tolist() == log.user_ids.tolist()
    np.testing.assert_allclose(model.predict_block(EVERYTHING)[50:], alone, atol=1e-9)
    assert not model.explain(log.user_ids[55], log.item_ids[0]).ratings.empty


def test_a_later_event_of_a_cell_replaces_the_earlier(world) -> None:
    log = world.log
    model = DebiasedMF("naive", n_factors=2).fit(log)
    first, other = log.item_ids[log.item_codes[log.user_codes == log.user_codes[0]][:2]]
    user, item = log.user_ids[log.user_codes[0]], first
    changed = pd.DataFrame({"user_id": user, "item_id": [item, other], "rating": [5.0, 1.0]})
    model.partial_fit(InteractionLog(changed, outcome_range=(1, 5)))
    ratings = model.explain(user, item).ratings.set_index("item_id")
    assert ratings["outcome"].loc[item] == 5.0
    assert len(ratings) == int((log.user_codes == log.user_codes[0]).sum())


def test_events_that_cannot_be_added_are_refused(world, tmp_path) -> None:
    log = world.log
    model = DebiasedMF("ips", n_factors=2, n_sweeps=2).fit(log, 0.3)
    before = copy.copy(model)
    with pytest.raises(DataError, match="needs their propensity"):
        model.partial_fit(log)
    strange = InteractionLog(
        pd.DataFrame({"user_id": ["a", "c"], "item_id": ["b", "b"], "rating": [1.0, 2.0]})
    )
    with pytest.raises(DataError, match="Add items by their features first"):
        model.partial_fit(strange, 0.3)
    bare = load_model(model.save(tmp_path / "m", events=False))
    with pytest.raises(DataError, match="saved without the events"):
        bare.partial_fit(log, 0.3)
    sgd = DebiasedMF("naive", n_factors=2, n_sweeps=2, solver="sgd").fit(log)
    with pytest.raises(StudyError, match="partial_fit"):
        sgd.partial_fit(log)
    assert model.predict_block(EVERYTHING).tobytes() == before.predict_block(EVERYTHING).tobytes()
