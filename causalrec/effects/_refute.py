"""`EffectResult.refute`: does the answer fall where it should fall, and stand where it should?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from causalrec.effects import _refute_words as words
from causalrec.effects._adjustment import Adjustment, Floats
from causalrec.effects._draws import CAUSE, PLACEBO, SUBSET, draw_all, p_among, p_beyond
from causalrec.effects._negative_controls import EXPOSURE as NEGATIVE_EXPOSURE
from causalrec.effects._negative_controls import OUTCOME as NEGATIVE_OUTCOME
from causalrec.effects._negative_controls import Control, controls_to_test, numbers
from causalrec.effects._quick import Quick
from causalrec.effects._scores import Computation, population_words
from causalrec.errors import DataError, StudyError
from causalrec.results import Result, Row, Table, rows_from_estimate

if TYPE_CHECKING:
    from causalrec.inference import Estimate
    from causalrec.interactions import InteractionLog

QUICK = "quick estimate"


@dataclass(frozen=True)
class Controls:
    """The options of a refutation."""

    n_draws: int
    negative_control_outcome: str | None
    negative_control_exposure: str | None
    second_opinion: bool
    random_state: int | None


def refute_effect(
    computation: Computation,
    whole: Result,
    columns: tuple[str, ...],
    log: InteractionLog,
    asked: Controls,
) -> Result:
    """Return the result of `EffectResult.refute`."""
    if asked.n_draws < 1:
        raise StudyError(f"n_draws={asked.n_draws} must be at least 1.")
    require_same_rows(computation, log)
    adjustment = Adjustment.of(computation.population.rows, columns)
    controls, declared = controls_to_test(
        whole.graph_dot,
        whole.adjustment,
        log,
        {
            NEGATIVE_OUTCOME: asked.negative_control_outcome,
            NEGATIVE_EXPOSURE: asked.negative_control_exposure,
        },
    )
    quick = Quick.of(computation, adjustment.matrix)
    score = quick.score()
    joint = _estimate(quick, score, QUICK)
    draws = draw_all(quick, asked.n_draws, asked.random_state)
    rows = [
        _estimated_row(computation, joint, words.QUICK),
        *(
            _draws_row(computation, name, found, quick.value(score))
            for name, found in draws.items()
        ),
        *_negative_controls(quick, log, controls),
    ]
    tried = [*draws, *dict.fromkeys(control.kind for control in controls)]
    notes = [words.HOW, *(words.CAN_AND_CANNOT[name] for name in tried), *declared]
    tables = [_draws_table(draws)]
    if asked.second_opinion:
        from causalrec.effects._second_opinion import ask_dowhy

        opinion = ask_dowhy(computation, adjustment, asked)
        rows += opinion.rows
        notes += opinion.notes
        tables.append(opinion.table)
    settled = {**whole.provenance.config, **{f"refute_{k}": v for k, v in vars(asked).items()}}
    return Result(
        kind="refutation",
        title=f"{whole.title}: attempts to refute it",
        question="Does the estimate vanish where it should, and stand where it should?",
        answer=words.answer(rows),
        rows=tuple(rows),
        tables=tuple(tables),
        notes=tuple(notes),
        graph_dot=whole.graph_dot,
        adjustment=whole.adjustment,
        provenance=whole.provenance.model_copy(
            update={"config": settled, "seed": asked.random_state}
        ),
    )


def require_same_rows(computation: Computation, log: InteractionLog) -> None:
    """Refuse a log of other rows than the effect's; more columns are welcome."""
    mine = computation.population.log
    same = log is mine or (
        log.n_rows == mine.n_rows
        and all(
            np.array_equal(getattr(log, name), getattr(mine, name))
            for name in ("user_codes", "item_codes", "exposure", "outcome")
        )
    )
    if not same:
        raise DataError(
            f"This log of {log.n_rows:,} rows is not the one the effect was estimated on"
            f" ({mine.n_rows:,} rows): users, items, exposure and outcome have to be the same, row"
            " by row. Columns may be added."
        )


def _estimate(quick: Quick, score: Any, label: str) -> Estimate:
    residual = score.numerator - score.denominator * score.value
    found = quick.computation.from_score(score.with_design_residual(residual), (label,))
    return found * quick.computation.question.sign


def _estimated_row(computation: Computation, estimate: Estimate, note: str) -> Row:
    row = rows_from_estimate(
        estimate,
        metric="refutation",
        population=population_words(computation.question),
        estimator="quick doubly robust",
        unit="rows",
        level=computation.question.level,
        interval_method="t, clustered; nuisances as known",
    )[0]
    return row.model_copy(update={"note": note})


def _draws_row(computation: Computation, name: str, draws: Floats, value: float) -> Row:
    tail = (1.0 - computation.question.level) / 2.0
    lower, upper = np.quantile(draws, [tail, 1.0 - tail]).tolist()
    p = p_beyond(draws, value) if name == PLACEBO else p_among(draws, value)
    return Row(
        label=name,
        value=float(draws.mean()),
        standard_error=float(draws.std(ddof=1)) if len(draws) > 1 else None,
        lower=lower,
        upper=upper,
        level=computation.question.level,
        p_value=p,
        n=computation.population.rows.n_rows,
        population=population_words(computation.question),
        estimator="quick doubly robust",
        unit="rows",
        metric="refutation",
        interval_method=f"range of {computation.question.level:.0%} of {len(draws)} draws",
        note=words.verdict(name, draws, p),
    )


def _negative_controls(quick: Quick, log: InteractionLog, controls: Sequence[Control]) -> list[Row]:
    rows, inside = [], quick.computation.population.supported
    for control in controls:
        values = numbers(log, control)[inside]
        if control.kind == NEGATIVE_OUTCOME:
            score = quick.score(outcome=values)
        else:
            score = quick.score(exposure=values, extra=quick.exposure)
        found = _estimate(quick, score, control.label)
        note = words.negative(found, control.column, control.kind)
        rows.append(_estimated_row(quick.computation, found, note))
    return rows


def _draws_table(draws: dict[str, Floats]) -> Table:
    names = (PLACEBO, CAUSE, SUBSET)
    count = len(draws[PLACEBO])
    return Table(
        name="draws",
        title="Every draw of the refuters",
        columns=("draw", *names),
        rows=tuple(
            (number + 1, *(float(draws[name][number]) for name in names)) for number in range(count)
        ),
        caption="The estimate of each draw.",
    )
