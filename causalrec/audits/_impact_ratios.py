"""Impact ratios in the format of New York's Local Law 144: evidence, never a legal opinion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from causalrec.audits._assessments import Assessments, assessments_of
from causalrec.audits._impact_answer import answer_of_ratios, notes_of_ratios
from causalrec.audits._impact_groups import read_categories
from causalrec.audits._impact_rates import Rated, rated_categories
from causalrec.audits._impact_tables import rows_of, tables_of
from causalrec.errors import StudyError
from causalrec.results import DEFAULT_MIN_CELL, Assumption, Result, provenance
from causalrec.threads import one_thread

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

SAMPLED = {("user", "item"), ("user",), ("item",)}


def impact_ratio_table(
    log: InteractionLog,
    lists: Any = None,
    *,
    groups: str | Sequence[str],
    scores: Any = None,
    k: int | None = None,
    among: Mapping[str, str] | None = None,
    intersections: bool = True,
    unknown: Sequence[str] = (),
    smallest_share: float = 0.02,
    train: InteractionLog | None = None,
    exclude_seen: bool = True,
    sampled: Sequence[str] = ("user", "item"),
    min_cell: int = DEFAULT_MIN_CELL,
    level: float = 0.95,
) -> Result:
    """Compare selection or scoring rates between categories, as Local Law 144 tabulates them.

    Parameters
    ----------
    log : InteractionLog
        Each row, or each eligible pair, is an assessment of a user or of an item. Candidates:
        selected means shown. Impressions with `k`: placed among the first k.
    lists : Recommender, callable(users, items), or table, optional
        A tool that selects: the pair is listed among the first k.
    groups : str or sequence of str
        Columns of the user table, or of the item table: one table each, and one for every
        intersection of two.
    scores : column name, array (n_rows,), Recommender or callable, optional
        A tool that scores: the scoring rate is the share above the sample median.
    k : int, optional
        Places that count as selected; 10 for lists.
    among : mapping of column to level, optional
        Only these assessments: {"pay_band": "high"} asks who is shown well-paid jobs.
    intersections : bool
    unknown : sequence of str
        Levels that mean "not known", beside missing values.
    smallest_share : float
        Categories with a smaller share of the assessments have a rate but no ratio.
    train : InteractionLog, optional
        What a model was trained on: its cells are seen. Default: `log`.
    exclude_seen : bool
        Leave seen items out of a model's lists, and of the assessments.
    sampled : tuple
        ("user", "item"), ("user",) or ("item",): what the intervals are clustered by. Attributes
        of providers are clustered by provider.
    min_cell : int
        Categories with fewer users (items) are hidden, and what would give them away.
    level : float

    Returns
    -------
    Result
        Of kind "impact_ratios". Rates have pointwise intervals. The intervals of the ratios of a
        table hold together over *all* its pairs of categories, because it is the data that say
        which category has the highest rate.

    Raises
    ------
    StudyError
        If the log does not say who was assessed and not selected, or options contradict.
    DataError
        If the groups or the scores cannot be used.

    Notes
    -----
    6 RCNY 5-300 ff.: rate = selected / n, or the share above the sample median; impact ratio =
    rate over the highest rate. The rule names no threshold; four fifths (29 CFR 1607.4 D), two
    standard deviations and Fisher's exact p are screens that take assessments as independent. The
    median is estimated too, and that is in the interval: the density at it, by group, is that of
    the middle fifth of the scores. What people of unknown category could change is bounded.

    Examples
    --------
    >>> import causalrec as cr
    >>> world = cr.simulate("shop", n_users=300, n_items=60, random_state=0)
    >>> found = impact_ratio_table(world.log, groups="gender", min_cell=20)
    >>> [row.label for row in found.rows if row.metric == "impact ratio"]
    ['impact ratio: gender=m / f']
    """
    dimensions = (sampled,) if isinstance(sampled, str) else tuple(sampled)
    if dimensions not in SAMPLED:
        raise StudyError(
            f"sampled={dimensions!r} means nothing here: ('user', 'item'), ('user',) or ('item',)."
        )
    if not 0.0 <= smallest_share < 0.5:
        raise StudyError(f"smallest_share={smallest_share!r} must lie in [0, 0.5): 0.02 is usual.")
    columns = (groups,) if isinstance(groups, str) else tuple(dict.fromkeys(groups))
    assessments = assessments_of(
        log, lists, scores, k=k, among=among or {}, train=train, exclude_seen=exclude_seen
    )
    entity, by_provider, categories = read_categories(
        log,
        columns,
        assessed={"user": assessments.users, "item": assessments.items},
        unknown=unknown,
        intersections=intersections,
        min_cell=min_cell,
    )
    if by_provider:
        dimensions = tuple("provider" if name == "item" else name for name in dimensions)
    rated = _rated(log, assessments, entity, categories, dimensions, smallest_share, level)
    return Result(
        kind="impact_ratios",
        title="Selection rates and impact ratios",
        question="At what rate is each category selected, beside the category selected most?",
        answer=answer_of_ratios(rated),
        rows=tuple(row for one in rated for row in rows_of(one, f"{entity}s", level, min_cell)),
        tables=tuple(table for one in rated for table in tables_of(one)),
        assumptions=_assumptions(assessments),
        notes=notes_of_ratios(rated, assessments, f"{entity}s", smallest_share, min_cell),
        family="The ratios of a table stand under one band over all pairs of its categories"
        " (sup-t): it covers whichever category has the highest rate. Each table is a family of its"
        " own.",
        provenance=provenance(
            {"log": log} if train is None else {"log": log, "train": train},
            None,
            {
                "groups": list(columns),
                "tool": "scoring" if assessments.near_median is not None else "selection",
                "k": k,
                "among": dict(among or {}),
                "intersections": intersections,
                "unknown": list(unknown),
                "smallest_share": smallest_share,
                "exclude_seen": exclude_seen,
                "sampled": list(sampled) if not isinstance(sampled, str) else [sampled],
                "min_cell": min_cell,
                "level": level,
            },
        ),
    )


@one_thread
def _rated(
    log: InteractionLog,
    assessments: Assessments,
    entity: str,
    categories: Sequence[Any],
    dimensions: tuple[str, ...],
    smallest_share: float,
    level: float,
) -> list[Rated]:
    codes = {"user": assessments.users, "item": assessments.items}
    if "provider" in dimensions:
        assert log.provider is not None
        codes["provider"] = log.provider[assessments.items].astype(np.int64)
    clusters = {name: codes[name] for name in dimensions}
    return [
        rated_categories(
            one, one.codes[codes[entity]], assessments, clusters, smallest_share, level
        )
        for one in categories
    ]


def _assumptions(assessments: Assessments) -> tuple[Assumption, ...]:
    return (
        Assumption(
            name="the assessments are those that count",
            statement=f"who could have been selected is taken from {assessments.words}; who never"
            " came to be assessed is in no rate",
            status="untestable",
            evidence="Compare the number assessed with the number who applied, by category.",
        ),
        Assumption(
            name="a difference of rates is no cause",
            statement="rates describe: categories may differ in what the tool is meant to tell"
            " apart, and nothing is adjusted for",
            status="by design",
        ),
    )
