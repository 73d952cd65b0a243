"""How far lists depart from each user's own profile in popularity: UPD."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from causalrec.audits._attributes import Attribute
from causalrec.audits._divergence import jensen_shannon
from causalrec.audits._gaps import Found, Measure, add_differences, add_values, clustered
from causalrec.audits._lists import Lists
from causalrec.audits._popularity import EVERYBODY, Popularity
from causalrec.inference import Estimate
from causalrec.results import Row, rows_from_estimate
from causalrec.scores import Score

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

FloatArray = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
SHARE_OF_ENDS = 0.2
N_RANDOM = 20
METRIC = "popularity deviation (UPD"
WORDS = (
    "The popularity deviation of a user (UPD; Abdollahpouri et al. 2021) is the divergence of"
    " Jensen and Shannon, in bits, of the parts of the list from those of the profile: head (the"
    " most popular items with a fifth of all profile cells), tail (the least popular with a fifth),"
    " and what is between. A short list departs from a profile by chance alone: the reference draws"
    " it from the user's own parts."
)


def add_deviation(
    found: Found,
    lists: Lists,
    popularity: Popularity,
    log: InteractionLog,
    attributes: Sequence[Attribute],
    *,
    level: float,
    random_state: int | None,
) -> str:
    """Add the mean deviation of everybody and of each group, and its gaps; return what it is.

    Notes
    -----
    A user's divergence is a number of that user: intervals are clustered by user, for new users of
    this catalogue and its popularity.
    """
    profile, listed = _parts(lists, popularity, log)
    users = np.flatnonzero((profile.sum(axis=1) > 0) & (listed.sum(axis=1) > 0))
    if not len(users):
        return f"{WORDS} No user has both a list and a profile."
    own = profile[users] / profile[users].sum(axis=1, keepdims=True)
    shown = listed[users] / listed[users].sum(axis=1, keepdims=True)
    value = jensen_shannon(shown, own)
    chance = _by_chance(own, listed[users].sum(axis=1), np.random.default_rng(random_state))
    _add_everybody(found, lists, users, value, float(chance.mean()), level)
    for attribute in attributes:
        by_group = Estimate.from_score(
            Score(value),
            {"user": users},
            labels=list(attribute.levels),
            groups=attribute.codes[users],
            n_groups=len(attribute.levels),
            level=level,
        )
        measure = Measure(
            attribute=attribute,
            estimate=by_group,
            labels={name: name for name in attribute.levels},
            metric=f"{METRIC}{lists.at_k})",
            estimator="lists" if lists.k is not None else "log",
            population=f"{lists.words}, against the users' profiles",
        )
        add_values(found, measure, level, at_least=0.0)
        add_differences(found, measure, level)
    return WORDS


def _add_everybody(
    found: Found, lists: Lists, users: Codes, value: FloatArray, chance: float, level: float
) -> None:
    metric = f"{METRIC}{lists.at_k})"
    everybody = Estimate.from_score(
        Score(value), {"user": users}, labels=[f"{metric}: {EVERYBODY}"], level=level
    )
    rows = rows_from_estimate(
        everybody,
        metric=metric,
        population=f"{lists.words}, against the users' profiles",
        estimator="lists" if lists.k is not None else "log",
        unit="users",
        level=level,
        null=None,
        n={everybody.labels[0]: len(users)},
        interval_method=f"t, {clustered(everybody)}",
    )
    found.add([*rows, _reference(rows[0], chance)], judged=False)


def _parts(
    lists: Lists, popularity: Popularity, log: InteractionLog
) -> tuple[FloatArray, FloatArray]:
    """Return the cells of each user's profile and list in head, middle and tail, (n_users, 3)."""
    count = popularity.of_item
    order = np.argsort(-count, kind="stable")
    below = (np.cumsum(count[order]) - count[order]) / max(count.sum(), 1.0)
    part = np.empty(len(count), dtype=np.int64)
    part[order] = np.where(below < SHARE_OF_ENDS, 0, np.where(below < 1.0 - SHARE_OF_ENDS, 1, 2))
    found = []
    for users, items in ((popularity.users, popularity.items), (lists.users, lists.items)):
        summed = np.bincount(users * 3 + part[items], minlength=3 * log.n_users)
        found.append(summed.reshape(-1, 3).astype(np.float64))
    return found[0], found[1]


def _by_chance(own: FloatArray, lengths: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return the mean divergence of lists drawn from the users' own parts, (users,)."""
    total = np.zeros(len(own))
    for _ in range(N_RANDOM):
        drawn = rng.multinomial(lengths.astype(np.int64), own).astype(np.float64)
        total += jensen_shannon(drawn / drawn.sum(axis=1, keepdims=True), own)
    return np.asarray(total / N_RANDOM)


def _reference(row: Row, value: float) -> Row:
    return Row(
        label=f"{row.label} (lists drawn from the profiles)",
        metric=row.metric,
        value=value,
        n=row.n,
        unit="users",
        population="lists of the same lengths drawn from each user's own parts",
        estimator="drawn from profiles",
        note=f"mean of {N_RANDOM} draws: what the length of the lists alone gives; not an estimate,"
        " hence no interval",
    )
