"""One ledger of assumptions over several results: each once, with the questions it belongs to."""

from __future__ import annotations

from collections.abc import Sequence

from causalrec.results._model import Assumption, Result

_ORDER = {"violated": 0, "tested": 1, "untestable": 2, "by design": 3}


def ledger(sections: Sequence[Result]) -> tuple[Assumption, ...]:
    """Return every assumption of some results once, and which of them rest on it.

    Parameters
    ----------
    sections : sequence of Result
        Those inside them are read too.

    Returns
    -------
    tuple of Assumption
        The violated ones first, then the tested, the untestable and those by design. `questions`
        are the titles of the sections; what two sections say in the same words is one assumption,
        as whichever says more of it has it.

    Examples
    --------
    >>> alone = Assumption(name="overlap", statement="All had a chance.", status="untestable")
    >>> tested = alone.model_copy(update={"status": "tested", "evidence": "None had none."})
    >>> one, = ledger([Result(kind="mean", title="A", assumptions=(alone,)),
    ...                Result(kind="effect", title="B", assumptions=(tested,))])
    >>> one.status, one.questions
    ('tested', ('A', 'B'))
    """
    found: dict[tuple[str, str], Assumption] = {}
    for section in sections:
        for one in (*section.assumptions, *ledger(section.sections)):
            _add(found, one.name, one.statement, one, section.title)
    return tuple(sorted(found.values(), key=lambda a: (_ORDER[a.status], a.name, a.statement)))


def shared_ledger(lead: Result, others: Sequence[Result]) -> tuple[Assumption, ...]:
    """Return the ledger of a result and of what was asked about it, in the lead's order.

    They speak of the same rows, so a name stands for one assumption: the lead's statement of it is
    kept, unless another has tested it.
    """
    found: dict[tuple[str, str], Assumption] = {}
    for section in (lead, *others):
        for one in section.assumptions:
            _add(found, one.name, "", one, section.title)
    return tuple(found.values())


def _add(
    found: dict[tuple[str, str], Assumption], name: str, words: str, one: Assumption, title: str
) -> None:
    known = found.get((name, words))
    stronger = known is None or _says_more(one) > _says_more(known)
    kept = one if known is None or stronger else known
    questions = () if known is None else known.questions
    found[name, words] = kept.model_copy(
        update={"questions": tuple(dict.fromkeys((*questions, title)))}
    )


def _says_more(one: Assumption) -> int:
    return {"violated": 2, "tested": 1}.get(one.status, 0)
