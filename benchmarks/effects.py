"""The effect of exposure on a million rows with twenty covariates, five folds, two-way errors.

    python benchmarks/effects.py [--rows 1000000] [--pairs 7]

Peers: the scikit-learn fits alone (default `LogisticRegression` and `Ridge`, their training rows
copied and their held-out rows predicted; no score, no error, no table), DoubleML's `DoubleMLIRM`
and EconML's `LinearDRLearner` with the same learners on the same folds of users. Quality first:
with tight tolerances all have the same estimate. Then each runs first in a fresh process, for its
cold CPU and its largest memory, and then in turn with ours. Logs and arrays are made outside.
"""

from __future__ import annotations

from _timing import (  # before numpy
    Comparison,
    Run,
    check,
    compare,
    cpu_seconds,
    has,
    say_versions,
    show,
)

# isort: split

import argparse
import json
import re
import resource
import subprocess
import sys
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.linear_model import LogisticRegression, Ridge

import causalrec as cr
from causalrec.nuisances import ArmOutcomeModel, PropensityModel, folds_by_user

ROWS, EACH, ITEMS, SIDE = 1_000_000, 50, 2_000, 10
FOLDS, EFFECT = 5, 0.3
USER_SD, ITEM_SD = 0.3, 0.3
USER_NAMES = [f"u{k}" for k in range(SIDE)]
ITEM_NAMES = [f"i{k}" for k in range(SIDE)]
SKLEARN, DOUBLEML, ECONML = "scikit-learn fits alone", "DoubleMLIRM", "EconML LinearDRLearner"


@dataclass(frozen=True)
class Data:
    """A log of candidates, its graph, and the same rows as arrays for the peers."""

    log: cr.InteractionLog
    graph: cr.CausalGraph
    x: np.ndarray
    y: np.ndarray
    a: np.ndarray
    folds: list[tuple[np.ndarray, np.ndarray]]


