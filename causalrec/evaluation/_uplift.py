"""What lists add: the mean two-arm score of the first k candidates, by any recommender."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from causalrec.errors import StudyError
from causalrec.evaluation._held_out import KnowsItsCells
from causalrec.evaluation._recommenders import Contender, FloatArray, contenders
from causalrec.inference import Estimate, holm
from causalrec.results import (
    Assumption,
    Result,
    Row,
    format_cell,
    multiplicity,
    provenance,
    rows_from_estimate,
)
from causalrec.scores import Score, effect_score

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog

RANDOM_LIST = "random list"
UpliftEstimator = Literal["dr", "ips"]


@dataclass(frozen=True, eq=False)
class _TwoArms:
    """The two-arm score of each row, and what it was made of."""

    tau: FloatArray
    propensity: FloatArray
    covariates: tuple[str, ...]
    notes: tuple[str, ...]


def evaluate_uplift(
    models: object,
    log: InteractionLog,
    *,
    k: int = 10,
    graph: CausalGraph | None = None,
    propensity: Any = None,
    outcome_model: Any = None,
    estimator: UpliftEstimator = "dr",
    sampled: Sequence[str] = ("user", "item"),
    level: float = 0.95,
    n_folds: int = 5,
    random_state: int | None = 0,
) -> Result:
    """Estimate what recommending each model's first k candidates adds, and compare the models.

    uplift@k is the effect of exposing a candidate, averaged over the k candidates of each user
    that a model ranks first (Sato et al. 2019, 2020). Both arms of every candidate are scored
    once, so the models are compared on the same scores, in pairs.

    Parameters
    ----------
    models : Recommender, callable(users, items), or mapping of name to either
    log : InteractionLog
        Candidates that the models were not trained on (the test part of `split`).
    k : int
        Length of the lists; a user with fewer candidates has them all listed.
    graph : CausalGraph, optional
        Decides the covariates of the nuisances; it must identify the effect.
    propensity : Propensity, array, str, float, optional
        P(exposed) of the rows. Default: those logged, else a logistic model, cross-fitted.
    outcome_model : ArmOutcomeModel, optional
        Cross-fitted. Default: a logistic or ridge regression for each arm.
    estimator : {"dr", "ips"}
        dr: the doubly robust score; ips: without outcome models.
    sampled : tuple of "user", "item"
        What the interval treats as drawn.
    level : float
    n_folds, random_state
        Folds of users for the nuisances, and their seed.

    Returns
    -------
    Result
        Of kind "uplift": uplift@k of each model and of a random list, and each model's difference
        from the first one (Holm over these differences).

    Raises
    ------
    DataError
        If the log is not one of candidates, or a model gives no finite number.
    IdentificationError
        If the graph does not identify the effect.
    OverlapError
        If a candidate could only be in one arm.
    StudyError
        For k below one or an unknown estimator.

    Notes
    -----
    sum over users and listed rows of tau / listed rows, tau = g1 - g0 + (A/p)(Y - g1)
    - ((1 - A)/(1 - p))(Y - g0). A list that picks candidates by their own scores flatters itself
    (the best of many noisy numbers), hence the held-out log.

    Examples
    --------
    >>> from causalrec import simulate
    >>> world = simulate("shop", n_users=200, n_items=40, random_state=0)
    >>> quality = world.log.items["quality"]
    >>> models = {"quality": lambda u, i: quality.loc[i], "cheap": lambda u, i: -quality.loc[i]}
    >>> found = evaluate_uplift(models, world.log, k=5, graph=world.graph)
    >>> [row.label for row in found.rows]
    ['quality', 'cheap', 'random list', 'cheap - quality', 'random list - quality']
    """
    if isinstance(k, bool) or not hasattr(k, "__index__") or k < 1:
        raise StudyError(f"k={k!r} of evaluate_uplift must be a whole number of at least 1.")
    if estimator not in ("dr", "ips"):
        raise StudyError(f"estimator={estimator!r} of evaluate_uplift is neither 'dr' nor 'ips'.")
    log.require("candidates", purpose="what a list adds (uplift@k)")
    named = contenders(models)
    if any(one.name == RANDOM_LIST for one in named):
        raise StudyError(f"{RANDOM_LIST!r} is the name of the baseline: call the model otherwise.")
    arms = _two_arms(log, graph, propensity, outcome_model, estimator, n_folds, random_state)
    cells = _Cells.of(log)
    weights = [cells.listed(one, log, k) for one in named]
    weights.append(cells.at_random(k))
    weight = np.column_stack(weights)
    names = [*(one.name for one in named), RANDOM_LIST]
    clusters = {"user": log.user_codes, "item": log.item_codes}
    score = Score(weight * arms.tau[:, None], weight)
    estimate = Estimate.from_score(
        score, clusters, names, sampled=tuple(sampled), level=level, estimator=estimator
    )
    rows = _rows(estimate, names, k, estimator, level)
    return Result(
        kind="uplift",
        title=f"What recommending {k} candidates adds",
        question=f"Whose first {k} candidates does recommending add most to?",
        answer=_answer(rows, names, k, log.columns.outcome or "outcome"),
        rows=rows,
        assumptions=_assumptions(log, named, arms, graph),
        notes=_notes(arms, cells, k),
        family=multiplicity(len(names) - 1, "holm", "differences between lists"),
        adjustment=arms.covariates,
        graph_dot="" if graph is None else graph.to_dot(),
        provenance=provenance(
            log,
            random_state,
            {"k": int(k), "estimator": estimator, "sampled": list(sampled), "n_folds": n_folds},
        ),
    ).with_internals(estimate=estimate, score=score)


def _two_arms(
    log: InteractionLog,
    graph: CausalGraph | None,
    propensity: Any,
    outcome_model: Any,
    estimator: UpliftEstimator,
    n_folds: int,
    random_state: int | None,
) -> _TwoArms:
    """Score every row by nuisances that have not seen its user."""
    from causalrec.nuisances import (
        ArmOutcomeModel,
        PropensityModel,
        cross_fit,
        folds_by_user,
        resolve_propensity,
        row_propensity,
    )

    assert log.outcome is not None  # a log of candidates has both
    assert log.exposure is not None
    folds = folds_by_user(log, n_folds, random_state)
    if propensity is None and log.logging_propensity is None:
        fitted = cross_fit(PropensityModel(), log, folds, graph)
        propensity = fitted.as_propensity(predictions="out_of_fold")
    resolved = resolve_propensity(propensity, log, graph)
    p = row_propensity(resolved, log)
    means: list[FloatArray | None] = [None, None]
    if estimator == "dr":
        model = ArmOutcomeModel() if outcome_model is None else outcome_model
        outcomes = cross_fit(model, log, folds, graph)
        means = [outcomes.out_of_fold_rows(arm=arm) for arm in (0, 1)]
    score = effect_score(log.outcome, log.exposure, p, *means, estimator=estimator)
    covariates = tuple(getattr(resolved, "covariates_", ()))
    return _TwoArms(score.numerator[:, 0], p, covariates, tuple(resolved.notes_))


@dataclass(frozen=True, eq=False)
class _Cells:
    """The candidates as cells: several rows of one are one place of a list.

    Attributes
    ----------
    users, items : int arrays (n_cells,)
    of_row : int array (n_rows,)
    rows : int array (n_cells,)
        Rows of each cell.
    """

    users: npt.NDArray[np.int32]
    items: npt.NDArray[np.int32]
    of_row: npt.NDArray[np.intp]
    rows: npt.NDArray[np.intp]

    @classmethod
    def of(cls, log: InteractionLog) -> _Cells:
        keys = log.user_codes.astype(np.int64) * log.n_items + log.item_codes
        found, of_row, rows = np.unique(keys, return_inverse=True, return_counts=True)
        users, items = np.divmod(found, log.n_items)
        return cls(users.astype(np.int32), items.astype(np.int32), of_row, rows)

    @property
    def candidates(self) -> npt.NDArray[np.intp]:
        """Candidates of each user, 0 for users without any."""
        return np.bincount(self.users)

    def listed(self, one: Contender, log: InteractionLog, k: int) -> FloatArray:
        """Return each row's weight in the lists of a model's k best candidates, (n_rows,)."""
        place = one.places(self.users, self.items, one.predict(log, self.users, self.items))
        inside = (place >= 1) & (place <= k)
        return np.asarray((inside / self.rows)[self.of_row])

    def at_random(self, k: int) -> FloatArray:
        """Return each row's weight in lists of k candidates drawn at random, (n_rows,)."""
        many = self.candidates[self.users]
        return np.asarray((np.minimum(k, many) / many / self.rows)[self.of_row])


