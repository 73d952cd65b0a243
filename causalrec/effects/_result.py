"""`EffectResult`: a result with the verbs of an effect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from causalrec.errors import StudyError
from causalrec.results import DEFAULT_MIN_CELL, Result

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from causalrec.inference import Estimate
    from causalrec.interactions import InteractionLog
    from causalrec.nuisances import KnownPropensity


class EffectResult(Result):
    """The effect of exposure: a `Result` whose first row is the effect.

    `value`, `standard_error`, `p_value` and `naive` are read from the rows, so a reloaded result
    has them too; `estimate`, `propensity` and `by` need the numbers beside it, which are never
    written: a reloaded result says so.
    """

    @property
    def value(self) -> float:
        """The effect; NaN where there is no point estimate."""
        return _number(self.rows[0].value)

    @property
    def standard_error(self) -> float:
        """Its standard error, for what was sampled."""
        return _number(self.rows[0].standard_error)

    @property
    def p_value(self) -> float:
        """Two-sided p-value of no effect."""
        return _number(self.rows[0].p_value)

    @property
    def naive(self) -> float:
        """The difference of the observed means of both arms, unadjusted."""
        return _number(self["naive"].value)

    def interval(self, level: float | None = None) -> tuple[float, float]:
        """Return the confidence interval of the effect.

        Parameters
        ----------
        level : float, optional
            Default: the level it was asked with.
        """
        row = self.rows[0]
        if level is None or level == row.level:
            return _number(row.lower), _number(row.upper)
        lower, upper = self.estimate[row.label].interval(level)[0].tolist()
        return lower, upper

    @property
    def estimate(self) -> Estimate:
        """The joint `Estimate`: the effect, the naive difference, and the latter minus the former.

        Raises
        ------
        ResultError
            If the result was reloaded from a file.
        """
        found: Estimate = self.internal("estimate")
        return found

    @property
    def propensity(self) -> KnownPropensity:
        """The propensities of exposure that were used, one a row of the log.

        Training, evaluation and audits of the same log accept them: one object through the chain.

        Raises
        ------
        ResultError
            If the result was reloaded from a file.
        """
        found: KnownPropensity = self.internal("propensity")
        return found

    def by(self, column: str, *, min_cell: int = DEFAULT_MIN_CELL) -> Result:
        """Return the effect in each group of a column, and the gaps between the groups.

        Parameters
        ----------
        column : str
            A column of the users, items or events, of at most twenty levels.
        min_cell : int
            Hide groups of fewer users, and what would give them away; 0 hides none.

        Returns
        -------
        Result
            One row a group; one a pair of groups, with simultaneous intervals and Holm's p.

        Raises
        ------
        DataError
            If the column is unknown, has one level or more than twenty.
        ResultError
            If the result was reloaded from a file.
        """
        from causalrec.effects._groups import effect_by

        return effect_by(self.internal("computation"), self, column, min_cell)

    def modifiers(self, columns: Sequence[str]) -> Result:
        """Return how the effect varies with declared columns: see `effect_modifiers`."""
        from causalrec.effects._modifiers import effect_modifiers

        return effect_modifiers(self, columns)

    def validate_cate(self, cate: ArrayLike | Callable[[InteractionLog], ArrayLike]) -> Result:
        """Return how right predicted effects are on held-out users: see `validate_effects`."""
        from causalrec.effects._validation import validate_effects

        return validate_effects(self, cate)

    def forest(self, columns: Sequence[str], **options: Any) -> Result:
        """Predict effects by a forest and judge them: see `effect_forest` for the options."""
        from causalrec.effects._forest import effect_forest

        return effect_forest(self, columns, **options)

    def policy_tree(self, columns: Sequence[str], *, cost: float = 0.0, **options: Any) -> Result:
        """Learn whom to expose, and what it gains: see `effect_policy` for the options."""
        from causalrec.effects._policy_tree import effect_policy

        return effect_policy(self, columns, cost=cost, **options)

    def compare_estimators(self) -> Result:
        """Return the effect by other estimators, beside this one, and whether they differ.

        They use the propensities and outcome models of this estimate: dr, regression, snips and
        ips, as far as what each needs was fitted and its error is known: regression is left out
        where the outcome models are no linear fits (the notes say so). On one page with the effect
        (`write_report`) they join its forest plot.

        Returns
        -------
        Result
            One row an estimator; one a difference to this one, with its own interval and Holm's p.

        Raises
        ------
        ResultError
            If the result was reloaded from a file.

        Examples
        --------
        >>> import causalrec as cr
        >>> world = cr.simulate("shop", n_users=300, n_items=60, random_state=1)
        >>> effect = cr.estimate_effect(world.log, world.graph, n_repeats=1)
        >>> [row.label for row in effect.compare_estimators().rows][:4]
        ['dr', 'regression', 'snips', 'ips']
        """
        from causalrec.effects._compare_estimators import compare_estimators

        return compare_estimators(self.internal("computation"), self)

    def sensitivity(
        self,
        *,
        benchmark: Sequence[str] | None = None,
        lam: Sequence[float] = (1.1, 1.25, 1.5, 2.0),
    ) -> Result:
        """Return what unmeasured confounder would overturn the effect.

        Parameters
        ----------
        benchmark : sequence of str, optional
            Covariates of the adjustment set to measure a confounder against; default all.
        lam : sequence of float
            Factors, at least 1, by which the odds of exposure may be wrong.

        Returns
        -------
        Result
            Rows: robustness values (Cinelli & Hazlett 2020; with the clustered interval), those of
            the doubly robust score (Chernozhukov et al. 2022), E-values (VanderWeele & Ding 2017),
            the Lambda at which the effect and its interval reach zero, bounds for each `lam` (Zhao,
            Small & Bhattacharya 2019; sharp where outcome models were fitted: Dorn, Guo & Kallus
            2024). Tables: covariates as yardsticks, contour lines, bounds by Lambda.

        Raises
        ------
        DataError
            If a benchmark is not in the adjustment set.
        StudyError
            If a lam is below 1.
        ResultError
            If the result was reloaded from a file.

        Examples
        --------
        >>> import causalrec as cr
        >>> world = cr.simulate("shop", n_users=300, n_items=60, random_state=1)
        >>> found = cr.estimate_effect(world.log, world.graph, n_repeats=1).sensitivity()
        >>> 0 < found["robustness value"].value < 1 < found["E-value"].value
        True
        """
        from causalrec.effects._sensitivity import sensitivity_of

        computation, columns = self.internal("computation"), self.internal("columns")
        return sensitivity_of(computation, self, columns, benchmark, lam)

    def refute(
        self,
        log: InteractionLog,
        *,
        n_draws: int = 100,
        negative_control_outcome: str | None = None,
        negative_control_exposure: str | None = None,
        second_opinion: bool = False,
        random_state: int | None = 0,
    ) -> Result:
        """Try to refute the effect; what each attempt can and cannot show is said beside it.

        Parameters
        ----------
        log : InteractionLog
            The log the effect was estimated on; columns may have been added.
        n_draws : int
            Draws of each refuter; all are kept in a table.
        negative_control_outcome : str, optional
            A column that exposure cannot cause but unmeasured confounders may. By default those
            nodes of the graph that have role=negative_control_outcome and a column in the log.
        negative_control_exposure : str, optional
            A column of 0 and 1 that cannot cause the outcome; the true exposure is adjusted for.
            By default the nodes of role=negative_control_exposure.
        second_opinion : bool
            Ask DoWhy's refuters too, on at most 20,000 rows sampled by user (some seconds).
        random_state : int or None

        Returns
        -------
        Result
            Rows: the quick estimate that the draws use; exposure permuted within users, a random
            common cause, subsets of users (mean, spread and range of the draws); negative controls
            with their clustered interval.

        Raises
        ------
        DataError
            If the log has other rows, or a negative control is missing or not numeric.
        StudyError
            If `n_draws` is below 1.
        ResultError
            If the result was reloaded from a file.

        Examples
        --------
        >>> import causalrec as cr
        >>> world = cr.simulate("shop", n_users=300, n_items=60, random_state=1)
        >>> effect = cr.estimate_effect(world.log, world.graph, n_repeats=1)
        >>> found = effect.refute(world.log, n_draws=20)
        >>> abs(found["placebo exposure"].value) < 0.01 < found["quick estimate"].value
        True
        """
        from causalrec.effects._refute import Controls, refute_effect

        computation, columns = self.internal("computation"), self.internal("columns")
        log = self._log_of_units(log)
        asked = Controls(
            n_draws,
            negative_control_outcome,
            negative_control_exposure,
            second_opinion,
            random_state,
        )
        return refute_effect(computation, self, columns, log, asked)

    def interference(self, log: InteractionLog) -> Result:
        """Return whether the neighbours in a slate matter, as far as the log can tell.

        Parameters
        ----------
        log : InteractionLog
            The log the effect was estimated on, with a slate column; without one the answer says
            in words that interference cannot be checked.

        Returns
        -------
        Result
            Rows: what exposed neighbours go with in the outcome; the effect with and without their
            share among the covariates; the effect by thirds of that share (by its values, where
            it has two or three), and its change with it; what one exposure does to its item, to
            the slate's total, and the difference.

        Raises
        ------
        DataError
            If the log has other rows.
        StudyError
            If the effect is on a slate's or a user's total.
        ResultError
            If the result was reloaded from a file.

        Examples
        --------
        >>> import causalrec as cr
        >>> world = cr.simulate("shop", n_users=200, n_items=40, random_state=1)
        >>> effect = cr.estimate_effect(world.log, world.graph, n_repeats=1)
        >>> effect.interference(world.log).answer.split(":")[0]
        'Interference cannot be checked'
        """
        from causalrec.effects._interference import check_interference
        from causalrec.effects._refute import require_same_rows

        computation, columns = self.internal("computation"), self.internal("columns")
        if "units" in self._internals:
            raise StudyError(
                "This effect is on a total, in which what the neighbours gain or lose is counted"
                " already. Ask the effect on single items: estimate_effect(..., unit='item')."
            )
        require_same_rows(computation, log)
        return check_interference(computation, self, columns, log)

    def _log_of_units(self, log: InteractionLog) -> InteractionLog:
        """Return the log as this effect's rows: those of units, where it is on a total."""
        units = self._internals.get("units")
        found: InteractionLog = log if units is None else units.again(log)
        return found

    @classmethod
    def from_json(cls, text: str) -> EffectResult:
        """Read an effect written by `to_json`: its rows are there, the numbers beside it are not.

        Raises
        ------
        ModelFileError
            If the text is not a result of this schema.
        """
        return cls.model_validate(Result.from_json(text).model_dump())

    def __float__(self) -> float:
        return self.value


def _number(found: float | None) -> float:
    return float("nan") if found is None else found
