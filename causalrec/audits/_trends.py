"""Feedback loops: is exposure concentrating, do groups drift apart, from window to window?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import sparse, stats

from causalrec.audits._attributes import Attribute
from causalrec.audits._gaps import Found
from causalrec.audits._gini import gini
from causalrec.inference import Estimate
from causalrec.results import Row, Table, rows_from_estimate
from causalrec.scores import Score

if TYPE_CHECKING:
    from causalrec.audits._options import AuditQuestion

FloatArray = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
N_GROUPS = 200
N_RANDOM = 40
WINDOWS = 6


@dataclass(frozen=True, eq=False)
class Windows:
    """Rows of a log in windows of equal length.

    Attributes
    ----------
    users, items, window : int64 arrays (n,)
        Of every row that was shown (recorded, where the log does not say).
    rows : int64 array (n,)
        Their places in the log.
    starts : tuple of str
        First day of each window.
    """

    users: Codes
    items: Codes
    window: Codes
    rows: Codes
    starts: tuple[str, ...]

    def users_in(self, n_users: int, kept: npt.NDArray[np.bool_] | None = None) -> list[int]:
        """Return how many users each window has (those of a group, by a mask of users)."""
        inside = np.ones(len(self.users), dtype=bool) if kept is None else kept[self.users]
        pairs = np.unique(self.window[inside] * n_users + self.users[inside]) // n_users
        return [int(n) for n in np.bincount(pairs, minlength=len(self.starts))]

    def alike(self, n_users: int, rng: np.random.Generator) -> Windows:
        """Return as many rows of each user in every window, drawn at random.

        More rows show more of a catalogue, and spread exposure, for that alone (the rarefaction of
        Hurlbert 1971): a log that grows would have trends where nothing else changes.
        """
        cell = self.window * n_users + self.users
        counts = np.bincount(cell, minlength=len(self.starts) * n_users)
        least = counts.reshape(len(self.starts), n_users).min(axis=0)
        order = rng.permutation(len(cell))
        order = order[np.argsort(cell[order], kind="stable")]
        opens = np.cumsum(counts) - counts
        kept = np.sort(order[np.arange(len(order)) - opens[cell[order]] < least[self.users[order]]])
        return Windows(
            self.users[kept], self.items[kept], self.window[kept], self.rows[kept], self.starts
        )


def add_trends(
    found: Found, question: AuditQuestion, attributes: Sequence[Attribute]
) -> tuple[tuple[Table, ...], list[str]]:
    """Add the slopes of concentration, of users' entropy and of gaps; return series and notes.

    Notes
    -----
    A slope is the least-squares slope over the windows, a linear function of the windows' values,
    so that its error is clustered by the user however often one comes back: exactly for means, by
    a jackknife over groups of users for Gini and coverage. Fewer rows make exposure lumpier: the
    Gini is also followed beyond what as many uniformly random rows would have.
    """
    windows = windows_of(question)
    if isinstance(windows, str):
        return (), [windows]
    rng = np.random.default_rng(question.seed)
    alike = windows.alike(question.log.n_users, rng)
    tables = []
    said_of_rows = (
        f"Concentration, coverage and entropy are of {len(alike.rows):,} of {len(windows.rows):,}"
        " rows: as many of each user in every window, for more rows show more of a catalogue."
    )
    if len(np.unique(alike.users)) >= max(question.min_cell, 2):
        tables.append(_exposure(found, question, alike, rng))
    else:
        said_of_rows = (
            f"Concentration over time is not shown: fewer than {question.min_cell} users have rows"
            " in every window."
        )
    lines: list[tuple[Any, ...]] = []
    notes = [
        f"Trends: {len(windows.starts)} windows of equal length; slopes are per window. Means are"
        " plain ones of the rows, not corrected for selection.",
        said_of_rows,
    ]
    if question.log.outcome is not None:
        for attribute in attributes:
            said, added = _gaps(found, question, windows, attribute)
            notes += said
            lines += added
    if lines:
        tables.append(_group_table(lines))
    return tuple(tables), notes


def windows_of(question: AuditQuestion) -> Windows | str:
    """Return the rows by window, or why there are none."""
    log = question.log
    if log.timestamp is None:
        return "Trends need timestamps: name timestamp=... when the log is made."
    shown = np.ones(log.n_rows, dtype=bool) if log.exposure is None else log.exposure == 1
    rows = np.flatnonzero(shown)
    time = log.timestamp[rows].astype("datetime64[s]").astype(np.int64)
    first, last = int(time.min()), int(time.max())
    if first == last:
        return "Trends need more than one moment: all rows have the same timestamp."
    width = (last - first) / WINDOWS
    window = np.minimum(((time - first) / width).astype(np.int64), WINDOWS - 1)
    starts = [np.datetime64(int(first + k * width), "s") for k in range(WINDOWS)]
    found = Windows(
        log.user_codes[rows].astype(np.int64),
        log.item_codes[rows].astype(np.int64),
        window,
        rows,
        tuple(str(start.astype("datetime64[D]")) for start in starts),
    )
    if min(found.users_in(log.n_users)) < max(question.min_cell, 2):
        return f"Trends are not shown: a window has fewer than {question.min_cell} users."
    return found


def slope_weights(n: int) -> FloatArray:
    """Return the weights of the least-squares slope over 0, 1, ..., n - 1.

    Examples
    --------
    >>> (slope_weights(3) @ [1.0, 3.0, 5.0]).round(6)
    np.float64(2.0)
    """
    centred = np.arange(n) - (n - 1) / 2.0
    return np.asarray(centred / np.square(centred).sum())


# ------------------------------------------------------------------ exposure


def _exposure(
    found: Found, question: AuditQuestion, windows: Windows, rng: np.random.Generator
) -> Table:
    """Add the slopes of Gini, Gini beyond chance, coverage and entropy; return their series."""
    log, n = question.log, len(windows.starts)
    series, replicates = _concentration(windows, log.n_users, log.n_items, rng)
    weights = slope_weights(n)
    critical = float(stats.norm.ppf((1.0 + question.level) / 2.0))
    users = len(np.unique(windows.users))
    for name, values in series.items():
        slope = float(weights @ values)
        left_out = weights @ replicates[name]
        error = float(left_out.std(ddof=1) * (len(left_out) - 1) / np.sqrt(len(left_out)))
        found.rows.append(
            Row(
                label=f"trend of {name}",
                metric=f"trend of {name}",
                value=slope,
                standard_error=error,
                lower=slope - critical * error,
                upper=slope + critical * error,
                level=question.level,
                p_value=float(2.0 * stats.norm.sf(abs(slope) / error)) if error > 0.0 else None,
                n=users,
                unit="users",
                population=f"{n} windows",
                estimator="log",
                clusters={"user": users},
                interval_method="least-squares slope per window, jackknife over groups of users",
            )
        )
    entropy, by_window = _entropy(windows, log.n_users, log.n_items, question.level)
    slope_of_entropy = entropy.contrast(weights[None, :], ["trend of users' entropy"])
    found.add(
        _slope_rows(slope_of_entropy, question, {slope_of_entropy.labels[0]: users}), judged=False
    )
    lines = zip(
        windows.starts, *(values.tolist() for values in series.values()), by_window, strict=True
    )
    return Table(
        name="trends",
        title="Concentration of exposure over time",
        columns=("window from", *series, "users' entropy"),
        rows=tuple(lines),
        caption="Gini and coverage over the whole catalogue; beyond chance: minus the Gini of as"
        " many uniformly random rows. Entropy in nats of the items each user was shown (Miller &"
        " Madow's correction for few rows), mean over users.",
        figure="lines",
        x="window from",
        y=("gini of exposure", "gini beyond chance", "coverage"),
    )


def _concentration(
    windows: Windows, n_users: int, n_items: int, rng: np.random.Generator
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Return the series, (windows,) each, and their replicates, (windows, replicates) each."""
    # A delete-a-group jackknife: drawing users again lumps the few rows of a window together.
    groups = min(N_GROUPS, len(np.unique(windows.users)))
    fold = np.zeros(n_users, dtype=np.int64)
    seen = np.unique(windows.users)
    fold[seen] = rng.permutation(len(seen)) % groups
    drawn = fold[:, None] != np.arange(groups)
    names = ("gini of exposure", "gini beyond chance", "coverage")
    series: dict[str, list[float]] = {name: [] for name in names}
    replicates: dict[str, list[FloatArray]] = {name: [] for name in names}
    size = len(windows.users) // len(windows.starts)  # the same in every window
    chance = float(
        np.mean([
            gini(np.bincount(rng.integers(0, n_items, size), minlength=n_items))
            for _ in range(N_RANDOM)
        ])
    )  # fmt: skip
    for k in range(len(windows.starts)):
        inside = windows.window == k
        users, items = windows.users[inside], windows.items[inside]
        cells = sparse.csr_array((np.ones(len(users)), (items, users)), shape=(n_items, n_users))
        exposure = np.asarray(cells.sum(axis=1))
        again = np.asarray(cells @ drawn.astype(np.float64))
        ginis = np.array([gini(again[:, r]) for r in range(groups)])
        values = (gini(exposure), gini(exposure) - chance, float((exposure > 0).mean()))
        found = (ginis, ginis, (again > 0).mean(axis=0))
        for name, value, replicate in zip(names, values, found, strict=True):
            series[name].append(value)
            replicates[name].append(replicate)
    return (
        {name: np.array(values) for name, values in series.items()},
        {name: np.stack(values) for name, values in replicates.items()},
    )


