"""Metrics of whole lists of gains, which no weight repairs (NDCG, MAP, hits and the like).

On randomised slices they are plain; on a biased log they come from the outcome model or are
declined.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from causalrec.evaluation._cells import CellSource, Coverage
from causalrec.evaluation._engine import key
from causalrec.evaluation._law import Gain, OutcomeLaw
from causalrec.evaluation._lists import lists_of_cells
from causalrec.evaluation._recommenders import Codes, Contender, FloatArray
from causalrec.evaluation._terms import ListTerm
from causalrec.evaluation.metrics import Metric
from causalrec.inference import Estimate
from causalrec.scores import Score

N_DRAWS = 20
"""Of the outcomes of every cell, by the outcome model; users average their noise out further."""
MOST_LEVELS = 20


def declined(metric: Metric) -> str:
    """Return why a biased log has no such number, and what to do instead."""
    return (
        f"declined: {metric.definition.why_not_weighted}, so no weight makes it unbiased on a"
        " biased log. Evaluate on a randomised slice (estimator='plain', where the log has one),"
        " ask for dcg, recall or precision, or pass outcome_model=... to read it from the outcome"
        " model"
    )


@dataclass(frozen=True, eq=False)
class ListValues:
    """One value a user, by metric and model.

    Attributes
    ----------
    estimate : Estimate
        One label a term, clustered by user.
    suffix : str
        What the name says: " among 16 of 300".
    n_users, n_without : int
        Users that count, and users left out because they have no positive gain or no cell.
    """

    estimate: Estimate
    suffix: str
    n_users: int
    n_without: int


def terms_of(metrics: Sequence[Metric], models: Sequence[str], gain: Gain) -> tuple[ListTerm, ...]:
    """Return one term a metric and model."""
    return tuple(ListTerm(metric, model, gain) for metric in metrics for model in models)


def on_slice(source: CellSource, terms: Sequence[ListTerm], gain: Gain, level: float) -> ListValues:
    """Measure lists of the recorded cells of each user of a randomised slice."""
    log = source.log
    cells = log.observed_cells()
    gains = np.maximum(gain.of(cells.outcome), 0.0)
    predictions = {c.name: c.predict(log, cells.users, cells.items) for c in source.contenders}
    values = _by_user(
        terms, source.contenders, cells.users, cells.items, gains, predictions, log.n_users
    )
    counts = np.bincount(cells.users)
    counts = counts[counts > 0]
    low, high = int(counts.min()), int(counts.max())
    among = f"{low}" if low == high else f"{low}-{high}"
    return _estimated(values, terms, "plain", level, f" among {among} of {log.n_items}")


def from_outcome_model(
    source: CellSource, terms: Sequence[ListTerm], law: OutcomeLaw, gain: Gain, level: float
) -> ListValues:
    """Average metrics over draws of the outcomes of all members, as the outcome model sees them.

    A ratio of gains, such as NDCG, is not that of expected gains. Cells are drawn independently
    given the model; a draw in which a user has no positive gain is left out, as in `on_slice`.
    """
    shape = source.log.n_users, len(terms)
    total, count = np.zeros(shape), np.zeros(shape)
    levels = _levels(source)
    rng = np.random.default_rng(0)
    for block in source.blocks(Coverage()):
        kept = block.take(block.member)
        assert kept.mean is not None
        for outcome in _draws(law, kept.mean, levels, rng):
            found = _by_user(
                terms,
                source.contenders,
                kept.users,
                kept.items,
                np.maximum(gain.of(outcome), 0.0),
                kept.predictions,
                source.log.n_users,
            )
            there = np.isfinite(found)
            total += np.where(there, found, 0.0)
            count += there
    counted = (count > 0).all(axis=1)
    score = Score(total[counted] / N_DRAWS, count[counted] / N_DRAWS)
    estimate = Estimate.from_score(
        score,
        clusters={"user": np.flatnonzero(counted)},
        labels=[key(term, "regression") for term in terms],
        sampled=("user",),
        level=level,
    )
    without = int((~counted).sum())
    return ListValues(estimate, " of the outcome model", int(counted.sum()), without)


def _levels(source: CellSource) -> FloatArray:
    """Return the outcomes to draw among: those recorded, or as many quantiles of them."""
    found = np.unique(source.log.observed_cells().outcome)
    if len(found) <= MOST_LEVELS:
        return np.asarray(found, dtype=np.float64)
    return np.unique(np.quantile(found, np.linspace(0.0, 1.0, MOST_LEVELS)))


def _draws(
    law: OutcomeLaw, mean: FloatArray, levels: FloatArray, rng: np.random.Generator
) -> Iterator[FloatArray]:
    """Yield outcomes of each cell: a level is passed with the chance that the law gives it."""
    passing = [law.gain(mean, Gain(float(level))) for level in levels[1:]]
    for _ in range(N_DRAWS):
        uniform = rng.random(len(mean))
        outcome = np.full(len(mean), levels[0])
        for level, chance in zip(levels[1:], passing, strict=True):
            outcome[uniform < chance] = level
        yield outcome


def _by_user(
    terms: Sequence[ListTerm],
    contenders: Sequence[Contender],
    users: Codes,
    items: Codes,
    gains: FloatArray,
    predictions: Mapping[str, FloatArray],
    n_users: int,
) -> FloatArray:
    """Return the value of each user and term, NaN for users without a positive gain or any cell."""
    ideal = lists_of_cells(users, items, gains)
    total = np.bincount(users, weights=gains, minlength=n_users).astype(np.float64)
    places = {c.name: c.places(users, items, predictions[c.name]) for c in contenders}
    values = np.full((n_users, len(terms)), np.nan)
    for at, term in enumerate(terms):
        k = term.definition.cutoff or 0
        whole = term.definition.definition.whole_list
        assert whole is not None
        listed = _table(users, places[term.model], gains, n_users, k)
        values[:, at] = whole(listed, _table(users, ideal, gains, n_users, k), total, k)
    return values


def _table(users: Codes, place: np.ndarray, gains: FloatArray, n_users: int, k: int) -> FloatArray:
    """Return the gains at the first k places of every user, (n_users, k)."""
    listed = (place >= 1) & (place <= k)
    table = np.zeros((n_users, k))
    table[users[listed], place[listed] - 1] = gains[listed]
    return table


def _estimated(
    values: FloatArray, terms: Sequence[ListTerm], estimator: str, level: float, suffix: str
) -> ListValues:
    counted = np.isfinite(values).all(axis=1)
    users = np.flatnonzero(counted)
    estimate = Estimate.from_score(
        Score(values[counted]),
        clusters={"user": users},
        labels=[key(term, estimator) for term in terms],
        sampled=("user",),
        level=level,
    )
    return ListValues(estimate, suffix, len(users), int((~counted).sum()))
