"""What a log is made of: arrays that are read-only, and counts of them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from causalrec.interactions._cells import cell_keys

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from causalrec.interactions._columns import Columns, Kind
    from causalrec.interactions._eligible import Eligibility
    from causalrec.interactions._split import SplitPart

ROW_ARRAYS = (
    "user_codes",
    "item_codes",
    "outcome",
    "exposure",
    "position",
    "slate",
    "arm",
    "logging_propensity",
    "randomized",
    "timestamp",
)
"""Fields with one entry a row: what `select` takes rows of."""


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Content:
    """The normalised fields of a log; `InteractionLog` documents them and adds the verbs."""

    kind: Kind
    columns: Columns
    user_codes: NDArray[np.int32]
    item_codes: NDArray[np.int32]
    user_ids: pd.Index
    item_ids: pd.Index
    outcome: NDArray[np.float64] | None
    exposure: NDArray[np.int8] | None
    position: NDArray[np.int32] | None
    slate: NDArray[np.int32] | None
    slate_ids: pd.Index | None
    arm: NDArray[np.int32] | None
    arm_ids: pd.Index | None
    logging_propensity: NDArray[np.float64] | None
    randomized: NDArray[np.bool_] | None
    provider: NDArray[np.int32] | None
    provider_ids: pd.Index | None
    timestamp: NDArray[np.datetime64] | None
    outcome_range: tuple[float, float]
    outcome_range_declared: bool
    part: SplitPart | None
    notes: tuple[str, ...]
    n_set_aside: int
    _users: pd.DataFrame
    _items: pd.DataFrame
    _events: pd.DataFrame
    _eligible: Eligibility | None

    def _fill(self, content: dict[str, Any]) -> None:
        for field in fields(self):
            value = content[field.name]
            if isinstance(value, np.ndarray):
                value.setflags(write=False)
            object.__setattr__(self, field.name, value)

    def _derive(self, **changes: Any) -> Self:
        derived = object.__new__(type(self))
        content = {field.name: getattr(self, field.name) for field in fields(self)}
        derived._fill(content | changes)
        return derived

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.user_codes)

    def __len__(self) -> int:
        return self.n_rows

    @property
    def n_users(self) -> int:
        """Number of users in the code space, with or without rows."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Number of items in the code space, with or without rows."""
        return len(self.item_ids)

    @cached_property
    def n_eligible(self) -> int:
        """Eligible cells of the grid (ratings, positives), or rows (candidates, impressions)."""
        if self.kind in {"candidates", "impressions"}:
            return self.n_rows
        return self.n_users * self.n_items if self._eligible is None else self._eligible.count

    @cached_property
    def n_cells(self) -> int:
        """Number of different (user, item) cells among the rows."""
        return len(np.unique(cell_keys(self.user_codes, self.item_codes, self.n_items)))

    @property
    def one_row_per_cell(self) -> bool:
        """Whether no two rows fall in one cell."""
        return self.n_cells == self.n_rows
