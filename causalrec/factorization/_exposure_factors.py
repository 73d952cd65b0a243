"""Poisson factors of who is exposed to what: a substitute for confounders, with its critics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import DataError, StudyError
from causalrec.factorization._common import dot_rows
from causalrec.threads import one_blas_thread

if TYPE_CHECKING:
    import pandas as pd
    from scipy import sparse

    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ExposureFactors:
    """Non-negative factors of the exposures, as one named set of covariates.

    Attributes
    ----------
    users, items : pandas.DataFrame
        One row a user or item of the log, in the order of its codes; columns
        `user_exposure_1`... and `item_exposure_1`...
    log_likelihood : tuple of float
        Of the exposures, per observed cell, after each sweep.
    """

    users: pd.DataFrame
    items: pd.DataFrame
    log_likelihood: tuple[float, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the covariates, users' first."""
        return (*map(str, self.users.columns), *map(str, self.items.columns))

    def expected(self, user_codes: NDArray[np.integer], item_codes: NDArray[np.integer]) -> Floats:
        """Return the expected exposures of aligned cells: the substitute confounder, (n,)."""
        left, right = self.users.to_numpy(), self.items.to_numpy()
        found = dot_rows(left, right, np.asarray(user_codes), np.asarray(item_codes))
        return np.asarray(found, dtype=np.float64)

    def join(self, log: InteractionLog) -> InteractionLog:
        """Return the log with the factors as columns of its users and items tables.

        Raises
        ------
        DataError
            If the log has other users or items, or such columns already.
        """
        tables = {"users": (log.users, self.users), "items": (log.items, self.items)}
        for name, (table, own) in tables.items():
            if not table.index.equals(own.index):
                raise DataError(
                    f"The exposure factors were fitted on other {name}: {len(own):,} there,"
                    f" {len(table):,} in this log. Join them to the log they were fitted on, or"
                    " to a part of it."
                )
            taken = [column for column in own.columns if column in table.columns]
            if taken:
                raise DataError(
                    f"The {name} table already has {', '.join(map(repr, taken))}: join exposure"
                    " factors once, to the log without them."
                )
        note = f"{', '.join(map(repr, self.columns))} are factors of the exposures themselves."
        joined = {f"_{name}": table.join(own) for name, (table, own) in tables.items()}
        return log._derive(**joined, notes=(*log.notes, note))


def exposure_factors(
    log: InteractionLog,
    n_factors: int = 5,
    *,
    prior: float = 0.3,
    n_sweeps: int = 100,
    tol: float = 1e-6,
    random_state: int | None = 0,
) -> ExposureFactors:
    """Factorise which cells were exposed (or observed) by Poisson matrix factorisation.

    A "deconfounder": if many exposures of a user share their unmeasured causes, a factor model of
    the exposures recovers those causes, and they can be adjusted for.

    Parameters
    ----------
    log : InteractionLog
        Any kind. Ratings, impressions and positives: the cells with a row; candidates: the
        exposed ones.
    n_factors : int
        k.
    prior : float
        Shape and rate of the Gamma priors; small values make factors sparse.
    n_sweeps : int
    tol : float
        Stop when the log-likelihood gains less than this share.
    random_state : int or None

    Returns
    -------
    ExposureFactors
        `.join(log)` puts them into the tables; name them as covariates, or let every usable
        column be one.

    Notes
    -----
    Coordinate ascent on Gamma variational factors (Gopalan, Hofman & Blei 2015), in
    O(cells k) a sweep: what was not exposed enters through sums of factors alone.

    What it rests on, beyond a good fit (Wang & Blei 2019; Wang, Liang, Charlin & Blei 2018, 2020):
    no cause of *one single* exposure and the outcome is unmeasured, and the factors are a function
    of the exposures that pins the confounder down. D'Amour (2019) shows that the effect then is
    not identified in general, and that where the factors are pinned down overlap fails: they say
    of a cell whether it was exposed. Ogburn, Shpitser & Tchetgen Tchetgen (2020) show that factors
    also pick up what must not be adjusted for, and that no condition on the factor model rules
    unmeasured confounding out. Treat an answer that changes with these covariates as a question,
    not as a correction: a graph does not identify by them, and results do not say it does.

    Raises
    ------
    StudyError
        If `n_factors` or `prior` is not positive.

    Examples
    --------
    >>> from causalrec.simulation import simulate
    >>> world = simulate("music", n_users=60, n_items=30, random_state=0)
    >>> factors = exposure_factors(world.log, 2)
    >>> factors.columns
    ('user_exposure_1', 'user_exposure_2', 'item_exposure_1', 'item_exposure_2')
    >>> "item_exposure_1" in factors.join(world.log).items
    True
    """
    import pandas as pd

    if n_factors < 1 or n_sweeps < 1 or not prior > 0.0:
        raise StudyError(
            f"exposure_factors takes at least one factor and one sweep, and a positive prior; got"
            f" n_factors={n_factors!r}, n_sweeps={n_sweeps!r}, prior={prior!r}."
        )
    exposed = _exposed(log)
    rng = np.random.default_rng(random_state)
    with one_blas_thread():
        left, right, history = _fit(exposed, n_factors, prior, n_sweeps, tol, rng)
    numbers = range(1, n_factors + 1)
    return ExposureFactors(
        pd.DataFrame(left, log.users.index, [f"user_exposure_{k}" for k in numbers]),
        pd.DataFrame(right, log.items.index, [f"item_exposure_{k}" for k in numbers]),
        tuple(history),
    )


