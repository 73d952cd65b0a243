"""Which levels of which exposure are compared: an arm, a position, any column of several values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from causalrec.errors import DataError, StudyError, near_miss
from causalrec.nuisances import KnownPropensity, Propensity, resolve_propensity, row_propensity

if TYPE_CHECKING:
    from causalrec.effects._question import Question
    from causalrec.interactions import InteractionLog

MOST_SHOWN = 8
"""Levels that a message lists."""

MOST_LEVELS = 50
"""A column of more values than this is no set of arms."""

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Contrast:
    """Levels of an exposure: the first against each of the others.

    Attributes
    ----------
    column : str
    levels : tuple
        As they stand in the column.
    codes : int64 (n_rows,)
        Place of each row's level in `levels`; -1 for another level.
    every : int64 (n_rows,)
        The same, with the other levels of the log numbered after those compared.
    n_levels : int
        Levels that the log has.
    """

    column: str
    levels: tuple[Any, ...]
    codes: Codes
    every: Codes
    n_levels: int

    def select(self, rows: NDArray[np.bool_]) -> Contrast:
        """Return the contrast of some rows."""
        return replace(self, codes=self.codes[rows], every=self.every[rows])

    @property
    def names(self) -> tuple[str, ...]:
        """What the levels are called in rows of a result."""
        return tuple(f"{self.column}={level}" for level in self.levels)

    def is_of_two_arms(self, estimand: str) -> bool:
        """Return whether rows of other levels play no part.

        They do in the average over all rows of the log; the effect on those at one of the two
        levels, and the overlap of the two, are of their rows alone.
        """
        return len(self.levels) == 2 and (self.n_levels == 2 or estimand != "ate")

    def pair_log(self, log: InteractionLog, first: int, second: int) -> InteractionLog:
        """Return the log as one of candidates: 1 at one level, 0 at another, -1 elsewhere.

        A logging propensity is that of another action and is left out.
        """
        exposure = np.full(log.n_rows, -1, dtype=np.int8)
        exposure[self.codes == second] = 0
        exposure[self.codes == first] = 1
        return _as_candidates(log, self.column, exposure)

    def indicator_log(self, log: InteractionLog, place: int) -> InteractionLog:
        """Return the log as one of candidates: 1 at a level, 0 at every other."""
        return _as_candidates(log, self.column, (self.codes == place).astype(np.int8))

    def two_arms(self, log: InteractionLog) -> InteractionLog:
        """Return the rows at the two levels as a log of candidates: exposed are the first."""
        inside = self.codes >= 0
        pair = self.pair_log(log, 0, 1)
        return pair if inside.all() else pair.select(inside)

    def shares(self, weights: Floats | None) -> dict[Any, float]:
        """Return the (weighted) share of the rows at each level: its propensity by design."""
        counts = np.ones(len(self.codes)) if weights is None else weights
        total = float(counts.sum())
        return {
            level: float(counts[self.codes == at].sum()) / total
            for at, level in enumerate(self.levels)
        }

    def of_first(self, propensity: Any, log: InteractionLog) -> Any:
        """Return what was given as propensity, for the first of two levels among their rows.

        A dict has P(level | covariates) of each; among the rows at the two, that of the first is
        its share of both.
        """
        if not isinstance(propensity, Mapping):
            return self._of_one(propensity, log)
        both = given_by_level(propensity, log, self)
        inside = self.codes >= 0
        return both[inside, 0] / both[inside].sum(axis=1)

    def _of_one(self, propensity: Any, log: InteractionLog) -> Any:
        if isinstance(propensity, KnownPropensity):
            return propensity.of_rows(self.codes >= 0, log)
        if np.ndim(propensity) == 1 and len(propensity) == log.n_rows:
            return np.asarray(propensity)[self.codes >= 0]
        return propensity

    def left_out_words(self, question: Question) -> str:
        """Return how many rows stand at other values."""
        aside = int((self.codes < 0).sum())
        return (
            f"{aside:,} of {len(self.codes):,} rows are at other values of {self.column!r}: the"
            f" estimand {question.estimand!r} is of the rows at {' and '.join(self.names)}."
        )


def given_by_level(given: Mapping[Any, Any], log: InteractionLog, contrast: Contrast) -> Floats:
    """Return the given propensities of the levels compared, (n_rows, L).

    Raises
    ------
    DataError
        If they sum to more than one in a row, or are no probabilities.
    StudyError
        If a level has none.
    """
    found = np.empty((log.n_rows, len(contrast.levels)))
    for place, level in enumerate(contrast.levels):
        if level not in given:
            raise StudyError(
                f"propensity= has no entry for {contrast.column} = {level!r}."
                f"{near_miss(str(level), given)} It has {', '.join(map(repr, given))}: every value"
                " of the contrast needs its probability."
            )
        level_log = contrast.indicator_log(log, place)
        known: Propensity = resolve_propensity(given[level], level_log)
        found[:, place] = row_propensity(known, level_log)
    total = found.sum(axis=1)
    above = np.flatnonzero(total > 1.0 + 1e-9)
    if above.size:
        raise DataError(
            f"The propensities of {', '.join(contrast.names)} sum to more than 1 in"
            f" {above.size:,} of {log.n_rows:,} rows (rows {above[:5].tolist()}:"
            f" {total[above[:5]].round(6).tolist()}). Each is the probability of its value given"
            " the row's covariates, so together they are at most 1."
        )
    return found


def _as_candidates(log: InteractionLog, column: str, exposure: NDArray[np.int8]) -> InteractionLog:
    roles: dict[str, Any] = dict(log.columns)
    for role in ("position", "arm", "logging_propensity"):
        if roles[role] == column or role == "logging_propensity":
            roles[role] = None
    roles["exposure"] = column
    columns = type(log.columns)(**roles)
    emptied = {role: None for role in ("position", "arm", "logging_propensity") if not roles[role]}
    tables = {
        f"_{name}": getattr(log, name).drop(columns=[column], errors="ignore")
        for name in ("users", "items", "events")
    }
    return log._derive(kind="candidates", exposure=exposure, columns=columns, **emptied, **tables)


def find_contrast(log: InteractionLog, column: str, contrast: Sequence[Any]) -> Contrast | None:
    """Return the levels to compare, or None where the log's own 0/1 exposure is asked about.

    Parameters
    ----------
    log : InteractionLog
    column : str
        Of the graph's exposure.
    contrast : sequence
        The levels asked for.

    Raises
    ------
    DataError
        If a level is not in the column; the message counts those that are.
    StudyError
        If a level is asked for twice, or fewer than two are.
    """
    if isinstance(contrast, str) or not isinstance(contrast, Sequence):
        raise StudyError(
            f"contrast={contrast!r} names no two values to compare: (1, 0) is exposed against not"
            " exposed."
        )
    asked = tuple(contrast)
    own = column == log.columns.exposure or (log.kind == "candidates" and asked in ((1, 0), (0, 1)))
    if own or not _has(log, column):
        return None
    log.require("candidates", "impressions", purpose=f"the effect of {column}")
    _check_asked(column, asked)
    values = log.column(column)
    counts = values.value_counts()
    known = _sorted_levels(counts)
    if len(known) > MOST_LEVELS:
        raise DataError(
            f"Column {column!r} has {len(known):,} values, too many to be arms. Cut it into a few"
            " named levels (pandas.cut), and add that column."
        )
    places = [_place_of(level, column, known, counts) for level in asked]
    if len(set(places)) < len(places):
        raise StudyError(f"contrast={asked!r} compares a value of {column!r} with itself.")
    found = pd.Index(known).get_indexer(pd.Index(values))
    others = [at for at in range(len(known)) if at not in places]
    rank = np.argsort([*places, *others])
    every = rank[found]
    codes = np.where(every < len(places), every, -1)
    return Contrast(column, tuple(known[at] for at in places), codes, every, len(known))


def _has(log: InteractionLog, column: str) -> bool:
    named = set(log.columns.named().values())
    return column in {*named, *log.users.columns, *log.items.columns, *log.events.columns}


def _check_asked(column: str, asked: tuple[Any, ...]) -> None:
    if len(asked) < 2:
        raise StudyError(
            f"contrast={asked!r} names {len(asked)} value of {column!r}: name two to compare, or"
            " more, of which the first is compared with each of the others."
        )
    if len(set(asked)) < len(asked):
        raise StudyError(f"contrast={asked!r} compares a value of {column!r} with itself.")


def _sorted_levels(counts: pd.Series) -> list[Any]:
    levels = [level.item() if hasattr(level, "item") else level for level in counts.index]
    return sorted(levels, key=lambda level: (isinstance(level, str), level))


def _place_of(level: Any, column: str, known: list[Any], counts: pd.Series) -> int:
    if level in known:
        return known.index(level)
    shown = ", ".join(f"{one!r} ({int(counts[one]):,} rows)" for one in known[:MOST_SHOWN])
    more = f" and {len(known) - MOST_SHOWN} more" if len(known) > MOST_SHOWN else ""
    raise DataError(
        f"No row of the log has {column} = {level!r}.{near_miss(str(level), known)}"
        f" {column!r} holds {shown}{more}. Name two of these: contrast=({known[0]!r},"
        f" {known[-1]!r})."
    )
