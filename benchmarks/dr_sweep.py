"""A sweep of matrix factorisation on a log the size of MovieLens 1M, k = 32.

Ours: the doubly robust score over all 22 million cells (sparse + low rank), compiled by numba and
with scipy alone. Peer: the conjugate-gradient ALS of `implicit`, which also has an objective over
all cells. The objectives differ, so quality is what each is for: the true mean rating of the ten
unseen items that a user is offered.
"""

from __future__ import annotations

from _timing import PerSweep, check, compare, has, say_versions, show  # before numpy

# isort: split

from collections.abc import Callable
from functools import partial

import numpy as np
from _world import FACTORS, ITEMS, USERS, World, by_user, draw, halves, mean_rating, offered

from causalrec import DebiasedMF
from causalrec.factorization import _kernels, _numba_kernels
from causalrec.factorization._common import Factors
from causalrec.factorization._doubly_robust import doubly_robust_score, fit_doubly_robust
from causalrec.factorization._kernels import Kernels
from causalrec.factorization._recipe import Recipe
from causalrec.factorization._training import Problem, train
from causalrec.factorization._weighted import Fit

SWEEPS = 15
RIDGES = (8.0, 16.0, 32.0, 64.0)
ALPHAS = (1.0, 10.0)


def recipe(ridge: float) -> Recipe:
    """Return the options of a fit in single precision."""
    return DebiasedMF(
        "mrdr", n_factors=FACTORS, regularization=ridge, n_sweeps=SWEEPS, tol=0.0,
        dtype="float32", kernel="numba",
    )._recipe()  # fmt: skip


def choose_ridge(world: World) -> float:
    """Return the ridge with the least SNIPS error on a held-out tenth of the biased log."""
    kept, held = halves(world)
    whole = Problem(world.pattern, world.rating, world.propensity)
    training, test = whole.part(kept, 0.9), whole.part(held, 0.1)
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
    sweeps = prepare(world, fitted.imputation, fitted.factors, ridge)
    names = {"numba": _numba_kernels.kernels(), "scipy": _kernels.SCIPY}
    one, two = (sweeps(kernel, 1).factors for kernel in names.values())
    off = float(np.abs(one.item_factors - two.item_factors).max())
    check(f"numba and scipy agree (largest difference {off:.1e})", off < 1e-4)
    if not has("implicit"):
        return
    fits = [implicit_als(world, alpha) for alpha in ALPHAS]
    sweep, _ = fits[0]
    theirs = max(offered(world, scores) for _, scores in fits)  # its best, judged by the truth
    check(f"ours offers better liked items ({quality:.3f} against {theirs:.3f})", quality >= theirs)
    peer = {"implicit ALS, CG with 3 steps": sweep}
    lines = []
    for name, kernel in names.items():
        run = PerSweep(partial(sweeps, kernel), many=21)
        lines += compare(f"DR-ALS sweep over all cells ({name})", run, peer)
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
) -> Callable[[Kernels, int], Fit]:
    """Return a fit of any number of sweeps, with everything prepared outside."""
    pattern, inverse = world.pattern, 1.0 / world.propensity
    left, right = imputation.low_rank()
    predicted = imputation.predict(pattern.users, pattern.items).astype(np.float64)
    score = doubly_robust_score(pattern, world.rating, inverse, left, right, predicted)
    scale = pattern.n_cells / pattern.n
    ridge = np.full(USERS, strength * scale), np.full(ITEMS, strength * scale)

    def fit(kernels: Kernels, n_sweeps: int) -> Fit:
        return fit_doubly_robust(score, start, ridge, n_sweeps=n_sweeps, kernels=kernels)

    return fit


def implicit_als(
    world: World, alpha: float
) -> tuple[Callable[[], object], Callable[[slice], np.ndarray]]:
    """Return one sweep of implicit's ALS as its `fit` runs it, and the scores after a fit."""
    from implicit.cpu.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(
        factors=FACTORS, regularization=0.05, iterations=SWEEPS, num_threads=1, random_state=0
    )
    # A rating as a confidence.
    users_rows = by_user(world, alpha * np.clip(world.rating, 0.1, None).astype(np.float32))
    model.fit(users_rows, show_progress=False)
    items_rows, solve = users_rows.T.tocsr(), model.solver

    def sweep() -> None:
        users, items = model.user_factors, model.item_factors
        solve(users_rows, users, items, model.regularization, num_threads=1)
        solve(items_rows, items, users, model.regularization, num_threads=1)

    return sweep, lambda users: model.user_factors[users] @ model.item_factors.T


if __name__ == "__main__":
    main()
