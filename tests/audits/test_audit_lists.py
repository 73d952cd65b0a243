"""Lists of a model and of a table: what is ranked, what is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.audits._lists import lists_of_model
from causalrec.errors import DataError, StudyError

WORLD = cr.simulate("music", n_users=60, n_items=30, density=0.2, random_state=0)


def by_item(users: pd.Index, items: pd.Index) -> np.ndarray:
    return -np.asarray(items, dtype=np.float64)


def table() -> pd.DataFrame:
    users = WORLD.log.user_ids[:20]
    return pd.DataFrame(
        {
            "user_id": np.repeat(users, 3),
            "item_id": np.tile(WORLD.log.item_ids[:3], 20),
            "rank": np.tile([1, 2, 3], 20),
        }
    )


def test_lists_are_the_best_unseen_items_with_ties_in_item_order() -> None:
    log = WORLD.log
    lists = lists_of_model(by_item, log, log, k=4, exclude_seen=True, browsing="log")
    seen = set(zip(log.user_codes.tolist(), log.item_codes.tolist(), strict=True))
    for user in range(log.n_users):
        expected = [i for i in range(log.n_items) if (user, i) not in seen][:4]
        assert lists.items[lists.users == user].tolist() == expected
    constant = lists_of_model(
        lambda u, i: np.zeros(len(u)), log, log, k=3, exclude_seen=False, browsing="log"
    )
    assert constant.items.reshape(-1, 3).tolist() == [[0, 1, 2]] * log.n_users


def test_lists_hold_eligible_items_only() -> None:
    eligible = np.ones((60, 30), dtype=bool)
    eligible[:, :10] = False
    shown = WORLD.events[WORLD.events["item_id"] >= WORLD.log.item_ids[10]]
    log = cr.InteractionLog(
        shown, users=WORLD.users, items=WORLD.items, eligible=eligible, outcome_range=(1, 5)
    )
    lists = lists_of_model(by_item, log, log, k=5, exclude_seen=False, browsing="log")
    assert (lists.items >= 10).all()


def test_seen_and_popular_come_from_the_training_part() -> None:
    train, test = WORLD.log.split(test_size=0.5, random_state=0)
    lists = lists_of_model(by_item, test, train, k=30, exclude_seen=True, browsing="log")
    keys = set(zip(lists.users.tolist(), lists.items.tolist(), strict=True))
    assert not keys & set(zip(train.user_codes.tolist(), train.item_codes.tolist(), strict=True))
    assert keys >= set(zip(test.user_codes.tolist(), test.item_codes.tolist(), strict=True))


def test_model_and_its_own_lists_are_audited_alike() -> None:
    lists = lists_of_model(by_item, WORLD.log, WORLD.log, k=5, exclude_seen=True, browsing="log")
    frame = pd.DataFrame(
        {
            "user_id": WORLD.log.user_ids[lists.users],
            "item_id": WORLD.log.item_ids[lists.items],
            "rank": lists.rank,
        }
    ).sample(frac=1.0, random_state=0)
    options = {"item_groups": "label_group", "k": 5, "estimators": "naive", "min_cell": 2}
    model = cr.audit(WORLD.log, by_item, **options)
    given = cr.audit(WORLD.log, frame, **options)
    for row in model.rows:
        if row.estimator == "lists":
            assert given[row.label].value == pytest.approx(row.value)
            assert given[row.label].lower == pytest.approx(row.lower)


def test_other_frames_and_long_lists() -> None:
    polars = pytest.importorskip("polars")
    found = cr.audit(WORLD.log, polars.from_pandas(table()), k=2)
    assert "20 places beyond 2 were left out of the lists." in found.notes
    assert any(note.startswith("40 of 60 users have no list") for note in found.notes)
    assert any("places hold items seen before" in note for note in found.notes)


Change = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="rank"), "no column 'rank'"),
        (lambda t: t.rename(columns={"item_id": "item"}), "Did you mean 'item'"),
        (lambda t: t.assign(rank=t["rank"] - 1), "add 1 to ranks that begin at 0"),
        (lambda t: t.assign(rank=t["rank"] + 0.5), "'rank' is no place of a list in 60 of 60"),
        (lambda t: t.assign(rank=1), "'rank' occurs twice in the list of a user in 40 of 60"),
        (lambda t: t.assign(item_id=t["item_id"].iloc[0]), "'item' occurs twice"),
        (lambda t: t.assign(user_id=-5), "user"),
        (lambda t: t.assign(item_id=t["item_id"].where(t["rank"] > 1)), "'item_id' has no value"),
        (lambda t: t.iloc[:0], "has no rows"),
    ],
)
def test_tables_that_are_no_lists_are_refused(change: Change, message: str) -> None:
    with pytest.raises(DataError, match=message):
        cr.audit(WORLD.log, change(table()))


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (None, {}, "nothing to audit"),
        ({"a": by_item}, {}, "one model or one table"),
        (3, {}, "neither a model"),
        (by_item, {"k": 0}, "at least 1"),
        (by_item, {"tail_share": 1.0}, "between 0 and 1"),
        (by_item, {"sampled": ()}, "means nothing for an audit"),
        (None, {"user_groups": "country", "metrics": "mse"}, "pass the model"),
    ],
)
def test_questions_that_mean_nothing_are_refused(
    given: object, options: dict[str, object], message: str
) -> None:
    with pytest.raises(StudyError, match=message):
        cr.audit(WORLD.log, given, **options)


def test_groups_that_live_elsewhere_are_refused() -> None:
    with pytest.raises(DataError, match="pass it as item_groups, not user_groups"):
        cr.audit(WORLD.log, user_groups="genre", estimators="naive")
    with pytest.raises(DataError, match="is the id of the users"):
        cr.audit(WORLD.log, user_groups="user_id", estimators="naive")


def test_positives_are_audited_by_lists_only() -> None:
    log = cr.InteractionLog(WORLD.events, users=WORLD.users, items=WORLD.items, outcome=None)
    with pytest.raises(DataError, match="pass a model or a table of lists"):
        cr.audit(log, user_groups="country")
    found = cr.audit(log, by_item, user_groups="country", min_cell=5)
    assert {row.metric for row in found.gaps} == {"popularity lift"}
