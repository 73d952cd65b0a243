"""Several levels of one exposure over all rows: generalised propensities, one outcome model each.

The mean outcome at level l, had every row been there, is the mean of the house's doubly robust
score with the indicator of being at l as "observed":

    m_l + (1[A = l] / e_l) (Y - m_l),    e_l = P(A = l | X),    m_l = E[Y | X, A = l]

(Imbens 2000, "The role of the propensity score in estimating dose-response functions"; the score
of Robins, Rotnitzky & Zhao 1994), and an effect is the difference of two. The e_l are one
multinomial logit. Where that cannot be (another classifier, a profile that is never at a level),
each is a model of its own against all other levels, and they need not sum to one (McCaffrey et al.
2013, "A tutorial on propensity score estimation for multiple treatments", section 2.3).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.effects._level_logits import LevelLogit, LevelLogits
from causalrec.effects._nuisances import SURELY, Parametric, as_outcome_model
from causalrec.effects._scores import _side_by_side, cluster_codes, population_words
from causalrec.inference import Estimate, stack_nuisances
from causalrec.nuisances import Folds, PropensityModel, cross_fit, folds_by_user
from causalrec.scores import Score, dr_derivatives, group_scores, mean_score

if TYPE_CHECKING:
    from causalrec.effects._contrast import Contrast
    from causalrec.effects._level_population import LevelPopulation
    from causalrec.effects._question import Question
    from causalrec.graph import CausalGraph

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LevelNuisances:
    """Nuisances of the supported rows, out of fold.

    Attributes
    ----------
    propensity : float64 (n, L)
        P(level | covariates), clipped if asked.
    imputation : float64 (n, L) or None
        E[Y | covariates, level].
    parametric : tuple of (int, Parametric or LevelLogit)
        Those whose error is stacked, with the place of their level.
    unclipped : bool (n, L)
    """

    propensity: Floats
    imputation: Floats | None
    parametric: tuple[tuple[int, Parametric | LevelLogit], ...]
    unclipped: NDArray[np.bool_]

    def has(self, role: str) -> bool:
        """Return whether the error of these nuisances is stacked."""
        return any(one.role == role for _, one in self.parametric)


@dataclass(frozen=True, eq=False)
class LevelFitter:
    """Fits the nuisances of all levels once for each seed."""

    population: LevelPopulation
    graph: CausalGraph
    question: Question
    outcome_model: Any
    designs: dict[str, Floats] = field(default_factory=dict)
    """Designs do not depend on the folds: one for all repeats."""

    def fit(self, seed: int) -> LevelNuisances:
        """Fit on folds of users dealt with this seed."""
        question, rows = self.question, self.population.rows
        folds = folds_by_user(rows, question.n_folds, seed)
        held = np.asarray(folds.of_cells(rows.user_codes, rows.item_codes))
        parametric: list[tuple[int, Parametric | LevelLogit]] = []
        raw = self.population.values[self.population.supported]
        template = self.population.template
        if template is not None and question.uses_propensity:
            logits = self.population.logits
            raw = (
                self._propensities(template, folds, held, parametric)
                if logits is None
                else self._jointly(logits, held, parametric)
            )
        found = self._outcomes(folds, held, parametric) if question.uses_outcome_model else None
        kept = raw if question.clip is None else np.clip(raw, question.clip, 1.0 - question.clip)
        return LevelNuisances(kept, found, tuple(parametric), kept == raw)

    @property
    def _weights(self) -> dict[str, Floats]:
        weights = self.population.weights
        return {} if weights is None else {"weights": weights}

    def _jointly(
        self,
        logits: LevelLogits,
        held: NDArray[Any],
        parametric: list[tuple[int, Parametric | LevelLogit]],
    ) -> Floats:
        """Cross-fit one multinomial logit of all levels."""
        p = np.empty((len(held), len(self.population.contrast.levels)))
        for number in range(int(held.max()) + 1):
            trained, used = held != number, held == number
            fitted = logits.described(logits.fit(trained), trained)
            p[used] = fitted.probability[used, : p.shape[1]]
            parametric += [(at, LevelLogit(fitted, at, used)) for at in range(p.shape[1])]
        return p

    def _propensities(
        self,
        template: PropensityModel,
        folds: Folds,
        held: NDArray[Any],
        parametric: list[tuple[int, Parametric | LevelLogit]],
    ) -> Floats:
        """Cross-fit one model a level against all others."""
        contrast, rows = self.population.contrast, self.population.rows
        p = np.empty((rows.n_rows, len(contrast.levels)))
        for place in range(len(contrast.levels)):
            log = contrast.indicator_log(rows, place)
            fitted = cross_fit(template, log, folds, self.graph, **self._weights)
            p[:, place] = fitted.out_of_fold_rows()
            inside = (p[:, place] > SURELY) & (p[:, place] < 1.0 - SURELY)
            for number, model in enumerate(fitted.models_):
                if model.linear_fit_ is None or model.row_design_ is None:
                    break
                design = self.designs.setdefault("propensity", model.row_design_.matrix)
                trained, used = (held != number) & inside, (held == number) & inside
                one = Parametric("propensity", model.linear_fit_, design, trained, used)
                parametric.append((place, one))
        return p

    def _outcomes(
        self,
        folds: Folds,
        held: NDArray[Any],
        parametric: list[tuple[int, Parametric | LevelLogit]],
    ) -> Floats:
        """Cross-fit one outcome model a level, two levels at a time."""
        contrast, rows = self.population.contrast, self.population.rows
        count = len(contrast.levels)
        found = np.empty((rows.n_rows, count))
        for first in range(0, count, 2):
            pair = (first, first + 1 if first + 1 < count else 0)
            log = contrast.pair_log(rows, *pair)
            model = as_outcome_model(self.outcome_model, rows, self.question.random_state)
            fitted = cross_fit(model, log, folds, self.graph, **self._weights)
            for place, arm in zip(pair, (1, 0), strict=True):
                if place < first:
                    continue  # it was fitted with its own pair
                found[:, place] = fitted.out_of_fold_rows(arm=arm)
                for number, one in enumerate(fitted.models_):
                    fits = getattr(one, "linear_fits_", {})
                    if arm not in fits:
                        break
                    design = self.designs.setdefault("outcome", one.design_.matrix)
                    trained = (held != number) & (contrast.codes == place)
                    parametric.append(
                        (place, Parametric("exposed", fits[arm], design, trained, held == number))
                    )
        return found


@dataclass(frozen=True, eq=False)
class LevelComputation:
    """Everything the effects of several levels are computed from."""

    population: LevelPopulation
    question: Question
    nuisances: LevelNuisances

    @property
    def contrast(self) -> Contrast:
        """Levels of the supported rows."""
        return self.population.contrast

    def everybody(self) -> Codes:
        """Return one group that holds every supported row."""
        return np.zeros(self.population.rows.n_rows, dtype=np.int64)

    def value(self) -> float:
        """Return the first effect alone, without its influence."""
        first, second = (float(self._plain(place).value[0]) for place in (0, 1))
        return first - second

    def means(
        self, groups: Codes, n_groups: int, labels: tuple[str, ...], sampled: tuple[str, ...]
    ) -> Estimate:
        """Return the mean at each level and group, adjusted; then the observed ones."""
        places = range(len(self.contrast.levels))
        scores = [self._adjusted(place, groups, n_groups) for place in places]
        scores += [self._naive(place, groups, n_groups) for place in places]
        return Estimate.from_score(
            _side_by_side(scores),
            cluster_codes(self.population.rows, sampled),
            labels,
            sampled=sampled,
            level=self.question.level,
            population=population_words(self.question),
            estimator=self.question.estimator,
        )

    def joint(self) -> Estimate:
        """Return the mean outcome at each level, adjusted and then as observed ("(naive)")."""
        names = self.contrast.names
        labels = (*names, *(f"{name} (naive)" for name in names))
        return self.means(self.everybody(), 1, labels, self.question.sampled)

    def estimate(
        self, groups: Codes, labels: tuple[str, ...], sampled: tuple[str, ...] | None = None
    ) -> Estimate:
        """Return the first effect in each group, then the naive differences of each."""
        count, size = len(self.contrast.levels), len(labels)
        chosen = self.question.sampled if sampled is None else sampled
        cells = tuple(f"{at}" for at in range(2 * count * size))
        means = self.means(groups, size, cells, chosen)
        matrix = np.zeros((2 * size, 2 * count * size))
        for half in (0, 1):
            for group in range(size):
                start = half * count * size + group
                matrix[half * size + group, start] = 1.0
                matrix[half * size + group, start + size] = -1.0
        return means.contrast(matrix, labels=[*labels, *(f"{name} (naive)" for name in labels)])

    # ------------------------------------------------------------------ pieces

    def _at(self, place: int) -> Floats:
        return np.asarray(self.contrast.codes == place, dtype=np.float64)

    def _imputation(self, place: int) -> Floats | None:
        found = self.nuisances.imputation
        return None if found is None else found[:, place]

    def _plain(self, place: int) -> Score:
        y, p = self.population.outcome, self.nuisances.propensity[:, place]
        kind: Any = self.question.estimator
        score = mean_score(y, self._at(place), p, self._imputation(place), estimator=kind)
        return times(score, self.population.weights)

    def _adjusted(self, place: int, groups: Codes, n_groups: int) -> Score:
        grouped = group_scores(self._plain(place), groups, n_groups)
        inside = (groups[:, None] == np.arange(n_groups)).astype(np.float64)
        if self.population.weights is not None:
            inside = inside * self.population.weights[:, None]
        by_role = self._derivatives(place, grouped.value, inside)
        terms = []
        for at, one in self.nuisances.parametric:
            if at == place:
                target = self._at(place) if one.role == "propensity" else self.population.outcome
                rows = by_role[one.role] * one.slope[:, None]
                terms.append((one.nuisance(target, self.population.weights), rows))
        stacked = stack_nuisances(grouped, terms)
        return replace(stacked, design_residual=self._random_part(place, stacked, inside))

    def _derivatives(self, place: int, values: Floats, inside: Floats) -> dict[str, Floats]:
        """Return the derivatives by the logit of e and by m of each row in each group."""
        y, p, seen = self.population.outcome, self.nuisances.propensity[:, place], self._at(place)
        unclipped = self.nuisances.unclipped[:, place]
        if self.question.estimator == "regression":
            return {"exposed": inside}
        found: dict[str, Floats] = {}
        m = self._imputation(place)
        known = np.zeros(len(y)) if m is None else m
        by_p, by_m = dr_derivatives(y, seen, p, known)
        if self.question.estimator == "snips":  # the doubly robust one with the mean imputed
            slope = np.divide(-seen * (1.0 - p), p, out=np.zeros_like(p), where=seen != 0.0)
            by_row = slope[:, None] * (y[:, None] - values[None, :])
        else:
            by_row = by_p[:, None]
        found["propensity"] = by_row * inside * unclipped[:, None]
        found["exposed"] = by_m[:, None] * inside
        return found

    def _random_part(self, place: int, score: Score, inside: Floats) -> Floats:
        """Return what is random if these rows are the population (conservative: Neyman 1923)."""
        if self.question.estimator == "snips":
            return np.asarray(score.numerator - score.denominator * score.value)
        m = self._imputation(place)
        return score.numerator if m is None else score.numerator - m[:, None] * inside

    def _naive(self, place: int, groups: Codes, n_groups: int) -> Score:
        seen = self._at(place)
        score = times(Score(seen * self.population.outcome, seen), self.population.weights)
        grouped = group_scores(score, groups, n_groups)
        residual = grouped.numerator - grouped.denominator * grouped.value
        return replace(grouped, design_residual=residual)


def times(score: Score, weights: Floats | None) -> Score:
    """Return a score with every row counted by its weight."""
    if weights is None:
        return score
    w = weights[:, None]
    weight = score.denominator if score.weight is None else score.weight
    return Score(score.numerator * w, score.denominator * w, weight * w)
