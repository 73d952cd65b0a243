"""Popularity of what is listed: its mean, the share of the tail, and the lift over profiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from causalrec.audits._attributes import Attribute
from causalrec.audits._gaps import Found, Measure, add_band, clustered
from causalrec.audits._lists import Codes, Lists, cells_of
from causalrec.errors import StudyError
from causalrec.inference import Estimate
from causalrec.results import Row, Table, rows_from_estimate
from causalrec.scores import Score

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

FloatArray = npt.NDArray[np.float64]
EVERYBODY = "everybody"


@dataclass(frozen=True, eq=False)
class Popularity:
    """How popular each item is, and whose profile holds it.

    Attributes
    ----------
    of_item : float64 array (n_items,)
        Distinct users with a row (a positive outcome, for candidates and impressions).
    tail : bool array (n_items,)
        The least popular `tail_share` of the catalogue.
    users, items : int64 arrays (n,)
        Cells of the profiles.
    words : str
        Both definitions, for notes.
    """

    of_item: FloatArray
    tail: npt.NDArray[np.bool_]
    users: Codes
    items: Codes
    words: str


def popularity_of(log: InteractionLog, history: InteractionLog, tail_share: float) -> Popularity:
    """Count users of each item, and part the catalogue into head and tail.

    Parameters
    ----------
    log : InteractionLog
        Whose codes are used.
    history : InteractionLog
        What is counted.
    tail_share : float
        Share of the catalogue's items that are the tail, in (0, 1).
    """
    if not 0.0 < tail_share < 1.0:
        raise StudyError(f"tail_share={tail_share!r} must lie between 0 and 1: 0.8, for example.")
    cells = cells_of(log, history, positive=True)
    keys = np.unique(cells[0] * log.n_items + cells[1])
    users, items = np.divmod(keys, log.n_items)
    count = np.bincount(items, minlength=log.n_items).astype(np.float64)
    order = np.argsort(count, kind="stable")
    tail = np.zeros(log.n_items, dtype=bool)
    n_tail = round(tail_share * log.n_items)
    tail[order[:n_tail]] = True
    held = count[tail].sum() / max(count.sum(), 1.0)
    what = "a row" if history.kind in {"ratings", "positives"} else "a positive outcome"
    words = (
        f"An item is as popular as the number of users with {what} of it. The tail is the"
        f" {n_tail:,} least popular of {log.n_items:,} items ({tail_share:.0%}; ties in the order"
        f" of the item table); it holds {held:.1%} of the profiles."
    )
    return Popularity(count, tail, users, items, words)


def add_popularity(
    found: Found,
    lists: Lists,
    popularity: Popularity,
    log: InteractionLog,
    attributes: Sequence[Attribute],
    sampled: tuple[str, ...],
    level: float,
) -> tuple[Table, ...]:
    """Add mean popularity and share of the tail, and the popularity lift by user group.

    Notes
    -----
    ARP@k (Yin et al. 2012), APLT@k (Abdollahpouri et al. 2017), ACLT@k (Abdollahpouri et al. 2019:
    summed over a list, not averaged), lift GAP_q / GAP_p - 1 (the same authors): means over users
    of the mean over their list (q), their profile (p). Lists are fully observed: no correction for
    missing outcomes is needed.
    """
    score = _score(lists, popularity)
    users, items = (np.concatenate(pair) for pair in _entries(lists, popularity))
    codes = {"user": users, "item": items}
    clusters = {name: codes[name] for name in sampled}
    everybody = Estimate.from_score(score, clusters, labels=list(_NAMES), level=level)
    found.add(_overall(everybody, lists, level), judged=False)
    lines = [_line("", EVERYBODY, everybody, "")]
    for attribute in attributes:
        by_group = Estimate.from_score(
            score,
            clusters,
            labels=[f"{name}|{one}" for name in _NAMES for one in attribute.levels],
            groups=attribute.codes[users],
            n_groups=len(attribute.levels),
            level=level,
        )
        _add_lifts(found, by_group, attribute, lists, level)
        lines += [_line(attribute.column, one, by_group, f"|{one}") for one in attribute.levels]
    return (_table(lines, lists),)


_NAMES = ("listed", "tail listed", "profile", "tail profile", "tail places")


def _entries(lists: Lists, popularity: Popularity) -> tuple[tuple[Codes, Codes], ...]:
    return (lists.users, popularity.users), (lists.items, popularity.items)


def _score(lists: Lists, popularity: Popularity) -> Score:
    """Return rows of places and of profile cells; a user's row counts one over their number."""
    n_users = int(max(lists.users.max(), popularity.users.max(initial=0))) + 1
    in_lists = len(lists.users)
    numerator = np.zeros((in_lists + len(popularity.users), len(_NAMES)))
    denominator = np.zeros_like(numerator)
    parts = (
        (slice(None, in_lists), lists.users, lists.items, 0),
        (slice(in_lists, None), popularity.users, popularity.items, 2),
    )
    for rows, users, items, column in parts:
        one_over = 1.0 / np.maximum(np.bincount(users, minlength=n_users), 1)[users]
        denominator[rows, column : column + 2] = one_over[:, None]
        numerator[rows, column] = one_over * popularity.of_item[items]
        numerator[rows, column + 1] = one_over * popularity.tail[items]
    # The number of places that the tail has in a list: of a user's several lists, the mean.
    pairs = np.unique(np.column_stack([lists.users, lists.lists]), axis=0)
    n_lists = np.bincount(pairs[:, 0], minlength=n_users)
    denominator[:in_lists, 4] = denominator[:in_lists, 0]
    numerator[:in_lists, 4] = popularity.tail[lists.items] / n_lists[lists.users]
    return Score(numerator, denominator)


