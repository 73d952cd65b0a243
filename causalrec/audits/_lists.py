"""What was put before users: lists of a model, lists from a table, or the shown rows of a log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from causalrec.audits._browsing import Browsing, browsing_weight, browsing_words
from causalrec.audits._cascade import Cascade
from causalrec.errors import DataError, StudyError
from causalrec.evaluation import contenders

if TYPE_CHECKING:
    import pandas as pd

    from causalrec.interactions import InteractionLog

Codes = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
CELLS_A_BLOCK = 1 << 18


@dataclass(frozen=True, eq=False)
class Lists:
    """Items put before users, one entry a place, sorted by list and place.

    Attributes
    ----------
    users, items : int64 arrays (n,)
        Codes of the log.
    lists : int64 array (n,)
        List of each entry: the user's, or a slate of theirs.
    rank : int64 array (n,)
        1-based place.
    weight : float64 array (n,)
        Attention that the place gets.
    k : int or None
        Longest list that was asked for; None for what a log showed.
    words, browsing : str
        What they are, and how places were weighted.
    notes : tuple of str
    """

    users: Codes
    items: Codes
    lists: Codes
    rank: Codes
    weight: FloatArray
    k: int | None
    words: str
    browsing: str
    notes: tuple[str, ...] = ()

    @property
    def repeats(self) -> FloatArray:
        """Lists of each user, (largest user code + 1,); 1 where there is none.

        Rows that a log showed are counted as they are.
        """
        n_users = int(self.users.max(initial=0)) + 1
        if self.k is None:
            return np.ones(n_users)
        pairs = np.unique(np.column_stack([self.users, self.lists]), axis=0)
        return np.maximum(np.bincount(pairs[:, 0], minlength=n_users), 1).astype(np.float64)

    @property
    def at_k(self) -> str:
        """Return "@k" for names of metrics, or ""."""
        return "" if self.k is None else f"@{self.k}"


def lists_of_model(
    model: Any,
    log: InteractionLog,
    history: InteractionLog,
    *,
    k: int,
    exclude_seen: bool,
    browsing: Browsing,
) -> Lists:
    """Rank the eligible items of every user by a model's predictions, a block of users at a time.

    Parameters
    ----------
    model : Recommender or callable(users, items)
    log : InteractionLog
    history : InteractionLog
        Its cells are "seen".
    k : int
    exclude_seen : bool
    browsing : str, float or ExaminationModel
    """
    (contender,) = contenders(model)
    seen = _seen_keys(log, history) if exclude_seen else np.zeros(0, dtype=np.int64)
    height = max(1, CELLS_A_BLOCK // max(log.n_items, 1))
    found = []
    for start in range(0, log.n_users, height):
        block = slice(start, min(start + height, log.n_users))
        allowed = log.eligible_block(block)
        shape = (block.stop - block.start, log.n_items)
        allowed = np.ones(shape, dtype=bool) if allowed is None else allowed.copy()
        first, last = np.searchsorted(seen, [block.start * log.n_items, block.stop * log.n_items])
        allowed.ravel()[seen[first:last] - block.start * log.n_items] = False
        users, items = np.nonzero(allowed)
        score = np.full(shape, -np.inf)
        codes = (users + block.start).astype(np.int32), items.astype(np.int32)
        score[users, items] = contender.predict(log, *codes) if len(users) else 0.0
        found.append(_best(score, k, block.start))
    users, items, rank = (np.concatenate(part) for part in zip(*found, strict=True))
    words = f"the first {k} {'unseen ' if exclude_seen else ''}eligible items of each user"
    weight = _attention(log, users, items, users, rank, browsing)
    return Lists(users, items, users, rank, weight, k, words, browsing_words(browsing))


def _attention(
    log: InteractionLog, users: Codes, items: Codes, lists: Codes, rank: Codes, browsing: Browsing
) -> FloatArray:
    """Return the attention of every entry, sorted by list and place."""
    if isinstance(browsing, Cascade):
        return browsing.weights(log, users, items, lists, rank)
    return browsing_weight(rank, browsing)


def _best(score: FloatArray, k: int, offset: int) -> tuple[Codes, Codes, Codes]:
    """Return (user codes, items, places) of the k best of each row; ties in item order."""
    order = np.argsort(-score, axis=1, kind="stable")[:, :k]
    kept = np.isfinite(np.take_along_axis(score, order, axis=1))
    users, place = np.nonzero(kept)
    return users + offset, order[users, place], place + 1


def _seen_keys(log: InteractionLog, history: InteractionLog) -> Codes:
    """Return the sorted cells that a log holds rows of (shown ones, for candidates)."""
    users, items = cells_of(log, history)
    return np.unique(users * log.n_items + items)


def cells_of(
    log: InteractionLog, history: InteractionLog, *, positive: bool = False
) -> tuple[Codes, Codes]:
    """Return user and item codes (of `log`) of the rows that happened in `history`.

    Parameters
    ----------
    log, history : InteractionLog
    positive : bool
        Of candidates and impressions, only rows with an outcome above 0.
    """
    users, items = history.user_codes.astype(np.int64), history.item_codes.astype(np.int64)
    kept = np.ones(len(users), dtype=bool)
    if history.exposure is not None:
        kept &= history.exposure == 1
    if positive and history.kind in {"candidates", "impressions"}:
        assert history.outcome is not None
        kept &= history.outcome > 0
    if not history.user_ids.equals(log.user_ids):
        users = log.codes_of(users=history.user_ids).astype(np.int64)[users]
    if not history.item_ids.equals(log.item_ids):
        items = log.codes_of(items=history.item_ids).astype(np.int64)[items]
    return users[kept], items[kept]


def lists_of_log(log: InteractionLog, *, browsing: Browsing) -> Lists | None:
    """Return the rows that a log of candidates or impressions showed; None for other kinds."""
    if log.kind not in {"candidates", "impressions"}:
        return None
    shown = np.ones(log.n_rows, dtype=bool) if log.exposure is None else log.exposure == 1
    rows = np.flatnonzero(shown)
    if not len(rows):
        raise DataError("No row of the log was shown: there is no exposure to audit.")
    users = log.user_codes[rows].astype(np.int64)
    lists = users if log.slate is None else log.slate[rows].astype(np.int64)
    placed = log.position is not None
    rank = np.zeros(len(rows), np.int64) if log.position is None else log.position[rows]
    order = np.lexsort((log.item_codes[rows], rank, lists))
    place = rank[order].astype(np.int64) if placed else _places(lists[order])
    how = browsing if placed else "equal"
    notes = () if placed else ("The log has no positions: every row shown counts one exposure.",)
    users, items, lists = users[order], log.item_codes[rows][order].astype(np.int64), lists[order]
    return Lists(
        users=users,
        items=items,
        lists=lists,
        rank=place,
        weight=_attention(log, users, items, lists, place, how),
        k=None,
        words="the rows that the log showed",
        browsing=browsing_words(how),
        notes=notes,
    )


def _places(sorted_lists: Codes) -> Codes:
    """Return 1, 2, ... within each run of equal codes."""
    starts = np.flatnonzero(np.r_[True, sorted_lists[1:] != sorted_lists[:-1]])
    lengths = np.diff(np.r_[starts, len(sorted_lists)])
    return np.arange(len(sorted_lists), dtype=np.int64) - np.repeat(starts, lengths) + 1


def lists_of_table(
    table: Any, log: InteractionLog, history: InteractionLog, *, k: int, browsing: Browsing
) -> Lists:
    """Read lists from a table with user, item and rank.

    Parameters
    ----------
    table : pandas, polars or pyarrow table
        Columns as the log names its ids (or user_id, item_id), and `rank` from 1; where a policy
        draws its lists, `list` tells a user's several draws apart, whose mean is audited.
    log, history : InteractionLog
    k : int
        Places beyond it are left out, and counted.
    browsing : str, float or ExaminationModel

    Raises
    ------
    DataError
        For a missing column, a missing or unknown id, a rank that is no whole number from 1, or
        an item or a rank that a list has twice.
    """
    frame = _as_frame(table)
    users = log.codes_of(users=_id_column(frame, log.columns.user_id, "user_id"))
    items = log.codes_of(items=_id_column(frame, log.columns.item_id, "item_id"))
    rank = _ranks(frame)
    lists = _list_codes(frame, users)
    _refuse_twice(frame, lists, items, "item")
    _refuse_twice(frame, lists, rank, "rank")
    kept = rank <= k
    order = np.lexsort((rank[kept], lists[kept], users[kept]))
    own, listed, place, each = (
        part[kept][order].astype(np.int64) for part in (users, items, rank, lists)
    )
    notes = []
    if not kept.all():
        notes.append(f"{int((~kept).sum()):,} places beyond {k} were left out of the lists.")
    without = log.n_users - len(np.unique(own))
    if without:
        notes.append(f"{without:,} of {log.n_users:,} users have no list; nothing is said of them.")
    known = np.isin(own * log.n_items + listed, _seen_keys(log, history))
    if known.any():
        notes.append(f"{int(known.sum()):,} of {len(known):,} places hold items seen before.")
    found = Lists(
        own, listed, each, place, _attention(log, own, listed, each, place, browsing), k,
        f"the given lists, up to place {k}", browsing_words(browsing), tuple(notes),
    )  # fmt: skip
    repeats = found.repeats
    if (repeats == 1.0).all():
        return found
    several = f"Up to {int(repeats.max()):,} lists a user: attention is the mean over them."
    return replace(found, weight=found.weight / repeats[found.users], notes=(*found.notes, several))


def _list_codes(frame: pd.DataFrame, users: npt.NDArray[Any]) -> Codes:
    """Return the list of each row: the user's, or one of several that a column `list` tells."""
    if "list" not in frame.columns:
        return users.astype(np.int64)
    if frame["list"].isna().any():
        missing = frame["list"].isna().to_numpy()
        raise _bad(frame, "list", "has no value", missing, "Name the list of every place.")
    own = frame["list"].groupby(users).rank(method="dense").to_numpy(dtype=np.int64)
    return np.asarray(own + users.astype(np.int64) * np.int64(own.max(initial=0) + 1))


