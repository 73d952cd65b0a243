"""An epoch of stochastic gradient descent over .8 million ratings, k = 32 and biases.

Peers: cornac's MF and scikit-surprise's SVD, which take no weights; ours takes weights of one here
(others cost the same) and its time holds the loss of every epoch, which the peers do not reckon.
Quality: the root mean squared error of held-out ratings after 20 epochs. The steps and
penalties of all are chosen by that error: the peers' by this script, ours beforehand.
"""

from __future__ import annotations

from _timing import PerSweep, check, compare, has, say_versions, show  # before numpy

# isort: split

from collections.abc import Callable

import numpy as np
from _world import FACTORS, ITEMS, USERS, draw, halves

from causalrec.factorization._common import Factors, Pattern, row_ridge
from causalrec.factorization._sgd import fit_weighted_sgd

EPOCHS, RIDGE, STEP = 20, 8.0, 0.03


def main() -> None:
    say_versions("cornac", "scikit-surprise")
    world = draw()
    kept, held = halves(world)
    pattern = Pattern(world.pattern.users[kept], world.pattern.items[kept], USERS, ITEMS)
    rating = world.rating[kept].astype(np.float32)
    asked = world.pattern.users[held], world.pattern.items[held]

    def error(predicted: np.ndarray) -> float:
        return float(np.sqrt(np.mean((world.rating[held] - predicted) ** 2)))

    def ours(n: int) -> np.ndarray:
        sides = small_start()
        biases = np.zeros(USERS, np.float32), np.zeros(ITEMS, np.float32)
        start = Factors(0.0, *sides, *biases)
        pointers = pattern.user_pointer, pattern.item_pointer
        ridge = tuple(row_ridge(RIDGE, np.diff(one), "count") for one in pointers)
        fit = fit_weighted_sgd(
            pattern, rating, np.ones_like(rating), start, ridge, np.random.default_rng(0),
            n_sweeps=n, learning_rate=STEP,
        )  # fmt: skip
        return fit.factors.predict(*asked)

    reached = error(ours(EPOCHS))
    print(f"  {pattern.n:,} ratings; held-out error after {EPOCHS} epochs: ours {reached:.4f}")
    peers = {}
    if has("cornac"):
        fit = cornac_fit(pattern, rating, asked)
        chosen = best(fit, error, [(s, r) for s in (0.005, 0.01, 0.02) for r in (0.02, 0.05, 0.1)])
        check(f"no worse than cornac MF, {chosen[1]:.4f} {chosen[0]}", reached <= chosen[1])
        peers["cornac MF"] = PerSweep(lambda n: fit(n, *chosen[0]), 1, 6)
    if has("surprise"):
        fit_two = surprise_fit(pattern, rating, asked)
        picked = best(fit_two, error, [(0.005, 0.05), (0.01, 0.1)])
        check(f"no worse than surprise SVD, {picked[1]:.4f} {picked[0]}", reached <= picked[1])
        peers["scikit-surprise SVD"] = PerSweep(lambda n: fit_two(n, *picked[0]), 1, 2)
    show(compare("SGD epoch, loss included", PerSweep(ours, 1, 21), peers))


def small_start() -> list[np.ndarray]:
    """Return where ours and cornac's begin: cornac's own distribution."""
    rng = np.random.default_rng(0)
    return [rng.normal(0, 0.01, (m, FACTORS)).astype(np.float32) for m in (USERS, ITEMS)]


Fit = Callable[[int, float, float], np.ndarray]


def best(
    fit: Fit, error: Callable[[np.ndarray], float], grid: list[tuple[float, float]]
) -> tuple[tuple[float, float], float]:
    """Return the step and penalty with the least error, and that error."""
    errors = {one: error(fit(EPOCHS, *one)) for one in grid}
    return min(errors.items(), key=lambda pair: pair[1])


def cornac_fit(pattern: Pattern, rating: np.ndarray, asked: tuple[np.ndarray, np.ndarray]) -> Fit:
    """Return cornac's fit as a function of epochs, step and penalty."""
    from cornac.models.mf import backend_cpu

    # A random order, as ours has: sorted by user it learns worse.
    order = np.random.default_rng(0).permutation(pattern.n)
    users, items = (codes[order].astype(np.int64) for codes in (pattern.users, pattern.items))
    cells = users, items, rating[order]

    def fit(n: int, step: float, penalty: float) -> np.ndarray:
        sides = small_start()
        biases = [np.zeros(m, np.float32) for m in (USERS, ITEMS)]
        mean = np.float32(rating.mean())
        backend_cpu.fit_sgd(*cells, *sides, *biases, step, penalty, mean, n, 1, True, False, False)
        u, i = asked
        return mean + biases[0][u] + biases[1][i] + np.einsum("ij,ij->i", sides[0][u], sides[1][i])

    return fit


def surprise_fit(pattern: Pattern, rating: np.ndarray, asked: tuple[np.ndarray, np.ndarray]) -> Fit:
    """Return surprise's fit as a function of epochs, step and penalty."""
    import pandas as pd
    from surprise import SVD, Dataset, Reader

    frame = pd.DataFrame({"user": pattern.users, "item": pattern.items, "rating": rating})
    data = Dataset.load_from_df(frame, Reader(rating_scale=(-10, 20))).build_full_trainset()
    known = (
        np.array([getattr(data, f"to_inner_{side}id")(code) for code in codes])
        for side, codes in (("u", asked[0]), ("i", asked[1]))
    )
    u, i = known

    def fit(n: int, step: float, penalty: float) -> np.ndarray:
        model = SVD(
            n_factors=FACTORS, n_epochs=n, lr_all=step, reg_all=penalty, random_state=0
        ).fit(data)
        interaction = np.einsum("ij,ij->i", model.pu[u], model.qi[i])
        return data.global_mean + model.bu[u] + model.bi[i] + interaction

    return fit


if __name__ == "__main__":
    main()
