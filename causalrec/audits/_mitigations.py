"""Mitigations beside the deployed recommender: what fairness is gained, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from causalrec.audits._mitigation_axes import Axis, distance_axis, linear_axis, verdicts
from causalrec.audits._mitigation_measures import (
    Fairness,
    check_no_small_rest,
    exposure_gaps,
    lists_by_model,
    miscalibrations,
    parse_fairness,
)
from causalrec.audits._mitigation_rows import (
    About,
    answer_of_frontier,
    difference_rows,
    frontier_table,
    share_rows,
    value_rows,
)
from causalrec.errors import StudyError
from causalrec.evaluation import evaluate
from causalrec.results import DEFAULT_MIN_CELL, Assumption, Result, Row, provenance
from causalrec.threads import one_thread

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog

SAMPLED = {("user", "item"), ("user",)}


@one_thread
def compare_mitigations(
    log: InteractionLog,
    models: Mapping[str, Any],
    *,
    accuracy: str = "dcg@10",
    fairness: str | Sequence[str],
    estimator: str | None = None,
    propensity: Any = None,
    outcome_model: Any = None,
    graph: CausalGraph | None = None,
    train: InteractionLog | None = None,
    relevance_threshold: float | None = None,
    browsing: str | float = "log",
    sampled: Sequence[str] = ("user",),
    min_cell: int = DEFAULT_MIN_CELL,
    clip: float | None = None,
    floor: float = 1e-3,
    level: float = 0.95,
    random_state: int | None = 0,
) -> Result:
    """Compare candidate recommenders with the deployed one: accuracy against fairness, paired.

    Parameters
    ----------
    log : InteractionLog
        As for `evaluate`: the test part of a split, for example.
    models : mapping of name to Recommender, callable or table of lists
        The first is the deployed one.
    accuracy : str
        A weighted metric of lists: "dcg@k", "recall@k", "precision@k". Its k is the length of all
        lists.
    fairness : str or sequence of str
        "exposure:COLUMN=LEVEL": the group's share of exposure beside its share of the catalogue,
        as a distance from parity (of two levels the smaller group is meant). "miscalibration:
        COLUMN": mean divergence of lists from histories. One frontier each.
    estimator, propensity, outcome_model, graph, relevance_threshold, clip, floor
        As in `evaluate`, of which accuracy comes.
    train : InteractionLog, optional
        What the models were trained on: its cells are not listed, and are the histories.
    browsing : {"log", "equal"} or float
        Attention of a place.
    sampled : tuple
        ("user",) for new users of this catalogue, whose lists a decision is about; ("user",
        "item") for new items too, far wider. Attributes of providers are clustered by provider.
    min_cell : int
        A group with fewer items is refused; so is a small rest that the groups asked for leave.
    level : float
        Of every value; of all differences of the result together.
    random_state : int or None

    Returns
    -------
    Result
        Of kind "mitigations": values, differences from the deployed model, a frontier for each
        measure of fairness with who is dominated by whom, and whether beyond chance.

    Raises
    ------
    StudyError
        If there are fewer than two models, or a metric is not one of lists.
    DataError
        As `evaluate`; for small groups.

    Notes
    -----
    Differences are paired: both models list to the same users, and share their errors. All of them
    hold together: sup-t over the pairs of an axis, Bonferroni over axes. The difference of two
    distances from parity is projected from a band of the gaps' sums and differences. Lists are
    fully observed; accuracy is corrected for selection. A stochastic ranking is judged by the
    rankings it drew.

    Examples
    --------
    >>> import causalrec as cr
    >>> from causalrec.audits import ExposureReranker
    >>> world = cr.simulate("music", n_users=200, n_items=60, density=0.2, random_state=1)
    >>> train, test = world.log.split(by="cell", random_state=0)
    >>> by_id = lambda users, items: [float(item % 7) for item in items]
    >>> fair = ExposureReranker(by_id, by="label_group", k=5).fit(train)
    >>> found = compare_mitigations(
    ...     test, {"deployed": by_id, "parity": fair}, accuracy="dcg@5", train=train,
    ...     fairness="exposure:label_group=major", propensity=world.potential.propensity)
    >>> [row.label for row in found.rows if row.derived_from][:1]
    ['difference of dcg@5, parity - deployed']
    """
    dimensions = (sampled,) if isinstance(sampled, str) else tuple(sampled)
    k = _length(accuracy)
    texts = (fairness,) if isinstance(fairness, str) else tuple(dict.fromkeys(fairness))
    _refuse(models, dimensions, texts)
    named = {str(name): model for name, model in models.items()}
    asked = [parse_fairness(text, log) for text in texts]
    check_no_small_rest(log, asked, min_cell)
    judged = evaluate(
        named,
        log,
        accuracy,
        estimator=estimator,  # type: ignore[arg-type]
        propensity=propensity,
        outcome_model=outcome_model,
        graph=graph,
        sampled=dimensions,
        relevance_threshold=relevance_threshold,
        train=train,
        clip=clip,
        floor=floor,
        level=level,
        random_state=random_state,
    )
    lists = lists_by_model(named, log, train, k=k, browsing=browsing)
    pair_level = 1.0 - (1.0 - level) / (1 + len(asked))
    values = judged.values_of(accuracy)
    utility = linear_axis(
        accuracy, values, higher_is_better=True, level=level, pair_level=pair_level
    )
    deployed, words = next(iter(named)), next(iter(lists.values())).words
    headline = judged.provenance.config["estimators"][0]
    population = next(row.population for row in judged.rows if row.estimator == headline)
    n_users = max(len(set(one.users.tolist())) for one in lists.values())
    about = About(population, headline, level, n_users)
    rows = [*value_rows(utility, values, about), *difference_rows(utility, deployed, about)]
    of_lists = About(words, "lists", level, n_users)
    tables, sentences = [], []
    for one in asked:
        axis, more = _fairness(one, lists, log, train, dimensions, pair_level, of_lists)
        standing = verdicts(list(named), utility, axis)
        rows += [*more, *difference_rows(axis, deployed, of_lists)]
        tables.append(frontier_table(utility, axis, standing))
        sentences.append(answer_of_frontier(utility, axis, standing, deployed))
    return Result(
        kind="mitigations",
        title="Mitigations beside the deployed recommender",
        question="What fairness does each candidate gain, and what does it cost in accuracy?",
        answer=" ".join(sentences),
        rows=tuple(rows),
        tables=(*tables, *judged.tables[:1]),
        assumptions=(*judged.assumptions, *_assumptions(words)),
        notes=(*dict.fromkeys((*judged.notes, *(n for o in lists.values() for n in o.notes))),),
        family=f"All differences of this page hold together at {level:.0%}: sup-t over the pairs of"
        f" an axis, each of {1 + len(asked)} axes at {pair_level:.2%} (Bonferroni).",
        adjustment=judged.adjustment,
        graph_dot=judged.graph_dot,
        provenance=provenance(
            {"log": log} if train is None else {"log": log, "train": train},
            random_state,
            {
                **judged.provenance.config,
                "accuracy": accuracy,
                "fairness": list(texts),
                "browsing": browsing,
                "min_cell": min_cell,
                "level": level,
            },
        ),
    )


def _refuse(models: object, sampled: tuple[str, ...], fairness: tuple[str, ...]) -> None:
    if sampled not in SAMPLED:
        raise StudyError(f"sampled={sampled!r} means nothing here: ('user', 'item') or ('user',).")
    if not isinstance(models, Mapping) or len(models) < 2:
        raise StudyError(
            "Pass the deployed model first and a candidate beside it:"
            " {'deployed': model, 'calibrated': CalibratedReranker(model, ...).fit(train)}."
        )
    if not fairness:
        raise StudyError("Name a measure of fairness: fairness='exposure:COLUMN=LEVEL'.")


def _length(accuracy: str) -> int:
    from causalrec.evaluation.metrics import parse_metric

    metric = parse_metric(accuracy)
    fine = metric.definition.scope == "list" and metric.additive and metric.cutoff
    if not fine or not metric.definition.higher_is_better:
        raise StudyError(
            f"accuracy={accuracy!r} is not a weighted metric of lists: choose 'dcg@10',"
            " 'recall@10' or 'precision@10', whose k is the length of the lists."
        )
    assert metric.cutoff is not None
    return metric.cutoff


def _fairness(
    asked: Fairness,
    lists: Mapping[str, Any],
    log: InteractionLog,
    train: InteractionLog | None,
    sampled: tuple[str, ...],
    pair_level: float,
    about: About,
) -> tuple[Axis, list[Row]]:
    """Return the axis of a measure, and the rows of its values."""
    level = about.level
    if asked.kind == "exposure":
        gaps, shares = exposure_gaps(lists, log, asked, sampled=sampled, level=level)
        axis = distance_axis(asked.name, gaps, level=level, pair_level=pair_level)
        rows = share_rows(shares, f"{asked.column}={asked.level}", about)
        return axis, [*rows, *value_rows(axis, gaps, about)]
    means = miscalibrations(lists, log, train, asked, level=level)
    axis = linear_axis(
        asked.name, means, higher_is_better=False, level=level, pair_level=pair_level
    )
    return axis, list(value_rows(axis, means, about))


def _assumptions(words: str) -> tuple[Assumption, ...]:
    return (
        Assumption(
            name="lists are fully observed",
            statement=f"exposure and calibration are counted from {words}: nothing is missing"
            " there, so that nothing is corrected",
            status="by design",
        ),
        Assumption(
            name="users do not answer to the change",
            statement="accuracy is that of today's outcomes under other lists; what users come to"
            " like, and what the next model learns from their clicks, is not in it",
            status="untestable",
            evidence="simulate_feedback shows what a loop could make of it; an experiment would"
            " measure it.",
        ),
    )
