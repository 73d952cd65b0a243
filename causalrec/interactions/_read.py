"""Logs from files: CSV, Parquet and DuckDB databases, read by DuckDB."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from causalrec.errors import DataError, near_miss
from causalrec.interactions._columns import Columns, Kind, one_naming
from causalrec.interactions._log import InteractionLog

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

Source: TypeAlias = "str | os.PathLike[str] | tuple[str | os.PathLike[str], str]"

CSV = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
PARQUET = (".parquet", ".pq")
DATABASE = (".duckdb", ".ddb", ".db")


def read_log(
    events: Source,
    users: Source | None = None,
    items: Source | None = None,
    kind: Kind | None = None,
    user_id: str = "user_id",
    item_id: str = "item_id",
    outcome: str | None = "rating",
    exposure: str | None = None,
    position: str | None = None,
    slate: str | None = None,
    arm: str | None = None,
    logging_propensity: str | None = None,
    randomized: str | bool | None = None,
    eligible: Any = None,
    provider: str | None = None,
    timestamp: str | None = None,
    outcome_range: tuple[float, float] | None = None,
    columns: Columns | None = None,
    *,
    table: str | None = None,
    query: str | None = None,
) -> InteractionLog:
    r"""Read an `InteractionLog` from files: CSV, Parquet, or a DuckDB database.

    Ids in CSV files become integers only if every one is written as an integer is ("007" stays
    text); times keep their offsets, and are refused if they mix time zones.

    Parameters
    ----------
    events : path, or (path, table)
        The file of events; of a DuckDB database, the name of the table or view too.
    users, items : path, (path, table), or the name of a table in the same database; optional
        The files of users and items.
    table, query : str, optional
        Table of the events in a DuckDB database, or a SELECT that makes them.
    kind, user_id, item_id, outcome, exposure, position, slate, arm, logging_propensity, \
    randomized, eligible, provider, timestamp, outcome_range, columns
        As for `InteractionLog`; `eligible` may also be the path of a file of pairs.

    Raises
    ------
    DataError
        If a file, a table or a column is missing (with the near miss), or the data are unusable.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "events.csv"
    >>> _ = path.write_text("user_id,item_id,rating\n007,3,4\n008,3,1\n", encoding="utf-8")
    >>> read_log(path).user_ids.tolist()
    ['007', '008']
    """
    naming = one_naming(
        columns,
        Columns(
            user_id=user_id,
            item_id=item_id,
            outcome=outcome,
            exposure=exposure,
            position=position,
            slate=slate,
            arm=arm,
            logging_propensity=logging_propensity,
            randomized=randomized if isinstance(randomized, str) else None,
            eligible=eligible if isinstance(eligible, str) and not _is_file(eligible) else None,
            provider=provider,
            timestamp=timestamp,
        ),
    )
    path, named = _parts(events)
    of_items = {"user_id": naming.user_id, "item_id": naming.item_id}
    return InteractionLog(
        _read(path, "events", naming, table=table or named, query=query),
        users=None if users is None else _beside(users, path, "users", naming),
        items=None if items is None else _beside(items, path, "items", naming),
        kind=kind,
        randomized=None if isinstance(randomized, str) else randomized,
        eligible=_read(Path(eligible), "eligible", Columns(**of_items))
        if _is_file(eligible)
        else (None if isinstance(eligible, str) else eligible),
        outcome_range=outcome_range,
        columns=naming,
    )


def _parts(source: Source) -> tuple[Path, str | None]:
    if isinstance(source, tuple):
        return Path(source[0]), source[1]
    return Path(source), None


def _is_file(value: Any) -> bool:
    if isinstance(value, os.PathLike):
        return True
    return isinstance(value, str) and value.lower().endswith((*CSV, *PARQUET))


def _beside(source: Source, events: Path, what: str, naming: Columns) -> pd.DataFrame:
    """Read a users or items table: a file of its own, or a table of the events' database."""
    path, table = _parts(source)
    is_table = table is None and not path.suffix and _ends(events, DATABASE)
    if is_table and not path.exists():
        return _read(events, what, naming, table=str(path))
    return _read(path, what, naming, table=table)


def _ends(path: Path, suffixes: tuple[str, ...]) -> bool:
    return path.name.lower().endswith(suffixes)


