"""Lists hold what a user could be shown: eligibility as the log declares it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from causalrec import DebiasedMF, InteractionLog, load_model
from causalrec.factorization._eligible_items import EligibleItems
from causalrec.factorization._ranking import ranked_blocks


def _log(share: float, seed: int = 0) -> tuple[InteractionLog, np.ndarray]:
    rng = np.random.default_rng(seed)
    eligible = rng.random((30, 20)) < share
    users, items = np.nonzero(eligible & (rng.random((30, 20)) < 0.6))
    events = pd.DataFrame({"user_id": users, "item_id": items})
    events["rating"] = rng.integers(1, 6, len(events)).astype(float)
    everybody = pd.DataFrame({"user_id": range(30)})
    every_item = pd.DataFrame({"item_id": range(20), "x": rng.normal(size=20)})
    log = InteractionLog(
        events, users=everybody, items=every_item, eligible=eligible, outcome_range=(1, 5)
    )
    return log, eligible


@pytest.mark.parametrize("share", [0.3, 0.8])
@pytest.mark.parametrize("kernel", ["scipy", "numba"])
def test_lists_hold_eligible_items_only(share: float, kernel) -> None:
    log, eligible = _log(share)
    model = DebiasedMF("naive", n_factors=2, n_sweeps=3).fit(log)
    assert model._state.eligible.listed_are_eligible == (share < 0.5)
    users = np.arange(30)
    for seen in (True, False):
        blocks = list(ranked_blocks(model._state, users, 20, exclude_seen=seen, kernel=kernel))
        listed = np.zeros((30, 20), dtype=bool)
        for user, _, item, _ in blocks:
            listed[user, item] = True
        expected = eligible.copy()
        if seen:
            expected[log.user_codes, log.item_codes] = False
        np.testing.assert_array_equal(listed, expected)


def test_all_items_are_listed_on_demand_and_where_nothing_is_declared() -> None:
    log, _ = _log(0.5)
    model = DebiasedMF("naive", n_factors=2, n_sweeps=3).fit(log)
    everything = model.recommend(k=20, exclude_seen=False, eligible_only=False)
    assert len(everything) == 600
    frame = pd.DataFrame({"user_id": log.user_codes, "item_id": log.item_codes})
    plain = InteractionLog(frame.assign(rating=log.outcome), outcome_range=(1, 5))
    assert EligibleItems.of(plain) is None


def test_newcomers_are_eligible_and_a_saved_model_remembers(tmp_path) -> None:
    log, eligible = _log(0.3)
    model = DebiasedMF("naive", n_factors=2, n_sweeps=3, features=True).fit(log)
    grown = model.extend(items=log.items.iloc[:1].set_axis([99]))
    lists = grown.recommend(k=21, exclude_seen=False)
    assert (lists["item_id"] == 99).sum() == 30
    assert len(lists) == eligible.sum() + 30
    loaded = load_model(grown.save(tmp_path / "m"))
    pd.testing.assert_frame_equal(loaded.recommend(k=21, exclude_seen=False), lists)


def test_folded_users_bring_their_own_eligibility() -> None:
    log, _ = _log(0.3)
    later, eligible = _log(0.3, seed=1)
    model = DebiasedMF("naive", n_factors=2, n_sweeps=3).fit(log)
    lists = model.fold_in(later).recommend(k=20, exclude_seen=False)
    assert eligible[lists["user_id"], lists["item_id"]].all()
    assert len(lists) == eligible.sum()
