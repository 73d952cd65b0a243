"""Shares of attention of item groups against a recorded target (attention-weighted rank fairness).

AWRF (Sapiezynski, Zeng, Robertson, Mislove & Wilson 2019): with A the alignment of items to groups
(one each, or soft) and a the attention that items get, the groups' shares are A'a / sum A'a, and
their distance from the target is the divergence of Jensen and Shannon, for any number of groups.
Attention is summed over all lists first: a group may be absent from one list and made up in
another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from causalrec.audits._attributes import Attribute, groups_to_hide
from causalrec.audits._distance import distance_row
from causalrec.audits._divergence import jensen_shannon
from causalrec.audits._gaps import Found, any_difference, clustered
from causalrec.audits._gini import N_RANDOM, uniform_random
from causalrec.audits._group_means import dimensions_of
from causalrec.audits._lists import Lists
from causalrec.audits._options import Target
from causalrec.errors import DataError, StudyError
from causalrec.inference import CellTotals, Estimate
from causalrec.results import Row, Table, rows_from_estimate

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

FloatArray = npt.NDArray[np.float64]
Line = tuple[str, str, str, float | None, float | None]
CELLS_A_BLOCK = 1 << 20


@dataclass(frozen=True, eq=False)
class Alignment:
    """Items aligned to the shown groups of an attribute.

    Attributes
    ----------
    attribute : Attribute
    levels : tuple of str
        The shown ones; shares are among them.
    membership : float64 array (n_items, q)
        One hot, or soft.
    target : float64 array (q,)
    words : str
        What the target is.
    of_catalogue : bool
        It is a share of the items, drawn with them.
    """

    attribute: Attribute
    levels: tuple[str, ...]
    membership: FloatArray
    target: FloatArray
    words: str
    of_catalogue: bool

    @property
    def parted(self) -> bool:
        """Whether an item is in one group only."""
        return bool((self.attribute.codes >= 0).any())


def add_target(
    found: Found,
    lists: Lists,
    log: InteractionLog,
    attributes: Sequence[Attribute],
    soft_groups: Mapping[str, Sequence[str]],
    target: Target,
    *,
    sampled: Sequence[str],
    level: float,
    min_cell: int,
    random_state: int | None,
) -> tuple[Table, ...]:
    """Add shares of attention minus the target, and their distance, for every attribute of items.

    Parameters
    ----------
    found : Found
    lists : Lists
    log : InteractionLog
    attributes : sequence of Attribute
        Of items.
    soft_groups : mapping of str to columns
        A name, and the columns of the item table that hold each item's membership weights.
    target : "catalogue", "equal", or mapping of attribute to {group: share}
        Share of the items (of their membership), the same for every group, or given: population
        shares, for example.
    sampled : sequence of str
    level : float
    min_cell : int
    random_state : int or None
    """
    aligned = [align(one, target) for one in attributes if one.reference is not None]
    for name, columns in soft_groups.items():
        attribute, membership = _soft(log, name, columns, min_cell)
        if attribute.reference is not None:
            aligned.append(align(attribute, target, membership))
    rng = np.random.default_rng(random_state)
    chance = [uniform_random(lists, log.n_items, rng) for _ in range(N_RANDOM)] if aligned else []
    lines: list[Line] = []
    for one in aligned:
        lines += _add(found, lists, log, one, chance, sampled, level)
    if not lines:
        return ()
    return (
        Table(
            name="attention against target",
            title="Share of attention against the target",
            columns=("attribute", "group", "label", "target", "share of attention"),
            rows=tuple(lines),
            caption=f"Among the groups shown, of {lists.words}; {lists.browsing}. The target is"
            f" {'; '.join(dict.fromkeys(one.words for one in aligned))}.",
            figure="bars",
            x="label",
            y=("target", "share of attention"),
        ),
    )


def align(attribute: Attribute, target: Target, soft: FloatArray | None = None) -> Alignment:
    """Return the items' alignment to the shown groups, and the target.

    Raises
    ------
    StudyError
        If a given target misses a group, or its shares do not sum to one.
    """
    kept = [attribute.levels.index(one) for one in attribute.shown]
    if soft is None:
        membership = (attribute.codes[:, None] == np.array(kept)[None, :]).astype(np.float64)
    else:
        membership = soft[:, kept]
    of_catalogue = target == "catalogue" or (
        not isinstance(target, str) and attribute.column not in target
    )
    if target == "equal":
        shares, words = np.full(len(kept), 1.0 / len(kept)), "an equal share for each group"
    elif of_catalogue:
        size = membership.sum(axis=0)
        shares, words = size / size.sum(), "each group's share of the catalogue"
    elif isinstance(target, str):
        raise StudyError(
            f"target={target!r} is not known: 'catalogue' (share of the items), 'equal', or"
            " {attribute: {group: share}}."
        )
    else:
        shares, words = _given(attribute, target[attribute.column]), "given by the auditor"
    return Alignment(attribute, attribute.shown, membership, shares, words, of_catalogue)


def _given(attribute: Attribute, shares: Mapping[str, float]) -> FloatArray:
    missing = [one for one in attribute.levels if one not in shares]
    total = sum(float(one) for one in shares.values())
    if missing or abs(total - 1.0) > 1e-6 or any(one < 0 for one in shares.values()):
        raise StudyError(
            f"The target of {attribute.column!r} needs a share for each of its groups"
            f" ({', '.join(attribute.levels)}), none negative, summing to 1; it sums to {total:g}"
            + (f" and misses {', '.join(missing)}." if missing else ".")
        )
    shown = np.array([float(shares[one]) for one in attribute.shown])
    if shown.sum() == 0.0:
        raise StudyError(f"The target of {attribute.column!r} gives nothing to the groups shown.")
    return np.asarray(shown / shown.sum())


def _soft(
    log: InteractionLog, name: str, columns: Sequence[str], min_cell: int
) -> tuple[Attribute, FloatArray]:
    """Return soft groups as an attribute, with the items' memberships."""
    if len(columns) < 2:
        raise StudyError(f"soft_groups[{name!r}] needs two columns or more: one for each group.")
    found = []
    for column in columns:
        if column not in log.items.columns:
            raise DataError.missing_column(
                column, list(log.items.columns), role="soft group", table="items"
            )
        found.append(log.items[column].to_numpy(dtype=np.float64, na_value=0.0))
    membership = np.column_stack(found)
    wrong = ~np.isfinite(membership) | (membership < 0)
    if wrong.any():
        raise DataError(
            f"{int(wrong.any(axis=1).sum()):,} items have a membership in {name!r} that is negative"
            " or infinite: give weights from 0 (0.7 and 0.3, say, for an item of two genres)."
        )
    counts = dict(zip(columns, (membership > 0).sum(axis=0).tolist(), strict=True))
    hidden = groups_to_hide(name, counts, sum(counts.values()), min_cell)
    attribute = Attribute(
        column=name,
        entity="item",
        by_provider=False,
        levels=tuple(columns),
        codes=np.full(log.n_items, -1, dtype=np.int64),
        counts=counts,
        n_subjects=log.n_items,
        hidden=hidden,
    )
    return attribute, membership


