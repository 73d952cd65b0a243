"""Covariate profiles that were never observed: a logistic p > 0 there is not overlap.

A logit extrapolates: where users of country B never saw a niche song it still answers .01. The
rule: take the levels of each user column of words and of each item column of words, the halves of
each numeric column about its median (and "all"), and their pairs; and, within each of them, the
tails of each numeric column of the other side beyond the smallest and the largest observed value.
A pair or a tail in which nothing was observed, though at least `MIN_EXPECTED` cells would have been
at the average rate, is a never-observed profile. Its propensity is set to `NEVER`, and its cells
stay out of the likelihood. A rule that cuts a number far from its median, or needs three columns,
is not found: declare it (`eligible=`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from causalrec.interactions import InteractionLog
    from causalrec.nuisances._features import Encoder, Encoders

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MIN_EXPECTED = 30.0
"""Events expected at the average rate, of which none was seen (e^-30 by chance)."""
NEVER = 1e-12
"""The propensity of what was never observed: below every floor, and 0 / NEVER is still 0."""


@dataclass(frozen=True)
class Profile:
    """Users x items in which nothing was observed.

    Attributes
    ----------
    users, items : bool (n_users,), (n_items,)
    words : str
        "country=B and mainstream < -0.2".
    expected : float
        Events that the average rate would have given.
    """

    users: Bools
    items: Bools
    words: str
    expected: float


@dataclass(frozen=True)
class Never:
    """All never-observed profiles of a log."""

    profiles: tuple[Profile, ...] = ()

    def block(self, users: NDArray[Any] | slice, items: NDArray[Any] | slice) -> Bools | None:
        """Return which cells of users x items lie in one of them, or None where there are none."""
        if not self.profiles:
            return None
        found = [np.logical_and.outer(p.users[users], p.items[items]) for p in self.profiles]
        return np.asarray(np.logical_or.reduce(found))

    def cells(self, users: NDArray[Any], items: NDArray[Any]) -> Bools:
        """Return which aligned cells lie in one of them."""
        found = np.zeros(len(users), dtype=bool)
        for profile in self.profiles:
            found |= profile.users[users] & profile.items[items]
        return found

    @property
    def words(self) -> str:
        """The profiles, named."""
        return "; ".join(profile.words for profile in self.profiles)


@dataclass(frozen=True)
class _Axis:
    """One side of the grid: its groups, its numbers."""

    groups: Bools  # (n, G): the first is everybody
    names: tuple[str, ...]
    numbers: Floats  # (n, k)
    columns: tuple[str, ...]


def never_observed(log: InteractionLog, encoders: Encoders, *, exposed: bool = True) -> Never:
    """Find the never-observed profiles of a log.

    Parameters
    ----------
    log : InteractionLog
        Ratings: what is counted are observed cells among all; candidates: exposed rows among the
        rows (or, with `exposed=False`, the unexposed ones: profiles that were always shown).
    encoders : Encoders
        The covariates whose levels and tails make the profiles.

    Returns
    -------
    Never
    """
    import scipy.sparse as sp

    user, item = _axis(log.users, encoders.user), _axis(log.items, encoders.item)
    shape = (log.n_users, log.n_items)
    if log.exposure is None:
        cells = log.observed_cells()
        happened = sp.csr_array((np.ones(len(cells)), (cells.users, cells.items)), shape=shape)
        rate = len(cells) / max(log.n_eligible, 1)
        everything: Any = None
    else:
        counted = (log.exposure == (1 if exposed else 0)).astype(np.float64)
        happened = sp.csr_array((counted, (log.user_codes, log.item_codes)), shape=shape)
        everything = sp.csr_array(
            (np.ones(log.n_rows), (log.user_codes, log.item_codes)), shape=shape
        )
        rate = float(counted.mean())
    found = [
        *_pairs(user, item, happened, everything, rate, log),
        *_tails(user, item, happened, everything, rate, log, flip=False),
        *_tails(item, user, happened.T, _transposed(everything), rate, log, flip=True),
    ]
    return Never(tuple(found))


def _transposed(matrix: Any) -> Any:
    return None if matrix is None else matrix.T


def _axis(frame: pd.DataFrame, encoder: Encoder) -> _Axis:
    groups, names = [np.ones((len(frame), 1), dtype=bool)], ["all"]
    numbers, columns = [np.zeros((len(frame), 0))], []
    for code in encoder.codes:
        encoded = code.apply(frame[code.column], encoder.table)
        if code.levels:
            groups.append(encoded > 0)
            names += [f"{code.column}={level}" for level in code.levels]
        else:
            values = encoded * code.spread + code.mean
            numbers.append(values)
            columns.append(code.column)
            median = float(np.median(values))
            groups += [values < median, values >= median]
            names += [f"{code.column} < {median:.4g}", f"{code.column} >= {median:.4g}"]
    return _Axis(np.hstack(groups), tuple(names), np.hstack(numbers), tuple(columns))


def _eligible_pairs(user: Bools, item: Bools, everything: Any, log: InteractionLog) -> Floats:
    """Return eligible cells (or rows) of each user group x item group."""
    u, i = user.astype(np.float64), item.astype(np.float64)
    if everything is not None:
        return np.asarray(u.T @ (everything @ i))
    total = np.zeros((u.shape[1], i.shape[1]))
    step = max(1, 2**20 // max(log.n_items, 1))
    for at in range(0, log.n_users, step):
        rows = slice(at, min(at + step, log.n_users))
        allowed = log.eligible_block(rows)
        if allowed is None:
            return np.asarray(np.outer(u.sum(axis=0), i.sum(axis=0)))
        total += u[rows].T @ (allowed @ i)
    return total


def _pairs(
    user: _Axis, item: _Axis, happened: Any, everything: Any, rate: float, log: InteractionLog
) -> Iterator[Profile]:
    seen = user.groups.astype(np.float64).T @ (happened @ item.groups.astype(np.float64))
    expected = rate * _eligible_pairs(user.groups, item.groups, everything, log)
    for g, h in np.argwhere((seen == 0) & (expected >= MIN_EXPECTED)):
        # a level that nobody met is named once, not again with every level of the other side
        if (g and not seen[0, h] and expected[0, h] >= MIN_EXPECTED) or (h and not seen[g, 0]):
            continue
        words = " and ".join(n for n in (user.names[g], item.names[h]) if n != "all")
        yield Profile(user.groups[:, g], item.groups[:, h], words, float(expected[g, h]))


def _tails(
    side: _Axis,
    other: _Axis,
    happened: Any,
    everything: Any,
    rate: float,
    log: InteractionLog,
    *,
    flip: bool,
) -> Iterator[Profile]:
    """Tails of the other side's numbers, within each group of this side."""
    groups = side.groups.astype(np.float64)
    seen = np.asarray(groups.T @ happened)  # (G, n_other)
    for k, column in enumerate(other.columns):
        numbers = other.numbers[:, k]
        for g, name in enumerate(side.names):
            met = numbers[seen[g] > 0]
            if not len(met):
                continue
            for tail, bound in (
                (numbers < met.min(), f"{column} < {met.min():.4g}"),
                (numbers > met.max(), f"{column} > {met.max():.4g}"),
            ):
                if not tail.any():
                    continue
                pair = (side.groups[:, [g]], tail[:, None])
                users, items = pair[::-1] if flip else pair
                rows = everything.T if flip and everything is not None else everything
                expected = rate * float(_eligible_pairs(users, items, rows, log)[0, 0])
                if expected < MIN_EXPECTED:
                    continue
                words = bound if name == "all" else f"{name} and {bound}"
                yield Profile(users[:, 0], items[:, 0], words, expected)