def _entropy(
    windows: Windows, n_users: int, n_items: int, level: float
) -> tuple[Estimate, list[float]]:
    """Return the mean entropy of a user's items in each window, clustered by user."""
    pair = windows.window * n_users + windows.users
    cells, count = np.unique(pair * n_items + windows.items, return_counts=True)
    owners, place = np.unique(cells // n_items, return_inverse=True)
    total = np.bincount(place, weights=count)
    share = count / total[place]
    plain = -np.bincount(place, weights=share * np.log(share))
    value = plain + (np.bincount(place) - 1.0) / (2.0 * total)
    estimate = Estimate.from_score(
        Score(np.asarray(value, dtype=np.float64)),
        {"user": owners % n_users},
        labels=[str(k) for k in range(len(windows.starts))],
        groups=owners // n_users,
        n_groups=len(windows.starts),
        level=level,
    )
    return estimate, estimate.value.tolist()


# ------------------------------------------------------------------ groups


def _gaps(
    found: Found, question: AuditQuestion, windows: Windows, attribute: Attribute
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Add the slope of every group and gap; return notes and the series of the groups."""
    members = {level: attribute.codes == attribute.levels.index(level) for level in attribute.shown}
    kept = [
        level
        for level, inside in members.items()
        if min(windows.users_in(question.log.n_users, inside)) >= question.min_cell
    ]
    notes = []
    if len(kept) < len(attribute.shown):
        notes.append(
            f"Trends by {attribute.column}: groups with fewer than {question.min_cell} users in a"
            " window are left out."
        )
    if len(kept) < 2 or attribute.reference not in kept:
        return notes, []
    mean = _means(question, windows, attribute)
    found.add(_slopes(mean, kept, attribute.reference, question, attribute), judged=False)
    value = dict(zip(mean.labels, mean.value.tolist(), strict=True))
    return notes, [
        (attribute.column, level, f"{attribute.column}={level}", start, value[f"{k}|{level}"])
        for level in kept
        for k, start in enumerate(windows.starts)
    ]


def _means(question: AuditQuestion, windows: Windows, attribute: Attribute) -> Estimate:
    """Return the mean outcome of each window and level, labelled "WINDOW|LEVEL"."""
    log, n = question.log, len(windows.starts)
    assert log.outcome is not None
    own = attribute.codes[windows.users]
    q = len(attribute.levels)
    return Estimate.from_score(
        Score(log.outcome[windows.rows]),
        {"user": windows.users, "item": windows.items},
        labels=[f"{k}|{level}" for k in range(n) for level in attribute.levels],
        groups=np.where(own >= 0, windows.window * q + own, -1),
        n_groups=n * q,
        sampled=question.sampled,
        level=question.level,
    )


def _slopes(
    mean: Estimate,
    kept: Sequence[str],
    base: str,
    question: AuditQuestion,
    attribute: Attribute,
) -> list[Row]:
    """Return the slope of each group over the windows, and of its gap to the base."""
    weights = slope_weights(WINDOWS)
    names = {level: f"trend of mean, {attribute.column}={level}" for level in kept}
    slopes = mean.contrast(
        {
            name: {f"{k}|{level}": float(w) for k, w in enumerate(weights)}
            for level, name in names.items()
        }
    )
    own_rows = _slope_rows(slopes, question, {names[x]: attribute.counts[x] for x in kept})
    rows = [
        row.model_copy(update={"group": attribute.group(level)})
        for row, level in zip(own_rows, kept, strict=True)
    ]
    gaps = {
        f"trend of mean gap, {attribute.column}: {level} - {base}": (level, base)
        for level in kept
        if level != base
    }
    differences = slopes.contrast(
        {name: {names[a]: 1.0, names[b]: -1.0} for name, (a, b) in gaps.items()}
    )
    smaller = {name: min(attribute.counts[x] for x in pair) for name, pair in gaps.items()}
    return rows + [
        row.model_copy(update={"derived_from": tuple(names[x] for x in gaps[row.label])})
        for row in _slope_rows(differences, question, smaller)
    ]


def _slope_rows(slopes: Estimate, question: AuditQuestion, n: Mapping[str, int]) -> tuple[Row, ...]:
    return rows_from_estimate(
        slopes,
        metric=slopes.labels[0].split(",")[0],
        population=f"{WINDOWS} windows",
        estimator="naive",
        unit="users",
        level=question.level,
        n=n,
        interval_method="t of the least-squares slope per window, clustered by"
        f" {' and '.join(slopes.sampled)}",
    )


def _group_table(lines: list[tuple[Any, ...]]) -> Table:
    return Table(
        name="trends of groups",
        title="Mean outcome of each group over time",
        columns=("attribute", "group", "label", "window from", "mean"),
        rows=tuple(lines),
        caption="Plain means of the rows shown (recorded) in each window.",
    )
