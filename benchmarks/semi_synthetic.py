"""Does an evaluation on biased ratings put recommenders in the right order? (Schnabel et al. 2016)

MovieLens completed by our own factorisation, so that every rating is known; ratings are then dealt
by rank so that their shares are those of Coat's uniform slice (few fives). A rating r is recorded
with probability k for 4 and 5 and k alpha^(4 - r) below (their section 6.2; alpha = .25, 5 % of
the cells), so that good films are over-represented as they are in real logs. Five made-up
recommenders are judged on each of the draws, by the plain mean of what was recorded and by inverse
propensities, and held against the truth over all cells.

    python benchmarks/semi_synthetic.py [--trials 50] [--data PATH/TO/ml-latest-small]
"""

from __future__ import annotations

from _timing import check, say_versions  # before numpy

# isort: split

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from _data import data_folder

import causalrec as cr

SHARES = (0.405, 0.194, 0.216, 0.138, 0.047)  # of 1 to 5 in Coat's uniform slice
ALPHA, DENSITY = 0.25, 0.05
LEAST = 20  # ratings of a film that is kept
METRICS = ("mae", "dcg@50")
ESTIMATORS = ("naive", "ips", "snips", "dr")
Recommender = Callable[[np.ndarray, np.ndarray], np.ndarray]


def completed(folder: Path) -> np.ndarray:
    """Return the whole grid of ratings, 1 to 5, filled in by a factorisation."""
    log = cr.datasets.movielens(folder)
    often = np.bincount(log.item_codes, minlength=log.n_items) >= LEAST
    model = cr.DebiasedMF("naive", n_factors=16, regularization=8.0, random_state=0).fit(log)
    predicted = np.asarray(model.predict_block(slice(0, log.n_users)))[:, often]
    edges = np.quantile(predicted, np.cumsum(SHARES)[:-1])
    return 1.0 + np.searchsorted(edges, predicted, side="right").astype(np.float64)


