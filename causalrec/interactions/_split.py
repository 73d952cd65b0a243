"""Parts of a log: what a split does to the probability that a cell is in a part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from causalrec.errors import DataError, check_seed
from causalrec.interactions._cells import cell_keys

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from causalrec.interactions._log import InteractionLog

SplitBy = Literal["cell", "user", "time"]


@dataclass(frozen=True)
class SplitPart:
    """What part of a log this is, and what that does to its propensities.

    A propensity p speaks of the whole log. In a random split by cell of a log of *ratings*, a
    cell's outcome is in the test part (share r) with probability r p, over all cells of the grid,
    and with probability r p / (1 - (1 - r) p) over the cells outside the training part. Rows of
    candidates and of impressions keep their probabilities when they are split, and so do the
    cells of whole users: there the rate is 1. A split by time makes two windows, each with
    propensities of its own: fit them on the part that they are used for.

    Parameters
    ----------
    name : str
        "train" or "test".
    by : {"cell", "user", "time"}
        How the log was split.
    rate : float
        Probability with which an observed cell of the original log is in this part, where that
        thins the grid (ratings split by cell); else 1.
    other_rate : float
        The same for the other part.
    population : str
        Whom numbers on this part speak of, in words.
    share : float
        Share of the original log's cells (by cell), users (by user) or rows (by time) that this
        part holds.
    """

    name: str
    by: SplitBy
    rate: float
    other_rate: float
    population: str
    share: float

    def probability(self, p: Any, *, outside_other: bool = False) -> Any:
        """Return the probability that a cell with propensity p is observed in this part.

        Parameters
        ----------
        p : float or array
            Probability that the cell is observed in the original log.
        outside_other : bool
            Among the cells that the other part does not hold (True), or among all (False).

        Examples
        --------
        >>> test = SplitPart("test", "cell", 0.2, 0.8, "all cells", 0.2)
        >>> test.probability(0.5), round(test.probability(0.5, outside_other=True), 6)
        (0.1, 0.166667)
        """
        thinned = self.rate * p
        return thinned / (1.0 - self.other_rate * p) if outside_other else thinned


@dataclass(frozen=True)
class Drawn:
    """What a split drew: the test rows, the test users (by user), and the two parts."""

    in_test: NDArray[np.bool_]
    users: NDArray[np.bool_] | None
    train: SplitPart
    test: SplitPart


def split_rows(log: InteractionLog, by: str, test_size: float, seed: int | None) -> Drawn:
    """Draw the test part of a log; the order of its rows plays no role."""
    check_seed(seed)
    way = _checked(by, test_size)
    moment = ""
    users: NDArray[np.bool_] | None = None
    if way == "time":
        log.require_fields("timestamp", purpose="a split by time")
        assert log.timestamp is not None
        in_test, moment = latest(log.timestamp, test_size)
        share = float(in_test.mean())
    else:
        of_row = (
            log.user_codes
            if way == "user"
            else cell_keys(log.user_codes, log.item_codes, log.n_items)
        )
        units, codes = np.unique(of_row, return_inverse=True)
        chosen = draw(len(units), test_size, seed, way)
        in_test, share = chosen[codes], float(chosen.mean())
        if way == "user":
            users = np.zeros(log.n_users, dtype=np.bool_)
            users[units[chosen]] = True
    return Drawn(in_test, users, *make_parts(way, log.kind, share, moment, log.part))


def _checked(by: str, test_size: float) -> SplitBy:
    ways = get_args(SplitBy)
    if by not in ways:
        raise DataError(f"by={by!r} is not a way to split. The ways are: {', '.join(ways)}.")
    if not 0.0 < test_size < 1.0:
        raise DataError(f"test_size={test_size!r} must lie between 0 and 1: the test part's share.")
    found: SplitBy = by  # type: ignore[assignment]
    return found


def draw(n: int, test_size: float, seed: int | None, what: str) -> NDArray[np.bool_]:
    """Return which of n units the test part holds: a random share of them, never none or all."""
    if n < 2:
        raise DataError(f"The log has {n} {what} only; a split by {what} needs at least two.")
    n_test = min(max(round(test_size * n), 1), n - 1)
    chosen = np.zeros(n, dtype=np.bool_)
    chosen[np.random.default_rng(seed).permutation(n)[:n_test]] = True
    return chosen


def latest(times: NDArray[np.datetime64], test_size: float) -> tuple[NDArray[np.bool_], str]:
    """Return the rows of the latest share, ties together, and the moment it begins."""
    order = np.sort(times)
    first = min(max(len(order) - round(test_size * len(order)), 1), len(order) - 1)
    cutoff = order[first]
    if cutoff == order[0]:
        later = order[order > cutoff]
        if not len(later):
            raise DataError(
                f"All {len(order):,} rows have the timestamp {cutoff}; a split by time needs"
                " at least two different ones. Split by cell or by user."
            )
        cutoff = later[0]
    return times >= cutoff, str(cutoff)


def make_parts(
    by: SplitBy, kind: str, test_share: float, moment: str, parent: SplitPart | None
) -> tuple[SplitPart, SplitPart]:
    """Return the description of the training part and of the test part."""
    thins = by == "cell" and kind == "ratings"
    above = 1.0 if parent is None else parent.rate
    rates = (above * (1.0 - test_share), above * test_share) if thins else (above, above)
    shares = (1.0 - test_share, test_share)
    train = SplitPart(
        "train", by, rates[0], rates[1], _words(by, thins, "train", moment), shares[0]
    )
    test = SplitPart("test", by, rates[1], rates[0], _words(by, thins, "test", moment), shares[1])
    return train, test


def _words(by: SplitBy, thins: bool, name: str, moment: str) -> str:
    other = "training" if name == "test" else "test"
    if thins:
        return (
            "all cells of the grid: a cell that the whole log records with probability p is in"
            f" this part with probability r p; over the cells outside the {other} part, with"
            f" r p / (1 - s p), where r is this part's rate and s the {other} part's"
        )
    if by == "cell":
        return "the log's rows: a random share of its cells, whose probabilities are unchanged"
    if by == "user":
        return f"the users of the {name} part, with all their cells"
    when = "from" if name == "test" else "before"
    return f"the window {when} {moment}; propensities of the other window do not carry over"
