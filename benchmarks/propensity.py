"""The propensity of every cell of a Coat-sized grid: 290 users x 300 items, features and crosses.

Peer: scikit-learn's LogisticRegression on the 87,000 enumerated cells (sparse design, L-BFGS).
Both maximise the same penalised likelihood, and the objective is compared first: the peer's
tolerance is the loosest of a list at which it comes as near to the optimum as ours.
"""

from __future__ import annotations

from _timing import check, compare, has, say_versions, show  # before numpy

# isort: split

import warnings

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


if __name__ == "__main__":
    main()
