"""The joint score of an effect and of the naive difference, by group, with stacked nuisances."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.effects._nuisances import Nuisances, Role
from causalrec.effects._question import DR_BY_ECONML
from causalrec.effects._stacked import stacked_rows
from causalrec.errors import StudyError
from causalrec.inference import Estimate
from causalrec.scores import Score, effect_derivatives, effect_score, group_scores

if TYPE_CHECKING:
    from causalrec.effects._population import Population
    from causalrec.effects._question import Question

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Computation:
    """Everything an effect is computed from, so that it can be computed again by group.

    Attributes
    ----------
    population : Population
    question : Question
    nuisances : Nuisances
        Of the repeat that was kept.
    """

    population: Population
    question: Question
    nuisances: Nuisances

    def everybody(self) -> Codes:
        """Return one group that holds every supported row."""
        return np.zeros(self.population.rows.n_rows, dtype=np.int64)

    def value(self) -> float:
        """Return the effect alone, without its influence."""
        score = self._plain(self.everybody(), 1)
        return self.question.sign * float(score.value[0])

    def adjusted(self, groups: Codes, n_groups: int) -> Score:
        """Return the score of the estimator, one column a group, nuisances stacked."""
        plain = self._plain(groups, n_groups)
        parametric, stacked = self.nuisances.parametric, plain
        if parametric:
            by_role = self._by_role(plain, groups, n_groups)
            rows = stacked_rows(parametric, by_role, self._target, self.population.weights)
            stacked = replace(plain, numerator=plain.numerator + rows)
        return replace(stacked, design_residual=self._random_part(stacked, groups, n_groups))

    def naive(self, groups: Codes, n_groups: int) -> Score:
        """Return the score of the difference of the observed means of both arms."""
        y, a = self.population.outcome, self.population.exposure
        score = effect_score(
            y, a, 0.5, estimator="snips", groups=groups, n_groups=n_groups,
            weights=self.population.weights,
        )  # fmt: skip
        return replace(score, design_residual=score.numerator - score.denominator * score.value)

    def estimate(
        self,
        groups: Codes | None = None,
        labels: tuple[str, ...] = ("",),
        sampled: tuple[str, ...] | None = None,
    ) -> Estimate:
        """Return the joint estimate: the effect of each group, then the naive difference of each.

        Parameters
        ----------
        groups : int array (n,), optional
            -1 is in no group. Default: everybody.
        labels : tuple of str
            One a group; the naive ones are called "... (naive)", or "naive" for everybody.
        sampled : tuple of str, optional
            Default: the question's.
        """
        codes = self.everybody() if groups is None else groups
        scores = [self.adjusted(codes, len(labels)), self.naive(codes, len(labels))]
        names = [name or self.question.estimator for name in labels]
        naive = [f"{name} (naive)" if name else "naive" for name in labels]
        joint = _side_by_side(scores)
        return self.from_score(joint, (*names, *naive), sampled) * self.question.sign

    def from_score(
        self, score: Score, labels: tuple[str, ...], sampled: tuple[str, ...] | None = None
    ) -> Estimate:
        """Return the estimate of a score of the supported rows."""
        chosen = self.question.sampled if sampled is None else sampled
        return Estimate.from_score(
            score,
            cluster_codes(self.population.rows, chosen),
            labels,
            sampled=chosen,
            level=self.question.level,
            population=population_words(self.question),
            estimator=self.question.estimator,
        )

    # ------------------------------------------------------------------ pieces

    def _plain(self, groups: Codes, n_groups: int) -> Score:
        question, found = self.question, self.nuisances
        name: Any = "dr" if question.estimator in DR_BY_ECONML else question.estimator
        return effect_score(
            self.population.outcome,
            self.population.exposure,
            found.propensity,
            found.unexposed,
            found.exposed,
            target=question.estimand,
            estimator=name,
            groups=groups,
            n_groups=n_groups,
            weights=self.population.weights,
        )

    def _target(self, role: Role) -> Floats:
        return self.population.exposure if role == "propensity" else self.population.outcome

    def _derivatives(self, plain: Score, groups: Codes, n_groups: int) -> list[tuple[Any, Floats]]:
        """Return each parametric nuisance with the score's derivative by its linear predictor."""
        if not self.nuisances.parametric:
            return []
        by_role = self._by_role(plain, groups, n_groups)
        return [(one, by_role[one.role] * one.slope[:, None]) for one in self.nuisances.parametric]

    def _by_role(self, plain: Score, groups: Codes, n_groups: int) -> dict[Role, Floats]:
        """Return the score's derivatives by the propensity's logit and by both outcome models."""
        by_role: dict[Role, Floats] = {
            role: np.zeros((len(groups), n_groups))
            for role in ("propensity", "unexposed", "exposed")
        }
        for group in range(n_groups):
            inside = np.flatnonzero(groups == group)
            for role, rows in self._within(inside, float(plain.value[group])).items():
                by_role[role][inside, group] = rows
        if self.nuisances.unclipped is not None:
            by_role["propensity"] *= self.nuisances.unclipped[:, None]
        return by_role

    def _within(self, inside: NDArray[Any], value: float) -> dict[Role, Floats]:
        """Return the derivatives of the rows of one group by role."""
        y, a = self.population.outcome[inside], self.population.exposure[inside]
        p, target = self.nuisances.propensity[inside], self.question.estimand
        nothing = np.zeros(len(inside))
        weights = self.population.weights
        w = None if weights is None else weights[inside]
        if self.question.estimator in {"dr", "regression"}:
            assert self.nuisances.unexposed is not None  # both fit outcome models
            assert self.nuisances.exposed is not None
            g0, g1 = self.nuisances.unexposed[inside], self.nuisances.exposed[inside]
            kind: Any = self.question.estimator
            by_p, by_0, by_1 = effect_derivatives(
                y, a, p, g0, g1, target=target, estimator=kind, value=value, weights=w
            )
            return {"propensity": by_p[:, 0], "unexposed": by_0[:, 0], "exposed": by_1[:, 0]}
        if self.question.estimator == "ips":  # the doubly robust one with nothing imputed
            by_p, _, _ = effect_derivatives(
                y, a, p, nothing, nothing, target=target, value=value, weights=w
            )
            return {"propensity": by_p[:, 0]}
        return {"propensity": _hajek_derivative(y, a, p, target, w)}

    def _random_part(self, score: Score, groups: Codes, n_groups: int) -> Floats:
        """Return what is random if these rows are the population (conservative: Neyman 1923)."""
        if self.question.estimator == "snips":
            return np.asarray(score.numerator - score.denominator * score.value)
        if self.question.estimator == "ips":
            return score.numerator
        found = self.nuisances
        modelled = effect_score(
            self.population.outcome,
            self.population.exposure,
            found.propensity,
            found.unexposed,
            found.exposed,
            target=self.question.estimand,
            estimator="regression",
            weights=self.population.weights,
        )
        return score.numerator - group_scores(modelled, groups, n_groups).numerator