def _read(
    path: Path, what: str, naming: Columns, table: str | None = None, query: str | None = None
) -> pd.DataFrame:
    """Read one table as pandas."""
    import duckdb

    _check_file(path, what)
    if not _ends(path, DATABASE) and (table or query):
        raise DataError(
            f"table= and query= are for DuckDB databases ({', '.join(DATABASE)});"
            f" {path.name} is one table already."
        )
    try:
        if _ends(path, DATABASE):
            with duckdb.connect(str(path), read_only=True) as connection:
                return _from_database(connection, path, what, table, query)
        with duckdb.connect() as connection:
            select = f"SELECT * FROM read_parquet({_text(str(path))})"
            if not _ends(path, PARQUET):
                select = _csv_select(connection, path, naming)
            return _frame(connection, select)
    except duckdb.Error as error:
        first_line = str(error).splitlines()[0]
        raise DataError(f"The {what} file {path} cannot be read: {first_line}") from error


def _frame(connection: duckdb.DuckDBPyConnection, select: str) -> pd.DataFrame:
    connection.execute("SET TimeZone = 'UTC'")
    import pandas as pd

    with warnings.catch_warnings():
        # duckdb still calls a pandas option that pandas 4 will drop; nothing of ours.
        warnings.filterwarnings("ignore", category=pd.errors.Pandas4Warning)
        frame: pd.DataFrame = connection.execute(select).df()
    return frame


def _check_file(path: Path, what: str) -> None:
    if not path.is_file():
        siblings = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
        where = f"its folder has {len(siblings):,} files" if siblings else "nor is its folder"
        if path.is_dir():
            where = "it is a folder: name the file in it"
        raise DataError(
            f"The {what} file {path} is not there; {where}.{near_miss(path.name, siblings)}"
        )
    known = (*CSV, *PARQUET, *DATABASE)
    if not _ends(path, known):
        raise DataError(
            f"The {what} file {path.name} is of an unknown kind. Files that end in"
            f" {', '.join(known)} can be read; anything else can be loaded into a pandas, polars"
            " or pyarrow table and passed to InteractionLog."
        )


def _csv_select(connection: duckdb.DuckDBPyConnection, path: Path, naming: Columns) -> str:
    """Return the SELECT that reads a CSV file with ids and times as they are written."""
    header = f"DESCRIBE SELECT * FROM read_csv({_text(str(path))}, all_varchar = true)"
    names = [row[0] for row in connection.execute(header).fetchall()]
    ids = [name for name in (naming.user_id, naming.item_id, naming.slate) if name in names]
    as_text = [*ids, naming.timestamp] if naming.timestamp in names else ids
    types = ", ".join(f"{_text(str(name))}: 'VARCHAR'" for name in as_text)
    source = f"read_csv({_text(str(path))}, sample_size = -1, types = {{{types}}})"
    if not ids:
        return f"SELECT * FROM read_csv({_text(str(path))})"
    round_trips = ", ".join(
        f"bool_and(CAST(TRY_CAST({name} AS BIGINT) AS VARCHAR) IS NOT DISTINCT FROM {name})"
        for name in map(_quoted, map(str, ids))
    )
    (are_integers,) = connection.execute(f"SELECT {round_trips} FROM {source}").fetchall()
    casts = ", ".join(
        f"CAST({_quoted(str(name))} AS BIGINT) AS {_quoted(str(name))}"
        for name, is_integer in zip(ids, are_integers, strict=True)
        if is_integer
    )
    return f"SELECT * {f'REPLACE ({casts}) ' if casts else ''}FROM {source}"


def _from_database(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    what: str,
    table: str | None,
    query: str | None,
) -> pd.DataFrame:
    """Read a table or a SELECT of a database; the query sees this database and nothing else."""
    connection.execute("SET enable_external_access = false")
    if query is not None:
        return _frame(connection, f"SELECT * FROM ({query.rstrip().rstrip(';')}) AS events")
    names = sorted(row[0] for row in connection.execute("SHOW TABLES").fetchall())
    if table is None and len(names) == 1:
        table = names[0]
    if table is None or table not in names:
        asked = f"has no table {table!r}.{near_miss(table, names)}" if table else "has several."
        raise DataError(
            f"The database {path.name} of the {what} {asked}"
            f" Its tables are: {', '.join(names) or 'none'}. Name one: ({path.name!r}, table)."
        )
    return _frame(connection, f"SELECT * FROM {_quoted(table)}")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