def away_from_target(
    lists: Lists, log: InteractionLog, one: Alignment, sampled: Sequence[str], level: float
) -> Estimate:
    """Return each shown group's share of the attention that they get, minus its target.

    Shares of the catalogue are drawn with the items (providers), and have their error; a target
    that was given has none.
    """
    q = len(one.levels)
    by_provider = one.attribute.by_provider
    users, own = np.unique(lists.users, return_inverse=True)
    totals = CellTotals(
        len(users),
        log.n_items,
        2 * (q + 1),
        item_clusters=log.provider if by_provider else None,
        item_dimension="provider" if by_provider else "item",
    )
    inside = np.column_stack([one.membership, one.membership.sum(axis=1)])
    nothing = np.zeros_like(inside)
    placed = lists.weight[:, None] * np.hstack([inside, nothing])[lists.items]
    totals.add_rows(own, lists.items, placed)
    if one.of_catalogue:
        catalogue = np.hstack([nothing, inside])[None]
        height = max(1, CELLS_A_BLOCK // catalogue.size)
        for start in range(0, len(users), height):
            block = slice(start, min(start + height, len(users)))
            totals.add(block, np.repeat(catalogue, block.stop - block.start, axis=0))
    names = [*one.levels, *(f"{x}|catalogue" for x in one.levels)]
    numerators = [*range(q), *range(q + 1, 2 * q + 1)]
    denominators = [q] * q + [2 * q + 1] * q
    kept = len(names) if one.of_catalogue else q
    shares = totals.to_estimate(
        numerators[:kept],
        denominators[:kept],
        labels=names[:kept],
        sampled=dimensions_of(one.attribute, sampled),
        level=level,
    )
    if not one.of_catalogue:
        return shares.shift(-one.target)
    return shares.contrast({x: {x: 1.0, f"{x}|catalogue": -1.0} for x in one.levels})


def _add(
    found: Found,
    lists: Lists,
    log: InteractionLog,
    one: Alignment,
    chance: Sequence[Lists],
    sampled: Sequence[str],
    level: float,
) -> list[Line]:
    """Add the shares of one attribute and their distance; return lines of the table."""
    column = one.attribute.column
    apart = away_from_target(lists, log, one, sampled, level)
    metric = f"share of attention minus target{lists.at_k}"
    away = apart.relabel([f"{metric}: {column}={name}" for name in one.levels])
    _add_shares(found, lists, one, away, metric, level)
    free = away[list(away.labels[:-1])]  # the last share follows from the others
    distance = f"distance from target (AWRF{lists.at_k})"

    def divergence(points: FloatArray) -> FloatArray:
        moved = np.column_stack([points, -points.sum(axis=1)]) + one.target
        return jensen_shannon(_as_shares(moved), one.target)

    row = distance_row(
        free,
        divergence,
        label=f"{distance}: {column}",
        metric=distance,
        population=f"{lists.words}, groups shown",
        estimator=_source(lists),
        unit=one.attribute.unit,
        n=min(one.attribute.counts[name] for name in one.levels),
        level=level,
        derived_from=away.labels,
        note=f"divergence of Jensen and Shannon in bits from {one.words}",
    )
    found.add([row, _by_chance(row, one, chance)], judged=False)
    groups = ", ".join(one.levels)
    found.tests.append((column, metric, _source(lists), groups, *any_difference(free)))
    return [
        (column, name, f"{column}={name}", *_both(one, apart.value, code))
        for code, name in enumerate(one.levels)
    ]


def _source(lists: Lists) -> str:
    return "lists" if lists.k is not None else "log"


def _add_shares(
    found: Found, lists: Lists, one: Alignment, away: Estimate, metric: str, level: float
) -> None:
    """Add the share of every group minus its target, under one band."""
    named = list(zip(away.labels, one.levels, strict=True))
    rows = rows_from_estimate(
        away,
        metric=metric,
        population=f"{lists.words}, groups shown",
        estimator=_source(lists),
        unit=one.attribute.unit,
        level=level,
        groups={label: one.attribute.group(name) for label, name in named if one.parted},
        n={label: one.attribute.counts[name] for label, name in named},
        interval_method=f"sup-t over {len(one.levels)} shares, {clustered(away)}",
    )
    band = away.simultaneous_interval(level)
    found.add(
        [
            row if row.lower is None else row.model_copy(update={"lower": low, "upper": high})
            for row, (low, high) in zip(rows, band.tolist(), strict=True)
        ],
        judged=False,
    )


def _both(one: Alignment, away: FloatArray, code: int) -> tuple[float, float]:
    """Return the target of a group, and its share."""
    return float(one.target[code]), float(one.target[code] + away[code])


def _as_shares(points: FloatArray) -> FloatArray:
    """Cut what leaves the simplex, and rescale."""
    inside = np.clip(points, 0.0, None)
    return np.asarray(inside / inside.sum(axis=-1, keepdims=True))


def _by_chance(row: Row, one: Alignment, chance: Sequence[Lists]) -> Row:
    values = []
    for lists in chance:
        given = lists.weight @ one.membership[lists.items]
        if given.sum() > 0:
            values.append(float(jensen_shannon(given / given.sum(), one.target)))
    return Row(
        label=f"{row.label} (uniform random lists)",
        metric=row.metric,
        value=float(np.mean(values)) if values else None,
        n=row.n,
        unit=row.unit,
        population="as many lists of the same lengths, drawn uniformly from the catalogue",
        estimator="uniform random",
        derived_from=row.derived_from,
        note=f"mean of {len(values)} simulated sets of lists; not an estimate, hence no interval",
    )
