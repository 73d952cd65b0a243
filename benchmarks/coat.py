"""The Coat table: which training objective predicts what was not chosen, and which gains are real?

The protocol of Schnabel et al. (2016), with one budget for every method: rank and ridge are chosen
by four-fold SNIPS cross-validation on the self-selected ratings, with several seeds (of the folds
and of the start); the errors on the uniform slice, without the cells that users had chosen as well,
are averaged over the seeds. Differences from ips are paired by cell, with intervals clustered by
user and item, and Holm's correction across the methods. No choice is made on the uniform slice.

    python benchmarks/coat.py [--seeds 5] [--data PATH/TO/coat]
"""

from __future__ import annotations

from _timing import say_versions  # before numpy

# isort: split

import argparse
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from _data import data_folder

import causalrec as cr
from causalrec.inference import Estimate, holm
from causalrec.scores import Score

REFERENCE = "ips"
CLIP = 0.05


@dataclass(frozen=True)
class Method:
    """A training objective: the options of `DebiasedMF`, and the least propensity it sees."""

    options: dict[str, Any] = field(default_factory=dict)
    clip: float = 0.0


METHODS = {
    "naive": Method({"estimator": "naive"}),
    "ips, p clipped at .05": Method({"estimator": "ips"}, CLIP),
    REFERENCE: Method({"estimator": "ips"}),
    "dr, g constant": Method({"estimator": "dr", "imputation": "constant"}),
    "dr, g biases": Method({"estimator": "dr", "imputation": "biases"}),
    "dr, g naive MF": Method({"estimator": "dr", "imputation": "naive"}),
    "mrdr": Method({"estimator": "mrdr"}),
    "feature ridge, then ips": Method({"estimator": "ips", "features": True}),
    "feature ridge, then mrdr": Method({"estimator": "mrdr", "features": True}),
}


def predictions(
    method: Method, coat: cr.datasets.CoatLogs, propensities: np.ndarray, seed: int
) -> tuple[np.ndarray, dict[str, Any]]:
    """Tune a method on the self-selected ratings and predict the cells of the uniform slice."""
    propensity = cr.KnownPropensity(np.maximum(propensities, method.clip))
    model = cr.DebiasedMF(**method.options, random_state=seed)
    found = cr.tune(model, coat.train, propensity=propensity, n_repeats=1, random_state=seed)
    cells = coat.test.observed_cells()
    users, items = coat.test.user_ids[cells.users], coat.test.item_ids[cells.items]
    return np.asarray(found.model.predict(users, items)), found.selected


def gains(predicted: np.ndarray, coat: cr.datasets.CoatLogs, k: int = 5) -> float:
    """Return NDCG@k among each user's cells of the slice, gain 2^r - 1, averaged over users."""
    cells = coat.test.observed_cells()
    gain = 2.0**cells.outcome - 1.0
    discount = 1.0 / np.log2(np.arange(k) + 2.0)
    found = []
    for user in np.unique(cells.users):
        mine = cells.users == user
        got = gain[mine][np.argsort(-predicted[mine], kind="stable")][:k]
        best = np.sort(gain[mine])[::-1][:k]
        found.append(float(got @ discount[: len(got)] / (best @ discount[: len(best)])))
    return float(np.mean(found))


def table(coat: cr.datasets.CoatLogs, propensities: np.ndarray, name: str, seeds: int) -> None:
    """Print the table of one set of propensities."""
    cells = coat.test.observed_cells()
    errors, rank, spread = {}, {}, {}
    for method, recipe in METHODS.items():
        made = [predictions(recipe, coat, propensities, seed)[0] for seed in range(seeds)]
        squared = np.array([np.square(cells.outcome - one) for one in made])
        errors[method] = squared.mean(axis=0)
        spread[method] = float(squared.mean(axis=1).std(ddof=1)) if seeds > 1 else float("nan")
        rank[method] = float(np.mean([gains(one, coat) for one in made]))
    losses = np.column_stack(list(errors.values()))
    estimate = Estimate.from_score(
        Score(losses, np.ones_like(losses)),
        {"user": cells.users, "item": cells.items},
        tuple(errors),
        one_row_per_cell=True,
    )
    others = [method for method in METHODS if method != REFERENCE]
    gaps = estimate.contrast({one: {one: 1.0, REFERENCE: -1.0} for one in others})
    intervals = gaps.interval(0.95)
    adjusted = dict(zip(others, holm(gaps.p_value()), strict=True))
    print(f"\nPropensities: {name}; {seeds} seeds; {len(cells.outcome):,} test cells.\n")
    print("| method | MSE | of seeds, sd | less ips [95 %] | Holm p | NDCG@5 | real |")
    print("|---|---|---|---|---|---|---|")
    for at, method in enumerate(METHODS):
        line = f"| {method} | {estimate.value[at]:.3f} | {spread[method]:.3f} |"
        if method == REFERENCE:
            print(f"{line} | | {rank[method]:.3f} | |")
            continue
        to = others.index(method)
        low, high = intervals[to]
        verdict = "yes" if adjusted[method] < 0.05 else "not shown"
        print(
            f"{line} {gaps.value[to]:+.3f} [{low:+.3f}, {high:+.3f}] | {adjusted[method]:.3f}"
            f" | {rank[method]:.3f} | {verdict} |"
        )


def main() -> None:
    """Print the table for the propensities of the data and for our own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=data_folder("coat"))
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    if not options.data.is_dir():
        print(f"Skipped: there is no folder {options.data}. Pass --data or set CAUSALREC_DATA.")
        return
    warnings.simplefilter("ignore", cr.errors.CausalRecWarning)
    say_versions("numpy", "scipy")
    coat = cr.datasets.coat(options.data)
    table(coat, coat.propensities, "given with the data", options.seeds)
    fitted = cr.PropensityModel("logistic", user_effects=False).fit(coat.train)
    block = np.asarray(fitted.block(slice(0, coat.train.n_users)))
    table(coat, block, "our logit of features, crosses and item effects", options.seeds)


if __name__ == "__main__":
    main()