def _exposed(log: InteractionLog) -> sparse.csr_array:
    from scipy import sparse

    rows = np.ones(log.n_rows, bool) if log.exposure is None else log.exposure == 1
    keys = np.unique(log.user_codes[rows].astype(np.int64) * log.n_items + log.item_codes[rows])
    users, items = np.divmod(keys, log.n_items)
    ones = np.ones(len(keys))
    return sparse.csr_array((ones, (users, items)), shape=(log.n_users, log.n_items))


def _fit(
    exposed: sparse.csr_array,
    k: int,
    prior: float,
    n_sweeps: int,
    tol: float,
    rng: np.random.Generator,
) -> tuple[Floats, Floats, list[float]]:
    """Return the posterior means of both sides, factors ordered by size, and the fit."""
    m, n = exposed.shape
    level = np.sqrt(exposed.nnz / (m * n * k))
    user = _Gamma.around(level, (m, k), prior, rng)
    item = _Gamma.around(level, (n, k), prior, rng)
    turned = exposed.T.tocsr()
    by_user, by_item = _pairs(exposed), _pairs(turned)
    history: list[float] = []
    for _ in range(n_sweeps):
        user = user.moved(exposed, by_user, item, prior)
        item = item.moved(turned, by_item, user, prior)
        rate = dot_rows(user.mean, item.mean, *by_user)
        total = float(user.mean.sum(0) @ item.mean.sum(0))
        history.append((float(np.log(rate).sum()) - total) / max(exposed.nnz, 1))
        if len(history) > 1 and history[-1] - history[-2] < tol * abs(history[-2]):
            break
    # The two sides' scales trade off against each other: give each factor the same on both.
    scale = np.sqrt(item.mean.mean(0) / user.mean.mean(0))
    left, right = user.mean * scale, item.mean / scale
    order = np.argsort(-(left.mean(0) * right.mean(0)), kind="stable")
    return left[:, order], right[:, order], history


def _pairs(matrix: sparse.csr_array) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)), matrix.indices


@dataclass(frozen=True, eq=False)
class _Gamma:
    """Variational Gamma factors of one side: shape (rows, k), rate (k,)."""

    shape: Floats
    rate: Floats

    @classmethod
    def around(
        cls, level: float, size: tuple[int, int], prior: float, rng: np.random.Generator
    ) -> _Gamma:
        start = level * rng.uniform(0.5, 1.5, size)
        return cls(start / level + prior, np.full(size[1], 1.0 / level))

    @property
    def mean(self) -> Floats:
        return self.shape / self.rate

    @property
    def geometric(self) -> Floats:
        """Exp E[log factor], which divides an exposure among the factors."""
        from scipy.special import digamma

        return np.asarray(np.exp(digamma(self.shape)) / self.rate)

    def moved(
        self,
        exposed: sparse.csr_array,
        pairs: tuple[NDArray[np.integer], NDArray[np.integer]],
        other: _Gamma,
        prior: float,
    ) -> _Gamma:
        """Return the best factors of this side, given the other's."""
        mine, theirs = self.geometric, other.geometric
        split = exposed.copy()
        split.data = 1.0 / dot_rows(mine, theirs, *pairs)
        return _Gamma(prior + mine * (split @ theirs), prior + other.mean.sum(0))
