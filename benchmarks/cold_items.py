"""Items that nobody has rated: features as a prior on the factors, on ml-latest-small.

A fifth of the films with 20 ratings or more lose all of them, in three random draws. The ridges
are chosen on *other* films, held out in the same way from what is left. Errors are compared on
the same cells; intervals are clustered by user and by film. NDCG@10 ranks each user's held-out
films (five or more), gain rating - 0.5, with an interval over users.

    $ python benchmarks/cold_items.py [PATH/TO/ml-latest-small]
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _data import data_folder
from _timing import check, say_versions

import causalrec as cr
from causalrec.datasets import movielens
from causalrec.factorization import TextFeatures

SEEDS = (0, 1, 2)
N_FACTORS = 8
RIDGES = (20.0, 60.0, 100.0, 200.0)
FEATURE_RIDGES = (3.0, 10.0, 30.0)
NOTHING = "ALS without features"
RATED = "ALS without features, new films as rated ones"
REGRESSION = "ALS on what a regression on genres and year leaves"
PRIOR = "ALS, genres and year as the prior"
TITLES = "ALS, genres, year and titles (TF-IDF) as the prior"


def features(films: pd.DataFrame) -> pd.DataFrame:
    """Return genres as booleans and the year, by film."""
    table = films["genres"].str.get_dummies("|").astype(bool)
    year = films["title"].str.extract(r"\((\d{4})\)\s*$")[0]
    table["year"] = pd.to_numeric(year).fillna(1995.0)
    return table


class WithTitles:
    """Genres, year and the words of titles as one array."""

    def __init__(self) -> None:
        self.titles = TextFeatures(["title"])

    def fit(self, films: pd.DataFrame) -> WithTitles:
        """Learn the words."""
        self.titles.fit(films)
        return self

    def __call__(self, films: pd.DataFrame) -> np.ndarray:
        """Return the features, each block with rows of the same mean square."""
        plain = features(films).to_numpy(dtype=float)
        plain[:, -1] = (plain[:, -1] - plain[:, -1].mean()) / plain[:, -1].std()
        blocks = [block - block.mean(0) for block in (plain, self.titles(films))]
        sizes = [np.sqrt(np.square(block).sum(1).mean()) for block in blocks]
        return np.hstack([blocks[0] / sizes[0], 0.3 * blocks[1] / sizes[1]])


Given = Callable[[pd.DataFrame], Any]
ROWS: dict[str, tuple[str, Given | None]] = {
    NOTHING: ("regression", None),
    RATED: ("prior", lambda films: np.zeros((len(films), 1))),
    REGRESSION: ("regression", features),
    PRIOR: ("prior", features),
    TITLES: ("prior", lambda films: WithTitles().fit(films)(films)),
}


def held_out(log: cr.InteractionLog, among: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a fifth of some films."""
    return rng.choice(among, size=len(among) // 5, replace=False)


def fitted(log: cr.InteractionLog, row: str, ridge: float, feature_ridge: float) -> cr.DebiasedMF:
    """Return one model of a table's row, fitted to the ratings of a log."""
    features_as, given = ROWS[row]
    model = cr.DebiasedMF(
        "naive",
        n_factors=N_FACTORS,
        regularization=ridge,
        features_as=features_as,
        feature_regularization=feature_ridge,
        n_sweeps=15,
    )
    return model.fit(log, item_features=None if given is None else given(log.items))


def configurations(row: str) -> Iterator[tuple[float, float]]:
    """Yield the ridges that are tried for a row."""
    return itertools.product(RIDGES, FEATURE_RIDGES if ROWS[row][1] else FEATURE_RIDGES[:1])


def errors(model: cr.DebiasedMF, log: cr.InteractionLog, rows: np.ndarray) -> np.ndarray:
    """Return the errors of the predicted ratings."""
    predicted = model.predict_codes(log.user_codes[rows], log.item_codes[rows])
    return np.asarray(predicted - log.outcome[rows])


def ndcg(predicted: np.ndarray, ratings: np.ndarray, users: np.ndarray, k: int = 10) -> pd.Series:
    """Return each user's NDCG@k within the films that were held out from the user."""
    table = pd.DataFrame({"user": users, "predicted": predicted, "gain": ratings - 0.5})
    table = table[table.groupby("user")["gain"].transform("size") >= 5]

    def of(rows: pd.DataFrame) -> float:
        discount = 1.0 / np.log2(np.arange(2, min(len(rows), k) + 2))
        ranked = rows.sort_values("predicted", ascending=False, kind="stable")["gain"]
        best = np.sort(rows["gain"])[::-1]
        top = len(discount)
        return float(ranked.to_numpy()[:top] @ discount / (best[:top] @ discount))

    return table.groupby("user")[["predicted", "gain"]].apply(of)


def clustered(difference: np.ndarray, users: np.ndarray, items: np.ndarray) -> float:
    """Return the two-way clustered standard error of a mean."""
    off = difference - difference.mean()
    total = sum(np.square(np.bincount(codes, weights=off)).sum() for codes in (users, items))
    return float(np.sqrt(max(total - np.square(off).sum(), 0.0)) / len(off))


def main(folder: Path) -> None:
    """Print the table."""
    say_versions("pandas", "scikit-learn")
    log = movielens(folder)
    often = np.flatnonzero(np.bincount(log.item_codes) >= 20)
    found: dict[str, list[dict[str, Any]]] = {row: [] for row in ROWS}
    means = []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        films = held_out(log, often, rng)
        others = held_out(log, np.setdiff1d(often, films), rng)
        test = np.isin(log.item_codes, films)
        validation = np.isin(log.item_codes, others)
        mean = float(log.outcome[~test].mean())
        means.append(float(np.sqrt(np.mean((log.outcome[test] - mean) ** 2))))
        for row in ROWS:
            inner = log.select(~test & ~validation)
            losses = {
                one: float(np.square(errors(fitted(inner, row, *one), log, validation)).mean())
                for one in configurations(row)
            }
            chosen = min(losses, key=lambda one: losses[one])
            off = errors(fitted(log.select(~test), row, *chosen), log, test)
            users, ratings = log.user_codes[test], log.outcome[test]
            found[row].append(
                {
                    "off": off,
                    "rmse": float(np.sqrt(np.mean(off**2))),
                    "ndcg": ndcg(off + ratings, ratings, users),
                    "users": users,
                    "items": log.item_codes[test],
                    "chosen": chosen,
                }
            )
    show(found, float(np.mean(means)))


def show(found: dict[str, list[dict[str, Any]]], mean: float) -> None:
    """Print a line for each model, and check what is promised."""
    print("\n| model | RMSE | mse less that of genres and year (95 %), by draw | NDCG@10 |")
    print("|---|---|---|---|")
    print(f"| mean of all ratings | {mean:.4f} | | |")
    rmse, lists = {}, {}
    for row, draws in found.items():
        rmse[row] = float(np.mean([draw["rmse"] for draw in draws]))
        lists[row] = float(np.mean([draw["ndcg"].mean() for draw in draws]))
        said = []
        for draw, base in zip(draws, found[PRIOR], strict=True):
            difference = draw["off"] ** 2 - base["off"] ** 2
            half = 1.96 * clustered(difference, draw["users"], draw["items"])
            said.append(f"{difference.mean():+.3f} +- {half:.3f}")
        paired = "" if row == PRIOR else ", ".join(said)
        print(f"| {row} | {rmse[row]:.4f} | {paired} | {lists[row]:.4f} |")
    gains = [a["ndcg"] - b["ndcg"] for a, b in zip(found[PRIOR], found[RATED], strict=True)]
    for gain in gains:
        half = 1.96 * gain.std() / np.sqrt(len(gain))
        print(f"NDCG@10, prior less none: {gain.mean():+.3f} +- {half:.3f} ({len(gain)} users)")
    for row, draws in found.items():
        print(f"  ridges of {row}: {[draw['chosen'] for draw in draws]}")
    check("genres and year bring the RMSE to .92 or lower", rmse[PRIOR] <= 0.92)
    check("they lower it", rmse[PRIOR] < rmse[RATED])
    check("the lists of each draw are better", all(gain.mean() > 0 for gain in gains))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else data_folder("ml-latest-small"))
