"""Two-way clustered standard errors of eight groups on a million rows.

Peers: the same formula written with pandas' groupby, and fairlearn's bootstrap of rows (the only
interval that its MetricFrame has). Quality first: the exact standard error of this design is known.
Ours is timed without the compiler, as a first estimate of a process runs, and with the compiled
passes, which take over once numba is loaded; their bytes are equal. Then the passes alone.
"""

from __future__ import annotations

from _timing import Extrapolated, Run, check, compare, has, say_versions, show  # before numpy

# isort: split

from types import ModuleType

import numpy as np
import pandas as pd

from causalrec.inference import Estimate, _grouped
from causalrec.scores import Score

ROWS, USERS, ITEMS, GROUPS = 1_000_000, 50_000, 5_000, 8
USER_SD, ITEM_SD, ROW_SD = 0.5, 0.3, 1.0
REPLICATES = 1_000


def draw(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return user, item, group and loss of each row: one row a cell, sorted by user."""
    rng = np.random.default_rng(seed)
    cells = np.sort(rng.choice(USERS * ITEMS, ROWS, replace=False))
    users, items = np.divmod(cells, ITEMS)
    group = rng.integers(0, GROUPS, USERS)[users]
    loss = USER_SD * rng.normal(size=USERS)[users] + ITEM_SD * rng.normal(size=ITEMS)[items]
    return users, items, group, loss + ROW_SD * rng.normal(size=ROWS)


def exact(users: np.ndarray, items: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return the standard error of each group's mean, from the variances that made the rows."""
    found = []
    for g in range(GROUPS):
        inside = group == g
        n = inside.sum()
        by_user = (np.bincount(users[inside]) / n) ** 2
        by_item = (np.bincount(items[inside]) / n) ** 2
        found.append(
            USER_SD**2 * by_user.sum() + ITEM_SD**2 * by_item.sum() + ROW_SD**2 / n  # per draw
        )
    return np.sqrt(found)


def with_pandas(frame: pd.DataFrame) -> pd.Series:
    """Return the same two-way standard errors as a pandas user would write them."""
    by = frame.groupby("group")["loss"]
    influence = (frame["loss"] - by.transform("mean")) / by.transform("size")
    frame = frame.assign(influence=influence)
    total = 0.0
    for column in ("user", "item"):
        sums = frame.groupby(["group", column])["influence"].sum()
        total = total + (sums**2).groupby(level="group").sum()
    cells = (frame["influence"] ** 2).groupby(frame["group"]).sum()
    return np.sqrt(total - cells)


def main() -> None:
    say_versions("pandas", "fairlearn")
    users, items, group, loss = draw()
    clusters = {"user": users.astype(np.int32), "item": items.astype(np.int32)}
    codes = group.astype(np.int32)
    frame = pd.DataFrame({"user": users, "item": items, "group": group, "loss": loss})

    def ours() -> np.ndarray:
        estimate = Estimate.from_score(
            Score(loss), clusters, groups=codes, n_groups=GROUPS, one_row_per_cell=True
        )
        return estimate.standard_error

    errors, truth = ours(), exact(users, items, group)
    gap = np.abs(with_pandas(frame).to_numpy() / errors - 1).max()
    check(f"the groupby formula gives the same numbers (largest difference {gap:.1e})", gap < 1e-4)
    off = np.abs(errors / truth - 1).max()
    check(f"within 10 % of the exact standard errors (largest {off:.1%})", off < 0.1)

    peers: dict[str, Run | Extrapolated] = {
        "pandas groupby, same formula": lambda: with_pandas(frame)
    }
    if has("fairlearn"):
        from fairlearn.metrics import MetricFrame

        def mean_loss(_: np.ndarray, predicted: np.ndarray) -> float:
            return float(np.mean(predicted))

        def replicates(n: int | None) -> MetricFrame:
            bootstrap = {} if n is None else {"n_boot": n, "ci_quantiles": [0.1587, 0.8413]}
            return MetricFrame(
                metrics=mean_loss, y_true=loss, y_pred=loss, sensitive_features=group,
                random_state=0, **bootstrap,
            )  # fmt: skip

        low, high = replicates(30).by_group_ci
        rows_only = ((high - low) / 2).to_numpy().ravel()
        print(
            f"  fairlearn's bootstrap of rows gives {np.median(rows_only / truth):.2f} of the exact"
            f" standard error, ours {np.median(errors / truth):.2f} (medians over groups)"
        )
        name = f"fairlearn MetricFrame, {REPLICATES:,} replicates (reckoned from 2)"
        peers[name] = Extrapolated(
            lambda: replicates(None), lambda: replicates(2), replicates=2, whole=REPLICATES
        )
    lines = compare("two-way errors of 8 groups, 1M rows (numpy)", ours, peers, calls=5)
    plain = errors.tobytes()
    import numba  # noqa: F401

    check("the compiled passes give the same bytes", ours().tobytes() == plain)
    lines += compare("two-way errors of 8 groups, 1M rows (compiled)", ours, peers, calls=5)
    fused, bincount = (passes(loss, clusters, codes, path) for path in (_compiled(), None))
    lines += compare("the passes over rows alone (compiled)", fused, {"numpy, bincount": bincount})
    show(lines)


def _compiled() -> ModuleType | None:
    return _grouped._kernels(ROWS)


def passes(
    loss: np.ndarray, clusters: dict[str, np.ndarray], codes: np.ndarray, kernels: ModuleType | None
) -> Run:
    """Return the sums by group and by cluster and group, without the checks and the algebra."""
    score, path = Score(loss), _grouped._Passes(codes, GROUPS, kernels)

    def run() -> None:
        totals = path.totals(score)
        inverse = np.divide(1.0, totals.denominator, where=totals.denominator > 0)
        inverse[GROUPS] = 0.0
        rows, squares = path.influence(score, totals.numerator * inverse, inverse)
        if squares is None:
            np.bincount(codes, np.square(rows[:, 0]), GROUPS + 1)
        for of_row in clusters.values():
            path.by_cluster(of_row, rows, score.denominator)

    return run


if __name__ == "__main__":
    main()
