"""Who gets a place: any item of a group, and a relevant one; order among relevant items.

Ranking-based statistical parity (RSP) and equal opportunity (REO), Zhu, Wang & Caverlee (2020):
the deviation over the mean of the groups' chances of a place. Popularity-opportunity (PRI), Zhu,
He, Zhao & Caverlee (2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import stats

from causalrec.audits._attributes import Attribute
from causalrec.audits._distance import distance_row
from causalrec.audits._gaps import Found, Measure, add_ratios, add_values
from causalrec.audits._group_means import dimensions_of, headline_of
from causalrec.audits._lists import Lists, cells_of
from causalrec.audits._merit import NO_OUTCOMES
from causalrec.audits._popularity import Popularity
from causalrec.evaluation import Group, MeritAnswers, contenders
from causalrec.inference import CellTotals, Estimate
from causalrec.results import Row, rows_from_estimate
from causalrec.scores import Score

if TYPE_CHECKING:
    from causalrec.audits._options import AuditQuestion

FloatArray = npt.NDArray[np.float64]
CELLS_A_BLOCK = 1 << 20
PRI = "popularity of the better placed (PRI)"
DECLINED = (
    "a rank correlation is no sum over cells, so weights do not make it unbiased; on a randomised"
    " slice it is plain"
)


def head_and_tail(popularity: Popularity) -> Attribute:
    """Return the popular and the other items as an attribute."""
    n_tail = int(popularity.tail.sum())
    n_items = len(popularity.tail)
    return Attribute(
        column="popularity",
        entity="item",
        by_provider=False,
        levels=("head", "tail"),
        codes=popularity.tail.astype(np.int64),
        counts={"head": n_items - n_tail, "tail": n_tail},
        n_subjects=n_items,
        hidden=frozenset(),
        meaning={"head": {}, "tail": {}},  # parts of the catalogue, nobody's attribute
    )


def deviation_over_mean(points: FloatArray) -> FloatArray:
    """Return std / mean (of the population, as published) of rates, from log ratios to the first.

    Examples
    --------
    >>> deviation_over_mean(np.array([[np.log(3.0)]]))
    array([0.5])
    """
    rates = np.exp(np.column_stack([np.zeros(len(points)), points]))
    return np.asarray(rates.std(axis=1) / rates.mean(axis=1))


def add_places(
    found: Found, lists: Lists, question: AuditQuestion, attributes: Sequence[Attribute]
) -> None:
    """Add each group's chance of a place in a list, its ratios, and their deviation (RSP)."""
    excluded = question.is_model and question.exclude_seen
    for attribute in attributes:
        estimate = chance_of_a_place(lists, question, attribute, excluded)
        measure = Measure(
            attribute=attribute,
            estimate=estimate,
            labels={x: x for x in attribute.levels},
            metric=f"chance of a place{lists.at_k}",
            estimator="lists" if lists.k is not None else "log",
            population=f"{'unseen ' if excluded else ''}eligible items of users with a list",
        )
        add_values(found, measure, question.level, at_least=0.0)
        add_ratios(found, measure, question.level)
        _add_deviation(found, measure, f"parity of places (RSP{lists.at_k})", question.level)


