"""Browsing that stops where it is satisfied: a place's attention depends on what stands above."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from causalrec.errors import StudyError
from causalrec.evaluation import contenders

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

Codes = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cascade:
    """Attention of a place: patience^(r - 1) times the chance that nothing above satisfied.

    v(r) = patience^(r - 1) prod over s < r of (1 - satisfaction x relevance of the item at s)
    (the cascade of expected reciprocal rank: Chapelle, Metzler, Zhang & Grinspan 2009).

    Parameters
    ----------
    relevance : Recommender or callable(users, items)
        The chance, from 0 to 1, that the item is what the user wanted. Not the audited model: it
        would decide how much attention its own lists get.
    patience : float
        Chance to go on to the next place, in (0, 1].
    satisfaction : float
        Chance to stop at an item that is wanted, in [0, 1].

    Examples
    --------
    >>> import causalrec as cr
    >>> world = cr.simulate("music", n_users=80, n_items=40, density=0.3, random_state=0)
    >>> liked = cr.audits.Cascade(lambda users, items: [0.5] * len(users), satisfaction=0.5)
    >>> found = cr.audit(
    ...     world.log, lambda u, i: -i.to_numpy(), item_groups="genre", browsing=liked,
    ...     estimators="naive", min_cell=5)
    >>> found.notes[-2][:44]
    'Exposure: a place counts the chance of being'
    """

    relevance: Any
    patience: float = 0.85
    satisfaction: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 < self.patience <= 1.0 or not 0.0 <= self.satisfaction <= 1.0:
            raise StudyError(
                f"patience={self.patience!r} must lie in (0, 1] and satisfaction="
                f"{self.satisfaction!r} in [0, 1]: they are probabilities."
            )

    @property
    def words(self) -> str:
        """The weights in words, for captions."""
        return (
            f"a place counts the chance of being reached: {self.patience:g}^(r - 1) times the"
            f" product over the items above of 1 - {self.satisfaction:g} x relevance, taken as"
            " known"
        )

    def weights(
        self, log: InteractionLog, users: Codes, items: Codes, lists: Codes, rank: Codes
    ) -> FloatArray:
        """Return the attention of every place, given entries sorted by list and place.

        Parameters
        ----------
        log : InteractionLog
        users, items, lists, rank : int64 arrays (n,)

        Raises
        ------
        StudyError
            If a relevance is no probability.
        """
        (contender,) = contenders({"relevance": self.relevance})
        relevance = contender.predict(log, users.astype(np.int32), items.astype(np.int32))
        wrong = ~((relevance >= 0.0) & (relevance <= 1.0))
        if wrong.any():
            raise StudyError(
                f"The relevance of a cascade is a probability; {int(wrong.sum()):,} of"
                f" {len(wrong):,} are not (the first: {relevance[wrong][0]:g}). Pass chances from"
                " 0 to 1, such as a model of clicks, not a predicted rating."
            )
        found = self.patience ** (rank.astype(np.float64) - 1.0)
        starts = np.flatnonzero(np.r_[True, lists[1:] != lists[:-1]])
        place = np.arange(len(lists)) - np.repeat(starts, np.diff(np.r_[starts, len(lists)]))
        on = np.ones(len(lists))
        for depth in range(1, int(place.max(initial=0)) + 1):
            here = np.flatnonzero(place == depth)
            on[here] = on[here - 1] * (1.0 - self.satisfaction * relevance[here - 1])
        return np.asarray(found * on)
