"""Predicted effects by a causal forest (EconML), judged on users it has not seen."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.effects._held_out import deal_users
from causalrec.effects._linear import effect_rows
from causalrec.effects._modifier_design import modifier_design
from causalrec.effects._modifiers import refuse_consequences
from causalrec.effects._validation import HELD_OUT, validate_effects
from causalrec.errors import StudyError
from causalrec.nuisances import folds_by_user
from causalrec.results import Result, Table

if TYPE_CHECKING:
    from causalrec.effects._result import EffectResult
    from causalrec.effects._scores import Computation
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def effect_forest(
    effect: EffectResult,
    columns: Sequence[str],
    *,
    share: float = 0.5,
    n_trees: int = 200,
    min_leaf: int = 50,
    max_rows: int = 50_000,
    random_state: int | None = 0,
) -> Result:
    """Predict the effect of each row by a causal forest, and judge it on held-out users.

    Parameters
    ----------
    effect : EffectResult
        From `estimate_effect` with estimator "dr", "ips", "econml", "dr-learner" or
        "causal-forest-dml" and estimand "ate".
    columns : sequence of str
        What the effect may vary with; columns that precede the exposure.
    share : float
        Of the users, to learn from; the others judge.
    n_trees : int
        A multiple of four (EconML grows them in groups of four).
    min_leaf : int
        Smallest number of rows in a leaf.
    max_rows : int
        The forest learns from at most so many rows, of whole users drawn at random; a note says
        how many were left.
    random_state : int or None

    Returns
    -------
    Result
        That of `validate_effects`, with the importance of the columns.
        `internal("predictions")` is the predicted effect of each row of the log, NaN for the users
        it learned from and for rows without support.

    Raises
    ------
    DataError
        If a column cannot be a modifier.
    StudyError
        If the effect has no score to judge by, or options are out of range.
    ResultError
        If the effect was reloaded from a file.

    Notes
    -----
    EconML's `CausalForestDML` (Athey, Tibshirani & Wager 2019), with folds dealt by user and a
    logistic model for the exposure and a logistic or ridge model for the outcome. It estimates
    propensities of its own, since it cannot take known ones; the verdict is by the score of the
    effect, which takes them. Its own intervals are those of independent rows and are not shown.

    Examples
    --------
    >>> import causalrec as cr
    >>> from causalrec.effects import effect_forest
    >>> world = cr.simulate("shop", n_users=100, n_items=40, random_state=1)
    >>> effect = cr.estimate_effect(world.log, world.graph, n_repeats=1)
    >>> found = effect_forest(effect, ["quality", "age"], n_trees=8)
    >>> bool(np.isfinite(found.internal("predictions")).mean() == 0.5)
    True
    """
    if n_trees < 4 or n_trees % 4 or min_leaf < 1 or max_rows < 100:
        raise StudyError(
            f"n_trees={n_trees}, min_leaf={min_leaf}, max_rows={max_rows}: the number of trees is a"
            " multiple of 4, a leaf holds at least 1 row, and at least 100 rows teach."
        )
    computation: Computation = effect.internal("computation")
    effect_rows(computation, "The validation of a forest")  # refuse before the work
    population = computation.population
    design = modifier_design(population.rows, columns)
    refuse_consequences(effect, columns)
    teach = deal_users(population.rows, share, random_state)
    learn = _whole_users(population.rows, teach, max_rows, random_state)
    controls = _controls(effect, population.rows)
    forest = _fit(
        computation, design.matrix[:, 1:], controls, learn, n_trees, min_leaf, random_state
    )
    predicted = np.full(len(teach), np.nan)
    found = forest.effect(design.matrix[~teach, 1:])
    predicted[~teach] = computation.question.sign * np.asarray(found).ravel()
    everywhere = np.full(population.log.n_rows, np.nan)
    everywhere[population.supported] = predicted
    judged = validate_effects(effect, everywhere)
    importance = np.asarray(forest.feature_importances_).ravel()
    changed = judged.model_copy(
        update={
            "title": f"{effect.title}: predicted by a forest",
            "tables": (*judged.tables, _importance(design.slopes, importance)),
            "assumptions": tuple(
                one.model_copy(update={"status": "by design"}) if one == HELD_OUT else one
                for one in judged.assumptions
            ),
            "notes": (*judged.notes, *_notes(learn, teach)),
        }
    )
    return changed.with_internals(estimate=judged.internal("estimate"), predictions=everywhere)


def _whole_users(
    rows: InteractionLog, teach: Bools, max_rows: int, random_state: int | None
) -> Bools:
    """Return the rows to learn from: whole users in random order, up to `max_rows` rows."""
    if int(teach.sum()) <= max_rows:
        return teach
    users, counts = np.unique(rows.user_codes[teach], return_counts=True)
    order = np.random.default_rng(random_state).permutation(len(users))
    chosen = users[order][np.cumsum(counts[order]) <= max_rows]
    return teach & np.isin(rows.user_codes, chosen)


def _fit(
    computation: Computation,
    matrix: Floats,
    controls: Floats | None,
    learn: Bools,
    n_trees: int,
    min_leaf: int,
    random_state: int | None,
) -> Any:
    from econml.dml import CausalForestDML
    from sklearn.linear_model import LogisticRegression, Ridge

    population, question = computation.population, computation.question
    rows = population.rows.select(learn)
    y, binary = population.outcome[learn], bool(np.isin(population.outcome, (0.0, 1.0)).all())
    folds = folds_by_user(rows, question.n_folds, random_state)
    forest = CausalForestDML(
        model_y=LogisticRegression(max_iter=1000) if binary else Ridge(),
        model_t=LogisticRegression(max_iter=1000),
        discrete_outcome=binary,
        discrete_treatment=True,
        cv=folds.row_pairs(rows),
        n_estimators=n_trees,
        min_samples_leaf=min_leaf,
        n_jobs=1,
        random_state=random_state,
    )
    target = y.astype(np.int64) if binary else y
    with warnings.catch_warnings():
        # EconML hands scikit-learn a column of outcomes and passes its complaint on.
        warnings.filterwarnings("ignore", message="A column-vector y was passed")
        # Of the average effect in the sample it learned from, which is not used.
        warnings.filterwarnings("ignore", message="Could not generate out-of-bag predictions")
        forest.fit(
            target,
            population.exposure[learn].astype(np.int64),
            X=matrix[learn],
            W=None if controls is None else controls[learn],
            inference=None,
        )
    return forest


def _controls(effect: EffectResult, rows: InteractionLog) -> Floats | None:
    """Return the covariates to adjust for, as the forest's controls."""
    from causalrec.graph import CausalGraph

    nodes = CausalGraph.from_dot(effect.graph_dot).nodes
    columns = sorted({str(nodes[name].column) for name in effect.adjustment})
    varied = [column for column in columns if rows.column(column).nunique() > 1]
    return modifier_design(rows, varied).matrix[:, 1:] if varied else None


def _importance(labels: Sequence[str], importance: Floats) -> Table:
    order = np.argsort(-importance, kind="stable")
    return Table(
        name="importance",
        title="What the forest splits on",
        columns=("coefficient", "importance"),
        rows=tuple((labels[k], float(importance[k])) for k in order),
        caption="Shares of the heterogeneity that splits on it account for, in the sample that was"
        " learned from.",
        figure="bars",
        x="coefficient",
        y=("importance",),
    )


def _notes(learn: Bools, teach: Bools) -> tuple[str, ...]:
    found = [
        f"A causal forest learned from {int(learn.sum()):,} rows and is judged on"
        f" {int((~teach).sum()):,} rows of other users."
    ]
    if learn.sum() < teach.sum():
        found.append(
            f"{int(teach.sum() - learn.sum()):,} more rows of users to learn from were left out"
            " (max_rows); the users that teach were drawn at random."
        )
    return tuple(found)