def _as_frame(table: Any) -> pd.DataFrame:
    import narwhals as nw
    import pandas as pd

    if isinstance(table, Mapping):
        raise StudyError(
            "An audit takes one model or one table of lists; audit each model in its own call."
        )
    native = nw.from_native(table, eager_only=True, pass_through=True)
    if not isinstance(native, nw.DataFrame):
        raise StudyError(
            f"A {type(table).__name__} is neither a model (with predict(users, items), or callable)"
            " nor a table of lists (user_id, item_id, rank)."
        )
    frame = pd.DataFrame({name: native[name].to_list() for name in native.columns})
    if not len(frame):
        raise DataError("The table of lists has no rows.")
    return frame


def _id_column(frame: pd.DataFrame, name: str, usual: str) -> pd.Series:
    column = name if name in frame.columns else usual
    if column not in frame.columns:
        raise DataError.missing_column(name, list(frame.columns), role=usual, table="lists")
    missing = frame[column].isna().to_numpy()
    if missing.any():
        raise _bad(frame, column, "has no value", missing, "Give every place of a list its ids.")
    return frame[column]


def _ranks(frame: pd.DataFrame) -> Codes:
    import pandas as pd

    if "rank" not in frame.columns:
        raise DataError.missing_column("rank", list(frame.columns), role="rank", table="lists")
    number = pd.to_numeric(frame["rank"], errors="coerce").to_numpy(dtype=np.float64)
    wrong = ~np.isfinite(number) | (number < 1) | (number != np.floor(number))
    if wrong.any():
        way_out = "Ranks are whole numbers from 1: add 1 to ranks that begin at 0."
        raise _bad(frame, "rank", "is no place of a list", wrong, way_out)
    return number.astype(np.int64)


def _refuse_twice(
    frame: pd.DataFrame, users: npt.NDArray[Any], values: npt.NDArray[Any], what: str
) -> None:
    import pandas as pd

    twice = pd.DataFrame({"user": users, "value": values}).duplicated().to_numpy()
    if twice.any():
        way_out = f"A list has each {what} once for a user: drop the repeats."
        raise _bad(frame, what, "occurs twice in the list of a user", twice, way_out)


def _bad(
    frame: pd.DataFrame, column: str, problem: str, wrong: npt.NDArray[np.bool_], way_out: str
) -> DataError:
    return DataError.bad_rows(
        column,
        problem,
        count=int(wrong.sum()),
        total=len(frame),
        rows=frame.loc[wrong],
        way_out=way_out,
    )
