"""Doubly robust factorisation to an equal held-out loss: all cells at once, or sampled cells.

Ours: DR or MRDR, exact sweeps over every cell of the grid. Peer: doubly robust joint learning
(Wang, Zhang, Sun & Qi 2019) as it is commonly written in torch: a step draws 8,192 observed cells
and as many random ones, and moves the imputation, then the prediction, by Adam. Both have k = 32,
biases and the true propensities, and are tuned by the squared error of held-out ratings weighted
by 1 / p (SNIPS). The loss to reach is the higher of the two best, and it is said whose best is
lower. In the peer's favour: its error is that of a residual, so that its imputation is a weighted
regression; its time is that of the setting that is there first, its epochs chosen by the held-out
loss; tuning and evaluation cost it nothing.

`--why` asks where the difference of the two comes from instead: it runs the peer past its best
epoch, prints the singular values of both interactions, and gives both the true rank.

    python benchmarks/dr_jl.py [--small] [--pairs N] [--why]
"""

from __future__ import annotations

from _timing import REPEATS, Extrapolated, check, compare, has, say_versions, show  # before numpy

# isort: split

import argparse
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from _world import FACTORS, World, draw, halves

from causalrec import DebiasedMF
from causalrec.factorization._common import Pattern
from causalrec.factorization._training import Problem, train

BATCH, EPOCHS, PATIENCE = 8_192, 25, 2
STEPS, PENALTIES = (0.01, 0.03), (16.0, 64.0)  # of the peer
RIDGES, SWEEPS = (16.0, 24.0, 32.0), (5, 8, 15)  # of ours
ESTIMATORS = {"mrdr": {}, "dr": {"imputation": "ips"}}
SMALL = 1_500, 1_000
TRUE_RANK, LONG = 4, 36  # of the world's taste; epochs past every stop

Loss = Callable[[np.ndarray], float]


@dataclass(frozen=True)
class Setting:
    """A setting of the peer, and what it came to.

    Attributes
    ----------
    step, decay : float
        Adam's learning rate and weight decay: 2 ridge / ratings, which is a ridge of ours.
    losses : tuple of float
        Held-out loss after each epoch.
    """

    step: float
    decay: float
    losses: tuple[float, ...]

    def epochs_to(self, loss: float) -> float:
        """Return the epochs until a loss, infinite where it is not reached."""
        reached = [epoch for epoch, one in enumerate(self.losses, 1) if one <= loss]
        return reached[0] if reached else np.inf


def corner(world: World, n_users: int, n_items: int) -> World:
    """Return the first users and items of a world."""
    old = world.pattern
    keep = (old.users < n_users) & (old.items < n_items)
    pattern = Pattern(old.users[keep], old.items[keep], n_users, n_items)
    rating, propensity = world.rating[keep], world.propensity[keep]
    return World(pattern, rating, propensity, world.left[:n_users], world.right[:n_items])


