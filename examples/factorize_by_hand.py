"""Matrix factorisation by hand, and what a biased log does to it.

Run it: python examples/factorize_by_hand.py

Part 1 factorises a complete 2 x 3 matrix of ratings by gradient descent, step by step, and checks
the result against alternating least squares. Part 2 hides ratings from the same method, once at
random and once the way people do: they rate what they like. Part 3 weighs the ratings by one over
the probability that they were given, and looks at the truth.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

import causalrec as cr

np.set_printoptions(precision=3, suppress=True)

# --------------------------------------------------------------------------------------------
# Part 1. Two users, three items, two factors: R is nearly U V', with U 2 x 2 and V 3 x 2.

R = np.array([[5.0, 3.0, 4.0], [4.0, 5.0, 2.0]])
N_FACTORS = 2
LEARNING_RATE = 0.02
RIDGE = 0.02  # keeps the factors from growing where the data do not say how large they are
SHOWN_SWEEPS = (0, 1, 2, 5, 10, 50, 200, 1_000, 5_000)


def descend(R: np.ndarray, n_sweeps: int) -> tuple[np.ndarray, np.ndarray]:
    """Factorise R by gradient descent on |R - U V'|^2 + ridge (|U|^2 + |V|^2), and tell of it."""
    rng = np.random.default_rng(0)
    U = rng.normal(0.0, 0.5, (R.shape[0], N_FACTORS))
    V = rng.normal(0.0, 0.5, (R.shape[1], N_FACTORS))
    for sweep in range(n_sweeps + 1):
        error = R - U @ V.T
        if sweep in SHOWN_SWEEPS:
            print(f"sweep {sweep:>5}: squared error {np.sum(error**2):.6f}")
            print(side_by_side(U=U, V=V, prediction=U @ V.T))
        # Both gradients are taken at the same point: V moves by the U it was judged with.
        step_U = error @ V - RIDGE * U
        step_V = error.T @ U - RIDGE * V
        U = U + LEARNING_RATE * step_U
        V = V + LEARNING_RATE * step_V
    return U, V


def alternate(R: np.ndarray, n_sweeps: int) -> tuple[np.ndarray, np.ndarray]:
    """Minimise the same loss by alternating least squares: hold one side, solve the other."""
    V = np.random.default_rng(1).normal(0.0, 0.5, (R.shape[1], N_FACTORS))
    for _ in range(n_sweeps):
        U = np.linalg.solve(V.T @ V + RIDGE * np.eye(N_FACTORS), V.T @ R.T).T
        V = np.linalg.solve(U.T @ U + RIDGE * np.eye(N_FACTORS), U.T @ R).T
    return U, V


def side_by_side(**matrices: np.ndarray) -> str:
    """Return small matrices beside each other, under their names."""
    blocks = {name: str(matrix).splitlines() for name, matrix in matrices.items()}
    height = max(map(len, blocks.values()))
    lines = []
    for row in range(-1, height):
        cells = []
        for name, block in blocks.items():
            width = max(map(len, [*block, name]))
            text = name if row < 0 else block[row] if row < len(block) else ""
            cells.append(text.ljust(width))
        lines.append("    " + "   ".join(cells).rstrip())
    return "\n".join(lines) + "\n"


def part_one() -> None:
    """Factorise the complete matrix twice."""
    print("1. A complete matrix\n")
    print(side_by_side(R=R))
    U, V = descend(R, n_sweeps=SHOWN_SWEEPS[-1])
    U_als, V_als = alternate(R, n_sweeps=5_000)
    apart = np.abs(U @ V.T - U_als @ V_als.T).max()
    print(f"Alternating least squares predicts the same, to {apart:.1e}.")
    print("U and V themselves may differ by a rotation: only their product is in the data.\n")
    assert apart < 1e-6, "both minimise one loss, so they must agree"


# --------------------------------------------------------------------------------------------
# Part 2 and 3. A world in which we know what everybody would say of everything.

N_USERS, N_ITEMS = 300, 100


