"""Propensities of cells, on two worlds with known selection.

A Coat-sized grid, 290 users x 300 items: the whole-grid logit beside scikit-learn's
LogisticRegression on the 87,000 enumerated cells (sparse design, L-BFGS). Both maximise the same
penalised likelihood, and the objective is compared first: the peer's tolerance is the loosest of a
list at which it comes as near to the optimum as ours.

A grid of 22 million cells with a million observed: the complementary log-log beside the logit of
scikit-learn on a case-control sample (1:3, the intercept corrected). Both have the same features,
crosses, effects and ridges; the distance to the true propensities is compared first, and the peer
has the loosest tolerance of a list at which it comes within five per cent of ours. Its design is
made outside. All methods stand in a table.
"""

from __future__ import annotations

from _timing import check, compare, has, say_versions, show  # before numpy

# isort: split

import time
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.special import expit

from causalrec import InteractionLog, PropensityModel

USERS, ITEMS = 290, 300
USER_LEVELS = {"gender": 2, "age": 6, "location": 3, "interest": 3}
ITEM_LEVELS = {"gender_of_item": 2, "type": 16, "colour": 13, "front": 2}
RIDGE = 1.0
TOLERANCES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
NEAR = 1e-6  # relative distance of the objective from the smallest that was found

MANY_USERS, MANY_ITEMS, OBSERVED = 6_040, 3_706, 1.0e6
USER_WORDS, ITEM_WORDS = (2, 7, 21), (18, 9)  # 30 x 27 crosses
SPREAD = {"user": 0.75, "item": 0.95, "cross": 0.33, "factors": 0.40}
RIDGES = {"features": 1.0, "crosses": 10.0, "effects": 1.4}
CONTROLS = 3
PEER_TOLERANCES = (1e-3, 1e-4, 1e-5, 1e-6)
AS_NEAR = 1.05  # the peer has the loosest tolerance that brings it this near to the truth as ours


def table(rng: np.random.Generator, n: int, levels: dict[str, int], key: str) -> pd.DataFrame:
    """Draw a table of words."""
    columns = {
        name: np.array([f"{name[:2]}{level:02d}" for level in range(size)])[
            np.r_[np.arange(size), rng.integers(0, size, n - size)]
        ]
        for name, size in levels.items()
    }
    return pd.DataFrame({key: np.arange(n), **columns})


def one_hot(frame: pd.DataFrame) -> np.ndarray:
    """Return a column a level, sorted, as both sides code them."""
    return pd.get_dummies(frame.drop(columns=frame.columns[0])).to_numpy(dtype=np.float64)


def draw(seed: int = 0) -> tuple[InteractionLog, np.ndarray, np.ndarray, np.ndarray]:
    """Draw a log of about 7,000 ratings, and return it with features and the observed grid."""
    rng = np.random.default_rng(seed)
    users, items = (
        table(rng, USERS, USER_LEVELS, "user_id"),
        table(rng, ITEMS, ITEM_LEVELS, "item_id"),
    )
    x, z = one_hot(users), one_hot(items)
    weight = 0.4 * rng.normal(size=(x.shape[1], z.shape[1]))
    effects = 0.5 * rng.normal(size=(USERS, 1)) + 0.8 * rng.normal(size=ITEMS)
    observed = rng.random((USERS, ITEMS)) < expit(x @ weight @ z.T + effects - 4.0)
    u, i = np.nonzero(observed)
    events = pd.DataFrame({"user_id": u, "item_id": i, "rating": rng.integers(1, 6, len(u))})
    return InteractionLog(events, users, items), x, z, observed


def enumerated(x: np.ndarray, z: np.ndarray, effects: bool) -> sparse.csr_matrix:
    """Return the design of every cell: features, crosses, and one column a user and item."""
    left, right = sparse.csr_matrix(x), sparse.csr_matrix(z)
    every_item, every_user = np.ones((ITEMS, 1)), np.ones((USERS, 1))
    parts = [
        sparse.kron(left, every_item),
        sparse.kron(every_user, right),
        sparse.kron(left, right),
    ]
    if effects:
        parts += [
            sparse.kron(sparse.identity(USERS), every_item),
            sparse.kron(every_user, sparse.identity(ITEMS)),
        ]
    return sparse.hstack(parts, format="csr")


