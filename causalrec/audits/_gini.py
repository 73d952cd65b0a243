"""Concentration of exposure over the whole catalogue, beside that of uniform random lists."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import sparse, stats

from causalrec.audits._exposure import exposure_of_items
from causalrec.audits._lists import Lists
from causalrec.errors import DataError
from causalrec.results import Row, Table

FloatArray = npt.NDArray[np.float64]
N_REPLICATES = 400
N_RANDOM = 20
LORENZ_POINTS = 101
NAMES = ("gini of exposure", "entropy of exposure", "herfindahl index of exposure", "coverage")


def gini(amounts: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float:
    """Return the Gini coefficient: 0 where all have the same, 1 - 1/n where one has everything.

    sum_j (2j - n - 1) x_(j) / (n sum x), x ascending. Give it every item of the catalogue: over the
    recommended items only, the same lists look far less concentrated.

    Parameters
    ----------
    amounts : float array (n,)
        Not negative.
    weights : int array (n,), optional
        How often each counts (bootstrap replicates).

    Returns
    -------
    float
        NaN where nothing is shared out.

    Raises
    ------
    DataError
        If an amount is negative.

    Examples
    --------
    >>> gini([2, 2, 2, 2]), gini([0, 0, 0, 1])
    (0.0, 0.75)
    """
    x = np.asarray(amounts, dtype=np.float64)
    if (x < 0).any():
        raise DataError(f"{int((x < 0).sum()):,} amounts are negative: a share-out has none.")
    order = np.argsort(x, kind="stable")
    x = x[order]
    w = np.ones(len(x)) if weights is None else np.asarray(weights, dtype=np.float64)[order]
    n, total = w.sum(), float(w @ x)
    if total == 0.0:
        return float("nan")
    before = np.cumsum(w) - w
    return float((w * x) @ (2.0 * before + w - n) / (n * total))


@dataclass(frozen=True)
class Concentration:
    """How concentrated exposure is, with the error of new users and items.

    Attributes
    ----------
    rows : tuple of Row
    lorenz : Table
    reference : float
        Mean Gini of uniform random lists.
    """

    rows: tuple[Row, ...]
    lorenz: Table
    reference: float


def concentration(
    lists: Lists,
    n_items: int,
    tail: npt.NDArray[np.bool_] | None,
    *,
    sampled: tuple[str, ...],
    level: float,
    random_state: int | None,
) -> Concentration:
    """Return Gini, entropy, Herfindahl index and coverage with intervals, and their references.

    Parameters
    ----------
    lists : Lists
    n_items : int
        Items of the catalogue.
    tail : bool array (n_items,), optional
        The long tail, for its coverage.
    sampled : tuple of str
        ("user", "item") or ("user",): what the bootstrap draws.
    level : float
    random_state : int or None

    Notes
    -----
    Entropy is Shannon's, -sum p ln p in nats over the whole catalogue (ln n where all items have
    the same); the Herfindahl index is sum p^2 (1 / n there). Resampled users make exposure
    lumpier, so the bootstrap's replicates lie above the estimate; the interval is the estimate plus
    and minus their standard error times the normal quantile.
    """
    rng = np.random.default_rng(random_state)
    exposure = exposure_of_items(lists, n_items)
    drawn = [uniform_random(lists, n_items, rng) for _ in range(N_RANDOM)]
    random = [exposure_of_items(one, n_items) for one in drawn]
    ones = np.ones(n_items)
    floors = np.mean([_statistics(one, ones, tail) for one in random], axis=0)
    names = [*NAMES, "coverage of the tail"] if tail is not None else [*NAMES]
    values = _statistics(exposure, ones, tail)
    spread = np.nanstd(_replicates(lists, n_items, tail, sampled, rng), axis=0, ddof=1)
    half = float(stats.norm.ppf((1.0 + level) / 2.0)) * spread
    n_users = len(np.unique(lists.users))
    rows = [
        Row(
            label=f"{name}{lists.at_k}",
            metric=f"{name}{lists.at_k}",
            value=float(value),
            standard_error=float(error),
            lower=max(0.0, float(value - width)),
            upper=min(_largest(name, n_items), float(value + width)),
            level=level,
            n=n_items,
            unit="items",
            population=f"{lists.words}, whole catalogue",
            estimator="lists" if lists.k is not None else "log",
            clusters={"user": n_users, "item": n_items} if "item" in sampled else {"user": n_users},
            interval_method=f"pigeonhole bootstrap over {' and '.join(sampled)}",
        )
        for name, value, error, width in zip(names, values, spread, half, strict=True)
    ]
    rows = [
        each
        for row, floor in zip(rows, floors.tolist(), strict=True)
        for each in (row, _reference(row, floor))
    ]
    lorenz = _lorenz(exposure, np.mean(np.sort(random), axis=0))
    return Concentration(tuple(rows), lorenz, float(floors[0]))


def _largest(name: str, n_items: int) -> float:
    return float(np.log(n_items)) if name == "entropy of exposure" else 1.0


def _reference(row: Row, floor: float) -> Row:
    """Return what uniform random lists of the same lengths would give."""
    return Row(
        label=f"{row.metric} (uniform random lists)",
        metric=row.metric,
        value=floor,
        n=row.n,
        unit="items",
        population="as many lists of the same lengths, drawn uniformly from the catalogue",
        estimator="uniform random",
        note=f"mean of {N_RANDOM} simulated sets of lists: what chance alone would give; not an"
        " estimate, hence no interval",
    )


def _statistics(
    exposure: FloatArray, weight: FloatArray, tail: npt.NDArray[np.bool_] | None
) -> list[float]:
    """Return Gini, entropy, Herfindahl index and coverages; an item counts `weight` times."""
    total = float(weight @ exposure)
    share = exposure / total if total else np.full(len(exposure), np.nan)
    logs = np.log(share, out=np.zeros_like(share), where=share > 0)
    reached = weight * (exposure > 0)
    found = [
        gini(exposure, weight),
        -float((weight * share) @ logs),
        float(weight @ np.square(share)),
        float(reached.sum() / weight.sum()),
    ]
    if tail is not None:
        inside = float(weight[tail].sum())
        found.append(float(reached[tail].sum()) / inside if inside else float("nan"))
    return found


def _replicates(
    lists: Lists,
    n_items: int,
    tail: npt.NDArray[np.bool_] | None,
    sampled: tuple[str, ...],
    rng: np.random.Generator,
) -> FloatArray:
    """Return the statistics of resampled users and items (Owen 2007), (replicates, q)."""
    users, own = np.unique(lists.users, return_inverse=True)
    m = len(users)
    cells = sparse.csr_matrix((lists.weight, (lists.items, own)), shape=(n_items, m))
    drawn = rng.multinomial(m, np.full(m, 1.0 / m), size=N_REPLICATES).T.astype(np.float64)
    exposure = np.asarray(cells @ drawn)
    found = []
    for replicate in range(N_REPLICATES):
        weight = np.ones(n_items)
        if "item" in sampled:
            weight = rng.multinomial(n_items, np.full(n_items, 1.0 / n_items)).astype(np.float64)
        found.append(_statistics(exposure[:, replicate], weight, tail))
    return np.array(found)


def uniform_random(lists: Lists, n_items: int, rng: np.random.Generator) -> Lists:
    """Return the lists with items drawn uniformly; only a log may show a user an item again."""
    if lists.k is None:
        return replace(lists, items=rng.integers(0, n_items, size=len(lists.items)))
    starts = np.flatnonzero(np.r_[True, lists.lists[1:] != lists.lists[:-1]])
    lengths = np.diff(np.r_[starts, len(lists.lists)])
    longest = int(lengths.max())
    drawn = np.full((len(starts), longest), -1, dtype=np.int64)
    for place in range(longest):
        left = np.flatnonzero(lengths > place)
        while len(left):
            drawn[left, place] = rng.integers(0, n_items, size=len(left))
            left = left[(drawn[left, :place] == drawn[left, place, None]).any(axis=1)]
    return replace(lists, items=drawn[np.arange(longest)[None, :] < lengths[:, None]])


def _lorenz(exposure: FloatArray, random: FloatArray) -> Table:
    """Return cumulated shares of exposure over cumulated shares of items, poorest first."""
    share = np.linspace(0.0, 1.0, min(LORENZ_POINTS, len(exposure) + 1))

    def curve(amounts: FloatArray) -> FloatArray:
        cumulated = np.r_[0.0, np.cumsum(np.sort(amounts))]
        places = np.linspace(0.0, 1.0, len(cumulated))
        found = np.interp(share, places, cumulated / max(float(cumulated[-1]), 1e-300))
        return np.asarray(found)

    return Table(
        name="lorenz",
        title="Exposure over the catalogue, the least exposed items first",
        columns=("share of items", "exposure", "uniform random lists"),
        rows=tuple(
            (float(x), float(y), float(z))
            for x, y, z in zip(share, curve(exposure), curve(random), strict=True)
        ),
        caption="Lists of finite length leave chance concentration even where every item is as"
        " likely: compare with the random curve, not with the diagonal.",
        figure="lorenz",
        x="share of items",
        y=("exposure", "uniform random lists"),
    )
