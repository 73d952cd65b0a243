"""The tests of a graph as a result, with the arrow that seems to be missing in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from causalrec.nuisances._graph_check_dowhy import Opinion
from causalrec.nuisances._graph_implications import Implication
from causalrec.results import Assumption, Result, Row, Table, multiplicity

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph
    from causalrec.inference import Estimate

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Finding:
    """The test of one implied independence."""

    implication: Implication
    estimate: Estimate | None
    """The residual correlation of the pair of numbers that departs most from zero."""
    p_value: float = float("nan")
    names: str = ""


def graph_check_result(
    graph: CausalGraph,
    findings: Sequence[Finding],
    adjusted: Floats,
    silent: tuple[tuple[str, str], ...],
    level: float,
    opinion: Opinion | None = None,
) -> Result:
    """Return the tests as a result, the clearest departure first."""
    order = sorted(range(len(findings)), key=lambda i: (np.nan_to_num(adjusted[i], nan=2.0), i))
    rows = tuple(_row(findings[i], float(adjusted[i]), level) for i in order)
    failed = [findings[i] for i in order if adjusted[i] <= level]
    tested = sum(finding.estimate is not None for finding in findings)
    answer = _answer(failed, tested, level)
    notes = []
    if silent:
        pairs = ", ".join(f"{a} and {b}" for a, b in silent[:5])
        more = ", ..." if len(silent) > 5 else ""
        notes.append(
            f"Of {len(silent)} pairs without an arrow the graph implies nothing that the log can"
            f" show (something unmeasured joins them, or rows were selected): {pairs}{more}."
        )
    notes.append(
        "Correlations are of residuals: what regressions on the given columns, out of fold, leave"
        " of the two (generalised covariance measure, Shah & Peters 2020)."
    )
    notes.append(
        "A graph that is not rejected is not proved: graphs with other arrows can imply the same"
        " independences, and an arrow too many implies nothing that could fail."
    )
    if opinion:
        notes.append(opinion.note)
    return Result(
        kind="graph_check",
        title=f"Does the log contradict the graph {graph.name}?",
        question="Are the columns that the graph keeps apart independent in the log?",
        answer=answer,
        rows=rows,
        tables=(_table(findings, adjusted, order), *((opinion.table,) if opinion else ())),
        assumptions=(
            Assumption(
                name="declared graph",
                statement=graph.label or "The arrows of the graph are those of the world.",
                status="violated" if failed else "tested" if tested else "untestable",
                evidence=answer,
            ),
        ),
        notes=tuple(notes),
        family=multiplicity(tested, "holm", "implied independences"),
        graph_dot=graph.to_dot(),
    )


def _answer(failed: Sequence[Finding], tested: int, level: float) -> str:
    if not tested:
        return "The log has too few subjects to test anything that the graph implies."
    if not failed:
        return (
            f"The log does not contradict the graph: none of {tested} implied independences is"
            f" rejected at {100 * level:g} % (Holm)."
        )
    first = failed[0]
    assert first.estimate is not None
    one = first.implication
    given = f", given {', '.join(one.given)}" if one.given else ""
    return (
        f"The log contradicts the graph: {len(failed)} of {tested} implied independences"
        f" {'is' if len(failed) == 1 else 'are'} rejected at {100 * level:g} % (Holm). Most"
        f" clearly, {one.first} and {one.second} go together (correlation"
        f" {float(first.estimate):+.3f}{given}): an arrow between them is missing, or an unmeasured"
        " common cause, or something that lets rows into the log by both."
    )


def _row(finding: Finding, adjusted: float, level: float) -> Row:
    one, estimate = finding.implication, finding.estimate
    if estimate is None:
        return Row(
            label=one.label, status="not_estimable", unit=one.unit, metric="residual correlation",
            note="Too few subjects, or nothing is left of a column once the others are known.",
        )  # fmt: skip
    low, high = estimate.interval(0.95)[0]
    fine = bool(np.isfinite([low, high]).all())
    return Row(
        label=one.label,
        value=float(estimate),
        standard_error=float(estimate.standard_error[0]) if fine else None,
        lower=float(low) if fine else None,
        upper=float(high) if fine else None,
        p_value=finding.p_value,
        p_adjusted=adjusted,
        n=int(estimate.n[0]),
        population=estimate.population,
        estimator=estimate.estimator,
        unit=one.unit,
        metric="residual correlation",
        clusters=estimate.clusters,
        # Words have a column a level: say which departs most.
        note=f"{finding.names} depart most." if adjusted <= level and "=" in finding.names else "",
    )


def _table(findings: Sequence[Finding], adjusted: Floats, order: Sequence[int]) -> Table:
    return Table(
        name="independences",
        title="What the graph keeps apart",
        columns=("first", "second", "given", "over", "residual correlation", "p (Holm)"),
        rows=tuple(
            (
                findings[i].implication.first,
                findings[i].implication.second,
                ", ".join(findings[i].implication.given),
                findings[i].implication.unit,
                None if (found := findings[i].estimate) is None else float(found),
                None if np.isnan(adjusted[i]) else float(adjusted[i]),
            )
            for i in order
        ),
    )