class Objective:
    """The penalised negative log-likelihood of a grid of probabilities, whoever predicted them.

    Of all coefficients with the same logits the optimum has the smallest ridge, so each side's are
    recovered from its predictions, and both are judged by one function.
    """

    def __init__(self, design: sparse.csr_matrix, observed: np.ndarray) -> None:
        self._design, self._observed = design, observed.ravel()
        self._inverse = np.linalg.pinv((design.T @ design).toarray(), rcond=1e-10, hermitian=True)
        self._ones = self._coefficients(np.ones(design.shape[0]))

    def _coefficients(self, logit: np.ndarray) -> np.ndarray:
        return self._inverse @ (self._design.T @ logit)

    def __call__(self, p: np.ndarray) -> float:
        logit = np.log(p / (1 - p)).ravel()
        found = self._coefficients(logit)
        found -= (found @ self._ones) / (self._ones @ self._ones) * self._ones  # free intercept
        likelihood = float(np.logaddexp(0.0, logit).sum() - logit[self._observed].sum())
        return likelihood + 0.5 * RIDGE * float(found @ found)


def main() -> None:
    say_versions("scikit-learn")
    if not has("sklearn"):
        return
    log, x, z, observed = draw()
    print(f"  {int(observed.sum()):,} ratings of {observed.size:,} cells")
    lines = []
    for effects in (False, True):
        lines += one_model(log, x, z, observed, effects=effects)
    lines += large_grid()
    show(lines)


