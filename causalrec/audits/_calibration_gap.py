"""Miscalibration by user group: how far lists are from what each user's history asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from causalrec.audits._gaps import Found, Measure, add_differences, add_values
from causalrec.audits._lists import Lists, cells_of
from causalrec.evaluation.metrics.miscalibration import miscalibration
from causalrec.inference import Estimate
from causalrec.results import Table
from causalrec.scores import Score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from causalrec.audits._attributes import Attribute
    from causalrec.audits._options import AuditQuestion

FloatArray = npt.NDArray[np.float64]
N_RANDOM = 20
COLUMNS = (
    "attribute",
    "group",
    "label",
    "category",
    "history",
    "miscalibration",
    "of lists drawn from the history",
)


def add_calibration_gaps(
    found: Found,
    lists: Lists,
    question: AuditQuestion,
    users: Sequence[Attribute],
    items: Sequence[Attribute],
) -> tuple[Table, ...]:
    """Add miscalibration by user group, and its gaps, for each attribute of items.

    Parameters
    ----------
    found : Found
    lists : Lists
    question : AuditQuestion
    users, items : sequence of Attribute
        Groups of users; categories of items.

    Notes
    -----
    Steck (2018): sum_c p log(p / q~) of the shares p of the history and q of the list. The history
    holds what was shown, so that it is read twice: every cell alike (naive), and by 1/p (ips), what
    the user would like instead of what was put before them. A short list misses p by chance: the
    reference draws as many items from the user's own p.
    """
    lines: list[tuple[Any, ...]] = []
    histories = _histories(question)
    for category in items:
        listed = _shares(lists.users, lists.items, lists.weight, category, question)
        places = np.bincount(lists.users, minlength=question.log.n_users)
        for name, (owners, held, weight) in histories.items():
            wanted = _shares(owners, held, weight, category, question)
            value = miscalibration(wanted, listed)
            who = np.flatnonzero(np.isfinite(value))
            if not len(who):
                continue
            chance = _by_chance(wanted[who], places[who], question.seed)
            for attribute in users:
                _add(found, value[who], who, attribute, category, name, question, lists)
                for code, level in enumerate(attribute.levels):
                    inside = attribute.codes[who] == code
                    lines.append((
                        attribute.column, level, f"{attribute.column}={level} ({name})",
                        category.column, name, _mean(value[who][inside]), _mean(chance[inside]),
                    ))  # fmt: skip
    return (_table(lines),) if lines else ()


def _histories(
    question: AuditQuestion,
) -> dict[str, tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], FloatArray]]:
    """Return the cells of the history with weights, naive and by inverse propensity."""
    history, log = question.history, question.log
    owners, held = cells_of(log, history, positive=True)
    found = {"naive": (owners, held, np.ones(len(owners)))}
    if question.propensity is not None and log.kind == "ratings":
        from causalrec.nuisances import cell_propensity, resolve_propensity

        given = resolve_propensity(question.propensity, log, question.graph)
        p = cell_propensity(given, log, owners.astype(np.int32), held.astype(np.int32))
        found["ips"] = (owners, held, 1.0 / np.maximum(p, question.floor))
    return found


def _shares(
    owners: npt.NDArray[np.int64],
    held: npt.NDArray[np.int64],
    weight: FloatArray,
    category: Attribute,
    question: AuditQuestion,
) -> FloatArray:
    """Return the weighted share of each category for each user, NaN for users without any."""
    q = len(category.levels)
    code = category.codes[held]
    kept = code >= 0
    flat = owners[kept] * q + code[kept]
    size = question.log.n_users * q
    sums = np.bincount(flat, weights=weight[kept], minlength=size).reshape(-1, q)
    total = sums.sum(axis=1, keepdims=True)
    return np.where(total > 0, sums / np.maximum(total, 1e-300), np.nan)


def _by_chance(wanted: FloatArray, places: npt.NDArray[np.int64], seed: int | None) -> FloatArray:
    rng = np.random.default_rng(seed)
    total = np.zeros(len(wanted))
    for _ in range(N_RANDOM):
        drawn = rng.multinomial(places, wanted)
        total += miscalibration(wanted, drawn / np.maximum(places, 1)[:, None])
    return total / N_RANDOM


def _add(
    found: Found,
    value: FloatArray,
    who: npt.NDArray[np.int64],
    attribute: Attribute,
    category: Attribute,
    history: str,
    question: AuditQuestion,
    lists: Lists,
) -> None:
    estimate = Estimate.from_score(
        Score(value),
        {"user": who},
        labels=list(attribute.levels),
        groups=attribute.codes[who],
        n_groups=len(attribute.levels),
        level=question.level,
    )
    measure = Measure(
        attribute=attribute,
        estimate=estimate,
        labels={level: level for level in attribute.levels},
        metric=f"miscalibration of {category.column}{lists.at_k}",
        estimator=history,
        population=f"{lists.words}, against the users' histories",
        headline=history == "naive",
        higher_is_better=False,
    )
    add_values(found, measure, question.level, at_least=0.0)
    add_differences(found, measure, question.level)


def _mean(values: FloatArray) -> float | None:
    return float(values.mean()) if len(values) else None


def _table(lines: list[tuple[Any, ...]]) -> Table:
    return Table(
        name="miscalibration",
        title="How far are lists from what each user's history asks for? (Steck 2018)",
        columns=COLUMNS,
        rows=tuple(lines),
        caption="Kullback-Leibler divergence in nats, mean over users. A history holds what was"
        " shown: by 1/p it stands for what the user would have liked. A list of a few items cannot"
        " meet many shares: the reference draws lists of the same length from the history.",
        figure="bars",
        x="label",
        y=("miscalibration", "of lists drawn from the history"),
    )
