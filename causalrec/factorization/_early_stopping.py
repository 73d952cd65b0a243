"""How many sweeps to take: the self-normalised loss of held-out cells, watched sweep by sweep."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from causalrec.factorization._common import Factors, Integers

# A seed of its own beside the fit's, so that holding out does not repeat the fit's draws.
_STREAM = 7
DEFAULT_SHARE = 0.1


@dataclass(frozen=True)
class Validation:
    """What early stopping found.

    Attributes
    ----------
    losses : tuple of float
        SNIPS squared error of the held-out cells after each sweep.
    n_held_out : int
    """

    losses: tuple[float, ...]
    n_held_out: int

    @property
    def best(self) -> int:
        """The sweep with the smallest loss, counted from 1."""
        return int(np.argmin(self.losses)) + 1

    def note(self) -> str:
        """Return it in a sentence."""
        return (
            f"Early stopping: of {len(self.losses)} sweeps, sweep {self.best} had the smallest"
            f" SNIPS squared error ({min(self.losses):.4g}) on {self.n_held_out:,} held-out cells;"
            " the model was then fitted on all cells with so many sweeps."
        )


@dataclass
class HeldOut:
    """Watches a fit: says when its held-out loss has not fallen for `patience` sweeps.

    Attributes
    ----------
    users, items : int array, shape (n,)
    target, weights : float64 array, shape (n,)
    patience : int
    losses : list of float
    """

    users: Integers
    items: Integers
    target: NDArray[np.float64]
    weights: NDArray[np.float64]
    patience: int
    losses: list[float] = field(default_factory=list)

    def __call__(self, factors: Factors) -> bool:
        residual = self.target - factors.predict(self.users, self.items)
        self.losses.append(float(np.average(np.square(residual), weights=self.weights)))
        return len(self.losses) - 1 - int(np.argmin(self.losses)) >= self.patience


def kept_cells(n: int, share: bool | float, random_state: int | None) -> NDArray[np.bool_]:
    """Draw which cells train; the others are held out, at least one of each.

    Examples
    --------
    >>> int((~kept_cells(50, 0.2, 0)).sum())
    10
    """
    share = DEFAULT_SHARE if share is True else float(share)
    held_out = min(max(round(n * share), 1), n - 1)
    rng = np.random.default_rng(None if random_state is None else [random_state, _STREAM])
    keep = np.ones(n, dtype=bool)
    keep[rng.permutation(n)[:held_out]] = False
    return keep
