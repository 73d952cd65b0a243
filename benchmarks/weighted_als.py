"""A sweep of exact weighted alternating least squares, k = 32 and biases, .9 million ratings.

Peer: cmfrec (weights, biases, the same ridge), by conjugate gradients and by Cholesky. The
objective is one and the same, so quality is its value after equally many sweeps, and the error on
held-out ratings weighted by their inverse propensities. With unit weights both reach the same
loss; with others the item half of cmfrec 3.5.1.post14 does not solve its own normal equations, and
the loss ends higher.
"""

from __future__ import annotations

from _timing import PerSweep, check, compare, has, say_versions, show  # before numpy

# isort: split

from functools import partial

import numpy as np
from _world import FACTORS, ITEMS, USERS, World, draw, halves
from scipy import sparse

from causalrec.factorization import _kernels, _numba_kernels
from causalrec.factorization._common import Factors, Pattern, random_start
from causalrec.factorization._kernels import Kernels
from causalrec.factorization._weighted import Fit, fit_weighted, mean_one

SWEEPS = 15
RIDGE = 16.0


def loss(world: World, chosen: np.ndarray, weights: np.ndarray, factors: Factors) -> float:
    """Return the penalised weighted loss, per rating, with a free intercept."""
    pattern = world.pattern
    users, items = pattern.users[chosen], pattern.items[chosen]
    residual = world.rating[chosen] - factors.predict(users, items)
    residual -= np.average(residual, weights=weights)
    ridge = np.full(USERS, RIDGE), np.full(ITEMS, RIDGE)
    return float((weights @ residual**2 + factors.penalty(*ridge)) / len(users))


def held_out(world: World, held: np.ndarray, factors: Factors) -> float:
    """Return the root mean squared error of the held-out ratings, weighted by 1 / p."""
    predicted = factors.predict(world.pattern.users[held], world.pattern.items[held])
    error = (world.rating[held] - predicted) ** 2
    return float(np.sqrt(np.average(error, weights=1 / world.propensity[held])))


def ours(world: World, kept: np.ndarray, weights: np.ndarray, kernels: Kernels, n: int) -> Fit:
    """Fit n sweeps in single precision."""
    pattern = Pattern(world.pattern.users[kept], world.pattern.items[kept], USERS, ITEMS)
    start = random_start(USERS, ITEMS, FACTORS, np.random.default_rng(0), "float32")
    ridge = np.full(USERS, RIDGE), np.full(ITEMS, RIDGE)
    data = world.rating[kept].astype(np.float32), weights.astype(np.float32)
    return fit_weighted(pattern, *data, start, ridge, n_sweeps=n, kernels=kernels)


def theirs(world: World, kept: np.ndarray, weights: np.ndarray, by_cg: bool, n: int) -> Factors:
    """Fit cmfrec with n sweeps in single precision, and return what it found."""
    from cmfrec import CMF

    cells = world.pattern.users[kept], world.pattern.items[kept]
    rating = world.rating[kept].astype(np.float32)
    matrix = sparse.coo_matrix((rating, cells), shape=(USERS, ITEMS))
    model = CMF(
        k=FACTORS, lambda_=RIDGE, niter=n, use_cg=by_cg, max_cg_steps=3, finalize_chol=False,
        precompute_for_predictions=False, use_float=True, nthreads=1, random_state=0,
    ).fit(matrix, W=weights.astype(np.float32))  # fmt: skip
    return Factors(float(model.glob_mean_), model.A_, model.B_, model.user_bias_, model.item_bias_)


def main() -> None:
    say_versions("cmfrec")
    world = draw()
    kept, held = halves(world)
    weights = mean_one(1 / world.propensity[kept])
    given = world, kept, weights
    print(f"  {kept.sum():,} ratings, k = {FACTORS}, ridge {RIDGE:g}")
    kernels = {"numba": _numba_kernels.kernels(), "scipy": _kernels.SCIPY}
    found = {name: ours(*given, kernel, SWEEPS).factors for name, kernel in kernels.items()}
    losses = {name: loss(*given, factors) for name, factors in found.items()}
    gap = abs(losses["numba"] / losses["scipy"] - 1)
    check(f"numba and scipy reach the same loss (apart {gap:.1e})", gap < 1e-4)
    if not has("cmfrec"):
        return
    error = held_out(world, held, found["numba"])
    peers = {"cmfrec ALS, CG with 3 steps": True, "cmfrec ALS, Cholesky": False}
    for name, by_cg in peers.items():
        factors = theirs(*given, by_cg, SWEEPS)
        reached, apart = loss(*given, factors), held_out(world, held, factors)
        both = f"{losses['numba']:.4f} against {reached:.4f}"
        check(
            f"our loss after {SWEEPS} sweeps is no higher: {both}, {name}",
            losses["numba"] <= 1.001 * reached,
        )
        check(f"nor our held-out error: {error:.4f} against {apart:.4f}", error <= 1.002 * apart)
    equal = world, kept, np.ones(int(kept.sum()))
    one = loss(*equal, ours(*equal, kernels["numba"], SWEEPS).factors)
    two = loss(*equal, theirs(*equal, False, SWEEPS))
    check(f"unit weights: {one:.4f} against {two:.4f} by Cholesky", abs(one / two - 1) < 5e-3)
    lines = []
    for name, kernel in kernels.items():
        run = PerSweep(partial(ours, *given, kernel), many=11 if name == "numba" else 3)
        runs = {peer: PerSweep(partial(theirs, *given, by_cg)) for peer, by_cg in peers.items()}
        lines += compare(f"exact weighted ALS sweep ({name})", run, runs)
    show(lines)


if __name__ == "__main__":
    main()