def joint_learning(
    problem: Problem,
    step: float,
    decay: float,
    n_epochs: int,
    watch: Callable | None = None,
    n_factors: int = FACTORS,
) -> None:
    """Run epochs over the observed cells; `watch` sees the prediction and may stop them."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(1)
    pattern, rng = problem.pattern, np.random.default_rng(0)
    users, items = (torch.from_numpy(a.astype(np.int64)) for a in (pattern.users, pattern.items))
    outcome = torch.from_numpy(problem.outcome.astype(np.float32))
    rate = pattern.n / pattern.n_cells  # weights of mean 1
    weight = torch.from_numpy((rate / problem.propensity).astype(np.float32))
    predicted, imputed = (factors(torch, problem, n_factors) for _ in range(2))
    movers = [torch.optim.Adam(one, lr=step, weight_decay=decay) for one in (predicted, imputed)]
    for _ in range(n_epochs):
        order = torch.from_numpy(rng.permutation(pattern.n))
        for chosen in order.split(BATCH):
            seen, y, w = (users[chosen], items[chosen]), outcome[chosen], weight[chosen]
            anywhere = (
                torch.randint(pattern.n_users, (len(chosen),)),
                torch.randint(pattern.n_items, (len(chosen),)),
            )
            move(movers[1], (w * (y - value(imputed, *seen)) ** 2).mean())
            with torch.no_grad():
                target, target_anywhere = value(imputed, *seen), value(imputed, *anywhere)
            f, everywhere = value(predicted, *seen), value(predicted, *anywhere)
            correction = w * ((f - y) ** 2 - (f - target) ** 2)
            move(movers[0], ((everywhere - target_anywhere) ** 2).mean() + correction.mean())
        if watch is not None and watch(predicted):
            return


def factors(torch, problem: Problem, n_factors: int) -> list:
    """Return intercept, factors and biases of both sides, to be moved."""
    pattern = problem.pattern
    mean = np.average(problem.outcome, weights=1 / problem.propensity)
    parts = [torch.tensor(float(mean))]
    for n in (pattern.n_users, pattern.n_items):
        parts += [0.1 * torch.randn(n, n_factors), torch.zeros(n)]
    intercept, *moved = parts
    # The intercept is far from zero, where decay would draw it: it stays at the weighted mean.
    return [intercept, *(one.requires_grad_() for one in moved)]


def value(parts: list, users, items):
    """Return the prediction of cells."""
    intercept, left, user_bias, right, item_bias = parts
    interaction = (left[users] * right[items]).sum(1)
    return intercept + interaction + user_bias[users] + item_bias[items]


def move(optimiser, loss) -> None:
    """Take one step."""
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def tune_peer(problem: Problem, test: Problem, loss: Loss) -> list[Setting]:
    """Run the grid, each setting until its held-out loss has not fallen for some epochs."""
    import torch

    users, items = (torch.from_numpy(a.astype(np.int64)) for a in asked(test))
    found = []
    for step, penalty in itertools.product(STEPS, PENALTIES):
        decay = 2 * penalty / problem.pattern.n
        losses: list[float] = []

        def watch(parts: list, losses: list[float] = losses) -> bool:
            with torch.no_grad():
                losses.append(loss(value(parts, users, items).numpy()))
            return int(np.argmin(losses)) < len(losses) - PATIENCE

        joint_learning(problem, step, decay, EPOCHS, watch)
        found.append(Setting(step, decay, tuple(losses)))
        best = int(np.argmin(losses))
        said = f"step {step:g}, weight decay {decay:.1e} (ridge {penalty:g})"
        print(f"  torch: {said}: {losses[best]:.4f} at epoch {best + 1}")
    return found


def asked(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Return the cells of a problem."""
    return problem.pattern.users, problem.pattern.items


def ours(problem: Problem, estimator: str, ridge: float, n_sweeps: int, n_factors: int = FACTORS):
    """Fit with the options of a fit in single precision."""
    model = DebiasedMF(
        estimator, n_factors=n_factors, regularization=ridge, n_sweeps=n_sweeps, tol=0.0,
        dtype="float32", kernel="numba", **ESTIMATORS[estimator],
    )  # fmt: skip
    return train(problem, model._recipe()).factors


def tune_ours(problem: Problem, test: Problem, loss: Loss) -> dict[tuple[str, float, int], float]:
    """Return the held-out loss of each setting."""
    found = {}
    for one in itertools.product(ESTIMATORS, RIDGES, SWEEPS):
        found[one] = loss(ours(problem, *one).predict(*asked(test)))
    for estimator in ESTIMATORS:
        best = min((one for one in found if one[0] == estimator), key=found.__getitem__)
        print(f"  {estimator}: {found[best]:.4f} (ridge {best[1]:g}, {best[2]} sweeps)")
    return found


def singular_values(left: np.ndarray, right: np.ndarray) -> str:
    """Return what the interaction holds in the directions of the taste, and in the next."""
    values = np.linalg.svd(np.linalg.qr(left)[1] @ np.linalg.qr(right)[1].T, compute_uv=False)
    return f"singular values {np.round(values[: TRUE_RANK + 2]).astype(int).tolist()}"


