"""Coat Shopping: what do shoppers think of all coats, and does debiasing help? (Schnabel 2016)

    python examples/coat.py PATH/TO/coat

290 people rated 24 coats of their own choice (biased) and 16 coats drawn at random (uniform). The
uniform ratings judge every answer; no choice below is made on them. Writes `coat-report.html`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import causalrec as cr

ESTIMATORS = ("naive", "ips", "mrdr")


def preference(coat: cr.datasets.CoatLogs, propensity: cr.KnownPropensity) -> list[cr.Result]:
    """Estimate the mean rating of all coats, and compare it with the uniform slice."""
    mean = cr.estimate_mean(coat.train, propensity, estimator="snips")
    compared = cr.compare_with_randomized(mean, coat.randomized, margin=0.05)
    print("1. What would the mean rating of all coats be?\n")
    print(mean.answer)
    print(compared.answer, "\n")
    return [mean, compared]


def recommender(coat: cr.datasets.CoatLogs, propensity: cr.KnownPropensity) -> list[cr.Result]:
    """Tune every estimator with one budget on the biased log; judge them on the uniform slice."""
    print("2. Which training objective predicts best what was not chosen?\n")
    models = {}
    for estimator in ESTIMATORS:
        model = cr.DebiasedMF(estimator=estimator, random_state=0)
        tuned = cr.tune(model, coat.train, propensity=propensity, random_state=0)
        models[estimator] = tuned.model
        print(f"   {estimator:5} chosen on the biased log: {tuned.selected}")
    judged = cr.evaluate(models, coat.test, metrics=["mse"], estimator="plain")
    print()
    for row in judged.rows:
        print(f"   {row.label:28} {cr.results.format_row(row)}")
    return [judged]


def main() -> None:
    """Run both questions and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, help="folder with train.ascii, test.ascii, ...")
    parser.add_argument("--output", type=Path, default=Path("coat-report.html"))
    options = parser.parse_args()

    coat = cr.datasets.coat(options.path)
    propensity = cr.KnownPropensity(coat.propensities)
    results = [*preference(coat, propensity), *recommender(coat, propensity)]
    cr.write_report(results, options.output, title="Coat Shopping: choice, and what it hides")
    print(f"\nThe report: {options.output}")


if __name__ == "__main__":
    main()
