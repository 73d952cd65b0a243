"""How good a recommender is, had selection not been at work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from causalrec.errors import ResultError, StudyError, check_log, check_seed
from causalrec.evaluation._cells import PopulationName
from causalrec.evaluation._compare import compare_plan
from causalrec.evaluation._evaluation_options import EvaluationQuestion, estimators_for
from causalrec.evaluation._evaluator import Evaluator
from causalrec.evaluation._law import GainForm
from causalrec.evaluation._order_flip import sensitivity_of_order
from causalrec.evaluation._recommenders import contenders
from causalrec.evaluation._setup import (
    check_population,
    check_sampled,
    parts_of,
    propensity_of_selected,
    set_aside,
)
from causalrec.evaluation.metrics import parse_metrics
from causalrec.results import Result, Row

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph
    from causalrec.inference import Estimate
    from causalrec.interactions import InteractionLog

EvaluationEstimator = Literal["snips", "ips", "dr", "naive", "plain"]
MARGIN = 0.05


class EvaluationResult(Result):
    """The answer of `evaluate`: values first, then the paired differences."""

    @property
    def differences(self) -> tuple[Row, ...]:
        """The paired differences between models."""
        return tuple(row for row in self.rows if row.metric.startswith("difference of "))

    def sensitivity(self, lam: Sequence[float] = (1.25, 1.5, 2.0, 3.0)) -> Result:
        """Return by how much the propensities may be wrong before the order of two models flips.

        Under the marginal sensitivity model the odds of being recorded, given covariates *and*
        outcome, are within a factor Lambda of the propensity's (Tan 2006). Every metric and every
        paired difference is bounded sharply at each `lam` (Zhao, Small & Bhattacharya 2019, the
        difference cell by cell), and Lambda* is the smallest at which the bounds of a difference,
        or their confidence interval, reach zero.

        Parameters
        ----------
        lam : sequence of float
            At least 1; where bounds are tabulated.

        Returns
        -------
        Result
            Of kind "sensitivity": a row for each Lambda*; tables "order", "sensitivity bounds" and,
            drawn, "difference by Lambda" of the first pair.

        Raises
        ------
        StudyError
            If the evaluation is naive or of a randomised log.
        ResultError
            If the result was reloaded from a file.
        """
        return sensitivity_of_order(self.internal("plan"), self, lam)

    def values_of(self, metric: str, estimator: str | None = None) -> Estimate:
        """Return the models' values of a weighted metric as one estimate, labelled by model.

        Parameters
        ----------
        metric : str
            Its label: "dcg@10".
        estimator : str, optional
            Default: the first, the headline.

        Raises
        ------
        ResultError
            If the metric is no sum over cells, or the result was reloaded from a file.
        """
        used = self.provenance.config["estimators"][0] if estimator is None else estimator
        estimate, tail = self.internal("estimate"), f"|{used}|"
        labels = () if estimate is None else estimate.labels
        found = [one for one in labels if one.startswith(f"{metric}|") and one.endswith(tail)]
        if not found:
            raise ResultError(
                f"There is no joint estimate of {metric!r} by {used!r} here: ask evaluate for a"
                " weighted metric ('dcg@10', 'mse'), and for that estimator."
            )
        names = [one.removeprefix(f"{metric}|").removesuffix(tail) for one in found]
        joint: Estimate = estimate[found].relabel(names)
        return joint


def evaluate(
    models: Any,
    log: InteractionLog,
    metrics: str | Sequence[str] = ("mse", "mae", "dcg@5", "recall@5"),
    *,
    estimator: EvaluationEstimator | Sequence[EvaluationEstimator] | None = None,
    propensity: Any = None,
    outcome_model: Any = None,
    graph: CausalGraph | None = None,
    sampled: Sequence[str] = ("user", "item"),
    population: PopulationName = "supported",
    relevance_threshold: float | None = None,
    gain: GainForm = "linear",
    train: InteractionLog | None = None,
    item_columns: str | Sequence[str] = (),
    clip: float | None = None,
    floor: float = 1e-3,
    level: float = 0.95,
    random_state: int | None = 0,
) -> EvaluationResult:
    """Estimate metrics of one or several models over a population of cells, recorded or not.

    Parameters
    ----------
    models : Recommender, callable(users, items), table, or dict of name to one of them
        A table has user_id, item_id and score for every pair needed, or rank for the items listed
        (list metrics only). A dict is compared in pairs: differences with intervals from the joint
        covariance, and one Holm correction over all of them; of three or more, a table with
        simultaneous (sup-t) intervals.
    log : InteractionLog
        Ratings or candidates; any kind where no outcome enters (coverage@k). The test part of a
        split has its own propensities (p times its rate). Randomised rows: a log of them alone is
        evaluated plainly; a slice beside other rows is compared with.
    metrics : str or sequence of str
        Weighted: "mse", "mae", "log-loss", "dcg@k", "recall@k" (micro), "precision@k",
        "serendipity@k", "auc", "calibration-error". Plain on a randomised log, else of the outcome
        model or declined: "ndcg@k", "macro-recall@k", "hit@k", "map@k", "mrr@k". Of the lists
        alone: "coverage@k", "novelty@k", "intra-list-diversity@k", "miscalibration@k".
    estimator : {"snips", "ips", "dr", "naive", "plain"} or several of them, optional
        The first is the headline; naive always stands beside a weighted one. Default: "snips", or
        "plain" where all rows are randomised.
    propensity : Propensity, array, column name or float, optional
        Default: a logistic model on the graph's covariates.
    outcome_model : CellOutcomeModel, Recommender or callable, optional
        For "dr", and for NDCG and the like of a biased log; it must not be a model that is
        evaluated. Default: a feature model, cross-fitted by user.
    graph : CausalGraph, optional
        Decides the covariates of what is fitted here.
    sampled : tuple
        What the interval treats as drawn: ("user", "item"), ("user",) or ().
    population : {"supported", "all"}
        "all" declines a point where support fails.
    relevance_threshold : float, optional
        Outcomes at or above it are relevant: the gain of dcg and ndcg is then 0 or 1. Where
        another metric asks which are (recall, auc, ...), the default is the first rating above the
        middle of the range, which the notes say; outcomes of more than 20 values need it.
    gain : {"linear", "exponential"}
        Without a threshold: the outcome, or 2^outcome - 1.
    train : InteractionLog, optional
        Its cells neither compete in the lists nor count ("unseen" items); propensities are turned
        into those of the cells outside it. It is the history of novelty, serendipity and
        miscalibration (default: the log).
    item_columns : str or sequence of str
        Columns of the item table by which intra-list-diversity and miscalibration compare items.
    clip : float, optional
        Propensities below it are raised to it (biased, counted).
    floor : float
        Cells with a smaller propensity lack support.
    level : float
        Level of the intervals.
    random_state : int or None
        Seed of the folds.

    Returns
    -------
    EvaluationResult

    Raises
    ------
    StudyError
        For an unknown metric or estimator, "plain" on a biased log, recall without a threshold, an
        error of a table of lists, or an outcome model that is evaluated itself.
    DataError
        If a model or a table gives no finite prediction for a cell that needs one.

    Notes
    -----
    Schnabel et al. (2016), equations 10 and 11; a list metric by SNIPS has one normaliser:
    (sum d O h / p) / (sum d O / p) times sum d / users. DR imputes the metric, not the outcome: a
    squared error with the variance in it. All eligible items of a user compete.

    Examples
    --------
    >>> import causalrec as cr
    >>> world = cr.simulate("music", n_users=300, n_items=60, density=0.2, random_state=1)
    >>> p = cr.KnownPropensity(world.potential.propensity)
    >>> models = {"three": lambda u, i: [3.0] * len(u), "four": lambda u, i: [4.0] * len(u)}
    >>> [row.label for row in cr.evaluate(models, world.log, "mse", propensity=p).differences]
    ['mse: three - four']
    """
    check_log(log)
    check_seed(random_state)
    asked = parse_metrics(metrics)
    if any(metric.form != "lists" for metric in asked):
        log.require("ratings", "candidates", purpose="an evaluation over cells, recorded or not")
    columns = (item_columns,) if isinstance(item_columns, str) else tuple(item_columns)
    parts = parts_of(log)
    estimators, uniform = estimators_for(estimator, parts)
    used = parts.randomized if uniform else parts.selected
    assert used is not None
    question = EvaluationQuestion(
        log=used,
        contenders=contenders(models),
        metrics=asked,
        estimators=estimators,
        uniform=uniform,
        propensity=propensity_of_selected(propensity, parts),
        outcome_model=outcome_model,
        graph=graph,
        sampled=check_sampled(sampled),
        population=check_population(population),
        threshold=relevance_threshold,
        gain_form=gain,
        train=train,
        clip=clip,
        floor=floor,
        level=level,
        seed=random_state,
        item_columns=columns,
    )
    if gain not in {"linear", "exponential"}:
        raise StudyError(f"gain={gain!r} is not known: 'linear' or 'exponential'.")
    found = Evaluator.of(question).answer()
    result = EvaluationResult(**found.content)
    plan = found.plan
    if parts.randomized is not None and not uniform and log.kind != "ratings":
        result = result.model_copy(update={"notes": (*result.notes, set_aside(parts))})
    if plan is not None and not uniform and parts.randomized is not None and log.kind == "ratings":
        compared = compare_plan(plan, parts.randomized, margin=MARGIN)
        others = [metric.label for metric in asked if metric.form == "sample"]
        if others:
            said = f"{', '.join(others)}: not compared with the slice; estimator='plain' gives them"
            compared = compared.model_copy(update={"notes": (*compared.notes, f"{said} there.")})
        result = result.model_copy(
            update={"answer": f"{compared.answer} {result.answer}", "sections": (compared,)}
        )
    carried = result.with_internals(plan=None if uniform else plan, estimate=found.estimate)
    assert isinstance(carried, EvaluationResult)
    return carried
