"""Which training predicts what users would like, and not only what they chose to rate?

    python examples/train_debiased.py

A simulated music service whose users rate what they like more often: no covariate explains that.
A few songs were played at random and rated; half of this slice helps to train, the other half
judges. Writes `training-report.html`.
"""

from __future__ import annotations

import numpy as np

import causalrec as cr

GRID = {"n_factors": [0, 2], "regularization": [4.0, 8.0, 16.0]}


def main() -> None:
    """Tune each estimator with one budget on what it trains on, and judge all on the same songs."""
    music = cr.simulate(
        "music",
        n_users=600,
        n_items=150,
        density=0.08,
        n_randomized=6000,
        selection_on_rating=0.4,
        random_state=0,
    )
    helps, judges = music.log.randomized_part().split(by="cell", test_size=0.5, random_state=0)
    # Some songs of the slice had been rated by choice too: no outcome that judges may train.
    training = music.log.select(~in_cells_of(judges, music.log))
    biased = training.selected_part()

    print("1. May selection be explained by covariates? The graph says:")
    try:
        music.graph.identify(query="mean")
    except cr.errors.IdentificationError as refusal:
        print(f"   {str(refusal).splitlines()[0]}")

    print("\n2. Four ways to train, tuned with the same budget on their own training cells:")
    by_covariates = cr.PropensityModel().fit(biased)
    by_rating = cr.PropensityModel(method="naive-bayes", randomized=helps).fit(biased)
    ways = {
        "naive": (cr.DebiasedMF("naive", features=True), biased, by_covariates),
        "ips": (cr.DebiasedMF("ips", features=True), biased, by_covariates),
        "mrdr": (cr.DebiasedMF("mrdr", features=True), biased, by_covariates),
        "with the slice": (
            cr.DebiasedMF("ips", features=True, use_randomized=True),
            training,
            by_rating,
        ),
    }
    models = {}
    for name, (model, log, propensity) in ways.items():
        tuned = cr.tune(model, log, propensity, grid=GRID, n_repeats=1)
        models[name] = tuned.model
        chosen = ", ".join(f"{key}={value:g}" for key, value in tuned.selected.items())
        print(f"   {name}: {chosen}")

    print("\n3. Judged on songs drawn at random that nobody trained on:")
    result = cr.evaluate(models, judges, metrics=["mse"], estimator="plain")
    rows = {row.label: row for row in result.rows}
    for name, model in models.items():
        row = rows[f"{name}: mse"]
        gap = model.predict_block(slice(None)) - music.potential.expected_rating
        print(
            f"   {name:14} squared error {row.value:.3f} [{row.lower:.3f}, {row.upper:.3f}];"
            f" of the expected rating, over all cells: {np.mean(gap**2):.3f}"
        )

    print("\n4. For the memo:")
    print(
        "On songs played at random, the squared error compared with naive training changes by"
        f" {against_naive(result, 'ips')} with weights from covariates, by"
        f" {against_naive(result, 'mrdr')} with mrdr on the same weights, and by"
        f" {against_naive(result, 'with the slice')} when the other half of the slice trains too,"
        " and tells how the rating decides what is rated (95% intervals, paired). Selection goes"
        " through the rating itself: what covariates cannot explain, they cannot repair; a few"
        " thousand random plays can."
    )

    path = cr.write_report(result, "training-report.html", title="Training on what users chose")
    print(f"\nThe report: {path}")


def in_cells_of(part: cr.InteractionLog, log: cr.InteractionLog) -> np.ndarray:
    """Return which rows of a log lie in the cells of a part of it, bool (n_rows,)."""
    cells = part.user_codes.astype(np.int64) * log.n_items + part.item_codes
    keys = log.user_codes.astype(np.int64) * log.n_items + log.item_codes
    return np.isin(keys, cells)


def against_naive(result: cr.Result, name: str) -> str:
    """Return the change of the error from naive training to another, with its interval."""
    row = next(row for row in result.differences if row.label == f"mse: naive - {name}")
    return f"{-row.value:+.3f} [{-row.upper:+.3f}, {-row.lower:+.3f}]"


if __name__ == "__main__":
    main()
