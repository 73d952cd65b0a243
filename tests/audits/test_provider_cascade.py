"""Attention that stops where it is satisfied, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.audits import Cascade, browsing_weight
from causalrec.errors import StudyError

WORLD = cr.simulate("music", n_users=30, n_items=12, density=0.5, random_state=0)
KNOWN = np.random.default_rng(0).random((30, 12))


def relevance(users: pd.Index, items: pd.Index) -> np.ndarray:
    return KNOWN[WORLD.log.codes_of(users=users), WORLD.log.codes_of(items=items)]


def lists() -> tuple[pd.DataFrame, np.ndarray]:
    order = np.argsort(np.random.default_rng(1).random((30, 12)), axis=1)[:, :4]
    table = pd.DataFrame(
        {
            "user_id": np.repeat(WORLD.log.user_ids.to_numpy(), 4),
            "item_id": WORLD.log.item_ids.to_numpy()[order.ravel()],
            "rank": np.tile([1, 2, 3, 4], 30),
        }
    )
    return table.sample(frac=1.0, random_state=0), order


def test_attention_of_a_cascade_by_hand() -> None:
    table, order = lists()
    found = cr.audit(
        WORLD.log, table, item_groups="genre", estimators="naive", min_cell=1,
        browsing=Cascade(relevance, patience=0.9, satisfaction=0.6),
    )  # fmt: skip
    attention = np.zeros((30, 12))
    for user, own in enumerate(order):
        on = 1.0
        for place, item in enumerate(own):
            attention[user, item] = 0.9**place * on
            on *= 1.0 - 0.6 * KNOWN[user, item]
    genre = WORLD.log.items["genre"].to_numpy()
    for level in np.unique(genre):
        expected = attention[:, genre == level].mean()
        assert found[f"exposure@10: genre={level}"].value == pytest.approx(expected)
    assert any("0.9^(r - 1)" in note for note in found.notes)
    assert "0.6 x relevance" in found.provenance.config["browsing"]


def test_without_satisfaction_it_is_patience() -> None:
    table, _ = lists()
    options = {"item_groups": "genre", "estimators": "naive", "min_cell": 1}
    plain = cr.audit(WORLD.log, table, browsing=0.7, **options)
    same = cr.audit(WORLD.log, table, browsing=Cascade(relevance, 0.7, 0.0), **options)
    for level in ("pop", "rock"):
        label = f"exposure@10: genre={level}"
        assert same[label].value == pytest.approx(plain[label].value)


def test_what_is_no_probability_is_refused() -> None:
    table, _ = lists()
    with pytest.raises(StudyError, match="not a predicted rating"):
        cr.audit(WORLD.log, table, browsing=Cascade(lambda u, i: np.full(len(u), 3.5)))
    with pytest.raises(StudyError, match="they are probabilities"):
        Cascade(relevance, patience=1.2)
    with pytest.raises(StudyError, match="depends on the items above"):
        browsing_weight([1, 2], Cascade(relevance))
    found = cr.audit(WORLD.log, table, browsing=Cascade(relevance), measures="expected exposure",
                     relevance_threshold=4.0, min_cell=1)  # fmt: skip
    assert any("a cascade leaves open" in note for note in found.notes)
