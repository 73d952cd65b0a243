"""Exposure of item and provider groups: attention an item of the group gets, and its ratio."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from causalrec.audits._attributes import Attribute
from causalrec.audits._gaps import Found, Measure, add_ratios, add_values
from causalrec.audits._group_means import dimensions_of
from causalrec.audits._lists import Lists
from causalrec.inference import CellTotals, Estimate
from causalrec.results import Table

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

FloatArray = npt.NDArray[np.float64]
CELLS_A_BLOCK = 1 << 20


def add_exposure(
    found: Found,
    lists: Lists,
    log: InteractionLog,
    attributes: Sequence[Attribute],
    sampled: Sequence[str],
    level: float,
) -> tuple[Table, ...]:
    """Add mean exposure an item by group, and the demographic parity ratio to the reference.

    Returns
    -------
    tuple of Table
        Exposure by group, to be drawn as bars; nothing without attributes.

    Notes
    -----
    E(G) = sum over users and items of G of v(place), by users with a list and items of G; the
    ratio is Singh & Joachims' (2018) demographic parity, on the log scale of Raj & Ekstrand (2022).
    """
    lines: list[tuple[str, str, str, float | None, float | None, float | None]] = []
    for attribute in attributes:
        measure = Measure(
            attribute=attribute,
            estimate=exposure_by_group(lists, log, attribute, sampled, level),
            labels={name: name for name in attribute.levels},
            metric=f"exposure{lists.at_k}",
            estimator="lists" if lists.k is not None else "log",
            population=lists.words,
        )
        add_values(found, measure, level, at_least=0.0)
        add_ratios(found, measure, level)
        lines += _lines(measure, lists)
    if not lines:
        return ()
    return (
        Table(
            name="exposure",
            title="Exposure by group",
            columns=(
                "attribute",
                "group",
                "label",
                "share of items",
                "share of exposure",
                "exposure an item and user",
            ),
            rows=tuple(lines),
            caption=f"Of {lists.words}; {lists.browsing}.",
            figure="bars",
            x="label",
            y=("share of items", "share of exposure"),
        ),
    )


def exposure_by_group(
    lists: Lists,
    log: InteractionLog,
    attribute: Attribute,
    sampled: Sequence[str],
    level: float,
) -> Estimate:
    """Return the mean exposure of an item of each group to a user, one label a level.

    Every cell of users with a list and items of the group counts, most of them with nothing.
    """
    users, own = np.unique(lists.users, return_inverse=True)
    dimensions = dimensions_of(attribute, sampled)
    if not attribute.by_provider:
        cells, place = np.unique(own * log.n_items + lists.items, return_inverse=True)
        return Estimate.from_grid(
            np.zeros((len(users), 0)),
            np.zeros((log.n_items, 0)),
            cells // log.n_items,
            cells % log.n_items,
            np.bincount(place, weights=lists.weight, minlength=len(cells)).astype(np.float64),
            labels=list(attribute.levels),
            item_groups=attribute.codes,
            sampled=dimensions,
            level=level,
        )
    return _by_provider(lists, log, attribute, own, dimensions, level)


def _by_provider(
    lists: Lists,
    log: InteractionLog,
    attribute: Attribute,
    own: npt.NDArray[np.int64],
    dimensions: tuple[str, ...],
    level: float,
) -> Estimate:
    """Accumulate cells of users and providers: exposure of its items, and how many they are."""
    assert log.provider is not None
    provider = log.provider.astype(np.int64)
    n_users, n_providers = int(own.max()) + 1, int(provider.max()) + 1
    q = len(attribute.levels)
    totals = CellTotals(n_users, n_providers, 2 * q, item_dimension="provider")
    group = attribute.codes[lists.items]
    kept = group >= 0
    values = np.zeros((int(kept.sum()), 2 * q))
    values[np.arange(len(values)), group[kept]] = lists.weight[kept]
    totals.add_rows(own[kept], provider[lists.items[kept]], values)
    sizes = np.zeros((n_providers, 2 * q))
    leveled = attribute.codes >= 0
    np.add.at(sizes, (provider[leveled], q + attribute.codes[leveled]), 1.0)
    height = max(1, CELLS_A_BLOCK // (n_providers * 2 * q))
    for start in range(0, n_users, height):
        block = slice(start, min(start + height, n_users))
        totals.add(block, np.broadcast_to(sizes, (block.stop - block.start, *sizes.shape)))
    places = list(range(q))
    return totals.to_estimate(
        places,
        [q + place for place in places],
        labels=list(attribute.levels),
        sampled=dimensions,
        level=level,
    )


def _lines(
    measure: Measure, lists: Lists
) -> list[tuple[str, str, str, float | None, float | None, float | None]]:
    attribute = measure.attribute
    group = attribute.codes[lists.items]
    kept = group >= 0
    given = np.bincount(group[kept], weights=lists.weight[kept], minlength=len(attribute.levels))
    shares = given / max(float(lists.weight.sum()), 1e-300)
    values = measure.estimate.value
    return [
        (
            attribute.column,
            name,
            f"{attribute.column}={name}",
            attribute.counts[name] / attribute.n_subjects,
            float(shares[code]),
            float(values[code]),
        )
        for code, name in enumerate(attribute.levels)
    ]


def exposure_of_items(lists: Lists, n_items: int) -> FloatArray:
    """Return the attention that each item of the catalogue gets from all lists, (n_items,)."""
    return np.bincount(lists.items, weights=lists.weight, minlength=n_items).astype(np.float64)
