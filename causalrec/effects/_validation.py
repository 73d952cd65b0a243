"""Whether predicted effects are right: on held-out users, against the score of the effect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from causalrec.effects._held_out import predictions_of
from causalrec.effects._linear import effect_rows, functional_score
from causalrec.effects._ranking import rank_weighted
from causalrec.effects._words import amount, interval_method
from causalrec.results import Assumption, Result, Row, Table, rows_from_estimate

if TYPE_CHECKING:
    from causalrec.effects._result import EffectResult
    from causalrec.effects._scores import Computation
    from causalrec.inference import Estimate
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]
MEAN, SLOPE, AUTOC, QINI = "mean effect", "calibration slope", "AUTOC", "Qini"
METRICS = {
    MEAN: "effect", SLOPE: "slope of the effect on its prediction",
    AUTOC: "area under the targeting curve", QINI: "area under the Qini curve",
}  # fmt: skip
N_BANDS = 5


def validate_effects(
    effect: EffectResult, cate: ArrayLike | Callable[[InteractionLog], ArrayLike]
) -> Result:
    """Return how right predicted effects are, on users that the model has not learned from.

    Parameters
    ----------
    effect : EffectResult
        From `estimate_effect` with estimator "dr", "ips", "econml", "dr-learner" or
        "causal-forest-dml" and estimand "ate".
    cate : array-like (n_rows,) or callable
        The predicted effect of each row of the log that the effect was estimated on, NaN where it
        is not to be judged (the users that the model learned from); or a function of the log that
        returns it.

    Returns
    -------
    Result
        Of kind "validation". Rows: the mean effect of the judged rows; the slope of the effect on
        its prediction (1 where the predictions are calibrated, 0 where they know nothing), whose
        p-value is of no heterogeneity found; AUTOC and Qini. Table: predicted and estimated effect
        in five bands of the prediction. `internal("estimate")` is the joint `Estimate`.

    Raises
    ------
    DataError
        If the predictions are not one number a row, all the same, or of under ten users.
    StudyError
        If the effect has no score to compare with.
    ResultError
        If the effect was reloaded from a file.

    Notes
    -----
    The best linear predictor of Chernozhukov, Demirer, Duflo & Fernandez-Val (2018) and the
    rank-weighted effects of Yadlowsky et al. (2021), both by the doubly robust score, clustered as
    the effect is; the ranks are part of the error. The predictions are taken as given.

    Examples
    --------
    >>> import causalrec as cr
    >>> from causalrec.effects import validate_effects
    >>> world = cr.simulate("shop", n_users=300, n_items=60, random_state=1)
    >>> effect = cr.estimate_effect(world.log, world.graph, n_repeats=1)
    >>> found = validate_effects(effect, lambda log: log.column("quality").to_numpy())
    >>> [row.label for row in found.rows]
    ['mean effect', 'calibration slope', 'AUTOC', 'Qini']
    """
    computation: Computation = effect.internal("computation")
    tau = effect_rows(computation, "The validation of predicted effects")
    prediction = predictions_of(cate, computation.population)
    joint = judge(computation, tau, prediction)
    rows = _rows(joint[[MEAN, SLOPE, AUTOC, QINI]], computation)
    return Result(
        kind="validation",
        title=f"{effect.title}: are the predicted effects right?",
        question="Does the prediction tell for whom exposure works?",
        answer=_answer(rows),
        rows=rows,
        tables=(_bands(joint, prediction),),
        assumptions=(*effect.assumptions, HELD_OUT),
        notes=_notes(prediction),
        graph_dot=effect.graph_dot,
        adjustment=effect.adjustment,
        provenance=effect.provenance,
    ).with_internals(estimate=joint)


HELD_OUT = Assumption(
    name="held-out users",
    statement="The predictions were learned from other users than those they are judged on. The"
    " items are the same: how they rank new items is not judged.",
    status="untestable",
)


def judge(computation: Computation, tau: Floats, prediction: Floats) -> Estimate:
    """Return mean, slope, AUTOC, Qini and the means of bands as one estimate; NaN is not judged."""
    inside = np.isfinite(prediction)
    known, scores = prediction[inside], tau[inside]
    mean, centred = scores.mean(), known - known.mean()
    leverage = len(known) * centred / float(centred @ centred)
    slope = float(leverage @ scores) / len(known)
    ranked, moved, weights = rank_weighted(scores, known)
    influence, weight = np.zeros((len(tau), 4)), np.zeros((len(tau), 4))
    residual = scores - mean - slope * centred
    influence[inside] = np.column_stack([scores - mean, leverage * residual, moved])
    weight[inside] = np.column_stack([np.ones(len(known)), leverage, weights])
    band = bands(prediction)
    member = np.column_stack([band == number for number in range(band.max() + 1)])
    means = (member * tau[:, None]).sum(axis=0) / member.sum(axis=0)
    score = functional_score(
        computation,
        np.concatenate([[mean, slope], ranked, means]),
        np.hstack([influence, member * (tau[:, None] - means)]),
        np.hstack([weight, member]),
        np.hstack([np.repeat(inside[:, None], 4, axis=1), member]),
    )
    names = [f"band {number + 1}" for number in range(member.shape[1])]
    return computation.from_score(score, (MEAN, SLOPE, AUTOC, QINI, *names))


def bands(prediction: Floats) -> NDArray[np.int64]:
    """Return the fifth of the prediction of each row, lowest first; -1 where there is none.

    Examples
    --------
    >>> bands(np.array([5.0, 1.0, 2.0, np.nan, 3.0, 4.0])).tolist()
    [4, 0, 1, -1, 2, 3]
    """
    inside = np.isfinite(prediction)
    edges = np.quantile(prediction[inside], np.arange(1, N_BANDS) / N_BANDS)
    _, found = np.unique(np.searchsorted(edges, prediction[inside]), return_inverse=True)
    band = np.full(len(prediction), -1, dtype=np.int64)
    band[inside] = found
    return band


def _rows(joint: Estimate, computation: Computation) -> tuple[Row, ...]:
    question = computation.question
    found = rows_from_estimate(
        joint,
        metric="effect",
        population="judged rows of held-out users",
        estimator=question.estimator,
        unit="rows",
        level=question.level,
        interval_method=interval_method(question.sampled),
    )
    return tuple(row.model_copy(update={"metric": METRICS[row.label]}) for row in found)


def _bands(joint: Estimate, prediction: Floats) -> Table:
    """Return predicted and estimated effect in bands of the prediction, lowest first."""
    band, lines = bands(prediction), []
    for number in range(band.max() + 1):
        one, kept = joint[f"band {number + 1}"], band == number
        ends = [float(end) if np.isfinite(end) else None for end in one.interval()[0]]
        predicted = float(prediction[kept].mean())
        lines.append((one.labels[0], int(kept.sum()), predicted, float(one), *ends))
    return Table(
        name="bands",
        title="Estimated effect in bands of the predicted effect",
        columns=("band", "rows", "predicted", "estimated", "lower", "upper"),
        rows=tuple(lines),
        caption="Fifths of the judged rows, the lowest predictions first. The interval is of the"
        " estimated effect, pointwise.",
        figure="bars",
        x="band",
        y=("predicted", "estimated"),
    )


def _answer(rows: Sequence[Row]) -> str:
    slope, autoc = rows[1], rows[2]
    if slope.lower is None or slope.upper is None or autoc.lower is None:
        found = "Too few clusters to tell whether the predictions know for whom exposure works"
    elif slope.lower > 0.0:
        found = "The predictions tell for whom exposure works"
    elif slope.upper < 0.0:
        found = "The predictions have it the wrong way round"
    else:
        found = "The predictions are not shown to tell for whom exposure works"
    return (
        f"{found}: the effect changes by {amount(slope)} for each unit of its prediction"
        f" (1 is calibrated, 0 is no knowledge), and the AUTOC is {amount(autoc)}."
    )


def _notes(prediction: Floats) -> tuple[str, ...]:
    missing = int(np.isnan(prediction).sum())
    if not missing:
        return ()
    return (f"{missing:,} of {len(prediction):,} supported rows have no prediction to judge.",)
