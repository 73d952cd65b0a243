"""The effect by group: one estimate a level of a column, and the gaps between them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from causalrec.effects._scores import Computation, population_words
from causalrec.effects._shared_support import Shared, share_support
from causalrec.effects._words import amount, interval_method
from causalrec.errors import DataError
from causalrec.results import (
    Result,
    Row,
    Table,
    multiplicity,
    rows_from_estimate,
    suppress_small_cells,
    suppress_table,
)

if TYPE_CHECKING:
    from causalrec.inference import Estimate

MOST_LEVELS = 20
UNSEEN = "no point estimate: one of the arms has no row in this group"


@dataclass(frozen=True, eq=False)
class Groups:
    """Levels of a column among the supported rows.

    Attributes
    ----------
    column : str
    levels : tuple of str
        Those with rows in both arms.
    one_armed : tuple of str
        Those without.
    codes : int64 (n,)
        Place in `levels`; -1 for none of them.
    users : mapping of str to int
        Users behind each level.
    n_missing : int
        Rows without a level.
    """

    column: str
    levels: tuple[str, ...]
    one_armed: tuple[str, ...]
    codes: NDArray[np.int64]
    users: dict[str, int]
    n_missing: int

    def label(self, level: str) -> str:
        """Return what the level's row is called."""
        return f"{self.column}={level}"


def effect_by(computation: Computation, whole: Result, column: str, min_cell: int) -> Result:
    """Return the result of `EffectResult.by`."""
    question = computation.question
    groups = find_groups(computation, column)
    sampled, why = clusters_for(computation, column)
    labels = tuple(map(groups.label, groups.levels))
    joint = computation.estimate(groups.codes, labels, sampled)
    rows = [*_level_rows(joint, groups, question, sampled), *_one_armed(groups, question)]
    pairs = list(combinations(groups.levels, 2))
    shared = share_support(computation, groups)
    rows += _gaps(computation, joint, groups, shared, sampled)
    # The effect on everybody stands in the result that was asked: a group must not follow from it.
    everybody = Row(label="all", n=computation.population.n_users, unit="users")
    shown = suppress_small_cells([everybody, *rows], min_cell, units=("users",))[1:]
    family = multiplicity(len(pairs), "holm", "gaps between groups") if pairs else ""
    if pairs:
        family += " Their intervals are simultaneous (sup-t)."
    notes = [why] if why else []
    if groups.n_missing:
        notes.append(f"{groups.n_missing:,} supported rows have no {column!r} and are in no group.")
    table = _beside_naive(joint, groups)
    return Result(
        kind="effect",
        title=f"{whole.title}, by {column}",
        question=f"Does the effect of exposure differ by {column}?",
        answer=_answer(shown, column),
        rows=shown,
        tables=(
            suppress_table(table, count="users", keys=[column], min_cell=min_cell, following=shown),
        ),
        assumptions=whole.assumptions,
        notes=tuple(notes),
        family=family,
        graph_dot=whole.graph_dot,
        adjustment=whole.adjustment,
        provenance=whole.provenance,
    ).with_internals(estimate=joint)