def a_small_world() -> tuple[np.ndarray, np.ndarray]:
    """Return every rating (1 to 5) and how likely each one is to be given.

    Selection here depends on how much the genre suits the user, which is known (both are in the
    tables). If it depended on the rating itself beyond that, no weighting could repair it.
    """
    rng = np.random.default_rng(2)
    suits = rng.choice([-1.0, 0.0, 1.0], size=(N_USERS, 4))[:, rng.integers(0, 4, N_ITEMS)]
    own_taste = rng.normal(size=(N_USERS, 2)) @ rng.normal(size=(2, N_ITEMS))
    noise = rng.normal(size=suits.shape)
    ratings = np.clip(np.round(2.6 + 0.9 * suits + 0.3 * own_taste + 0.5 * noise), 1, 5)
    probability = np.array([0.02, 0.08, 0.35])[(suits + 1).astype(int)]
    return ratings, probability


def as_log(ratings: np.ndarray, given: np.ndarray) -> cr.InteractionLog:
    """Return the ratings that were given as a log over all users and items."""
    user, item = np.nonzero(given)
    events = pd.DataFrame({"user_id": user, "item_id": item, "rating": ratings[user, item]})
    users = pd.DataFrame({"user_id": np.arange(N_USERS)})
    items = pd.DataFrame({"item_id": np.arange(N_ITEMS)})
    return cr.InteractionLog(events, users=users, items=items, outcome_range=(1, 5))


def report(name: str, predicted: np.ndarray, ratings: np.ndarray, hidden: np.ndarray) -> float:
    """Print the mean prediction and the error on what nobody rated; return the error."""
    error = float(np.mean((predicted - ratings)[hidden] ** 2))
    print(f"  {name:<42} {predicted.mean():>8.3f} {error:>14.3f}")
    return error


def parts_two_and_three() -> None:
    """Train on ratings that are missing at random, then on ratings of what people like."""
    ratings, probability = a_small_world()
    rng = np.random.default_rng(3)
    at_random = rng.random(ratings.shape) < probability.mean()
    of_what_they_like = rng.random(ratings.shape) < probability
    hidden = ~(at_random | of_what_they_like)

    print("2. The same method on ratings that are missing\n")
    print(f"  {'':<42} {'mean':>8} {'squared error':>14}")
    print(f"  {'the truth, every rating of everybody':<42} {ratings.mean():>8.3f} {0:>14.3f}")
    print(f"  {'ratings given at random: their mean':<42} {ratings[at_random].mean():>8.3f}")
    print(
        f"  {'ratings of what they like: their mean':<42} {ratings[of_what_they_like].mean():>8.3f}"
    )

    fair, biased = as_log(ratings, at_random), as_log(ratings, of_what_they_like)
    propensity = cr.KnownPropensity(probability)
    everything = slice(None)

    naive = cr.DebiasedMF("naive", n_factors=6)
    report(
        "naive, trained on the random ones",
        naive.fit(fair).predict_block(everything),
        ratings,
        hidden,
    )
    error_naive = report(
        "naive, trained on what they like",
        naive.fit(biased).predict_block(everything),
        ratings,
        hidden,
    )

    print("\n3. Each rating weighted by 1 / its probability of being given\n")
    print(f"  {'':<42} {'mean':>8} {'squared error':>14}")
    ips = cr.DebiasedMF("ips", n_factors=6).fit(biased, propensity)
    error_ips = report(
        "ips, trained on what they like", ips.predict_block(everything), ratings, hidden
    )
    mrdr = cr.DebiasedMF("mrdr", n_factors=6).fit(biased, propensity)
    report("mrdr, trained on what they like", mrdr.predict_block(everything), ratings, hidden)

    size = ips.effective_sample_size_
    print(f"\nThe price: {biased.n_rows:,} ratings weigh as much as {size:,.0f} equal ones.")
    assert error_ips < error_naive, "the weights must help where they are right"


if __name__ == "__main__":
    part_one()
    parts_two_and_three()
