"""`estimate_paths`: natural, interventional and controlled effects along a declared mediator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from causalrec.effects._controlled_result import controlled_result
from causalrec.effects._estimate_effect import check_columns
from causalrec.effects._interventional_result import interventional_result
from causalrec.effects._natural_paths import natural_result
from causalrec.effects._path_result import PathQuestion, PathResult
from causalrec.effects._scores import cluster_codes
from causalrec.errors import StudyError
from causalrec.graph import checked_graph

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog


def estimate_paths(
    log: InteractionLog,
    graph: CausalGraph,
    *,
    effect: Literal["natural", "interventional", "controlled"] = "natural",
    mediator_level: Any = None,
    outcome_model: Any = None,
    sampled: Sequence[str] = ("user", "item"),
    floor: float = 1e-3,
    n_folds: int = 5,
    level: float = 0.95,
    random_state: int | None = 0,
) -> PathResult:
    """Split the effect of exposure into what runs through a mediator and what does not.

    Parameters
    ----------
    log : InteractionLog
        Of candidates, with the mediator among its columns.
    graph : CausalGraph
        With one node of role mediator.
    effect : {"natural", "interventional", "controlled"}
        "natural": each row's own mediator as it would be in the other arm (Pearl 2001). Refused
        where the graph has a recanting witness, an effect of the exposure that decides both
        mediator and outcome; the message names it. "interventional": the mediator drawn from its
        distribution in the other arm among rows of the same covariates (VanderWeele, Vansteelandt
        & Robins 2014); it survives a recanting witness. "controlled": the effect that exposure
        would have with the mediator set to `mediator_level` in every row.
    mediator_level : optional
        A level of a discrete mediator, for the controlled effect.
    outcome_model : ArmOutcomeModel or scikit-learn estimator, optional
        Of the outcome given covariates and mediator, one for each arm.
    sampled : sequence of str
        What the interval treats as drawn.
    floor : float
        Rows with a probability of exposure outside [floor, 1 - floor] (for natural effects, with
        or without the mediator) are set aside and counted.
    n_folds : int
        Folds of users for cross-fitting.
    level : float
    random_state : int or None
        Deals the folds.

    Returns
    -------
    PathResult
        Of kind "paths"; `estimate` is the joint `Estimate`. Rows by `effect`:

        - natural: "total" = "natural indirect" (the mediator moved as exposure moves it, under
          exposure) + "natural direct" (exposure, the mediator left as it would be without), and
          "share mediated";
        - interventional: "interventional total" = "interventional indirect" + "interventional
          direct", the "total effect", and what the two parts leave of it, "total effect -
          interventional total": it runs through mediator and recanting witness together;
        - controlled: "controlled direct", the "naive" difference of means among rows at that level,
          and their difference.

    Raises
    ------
    IdentificationError
        If the graph does not identify these effects.
    DataError
        If the graph has several mediators, or the mediator cannot be used.
    OverlapError
        If no row of one of the arms has support, or a level of the mediator never occurs in one.
    StudyError
        If `sampled` is empty, or `mediator_level` does not fit.

    Warns
    -----
    OverlapWarning
        If more than a hundredth of the rows are set aside.

    Notes
    -----
    Natural: the score of Tchetgen Tchetgen & Shpitser (2012, theorem 1), the mediator's density
    ratio from two models of exposure, so that it may be of any kind. Interventional: the score of
    Diaz, Hejazi, Rudolph & van der Laan (2021, theorem 1); what comes between exposure and mediator
    may be many columns of any kind, since it needs no law of its own. The law of the mediator is
    multinomial logistic up to ten numbers or twenty words; beyond, it is normal about a ridge
    regression in each arm, which matters only where the models of the outcome are wrong.
    Controlled: the sequential score (Bang & Robins 2005). Nuisances are taken as known by the
    interval.

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
    >>> moved = estimate_paths(log, graph, effect="interventional")
    >>> round(moved["interventional indirect"].value)
    1
    """
    if not sampled:
        raise StudyError(
            "sampled=() asks for what is random in these very rows, which is the mediator too."
            " Name what was sampled, e.g. ('user', 'item')."
        )
    if mediator_level is not None and effect != "controlled":
        raise StudyError(
            f"mediator_level={mediator_level!r} sets the mediator, which effect={effect!r} does"
            " not. Leave it out, or ask for effect='controlled'."
        )
    log.require("candidates", purpose="the paths of an effect")
    identified = checked_graph(graph).identify("path", effect=effect)
    check_columns(log, graph, identified)
    cluster_codes(log, tuple(sampled))  # refuse unknown clusters before the work
    seed = int(np.random.default_rng(random_state).integers(0, 2**31))
    question = PathQuestion(
        log, graph, identified, outcome_model, tuple(sampled), floor, n_folds, level,
        random_state, seed,
    )  # fmt: skip
    if effect == "natural":
        return natural_result(question)
    if effect == "interventional":
        return interventional_result(question)
    return controlled_result(question, mediator_level)
