"""Simulated futures as rows, trajectories and words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from causalrec.results import Assumption, Row, Table

FloatArray = npt.NDArray[np.float64]
UNIT = "simulated futures"


def band(values: FloatArray, level: float) -> tuple[float, float, float]:
    """Return the mean of simulated numbers, and the ends that hold a share of them."""
    tail = (1.0 - level) / 2.0
    lower, upper = np.quantile(values, [tail, 1.0 - tail])
    return float(values.mean()), float(lower), float(upper)


def trajectory_rows(
    paths: FloatArray, policies: Sequence[str], measures: Sequence[str], level: float
) -> tuple[Row, ...]:
    """Return the last round of every policy, its change since the first, and the differences.

    Parameters
    ----------
    paths : float64 array (policies, futures, rounds, measures)
    policies, measures : sequences of str
    level : float
    """
    rounds = paths.shape[2]
    rows = []
    for m, measure in enumerate(measures):
        last = paths[:, :, -1, m]
        for p, policy in enumerate(policies):
            label = f"{measure}, round {rounds}: {policy}"
            rows.append(_row(label, f"{measure}, round {rounds}", last[p], level))
        if rounds > 1:
            metric = f"change of {measure}, rounds 1 to {rounds}"
            for p, policy in enumerate(policies):
                moved = last[p] - paths[p, :, 0, m]
                rows.append(_row(f"{metric}: {policy}", metric, moved, level))
        metric = f"difference of {measure}, round {rounds}"
        for p, policy in enumerate(policies[1:], start=1):
            label = f"{metric}, {policy} - {policies[0]}"
            parents = tuple(f"{measure}, round {rounds}: {one}" for one in (policy, policies[0]))
            rows.append(_row(label, metric, last[p] - last[0], level, parents))
    return tuple(rows)


def _row(
    label: str, metric: str, values: FloatArray, level: float, parents: tuple[str, ...] = ()
) -> Row:
    value, lower, upper = band(values, level)
    return Row(
        label=label,
        metric=metric,
        value=value,
        lower=lower,
        upper=upper,
        level=level,
        n=len(values),
        unit=UNIT,
        population="simulated futures under the click model",
        estimator="simulation",
        derived_from=parents,
        interval_method=f"holds {level:.0%} of the simulated futures: no confidence interval"
        + (", policies paired by their luck" if parents else ""),
    )


def trajectory_tables(
    paths: FloatArray, policies: Sequence[str], measures: Sequence[str], level: float
) -> tuple[Table, ...]:
    """Return each measure by round, with a band a policy."""
    tables = []
    for m, measure in enumerate(measures):
        lines = []
        for at in range(paths.shape[2]):
            found = [band(paths[p, :, at, m], level) for p in range(len(policies))]
            ends = [end for one in found for end in one[1:]]
            lines.append((at + 1, *(one[0] for one in found), *ends))
        columns = [f"{policy}, {end}" for policy in policies for end in ("lower", "upper")]
        tables.append(
            Table(
                name=f"trajectory: {measure}",
                title=f"{measure[:1].upper()}{measure[1:]} by round",
                columns=("round", *policies, *columns),
                rows=tuple(lines),
                caption=f"Means of {paths.shape[1]} simulated futures; bands hold {level:.0%}."
                " No estimate: a simulation under the click model.",
                figure="lines",
                x="round",
                y=tuple(policies),
            )
        )
    return tuple(tables)


def answer_of_loop(
    paths: FloatArray, policies: Sequence[str], measures: Sequence[str], level: float
) -> str:
    """Return what becomes of the concentration of exposure under each policy."""
    m, rounds = list(measures).index("gini of exposure"), paths.shape[2]
    said = []
    for p, policy in enumerate(policies):
        first, last = paths[p, :, 0, m], paths[p, :, -1, m]
        _, lower, upper = band(last - first, level)
        verb = "rises" if lower > 0 else "falls" if upper < 0 else "stays where chance leaves it"
        _, low, high = band(last, level)
        said.append(
            f"under {policy} it {verb}, from {first.mean():.3g} to {last.mean():.3g}"
            f" [{low:.3g}, {high:.3g}]"
        )
    return (
        f"In {rounds} simulated rounds under the click model, of the Gini of exposure:"
        f" {'; '.join(said)}. This is a simulation, not an estimate."
    )


def loop_assumptions(*, several: bool) -> tuple[Assumption, ...]:
    """Return what the simulated futures rest on."""
    error = (
        "Each future draws one of several click models, so that the bands hold their disagreement."
        if several
        else "The bands do not hold its error: pass several fits to have it in them."
    )
    return (
        Assumption(
            name="the click model is right",
            statement="users click what they examine with the chances of the click model, whatever"
            " else is on the list and whatever was shown before",
            status="untestable",
            evidence=error,
        ),
        Assumption(
            name="tastes and catalogue stand still",
            statement="no taste moves with exposure, no user and no item comes or goes",
            status="untestable",
            evidence="Compare the first simulated rounds with the trend of the log.",
        ),
        Assumption(
            name="places are examined as browsing says",
            statement="the chance that a place is examined depends on the place alone",
            status="untestable",
            evidence="ExaminationModel estimates it from a log of impressions.",
        ),
    )