def chance_of_a_place(
    lists: Lists, question: AuditQuestion, attribute: Attribute, excluded: bool
) -> Estimate:
    """Return places over cells that could have had one, one label a level."""
    log = question.log
    n_levels = len(attribute.levels)
    totals = CellTotals(
        log.n_users,
        log.n_items,
        2 * n_levels,
        item_clusters=log.provider if attribute.by_provider else None,
        item_dimension="provider" if attribute.by_provider else "item",
    )
    has_list = np.bincount(lists.users, minlength=log.n_users) > 0
    seen = np.zeros(0, dtype=np.int64)
    if excluded:
        users, items = cells_of(log, question.history)
        seen = np.unique(users * np.int64(log.n_items) + items)
    inside = (attribute.codes[:, None] == np.arange(n_levels)).astype(np.float64)
    placed = np.zeros((len(lists.items), 2 * n_levels))
    placed[:, :n_levels] = inside[lists.items] / lists.repeats[lists.users][:, None]
    totals.add_rows(lists.users, lists.items, placed)
    could = np.column_stack([np.zeros_like(inside), inside])
    height = max(1, CELLS_A_BLOCK // (log.n_items * 2 * n_levels))
    for start in range(0, log.n_users, height):
        block = slice(start, min(start + height, log.n_users))
        allowed = log.eligible_block(block)
        shape = (block.stop - block.start, log.n_items)
        allowed = np.ones(shape, dtype=bool) if allowed is None else allowed.copy()
        first, last = np.searchsorted(seen, [block.start * log.n_items, block.stop * log.n_items])
        allowed.ravel()[seen[first:last] - block.start * log.n_items] = False
        allowed &= has_list[block][:, None]
        totals.add(block, allowed[:, :, None] * could[None])
    return totals.to_estimate(
        list(range(n_levels)),
        [n_levels + i for i in range(n_levels)],
        labels=list(attribute.levels),
        sampled=dimensions_of(attribute, question.sampled),
        level=question.level,
    )


def _add_deviation(found: Found, measure: Measure, metric: str, level: float) -> None:
    """Add the deviation over the mean of the shown groups' rates."""
    attribute = measure.attribute
    if attribute.reference is None:
        return
    base = measure.labels[attribute.reference]
    ratios = Estimate.stack(
        [measure.estimate.ratio(measure.labels[x], base, x) for x in attribute.compared]
    )
    row = distance_row(
        ratios,
        deviation_over_mean,
        label=f"{metric}: {attribute.column}{measure.suffix}",
        metric=metric,
        population=f"{measure.population}, groups shown",
        estimator=measure.estimator,
        unit=attribute.unit,
        n=min(attribute.counts[x] for x in attribute.shown),
        level=level,
        derived_from=[measure.value_label(x) for x in attribute.shown],
        note="standard deviation of the groups' chances over their mean",
    )
    found.add([row], judged=False)


def add_relevant_places(
    found: Found,
    lists: Lists,
    attributes: Sequence[Attribute],
    answers: MeritAnswers,
    level: float,
) -> None:
    """Add the share of each group's relevance that the lists hold, and its deviation (REO)."""
    by_column = {one.column: one for one in attributes}
    metric = f"share of relevance listed{lists.at_k}"
    for estimates in answers.found:
        attribute = by_column[estimates.column]
        head = headline_of(estimates.estimators)
        if not estimates.listed:
            row = Row(
                label=f"equal opportunity (REO{lists.at_k}): {attribute.column}",
                metric=f"equal opportunity (REO{lists.at_k})",
                population=estimates.populations[head],
                estimator=head,
                unit=attribute.unit,
                level=level,
                status="not_estimable",
                note=NO_OUTCOMES,
            )
            found.add([row], judged=False)
            continue
        measures = [
            Measure(
                attribute=attribute,
                estimate=estimates.estimate,
                labels={
                    x: estimates.label("listed", Group(f"{attribute.column}={x}"), estimator)
                    for x in attribute.levels
                },
                metric=metric,
                estimator=estimator,
                population=estimates.populations[estimator],
                headline=estimator == head,
            )
            for estimator in estimates.estimators
        ]
        for measure in measures:
            add_values(found, measure, level, at_least=0.0)
        for measure in measures:
            add_ratios(found, measure, level)
        for measure in measures:
            _add_deviation(found, measure, f"equal opportunity (REO{lists.at_k})", level)


def add_order_by_popularity(found: Found, question: AuditQuestion, popularity: Popularity) -> str:
    """Add the rank correlation of popularity and place among recorded relevant items (PRI).

    Only the order among a user's relevant items counts, so it is taken from the model's scores and
    does not stop at the end of a list. Returns a note, or "".
    """
    if not question.is_model:
        return "PRI asks for the order of all of a user's relevant items: pass the model."
    value = _orders(question, popularity)
    if isinstance(value, str):
        return value
    users, order = value
    estimate = Estimate.from_score(
        Score(order), {"user": users}, labels=[f"{PRI} (naive)"], level=question.level
    )
    randomized = question.log.randomized is not None and bool(question.log.randomized.all())
    name = "plain" if randomized else "naive"
    label = PRI if randomized else f"{PRI} (naive)"
    rows = rows_from_estimate(
        estimate.relabel([label]),
        metric=PRI,
        population="recorded relevant items of users with two or more",
        estimator=name,
        unit="users",
        level=question.level,
        null=0.0,
        n={label: len(users)},
        interval_method="t, clustered by user",
        note="0 where popularity tells nothing of the place of a relevant item",
    )
    declined = Row(
        label=PRI,
        metric=PRI,
        population="relevant items of every user",
        estimator=headline_of(question.estimators),
        unit="users",
        level=question.level,
        status="not_estimable",
        note=DECLINED,
    )
    found.add([*rows] if randomized else [declined, *rows], judged=False)
    return ""


def _orders(
    question: AuditQuestion, popularity: Popularity
) -> tuple[npt.NDArray[np.int64], FloatArray] | str:
    """Return users and the correlation of popularity with the model's order of their items."""
    log, threshold = question.log, question.relevance_threshold
    cells = log.observed_cells()
    if threshold is None and not np.isin(cells.outcome, (0.0, 1.0)).all():
        return "PRI asks which outcomes are relevant: pass relevance_threshold=..."
    relevant = cells.outcome >= (1.0 if threshold is None else threshold)
    users, items = cells.users[relevant], cells.items[relevant]
    (contender,) = contenders(question.given)
    score = contender.predict(log, users, items)
    phi = popularity.of_item[items]
    order = np.argsort(users, kind="stable")
    ends = np.flatnonzero(np.r_[np.diff(users[order]) != 0, True]) + 1
    found_users, found = [], []
    for start, stop in zip(np.r_[0, ends[:-1]].tolist(), ends.tolist(), strict=True):
        own = order[start:stop]
        if len(own) < 2 or np.ptp(phi[own]) == 0.0 or np.ptp(score[own]) == 0.0:
            continue
        # -Spearman(popularity, rank) is Spearman(popularity, score): a high score ranks low.
        ranks = stats.rankdata(phi[own]), stats.rankdata(score[own])
        found.append(float(np.corrcoef(*ranks)[0, 1]))
        found_users.append(int(users[own[0]]))
    if not found:
        return "PRI is not estimable: no user has two recorded relevant items of unlike popularity."
    return np.array(found_users, dtype=np.int64), np.array(found)
