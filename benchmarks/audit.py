"""A whole audit: twenty metrics of a model in eight groups of users, on a million ratings.

Peer: fairlearn's MetricFrame with as many metrics of rows, its bootstrap of rows reckoned from two
replicates. It has no lists, so its metrics are means of the values of every row, ready made. Ours
predicts every cell, ranks every user's list, weights by propensity beside the naive numbers, gives
every value and gap a two-way clustered interval and a simultaneous band, and tests the balance of
the propensity; with `sensitivity=True` also Lambda* of every gap.
"""

from __future__ import annotations

from _timing import Extrapolated, Run, check, compare, has, say_versions, show  # before numpy

# isort: split

import os
import time
import warnings

import numpy as np
import pandas as pd

import causalrec as cr

ROWS, USERS, ITEMS, GROUPS, REPLICATES = 1_000_000, 10_000, 1_000, 8, 1_000
PROPENSITY = ROWS / (USERS * ITEMS)
METRICS = [
    "mean", "mse", "mae", "log-loss", "dcg@50",
    *(f"{name}@{k}" for name in ("dcg", "recall", "precision") for k in (1, 3, 5, 10, 20)),
]  # fmt: skip


def draw(seed: int = 0) -> tuple[cr.InteractionLog, np.ndarray]:
    """Return a log of ratings of 0 and 1, and the chance of a 1 in every cell."""
    rng = np.random.default_rng(seed)
    cells = np.sort(rng.choice(USERS * ITEMS, size=ROWS, replace=False))
    user, item = np.divmod(cells, ITEMS)
    of_user, of_item = rng.normal(size=(USERS, 4)), rng.normal(size=(ITEMS, 4))
    chance = 1.0 / (1.0 + np.exp(1.0 - 0.5 * of_user @ of_item.T))
    rating = (rng.random(ROWS) < chance[user, item]).astype(float)
    users = pd.DataFrame({
        "user_id": np.arange(USERS), "group": np.array(list("abcdefgh"))[np.arange(USERS) % GROUPS]
    })  # fmt: skip
    events = pd.DataFrame({"user_id": user, "item_id": item, "rating": rating})
    items = pd.DataFrame({"item_id": np.arange(ITEMS)})
    return cr.InteractionLog(events, users=users, items=items, outcome_range=(0, 1)), chance


def main() -> None:
    say_versions("pandas", "fairlearn")
    log, chance = draw()

    def model(users: pd.Index, items: pd.Index) -> np.ndarray:
        return chance[np.asarray(users), np.asarray(items)]

    def audit(sensitivity: bool) -> cr.Result:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return cr.audit(
                log, model, user_groups="group", metrics=METRICS, propensity=PROPENSITY,
                estimators=["naive", "snips"], measures=(), sensitivity=sensitivity,
            )  # fmt: skip

    found = audit(False)
    values = [row for row in found.rows if row.group and row.estimator == "snips"]
    check(f"{len(METRICS)} metrics in {GROUPS} groups", len(values) == len(METRICS) * GROUPS)
    check("each with an interval", all(row.lower is not None for row in found.rows))
    brier = (chance * (1 - chance)).reshape(USERS, ITEMS).mean(axis=1)
    truth = [brier[np.arange(USERS) % GROUPS == g].mean() for g in range(GROUPS)]
    mse = [row for row in values if row.metric == "mse"]
    worst = max(
        abs(row.value - known) / row.standard_error for row, known in zip(mse, truth, strict=True)
    )
    check(f"the mse of every group is the true one (largest {worst:.1f} errors)", worst < 3.5)

    for sensitivity in (False, True):
        waits = []
        for _ in range(3):
            start = time.perf_counter()
            audit(sensitivity)
            waits.append(time.perf_counter() - start)
        what = "with Lambda*" if sensitivity else "without Lambda*"
        print(f"  a user waits {np.median(waits):.1f} s, {what} (wall, {os.cpu_count()} cores)")

    peers: dict[str, Run | Extrapolated] = {}
    if has("fairlearn"):
        from fairlearn.metrics import MetricFrame

        group = log.column("group").to_numpy()
        rows = chance[log.user_codes, log.item_codes]

        def mean(_: np.ndarray, predicted: np.ndarray) -> float:
            return float(np.mean(predicted))

        def replicates(n: int | None) -> MetricFrame:
            bootstrap = {} if n is None else {"n_boot": n, "ci_quantiles": [0.025, 0.975]}
            return MetricFrame(
                metrics=dict.fromkeys(METRICS, mean), y_true=log.outcome, y_pred=rows,
                sensitive_features=group, random_state=0, **bootstrap,
            )  # fmt: skip

        peers["fairlearn MetricFrame, values alone"] = lambda: replicates(None)
        peers[f"fairlearn MetricFrame, {REPLICATES:,} replicates (reckoned from 2)"] = Extrapolated(
            lambda: replicates(None), lambda: replicates(2), replicates=2, whole=REPLICATES
        )
    name = "audit of 20 metrics in 8 groups, 1M rows"
    lines = compare(name, lambda: audit(False), peers, repeats=3)
    values_alone = {peer: run for peer, run in peers.items() if not isinstance(run, Extrapolated)}
    lines += compare(f"{name}, with Lambda*", lambda: audit(True), values_alone, repeats=3)
    show(lines)


if __name__ == "__main__":
    main()