def one_model(
    log: InteractionLog, x: np.ndarray, z: np.ndarray, observed: np.ndarray, *, effects: bool
) -> list:
    """Compare with and without effects of users and items."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    def ours() -> PropensityModel:
        return PropensityModel(
            regularization=RIDGE, cross_regularization=RIDGE,
            effect_regularization=RIDGE if effects else None,
            user_effects=effects, item_effects=effects,
        ).fit(log)  # fmt: skip

    design, y = enumerated(x, z, effects), observed.ravel()

    def theirs(tol: float) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = LogisticRegression(C=1 / RIDGE, tol=tol, max_iter=5_000).fit(design, y)
        return model.predict_proba(design)[:, 1].reshape(observed.shape)

    mine = ours().block(slice(0, USERS))
    grids = {tol: theirs(tol) for tol in TOLERANCES}
    objective = Objective(design, observed)
    values, value = {tol: objective(p) for tol, p in grids.items()}, objective(mine)
    best = min([value, *values.values()])
    which = "features, crosses, effects" if effects else "features and crosses"
    check(f"{which}: ours is within {NEAR:g} of the optimum", value <= best * (1 + NEAR))
    reached = [tol for tol in TOLERANCES if values[tol] <= best * (1 + NEAR)]
    tol = reached[0] if reached else TOLERANCES[-1]
    off = float(np.abs(mine - grids[tol]).max())
    check(f"{which}: the same propensities (largest difference {off:.1e})", off < 1e-3)
    peer = f"sklearn LogisticRegression, lbfgs, tol={tol:g}"
    if not reached:
        peer += " (its optimum is not as near)"
    return compare(f"whole-grid logit: {which}", ours, {peer: lambda: theirs(tol)}, calls=3)


@dataclass(frozen=True)
class Large:
    """A world of effects, crosses of words and four factors that no feature describes."""

    log: InteractionLog
    p: np.ndarray  # the true propensities
    observed: np.ndarray
    x: np.ndarray  # one column a level
    z: np.ndarray


def draw_large(seed: int = 0) -> Large:
    """Draw it, its intercept such that a million cells are expected to be observed."""
    rng = np.random.default_rng(seed)
    m, n = MANY_USERS, MANY_ITEMS
    words = [rng.integers(0, size, m) for size in USER_WORDS]
    kinds = [rng.integers(0, size, n) for size in ITEM_WORDS]
    x = np.hstack([np.eye(size)[code] for size, code in zip(USER_WORDS, words, strict=True)])
    z = np.hstack([np.eye(size)[code] for size, code in zip(ITEM_WORDS, kinds, strict=True)])
    logit = x @ (SPREAD["cross"] * rng.normal(size=(x.shape[1], z.shape[1]))) @ z.T
    logit += SPREAD["user"] * rng.normal(size=(m, 1)) + SPREAD["item"] * rng.normal(size=n)
    logit += SPREAD["factors"] * rng.normal(size=(m, 4)) @ rng.normal(size=(4, n)) / 2.0
    low, high = -15.0, 5.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if expit(logit + middle).sum() < OBSERVED else (low, middle)
    p = expit(logit + low)
    observed = rng.random((m, n)) < p
    frames = [
        pd.DataFrame({key: np.arange(size)} | {f"{key}_{k}": np.char.mod("w%02d", code)
                      for k, code in enumerate(codes)})
        for key, size, codes in (("user_id", m, words), ("item_id", n, kinds))
    ]  # fmt: skip
    u, i = np.nonzero(observed)
    events = pd.DataFrame({"user_id": u, "item_id": i, "rating": (u + i) % 5 + 1})
    return Large(InteractionLog(events, *frames), p, observed, x, z)


class Distances:
    """How far predicted propensities are from the true ones."""

    def __init__(self, world: Large) -> None:
        p = world.p
        self._p, self._observed = p, world.observed
        self._entropy = -float((p * np.log(p) + (1 - p) * np.log1p(-p)).sum())

    def divergence(self, q: np.ndarray) -> float:
        """Return KL(p, q) per mille of the entropy of p."""
        q = np.clip(q, 1e-12, 1 - 1e-12)
        loss = -float((self._p * np.log(q) + (1 - self._p) * np.log1p(-q)).sum())
        return 1000 * (loss / self._entropy - 1)

    def row(self, name: str, q: np.ndarray, seconds: float) -> str:
        """Return a line of the table."""
        off = float(np.median(np.abs(q / self._p - 1)))
        order = np.argsort(q, axis=None)
        bins = np.array_split(order, 10)  # tenths of the cells by predicted propensity
        gaps = [abs(float(q.flat[b].sum() - self._p.flat[b].sum())) for b in bins]
        total = float((1 / q[self._observed]).sum()) / q.size
        return (
            f"| {name} | {self.divergence(q):.1f} | {off:.2f} | {sum(gaps) / self._p.sum():.3f}"
            f" | {total:.2f} | {seconds:.2f} s |"
        )


@dataclass(frozen=True)
class CaseControl:
    """The sample of the peer and its design: features, crosses, effects, scaled by the ridges."""

    design: sparse.csr_matrix
    cases: np.ndarray
    rate: float

    @classmethod
    def of(cls, world: Large, seed: int = 1) -> CaseControl:
        """Draw all cases and three times as many controls."""
        rng, n = np.random.default_rng(seed), MANY_ITEMS
        cases = np.flatnonzero(world.observed)
        drawn = np.unique(rng.integers(0, world.observed.size, int(1.2 * CONTROLS * len(cases))))
        drawn = rng.permutation(drawn[~world.observed.flat[drawn]])[: CONTROLS * len(cases)]
        cells = np.concatenate([cases, drawn])
        users, items = np.divmod(cells, n)
        x, z = sparse.csr_matrix(world.x), sparse.csr_matrix(world.z)
        crosses = _crosses(world, users, items)
        root = {name: ridge**-0.5 for name, ridge in RIDGES.items()}
        eye = sparse.identity
        design = sparse.hstack([
            x[users] * root["features"], z[items] * root["features"], crosses * root["crosses"],
            eye(MANY_USERS, format="csr")[users] * root["effects"],
            eye(n, format="csr")[items] * root["effects"],
        ], format="csr")  # fmt: skip
        rate = len(drawn) / (world.observed.size - len(cases))
        return cls(design, np.arange(len(cells)) < len(cases), rate)

    def fit(self, tol: float) -> object:
        """Fit scikit-learn's logistic regression."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return LogisticRegression(tol=tol, max_iter=2_000).fit(self.design, self.cases)

    def grid(self, model: object, world: Large) -> np.ndarray:
        """Return the corrected propensities of all cells."""
        flat = model.coef_[0].copy()
        (m, p), (n, q) = world.x.shape, world.z.shape
        ends = np.cumsum([p, q, p * q, m, n])[:-1]
        of_x, of_z, crosses, users, items = np.split(flat, ends)
        crosses = crosses.reshape(p, q) * RIDGES["crosses"] ** -0.5
        left = world.x @ of_x * RIDGES["features"] ** -0.5 + users * RIDGES["effects"] ** -0.5
        right = world.z @ of_z * RIDGES["features"] ** -0.5 + items * RIDGES["effects"] ** -0.5
        logit = world.x @ crosses @ world.z.T + left[:, None] + right
        return expit(logit + model.intercept_[0] + np.log(self.rate))


