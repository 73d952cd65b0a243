"""The Yao-Huang family of a model, each group of users against all others, in an audit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causalrec.audits._gaps import Found
from causalrec.audits._yao_huang import (
    FAMILY,
    MIN_SUPPORT,
    PERMUTATIONS,
    NoCommonItemError,
    Unfairness,
    yao_huang,
)
from causalrec.evaluation import contenders
from causalrec.results import Row, Table

if TYPE_CHECKING:
    import numpy.typing as npt

    from causalrec.audits._attributes import Attribute
    from causalrec.audits._options import AuditQuestion
    from causalrec.evaluation import GroupAnswers

METRIC = "value unfairness, debiased"
COLUMNS = (
    "attribute",
    "group",
    "label",
    "measure",
    "estimator",
    "unfairness",
    "of a fair model",
    "their standard deviation",
    "p-value",
    "items compared",
)
Line = tuple[str, str, str, str, str, float, float, float, float, int]


def add_unfairness(
    found: Found,
    answers: GroupAnswers,
    attribute: Attribute,
    question: AuditQuestion,
) -> tuple[Table, ...]:
    """Add the debiased value unfairness of every shown group, and return the whole family.

    Parameters
    ----------
    found : Found
    answers : GroupAnswers
        Whose recorded cells and propensities are used.
    attribute : Attribute
        Of users.
    question : AuditQuestion
        With a model.
    """
    cells = answers.recorded("mean", attribute.column)
    if cells is None or not len(cells.users):
        return ()
    (model,) = contenders(question.given)
    prediction = model.predict(question.log, cells.users, cells.items)
    weights: dict[str, npt.NDArray[np.float64] | None] = {"naive": None}
    if answers.propensity is not None:
        weights["snips"] = 1.0 / cells.propensity
    lines: list[Line] = []
    for level in attribute.shown:
        member = attribute.codes == attribute.levels.index(level)
        for estimator, weight in weights.items():
            try:
                one = yao_huang(
                    prediction,
                    cells.values,
                    cells.users,
                    cells.items,
                    member,
                    weight=weight,
                    random_state=question.seed,
                )
            except NoCommonItemError:
                found.add([_no_row(attribute, level, estimator, question)], judged=False)
                continue
            lines += _lines(one, attribute, level, estimator)
            found.add([_row(one, attribute, level, estimator, question)], judged=False)
    return (_table(lines),) if lines else ()


def _lines(one: Unfairness, attribute: Attribute, level: str, estimator: str) -> list[Line]:
    return [
        (
            attribute.column,
            level,
            f"{attribute.column}={level}: {name} ({estimator})",
            name,
            estimator,
            float(one.values[at]),
            float(one.reference[at]),
            float(one.reference_spread[at]),
            float(one.p_value[at]),
            one.n_items,
        )
        for at, name in enumerate(FAMILY)
    ]


def _no_row(attribute: Attribute, level: str, estimator: str, question: AuditQuestion) -> Row:
    return Row(
        label=f"{METRIC}: {attribute.column}={level} ({estimator})",
        metric=METRIC,
        level=question.level,
        n=attribute.counts[level],
        unit="users",
        population=f"items with {MIN_SUPPORT} rows of the group and of all others",
        estimator=estimator,
        group=attribute.group(level),
        status="not_estimable",
        note=f"no item has {MIN_SUPPORT} rows both of the group and of all others",
    )


def _row(
    one: Unfairness, attribute: Attribute, level: str, estimator: str, question: AuditQuestion
) -> Row:
    lower, upper = one.interval(question.level)
    return Row(
        label=f"{METRIC}: {attribute.column}={level} ({estimator})",
        metric=METRIC,
        value=one.debiased,
        lower=lower,
        upper=upper,
        level=question.level,
        p_value=one.p_of_debiased if np.isfinite(one.p_of_debiased) else None,
        n=attribute.counts[level],
        unit="users",
        population=f"{one.n_items:,} items with {MIN_SUPPORT} rows of the group and of all others",
        estimator=estimator,
        group=attribute.group(level),
        interval_method="t of the debiased square, jackknife over users, signed root",
        note="p-value of the debiased square, two-sided, by the error of the interval",
    )


def _table(lines: list[Line]) -> Table:
    return Table(
        name="unfairness",
        title="Does the model err differently on the same items? (Yao & Huang 2017)",
        columns=COLUMNS,
        rows=tuple(lines),
        caption="Each group against all other users, item by item. These averages of absolute"
        " values are above zero for a perfectly fair model too, the more so the fewer ratings an"
        " item has: hold them against what they are for a fair model with these groups' sizes,"
        f" activities and variances ({PERMUTATIONS} draws of signs by user; so are the p-values)."
        " The rows hold the debiased square's root, which is not biased so.",
        figure="bars",
        x="label",
        y=("unfairness", "of a fair model"),
    )
