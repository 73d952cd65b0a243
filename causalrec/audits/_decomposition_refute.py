"""`DecompositionResult.refute`: do the parts fall and stand where they should?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from causalrec.audits._decomposer import Computed, parts_by, read_rows
from causalrec.audits._decomposition_fits import Floats, RowFeatures
from causalrec.audits._exposure_parts import BASELINE, ExposureRows
from causalrec.audits._fairness_parts import FairnessRows
from causalrec.errors import OverlapError, StudyError
from causalrec.results import Result, Row, Table, format_cell
from causalrec.threads import one_thread

if TYPE_CHECKING:
    from causalrec.audits._decomposition_graph import Pathways
    from causalrec.audits._decomposition_question import GapQuestion

PLACEBO, CAUSE, SUBSET = "placebo", "random common cause", "subset of users"
KEPT = 0.8
"""Share of the users in a subset."""
STRICT = 3.0
"""A mean of draws further from where it should be than so many of its errors is off."""
RARE = 0.05
Codes = npt.NDArray[Any]
Draw = Callable[[np.random.Generator], Any]

HOW = (
    "Each draw is estimated anew by the same score, its models fitted once, without cross-fitting."
    " p = (1 + #) / (1 + draws): for the placebo the share of draws as far from where it should be"
    " as the part, else twice the smaller tail at it. A large p proves nothing."
)
CANNOT = (
    "None of these can show an unmeasured cause: a placebo destroys it, a random cause is no real"
    " one, and every subset shares it. The robustness values of the decomposition speak of that."
)


@one_thread
def refute_parts(
    whole: Result,
    question: GapQuestion,
    pathways: Pathways,
    computed: Computed,
    n_draws: int,
    seed: int | None,
) -> Result:
    """Return the result of `DecompositionResult.refute`."""
    if n_draws < 2:
        raise StudyError(f"n_draws={n_draws} must be at least 2.")
    parts = computed.parts
    assert parts is not None  # without parts there are no internals, and no question to ask
    quick = _quick(question, computed.rows)
    draws = _draw_all(question, computed, n_draws, seed)
    rows = [
        _row(question, name, label, found[:, at], float(quick[at]), parts.gap)
        for at, label in enumerate(parts.labels)
        for name, found in draws.items()
    ]
    config = {**whole.provenance.config, "refute_n_draws": n_draws}
    return Result(
        kind="refutation",
        title=f"{whole.title}: attempts to refute them",
        question="Do the parts fall where they should, and stand where they should?",
        answer=_answer(rows, parts.labels),
        rows=tuple(rows),
        tables=(
            *_yardsticks(question, pathways, computed, parts.labels, quick),
            _table(draws, parts.labels),
        ),
        notes=(HOW, _placebo_words(question), CANNOT),
        graph_dot=whole.graph_dot,
        adjustment=whole.adjustment,
        provenance=whole.provenance.model_copy(update={"config": config, "seed": seed}),
    )


def _yardsticks(
    question: GapQuestion,
    pathways: Pathways,
    computed: Computed,
    labels: tuple[str, ...],
    quick: Floats,
) -> tuple[Table, ...]:
    """Return the parts as they would be if a covariate had not been measured, one at a time."""
    if not pathways.before:
        return ()
    lines = [("nothing", *quick.tolist())]
    for column in pathways.before:
        fewer = tuple(name for name in pathways.before if name != column)
        rows: Any = read_rows(question, replace(pathways, before=fewer))
        lines.append((column, *_quick(question, rows.rows(computed.supported)).tolist()))
    table = Table(
        name="yardsticks",
        title="If a covariate had not been measured",
        columns=("left out", *labels),
        rows=tuple(lines),
        caption="The parts without each covariate. A hidden cause as strong as that one, given the"
        " others, could move them about as far.",
    )
    return (table,)


def _quick(question: GapQuestion, rows: Any) -> Floats:
    """Return the parts by models fitted once on all rows."""
    fold = np.zeros(len(rows.outcome), dtype=np.int64)
    parts, _ = parts_by(rows, fold, question.floor, question.random_state)
    return parts.values


def _draw_all(
    question: GapQuestion, computed: Computed, n_draws: int, seed: int | None
) -> dict[str, Floats]:
    """Return the parts of each draw by refuter, (n_draws, parts); each has a stream of its own."""
    inside, rows = computed.supported, computed.rows
    users = np.asarray(question.log.user_codes)[inside]
    items = np.asarray(question.log.item_codes)[inside]
    subjects = question.subjects[inside]
    one_each: dict[str, Draw] = {
        PLACEBO: lambda rng: _placebo(rows, users, subjects, rng),
        CAUSE: lambda rng: _with_cause(rows, _random_cause(users, items, rng)),
        SUBSET: lambda rng: rows.rows(_some(users, rng)),
    }
    streams = np.random.default_rng(seed).spawn(len(one_each))
    return {
        name: np.array([_one(question, draw, stream) for _ in range(n_draws)])
        for (name, draw), stream in zip(one_each.items(), streams, strict=True)
    }


def _one(question: GapQuestion, draw: Draw, stream: np.random.Generator) -> Floats:
    drawn = draw(stream)
    if not drawn.has_arms():
        raise OverlapError(
            "A subset of the users leaves a group or an arm empty: there are too few of them to"
            " refute by subsets."
        )
    return _quick(question, drawn)


def _placebo(rows: Any, users: Codes, subjects: Codes, rng: np.random.Generator) -> Any:
    """Return rows whose exposure (whose group) was dealt again, so that it causes nothing."""
    if isinstance(rows, ExposureRows):
        # A placebo keeps how often a user was exposed, and what came of it: the rate is adjusted
        # for, or chance differences between users would carry some of the true effect into it.
        rate = (np.bincount(users, rows.exposure) / np.maximum(np.bincount(users), 1))[users]
        if np.array_equal(rate, rows.exposure):  # no user has both: deal among users
            return replace(rows, exposure=_deal_among(rows.exposure, users, rng), given=None)
        dealt = _deal_within(rows.exposure, users, rng)
        features = rows.features.with_column(rate)
        return replace(rows, exposure=dealt, given=None, features=features)
    fairness = rows if isinstance(rows, FairnessRows) else rows.fairness
    placed = replace(fairness, side=_deal_among(fairness.side, subjects, rng))
    return placed if rows is fairness else replace(rows, fairness=placed)


def _with_cause(rows: Any, cause: Floats) -> Any:
    """Return rows with one more covariate."""

    def more(features: RowFeatures) -> RowFeatures:
        return features.with_column(cause)

    if isinstance(rows, ExposureRows):
        return replace(rows, features=more(rows.features))
    fairness = rows if isinstance(rows, FairnessRows) else rows.fairness
    widened = replace(
        fairness, features={step: more(one) for step, one in fairness.features.items()}
    )
    return (
        widened if rows is fairness else replace(rows, fairness=widened, between=more(rows.between))
    )


def _deal_among(values: Any, subjects: Codes, rng: np.random.Generator) -> Any:
    """Return values that are constant within subjects, dealt again among them."""
    present, first, place = np.unique(subjects, return_index=True, return_inverse=True)
    return values[first][rng.permutation(len(present))][place]


def _deal_within(values: Floats, users: Codes, rng: np.random.Generator) -> Floats:
    places = np.argsort(users, kind="stable")
    dealt = np.empty_like(values)
    dealt[places] = values[np.lexsort((rng.random(len(values)), users))]
    return dealt


def _random_cause(users: Codes, items: Codes, rng: np.random.Generator) -> Floats:
    by_user = rng.standard_normal(int(users.max()) + 1)[users]
    by_item = rng.standard_normal(int(items.max()) + 1)[items]
    return np.asarray((by_user + by_item + rng.standard_normal(len(users))) / np.sqrt(3.0))


def _some(users: Codes, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    present = np.unique(users)
    return np.isin(users, rng.choice(present, max(2, round(KEPT * len(present))), replace=False))


def _row(
    question: GapQuestion, name: str, label: str, draws: Floats, value: float, gap: float
) -> Row:
    tail = (1.0 - question.level) / 2.0
    lower, upper = np.quantile(draws, [tail, 1.0 - tail]).tolist()
    target = gap if label == BASELINE else 0.0
    if name == PLACEBO:
        p = float((1 + (np.abs(draws - target) >= abs(value - target)).sum()) / (1 + len(draws)))
    else:
        least = min((draws <= value).sum(), (draws >= value).sum())
        p = float(min(1.0, 2 * (1 + least) / (1 + len(draws))))
    return Row(
        label=f"{name}: {label}",
        value=float(draws.mean()),
        standard_error=float(draws.std(ddof=1)),
        lower=lower,
        upper=upper,
        level=question.level,
        p_value=p,
        population="supported rows of the two groups",
        estimator="not cross-fitted",
        unit=question.attribute.unit,
        metric=label,
        interval_method=f"range of {question.level:.0%} of {len(draws)} draws",
        note=_verdict(name, draws, target, value, p),
    )


def _verdict(name: str, draws: Floats, target: float, value: float, p: float) -> str:
    if name == PLACEBO:
        error = float(draws.std(ddof=1)) / np.sqrt(len(draws))
        off = abs(float(draws.mean()) - target) > STRICT * max(error, 1e-12)
        where = f"at {format_cell(target)}, as it should be" if target else "at zero"
        if off:
            return f"off: it should be {format_cell(target)} where nothing is at work"
        beyond = "beyond" if p <= RARE else "not beyond"
        return f"centred {where}; the part ({format_cell(value)}) is {beyond} the draws"
    moved = "at the edge of the draws" if p <= RARE else "stands"
    what = "whoever is left out" if name == SUBSET else "one more covariate"
    return f"the part ({format_cell(value)}) {moved} ({what})"


def _placebo_words(question: GapQuestion) -> str:
    if question.method == "exposure":
        return (
            "Placebo: exposure dealt again within each user, the user's rate adjusted for. It then"
            " causes nothing, so that only the baseline is left, as large as the gap; groups keep"
            " how often they are exposed."
        )
    who = "providers" if question.attribute.by_provider else question.attribute.unit
    return f"Placebo: the groups dealt again among the {who}. No part of a gap is then left."


def _answer(rows: list[Row], labels: tuple[str, ...]) -> str:
    off = [row.label for row in rows if row.note.startswith("off")]
    edge = [row.label for row in rows if "at the edge" in row.note]
    said = [
        f"Of {len(rows)} attempts on {len(labels)} parts"
        f" {len(rows) - len(off) - len(edge)} end where they should."
    ]
    if off:
        said.append(f"Off: {', '.join(off)}.")
    if edge:
        said.append(f"At the edge of the draws: {', '.join(edge)}.")
    return " ".join([*said, "None of this proves that nothing is unmeasured."])


def _table(draws: dict[str, Floats], labels: tuple[str, ...]) -> Table:
    columns = [f"{name}: {label}" for name in draws for label in labels]
    values = np.hstack(list(draws.values()))
    return Table(
        name="draws",
        title="Every draw of the refuters",
        columns=("draw", *columns),
        rows=tuple((at + 1, *line) for at, line in enumerate(values.tolist())),
        caption="The parts of each draw.",
    )
