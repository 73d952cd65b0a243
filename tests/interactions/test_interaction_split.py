"""Parts of a log: they partition it, and each knows what that does to a probability."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from causalrec.errors import DataError
from causalrec.interactions import InteractionLog


def random_log(seed: int, n: int = 60, exposure: bool = False) -> InteractionLog:
    rng = np.random.default_rng(seed)
    events = pd.DataFrame(
        {
            "user_id": rng.integers(0, 8, n),
            "item_id": rng.integers(0, 9, n),
            "rating": rng.permutation(np.arange(n) % 5),
            "row": np.arange(n),
            "at": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 20, n), unit="h"),
            "shown": np.arange(n) % 2,
        }
    )
    return InteractionLog(events, exposure="shown" if exposure else None, timestamp="at")


@given(
    seed=st.integers(0, 10**6),
    by=st.sampled_from(["cell", "user", "time"]),
    size=st.floats(0.05, 0.95),
)
def test_parts_partition_the_rows(seed: int, by: str, size: float) -> None:
    log = random_log(seed)
    train, test = log.split(by=by, test_size=size, random_state=seed)  # type: ignore[arg-type]
    rows = [*train.column("row"), *test.column("row")]
    assert sorted(rows) == list(range(log.n_rows))
    assert train.n_rows > 0
    assert test.n_rows > 0
    assert train.user_ids is test.user_ids is log.user_ids
    assert train.part is not None
    assert test.part is not None
    assert train.part.share + test.part.share == pytest.approx(1)
    keys = [set(zip(part.user_codes, part.item_codes, strict=True)) for part in (train, test)]
    if by == "cell":
        assert not keys[0] & keys[1]
        assert test.part.rate == len(keys[1]) / log.n_cells
        assert test.part.other_rate == train.part.rate
    elif by == "user":
        assert not set(train.user_codes) & set(test.user_codes)
    else:
        assert train.timestamp is not None
        assert test.timestamp is not None
        assert train.timestamp.max() < test.timestamp.min()
    if by != "cell":
        assert train.part.rate == test.part.rate == 1.0


def test_the_order_of_the_rows_plays_no_role() -> None:
    log = random_log(3)
    frame = log.events.assign(user_id=log.column("user_id"), item_id=log.column("item_id"))
    frame["rating"] = log.column("rating")
    shuffled = InteractionLog(frame.sample(frac=1, random_state=1))
    for by in ("cell", "user"):
        first = set(log.split(by=by)[1].column("row"))
        assert set(shuffled.split(by=by)[1].column("row")) == first
        assert set(log.split(by=by, random_state=1)[1].column("row")) != first


def test_users_of_the_other_part_are_not_in_its_grid() -> None:
    log = random_log(1)
    train, test = log.split(by="user", test_size=0.25)
    blocks = [part.eligible_block(slice(0, 8)) for part in (train, test)]
    assert blocks[0] is not None
    assert blocks[1] is not None
    assert (blocks[0] ^ blocks[1]).all()
    assert blocks[1].any(axis=1).sum() == 2
    assert test.n_eligible == 2 * log.n_items
    inner, _ = train.split(by="user", test_size=0.5)
    assert inner.n_eligible == 3 * log.n_items
    by_cell, _ = train.split(by="cell")
    assert by_cell.n_eligible == train.n_eligible


def test_eligible_cells_and_user_parts_combine() -> None:
    events = pd.DataFrame(
        {"user_id": [0, 1, 2, 3], "item_id": [0, 1, 0, 1], "rating": [1, 2, 3, 4]}
    )
    eligible = np.array([[1, 0], [1, 1], [1, 0], [0, 1]], dtype=bool)
    log = InteractionLog(events, eligible=eligible)
    for part in log.split(by="user", test_size=0.5):
        users = np.isin(np.arange(4), part.user_codes)
        block = part.eligible_block(slice(0, 4))
        assert block is not None
        assert (block == eligible & users[:, None]).all()


def test_only_ratings_split_by_cell_are_thinned() -> None:
    for part in random_log(0, exposure=True).split(by="cell"):
        assert part.part is not None
        assert part.part.rate == 1.0
        assert "unchanged" in part.part.population


def test_rates_multiply_when_parts_are_split() -> None:
    log = random_log(5)
    train, test = log.split(test_size=0.3)
    inner, validation = train.split(test_size=0.25)
    assert train.part is not None
    assert test.part is not None
    assert inner.part is not None
    assert validation.part is not None
    total = inner.part.rate + validation.part.rate + test.part.rate
    assert total == pytest.approx(1)
    assert inner.part.rate == pytest.approx(inner.n_cells / log.n_cells)
    assert validation.part.other_rate == inner.part.rate
    (of_users, _) = train.split(by="user")
    assert of_users.part is not None
    assert of_users.part.rate == train.part.rate


# 150 logs of 80 x 50 cells: the standard error of a share over the 600,000 cells is .0004, over the
# cells outside the training part (432,000) .0006; five of the larger are .003.
def test_probabilities_of_the_parts_are_what_they_say() -> None:
    rng = np.random.default_rng(0)
    p, size, n_logs = 0.4, 0.3, 150
    in_test = outside = 0
    for seed in range(n_logs):
        users, items = np.nonzero(rng.random((80, 50)) < p)
        frame = pd.DataFrame({"user_id": users, "item_id": items, "rating": np.arange(len(users))})
        train, test = InteractionLog(frame).split(test_size=size, random_state=seed)
        in_test += test.n_cells
        outside += 80 * 50 - train.n_cells
    part = test.part
    assert part is not None
    assert part.rate == pytest.approx(size, abs=1e-3)
    assert part.probability(p) == part.rate * p
    assert in_test / (80 * 50 * n_logs) == pytest.approx(part.probability(p), abs=0.003)
    over_outside = part.probability(np.array([p]), outside_other=True)[0]
    assert over_outside == pytest.approx(0.3 * 0.4 / (1 - 0.7 * 0.4), abs=1e-3)
    assert in_test / outside == pytest.approx(over_outside, abs=0.003)


def test_refusals() -> None:
    log = random_log(2)
    with pytest.raises(DataError, match="cell, user, time"):
        log.split(by="row")  # type: ignore[arg-type]
    for size in (0.0, 1.0, -1, 3):
        with pytest.raises(DataError, match="test_size"):
            log.split(test_size=size)
    events = pd.DataFrame(
        {"user_id": [1, 1], "item_id": [1, 1], "rating": [1, 2], "at": "2024-01-01"}
    )
    small = InteractionLog(events, timestamp="at")
    with pytest.raises(DataError, match="1 cell only"):
        small.split(by="cell")
    with pytest.raises(DataError, match="1 user only"):
        small.split(by="user")
    with pytest.raises(DataError, match="All 2 rows have the timestamp 2024-01-01"):
        small.split(by="time")
    with pytest.raises(DataError, match=r"timestamp=\.\.\."):
        InteractionLog(events).split(by="time")
