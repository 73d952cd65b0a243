"""A sweep of matrix factorisation on a log the size of MovieLens 1M, k = 32.

Ours: the doubly robust score over all 22 million cells (sparse + low rank), and weighted least
squares on the observed ones (scipy, and compiled by numba). Peer: the conjugate-gradient ALS of
`implicit`, which also has an objective over all cells. The objectives differ, so quality is what
each is for: the true mean rating of the ten unseen items that a user is offered.
"""

from __future__ import annotations

from _timing import check, compare, has, say_versions, show  # before numpy

# isort: split

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import sparse
from scipy.special import expit

from causalrec.factorization import _kernels, _numba_kernels
from causalrec.factorization._common import Factors, Pattern
from causalrec.factorization._doubly_robust import (
    doubly_robust_score,
    fit_doubly_robust,
)
from causalrec.factorization._training import Problem, Recipe, train
from causalrec.factorization._weighted import Fit, fit_weighted

USERS, ITEMS, RATINGS, FACTORS = 6_040, 3_706, 900_000, 32
SWEEPS = 15
RIDGES = (8.0, 16.0, 32.0, 64.0)
ALPHAS = (1.0, 10.0)
BLOCK = 256


@dataclass(frozen=True)
class World:
    """A log whose truth is known.

    Attributes
    ----------
    pattern : Pattern
    rating, propensity : float64 (n,)
        Of the observed cells.
    left, right : float64 (USERS, r), (ITEMS, r)
        The true mean rating of every cell is left right'.
    """

    pattern: Pattern
    rating: np.ndarray
    propensity: np.ndarray
    left: np.ndarray
    right: np.ndarray


def draw(seed: int = 0) -> World:
    """Draw users, items, tastes, and which cells are rated: the better liked, the more often."""
    rng = np.random.default_rng(seed)
    taste, trait = rng.normal(size=(USERS, 4)) * 0.35, rng.normal(size=(ITEMS, 4))
    level, quality = 0.4 * rng.normal(size=USERS) + 3.4, 0.4 * rng.normal(size=ITEMS)
    left = np.column_stack([taste, level, np.ones(USERS)])
    right = np.column_stack([trait, np.ones(ITEMS), quality])
    active, popular = 0.5 * rng.normal(size=USERS), 0.8 * rng.normal(size=ITEMS)

    def logits(users: slice) -> np.ndarray:
        liked = left[users] @ right.T - 3.4
        return active[users, None] + popular + 0.7 * liked - 4.3

    def block(users: slice, shift: float) -> np.ndarray:
        return expit(logits(users) + shift)

    parts = [slice(at, min(at + BLOCK, USERS)) for at in range(0, USERS, BLOCK)]
    shift = 0.0
    for _ in range(6):  # to the wanted number of ratings
        shift += np.log(RATINGS / sum(block(users, shift).sum() for users in parts))
    users, items, propensity = [], [], []
    for part in parts:
        p = block(part, shift)
        row, column = np.nonzero(rng.random(p.shape) < p)
        users.append(row + part.start)
        items.append(column)
        propensity.append(p[row, column])
    u, i = np.concatenate(users).astype(np.int32), np.concatenate(items).astype(np.int32)
    rating = np.einsum("ij,ij->i", left[u], right[i]) + rng.normal(size=len(u))
    return World(Pattern(u, i, USERS, ITEMS), rating, np.concatenate(propensity), left, right)


def offered(world: World, scores: Callable[[slice], np.ndarray], k: int = 10) -> float:
    """Return the mean true rating of each user's k best unseen items."""
    pointer, columns, total = world.pattern.user_pointer, world.pattern.items, 0.0
    for at in range(0, USERS, BLOCK):
        part = slice(at, min(at + BLOCK, USERS))
        predicted = np.array(scores(part), dtype=np.float64)
        for row, user in enumerate(range(part.start, part.stop)):
            predicted[row, columns[pointer[user] : pointer[user + 1]]] = -np.inf
        best = np.argpartition(-predicted, k, axis=1)[:, :k]
        total += np.take_along_axis(world.left[part] @ world.right.T, best, axis=1).sum()
    return total / (USERS * k)


def mean_rating(world: World) -> float:
    """Return the true mean rating over all cells."""
    return float(world.left.mean(0) @ world.right.mean(0))


def recipe(ridge: float) -> Recipe:
    """Return the options of a fit in single precision."""
    return Recipe(
        estimator="mrdr", n_factors=FACTORS, regularization=ridge, regularization_form="uniform",
        feature_regularization=None, imputation="biases", solver="als", n_sweeps=SWEEPS, tol=0.0,
        learning_rate=0.05, dtype="float32", kernel="numba", n_jobs=1, random_state=0,
    )  # fmt: skip


def choose_ridge(world: World) -> float:
    """Return the ridge with the least SNIPS error on a held-out tenth of the biased log."""
    held = np.random.default_rng(1).random(world.pattern.n) < 0.1
    whole = Problem(world.pattern, world.rating, world.propensity)
    training, test = whole.part(~held, 0.9), whole.part(held, 0.1)
    errors = {}
    for ridge in RIDGES:
        factors = train(training, recipe(ridge)).factors
        predicted = factors.predict(test.pattern.users, test.pattern.items)
        error = np.average((test.outcome - predicted) ** 2, weights=1 / test.propensity)
        errors[ridge] = float(error)
    chosen = min(errors, key=errors.__getitem__)
    shown = ", ".join(f"{ridge:g}: {error:.4f}" for ridge, error in errors.items())
    print(f"  held-out SNIPS error by ridge: {shown}; chosen: {chosen:g}")
    return chosen