def recommenders(truth: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return the predictions of the five recommenders of the paper's section 6.2."""
    fives = int((truth == 5).sum())
    made = {}
    for name, flipped in (("ones", 1), ("fours", 4)):
        made[name] = truth.copy()
        of = rng.choice(np.flatnonzero(truth == flipped), size=fives, replace=False)
        made[name].flat[of] = 5.0
    made["rotate"] = np.where(truth >= 2, truth - 1.0, 5.0)
    made["skewed"] = np.clip(rng.normal(truth, (6.0 - truth) / 2.0), 0.0, 6.0)
    made["coarsened"] = np.where(truth <= 3, 3.0, 4.0)
    return made


def truths(truth: np.ndarray, made: dict[str, np.ndarray]) -> dict[tuple[str, str], float]:
    """Return every metric of every recommender over all cells."""
    discount = 1.0 / np.log2(np.arange(50) + 2.0)
    found = {}
    for name, predicted in made.items():
        found["mae", name] = float(np.abs(truth - predicted).mean())
        order = np.argsort(-predicted, axis=1, kind="stable")[:, :50]
        gains = np.take_along_axis(truth, order, axis=1) @ discount
        found["dcg@50", name] = float(gains.mean())
    return found


def drawn(truth: np.ndarray, propensity: np.ndarray, rng: np.random.Generator) -> cr.InteractionLog:
    """Draw what is recorded."""
    users, items = np.nonzero(rng.random(truth.shape) < propensity)
    return cr.InteractionLog(
        pd.DataFrame({"user_id": users, "item_id": items, "rating": truth[users, items]}),
        users=pd.DataFrame({"user_id": np.arange(truth.shape[0])}),
        items=pd.DataFrame({"item_id": np.arange(truth.shape[1])}),
        outcome_range=(1, 5),
    )


def judged(
    log: cr.InteractionLog, models: dict[str, Recommender], propensity: np.ndarray
) -> dict[tuple[str, str, str], tuple[float, float, float]]:
    """Return value and interval (of these very cells) by metric, recommender and estimator."""
    result = cr.evaluate(
        models,
        log,
        metrics=list(METRICS),
        estimator=list(ESTIMATORS),
        propensity=cr.KnownPropensity(propensity),
        sampled=(),
    )
    found = {}
    for row in result.rows:
        for name in models:
            if row.metric in METRICS and row.label.split(",")[0].split(":")[0].strip() == name:
                found[row.metric, name, row.estimator] = (row.value, row.lower, row.upper)
    return found


def main() -> None:
    """Print the table and hold it to the truth."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=data_folder("ml-latest-small"))
    parser.add_argument("--trials", type=int, default=50)
    options = parser.parse_args()
    if not options.data.is_dir():
        print(f"Skipped: there is no folder {options.data}. Pass --data or set CAUSALREC_DATA.")
        return
    warnings.simplefilter("ignore", cr.errors.CausalRecWarning)
    say_versions()
    rng = np.random.default_rng(0)
    truth = completed(options.data)
    made = recommenders(truth, rng)
    right = truths(truth, made)
    shape = ALPHA ** np.maximum(4.0 - truth, 0.0)
    propensity = shape * (DENSITY / shape.mean())
    print(f"{truth.shape[0]} users x {truth.shape[1]} films; {options.trials} draws\n")
    models: dict[str, Recommender] = {
        name: lambda users, items, values=values: values[users, items]
        for name, values in made.items()
    }
    trials = [
        judged(drawn(truth, propensity, rng), models, propensity) for _ in range(options.trials)
    ]
    report(trials, right, tuple(made))


def report(
    trials: list[dict[tuple[str, str, str], tuple[float, float, float]]],
    right: dict[tuple[str, str], float],
    names: tuple[str, ...],
) -> None:
    """Print truth, mean of the draws and coverage; stop where a claim does not hold."""
    n = len(trials)
    print("| metric | recommender | truth |", *(f" {one} (sd; coverage) |" for one in ESTIMATORS))
    print("|---|---|---|" + "---|" * len(ESTIMATORS))
    off: dict[str, float] = dict.fromkeys(ESTIMATORS, 0.0)
    means: dict[tuple[str, str, str], float] = {}
    for metric in METRICS:
        for name in names:
            cells = []
            for one in ESTIMATORS:
                draws = np.array([trial[metric, name, one] for trial in trials], dtype=np.float64)
                mean, spread = draws[:, 0].mean(), draws[:, 0].std(ddof=1)
                means[metric, name, one] = mean
                off[one] = max(off[one], abs(mean - right[metric, name]) / (spread / np.sqrt(n)))
                held = np.mean(
                    (draws[:, 1] <= right[metric, name]) & (right[metric, name] <= draws[:, 2])
                )
                cells.append(f" {mean:.3f} ({spread:.3f}; {held:.2f}) |")
            print(f"| {metric} | {name} | {right[metric, name]:.3f} |", *cells)
    print()
    for one in ESTIMATORS:
        print(f"{one}: at most {off[one]:.1f} Monte Carlo errors from the truth")
    # Ten numbers a recipe: the largest of ten standard normals exceeds 3.5 once in 200 times.
    for one in ("ips", "dr"):
        check(f"{one} is unbiased within Monte Carlo error on all five", off[one] < 3.5)
    check(
        "naive inverts the order of ones and fours (mae)",
        (means["mae", "ones", "naive"] < means["mae", "fours", "naive"])
        != (right["mae", "ones"] < right["mae", "fours"]),
    )
    for one in ("ips", "snips", "dr"):
        order = sorted(names, key=lambda name: right["mae", name])
        found = sorted(names, key=lambda name, one=one: means["mae", name, one])
        check(f"{one} finds the order of the five (mae)", order == found)


if __name__ == "__main__":
    main()
