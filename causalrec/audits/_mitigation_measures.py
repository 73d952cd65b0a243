"""What is compared between mitigations: exposure beside the catalogue's shares, miscalibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from causalrec.audits._attributes import _is_of_provider
from causalrec.audits._lists import Lists, lists_of_model, lists_of_table
from causalrec.audits._rerank_calibrated import divergence, profiles
from causalrec.audits._reranker import item_groups
from causalrec.errors import DataError, StudyError, near_miss
from causalrec.inference import CellTotals, Estimate
from causalrec.scores import Score

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

Codes = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
KINDS = ("exposure", "miscalibration")
SMOOTHING = 0.01
CELLS_A_BLOCK = 1 << 20


@dataclass(frozen=True)
class Fairness:
    """A measure of fairness as it was asked for.

    Attributes
    ----------
    kind : "exposure" or "miscalibration"
    column : str
    level : str
        Of "exposure": the group whose share is compared.
    """

    kind: Literal["exposure", "miscalibration"]
    column: str
    level: str = ""

    @property
    def name(self) -> str:
        """The axis in words."""
        if self.kind == "exposure":
            return f"distance from parity, {self.column}={self.level}"
        return f"miscalibration, {self.column}"


def parse_fairness(text: str, log: InteractionLog) -> Fairness:
    """Read "exposure:label_group=independent", "exposure:label_group" or "miscalibration:genre".

    Raises
    ------
    StudyError
        For an unknown measure, or a column of several groups of which none is named.
    DataError
        If the column is not one of items, or has no such level.
    """
    kind, _, rest = text.partition(":")
    if kind not in KINDS or not rest:
        raise StudyError(
            f"fairness={text!r} is not known.{near_miss(kind, KINDS)} Write"
            " 'exposure:COLUMN=LEVEL', whose share of exposure is held to its share of the"
            " catalogue, or 'miscalibration:COLUMN'."
        )
    column, _, level = rest.partition("=")
    levels, codes = item_groups(log, column)
    if kind == "miscalibration":
        return Fairness("miscalibration", column)
    if not level and len(levels) == 2:
        sizes = np.bincount(codes[codes >= 0], minlength=2)
        level = levels[int(sizes[1] < sizes[0])]
    if not level:
        raise StudyError(
            f"{column!r} has {len(levels)} levels: name the one whose exposure is compared,"
            f" 'exposure:{column}={levels[0]}', for example."
        )
    if level not in levels:
        raise DataError(
            f"No item has {column}={level!r}.{near_miss(level, levels)} The levels are"
            f" {', '.join(levels)}."
        )
    return Fairness("exposure", column, level)


def lists_by_model(
    models: Mapping[str, Any],
    log: InteractionLog,
    train: InteractionLog | None,
    *,
    k: int,
    browsing: str | float,
) -> dict[str, Lists]:
    """Return the lists of every model: of items outside the training log, where there is one."""
    history = log if train is None else train
    found = {}
    for name, given in models.items():
        if callable(given) or hasattr(given, "predict"):
            found[name] = lists_of_model(
                given, log, history, k=k, exclude_seen=train is not None, browsing=browsing
            )
        else:
            found[name] = lists_of_table(given, log, history, k=k, browsing=browsing)
    return found


def check_no_small_rest(log: InteractionLog, asked: Sequence[Fairness], min_cell: int) -> None:
    """Refuse groups whose shares would tell, by subtraction, of a few items.

    The shares of a column sum to one: what is left of the catalogue, of a group or of all items
    outside it, once the groups of a column inside it are taken away, must not be small either.

    Raises
    ------
    DataError
        If a group, or what is left, has fewer than `min_cell` items.
    """
    groups: dict[str, dict[str, npt.NDArray[np.bool_]]] = {}
    wholes: list[npt.NDArray[np.bool_]] = []
    for one in asked:
        if one.kind == "exposure":
            levels, codes = item_groups(log, one.column)
            inside = codes == levels.index(one.level)
            groups.setdefault(one.column, {})[one.level] = inside
            wholes += [inside, (codes >= 0) & ~inside, codes >= 0]
    for whole in wholes:
        for column, of_column in groups.items():
            within = {name: one for name, one in of_column.items() if not (one & ~whole).any()}
            left = int(whole.sum()) - sum(int(one.sum()) for one in within.values())
            least = min([int(whole.sum()), *([left] if left else [])])
            if least < min_cell:
                names = ", ".join(f"{column}={name!r}" for name in of_column)
                raise DataError(
                    f"{names} or the rest has fewer than {min_cell} items: their exposure would"
                    " give small groups away. Choose larger groups, fewer of them, or a smaller"
                    " min_cell."
                )


def exposure_gaps(
    lists: Mapping[str, Lists],
    log: InteractionLog,
    asked: Fairness,
    *,
    sampled: tuple[str, ...],
    level: float,
) -> tuple[Estimate, Estimate]:
    """Return each model's share of exposure minus the catalogue's share, and the shares alone.

    Parameters
    ----------
    lists : mapping of model to Lists
    log : InteractionLog
    asked : Fairness
    sampled : tuple of "user", "item"
        Providers take the place of items where the column is an attribute of theirs.
    level : float

    Returns
    -------
    (Estimate, Estimate)
        Labelled by model; the second has "catalogue" too. Joint over models.
    """
    levels, codes = item_groups(log, asked.column)
    inside = codes == levels.index(asked.level)
    by_provider = _is_of_provider(log, codes)
    dimension = "provider" if by_provider else "item"
    users, own = _users_of(lists)
    count = 2 * len(lists) + 2
    totals = CellTotals(
        len(users),
        log.n_items,
        count,
        item_clusters=log.provider if by_provider else None,
        item_dimension=dimension,
    )
    for place, (name, one) in enumerate(lists.items()):
        known = codes[one.items] >= 0
        values = np.zeros((int(known.sum()), count))
        values[:, 2 * place] = one.weight[known] * inside[one.items[known]]
        values[:, 2 * place + 1] = one.weight[known]
        totals.add_rows(own[name][known], one.items[known], values)
    sizes = np.zeros((log.n_items, count))
    sizes[:, -2], sizes[:, -1] = inside, codes >= 0
    height = max(1, CELLS_A_BLOCK // (log.n_items * count))
    for start in range(0, len(users), height):
        block = slice(start, min(start + height, len(users)))
        totals.add(block, np.broadcast_to(sizes, (block.stop - block.start, *sizes.shape)))
    names = [*lists, "catalogue"]
    shares = totals.to_estimate(
        [2 * place for place in range(len(names))],
        [2 * place + 1 for place in range(len(names))],
        labels=names,
        sampled=tuple(dimension if name == "item" else name for name in sampled),
        level=level,
    )
    gaps = shares.contrast({name: {name: 1.0, "catalogue": -1.0} for name in lists})
    return gaps, shares


def miscalibrations(
    lists: Mapping[str, Lists],
    log: InteractionLog,
    train: InteractionLog | None,
    asked: Fairness,
    *,
    level: float,
) -> Estimate:
    """Return the mean over users of KL(history || list) of every model (Steck 2018), jointly.

    Users with a list by every model and a history; clustered by user.
    """
    levels, codes = item_groups(log, asked.column)
    history = log if train is None else _aligned(train, log)
    profile = profiles(history, codes, len(levels))
    columns = []
    listed = np.ones(log.n_users, dtype=bool)
    for one in lists.values():
        known = codes[one.items] >= 0
        key = one.users[known] * len(levels) + codes[one.items[known]]
        mass = np.bincount(key, minlength=log.n_users * len(levels)).reshape(log.n_users, -1)
        total = mass.sum(axis=1, keepdims=True)
        listed &= total.ravel() > 0
        columns.append(divergence(profile, mass / np.maximum(total, 1), SMOOTHING))
    listed &= np.bincount(history.user_codes, minlength=log.n_users) > 0
    if not listed.any():
        raise DataError("No user has both a history and a list by every model.")
    value = np.stack(columns, axis=1)[listed]
    return Estimate.from_score(
        Score(value), {"user": np.arange(len(value))}, labels=list(lists), level=level
    )


def _aligned(train: InteractionLog, log: InteractionLog) -> InteractionLog:
    if not (train.user_ids.equals(log.user_ids) and train.item_ids.equals(log.item_ids)):
        raise DataError(
            "Miscalibration compares lists with the history in train: make both logs by"
            " log.split(), so that they have the same users and items."
        )
    return train


def _users_of(lists: Mapping[str, Lists]) -> tuple[Codes, dict[str, Codes]]:
    """Return all users with a list, and the place among them of every entry of each model."""
    users = np.unique(np.concatenate([one.users for one in lists.values()]))
    return users, {name: np.searchsorted(users, one.users) for name, one in lists.items()}