def find_groups(computation: Computation, column: str) -> Groups:
    """Return the levels of a column, those without both arms apart.

    Raises
    ------
    DataError
        If the column is unknown, is the exposure or the outcome, or has one level or more than
        `MOST_LEVELS`.
    """
    rows = computation.population.rows
    if column in {rows.columns.exposure, rows.columns.outcome}:
        raise DataError(
            f"Column {column!r} is the exposure or the outcome itself. Groups are made of what"
            " precedes the exposure: columns of users and items, or of the event before it."
        )
    values: pd.Series = rows.column(column, missing="keep")
    names = values.astype("string")
    levels = sorted(map(str, names.dropna().unique()))
    if not 2 <= len(levels) <= MOST_LEVELS:
        way_out = (
            "there is nothing to compare"
            if len(levels) < 2
            else "cut it into a few named groups first (pandas.cut), and add that column"
        )
        raise DataError(f"Column {column!r} has {len(levels):,} levels: {way_out}.")
    place = pd.Index(levels).get_indexer(pd.Index(names.fillna("")))
    place = np.where(names.isna().to_numpy(dtype=bool), -1, place)
    exposure = computation.population.exposure
    exposed, unexposed = (
        np.bincount(place[(place >= 0) & (exposure == arm)], minlength=len(levels))
        for arm in (1.0, 0.0)
    )
    both = (exposed > 0) & (unexposed > 0)
    if not both.any():
        raise DataError(
            f"In every group of {column!r} the supported rows are of one arm only: {column!r}"
            " decides the exposure, and no effect can be compared."
        )
    number = np.append(np.where(both, np.cumsum(both) - 1, -1), -1)
    users = {
        level: int(np.unique(rows.user_codes[place == at]).size) for at, level in enumerate(levels)
    }
    return Groups(
        column=column,
        levels=tuple(level for level, fine in zip(levels, both, strict=True) if fine),
        one_armed=tuple(level for level, fine in zip(levels, both, strict=True) if not fine),
        codes=number[place].astype(np.int64),
        users=users,
        n_missing=int((place < 0).sum()),
    )


def clusters_for(computation: Computation, column: str) -> tuple[tuple[str, ...], str]:
    """Cluster by provider where the column is an attribute of providers, and say so."""
    sampled, rows = computation.question.sampled, computation.population.rows
    apart = "item" not in sampled or rows.provider is None or column == rows.columns.provider
    if apart or rows.entity_of(column) != "item" or "provider" in sampled:
        return sampled, ""
    values = rows.items[column].astype("string").fillna("").to_numpy(dtype=object)
    per_provider = pd.Series(values).groupby(np.asarray(rows.provider)).nunique()
    if per_provider.max() > 1 or len(per_provider) == len(values):
        return sampled, ""
    chosen = tuple("provider" if name == "item" else name for name in sampled)
    return chosen, (
        f"{column!r} is the same for all items of a provider, so the intervals are clustered by"
        f" provider ({len(per_provider):,}) instead of by item."
    )


def _level_rows(
    joint: Estimate, groups: Groups, question: Any, sampled: tuple[str, ...]
) -> tuple[Row, ...]:
    labels = [groups.label(level) for level in groups.levels]
    return rows_from_estimate(
        joint[labels],
        metric=question.metric,
        population=population_words(question),
        estimator=question.estimator,
        unit="users",
        groups={groups.label(level): {groups.column: level} for level in groups.levels},
        level=question.level,
        n={groups.label(level): groups.users[level] for level in groups.levels},
        interval_method=interval_method(sampled),
    )


def _one_armed(groups: Groups, question: Any) -> list[Row]:
    return [
        Row(
            label=groups.label(level),
            metric=question.metric,
            population=population_words(question),
            estimator=question.estimator,
            unit="users",
            n=groups.users[level],
            group={groups.column: level},
            status="not_estimable",
            note=UNSEEN,
        )
        for level in groups.one_armed
    ]


def _gaps(
    computation: Computation,
    joint: Estimate,
    groups: Groups,
    shared: Shared,
    sampled: tuple[str, ...],
) -> list[Row]:
    """Return the gaps between all pairs; groups that share no support have none."""
    question, found = computation.question, joint
    kept = [at for at in range(len(groups.levels)) if (shared.codes == at).any()]
    if shared.left_out and len(kept) > 1:
        place = np.full(len(groups.levels) + 1, -1)
        place[kept] = np.arange(len(kept))
        labels = tuple(groups.label(groups.levels[at]) for at in kept)
        found = computation.estimate(place[shared.codes], labels, sampled)
    levels = {groups.levels[at] for at in kept} if len(kept) > 1 else set()
    pairs = list(combinations(groups.levels, 2))
    known = [pair for pair in pairs if levels.issuperset(pair)]
    rows = _gap_rows(found, groups, question, sampled, known, shared.words) if known else []
    return rows + [
        Row(
            label=_gap_label(groups, pair),
            metric="gap",
            population=population_words(question) + shared.words,
            estimator=question.estimator,
            unit="users",
            level=question.level,
            derived_from=tuple(map(groups.label, pair)),
            status="not_estimable",
            note="no point: these groups share no supported rows of both arms",
        )
        for pair in pairs
        if pair not in known
    ]


