"""Everything that is measured of lists, family by family as they were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from causalrec.audits._deviation import add_deviation
from causalrec.audits._expected import add_expected
from causalrec.audits._exposure import add_exposure
from causalrec.audits._gini import concentration
from causalrec.audits._merit import add_merit, relevance_of
from causalrec.audits._opportunity import (
    add_order_by_popularity,
    add_places,
    add_relevant_places,
    head_and_tail,
)
from causalrec.audits._popularity import Popularity, add_popularity, popularity_of
from causalrec.audits._target import add_target
from causalrec.results import Assumption, Table

if TYPE_CHECKING:
    from causalrec.audits._attributes import Attribute
    from causalrec.audits._gaps import Found
    from causalrec.audits._lists import Lists
    from causalrec.audits._options import AuditQuestion


SCALE = (
    "A ratio of mean outcomes depends on where their scale begins, which is not at 0 here:"
    " relevance_threshold=... makes merit the chance that an item is relevant."
)


@dataclass
class Added:
    """What stands beside the rows.

    Attributes
    ----------
    tables : list of Table
    notes : list of str
    assumptions : list of Assumption
    """

    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    assumptions: list[Assumption] = field(default_factory=list)


def add_list_measures(
    found: Found,
    question: AuditQuestion,
    lists: Lists,
    users: Sequence[Attribute],
    items: Sequence[Attribute],
) -> Added:
    """Add the rows of every family in `question.measures`, and return what stands beside them."""
    log, level, sampled = question.log, question.level, question.sampled
    asked, added = question.measures, Added()
    popularity = popularity_of(log, question.history, question.tail_share)
    if "exposure" in asked:
        added.tables += add_exposure(found, lists, log, items, sampled, level)
    if "concentration" in asked:
        added.tables.append(_add_concentration(found, question, lists, popularity))
    if "popularity" in asked:
        added.tables += add_popularity(found, lists, popularity, log, users, sampled, level)
    if "deviation" in asked:
        said = add_deviation(
            found, lists, popularity, log, users, level=level, random_state=question.seed
        )
        added.notes.append(said)
    if "target" in asked:
        added.tables += add_target(
            found,
            lists,
            log,
            items,
            question.soft_groups,
            question.target,
            sampled=sampled,
            level=level,
            min_cell=question.min_cell,
            random_state=question.seed,
        )
    added.notes += _add_relevant(found, question, lists, popularity, items)
    added.notes += [*lists.notes, popularity.words, f"Exposure: {lists.browsing}."]
    added.assumptions.append(
        Assumption(
            name="lists are fully observed",
            statement=f"exposure and popularity are counted from {lists.words}: nothing is missing"
            " there, so that nothing is corrected",
            status="by design",
        )
    )
    return added


def _add_concentration(
    found: Found, question: AuditQuestion, lists: Lists, popularity: Popularity
) -> Table:
    """Add how concentrated attention is; return its Lorenz curve."""
    measured = concentration(
        lists,
        question.log.n_items,
        popularity.tail,
        sampled=question.sampled,
        level=question.level,
        random_state=question.seed,
    )
    found.add(measured.rows, judged=False)
    return measured.lorenz


def _add_relevant(
    found: Found,
    question: AuditQuestion,
    lists: Lists,
    popularity: Popularity,
    items: Sequence[Attribute],
) -> list[str]:
    """Add what needs relevance, by groups of items and by popularity; return notes."""
    asked, level, notes = question.measures, question.level, []
    grouped = list(items)
    if "opportunity" in asked:
        parts = head_and_tail(popularity)
        grouped += [] if any(one.column == parts.column for one in items) else [parts]
        add_places(found, lists, question, grouped)
        notes.append(add_order_by_popularity(found, question, popularity))
    if "expected exposure" in asked:
        notes.append(add_expected(found, lists, question, items))
    if not {"opportunity", "merit"} & set(asked):
        return [note for note in notes if note]
    answers = relevance_of(question, lists, grouped)
    if isinstance(answers, str):
        return [*notes, answers]
    if question.relevance_threshold is None and question.log.outcome_range[0] != 0.0:
        notes.append(SCALE)
    if "merit" in asked:
        of_items = replace(answers, found=answers.found[: len(items)])
        notes.append(add_merit(found, lists, items, of_items, level))
    if "opportunity" in asked:
        add_relevant_places(found, lists, grouped, answers, level)
    return [note for note in notes if note]
