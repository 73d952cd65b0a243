"""The loop itself: train on the clicks so far, recommend, click; again and again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from causalrec.audits._browsing import browsing_weight
from causalrec.audits._gini import gini
from causalrec.audits._lists import cells_of
from causalrec.errors import StudyError, near_miss
from causalrec.evaluation import contenders

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
BY_NAME = ("random", "popular")


@dataclass(frozen=True)
class Retrained:
    """A policy that is trained anew in every round, on what was shown and clicked until then.

    Parameters
    ----------
    model : unfitted model with get_params() and fit(log), or callable(log)
        It is given a log of kind "ratings": the outcome of a shown pair is 1 where it was ever
        clicked, 0 where not. A callable returns a fitted model.

    Examples
    --------
    >>> import causalrec as cr
    >>> Retrained(cr.DebiasedMF("naive", n_factors=2)).model.n_factors
    2
    """

    model: Any

    def fit(self, log: InteractionLog) -> Any:
        """Return the model, trained on a log."""
        if not hasattr(self.model, "fit"):
            return self.model(log)
        return type(self.model)(**self.model.get_params()).fit(log)


@dataclass(eq=False)
class History:
    """What has been shown and clicked so far, (n_users, n_items) each."""

    shown: BoolArray
    clicked: BoolArray

    def copy(self) -> History:
        """Return an independent copy."""
        return History(self.shown.copy(), self.clicked.copy())


@dataclass(frozen=True, eq=False)
class Loop:
    """Everything of a simulated loop that does not change.

    Attributes
    ----------
    log : InteractionLog
    start : History
    allowed : bool array (n_users, n_items)
        Eligible cells.
    attention : float64 array (k,)
        Chance that a place is examined.
    repeat : bool
        Whether a clicked item may be shown again.
    item_share : mapping of measure to float64 array (n_items,)
        Exposure of these items is reported as a share.
    user_gaps : mapping of measure to float64 array (n_users,)
        Clicks are weighted by these, which sum to zero.
    popularity : float64 array (n_items,)
        Of the starting log.
    profile : float
        Mean over users of the mean popularity of their history.
    """

    log: InteractionLog
    start: History
    allowed: BoolArray
    attention: FloatArray
    repeat: bool
    item_share: Mapping[str, FloatArray]
    user_gaps: Mapping[str, FloatArray]
    popularity: FloatArray
    profile: float
    measures: tuple[str, ...] = field(default=())

    def run(
        self, policy: Any, chance: FloatArray, rounds: int, rng: np.random.Generator
    ) -> FloatArray:
        """Return the measures of every round, (rounds, measures).

        Parameters
        ----------
        policy : callable(history, rng) -> float64 array (n_users, n_items)
        chance : float64 array (n_users, n_items)
            Of a click once examined.
        rounds : int
        rng : Generator
            The luck of clicks is drawn first, so that policies with equal seeds share it.
        """
        history = self.start.copy()
        shape = history.clicked.shape
        luck_seed, own_seed = rng.integers(0, 2**63, size=2)
        luck, own = np.random.default_rng(luck_seed), np.random.default_rng(own_seed)
        found = np.empty((rounds, len(self.measures)))
        for at in range(rounds):
            open_ = self.allowed if self.repeat else self.allowed & ~history.clicked
            score = np.where(open_, policy(history, own), -np.inf)
            order = np.argsort(-score, axis=1, kind="stable")[:, : len(self.attention)]
            listed = np.isfinite(np.take_along_axis(score, order, axis=1))
            users, places = np.nonzero(listed)
            if not len(users):
                raise StudyError(
                    f"In round {at + 1} nobody has an item left that was not clicked: ask for fewer"
                    " rounds or shorter lists, or pass repeat=True."
                )
            items = order[users, places]
            examined = self.attention[places]
            clicks = luck.random(shape)[users, items] < chance[users, items] * examined
            history.shown[users, items] = True
            history.clicked[users[clicks], items[clicks]] = True
            found[at] = self._measured(users, items, examined, clicks)
        return found

    def _measured(
        self,
        users: npt.NDArray[np.int64],
        items: npt.NDArray[np.int64],
        examined: FloatArray,
        clicks: BoolArray,
    ) -> list[float]:
        exposure = np.bincount(items, weights=examined, minlength=self.log.n_items)
        total = exposure.sum()
        by_user = np.bincount(users[clicks], minlength=self.log.n_users)
        values = {
            "gini of exposure": gini(exposure),
            "coverage": float((exposure > 0).mean()),
            "popularity lift": float(self.popularity[items].mean() / self.profile - 1.0),
            "clicks a user": float(by_user.mean()),
        }
        values |= {name: float(exposure @ own / total) for name, own in self.item_share.items()}
        values |= {name: float(by_user @ own) for name, own in self.user_gaps.items()}
        return [values[name] for name in self.measures]


def history_of(log: InteractionLog, threshold: float | None) -> History:
    """Return what the log showed, and what of it counts as clicked.

    Parameters
    ----------
    log : InteractionLog
    threshold : float or None
        Of ratings: outcomes at or above it; None counts every rating.
    """
    shape = (log.n_users, log.n_items)
    shown, clicked = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    shown[cells_of(log, log)] = True
    if log.kind == "ratings" and threshold is not None:
        assert log.outcome is not None
        liked = log.outcome >= threshold
        clicked[log.user_codes[liked], log.item_codes[liked]] = True
    else:
        clicked[cells_of(log, log, positive=True)] = True
    return History(shown, clicked)


def policy_of(
    name: str, given: Any, log: InteractionLog
) -> Callable[[History, np.random.Generator], FloatArray]:
    """Return the scores that a policy gives to every cell, as a function of the history.

    Raises
    ------
    StudyError
        If it is neither a name that is known, nor a model, nor `Retrained`.
    """
    shape = (log.n_users, log.n_items)
    if isinstance(given, str):
        if given == "random":
            return lambda _, rng: rng.random(shape)
        if given == "popular":
            # Ties are broken at random: by less than one click.
            return lambda history, rng: history.clicked.sum(axis=0) + rng.random(shape) / 2
        raise StudyError(
            f"Policy {name!r} is {given!r}.{near_miss(given, BY_NAME)} By name there are 'random'"
            " and 'popular'; else pass a fitted model, or Retrained(model)."
        )
    if isinstance(given, Retrained):
        return lambda history, _: on_grid(given.fit(clicks_log(log, history)), log)
    fixed = on_grid(given, log)
    return lambda _, rng: fixed


def clicks_log(log: InteractionLog, history: History) -> InteractionLog:
    """Return the clicks so far as a log of ratings, with the tables of the log."""
    import pandas as pd

    from causalrec.interactions import InteractionLog

    users, items = np.nonzero(history.shown)
    if history.clicked[users, items].all():
        raise StudyError(
            "Retrained(model) has nothing to learn from: every pair that the log showed counts as"
            " clicked. Start from a log of candidates or impressions, or say from which rating on"
            " an item counts as clicked (relevance_threshold=4, for example)."
        )
    events = pd.DataFrame(
        {
            "user_id": log.user_ids[users],
            "item_id": log.item_ids[items],
            "click": history.clicked[users, items].astype(np.float64),
        }
    )
    tables = {
        "users": log.users.reset_index(drop=True).assign(user_id=log.user_ids),
        "items": log.items.reset_index(drop=True).assign(item_id=log.item_ids),
    }
    return InteractionLog(events, **tables, kind="ratings", outcome="click")  # type: ignore[arg-type]


def on_grid(model: Any, log: InteractionLog) -> FloatArray:
    """Return the predictions of every cell, (n_users, n_items); an array is taken as it is."""
    shape = (log.n_users, log.n_items)
    if isinstance(model, np.ndarray):
        if model.shape != shape:
            raise StudyError(f"The array has shape {model.shape}; the grid has {shape}.")
        return np.asarray(model, dtype=np.float64)
    (contender,) = contenders(model)
    users, items = np.divmod(np.arange(shape[0] * shape[1]), shape[1])
    found = contender.predict(log, users.astype(np.int32), items.astype(np.int32))
    return found.reshape(shape)


def attention_of(k: int, browsing: str | float) -> FloatArray:
    """Return the chance that each of the k places is examined."""
    return browsing_weight(np.arange(1, k + 1), browsing)