def draw(rows: int, seed: int = 0) -> Data:
    """Draw rows in which users and items carry covariates and effects of their own."""
    rng = np.random.default_rng(seed)
    n_users = rows // EACH
    users = np.repeat(np.arange(n_users), EACH)
    # EACH different items for each user: a random start, steps that do not meet
    items = (rng.integers(0, ITEMS, n_users)[:, None] + np.arange(EACH) * (ITEMS // EACH)).ravel()
    items %= ITEMS
    xu, xi = rng.normal(size=(n_users, SIDE)), rng.normal(size=(ITEMS, SIDE))
    x = np.hstack([xu[users], xi[items]])
    toward = rng.normal(0, 0.15, 2 * SIDE)
    a = (rng.random(rows) < 1 / (1 + np.exp(0.5 - x @ toward))).astype(np.int8)
    y = EFFECT * a + x @ rng.normal(0, 0.2, 2 * SIDE) + rng.normal(size=rows)
    y += rng.normal(0, USER_SD, n_users)[users] + rng.normal(0, ITEM_SD, ITEMS)[items]
    events = pd.DataFrame({"user_id": users, "item_id": items, "shown": a, "y": y})
    log = cr.InteractionLog(
        events,
        pd.DataFrame(xu, columns=USER_NAMES).assign(user_id=np.arange(n_users)),
        pd.DataFrame(xi, columns=ITEM_NAMES).assign(item_id=np.arange(ITEMS)),
        outcome="y",
        exposure="shown",
    )
    names = " ".join([*USER_NAMES, *ITEM_NAMES])
    graph = cr.CausalGraph.from_dot(
        f"dag {{ shown [exposure] y [outcome] shown -> y {{{names}}} -> {{shown y}} }}"
    )
    first = int(np.random.default_rng(0).integers(0, 2**31, 1)[0])  # the seed of the first repeat
    folds = folds_by_user(log, FOLDS, first).row_pairs(log)
    # as our encoders do: each table standardised by itself
    xu, xi = ((z - z.mean(axis=0)) / z.std(axis=0) for z in (xu, xi))
    return Data(log, graph, np.hstack([xu[users], xi[items]]), y, a.astype(np.float64), folds)


@dataclass(frozen=True)
class Answer:
    """An estimate and the standard error that the library gives by itself."""

    value: float
    error: float = float("nan")


def ours(data: Data, n_repeats: int = 1) -> Answer:
    """Run the whole of `estimate_effect`: support, score, two-way errors, tables, provenance."""
    effect = cr.estimate_effect(
        data.log,
        data.graph,
        propensity=PropensityModel(crosses=False),  # as the peers: main effects
        outcome_model=ArmOutcomeModel(crosses=False),
        n_folds=FOLDS,
        n_repeats=n_repeats,
    )
    row = effect.rows[0]
    return Answer(row.value, row.standard_error)


def fits_alone(data: Data, repeats: int = 1, tol: float = 1e-4) -> Answer:
    """Fit and predict the nuisances; the score is one line more, for the check."""
    x, y, a = data.x, data.y, data.a
    for _ in range(repeats):
        p, g = np.empty(len(y)), np.empty((2, len(y)))
        for train, held in data.folds:
            logistic = LogisticRegression(tol=tol, max_iter=1000).fit(x[train], a[train])
            p[held] = logistic.predict_proba(x[held])[:, 1]
            for arm in (0, 1):
                rows = train[a[train] == arm]
                g[arm, held] = Ridge().fit(x[rows], y[rows]).predict(x[held])
    score = g[1] - g[0] + a / p * (y - g[1]) - (1 - a) / (1 - p) * (y - g[0])
    return Answer(float(score.mean()))


def by_doubleml(data: Data, tol: float = 1e-4) -> Answer:
    """Run DoubleML's interactive regression model, one repetition."""
    import doubleml

    rows = doubleml.DoubleMLData.from_arrays(data.x, data.y, data.a)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = doubleml.DoubleMLIRM(
            rows,
            Ridge(),
            LogisticRegression(tol=tol, max_iter=1000),
            n_folds=FOLDS,
            draw_sample_splitting=False,
        )
        model.set_sample_splitting([data.folds])
        model.fit()
    return Answer(float(model.coef[0]), float(model.se[0]))


class RidgeByArm(RegressorMixin, BaseEstimator):
    """One ridge an arm, as ours and DoubleML's: EconML's own is one of covariates and arm."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> Self:
        """Fit both; the last column is the arm."""
        self.models_ = [clone(Ridge()).fit(x[x[:, -1] == k, :-1], y[x[:, -1] == k]) for k in (0, 1)]
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Predict each row in its arm."""
        both = [model.predict(x[:, :-1]).ravel() for model in self.models_]
        return np.where(x[:, -1] == 1, both[1], both[0])


def by_econml(data: Data, tol: float = 1e-4) -> Answer:
    """Run EconML's doubly robust learner of a constant effect."""
    from econml.dr import LinearDRLearner

    learner = LinearDRLearner(
        model_propensity=LogisticRegression(tol=tol, max_iter=1000),
        model_regression=RidgeByArm(),
        cv=data.folds,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        learner.fit(data.y, data.a.astype(int), X=None, W=data.x)
        found = learner.intercept__inference(T=1)
    return Answer(float(found.point_estimate), float(found.stderr))


RUNS: dict[str, Any] = {
    "ours": ours,
    SKLEARN: fits_alone,
    DOUBLEML: by_doubleml,
    ECONML: by_econml,
}


def cold(name: str, rows: int) -> dict[str, float]:
    """Run one of `RUNS` in a fresh process; CPU of the first call, and memory in GB."""
    command = [sys.executable, __file__, "--rows", str(rows), "--cold", name]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return found


def say_cold(name: str, rows: int) -> None:
    """Print the CPU of a first call (imports included), and the peak of memory."""
    data = draw(rows)
    before = memory_from_here()
    seconds = cpu_seconds(lambda: RUNS[name](data))
    print(json.dumps({"seconds": seconds, "data": before, "peak": largest_memory()}))


def memory_from_here() -> float:
    """Return the memory held, in GB, and let the peak be counted from here (Linux)."""
    forget = Path("/proc/self/clear_refs")
    if forget.exists():
        forget.write_text("5", encoding="ascii")
    return largest_memory()


def largest_memory() -> float:
    """Return the peak of this process, in GB."""
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8"))
        if found:
            return int(found[1]) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def say_quality(data: Data, names: list[str]) -> None:
    """Check that all have the same estimate, and print their errors."""
    mine = ours(data)
    check(f"the true effect {EFFECT} is within two errors of ours ({mine.value:.4f}, two-way error"
          f" {mine.error:.4f})", abs(mine.value - EFFECT) < 2 * mine.error)  # fmt: skip
    for name in names:
        other = RUNS[name](data, tol=1e-10)
        gap = abs(other.value - mine.value)
        own = (
            "" if np.isnan(other.error) else f"; its error, of independent rows, {other.error:.4f}"
        )
        check(f"{name} has the same estimate (difference {gap:.1e}{own})", gap < 1e-6)


def main() -> None:
    """Check, then time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--cold", choices=list(RUNS), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.cold:
        say_cold(asked.cold, asked.rows)
        return
    say_versions("pandas", "scikit-learn", "econml", "doubleml")
    names = [SKLEARN]
    names += [DOUBLEML] if has("doubleml") else []
    names += [ECONML] if has("econml") else []
    data = draw(asked.rows)
    say_quality(data, names)
    print("\n| first call in a fresh process | CPU, imports included | memory of the data | peak |")
    print("|---|---|---|---|")
    for name in ("ours", *names):
        found = cold(name, asked.rows)
        print(f"| {name} | {found['seconds']:.3g} s | {found['data']:.2f} GB"
              f" | {found['peak']:.2f} GB |")  # fmt: skip
    peers: dict[str, Run] = {name: partial(RUNS[name], data) for name in names}
    name = f"effect of {asked.rows:,} rows, whole result"
    lines: list[Comparison] = compare(name, partial(ours, data), peers, repeats=asked.pairs)
    three = {f"{SKLEARN}, three times": partial(fits_alone, data, 3)}
    lines += compare(
        f"{name}, 3 repeats", partial(ours, data, 3), three, repeats=max(1, asked.pairs // 2)
    )
    show(lines)
    print(f"\nOurs takes {1 / lines[0].ratio:.2f} times the CPU of the scikit-learn fits alone"
          f" (median of {asked.pairs}; asked: at most 1.5).")  # fmt: skip


if __name__ == "__main__":
    main()
