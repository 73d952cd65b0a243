"""The error of a mean over a randomised slice of so many users, each with so many items."""

from __future__ import annotations

import math
from dataclasses import dataclass

from causalrec.evaluation._variance_components import Components

ITEMS_A_USER = (1, 2, 3, 5, 8, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500, 1000)
MOST_USERS = 2**40
"""What more users than these do not reach, none do."""


ENOUGH = 10.2
"""Clusters to expect on the smaller side, so that five are there in 95 of 100 slices: fewer have no
interval."""


@dataclass(frozen=True)
class Design:
    """Users times items a user, and what they promise.

    Attributes
    ----------
    users, items_per_user : int
    standard_error, half_width : float
    detectable : float
        The true difference that is found with the asked power.
    independent : int
        Cells that would do if rows were independent of each other.
    """

    users: int
    items_per_user: int
    standard_error: float
    half_width: float
    detectable: float
    independent: int

    @property
    def cells(self) -> int:
        """Cells of the slice."""
        return self.users * self.items_per_user

    @property
    def effect(self) -> float:
        """The design effect: cells needed over those that would do if rows were independent."""
        return self.cells / self.independent


@dataclass(frozen=True)
class SliceQuestion:
    """What decides the error of a slice.

    Attributes
    ----------
    components : Components
    catalogue : int
        Items that are drawn from.
    sampled : tuple of str
        What the interval treats as drawn.
    level, power : float
    balance : (float, float)
        Effective clusters over clusters of users and items: below 1 where groups of unequal size
        are compared.
    """

    components: Components
    catalogue: int
    sampled: tuple[str, ...]
    level: float
    power: float
    balance: tuple[float, float] = (1.0, 1.0)

    def variance(self, users: float, each: float) -> float:
        """Return the variance of a mean over `users` users with `each` distinct items drawn.

        Notes
        -----
        An item stands in the slice n_i times, and E[sum n_i^2] / n^2 = 1 / M + (1 - r / M) / n for
        r items a user of a catalogue of M. Without "item" among what is drawn these items are the
        population, and what is left of their part is that users see some of them.
        """
        found, n = self.components, users * each
        item = found.item * (1.0 - each / self.catalogue) / n
        if "item" in self.sampled:
            item += found.item / self.catalogue
        return found.user / users + item + found.cell / n

    def critical(self, users: float, each: float) -> tuple[float, float]:
        """Return half width and detectable difference in standard errors; infinite below `ENOUGH`.

        As `Estimate.interval` has them: Student's t on the fewest effective clusters G, less one,
        and standard errors sqrt(G / (G - 1)) larger.
        """
        from scipy import special

        clusters = users * self.balance[0]
        if "item" in self.sampled:
            times = users * each / self.catalogue  # an item's, Poisson for all that matters here
            fourth = times + 7 * times**2 + 6 * times**3 + times**4
            items = self.catalogue * (times + times**2) ** 2 / fourth
            clusters = min(clusters, items * self.balance[1])
        if clusters < ENOUGH:
            return math.inf, math.inf
        fewest = clusters
        widened = math.sqrt(fewest / (fewest - 1.0))
        own = special.stdtrit(fewest - 1.0, 0.5 + self.level / 2)
        found = special.stdtrit(fewest - 1.0, self.power)
        return float(own * widened), float((own + found) * widened)

    def at(self, users: int, each: int) -> Design:
        """Return what a slice of that size promises."""
        error = math.sqrt(self.variance(users, each))
        half, detectable = (error * c for c in self.critical(users, each))
        independent = max(math.ceil(self.components.total / error**2), 1)
        return Design(users, each, error, half, detectable, independent)

    def needed(self, half_width: float, each: int) -> Design | None:
        """Return the fewest users, each with so many items, that reach a half width.

        Returns
        -------
        Design or None
            None where the items of the catalogue alone leave a wider interval.
        """
        if self.at(MOST_USERS, each).half_width > half_width:
            return None
        low, high = 1, 2
        while self.at(high, each).half_width > half_width:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            if self.at(middle, each).half_width > half_width:
                low = middle
            else:
                high = middle
        return self.at(high, each)

    def best(self, half_width: float, users: int, most_each: int) -> Design | None:
        """Return the plan of fewest cells that no more than `users` users can carry.

        Fewer items a user are fewer cells, as the cells of one user say the same in part. Where
        not even all items do, the plan has more users than there are.
        """
        design = None
        for each in [*(size for size in ITEMS_A_USER if size < most_each), most_each]:
            design = self.needed(half_width, each)
            if design is not None and design.users <= users:
                break
        return design
