"""What will people think of songs that nobody has heard yet?

    python examples/cold_start.py                      # a simulated music service
    python examples/cold_start.py ml-latest-small      # a folder of MovieLens ratings

A fifth of the songs lose all their ratings. Their features say something of them: as a regression
before the factors, or as a prior on the factors. Writes `cold-start-report.html`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import causalrec as cr


def songs() -> tuple[cr.InteractionLog, cr.InteractionLog, Any, np.ndarray]:
    """Return a log to train on, ratings of songs drawn at random to judge by, and p."""
    music = cr.simulate(
        "music", n_users=800, n_items=200, density=0.08, n_randomized=12_000, random_state=0
    )
    return (
        music.log.selected_part(),
        music.log.randomized_part(),
        music.potential.propensity,
        np.arange(200),
    )


def films(folder: Path) -> tuple[cr.InteractionLog, cr.InteractionLog, Any, np.ndarray]:
    """Return the ratings (to train on, to judge by), no propensities, and the well-known films."""
    log = cr.datasets.movielens(folder)
    return log, log, None, np.flatnonzero(np.bincount(log.item_codes) >= 20)


def features(log: cr.InteractionLog) -> pd.DataFrame | None:
    """Return what the tables hold in a form that is no column yet: all genres, and the year."""
    if "genres" not in log.items:
        return None
    table = log.items["genres"].str.get_dummies("|").astype(bool)
    year = log.items["title"].str.extract(r"\((\d{4})\)\s*$")[0]
    return table.assign(year=pd.to_numeric(year).fillna(1995.0))


def main(folder: Path | None = None) -> None:
    """Hold items out whole, fit with and without their features, compare, explain and report."""
    log, judges, propensity, known = songs() if folder is None else films(folder)
    rng = np.random.default_rng(0)
    new = rng.choice(known, size=len(known) // 5, replace=False)
    training = log.select(~np.isin(log.item_codes, new))
    test = judges.select(np.isin(judges.item_codes, new))
    print(f"1. {len(new)} of {log.n_items:,} items lose all their ratings; {test.n_rows:,} judge.")

    given = features(log)
    estimator = "naive" if propensity is None else "ips"
    named = given is None
    common: dict[str, Any] = {"estimator": estimator, "n_factors": 8, "regularization": 60.0}
    models = {
        "no features": cr.DebiasedMF(**common).fit(training, propensity),
        "regression": cr.DebiasedMF(features=named, **common).fit(
            training, propensity, item_features=given
        ),
        "prior": cr.DebiasedMF(
            features=named, features_as="prior", feature_regularization=10.0, **common
        ).fit(training, propensity, item_features=given),
    }
    judged = "plain" if folder is None else "naive"
    result = cr.evaluate(models, test, metrics=["mse"], estimator=judged, propensity=propensity)
    print("\n2. Squared error on items that nobody had rated in training:")
    for row in (*result.rows[: len(models)], *result.differences):
        interval = f"(95% interval {row.lower:+.3f} to {row.upper:+.3f})"
        print(f"   {row.label:32} {row.value:+.3f} {interval}")
    print(
        "   The regression crosses features of users with features of items. The prior learns\n"
        "   each user's taste for a feature from ratings, and needs no features of users."
    )

    print("\n3. A newcomer after the fit, known by its features alone:")
    prior = models["prior"]
    twin = log.items.iloc[[new[0]]].set_axis(["newcomer"])
    more = None if given is None else given.iloc[[new[0]]].set_axis(["newcomer"])
    grown = prior.extend(items=twin, item_features=more)
    user = training.user_ids[np.bincount(training.user_codes).argmax()]
    print(f"   predicted for user {user}: {grown.predict([user], ['newcomer'])[0]:.2f}")

    print("\n4. Why:")
    print(prior.explain(user, log.item_ids[new[0]]))

    cr.write_report(result, "cold-start-report.html")
    print("\nWritten: cold-start-report.html")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
