"""Several results on one page: one answer and what was asked about it, or a study."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from causalrec.errors import StudyError
from causalrec.results import Provenance, Result, ledger, shared_ledger

ORDER = (
    "effect", "heterogeneity", "validation", "policy_tree", "paths", "interference", "refutation",
    "sensitivity",
)  # fmt: skip
"""Kinds of what is asked about an effect, as a page has them: for whom, then the doubts."""
DOUBTS = ("interference", "refutation", "sensitivity")
LEADS = {"effect": "The effect", "decomposition": "The parts"}
"""Kinds that are asked further, and what they are called in a ledger shared with the answers."""
GATHERED = frozenset({"study", "evidence_annex", "model_card"})
"""Kinds whose sections stand for themselves: they have a ledger each, or none."""
SIDE_BY_SIDE = "estimators"
"""The kind whose rows join the lead's, in one forest plot."""


def compose(results: object, title: str | None = None) -> Result:
    """Return what `write_report` was given as one result.

    Raises
    ------
    StudyError
        If it is neither a result nor a sequence of results, or there is none.
    """
    if isinstance(results, Result):
        return results if title is None else results.model_copy(update={"title": title})
    sections = _checked(results)
    if len(sections) == 1:
        return compose(sections[0], title)
    lead, others = sections[0], sections[1:]
    about = lead.kind in LEADS and all(_about(lead, other) for other in others)
    if about:
        return _one_answer(lead, others, title)
    sections = _told_apart(sections)
    return Result(
        kind="study", title=title or "Study", assumptions=ledger(sections), sections=sections
    )


def _checked(results: object) -> tuple[Result, ...]:
    way_out = (
        "Pass what a question returned (estimate_effect, evaluate, audit...), or a list of such"
        " results."
    )
    if isinstance(results, str) or not isinstance(results, Iterable):
        raise StudyError(
            f"A report is written of results, and this is {_a(results)}, not a Result. {way_out}"
        )
    sections = tuple(results)
    for place, one in enumerate(sections):
        if not isinstance(one, Result):
            raise StudyError(
                f"A report is written of results, and item {place} of {len(sections)} is {_a(one)},"
                f" not a Result. {way_out}"
            )
    if not sections:
        raise StudyError(f"There is no result to write: pass at least one. {way_out}")
    return sections


def _a(thing: object) -> str:
    name = type(thing).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _about(lead: Result, other: Result) -> bool:
    """Return whether a result was asked about the lead: it bears its title, and has its data."""
    return (
        other.kind in (*ORDER, SIDE_BY_SIDE)
        and short_title(lead.title, other.title) != other.title
        and other.provenance.data == lead.provenance.data
    )


def short_title(lead: str, title: str) -> str:
    """Return a title without that of the result it is about.

    Examples
    --------
    >>> short_title("The effect, on sales", "The effect, on sales, by age")
    'By age'
    >>> short_title("The effect, on sales", "The effect, on salesmen")
    'The effect, on salesmen'
    """
    rest = title.removeprefix(lead)
    if rest == title or not rest.startswith((":", ",")) or not rest.strip(":, "):
        return title
    rest = rest.lstrip(":, ")
    return rest[0].upper() + rest[1:]


def _one_answer(lead: Result, others: Sequence[Result], title: str | None) -> Result:
    """Return the lead with the others as its sections, one ledger and one way to reproduce it."""
    short = [one.model_copy(update={"title": short_title(lead.title, one.title)}) for one in others]
    short = list(_told_apart(short))
    beside = [one for one in short if one.kind == SIDE_BY_SIDE]
    asked = sorted(
        (one for one in short if one.kind != SIDE_BY_SIDE), key=lambda one: ORDER.index(one.kind)
    )
    mine = {(row.label, row.estimator) for row in lead.rows}
    more = [row for one in beside for row in one.rows if (row.label, row.estimator) not in mine]
    headed = lead.model_copy(update={"title": LEADS[lead.kind]})
    settings: dict[str, Any] = dict(lead.provenance.config)
    for one in short:
        extra = {
            name: value
            for name, value in one.provenance.config.items()
            if name not in lead.provenance.config or lead.provenance.config[name] != value
        }
        settings |= {one.title: extra} if extra else {}
    bare = {"assumptions": (), "graph_dot": "", "adjustment": (), "provenance": Provenance()}
    return lead.model_copy(
        update={
            "title": title or lead.title,
            "rows": (*lead.rows, *more),
            "notes": (*lead.notes, *(one.answer for one in beside)),
            "assumptions": shared_ledger(headed, asked),
            "provenance": lead.provenance.model_copy(update={"config": settings}),
            "sections": tuple(one.model_copy(update=bare) for one in asked),
        }
    )


def _told_apart(sections: Sequence[Result]) -> tuple[Result, ...]:
    """Return the sections with titles of their own: what they were asked with tells them apart."""
    out: list[Result] = []
    for place, one in enumerate(sections):
        same = [i for i, other in enumerate(sections) if other.title == one.title]
        configs = [sections[i].provenance.config for i in same]
        differ = [
            f"{name} {value}"
            for name, value in one.provenance.config.items()
            if any(config.get(name) != value for config in configs)
        ]
        tail = ", ".join(differ[:2]) or str(same.index(place) + 1)
        title = f"{one.title} ({tail})" if len(same) > 1 else one.title
        out.append(one.model_copy(update={"title": title}))
    return tuple(out)
