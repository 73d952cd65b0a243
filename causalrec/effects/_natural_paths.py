"""Natural direct and indirect effects: what runs through the mediator, and what beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.effects._front_door import FrontDoorNuisances, fit_front_door
from causalrec.effects._scores import cluster_codes
from causalrec.effects._words import amount, interval_method
from causalrec.errors import DataError, OverlapError, StudyError
from causalrec.graph import checked_graph
from causalrec.inference import Estimate
from causalrec.results import Assumption, Result, Table, provenance, rows_from_estimate
from causalrec.scores import Score

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph, Estimand
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]
TOTAL, INDIRECT, DIRECT, SHARE = "total", "natural indirect", "natural direct", "share mediated"


def estimate_paths(
    log: InteractionLog,
    graph: CausalGraph,
    *,
    outcome_model: Any = None,
    sampled: Sequence[str] = ("user", "item"),
    floor: float = 1e-3,
    n_folds: int = 5,
    level: float = 0.95,
    random_state: int | None = 0,
) -> Result:
    """Split the effect of exposure into what runs through a mediator and what does not.

    Parameters
    ----------
    log : InteractionLog
        Of candidates, with the mediator among its columns.
    graph : CausalGraph
        With one node of role mediator. It is refused where it has a recanting witness, and the
        message names it.
    outcome_model : ArmOutcomeModel or scikit-learn estimator, optional
        Of the outcome given covariates and mediator, one for each arm.
    sampled : sequence of str
        What the interval treats as drawn.
    floor : float
        Rows with a probability of exposure outside [floor, 1 - floor], with or without the
        mediator, are set aside and counted.
    n_folds : int
        Folds of users for cross-fitting.
    level : float
    random_state : int or None
        Deals the folds.

    Returns
    -------
    Result
        Of kind "paths": total = natural indirect (the mediator moved as exposure moves it, under
        exposure) + natural direct (exposure, the mediator left as it would be without), and the
        share mediated. `internal("estimate")` is the joint `Estimate`.

    Raises
    ------
    IdentificationError
        If the graph does not identify natural effects.
    DataError
        If the graph has several mediators.
    OverlapError
        If no row of one of the arms has support.
    StudyError
        If `sampled` is empty.

    Notes
    -----
    The score of Tchetgen Tchetgen & Shpitser (2012, theorem 1), with the density ratio of the
    mediator from two models of exposure, so that the mediator may be of any kind. The parts add up
    to the total exactly. Nuisances are taken as known by the interval.

    Examples
    --------
    >>> import numpy as np, pandas as pd, causalrec as cr
    >>> from causalrec.effects import estimate_paths
    >>> rng = np.random.default_rng(0)
    >>> user, item = np.repeat(np.arange(60), 30), np.tile(np.arange(30), 60)
    >>> shown = rng.integers(0, 2, 1800)
    >>> attention = shown + rng.normal(size=1800)
    >>> clicks = attention + shown + rng.normal(size=1800)
    >>> log = cr.InteractionLog(
    ...     pd.DataFrame({"user_id": user, "item_id": item, "shown": shown,
    ...                   "attention": attention, "clicks": clicks}),
    ...     outcome="clicks", exposure="shown")
    >>> graph = cr.CausalGraph.from_dot(
    ...     "digraph { shown [role=exposure]; attention [role=mediator]; clicks [role=outcome];"
    ...     " shown -> attention -> clicks; shown -> clicks; }")
    >>> [round(row.value) for row in estimate_paths(log, graph).rows[:3]]
    [2, 1, 1]
    """
    if not sampled:
        raise StudyError(
            "sampled=() asks for what is random in these very rows, which is the mediator too."
            " Name what was sampled, e.g. ('user', 'item')."
        )
    log.require("candidates", purpose="the paths of an effect")
    identified = checked_graph(graph).identify("path")
    if len(identified.mediators) != 1:
        raise DataError(
            f"The graph has {len(identified.mediators)} mediators"
            f" ({', '.join(identified.mediators)}); one at a time is split off. Take role=mediator"
            " from the others."
        )
    mediator = str(graph.nodes[identified.mediators[0]].column)
    covariates = [str(covariate.column) for covariate in identified.covariates]
    cluster_codes(log, tuple(sampled))  # refuse unknown clusters before the work
    seed = int(np.random.default_rng(random_state).integers(0, 2**31))
    found = fit_front_door(log, graph, covariates, mediator, outcome_model, n_folds, seed)
    joint, aside = split_effect(log, found, tuple(sampled), floor, level)
    return _write(joint, log, identified, aside, random_state)


def natural_rows(
    outcome: Floats, exposure: Floats, found: FrontDoorNuisances, arm: int, mediated: int
) -> Floats:
    """Return the score of E[Y(arm, M(mediated))] of each row (n,)."""
    pi = np.stack([1.0 - found.exposed, found.exposed])
    given = np.stack([1.0 - found.exposed_given_mediator, found.exposed_given_mediator])
    mean, inner = found.outcome[arm], found.mediated[mediated, arm]
    # 1(A = a) / pi_a times p(M | a*, W) / p(M | a, W), by Bayes' rule
    weight = (exposure == arm) * given[mediated] / (given[arm] * pi[mediated])
    if arm == mediated:
        weight = (exposure == arm) / pi[arm]
    moved = (exposure == mediated) / pi[mediated]
    return np.asarray(weight * (outcome - mean) + moved * (mean - inner) + inner)


def split_effect(
    log: InteractionLog,
    found: FrontDoorNuisances,
    sampled: tuple[str, ...],
    floor: float,
    level: float,
) -> tuple[Estimate, int]:
    """Return total, indirect and direct effect and the share mediated, and the rows set aside."""
    assert log.outcome is not None and log.exposure is not None  # noqa: PT018 - candidates
    inside = np.ones(log.n_rows, dtype=bool)
    for p in (found.exposed, found.exposed_given_mediator):
        inside &= (p >= floor) & (p <= 1.0 - floor)
    if len(np.unique(log.exposure[inside])) < 2:
        raise OverlapError(
            f"Of {log.n_rows:,} rows {int(inside.sum()):,} could be in either arm given covariates"
            " and mediator, none in one of the arms: the mediator gives the exposure away."
        )
    y, a = log.outcome, log.exposure.astype(np.float64)
    both, mixed, neither = (
        natural_rows(y, a, found, *arms)[inside] for arms in ((1, 1), (1, 0), (0, 0))
    )
    rows = log if inside.all() else log.select(inside)
    parts = Estimate.from_score(
        Score(np.column_stack([both - mixed, mixed - neither])),
        cluster_codes(rows, sampled),
        (INDIRECT, DIRECT),
        sampled=sampled,
        level=level,
    )
    joint = parts.contrast(
        np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]]), [TOTAL, INDIRECT, DIRECT]
    )
    total, through = joint.value[:2].tolist()
    share = through / total
    ratio = joint.contrast({SHARE: {INDIRECT: 1.0 / total, TOTAL: -share / total}}).shift(share)
    return Estimate.stack([joint, ratio]), int((~inside).sum())


def _write(
    joint: Estimate,
    log: InteractionLog,
    identified: Estimand,
    aside: int,
    random_state: int | None,
) -> Result:
    rows = rows_from_estimate(
        joint,
        metric="effect",
        population="supported rows",
        estimator="dr",
        unit="rows",
        level=joint.level,
        interval_method=interval_method(joint.sampled),
        derived_from={TOTAL: (INDIRECT, DIRECT)},
    )
    rows = (*rows[:3], rows[3].model_copy(update={"metric": "share of the total effect"}))
    total, through, beside, share = rows
    outcome, mediator = str(log.columns.outcome), identified.mediators[0]
    return Result(
        kind="paths",
        title=f"The paths of the effect of being exposed, on {outcome}",
        question=f"How much of the effect on {outcome} runs through {mediator}?",
        answer=f"Being exposed changes {outcome} by {amount(total)} a row: {amount(through)}"
        f" through {mediator}, {amount(beside)} beside it (share mediated {amount(share)}).",
        rows=rows,
        tables=(_parts(through.value, beside.value),),
        assumptions=_assumptions(identified, aside, log.n_rows),
        notes=(identified.words,),
        graph_dot=identified.graph_dot,
        adjustment=identified.adjustment,
        provenance=provenance(log, random_state, {"sampled": list(joint.sampled)}),
    ).with_internals(estimate=joint)


def _parts(through: float | None, beside: float | None) -> Table:
    return Table(
        name="parts",
        title="The parts of the effect",
        columns=("part", "value"),
        rows=((INDIRECT, through), (DIRECT, beside)),
        caption="They add up to the total.",
        figure="bars",
        x="part",
        y=("value",),
    )


def _assumptions(identified: Estimand, aside: int, n_rows: int) -> tuple[Assumption, ...]:
    return (
        *(
            Assumption(name=name, statement=statement, status=status)
            for name, statement, status in identified.assumptions
        ),
        Assumption(
            name="overlap",
            statement="Every row could have been in either arm given its covariates, and given"
            " its mediator as well.",
            status="tested",
            evidence=f"{aside:,} of {n_rows:,} rows could not and are set aside.",
        ),
        Assumption(
            name="right nuisances",
            statement="The models of exposure with and without the mediator, or those of the"
            " outcome and its mean given the exposure, are right. The interval takes them as"
            " known.",
            status="untestable",
        ),
    )
