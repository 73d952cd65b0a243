"""What a simulated world is: a log, the graph that made it, and everything a log never shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from causalrec.simulation._sides import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog

PotentialT_co = TypeVar("PotentialT_co", bound="Potential", covariant=True)


@dataclass(frozen=True, eq=False)
class Potential:
    """What is true of each cell of a simulated world.

    Attributes
    ----------
    propensity : float64 array (n_users, n_items)
        Probability that the cell is exposed (candidates) or observed (ratings), given everything
        but the noise of the outcome. For a feed: (n_users, k, n_items), the probability that the
        item is shown at the position.
    supported : bool array (n_users, n_items)
        Cells that can be shown at all.
    """

    propensity: FloatArray
    supported: BoolArray


@dataclass(frozen=True, eq=False)
class RatingPotential(Potential):
    """The rating of every cell of the grid, whether it was recorded or not.

    Attributes
    ----------
    expected_rating, rating_variance : float64 array (n_users, n_items)
        Mean and variance of the rating given user and item, random effects included.
    rating : float64 array (n_users, n_items)
        The rating that would be recorded; the log shows some of these.
    """

    expected_rating: FloatArray
    rating_variance: FloatArray
    rating: FloatArray

    def expected_squared_error(self, prediction: FloatArray) -> FloatArray:
        """Return E[(prediction - rating)²] a cell: squared bias plus the variance of the rating.

        Parameters
        ----------
        prediction : float array (n_users, n_items)
            Predicted ratings in table order.

        Returns
        -------
        float64 array (n_users, n_items)
        """
        return np.asarray((prediction - self.expected_rating) ** 2 + self.rating_variance)


@dataclass(frozen=True, eq=False)
class ExposurePotential(Potential):
    """Both potential outcomes of every cell, in expectation.

    Attributes
    ----------
    expected_unexposed, expected_exposed : float64 array (n_users, n_items)
        Mean outcome without and with exposure given user and item, random effects included (and
        given the exposure of the user's other candidates where the world has interference).
    row_propensity : float64 array (n_rows,)
        Probability of exposure of each row of the log, by the mechanism that decided that row.
    """

    expected_unexposed: FloatArray
    expected_exposed: FloatArray
    row_propensity: FloatArray

    @property
    def effect(self) -> FloatArray:
        """Expected effect of exposure a cell, (n_users, n_items)."""
        return self.expected_exposed - self.expected_unexposed


@dataclass(frozen=True, eq=False)
class SlatePotential(Potential):
    """Relevance and examination behind the clicks of a feed.

    Attributes
    ----------
    relevance : float64 array (n_users, n_items)
        Probability of a click once examined, but for trust.
    examination : float64 array (k,)
        Probability that a position is examined.
    target_policy : float64 array (n_users, n_items)
        A policy that ranks by the measured covariates; rows sum to one.
    interference : float
        Share of its clicks an item loses to a slate of fully relevant neighbours.
    trust : float64 array (k,)
        Probability that what is examined at a position is clicked although it is not relevant.
    """

    relevance: FloatArray
    examination: FloatArray
    target_policy: FloatArray
    interference: float
    trust: FloatArray

    def at(self, position: IntArray | int, relevance: FloatArray) -> FloatArray:
        """Return the click probability of relevances at positions, the first being 0."""
        mistaken = self.trust[position]
        return np.asarray(self.examination[position] * (mistaken + (1.0 - mistaken) * relevance))

    def policy_value(self, probabilities: FloatArray) -> float:
        """Return the expected clicks an impression under a policy; times k, a slate.

        Slots are filled independently. Without interference only the marginal probabilities
        matter, so the value holds for any joint policy that has them.

        Parameters
        ----------
        probabilities : float array (n_items,), (n_users, n_items) or (n_users, k, n_items)
            Probability of showing the item, the same at every position unless given by position.
        """
        users, items = self.relevance.shape
        k = len(self.examination)
        given = np.asarray(probabilities, dtype=np.float64)
        given = given[:, None, :] if given.ndim == 2 else given
        shown = np.einsum("uki,ui->uk", np.broadcast_to(given, (users, k, items)), self.relevance)
        others = (shown.sum(axis=1, keepdims=True) - shown) / max(k - 1, 1)
        clicks = self.at(np.arange(k), shown) * (1.0 - self.interference * others)
        return float(clicks.mean())


@dataclass(frozen=True, eq=False)
class World(Generic[PotentialT_co]):
    """A simulated world: its log, its honest graph and its potential outcomes.

    Attributes
    ----------
    name : str
        "shop", "social", "music" or "video".
    settings : mapping of str to object
        Sizes and switches that made it.
    users, items, events : pandas.DataFrame
        The tables behind the log, with the columns that the graph names.
    potential : Potential
        What is true of each cell.
    truth : mapping of str to float
        True quantities of *these* users and items: means of conditional expectations.
    """

    name: str
    settings: Mapping[str, Any]
    users: pd.DataFrame
    items: pd.DataFrame
    events: pd.DataFrame
    potential: PotentialT_co
    truth: Mapping[str, float]
    log_columns: Mapping[str, Any] = field(repr=False)
    _graph: Callable[[], CausalGraph] = field(repr=False)
    _population: Callable[[], dict[str, float]] = field(repr=False)
    _catalogue: Callable[[], dict[str, float]] = field(repr=False)

    @cached_property
    def log(self) -> InteractionLog:
        """What the analyst holds."""
        from causalrec.interactions import InteractionLog

        return InteractionLog(self.events, users=self.users, items=self.items, **self.log_columns)

    @cached_property
    def graph(self) -> CausalGraph:
        """The graph that this world obeys, with the arrows of the switches that are on."""
        return self._graph()

    @cached_property
    def population_truth(self) -> Mapping[str, float]:
        """True quantities for new users and new items (the target of the default intervals)."""
        return self._population()

    @cached_property
    def catalogue_truth(self) -> Mapping[str, float]:
        """True quantities for new users of this catalogue (`sampled=("user",)`)."""
        return self._catalogue()

    def __repr__(self) -> str:
        settings = ", ".join(f"{key}={value!r}" for key, value in self.settings.items())
        return f"<World {self.name!r}: {len(self.events):,} rows; {settings}>"
