"""Expected exposure: how far lists are from sharing the places among equally relevant items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import sparse

from causalrec.audits._attributes import Attribute
from causalrec.audits._browsing import browsing_weight
from causalrec.audits._cascade import Cascade
from causalrec.audits._gaps import Found
from causalrec.audits._group_means import headline_of
from causalrec.audits._lists import Lists
from causalrec.audits._merit import NO_OUTCOMES, attention_of, relevance_refused
from causalrec.audits._options import means_under_exposure
from causalrec.evaluation import UserExposure, expected_exposure
from causalrec.inference import Estimate
from causalrec.results import Row, rows_from_estimate
from causalrec.scores import Score

if TYPE_CHECKING:
    from causalrec.audits._options import AuditQuestion
    from causalrec.interactions import InteractionLog

FloatArray = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
WORDS = (
    "Expected exposure (Diaz et al. 2020), a mean over users: disparity EED is the sum of squared"
    " attention, relevance EER twice the attention times what is due, loss EEL the squared distance"
    " from what is due were a user's relevant items to share the first places evenly. A user's one"
    " list is taken as the policy's only one; of several, disparity is that of pairs of unlike"
    " lists, so that a small number of them does not raise it."
)
OF_DR = (
    " By DR the count of relevant items is the outcome model's, corrected to second order: where"
    " users differ in it far beyond what the outcome model knows, the loss is off."
)
NO_SNIPS = (
    " By weights alone they are not estimated: how many items are relevant to a user enters by a"
    " curve, which noise would bias; DR adds the weighted residuals to an outcome model's count."
)


def add_expected(
    found: Found, lists: Lists, question: AuditQuestion, attributes: Sequence[Attribute]
) -> str:
    """Add EED, EER and EEL over items, and over the groups of each attribute; return what it is."""
    refused = relevance_refused(question)
    if refused:
        return refused.replace("Merit", "Expected exposure")
    if lists.k is None:
        return "Expected exposure is of lists for users: pass a model or a table of lists."
    if isinstance(question.browsing, Cascade):
        return (
            "Expected exposure shares places, whose attention a cascade leaves open: choose 'log'."
        )
    if not _relevance_is_binary(question):
        return "Expected exposure asks which outcomes are relevant: pass relevance_threshold=..."
    parts: list[tuple[str, Codes | None]] = [("items", None)]
    parts += [(one.column, _shown_codes(one)) for one in attributes if one.reference is not None]
    for name, codes in parts:
        _add_part(found, lists, question, name, codes)
    said = WORDS + (OF_DR if "dr" in question.estimators else "")
    return said + (NO_SNIPS if {"snips", "ips"} & set(question.estimators) else "")


def _relevance_is_binary(question: AuditQuestion) -> bool:
    outcome = question.log.observed_cells().outcome
    return question.relevance_threshold is not None or bool(np.isin(outcome, (0.0, 1.0)).all())


def _shown_codes(attribute: Attribute) -> Codes:
    """Return the group of each item among the shown ones; -1 for the others."""
    place = {attribute.levels.index(x): at for at, x in enumerate(attribute.shown)}
    found = np.array([place.get(code, -1) for code in range(len(attribute.levels))] + [-1])
    return np.asarray(found[attribute.codes], dtype=np.int64)


def _add_part(
    found: Found, lists: Lists, question: AuditQuestion, name: str, codes: Codes | None
) -> None:
    """Add the three measures over items, or over groups of them."""
    seen = _users_of(question, lists, codes)
    metrics = {
        "EED": f"disparity of expected exposure (EED{lists.at_k})",
        "EER": f"relevance of expected exposure (EER{lists.at_k})",
        "EEL": f"loss of expected exposure (EEL{lists.at_k})",
    }
    population = f"{lists.words}; {'items' if codes is None else f'groups by {name}'}"
    if not seen.listed or not len(seen.users):
        for metric in (metrics["EER"], metrics["EEL"]):
            row = Row(
                label=f"{metric}: {name}",
                metric=metric,
                population=population,
                estimator=headline_of(tuple(seen.rest)),
                unit="users",
                level=question.level,
                status="not_estimable",
                note=NO_OUTCOMES,
            )
            found.add([row], judged=False)
        return
    disparity = disparity_of(lists, question.log, codes)[seen.users]
    columns = {("EED", "lists"): disparity, ("EED even", "lists"): seen.even_disparity}
    for estimator, relevance in seen.relevance.items():
        columns["EER", estimator] = relevance
        columns["EEL", estimator] = disparity + seen.rest[estimator]
        columns["EEL even", estimator] = seen.even_disparity + seen.even_rest[estimator]
    head = headline_of(tuple(seen.rest))
    for (measure, estimator), values in columns.items():
        metric = metrics[measure.removesuffix(" even")]
        suffix = "" if estimator in {head, "lists"} else f" ({estimator})"
        even = measure.endswith(" even")
        label = f"{metric}: {name}{suffix}{' (even attention)' if even else ''}"
        estimate = Estimate.from_score(
            Score(values), {"user": seen.users}, labels=[label], level=question.level
        )
        rows = rows_from_estimate(
            estimate,
            metric=metric,
            population="the same attention for every item of a user" if even else population,
            estimator=estimator,
            unit="users",
            level=question.level,
            null=None,
            n={label: len(seen.users)},
            interval_method="t, clustered by user: new users of this catalogue",
            note="what uniform random lists give in expectation" if even else "",
        )
        found.add(rows, judged=False)


def _users_of(question: AuditQuestion, lists: Lists, codes: Codes | None) -> UserExposure:
    propensity, graph, _ = means_under_exposure(question)
    longest = int(lists.rank.max())
    return expected_exposure(
        question.log,
        attention_of(lists, question.log),
        browsing_weight(np.arange(1, longest + 1), question.browsing),
        part_of_item=codes,
        estimators=tuple(e for e in question.estimators if e in {"naive", "dr", "plain"})
        or ("naive",),
        propensity=propensity,
        graph=graph,
        **question.estimation,
    )


def disparity_of(lists: Lists, log: InteractionLog, codes: Codes | None) -> FloatArray:
    """Return the sum of squared expected attention of each user, (n_users,).

    Of several lists: over pairs of different ones, L (|mean|^2 - sum of |own part|^2) / (L - 1).
    """
    part = np.arange(log.n_items) if codes is None else codes
    kept = part[lists.items] >= 0
    users, parts = lists.users[kept], part[lists.items[kept]]
    weight, (_, each) = lists.weight[kept], np.unique(lists.lists[kept], return_inverse=True)

    def squares(rows: Codes, n_rows: int) -> FloatArray:
        summed = sparse.coo_matrix((weight, (rows, parts)), shape=(n_rows, int(part.max()) + 1))
        dense = summed.tocsr()
        return np.asarray(dense.multiply(dense).sum(axis=1)).ravel()

    mean = squares(users, log.n_users)
    owner = np.zeros(int(each.max(initial=0)) + 1, dtype=np.int64)
    owner[each] = users
    own = np.bincount(owner, weights=squares(each, len(owner)), minlength=log.n_users)
    repeats = np.ones(log.n_users)
    repeats[: len(lists.repeats)] = lists.repeats
    several = repeats > 1
    pairs = repeats * (mean - own) / np.where(several, repeats - 1, 1.0)
    return np.asarray(np.where(several, pairs, mean))
