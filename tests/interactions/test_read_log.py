"""Logs from files."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from causalrec.errors import DataError
from causalrec.interactions import Columns, InteractionLog, read_log

EVENTS = pd.DataFrame(
    {
        "user_id": [1, 2, 1, 3],
        "item_id": ["a", "b", "b", "a"],
        "shown": [True, False, True, False],
        "bought": [0, 1, 1, 0],
        "at": ["2024-01-01T00:00:00+09:00", "2024-01-02T00:00:00+09:00"] * 2,
    }
)
USERS = pd.DataFrame({"user_id": [3, 2, 1], "gender": ["f", "m", "f"]})
ITEMS = pd.DataFrame({"item_id": ["b", "a"], "price": [1.5, 2.5]})
NAMES = Columns(outcome="bought", exposure="shown", timestamp="at")


@pytest.fixture
def expected() -> str:
    return InteractionLog(EVENTS, USERS, ITEMS, columns=NAMES).fingerprint()


def write(folder: Path, ending: str) -> list[Path]:
    paths = [folder / f"{name}.{ending}" for name in ("events", "users", "items")]
    for path, frame in zip(paths, (EVENTS, USERS, ITEMS), strict=True):
        if ending == "parquet":
            frame.to_parquet(path)
        else:
            frame.to_csv(path, index=False, sep="\t" if "tsv" in ending else ",")
    return paths


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "it's a shop.duckdb"
    with duckdb.connect(str(path)) as connection:
        for name, frame in (("events", EVENTS), ("users", USERS), ("items", ITEMS)):
            connection.register("given", frame)
            connection.execute(f"CREATE TABLE {name} AS SELECT * FROM given")
            connection.unregister("given")
    return path


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "tsv", "parquet"])
def test_files_make_the_log_of_their_frames(tmp_path: Path, ending: str, expected: str) -> None:
    events, users, items = write(tmp_path, ending)
    assert read_log(events, users, items, columns=NAMES).fingerprint() == expected
    log = read_log(
        str(events), str(users), str(items), outcome="bought", exposure="shown", timestamp="at"
    )
    assert log.fingerprint() == expected


def test_tables_of_a_database(database: Path, expected: str) -> None:
    for events in ((database, "events"), database):
        keywords = {} if isinstance(events, tuple) else {"table": "events"}
        log = read_log(events, "users", (database, "items"), columns=NAMES, **keywords)
        assert log.fingerprint() == expected


def test_a_query_of_a_database(database: Path, tmp_path: Path) -> None:
    query = "SELECT * FROM events WHERE item_id = 'b' OR user_id = 3;"
    log = read_log(database, columns=Columns(outcome="bought"), query=query)
    assert log.n_rows == 3
    target = tmp_path / "stolen.csv"
    for bad in (f"COPY events TO '{target}'", "SELECT * FROM read_text('/etc/hostname')"):
        with pytest.raises(DataError, match="cannot be read"):
            read_log(database, columns=Columns(outcome="bought"), query=bad)
    assert not target.exists()


def test_ids_stay_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("user_id,item_id,rating\n007,1,3\n7,02,4\n8,3,5\n", encoding="utf-8")
    log = read_log(path)
    assert log.user_ids.tolist() == ["007", "7", "8"]
    assert log.item_ids.tolist() == ["02", "1", "3"]
    path.write_text("user_id,item_id,rating\n-7,1,3\n7,2,4\n,3,5\n", encoding="utf-8")
    with pytest.raises(DataError, match="'user_id' has no value in 1 of 3 rows"):
        read_log(path)


def test_a_late_surprise_in_a_csv_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    frame = pd.DataFrame({"user_id": np.arange(30_000), "item_id": 1, "rating": np.arange(30_000)})
    frame = frame.astype({"user_id": "str", "rating": "str"})
    frame.loc[29_999] = ["u", 1, "none"]
    frame.to_csv(path, index=False)
    with pytest.raises(DataError, match=r"'rating' is not a number in 1 of 30,000 rows"):
        read_log(path)


def test_eligible_pairs_from_a_file(tmp_path: Path) -> None:
    events, _, _ = write(tmp_path, "csv")
    pairs = tmp_path / "pairs.parquet"
    EVENTS[["user_id", "item_id"]].to_parquet(pairs)
    log = read_log(events, outcome="bought", eligible=str(pairs))
    assert log.n_eligible == 4
    assert read_log(events, outcome="bought", eligible=pairs).n_eligible == 4


def test_missing_files_name_the_near_miss(tmp_path: Path) -> None:
    write(tmp_path, "csv")
    with pytest.raises(DataError, match=r"its folder has 3 files. Did you mean 'events.csv'"):
        read_log(tmp_path / "event.csv")
    with pytest.raises(DataError, match=r"users file .* is not there"):
        read_log(tmp_path / "events.csv", users=tmp_path / "usrs.csv", outcome="bought")
    with pytest.raises(DataError, match="nor is its folder"):
        read_log(tmp_path / "nowhere" / "event.csv")
    with pytest.raises(DataError, match="it is a folder"):
        read_log(tmp_path)
    with pytest.raises(DataError, match="table= and query="):
        read_log(tmp_path / "events.csv", table="events")
    (tmp_path / "events.xlsx").write_text("x", encoding="utf-8")
    with pytest.raises(DataError, match="unknown kind"):
        read_log(tmp_path / "events.xlsx")
    (tmp_path / "broken.parquet").write_text("x", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be read"):
        read_log(tmp_path / "broken.parquet")


def test_missing_tables_and_columns(database: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no table 'event'. Did you mean 'events'.*events, items"):
        read_log((database, "event"))
    with pytest.raises(DataError, match="has several"):
        read_log(database)
    events, _, _ = write(tmp_path, "csv")
    with pytest.raises(DataError, match="no column 'user'"):
        read_log(events, user_id="user", outcome="bought")
    assert read_log(events, outcome="bought").kind == "ratings"
