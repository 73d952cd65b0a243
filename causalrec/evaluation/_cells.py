"""The cells of a log in flat blocks: what is recorded, with what propensity, in which place.

Every estimator of this room is a ratio of two sums over cells. A block holds some of the cells as
flat arrays, so the same arithmetic serves the recorded cells of a sparse log, a grid that is
walked user by user, and the rows of candidates. A cell is in one block only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from causalrec.evaluation._recommenders import Codes, Contender, FloatArray

if TYPE_CHECKING:
    from causalrec.evaluation._imputation import Imputation
    from causalrec.interactions import InteractionLog
    from causalrec.nuisances import Propensity, Support

BoolArray = npt.NDArray[np.bool_]
Keys = npt.NDArray[np.int64]
PopulationName = Literal["supported", "all"]

CELLS_A_BLOCK = 1 << 16


@dataclass(frozen=True)
class CellBlock:
    """Some cells, as flat arrays of one length.

    Attributes
    ----------
    users, items : int32
    observed : bool
        The outcome is recorded.
    outcome : float64
        0 where it is not recorded.
    propensity : float64
        1 where none is needed.
    member : bool
        The cell is in the population.
    mean : float64 or None
        The outcome model's mean.
    predictions, places : mapping of model name to arrays
        Predictions, and 1-based places in the user's list (0: not ranked).
    randomized, randomized_outcome : bool, float64, or None
        The cells of a randomised slice that the answer is compared with.
    span : slice or None
        The users of whom the block holds every eligible cell; None for chosen cells.
    """

    users: Codes
    items: Codes
    observed: BoolArray
    outcome: FloatArray
    propensity: FloatArray
    member: BoolArray
    mean: FloatArray | None = None
    predictions: Mapping[str, FloatArray] = field(default_factory=dict)
    places: Mapping[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    randomized: BoolArray | None = None
    randomized_outcome: FloatArray | None = None
    span: slice | None = None

    def __len__(self) -> int:
        return len(self.users)

    def take(self, kept: BoolArray) -> CellBlock:
        """Return the cells where `kept` is True."""
        chosen: dict[str, Any] = {}
        for name, value in vars(self).items():
            if isinstance(value, Mapping):
                chosen[name] = {key: array[kept] for key, array in value.items()}
            elif isinstance(value, np.ndarray):
                chosen[name] = value[kept]
        return CellBlock(**chosen)


@dataclass
class Coverage:
    """How many cells were eligible, how many of them are in the population, what was clipped.

    Attributes
    ----------
    eligible, members : int
        Eligible cells, and those of them in the population.
    weighted, clipped : int
        Recorded cells of the population, and those whose propensity was raised.
    by_user : int64 array or None
        Members of each user, where lists were made.
    """

    eligible: int = 0
    members: int = 0
    weighted: int = 0
    clipped: int = 0
    by_user: npt.NDArray[np.int64] | None = None

    def cells_a_user(self, users: BoolArray | None = None) -> float:
        """Return the mean number of members of the users that have any."""
        assert self.by_user is not None
        counts = self.by_user if users is None else self.by_user[users]
        return float(counts.sum()) / max(int(np.count_nonzero(counts)), 1)

    @property
    def share_unsupported(self) -> float:
        """Share of the eligible cells outside the population."""
        return 1.0 - self.members / self.eligible if self.eligible else 0.0

    @property
    def share_clipped(self) -> float:
        """Share of the recorded cells whose propensity was raised to the clip."""
        return self.clipped / self.weighted if self.weighted else 0.0


@dataclass(frozen=True, eq=False)
class CellSource:
    """Where the blocks come from.

    Attributes
    ----------
    log : InteractionLog
        Ratings (the grid of eligible cells) or candidates (their rows).
    propensity : Propensity or None
        None where no weight is needed.
    support : Support or None
        Cells with a propensity above the floor; None puts every eligible cell in the population.
    contenders : tuple of Contender
    rank : bool
        Lists are needed: every eligible item of a user competes.
    every_cell : bool
        The estimator needs the cells without a recorded outcome too.
    imputation : Imputation or None
    excluded : InteractionLog or None
        Cells of a training log that neither compete nor count.
    randomized : InteractionLog or None
        A randomised slice with the same code spaces, to stand beside.
    clip : float or None
        Propensities below it are raised to it.
    """

    log: InteractionLog
    propensity: Propensity | None = None
    support: Support | None = None
    contenders: tuple[Contender, ...] = ()
    rank: bool = False
    every_cell: bool = False
    imputation: Imputation | None = None
    excluded: InteractionLog | None = None
    randomized: InteractionLog | None = None
    clip: float | None = None

    def blocks(self, coverage: Coverage) -> Iterator[CellBlock]:
        """Yield the blocks, and count eligible cells, members and clipped weights on the way."""
        if self.log.kind == "candidates":
            yield self._finish(self._candidate_rows(), slice(None), coverage)
        elif self.rank or self.every_cell:
            height = max(1, CELLS_A_BLOCK // max(self.log.n_items, 1))
            for start in range(0, self.log.n_users, height):
                users = slice(start, min(start + height, self.log.n_users))
                block = self._finish(self._grid(users), users, coverage)
                yield replace(block, span=users) if self.every_cell else block
        else:
            yield self._finish(self._recorded_cells(), None, coverage)

    def _finish(self, block: CellBlock, users: slice | None, coverage: Coverage) -> CellBlock:
        """Add what needs models: weights, membership, predictions, places, the mean."""
        block = self._with_membership(block, coverage)
        self._count(block, users, coverage)
        predictions = {
            c.name: c.predict(self.log, block.users, block.items) for c in self.contenders
        }
        block = replace(block, predictions=predictions)
        if self.rank:
            block = self._with_places(block)
        if not self.every_cell and users is not None:
            kept = block.observed if block.randomized is None else block.observed | block.randomized
            block = block.take(kept)
        if self.imputation is not None and self.every_cell:
            mean = self.imputation.cells(self.log, block.users, block.items)
            block = replace(block, mean=mean)
        return block

    def _count(self, block: CellBlock, users: slice | None, coverage: Coverage) -> None:
        """Count eligible cells and members; what was trained on is neither."""
        if users is not None:
            outside = len(block) - int(self._was_seen(block).sum())
            coverage.eligible += outside
            coverage.members += int(block.member.sum())
            counts = np.bincount(block.users[block.member], minlength=self.log.n_users)
            coverage.by_user = counts + (0 if coverage.by_user is None else coverage.by_user)
            return
        seen = np.zeros(0, dtype=np.int64) if self.excluded is None else self._seen
        supported, seen_supported = self.log.n_eligible, len(seen)
        if self.support is not None:
            supported = self.support.n_supported
            seen_supported = int(self.support.cells(*np.divmod(seen, self.log.n_items)).sum())
        coverage.eligible += self.log.n_eligible - len(seen)
        coverage.members += supported - seen_supported

    def _was_seen(self, block: CellBlock) -> BoolArray:
        """Return which cells are in the training log."""
        if self.excluded is None:
            return np.zeros(len(block), dtype=bool)
        return np.isin(_keys(self.log, block.users, block.items), self._seen)

    def _with_membership(self, block: CellBlock, coverage: Coverage) -> CellBlock:
        member, propensity = block.member, block.propensity
        if self.propensity is not None:
            propensity = self._propensity_of(block)
            if self.support is not None:
                member = member & self._supported(block)
            # What could never be recorded was not; any positive number leaves its weight at 0.
            propensity = np.where(block.observed | (propensity > 0.0), propensity, 1.0)
        if self.excluded is not None:
            member = member & ~self._was_seen(block)
            propensity = self._outside_training(propensity)
        if self.clip is not None:
            low = propensity < self.clip
            counted = block.observed & member
            coverage.clipped += int((low & counted).sum())
            coverage.weighted += int(counted.sum())
            propensity = np.maximum(propensity, self.clip)
        return replace(block, member=member, propensity=propensity)

    def _propensity_of(self, block: CellBlock) -> FloatArray:
        from causalrec.nuisances import cell_propensity, row_propensity

        assert self.propensity is not None
        if self.log.kind == "candidates":
            return row_propensity(self.propensity, self.log)
        return cell_propensity(self.propensity, self.log, block.users, block.items)

    def _supported(self, block: CellBlock) -> BoolArray:
        assert self.support is not None
        if self.support.unit == "rows":
            return self.support.rows()
        return self.support.cells(block.users, block.items)

    def _outside_training(self, propensity: FloatArray) -> FloatArray:
        """Turn the test part's p over all cells, r p, into r p / (1 - s p).

        That is the probability of being recorded in this part (rate r) for a cell that the other
        part (rate s) does not hold.
        """
        part = self.log.part
        if part is None or part.by != "cell" or part.rate >= 1.0:
            return propensity
        elsewhere = propensity * part.other_rate / part.rate
        return propensity / (1.0 - np.minimum(elsewhere, 1.0 - propensity))

    def _with_places(self, block: CellBlock) -> CellBlock:
        """Rank the members of each user; what is not eligible or was seen does not compete."""
        competes = ~self._was_seen(block)
        found = {}
        for contender in self.contenders:
            place = np.zeros(len(block), dtype=np.int64)
            prediction = block.predictions[contender.name]
            place[competes] = contender.places(
                block.users[competes], block.items[competes], prediction[competes]
            )
            found[contender.name] = place
        return replace(block, places=found)

    def _grid(self, users: slice) -> CellBlock:
        """Every eligible cell of a block of users."""
        log = self.log
        user_codes = np.arange(users.start, users.stop, dtype=np.int32)
        flat_users = np.repeat(user_codes, log.n_items)
        flat_items = np.tile(np.arange(log.n_items, dtype=np.int32), len(user_codes))
        eligible = log.eligible_block(users)
        if eligible is not None:
            kept = eligible.ravel()
            flat_users, flat_items = flat_users[kept], flat_items[kept]
        return self._looked_up(flat_users, flat_items)

    def _recorded_cells(self) -> CellBlock:
        """Return the recorded cells and those of the slice: all that a weighted loss needs."""
        keys = self._recorded[0]
        if self.randomized is not None:
            keys = np.union1d(keys, self._slice[0])
        users, items = np.divmod(keys, self.log.n_items)
        return self._looked_up(users.astype(np.int32), items.astype(np.int32))

    def _looked_up(self, users: Codes, items: Codes) -> CellBlock:
        keys = _keys(self.log, users, items)
        observed, outcome = _look_up(keys, *self._recorded)
        block = CellBlock(
            users=users,
            items=items,
            observed=observed,
            outcome=outcome,
            propensity=np.ones(len(users)),
            member=np.ones(len(users), dtype=bool),
        )
        if self.randomized is None:
            return block
        in_slice, slice_outcome = _look_up(keys, *self._slice)
        return replace(block, randomized=in_slice, randomized_outcome=slice_outcome)

    def _candidate_rows(self) -> CellBlock:
        """Return the rows of candidates, shown or not; the outcome under exposure counts."""
        log = self.log
        assert log.exposure is not None
        assert log.outcome is not None
        shown = log.exposure == 1
        return CellBlock(
            users=log.user_codes,
            items=log.item_codes,
            observed=shown,
            outcome=np.where(shown, log.outcome, 0.0),
            propensity=np.ones(log.n_rows),
            member=np.ones(log.n_rows, dtype=bool),
        )

    @cached_property
    def _recorded(self) -> tuple[Keys, FloatArray]:
        return _cells_of(self.log, self.log)

    @cached_property
    def _slice(self) -> tuple[Keys, FloatArray]:
        assert self.randomized is not None
        return _cells_of(self.randomized, self.log)

    @cached_property
    def _seen(self) -> Keys:
        assert self.excluded is not None
        return _cells_of(self.excluded, self.log)[0]


def _keys(log: InteractionLog, users: Codes, items: Codes) -> Keys:
    return users.astype(np.int64) * log.n_items + items


def _cells_of(log: InteractionLog, space: InteractionLog) -> tuple[Keys, FloatArray]:
    """Return the sorted keys and outcomes of a log's recorded cells, in the codes of `space`."""
    found = log.observed_cells()
    users, items = found.users, found.items
    if log is not space:
        if not log.user_ids.equals(space.user_ids):
            users = space.codes_of(users=log.user_ids)[users]
        if not log.item_ids.equals(space.item_ids):
            items = space.codes_of(items=log.item_ids)[items]
    keys = _keys(space, users, items)
    order = np.argsort(keys, kind="stable")
    return keys[order], found.outcome[order]


def _look_up(keys: Keys, known: Keys, values: FloatArray) -> tuple[BoolArray, FloatArray]:
    """Return which keys are known, and their values (0 where they are not)."""
    if len(known) == 0:
        return np.zeros(len(keys), dtype=bool), np.zeros(len(keys))
    at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    present = known[at] == keys
    return present, np.where(present, values[at], 0.0)
