"""`EffectResult.sensitivity`: what unmeasured confounder would overturn an effect."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causalrec.effects import _sensitivity_tables as tables
from causalrec.effects import _sensitivity_words as words
from causalrec.effects._adjustment import Adjustment
from causalrec.effects._benchmarks import Benchmark, find_benchmarks
from causalrec.effects._evalue import EValue, find_e_value
from causalrec.effects._linear_confounding import LinearConfounding
from causalrec.effects._marginal import MarginalSensitivity
from causalrec.effects._omitted_variables import OmittedVariables
from causalrec.effects._scores import Computation, population_words
from causalrec.errors import StudyError
from causalrec.results import Result, Row

if TYPE_CHECKING:
    from causalrec.inference import Bounds


@dataclass(frozen=True, eq=False)
class Findings:
    """Everything that was computed, before it is put into rows and words."""

    computation: Computation
    linear: LinearConfounding
    half_width: float
    benchmarks: list[Benchmark]
    omitted: OmittedVariables | None
    e_value: EValue | None
    marginal: MarginalSensitivity
    bounds: dict[float, Bounds]
    lambda_zero: float | None
    lambda_interval: float | None

    @property
    def level(self) -> float:
        """Confidence level."""
        return self.computation.question.level

    @property
    def robustness(self) -> tuple[float, float]:
        """Robustness values of the estimate and of its clustered interval."""
        return self.linear.robustness_value(), self.linear.robustness_value(self.half_width)


def robustness(
    computation: Computation, columns: Iterable[str]
) -> tuple[Adjustment, LinearConfounding, float]:
    """Return the adjustment set, the partially linear regression and its clustered half width."""
    population, sign = computation.population, computation.question.sign
    adjustment = Adjustment.of(population.rows, columns)
    linear = LinearConfounding.fit(adjustment, sign * population.exposure, population.outcome)
    estimate = computation.from_score(linear.score, ("linear",))
    low, high = estimate.interval()[0].tolist()
    return adjustment, linear, (high - low) / 2.0


def sensitivity_of(
    computation: Computation,
    whole: Result,
    columns: Iterable[str],
    benchmark: Sequence[str] | None,
    lam: Sequence[float],
) -> Result:
    """Return the result of `EffectResult.sensitivity`."""
    lambdas = _check(lam)
    adjustment, linear, half_width = robustness(computation, columns)
    has_models = computation.nuisances.exposed is not None
    marginal = MarginalSensitivity(computation)
    possible = not marginal.obstacle
    row = whole.rows[0]
    interval = (
        (float("nan"), float("nan"))
        if row.lower is None or row.upper is None
        else (row.lower, row.upper)
    )
    found = Findings(
        computation=computation,
        linear=linear,
        half_width=half_width,
        benchmarks=find_benchmarks(computation, adjustment, linear, benchmark),
        omitted=OmittedVariables.of(computation) if has_models else None,
        e_value=find_e_value(computation, interval),
        marginal=marginal,
        bounds={value: marginal.at(value) for value in lambdas} if possible else {},
        lambda_zero=marginal.reaching_zero(interval=False) if possible else None,
        lambda_interval=marginal.reaching_zero(interval=True) if possible else None,
    )
    outcome = str(computation.population.log.columns.outcome)
    return Result(
        kind="sensitivity",
        title=f"{whole.title}: what unmeasured confounder would overturn it",
        question="How strong would an unmeasured confounder have to be to explain the effect away?",
        answer=words.answer(found, outcome),
        rows=_rows(found),
        tables=(
            tables.benchmark_table(found),
            tables.contour_table(found),
            *([tables.marginal_table(found)] if found.bounds else []),
        ),
        assumptions=words.assumptions(found),
        notes=words.notes(found),
        graph_dot=whole.graph_dot,
        adjustment=whole.adjustment,
        provenance=whole.provenance.model_copy(
            update={
                "config": {
                    **whole.provenance.config,
                    "benchmark": None if benchmark is None else list(benchmark),
                    "lam": list(lambdas),
                }
            }
        ),
    )


def _check(lam: Sequence[float]) -> tuple[float, ...]:
    wrong = [value for value in lam if not 1.0 <= value < np.inf]
    if wrong:
        raise StudyError(
            f"lam={wrong[0]!r} must be at least 1: it is the factor by which the odds of exposure"
            " may be wrong, and 1 takes them as right."
        )
    return tuple(sorted({float(value) for value in lam}))


def _rows(found: Findings) -> tuple[Row, ...]:
    percent = f"{found.level:.0%}"
    point, interval = found.robustness
    rows = [
        _row(found, "robustness value", point, "robustness value", "partially linear regression"),
        _row(
            found,
            f"robustness value at {percent}",
            interval,
            "robustness value",
            "partially linear regression",
        ),
    ]
    if found.omitted is not None:
        of = (
            ("doubly robust robustness value", found.omitted.robustness_value),
            (
                f"doubly robust robustness value at {percent}",
                found.omitted.robustness_value_interval,
            ),
        )
        rows += [
            _row(found, label, x, "robustness value", "omitted-variable bounds") for label, x in of
        ]
    if found.e_value is not None:
        of = (
            ("E-value", found.e_value.estimate),
            (f"E-value at {percent}", found.e_value.interval),
        )
        rows += [_row(found, label, x, "E-value", found.e_value.by) for label, x in of]
    for label, value in (
        ("Lambda that reaches zero", found.lambda_zero),
        (f"Lambda whose {percent} interval reaches zero", found.lambda_interval),
    ):
        if value is not None:
            rows.append(_row(found, label, value, "Lambda", found.marginal.method))
    return (*rows, *(_bounds_row(found, lam, bounds) for lam, bounds in found.bounds.items()))


def _row(found: Findings, label: str, value: float, metric: str, estimator: str) -> Row:
    finite = bool(np.isfinite(value))
    return Row(
        label=label,
        value=value if finite else None,
        level=found.level,
        n=found.computation.population.rows.n_rows,
        population=population_words(found.computation.question),
        estimator=estimator,
        unit="rows",
        metric=metric,
        status="ok" if finite else "not_estimable",
        interval_method=f"none: a strength, found from the {found.level:.0%} interval"
        if "%" in label
        else "none: the strength at which the estimate itself is zero",
        note=""
        if finite
        else "too few clusters for an interval"
        if np.isnan(value)
        else "not even a factor of 100 reaches zero",
    )


def _bounds_row(found: Findings, lam: float, bounds: Bounds) -> Row:
    lower, upper = bounds.interval(found.level)[0].tolist()
    known = bool(np.isfinite(lower) and np.isfinite(upper))
    return Row(
        label=f"Lambda {lam:g}",
        lower=lower if known else None,
        upper=upper if known else None,
        level=found.level,
        n=found.computation.population.rows.n_rows,
        population=population_words(found.computation.question),
        estimator=f"{found.computation.question.estimator} under marginal sensitivity",
        status="not_estimable",
        unit="rows",
        metric=found.computation.question.metric,
        clusters=bounds.lower_bound.clusters,
        interval_method="Imbens and Manski (2004), clustered ends",
        note=f"no point: bounds {bounds.lower[0]:.3g} to {bounds.upper[0]:.3g}",
    )