def main() -> None:
    say_versions("implicit")
    world = draw()
    pattern = world.pattern
    print(f"  {pattern.n:,} ratings of {pattern.n_cells:,} cells, k = {FACTORS}")
    ridge = choose_ridge(world)
    fitted = train(Problem(pattern, world.rating, world.propensity), recipe(ridge))
    quality = offered(world, fitted.factors.block)
    losses = np.array(fitted.fit.losses)
    falls = bool((np.diff(losses) <= 1e-5 * np.abs(losses[1:])).all())
    check(f"every sweep lowers the loss ({losses[0]:.4f} to {losses[-1]:.4f})", falls)
    best = offered(world, lambda users: world.left[users] @ world.right.T)
    print(
        f"  true mean rating of the ten items offered: {quality:.3f} by mrdr after {SWEEPS} sweeps"
    )
    print(f"  (the best possible ten: {best:.3f}; any item: {mean_rating(world):.3f})")

    assert fitted.imputation is not None  # mrdr has one
    run_dr, run_weighted = prepare(world, fitted.imputation, fitted.factors, ridge)
    names = {
        "DR-ALS sweep over all cells (scipy)": run_dr,
        "weighted ALS sweep (numba)": partial(run_weighted, _numba_kernels.weighted_half_sweep),
        "weighted ALS sweep (scipy)": partial(run_weighted, _kernels.weighted_half_sweep),
    }
    one, two = (
        run_weighted(kernel.weighted_half_sweep, "float64").factors.item_factors
        for kernel in (_numba_kernels, _kernels)
    )
    off = float(np.abs(one - two).max() / np.abs(two).max())
    check(f"numba and scipy agree in double precision (largest difference {off:.1e})", off < 1e-8)
    if not has("implicit"):
        return
    fits = [implicit_als(world, alpha) for alpha in ALPHAS]
    sweep, _ = fits[0]
    theirs = max(offered(world, scores) for _, scores in fits)  # its best, judged by the truth
    check(f"ours offers better liked items ({quality:.3f} against {theirs:.3f})", quality >= theirs)
    peer = {"implicit ALS, CG with 3 steps": sweep}
    lines = [line for name, run in names.items() for line in compare(name, run, peer)]
    # What the quality above costs: mrdr first fits its imputation by weighted sweeps.
    problem = Problem(pattern, world.rating, world.propensity)
    whole = {f"implicit ALS, fit of {SWEEPS} sweeps": partial(repeated, sweep)}
    name = f"whole mrdr fit, {SWEEPS} weighted sweeps and {SWEEPS} DR sweeps"
    show([*lines, *compare(name, lambda: train(problem, recipe(ridge)), whole)])


def repeated(sweep: Callable[[], object]) -> None:
    """Run as many sweeps as a fit has."""
    for _ in range(SWEEPS):
        sweep()


def prepare(
    world: World, imputation: Factors, start: Factors, strength: float
) -> tuple[Callable, Callable]:
    """Return runs of one sweep each, with everything prepared outside."""
    pattern, inverse = world.pattern, 1.0 / world.propensity
    left, right = imputation.low_rank()
    predicted = imputation.predict(pattern.users, pattern.items).astype(np.float64)
    score = doubly_robust_score(pattern, world.rating, inverse, left, right, predicted)
    ridge = np.full(USERS, strength), np.full(ITEMS, strength)
    scale = pattern.n_cells / pattern.n
    of_cells = ridge[0] * scale, ridge[1] * scale
    weights = inverse / inverse.mean()
    prepared = {
        dtype: (world.rating.astype(dtype), weights.astype(dtype), in_precision(start, dtype))
        for dtype in ("float32", "float64")
    }

    def dr() -> object:
        return fit_doubly_robust(score, start, of_cells, n_sweeps=1)

    def weighted(half_sweep: Callable, dtype: str = "float32") -> Fit:
        return fit_weighted(pattern, *prepared[dtype], ridge, n_sweeps=1, half_sweep=half_sweep)

    return dr, weighted


def in_precision(factors: Factors, dtype: str) -> Factors:
    """Return the same factors as float32 or float64."""
    return Factors(
        factors.intercept,
        factors.user_factors.astype(dtype),
        factors.item_factors.astype(dtype),
        factors.user_biases.astype(dtype),
        factors.item_biases.astype(dtype),
    )


def implicit_als(
    world: World, alpha: float
) -> tuple[Callable[[], object], Callable[[slice], np.ndarray]]:
    """Return one sweep of implicit's ALS as its `fit` runs it, and the scores after a fit."""
    from implicit.cpu.als import AlternatingLeastSquares

    pattern = world.pattern
    model = AlternatingLeastSquares(
        factors=FACTORS, regularization=0.05, iterations=SWEEPS, num_threads=1, random_state=0
    )
    confidence = alpha * np.clip(world.rating, 0.1, None).astype(
        np.float32
    )  # a rating as a confidence
    by_user = sparse.csr_matrix(
        (confidence, pattern.items, pattern.user_pointer.astype(np.int32)), shape=(USERS, ITEMS)
    )
    model.fit(by_user, show_progress=False)
    by_item, solve = by_user.T.tocsr(), model.solver

    def sweep() -> None:
        users, items = model.user_factors, model.item_factors
        solve(by_user, users, items, model.regularization, num_threads=1)
        solve(by_item, items, users, model.regularization, num_threads=1)

    return sweep, lambda users: model.user_factors[users] @ model.item_factors.T


if __name__ == "__main__":
    main()