def _gap_label(groups: Groups, pair: tuple[str, str]) -> str:
    return f"gap in {groups.column}: {pair[0]} - {pair[1]}"


def _gap_rows(
    joint: Estimate,
    groups: Groups,
    question: Any,
    sampled: tuple[str, ...],
    pairs: list[tuple[str, str]],
    shared: str,
) -> list[Row]:
    """Return the gaps, with Holm's p and sup-t intervals over all of them."""
    labels = {pair: _gap_label(groups, pair) for pair in pairs}
    gaps = joint.contrast(
        {
            label: {groups.label(first): 1.0, groups.label(second): -1.0}
            for (first, second), label in labels.items()
        }
    )
    adjusted = gaps.correct_for_multiplicity("holm").tolist()
    band = gaps.simultaneous_interval(question.level)
    rows = rows_from_estimate(
        gaps,
        metric="gap",
        population=population_words(question) + shared,
        estimator=question.estimator,
        unit="users",
        level=question.level,
        n={label: min(groups.users[level] for level in pair) for pair, label in labels.items()},
        p_adjusted=dict(zip(gaps.labels, adjusted, strict=True)),
        derived_from={label: tuple(map(groups.label, pair)) for pair, label in labels.items()},
        interval_method=f"simultaneous (sup-t), {interval_method(sampled)}",
    )
    return [
        row
        if row.lower is None
        else row.model_copy(update={"lower": float(ends[0]), "upper": float(ends[1])})
        for row, ends in zip(rows, band, strict=True)
    ]


def _beside_naive(joint: Estimate, groups: Groups) -> Table:
    """Return naive and adjusted effect of each group, and their difference with its interval."""
    lines = []
    for level in groups.levels:
        label = groups.label(level)
        gap = joint.difference(f"{label} (naive)", label)
        lower, upper = gap.interval()[0].tolist()
        known = np.isfinite(lower)
        lines.append(
            (
                level,
                groups.users[level],
                float(joint[f"{label} (naive)"].value[0]),
                float(joint[label].value[0]),
                float(gap.value[0]),
                lower if known else None,
                upper if known else None,
            )
        )
    return Table(
        name="naive",
        title="Naive and adjusted effect by group",
        columns=(
            groups.column, "users", "naive", "adjusted", "naive - adjusted", "lower", "upper",
        ),
        rows=tuple(lines),
        caption="The interval is that of the difference, which is not called bias: only a"
        " randomised comparison could say so.",
        figure="bars",
        x=groups.column,
        y=("naive", "adjusted"),
    )  # fmt: skip


def _answer(rows: tuple[Row, ...], column: str) -> str:
    levels = [row for row in rows if row.group and row.value is not None]
    parts = ", ".join(f"{amount(row)} for {row.label}" for row in levels)
    gaps = [row for row in rows if row.derived_from and row.p_adjusted is not None]
    apart = [row for row in gaps if row.p_adjusted is not None and row.p_adjusted < 1 - row.level]
    if not levels:
        return f"No group of {column} can be shown or estimated."
    return f"The effect is {parts}. {_verdict(gaps, apart)}"


def _verdict(gaps: list[Row], apart: list[Row]) -> str:
    """Return whether the groups differ, with the figure where there is one gap only."""
    if not gaps:
        return "There is no gap to test."
    if len(gaps) == 1:
        words = "can" if apart else "cannot"
        return f"The {gaps[0].label} is {amount(gaps[0])}, which {words} be told from zero."
    if not apart:
        return f"None of the {len(gaps)} gaps can be told from zero after Holm's correction."
    named = ", ".join(f"{row.label} ({amount(row)})" for row in apart[:3])
    rest = ", the first three being" if len(apart) > 3 else ":"
    return (
        f"{len(apart)} of the {len(gaps)} gaps can be told from zero after Holm's"
        f" correction{rest} {named}."
    )