def _rows(
    estimate: Estimate, names: Sequence[str], k: int, estimator: str, level: float
) -> tuple[Row, ...]:
    """Return one row a list and one a difference from the first."""
    common: dict[str, Any] = {
        "metric": f"uplift@{k}",
        "population": "the candidates that are listed",
        "unit": "rows",
        "level": level,
        "interval_method": f"t, clustered by {' and '.join(estimate.sampled)}",
    }
    found = list(rows_from_estimate(estimate, estimator=estimator, **common))
    first = names[0]
    gaps = {f"{name} - {first}": {name: 1.0, first: -1.0} for name in names[1:]}
    difference = estimate.contrast(gaps)
    raw = difference.p_value()
    known = np.isfinite(raw)
    adjusted = raw.copy()
    adjusted[known] = holm(raw[known])
    found += rows_from_estimate(
        difference,
        estimator=estimator,
        p_adjusted=dict(zip(difference.labels, adjusted.tolist(), strict=True)),
        derived_from={label: tuple(parts) for label, parts in gaps.items()},
        **{**common, "metric": f"difference of uplift@{k}"},
    )
    return tuple(found)


def _answer(rows: Sequence[Row], names: Sequence[str], k: int, outcome: str) -> str:
    lists, gaps = rows[: len(names)], rows[len(names) :]
    text = f"Recommending the first {k} candidates of {names[0]!r} adds {_said(lists[0])}"
    text += f" to the mean {outcome} of each"
    for name, gap in zip(names[1:], gaps, strict=True):
        what = "a random list" if name == RANDOM_LIST else repr(name)
        if gap.lower is None or gap.upper is None or gap.value is None:
            text += f"; against {what} there is no interval"
        elif gap.lower <= 0.0 <= gap.upper:
            text += f"; it cannot be told from {what} ({_said(gap, flip=True)} more)"
        else:
            word = "more" if gap.value < 0 else "less"
            text += f"; {_said(gap, flip=gap.value < 0)} {word} than {what}"
    return text + "."


