"""Heterogeneity by declared modifiers: how the effect varies with columns named beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from causalrec.effects._groups import clusters_for
from causalrec.effects._linear import effect_rows, projection_score
from causalrec.effects._modifier_design import REFERENCE, ModifierDesign, modifier_design
from causalrec.effects._scores import population_words
from causalrec.effects._words import amount, interval_method
from causalrec.errors import DataError
from causalrec.results import Result, Row, Table, multiplicity, rows_from_estimate

if TYPE_CHECKING:
    from causalrec.effects._result import EffectResult
    from causalrec.effects._scores import Computation
    from causalrec.inference import Estimate


def effect_modifiers(effect: EffectResult, columns: Sequence[str]) -> Result:
    """Return how the effect varies with declared columns: the projection of its score on them.

    Parameters
    ----------
    effect : EffectResult
        From `estimate_effect` with estimator "dr", "ips", "econml", "dr-learner" or
        "causal-forest-dml" and estimand "ate".
    columns : sequence of str
        Columns of users, items or events that precede the exposure. Numbers are standardised over
        the supported rows; levels are compared with the first in order.

    Returns
    -------
    Result
        Of kind "heterogeneity": the effect at the reference, and one row a coefficient, whose
        intervals are simultaneous (sup-t) and whose p-values are Holm's. `internal("estimate")`
        is the joint `Estimate`.

    Raises
    ------
    DataError
        If a column is unknown, incomplete, constant, of more than twenty levels, redundant, or
        comes after the exposure in the graph.
    StudyError
        If the effect has no score to regress.
    ResultError
        If the effect was reloaded from a file.

    Notes
    -----
    The best linear projection of the effect (Semenova & Chernozhukov 2021): right as a summary
    also where the effect is not linear, and the effect itself where it is. Its errors are clustered
    as those of the effect are; the error of linear nuisances is part of them.

    Examples
    --------
    >>> import causalrec as cr
    >>> from causalrec.effects import effect_modifiers
    >>> world = cr.simulate("shop", n_users=300, n_items=60, random_state=1)
    >>> effect = cr.estimate_effect(world.log, world.graph, n_repeats=1)
    >>> found = effect_modifiers(effect, ["age", "gender"])
    >>> [row.label for row in found.rows]
    ['reference', 'age (+1 sd)', 'gender: m - f']
    """
    computation: Computation = effect.internal("computation")
    rows = computation.population.rows
    design = modifier_design(rows, columns)
    refuse_consequences(effect, columns)
    tau = effect_rows(computation, "The regression on modifiers")
    inside = np.ones(rows.n_rows, dtype=bool)
    score = projection_score(computation, tau, design.matrix, inside)
    sampled, why = _clusters(computation, columns)
    joint = computation.from_score(score, design.labels, sampled)
    shown = _rows(joint, design, computation, sampled)
    return Result(
        kind="heterogeneity",
        title=f"{effect.title}: how it varies with {', '.join(columns)}",
        question=f"Does the effect of exposure vary with {', '.join(columns)}?",
        answer=_answer(shown, design),
        rows=shown,
        tables=(_codings(design),),
        assumptions=effect.assumptions,
        notes=(
            "The coefficients say with whom the effect varies, not that changing the column would"
            " change it.",
            *why,
        ),
        family=multiplicity(len(design.slopes), "sup-t", "coefficients"),
        graph_dot=effect.graph_dot,
        adjustment=effect.adjustment,
        provenance=effect.provenance,
    ).with_internals(estimate=joint)


def refuse_consequences(effect: EffectResult, columns: Sequence[str]) -> None:
    """Refuse columns that the graph draws after the exposure.

    Raises
    ------
    DataError
    """
    import networkx as nx

    from causalrec.graph import CausalGraph

    graph = CausalGraph.from_dot(effect.graph_dot)
    if graph.exposure is None:
        return
    after = nx.descendants(graph.network(), graph.exposure)
    late = sorted(c for c in columns if any(graph.nodes[node].column == c for node in after))
    if late:
        raise DataError(
            f"Column {late[0]!r} comes after the exposure in the graph: what exposure changes"
            " cannot say for whom it works. Name columns that precede it."
        )


def _clusters(
    computation: Computation, columns: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    for column in columns:
        sampled, why = clusters_for(computation, column)
        if why:
            return sampled, (why,)
    return computation.question.sampled, ()


def _rows(
    joint: Estimate, design: ModifierDesign, computation: Computation, sampled: tuple[str, ...]
) -> tuple[Row, ...]:
    question, slopes = computation.question, joint[design.slopes]
    adjusted = slopes.correct_for_multiplicity("holm").tolist()
    band = slopes.simultaneous_interval(question.level)
    first, *others = rows_from_estimate(
        joint,
        metric=question.metric,
        population=population_words(question),
        estimator=question.estimator,
        unit="rows",
        level=question.level,
        p_adjusted=dict(zip(slopes.labels, adjusted, strict=True)),
        interval_method=interval_method(sampled),
    )
    method = f"simultaneous (sup-t), {interval_method(sampled)}"
    return (
        first,
        *(
            row.model_copy(update={"metric": "change of the effect"})
            if row.lower is None
            else row.model_copy(
                update={
                    "metric": "change of the effect",
                    "lower": float(ends[0]),
                    "upper": float(ends[1]),
                    "interval_method": method,
                }
            )
            for row, ends in zip(others, band, strict=True)
        ),
    )


def _codings(design: ModifierDesign) -> Table:
    return Table(
        name="coding",
        title="What each coefficient means",
        columns=("column", "coefficient", "meaning"),
        rows=tuple(
            (column, label, meaning.split("; ")[0]) for column, label, meaning in design.codings
        ),
        caption="Numbers are standardised over the supported rows; levels stand against the first.",
    )


def _answer(rows: Sequence[Row], design: ModifierDesign) -> str:
    slopes = [row for row in rows if row.label != REFERENCE]
    apart = [r for r in slopes if r.p_adjusted is not None and r.p_adjusted < 1 - r.level]
    known = [row for row in slopes if row.value is not None]
    largest = max(known, key=lambda row: abs(row.value or 0.0), default=None)
    words = f"{design.codings[0][2]} is {amount(rows[0])}".replace("the effect", "The effect", 1)
    if largest is None:
        return f"{words}. No coefficient can be estimated."
    count = f"{len(apart)} of {len(slopes)} coefficients differ from zero after Holm's correction"
    return f"{words}. {count}; the largest is {largest.label}: {amount(largest)}."