def _overall(everybody: Estimate, lists: Lists, level: float) -> list[Row]:
    names = {
        "listed": f"average popularity (ARP{lists.at_k})",
        "tail listed": f"share of the tail (APLT{lists.at_k})",
        "tail places": f"places of the tail in a list (ACLT{lists.at_k})",
    }
    rows: list[Row] = []
    for part, label in names.items():
        rows += rows_from_estimate(
            everybody[part].relabel([label]),
            metric=label,
            population=lists.words,
            estimator="lists" if lists.k is not None else "log",
            unit="users",
            level=level,
            null=None,
            n={label: len(np.unique(lists.users))},
            interval_method=f"t, {clustered(everybody)}",
        )
    label = "popularity lift: everybody"
    lift = everybody.ratio("listed", "profile", label)
    return [*rows, *_lift_rows(lift, lists, level, {}, {label: rows[0].n or 0})]


def _lift_rows(
    ratio: Estimate,
    lists: Lists,
    level: float,
    groups: dict[str, dict[str, str]],
    n: dict[str, int],
) -> list[Row]:
    """Return ratios of listed to profile popularity as lifts: minus one, interval and all."""
    rows = rows_from_estimate(
        ratio,
        metric="popularity lift",
        population=f"{lists.words}, against the users' profiles",
        estimator="lists" if lists.k is not None else "log",
        unit="users",
        groups=groups,
        level=level,
        null=None,
        n=n,
        interval_method=f"t on the log scale, {clustered(ratio)}",
    )
    return [
        row.model_copy(
            update={
                name: None if getattr(row, name) is None else getattr(row, name) - 1.0
                for name in ("value", "lower", "upper")
            }
        )
        for row in rows
    ]


def _add_lifts(
    found: Found, by_group: Estimate, attribute: Attribute, lists: Lists, level: float
) -> None:
    labels = {one: f"popularity lift: {attribute.column}={one}" for one in attribute.levels}
    ratios = Estimate.stack(
        [by_group.ratio(f"listed|{one}", f"profile|{one}", label) for one, label in labels.items()]
    )
    hidden = {labels[one]: "suppressed" for one in attribute.levels if one in attribute.hidden}
    rows = _lift_rows(
        ratios.mark(hidden),  # type: ignore[arg-type]
        lists,
        level,
        {label: attribute.group(one) for one, label in labels.items()},
        {label: attribute.counts[one] for one, label in labels.items()},
    )
    found.add(rows, judged=False)
    reference = attribute.reference
    if reference is None:
        return
    measure = Measure(
        attribute=attribute,
        estimate=ratios,
        labels=labels,
        metric="popularity lift",
        estimator="lists" if lists.k is not None else "log",
        population=f"{lists.words}, against the users' profiles",
    )
    gaps = ratios.contrast(
        {
            measure.gap_label(one): {labels[one]: 1.0, labels[reference]: -1.0}
            for one in attribute.compared
        }
    )
    parents = {
        measure.gap_label(one): (labels[one], labels[reference]) for one in attribute.compared
    }
    add_band(found, measure, gaps, parents, level)


Line = tuple[str, str, str, float | None, float | None, float | None, float | None]


def _line(column: str, group: str, estimate: Estimate, tail: str) -> Line:
    values = [float(estimate[f"{name}{tail}"].value[0]) for name in _NAMES]
    listed, tail_listed, profile, tail_profile = (v if np.isfinite(v) else None for v in values[:4])
    label = f"{column}={group}" if column else group
    return column, group, label, profile, listed, tail_profile, tail_listed


def _table(lines: Sequence[Line], lists: Lists) -> Table:
    return Table(
        name="popularity",
        title="Popularity of profiles and of what is put before users",
        columns=(
            "attribute",
            "group",
            "label",
            "popularity in profiles",
            "popularity in lists",
            "tail in profiles",
            "tail in lists",
        ),
        rows=tuple(lines),
        caption=f"Means over users of the mean over {lists.words} and over their profiles, which"
        " are what the log recorded, not what they would like.",
        figure="bars",
        x="label",
        y=("popularity in profiles", "popularity in lists"),
    )