def _said(row: Row, *, flip: bool = False) -> str:
    if row.value is None or row.lower is None or row.upper is None:
        return f"{format_cell(row.value)} (no interval)"
    low, value, high = (row.lower, row.value, row.upper)
    if flip:
        low, value, high = -high, -value, -low
    return f"{format_cell(value)} [{format_cell(low)}, {format_cell(high)}]"


def _assumptions(
    log: InteractionLog, named: Sequence[Contender], arms: _TwoArms, graph: CausalGraph | None
) -> tuple[Assumption, ...]:
    p = arms.propensity
    covariates = ", ".join(map(repr, arms.covariates)) or "what the propensities know"
    found = [
        Assumption(
            name="no unmeasured confounding",
            statement=f"Given {covariates}, nothing drives both exposure and outcome"
            + (" (the graph says so)." if graph is not None else "; no graph was given."),
            status="untestable",
        ),
        Assumption(
            name="overlap",
            statement="Every candidate could have been exposed or not.",
            status="tested",
            evidence=f"Propensities lie between {p.min():.3f} and {p.max():.3f}.",
        ),
        Assumption(
            name="no interference within a list",
            statement="What recommending a candidate adds does not depend on what is listed beside"
            " it: the uplift of a list is no policy effect.",
            status="untestable",
        ),
    ]
    seen = _seen(log, named)
    return tuple(found) if seen is None else (*found, seen)


def _seen(log: InteractionLog, named: Sequence[Contender]) -> Assumption | None:
    """Return whether models were trained on the rows that judge them; None where none tells."""
    telling = {one.name: one.source for one in named if isinstance(one.source, KnowsItsCells)}
    if not telling:
        return None
    users, items = log.user_ids.take(log.user_codes), log.item_ids.take(log.item_codes)
    shares = {
        name: float(np.mean(np.asarray(model.seen(users, items), dtype=bool)))
        for name, model in telling.items()
    }
    trained = ", ".join(f"{name!r} on {share:.1%}" for name, share in shares.items() if share > 0)
    return Assumption(
        name="held-out candidates",
        statement="The models were not trained on the candidates that judge them.",
        status="violated" if trained else "tested",
        evidence=f"Of the candidates here, {trained} was trained: its lists flatter themselves."
        " Evaluate on the test part of a split."
        if trained
        else "none of the candidates was among their training cells",
    )


def _notes(arms: _TwoArms, cells: _Cells, k: int) -> tuple[str, ...]:
    short = int(((cells.candidates > 0) & (cells.candidates < k)).sum())
    notes = arms.notes
    if short:
        notes = (*notes, f"{short:,} users have fewer than {k} candidates: all are listed.")
    return notes