def say_why(problem: Problem, test: Problem, loss: Loss) -> None:
    """Print where the two end at one ridge, stopped and run on, with 32 factors and with 4."""
    import torch

    users, items = (torch.from_numpy(a.astype(np.int64)) for a in asked(test))
    for n_factors in (FACTORS, TRUE_RANK):
        print(f"  with {n_factors} factors, ridge {RIDGES[0]:g}, loss and {TRUE_RANK + 2} values:")
        fitted = ours(problem, "dr", RIDGES[0], SWEEPS[-1], n_factors)
        spectrum = singular_values(fitted.user_factors, fitted.item_factors)
        print(f"    dr, {SWEEPS[-1]} sweeps: {loss(fitted.predict(*asked(test))):.4f}, {spectrum}")
        reached: list[tuple[float, str]] = []

        def watch(parts: list, reached: list[tuple[float, str]] = reached) -> bool:
            with torch.no_grad():
                predicted = value(parts, users, items).numpy()
                _, left, _, right, _ = (part.numpy() for part in parts)
                reached.append((loss(predicted), singular_values(left, right)))
            return False

        decay = 2 * RIDGES[0] / problem.pattern.n
        joint_learning(problem, STEPS[0], decay, LONG, watch, n_factors)
        for name, at in (("its best", int(np.argmin([one for one, _ in reached]))), ("last", -1)):
            print(f"    torch, {name} of {LONG} epochs: {reached[at][0]:.4f}, {reached[at][1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--small", action="store_true", help="a corner of the world")
    parser.add_argument("--pairs", type=int, default=REPEATS, help="interleaved pairs")
    parser.add_argument("--why", action="store_true", help="where the difference comes from")
    given = parser.parse_args()
    say_versions("torch")
    world = corner(draw(), *SMALL) if given.small else draw()
    kept, held = halves(world)
    whole = Problem(world.pattern, world.rating, world.propensity)
    problem, test = whole.part(kept, 0.9), whole.part(held, 0.1)
    print(f"  {problem.pattern.n:,} ratings of {problem.pattern.n_cells:,} cells, k = {FACTORS}")

    def loss(predicted: np.ndarray) -> float:
        error = (test.outcome - predicted) ** 2
        return float(np.average(error, weights=1 / test.propensity))

    true = np.einsum("ij,ij->i", world.left[asked(test)[0]], world.right[asked(test)[1]])
    print(f"  held-out SNIPS squared error of the truth: {loss(true):.4f}")
    if given.why:
        return say_why(problem, test, loss)
    mine = tune_ours(problem, test, loss)
    if not has("torch"):
        return
    settings = tune_peer(problem, test, loss)
    theirs = min(min(one.losses) for one in settings)
    best = min(mine, key=mine.__getitem__)
    goal = max(theirs, mine[best])
    lower = "ours" if mine[best] <= theirs else "torch's"
    print(f"  best: ours {mine[best]:.4f}, torch {theirs:.4f}: {lower} is the lower")
    # The fewest sweeps, the fewest epochs.
    chosen = min((one for one in mine if mine[one] <= goal), key=lambda one: one[2])
    quick = min(settings, key=lambda one: one.epochs_to(goal))
    n_epochs = int(quick.epochs_to(goal))
    reached = mine[chosen], quick.losses[n_epochs - 1]
    check(
        f"both are within {goal:.4f}: {reached[0]:.4f} by {chosen[0]} after {chosen[2]} sweeps of"
        f" each stage (ridge {chosen[1]:g}), {reached[1]:.4f} by torch after {n_epochs} epochs"
        f" (step {quick.step:g}, weight decay {quick.decay:.1e})",
        max(reached) <= goal,
    )

    def epochs(n: int) -> None:
        joint_learning(problem, quick.step, quick.decay, n)

    # Epochs are alike: the first two are run, and the others reckoned.
    run = Extrapolated(lambda: epochs(0), lambda: epochs(2), replicates=2, whole=n_epochs)
    name = f"whole {chosen[0]} fit, {chosen[2]} weighted and {chosen[2]} DR sweeps"
    peer = {f"torch DR-JL, {n_epochs} epochs (reckoned from 2)": run}
    show(compare(name, lambda: ours(problem, *chosen), peer, repeats=given.pairs))


if __name__ == "__main__":
    main()