def _hajek_derivative(
    y: Floats, a: Floats, p: Floats, target: Any, row_weights: Floats | None
) -> Floats:
    """Return the derivative of Hajek's difference by the logit of p, in `effect_score`'s scale."""
    weights = {
        "ate": (a / p, (1 - a) / (1 - p)),
        "att": (a, (1 - a) * p / (1 - p)),
        "atu": (a * (1 - p) / p, 1 - a),
        "overlap": (a * (1 - p), (1 - a) * p),
    }[target]
    if row_weights is not None:
        weights = (weights[0] * row_weights, weights[1] * row_weights)
    totals = [float(w.sum()) for w in weights]
    means = [float((w * y).sum()) / total for w, total in zip(weights, totals, strict=True)]
    residual = np.where(a == 1.0, y - means[0], y - means[1])
    nothing = np.zeros(len(y))
    rows, _, _ = effect_derivatives(
        residual, a, p, nothing, nothing, target=target, value=0.0, weights=row_weights
    )
    return np.asarray(rows[:, 0] * len(y) / np.where(a == 1.0, *totals))


def _side_by_side(scores: list[Score]) -> Score:
    weights = [score.denominator if score.weight is None else score.weight for score in scores]
    residuals = [score.design_residual for score in scores if score.design_residual is not None]
    return Score(
        np.hstack([score.numerator for score in scores]),
        np.hstack([score.denominator for score in scores]),
        np.hstack(weights),
        np.hstack(residuals),
    )


def cluster_codes(rows: Any, sampled: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Return the codes of each dimension sampled, aligned with the rows.

    Raises
    ------
    DataError
        If the log has no such column.
    StudyError
        If it is nothing to cluster by.
    """
    found: dict[str, NDArray[Any]] = {}
    for name in sampled:
        if name == "user":
            found[name] = rows.user_codes
        elif name == "item":
            found[name] = rows.item_codes
        elif name in {"provider", "slate", "arm"}:
            rows.require_fields(name, purpose=f"clustering by {name}")
            codes = getattr(rows, name)
            found[name] = codes[rows.item_codes] if name == "provider" else codes
        else:
            raise StudyError(
                f"sampled={name!r} is nothing to cluster by: choose among 'user', 'item',"
                " 'provider', 'slate' and 'arm'; () is these very rows."
            )
    return found


def population_words(question: Question) -> str:
    """Return whom the effect speaks of.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> arms = ("exposed", "unexposed")
    >>> population_words(
    ...     SimpleNamespace(estimand="att", levels=(), arm_names=arms, weighting=""))
    'supported rows that were exposed'
    """
    first, second = question.arm_names
    apart = bool(question.levels)
    words = {
        "ate": "supported rows",
        "att": f"supported rows {f'at {first}' if apart else 'that were exposed'}",
        "atu": f"supported rows {f'at {second}' if apart else 'that were not exposed'}",
        "overlap": "rows weighted by overlap p (1 - p)",
    }[question.estimand]
    return f"{words}, weighted by {question.weighting}" if question.weighting else words
