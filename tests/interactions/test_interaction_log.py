"""What a log holds after construction, whatever it was made from."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import uuid
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from causalrec.errors import DataError
from causalrec.interactions import InteractionLog

EVENTS = pd.DataFrame(
    {
        "user_id": ["bob", "ann", "bob", "cem", "ann"],
        "item_id": [3, 1, 1, 3, 1],
        "rating": [4.0, 2.0, 5.0, 1.0, 3.0],
        "device": ["tv", "web", None, "tv", "web"],
    }
)
USERS = pd.DataFrame({"user_id": ["cem", "ann", "bob", "dan"], "age": [30.0, np.nan, 50.0, 20.0]})
ITEMS = pd.DataFrame({"item_id": [3, 1, 2], "genre": ["pop", "jazz", "pop"], "label": list("xyx")})

SHOP = pd.DataFrame(
    {
        "user_id": [1, 1, 2, 2, 2],
        "item_id": [1, 2, 1, 2, 3],
        "shown": [1, 0, 0, 1, 0],
        "bought": [1, 0, 1, 0, 0],
        "could": [True, True, True, True, False],
    }
)


def make(**keywords: Any) -> InteractionLog:
    return InteractionLog(EVENTS, USERS, ITEMS, **keywords)


def test_codes_follow_the_tables() -> None:
    log = make(provider="label", outcome_range=(1, 5))
    assert log.kind == "ratings"
    assert (log.n_rows, log.n_users, log.n_items, len(log)) == (5, 4, 3, 5)
    assert log.user_ids.tolist() == ["cem", "ann", "bob", "dan"]
    assert log.user_codes.tolist() == [2, 1, 2, 0, 1]
    assert log.item_codes.tolist() == [0, 1, 1, 0, 1]
    assert log.user_codes.dtype == log.item_codes.dtype == np.int32
    assert log.users.index.equals(log.user_ids)
    assert log.items.columns.tolist() == ["genre", "label"]
    assert log.events.columns.tolist() == ["device"]
    assert log.provider is not None
    assert log.provider_ids is not None
    assert log.provider_ids.take(log.provider).tolist() == ["x", "y", "x"]
    assert log.outcome_range == (1.0, 5.0)
    assert log.outcome_range_declared


def test_codes_are_sorted_without_tables() -> None:
    log = InteractionLog(EVENTS)
    assert log.user_ids.tolist() == ["ann", "bob", "cem"]
    assert log.item_ids.tolist() == [1, 3]
    assert log.outcome_range == (1.0, 5.0)
    assert not log.outcome_range_declared
    assert log.users.shape == (3, 0)


def test_ids_that_cannot_be_sorted_keep_their_order() -> None:
    log = InteractionLog(EVENTS.assign(user_id=[("b", 1), "a", ("b", 1), 7, "a"]))
    assert log.user_ids.tolist() == [("b", 1), "a", 7]
    assert log.user_codes.tolist() == [0, 1, 0, 2, 1]


IDS = st.one_of(
    st.lists(st.integers(-(2**63), 2**64 - 1), min_size=2),
    st.lists(st.text(max_size=5), min_size=2),
    st.lists(st.uuids(), min_size=2),
    st.lists(st.tuples(st.integers(), st.text(max_size=2)), min_size=2),
    st.lists(st.tuples(st.integers(0, 3)), min_size=2),
    st.lists(st.booleans(), min_size=2),
    st.lists(st.dates(), min_size=2),
)


@given(ids=IDS)
def test_codes_decode_to_the_ids(ids: list[Any]) -> None:
    outcome = np.arange(len(ids), dtype=float)
    column = pd.Series(ids, dtype=object)
    log = InteractionLog(pd.DataFrame({"user_id": column, "item_id": 0, "rating": outcome}))
    assert log.user_ids.take(log.user_codes).tolist() == ids
    assert log.user_ids.is_unique
    assert log.codes_of(users=ids).tolist() == log.user_codes.tolist()
    table = pd.DataFrame({"user_id": pd.Series(list(dict.fromkeys(ids)), dtype=object)})
    again = InteractionLog(
        pd.DataFrame({"user_id": column, "item_id": 0, "rating": outcome}), users=table
    )
    assert again.user_ids.take(again.user_codes).tolist() == ids


def test_every_library_makes_the_same_log() -> None:
    frames = {
        "pandas": (EVENTS, USERS, ITEMS),
        "polars": tuple(map(pl.from_pandas, (EVENTS, USERS, ITEMS))),
        "lazy": tuple(pl.from_pandas(frame).lazy() for frame in (EVENTS, USERS, ITEMS)),
        "arrow": tuple(
            pa.Table.from_pandas(frame, preserve_index=False) for frame in (EVENTS, USERS, ITEMS)
        ),
        "nullable": tuple(
            f.convert_dtypes(dtype_backend="pyarrow") for f in (EVENTS, USERS, ITEMS)
        ),
        "categories": (EVENTS.astype({"user_id": "category"}), USERS, ITEMS),
        "index": (EVENTS, USERS.set_index("user_id"), ITEMS.set_index("item_id")),
    }
    prints = {name: InteractionLog(*tables).fingerprint() for name, tables in frames.items()}
    assert len(set(prints.values())) == 1, prints


def test_ids_of_other_libraries_have_codes() -> None:
    log = make()
    for ids in (
        ["bob", "dan"],
        np.array(["bob", "dan"]),
        pl.Series(["bob", "dan"]),
        pa.array(["bob", "dan"]),
    ):
        assert log.codes_of(users=ids).tolist() == [2, 3]
    assert log.codes_of(items=[2, 3]).dtype == np.int32
    with pytest.raises(DataError, match=r"1 of 2 rows.*\ncarl\nPass ids of log.user_ids"):
        log.codes_of(users=["bob", "carl"])
    with pytest.raises(
        DataError, match=r"log.item_ids. They are text, the log's are integers: convert"
    ):
        log.codes_of(items=["1"])
    with pytest.raises(DataError, match="one of them"):
        log.codes_of()


def test_uuid_ids_match_between_tables() -> None:
    ids = [uuid.UUID(int=n) for n in (5, 3, 5, 4, 3)]
    users = pd.DataFrame({"user_id": [uuid.UUID(int=n) for n in (3, 4, 5)], "age": [1, 2, 3]})
    log = InteractionLog(EVENTS.assign(user_id=ids), users=users)
    assert log.column("age").tolist() == [3, 1, 3, 2, 1]


def test_columns_are_aligned_with_the_rows() -> None:
    log = make(provider="label")
    assert log.column("genre").tolist() == ["pop", "jazz", "jazz", "pop", "jazz"]
    assert log.column("label").tolist() == ["x", "y", "y", "x", "y"]
    assert log.column("rating").tolist() == EVENTS["rating"].tolist()
    assert log.column("user_id").tolist() == EVENTS["user_id"].tolist()
    assert log.column("item_id").tolist() == EVENTS["item_id"].tolist()
    assert log.column("genre").name == "genre"
    entities = {name: log.entity_of(name) for name in ("age", "genre", "label", "device", "rating")}
    assert entities == {
        "age": "user", "genre": "item", "label": "item", "device": "event", "rating": "event"
    }  # fmt: skip
    assert log.entity_of("user_id") == "user"
    assert log.entity_of("item_id") == "item"


def test_a_column_with_gaps_is_handed_out_only_on_demand() -> None:
    log = make()
    with pytest.raises(DataError) as caught:
        log.column("age")
    text = str(caught.value)
    for part in ("'age'", "2 of 5 rows", "1     ann        1", "4     ann        1", "'unknown'"):
        assert part in text
    assert log.column("age", missing="keep").isna().tolist() == [False, True, False, False, True]


def test_unknown_and_ambiguous_columns() -> None:
    log = make()
    with pytest.raises(DataError, match=r"no column 'gener'. Did you mean 'genre'"):
        log.column("gener")
    both = InteractionLog(EVENTS, USERS.assign(genre="pop"), ITEMS)
    with pytest.raises(DataError, match="tables of users and items"):
        both.entity_of("genre")


def test_provider_of_the_events_moves_to_the_items() -> None:
    log = InteractionLog(EVENTS.assign(label=["x", "y", "y", "x", "y"]), provider="label")
    assert log.entity_of("label") == "item"
    assert log.items["label"].tolist() == ["y", "x"]
    with pytest.raises(DataError, match="'label' of the items table has no value in 1 of 3"):
        InteractionLog(
            EVENTS.assign(label=["x", "y", "y", "x", "y"]),
            items=ITEMS[["item_id"]],
            provider="label",
        )


def test_cells_average_their_rows() -> None:
    log = make()
    cells = log.observed_cells()
    assert cells.users.tolist() == [0, 1, 2, 2]
    assert cells.items.tolist() == [0, 1, 0, 1]
    assert cells.outcome.tolist() == [1.0, 2.5, 4.0, 5.0]
    assert cells.rows is None
    assert len(cells) == log.n_cells == 4
    assert not log.one_row_per_cell
    assert "1 (averaged within their cell)" in log.summary()


def test_cells_of_candidates_are_the_exposed_ones() -> None:
    log = InteractionLog(SHOP, outcome="bought", exposure="shown")
    cells = log.observed_cells()
    assert cells.rows is not None
    assert cells.rows.tolist() == [0, 3]
    assert cells.outcome.tolist() == [1.0, 0.0]
    assert log.one_row_per_cell
    assert log.n_eligible == log.n_rows == 5


def test_ineligible_candidates_are_set_aside_and_counted() -> None:
    log = InteractionLog(SHOP, outcome="bought", exposure="shown", eligible="could")
    assert (log.n_rows, log.n_set_aside) == (4, 1)
    assert "1 of 5 rows were not eligible" in log.summary()
    assert log.item_ids.tolist() == [1, 2, 3]
    block = log.eligible_block(slice(0, 2))
    assert block is not None
    assert block.tolist() == [[True] * 3, [True, True, False]]
    with pytest.raises(DataError, match="'shown' is recorded for cells that are not eligible"):
        InteractionLog(
            SHOP.assign(could=False), outcome="bought", exposure="shown", eligible="could"
        )


@pytest.mark.parametrize("form", ["array", "pairs", "polars"])
def test_eligible_cells_by_blocks(form: str) -> None:
    array = np.array([[1, 1, 0], [0, 1, 0], [1, 1, 1], [0, 0, 0]], dtype=bool)
    users, items = np.nonzero(array)
    pairs = pd.DataFrame(
        {
            "user_id": USERS["user_id"].to_numpy()[users],
            "item_id": ITEMS["item_id"].to_numpy()[items],
        }
    )
    eligible = {"array": array, "pairs": pairs, "polars": pl.from_pandas(pairs)}[form]
    log = make(eligible=eligible)
    assert log.n_eligible == array.sum()
    for start in range(4):
        for stop in range(start, 6):
            block = log.eligible_block(slice(start, stop))
            assert block is not None
            assert block.tolist() == array[start:stop].tolist()
    assert make().eligible_block(slice(0, 4)) is None
    assert make().n_eligible == 12


def test_positives_refuse_what_needs_an_outcome() -> None:
    log = InteractionLog(EVENTS[["user_id", "item_id"]], outcome=None)
    assert log.kind == InteractionLog(EVENTS[["user_id", "item_id"]], kind="positives").kind
    assert log.kind == "positives"
    assert log.outcome is None
    assert log.n_cells == 4
    with pytest.raises(DataError) as caught:
        log.observed_cells()
    assert "outcome=..." in str(caught.value)
    with pytest.raises(DataError) as caught:
        log.require("candidates", purpose="the effect of exposure")
    for part in ("A log of positives", "the effect of exposure", "exposure=... (0/1)", "both arms"):
        assert part in str(caught.value)


def test_require_passes_and_lists_every_way() -> None:
    log = make()
    log.require("ratings", "candidates", purpose="a mean")
    with pytest.raises(DataError, match=r"candidates.*; or .*impressions"):
        log.require("candidates", "impressions", purpose="examination")
    with pytest.raises(
        DataError, match=r"no slate and no arm, which a policy's value needs.*slate="
    ):
        log.require_fields("slate", "arm", purpose="a policy's value")


def test_the_randomised_part() -> None:
    events = EVENTS.assign(uniform=[1, 0, 1, 0, 0])
    log = InteractionLog(events, USERS, ITEMS, randomized="uniform")
    assert log.randomized_part().n_rows == 2
    assert log.selected_part().n_rows == 3
    assert log.randomized_part().n_users == log.n_users
    everything = make(randomized=True)
    assert everything.randomized_part().n_rows == 5
    with pytest.raises(DataError, match="None of the log's 5 rows is selected"):
        everything.selected_part()
    with pytest.raises(DataError, match=r"Name the column.*randomized="):
        make().randomized_part()


def test_select_keeps_ids_and_tables() -> None:
    log = make(provider="label", outcome_range=(0, 9))
    part = log.select(np.array([True, False, False, True, False]))
    assert part.n_rows == 2
    assert part.user_ids is log.user_ids
    assert part.column("device").tolist() == ["tv", "tv"]
    assert part.outcome_range == (0.0, 9.0)
    assert part.provider is log.provider
    for mask in (np.ones(3, dtype=bool), np.array([0, 1]), np.zeros(5, dtype=bool)):
        with pytest.raises(DataError):
            log.select(mask)


def test_nothing_in_a_log_can_be_changed() -> None:
    events = EVENTS.copy()
    log = InteractionLog(events, USERS, ITEMS)
    before = log.fingerprint()
    events.loc[0, "rating"] = 1.0
    users, items = log.users, log.items
    users["age"] = 0.0
    items.loc[3, "genre"] = "rock"
    with pytest.raises(ValueError, match="read-only"):
        log.user_codes[0] = 1
    assert log.outcome is not None
    with pytest.raises(ValueError, match="read-only"):
        log.outcome[0] = 1
    with pytest.raises(FrozenInstanceError):
        log.kind = "positives"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        log.something = 1  # type: ignore[attr-defined]
    assert copy.deepcopy(log).with_note("x").notes == ("x",)
    assert log.select(np.ones(5, dtype=bool)).fingerprint() == before


def test_a_log_survives_pickling() -> None:
    log = make()
    assert pickle.loads(pickle.dumps(log)).fingerprint() == log.fingerprint()


def test_the_fingerprint_sees_every_part() -> None:
    logs = [
        make(),
        InteractionLog(EVENTS.assign(rating=[4, 2, 5, 1, 4]), USERS, ITEMS),
        InteractionLog(EVENTS, USERS.assign(age=1.0), ITEMS),
        InteractionLog(EVENTS.assign(device="tv"), USERS, ITEMS),
        make(outcome_range=(0, 5)),
        make(randomized=True),
        make(eligible=np.ones((4, 3), dtype=bool)),
        *make().split(),
    ]
    assert len({log.fingerprint() for log in logs}) == len(logs)


def test_the_fingerprint_does_not_depend_on_the_hash_seed() -> None:
    program = (
        "import pandas as pd; from causalrec.interactions import InteractionLog;"
        "e = pd.DataFrame({'user_id': list('bcab'), 'item_id': [('x',), ('y',), ('x',), ('z',)],"
        " 'rating': [1, 2, 3, 4]}); print(InteractionLog(e).split()[1].fingerprint())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_names_are_hostile_in_html() -> None:
    users = USERS.rename(columns={"age": "<script>alert(1)</script>"})
    html = InteractionLog(EVENTS, users, ITEMS)._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_summary_of_impressions() -> None:
    log = InteractionLog(
        EVENTS.assign(page=[1, 2, 1, 3, 2], rank=[1, 1, 2, 1, 2], p=0.5, at="2024-01-01"),
        slate="page",
        position="rank",
        logging_propensity="p",
        timestamp="at",
    )
    assert log.kind == "impressions"
    text = log.summary()
    for part in ("slates", "logging propensity", "2024-01-01", "event columns"):
        assert part in text
    assert str(log) == text
    assert repr(log) == "<InteractionLog of impressions: 5 rows, 3 users, 2 items>"
    assert log.column("page").tolist() == [1, 2, 1, 3, 2]
    assert log.column("rank").tolist() == [1, 1, 2, 1, 2]


def test_support_asks_the_propensity() -> None:
    class Asked:
        def support(self, log: InteractionLog, floor: float) -> tuple[int, float]:
            return log.n_rows, floor

    assert make().support(Asked(), floor=0.01) == (5, 0.01)