def _crosses(world: Large, users: np.ndarray, items: np.ndarray) -> sparse.csr_matrix:
    """Return the products of the levels of sampled cells; six ones a row."""
    left = np.nonzero(world.x)[1].reshape(MANY_USERS, -1)[users]
    right = np.nonzero(world.z)[1].reshape(MANY_ITEMS, -1)[items]
    column = (left[:, :, None] * world.z.shape[1] + right[:, None, :]).reshape(len(users), -1)
    start = np.arange(len(users) + 1) * column.shape[1]
    shape = len(users), world.x.shape[1] * world.z.shape[1]
    return sparse.csr_matrix((np.ones(column.size), column.ravel(), start), shape=shape)


METHODS = {
    "n_u n_i / N": {"method": "popularity"},
    "features and crosses, no effects": {
        "method": "cloglog", "user_effects": False, "item_effects": False,
    },
    "effects only, logit": {"method": "logistic", "covariates": []},
    "cloglog": {"method": "cloglog"},
    "logit of the whole grid": {"method": "logistic"},
    "case-control 1:3": {"method": "case-control"},
    "four factors on the logit, 5 folds of cells": {"method": "low-rank"},
}  # fmt: skip


def large_grid() -> list:
    """Print the table of distances, and compare the cloglog with the peer."""
    world = draw_large()
    distances = Distances(world)
    print(f"\n  {int(world.observed.sum()):,} observed of {world.p.size:,} cells")

    def fitted(**options: object) -> PropensityModel:
        return PropensityModel(
            regularization=RIDGES["features"], cross_regularization=RIDGES["crosses"],
            effect_regularization=RIDGES["effects"], tolerance=1e-3, **options,
        ).fit(world.log)  # fmt: skip

    print("\n| propensity | KL, per mille | median error | calibration | sum(1/p)/cells | CPU |")
    print("|---|---|---|---|---|---|")
    for name, options in METHODS.items():
        start = time.process_time()
        model = fitted(**options)
        seconds = time.process_time() - start
        print(distances.row(name, model.block(slice(0, MANY_USERS)), seconds), flush=True)
    ours = distances.divergence(fitted(method="cloglog").block(slice(0, MANY_USERS)))
    sample = CaseControl.of(world)
    for tol in PEER_TOLERANCES:
        start = time.process_time()
        peer = sample.fit(tol)
        seconds = time.process_time() - start
        grid = sample.grid(peer, world)
        theirs = distances.divergence(grid)
        name = f"sklearn, case-control 1:3, lbfgs, tol={tol:g}"
        print(distances.row(name, grid, seconds), flush=True)
        if theirs <= AS_NEAR * ours:
            break
    check(f"cloglog: KL {ours:.2f}, the peer's {theirs:.2f}", ours <= theirs)
    return compare(
        "cloglog EM, 22 million cells, a million observed",
        lambda: fitted(method="cloglog"),
        {f"sklearn LogisticRegression, case-control 1:3, tol={tol:g}": lambda: sample.fit(tol)},
        repeats=3,  # half a minute each
    )


if __name__ == "__main__":
    main()
