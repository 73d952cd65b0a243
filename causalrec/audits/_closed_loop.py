"""What a loop of training on one's own clicks could make of exposure: a simulation, no estimate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from causalrec.audits._attributes import Attribute, read_attribute
from causalrec.audits._closed_loop_rows import (
    answer_of_loop,
    loop_assumptions,
    trajectory_rows,
    trajectory_tables,
)
from causalrec.audits._feedback_loop import (
    Loop,
    Retrained,
    attention_of,
    history_of,
    on_grid,
    policy_of,
)
from causalrec.audits._popularity import popularity_of
from causalrec.errors import DataError, StudyError
from causalrec.results import DEFAULT_MIN_CELL, Result, provenance
from causalrec.threads import one_thread

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

__all__ = ["Retrained", "simulate_feedback"]

FloatArray = npt.NDArray[np.float64]
MEASURES = ("gini of exposure", "coverage", "popularity lift", "clicks a user")
TAIL_SHARE = 0.8
USER: Literal["user"] = "user"
ITEM: Literal["item"] = "item"


@one_thread
def simulate_feedback(
    log: InteractionLog,
    policies: Mapping[str, Any],
    click_model: Any,
    *,
    rounds: int = 10,
    k: int = 10,
    n_simulations: int = 20,
    user_groups: str | Sequence[str] = (),
    item_groups: str | Sequence[str] = (),
    browsing: str | float = "log",
    repeat: bool = False,
    relevance_threshold: float | None = None,
    min_cell: int = DEFAULT_MIN_CELL,
    level: float = 0.95,
    random_state: int = 0,
) -> Result:
    """Simulate rounds of train, recommend, click, from a fitted click model.

    Parameters
    ----------
    log : InteractionLog
        Where the loop starts: what was shown and clicked, the users and the items.
    policies : mapping of name to policy
        "random"; "popular" (most clicks so far); a fitted model, whose order stays; or
        `Retrained(model)`, trained anew in every round on the clicks so far. The others are
        compared with the first.
    click_model : array (n_users, n_items), Recommender, callable, or a list of them
        Chance of a click once examined, in [0, 1]: `world.potential.relevance`, a model of a 0/1
        outcome. Of several (bootstrap fits, say) each simulated future draws one, so that the
        bands hold the click model's error too.
    rounds, k, n_simulations : int
        Rounds of a future, places of a list, futures.
    user_groups, item_groups : str or sequence of str
        Gaps in clicks a user to the largest group; shares of exposure.
    browsing : {"log", "equal"} or float
        Chance that a place is examined.
    repeat : bool
        Whether an item may be shown again to who has clicked it.
    relevance_threshold : float, optional
        Of ratings: from which on a rating in the log counts as a click. Default: every rating.
    min_cell : int
        Smaller groups are left out, and said to be.
    level : float
        Share of the futures that a band holds.
    random_state : int
        Same seed, same futures; policies share their luck, so their differences are paired.

    Returns
    -------
    Result
        Of kind "simulation": trajectories by round with bands, the change from the first round
        to the last, and the differences from the first policy.

    Raises
    ------
    StudyError
        For chances outside [0, 1], an unknown policy, or numbers below 1.

    Notes
    -----
    Feedback loops amplify popularity (Mansoury et al. 2020) and make users alike (Chaney et al.
    2018). Bands hold a share of the simulated futures. They are Monte Carlo bands *under the
    click model*: not intervals of an estimate, whose error they do not hold, nor of a change of
    taste, which is not simulated.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> import causalrec as cr
    >>> events = pd.DataFrame({"user_id": range(60), "item_id": [i % 30 for i in range(60)]})
    >>> log = cr.InteractionLog(events, kind="positives")
    >>> alike = np.full((60, 30), 0.3)
    >>> found = simulate_feedback(log, {"popular": "popular", "random": "random"}, alike, k=3,
    ...                           rounds=5, n_simulations=5)
    >>> found["gini of exposure, round 5: popular"].value > 0.8
    True
    """
    for name, number in (("rounds", rounds), ("k", k), ("n_simulations", n_simulations)):
        if number < 1:
            raise StudyError(f"{name}={number!r} must be at least 1.")
    if not isinstance(policies, Mapping) or not policies:
        raise StudyError("Pass policies by name: {'deployed': model, 'random': 'random'}.")
    named = {str(name): policy_of(str(name), given, log) for name, given in policies.items()}
    chances = _chances(click_model, log)
    loop, hidden = _loop(log, k, browsing, repeat, relevance_threshold, user_groups, item_groups,
                         min_cell)  # fmt: skip
    paths = np.empty((len(named), n_simulations, rounds, len(loop.measures)))
    for future in range(n_simulations):
        for at, policy in enumerate(named.values()):
            rng = np.random.default_rng([random_state, future])
            paths[at, future] = loop.run(policy, chances[future % len(chances)], rounds, rng)
    names = tuple(named)
    return Result(
        kind="simulation",
        title="A loop of training on one's own clicks, simulated",
        question="What would become of exposure if each policy were trained, shown and clicked,"
        " round after round?",
        answer=answer_of_loop(paths, names, loop.measures, level),
        rows=trajectory_rows(paths, names, loop.measures, level),
        tables=trajectory_tables(paths, names, loop.measures, level),
        assumptions=loop_assumptions(several=len(chances) > 1),
        notes=(
            "This is a simulation under the click model, and not an estimate: bands hold"
            f" {level:.0%} of {n_simulations} simulated futures.",
            f"A future has {rounds} rounds, one list of {k} a user and round; clicked items are"
            f" {'shown again' if repeat else 'not shown again'}.",
            "A popularity lift is the popularity of what is listed over that of the users'"
            " histories, minus one, both in the log that the loop starts from.",
            *hidden,
        ),
        provenance=provenance(
            log,
            random_state,
            {
                "policies": list(names),
                "rounds": rounds,
                "k": k,
                "n_simulations": n_simulations,
                "click_models": len(chances),
                "user_groups": list(_names(user_groups)),
                "item_groups": list(_names(item_groups)),
                "browsing": browsing,
                "repeat": repeat,
                "relevance_threshold": relevance_threshold,
                "min_cell": min_cell,
                "level": level,
            },
        ),
    )


def _chances(given: Any, log: InteractionLog) -> list[FloatArray]:
    models = list(given) if isinstance(given, list | tuple) else [given]
    if not models:
        raise StudyError("click_model is an empty list: pass at least one.")
    found = [on_grid(model, log) for model in models]
    for chance in found:
        outside = int(((chance < 0) | (chance > 1) | ~np.isfinite(chance)).sum())
        if outside:
            raise StudyError(
                f"click_model gives no chance in [0, 1] to {outside:,} of {chance.size:,} cells. A"
                " model of ratings predicts no clicks: pass one of a 0/1 outcome, or turn its"
                " predictions into chances first."
            )
    return found


def _loop(
    log: InteractionLog,
    k: int,
    browsing: str | float,
    repeat: bool,
    threshold: float | None,
    user_groups: str | Sequence[str],
    item_groups: str | Sequence[str],
    min_cell: int,
) -> tuple[Loop, list[str]]:
    start = history_of(log, threshold)
    allowed = log.eligible_block(slice(0, log.n_users))
    popularity = popularity_of(log, log, TAIL_SHARE)
    held = np.bincount(popularity.users, minlength=log.n_users)
    summed = np.bincount(
        popularity.users, weights=popularity.of_item[popularity.items], minlength=log.n_users
    )
    if not held.any():
        raise DataError("Nobody has a history to start from: no row of the log counts as a click.")
    shares, gaps, hidden = _groups(log, _names(user_groups), _names(item_groups), min_cell)
    loop = Loop(
        log=log,
        start=start,
        allowed=np.ones(start.shown.shape, dtype=bool) if allowed is None else allowed,
        attention=attention_of(k, browsing),
        repeat=repeat,
        item_share=shares,
        user_gaps=gaps,
        popularity=popularity.of_item,
        profile=float((summed[held > 0] / held[held > 0]).mean()),
        measures=(*MEASURES, *shares, *gaps),
    )
    return loop, hidden


def _groups(
    log: InteractionLog, users: tuple[str, ...], items: tuple[str, ...], min_cell: int
) -> tuple[dict[str, FloatArray], dict[str, FloatArray], list[str]]:
    """Return shares by item group, gaps by user group, and what is hidden."""
    everybody = np.ones(log.n_users, dtype=bool)
    read: list[Attribute] = []
    for columns, entity in ((items, ITEM), (users, USER)):
        read += [
            read_attribute(log, column, entity=entity, min_cell=min_cell, active_users=everybody)
            for column in columns
        ]
    shares: dict[str, FloatArray] = {}
    gaps: dict[str, FloatArray] = {}
    for one in read:
        if one.entity == "item":
            for name in one.shown:
                inside = one.codes == one.levels.index(name)
                shares[f"share of exposure, {one.column}={name}"] = inside.astype(np.float64)
            continue
        for name in one.compared:
            assert one.reference is not None
            weight = np.zeros(log.n_users)
            for level, sign in ((name, 1.0), (one.reference, -1.0)):
                inside = one.codes == one.levels.index(level)
                weight += sign * inside / inside.sum()
            gaps[f"gap in clicks a user, {one.column}: {name} - {one.reference}"] = weight
    count = sum(len(one.hidden) for one in read)
    said = [f"{count} groups are left out: they are small, or would give such a group away."]
    return shares, gaps, said if count else []


def _names(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(dict.fromkeys(given))
