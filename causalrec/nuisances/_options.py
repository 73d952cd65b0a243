"""The settled options of a fit, and the users and items that it may look at."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.nuisances._grid_logit import blocks

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog
    from causalrec.nuisances._model import PropensityModel

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class FitOptions:
    """The parameters of `PropensityModel`, settled for the kind of log."""

    method: str
    regularization: float
    cross_regularization: float
    effect_regularization: float | None
    user_effects: bool
    item_effects: bool
    crosses: bool
    classifier: Any
    random_state: int | None
    tolerance: float
    max_iterations: int
    rank: int
    factor_regularization: float
    cell_folds: int | None
    controls: int
    popularity_exponent: float | None
    randomized: InteractionLog | None

    @classmethod
    def of(
        cls, model: PropensityModel, method: str, classifier: Any, *, effects: bool
    ) -> FitOptions:
        """Settle the parameters of a model.

        Parameters
        ----------
        model : PropensityModel
        method : str
        classifier : object or None
        effects : bool
            Whether there are user and item effects where the model leaves it open.
        """
        stored = {field.name: getattr(model, field.name) for field in fields(cls)}
        for side in ("user_effects", "item_effects"):
            stored[side] = effects if stored[side] is None else stored[side]
        settled = {"method": method, "classifier": classifier}
        if method == "boosting":  # trees find products themselves
            settled["crosses"] = False
        return cls(**(stored | settled))


@dataclass(frozen=True)
class Within:
    """The users and items that a fit may look at."""

    users: Bools
    items: Bools

    @classmethod
    def of(cls, log: InteractionLog, users: Bools | None, items: Bools | None) -> Within:
        """Settle the masks; a part of a split by user holds its own users only."""
        allowed = np.ones(log.n_users, dtype=bool) if users is None else np.asarray(users)
        if log.part is not None and log.part.by == "user":
            allowed = allowed & _has_eligible_cells(log)
        taken = np.ones(log.n_items, dtype=bool) if items is None else np.asarray(items)
        return cls(allowed, taken)

    def cells(self, users: NDArray[Any], items: NDArray[Any]) -> Bools:
        """Whether aligned cells lie within."""
        return np.asarray(self.users[users] & self.items[items])

    def observed(self, log: InteractionLog) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the users and items of the observed cells within."""
        cells = log.observed_cells()
        kept = self.cells(cells.users, cells.items)
        return cells.users[kept], cells.items[kept]

    def happened(self, log: InteractionLog) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the users and items of what happened: observed cells, or exposed rows."""
        if log.exposure is None:
            return self.observed(log)
        kept = self.cells(log.user_codes, log.item_codes) & (log.exposure == 1)
        return log.user_codes[kept], log.item_codes[kept]


def _has_eligible_cells(log: InteractionLog) -> Bools:
    found = np.ones(log.n_users, dtype=bool)
    for users in blocks(log.n_users, log.n_items):
        allowed = log.eligible_block(users)
        if allowed is not None:
            found[users] = allowed.any(axis=1)
    return found
