"""Who is treated worse: gaps between groups of users, items and providers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from causalrec.audits._auditor import Auditor
from causalrec.audits._browsing import Browsing
from causalrec.audits._crossed import Unknown, crossed
from causalrec.audits._measures import checked_measures
from causalrec.audits._options import AuditQuestion
from causalrec.errors import StudyError, check_log, check_seed, check_whole_number
from causalrec.results import DEFAULT_MIN_CELL, Result, Row

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog

SAMPLED = {("user", "item"), ("user",)}


class AuditResult(Result):
    """The answer of `audit`: values by group, the gaps between them, exposure, popularity."""

    @property
    def gaps(self) -> tuple[Row, ...]:
        """The gaps and ratios that are judged together, with their `p_adjusted`."""
        return tuple(row for row in self.rows if row.derived_from and row.p_adjusted is not None)


def audit(
    log: InteractionLog,
    model_or_lists: Any = None,
    *,
    user_groups: str | Sequence[str | Sequence[str]] = (),
    item_groups: str | Sequence[str | Sequence[str]] = (),
    propensity: Any = None,
    graph: CausalGraph | None = None,
    min_cell: int = DEFAULT_MIN_CELL,
    unknown: Unknown = "exclude",
    metrics: str | Sequence[str] | None = None,
    k: int = 10,
    estimators: str | Sequence[str] = ("naive", "snips", "dr"),
    outcome_model: Any = None,
    relevance_threshold: float | None = None,
    train: InteractionLog | None = None,
    browsing: Browsing = "log",
    tail_share: float = 0.8,
    measures: str | Sequence[str] | None = None,
    target: str | Mapping[str, Mapping[str, float]] = "catalogue",
    soft_groups: Mapping[str, Sequence[str]] | None = None,
    sensitivity: bool = True,
    exclude_seen: bool = True,
    sampled: Sequence[str] = ("user", "item"),
    clip: float | None = None,
    floor: float = 1e-3,
    level: float = 0.95,
    random_state: int | None = 0,
) -> AuditResult:
    """Audit a log, a recommender or its lists for gaps between groups.

    Parameters
    ----------
    log : InteractionLog
        Ratings and candidates: gaps of the mean outcome (or of a model's metrics) by every
        estimator. Impressions: plain means of the rows shown. Positives: lists only. Where the
        log says what was shown (candidates, impressions), that exposure is audited unless lists
        or a model are given.
    model_or_lists : Recommender, callable(users, items), or table, optional
        A model's lists are the first k unseen eligible items of each user; a table has user_id,
        item_id and rank.
    user_groups, item_groups : str, or sequence of str or of tuples of str
        Columns of the user and of the item table; ("gender", "age") within the sequence, or
        "gender x age", is the crossing of two. What is constant for all items of a provider is an
        attribute of providers, and is clustered by them.
    propensity : Propensity, array, column name or float, optional
        As in `evaluate`; its balance within the audited groups is tested.
    graph : CausalGraph, optional
        Decides the covariates, and refuses what they do not identify.
    min_cell : int
        Groups with fewer users (items) are hidden, and what would give them away.
    unknown : {"exclude", "category", "bounds"}
        Subjects without a level belong to no group; or to a group "unknown"; or to no group, with
        bounds of every naive and SNIPS gap whatever groups they belong to.
    metrics : str or sequence of str, optional
        "mean" (the outcome), and of a model what adds up over cells: "mse", "mae", "log-loss",
        "dcg@k", "recall@k", "precision@k"... Default: "mean" without a model, "mse" with one. Item
        groups take "mean" and the losses: a list belongs to a user.
    k : int
        Length of the lists.
    estimators : str or sequence of str
        "naive", "snips", "ips", "dr". The most robust of them is the headline, whose gaps are
        judged.
    outcome_model, relevance_threshold, clip, floor
        As in `evaluate`.
    train : InteractionLog, optional
        What the model was trained on: what is seen, the profiles, and popularity come from it.
        Default: `log`.
    browsing : {"log", "equal"}, float, fitted ExaminationModel or Cascade
        Attention of a place: 1 / log2(1 + r), 1, patience^(r - 1), the estimated examination, or
        the chance that nothing above it satisfied.
    tail_share : float
        Share of the catalogue, the least popular items, that is the long tail.
    measures : str or sequence of str, optional
        Families of measures of the lists: "popularity", "concentration", "exposure" (the default),
        "target", "deviation", "opportunity", "merit", "expected exposure"; "all". What needs
        relevance (merit, opportunity, expected exposure) costs a pass over every cell. Of users:
        "unfairness" (a model's errors item by item, beside exchanged labels), "miscalibration" (of
        each attribute of items, against histories); of a log with timestamps, "trends".
    target : "catalogue", "equal", or mapping of item attribute to {group: share}
        What the groups' shares of attention are held against ("target"): shares of the catalogue,
        equal ones, or those of a population.
    soft_groups : mapping of str to sequence of str, optional
        More groups for "target": a name, and columns of the item table with membership weights.
    sensitivity : bool
        Look for the Lambda* of every gap: how wrong the propensities would have to be for it to
        vanish. It costs a sort of the recorded cells a metric, and more where a gap stands.
    exclude_seen : bool
        Leave seen items out of a model's lists.
    sampled : tuple
        ("user", "item") for new users and items, ("user",) for new users of this catalogue.
    level : float
        Level of the intervals; of all gaps of an attribute together.
    random_state : int or None
        Seed of folds, bootstrap and random lists.

    Returns
    -------
    AuditResult
        Of kind "audit".

    Warns
    -----
    PropensityWarning
        If weighting leaves the audited groups unbalanced: such a propensity (popularity alone,
        for example) cannot repair their gaps.

    Raises
    ------
    StudyError
        If the options mean nothing together.
    DataError
        If the log or the table of lists cannot be used.
    IdentificationError
        If the graph does not identify the means.

    Notes
    -----
    Gaps to the largest group have simultaneous (sup-t) bands; Holm (1979) over all of the audit;
    Wald tests of any difference. Exposure parity: Singh & Joachims (2018); popularity: Yin et al.
    (2012), Abdollahpouri et al. (2017, 2019). Lists are fully observed and need no correction.
    Groups are described, not explained: a gap between them is not an effect of the attribute.

    Examples
    --------
    >>> import causalrec as cr
    >>> world = cr.simulate("music", n_users=400, n_items=80, density=0.2, random_state=1)
    >>> found = cr.audit(world.log, user_groups="country", estimators=["naive", "snips"],
    ...                  propensity=world.potential.propensity)
    >>> [row.label for row in found.gaps]
    ['mean gap, country: A - B']
    """
    check_log(log)
    check_seed(random_state)
    check_whole_number("min_cell", min_cell)
    check_whole_number("k", k, least=1)
    dimensions = (sampled,) if isinstance(sampled, str) else tuple(sampled)
    if dimensions not in SAMPLED:
        raise StudyError(
            f"sampled={dimensions!r} means nothing for an audit: ('user', 'item') or ('user',)."
            " Over these very users and items lists have no error; for means see"
            " estimate_mean(log, by=..., sampled=())."
        )
    crossing = crossed(log, _groups(user_groups), _groups(item_groups), unknown)
    question = AuditQuestion(
        log=crossing.log,
        source=log,
        crossing=crossing,
        unknown=unknown,
        given=model_or_lists,
        propensity=propensity,
        graph=graph,
        min_cell=min_cell,
        metrics=None if metrics is None else _names(metrics),
        k=k,
        estimators=_names(estimators),
        outcome_model=outcome_model,
        relevance_threshold=relevance_threshold,
        train=train,
        browsing=browsing,
        tail_share=tail_share,
        exclude_seen=exclude_seen,
        sampled=dimensions,
        clip=clip,
        floor=floor,
        level=level,
        seed=random_state,
        measures=checked_measures(measures),
        sensitivity=sensitivity,
        target=target,
        soft_groups={} if soft_groups is None else dict(soft_groups),
    )
    return AuditResult(**Auditor.of(question).answer())


def _groups(given: str | Sequence[str | Sequence[str]]) -> tuple[str | Sequence[str], ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _names(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(dict.fromkeys(given))
