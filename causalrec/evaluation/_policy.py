"""The value of a policy that was not run, from impressions with logging propensities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from causalrec.errors import check_log, check_seed, check_whole_number
from causalrec.evaluation._policies import (
    RewardMeans,
    TargetPolicy,
    cross_fitted_rewards,
    given_rewards,
    logging_probabilities,
    target_policy,
)
from causalrec.evaluation._policy_adaptive import (
    Clock,
    forward_rewards,
    stabilising_weights,
    time_order,
)
from causalrec.evaluation._policy_assumptions import assumptions_of, beyond_support
from causalrec.evaluation._policy_bernstein import Range, bernstein_widths
from causalrec.evaluation._policy_estimators import (
    LOGGED,
    MEAN_WEIGHT,
    RECIPES,
    PolicyEstimator,
    Replay,
    estimate_parts,
    mean_weight,
    parts_of,
    weights_of,
)
from causalrec.evaluation._policy_options import IntervalMethod, PolicyOptions, check_options
from causalrec.evaluation._policy_rows import policy_rows
from causalrec.evaluation._policy_tuning import Chosen, TuningRule, choose_parameter
from causalrec.evaluation._policy_words import (
    answer_of,
    notes_of,
    tuning_table,
    weights_table,
)
from causalrec.evaluation._recommenders import FloatArray
from causalrec.evaluation._slate_models import SlateModel, place_rewards, slate_view
from causalrec.results import Result, Table, provenance

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog


def policy_value(
    log: InteractionLog,
    policy: Any = "uniform",
    *,
    estimator: PolicyEstimator | Sequence[PolicyEstimator] = "dr",
    q_model: Any = None,
    slate_model: SlateModel | None = None,
    adaptive: bool = False,
    logging_policy: Any = None,
    tuning: float | TuningRule | Mapping[str, float | TuningRule] = "mse_bound",
    clip: float | TuningRule | None = None,
    sampled: Sequence[str] | None = None,
    interval: IntervalMethod = "clustered",
    largest_weight: float | None = None,
    level: float = 0.95,
    n_folds: int = 5,
    random_state: int | None = 0,
) -> Result:
    """Estimate the mean outcome an impression (or a slate) had another policy chosen the items.

    Parameters
    ----------
    log : InteractionLog
        Impressions with `logging_propensity`: the probability with which the logging policy
        showed this item in this place.
    policy : "uniform", array or callable(log)
        The target policy: an array (n_rows,) with the probability of the logged item, or
        (n_rows, n_items) with those of all items in the order of `log.item_ids` (which every
        estimator with a reward model needs); a callable returns one of the two, for example
        `causalrec.evaluation.reconstruct_policy(other_log)`. "uniform" shows every eligible item
        alike.
    estimator : str or several
        The first is the headline. With w = target over logging probability and m a reward model:

        - "ips": mean of w y; "snips": sum w y / sum w;
        - "regression": the mean of m under the policy, known as the direct method;
        - "dr": that, plus the mean of w (y - m of the logged item); "sndr": plus sum w (y - m) /
          sum w;
        - "switch_dr", "shrinkage_dr", "sub_gaussian_dr", "sub_gaussian_ips": DR and IPS with
          other weights (see Notes), whose parameter `tuning` chooses.
    q_model : array (n_rows, n_items), Recommender, or callable(log), optional
        The reward model m. Default: item means of the other folds (of earlier rows, in an
        adaptive log; place by place under a slate model), shrunk to the overall mean. Under
        "cascade" it is the mean outcome from the place down, the places below under the policy.
    slate_model : {"independent", "cascade", "standard"}, optional
        Value a whole slate, the sum of its places, assuming that the outcome of a place depends
        on its own item ("independent"), on that and those above ("cascade": "ips" is reward
        interaction IPS, "dr" is cascade DR), or on the whole slate ("standard"). For the last two,
        logged propensity and policy are of the item *given those above it*; for "independent", of
        the item in its place, whatever stands elsewhere. None: an impression, places one by one.
    adaptive : bool
        The logging policy learned from earlier outcomes of this log (a bandit). "dr" and "ips"
        are then weighted in time order (`timestamp`, else the order of the rows), so that their
        interval holds; see Notes.
    logging_policy : array (n_rows, n_items) or callable(log), optional
        The logging policy's probabilities of all items, where they were kept: an adaptive log
        then needs no guess at them, and support is counted exactly.
    tuning : float, "mse_bound", "slope", or mapping from estimator to one of these
        Parameter of the last four estimators: given, or chosen on this log by a rule: the least
        upper bound of the squared error, or SLOPE, which accepts a bias of several standard
        errors. The rule and its choice stand beside the interval, which does not know of them.
    clip : float, "mse_bound" or "slope", optional
        Weights of "ips", "snips", "dr", "sndr" above it are set to it (biased, and counted).
    sampled : tuple of "user", "item", "slate", "row", optional
        What the interval treats as drawn. Default: ("user",) where users have several rows, else
        ("slate",) or ("row",): a list that was drawn jointly is one draw, and so is refused as
        rows. In an adaptive log: ("slate",) or ("row",).
    interval : {"clustered", "empirical_bernstein"}
        Student's t with clusters, or the bound of Maurer & Pontil (2009) on the sums of clusters:
        wide, and valid in any sample size for outcomes and weights in a known range and clusters
        of one size; others are refused.
    largest_weight : float, optional
        The largest weight that the two policies allow, for that range. Default: of this log.
    level : float
        Level of the intervals.
    n_folds, random_state
        Folds of the default reward model, and their seed.

    Returns
    -------
    Result
        Of kind "policy_value": the value by each estimator, the logging policy's own mean and the
        difference between the two; weights, effective sample size, support, and what a rule chose
        among, as tables.

    Raises
    ------
    DataError
        If the log is not one of impressions, or its propensities were not logged.
    StudyError
        For an unknown estimator, a reward model with the logged items' probabilities alone, or
        options that mean nothing together.

    Notes
    -----
    IPS: Horvitz & Thompson (1952); SNIPS: Swaminathan & Joachims (2015); DR: Dudik, Langford & Li
    (2011); switch-DR, w where w <= c else 0: Wang, Agarwal & Dudik (2017); shrinkage,
    c w / (w^2 + c): Su, Dimakopoulou, Krishnamurthy & Dudik (2020, optimistic shrinkage);
    sub-Gaussian, w / (1 - c + c w): Metelli, Russo & Restelli (2021). Slates: Li et al. (2018),
    McInerney et al. (2020), Kiyohara et al. (2022).
    Adaptive logs: Hadad et al. (2021). Row t has weight 1 / sqrt(v_t), v_t being what its past
    foretells of the variance of its score: the sum over items of pi^2 / e, averaged over the ten
    rows before (`logging_policy`), or with e as earlier logged propensities tell it. "dr" needs
    fewer rows than "ips" for its interval to hold. The value must not drift; that is tested on
    the halves of the log.

    Examples
    --------
    >>> import pandas as pd
    >>> from causalrec import InteractionLog
    >>> shown = pd.DataFrame({"user_id": range(8), "item_id": [0, 0, 0, 0, 0, 0, 1, 1],
    ...                       "click": [1, 0, 0, 1, 0, 0, 1, 1], "p": [.75] * 6 + [.25] * 2})
    >>> log = InteractionLog(shown, outcome="click", logging_propensity="p")
    >>> round(policy_value(log, "uniform", estimator="ips").rows[0].value, 4)
    0.6667
    """
    check_log(log)
    check_seed(random_state)
    check_whole_number("n_folds", n_folds, least=2)
    options = check_options(
        log, estimator, slate_model, adaptive, tuning, clip, sampled, interval, largest_weight
    )
    target = target_policy(policy, log)
    shown = None if logging_policy is None else logging_probabilities(logging_policy, log)
    replay, clock = _replay(log, target, options, q_model, shown, n_folds, random_state)
    chosen = _chosen(replay, options, level)
    names = (*options.names, LOGGED)
    parameters = {name: chosen[name].parameter for name in options.names}
    parts = [(name, parts_of(replay, name, parameters.get(name))) for name in names]
    parts.append((MEAN_WEIGHT, [mean_weight(replay)]))
    everything = estimate_parts(parts, options.clusters, options.sampled, level)
    estimate = everything[names]
    allowed, widths = None, None
    if interval == "empirical_bernstein":
        allowed = _allowed(log, replay, largest_weight)
        codes = options.clusters[options.sampled[0]]
        widths = bernstein_widths(replay, parameters, codes, allowed, level)
    rows = policy_rows(estimate, replay, chosen, options, widths, level)
    weight = weights_of(replay, options.names[0], parameters[options.names[0]])
    tables: list[Table] = [weights_table(log, replay, weight, target, shown), *tuning_table(chosen)]
    weights = everything[MEAN_WEIGHT]
    assumptions = assumptions_of(log, replay, target, options, weights, clock, allowed, level)
    result = Result(
        kind="policy_value",
        title=f"Value of {target.words}",
        question=f"What would the mean outcome of {options.unit} be under {target.words}?",
        answer=answer_of(rows, target.words, options, chosen[options.names[0]])
        + beyond_support(assumptions, weights),
        rows=rows,
        tables=tuple(tables),
        assumptions=assumptions,
        notes=notes_of(replay, chosen, options, clock, default_model=q_model is None),
        provenance=provenance(log, random_state, options.config(parameters, n_folds)),
    )
    return result.with_internals(estimate=estimate, weight=weight)


def _replay(
    log: InteractionLog,
    target: TargetPolicy,
    options: PolicyOptions,
    q_model: Any,
    shown: FloatArray | None,
    n_folds: int,
    seed: int | None,
) -> tuple[Replay, Clock | None]:
    """Return the rows as the policy sees them, and their order in time where it matters."""
    assert log.outcome is not None
    assert log.logging_propensity is not None
    codes, model = options.clusters[options.sampled[0]], options.slate_model
    clock = time_order(log, codes) if options.adaptive else None
    means: RewardMeans | None = None
    if any(RECIPES[name].uses_model for name in options.names):
        options.require_all_items(target, log)
        if q_model is not None:
            means = given_rewards(q_model, log, target)
        elif clock is not None:
            means = forward_rewards(log, target, clock)
        elif model is not None:
            cascade = model == "cascade"
            means = place_rewards(log, target, codes, n_folds, seed, cascade=cascade)
        else:
            means = cross_fitted_rewards(log, target, codes, n_folds, seed)
    view = slate_view(log, model, target.of_logged / log.logging_propensity)
    replay = Replay(
        outcome=log.outcome,
        ratio=view.ratio,
        logged_mean=None if means is None else means.logged,
        policy_mean=None if means is None else means.policy,
        unit=view.unit,
        above=view.above,
        place=view.place,
        time_weight=None if clock is None else stabilising_weights(log, target, clock, shown),
    )
    return replay, clock


def _chosen(replay: Replay, options: PolicyOptions, level: float) -> dict[str, Chosen]:
    """Return the parameter of each estimator, given or chosen."""
    found: dict[str, Chosen] = {}
    for name in options.names:
        asked = options.parameter_of(name)
        if asked is None or not isinstance(asked, str):
            found[name] = Chosen(asked)
        else:
            found[name] = choose_parameter(
                replay, name, asked, options.clusters, options.sampled, level
            )
    return found


def _allowed(log: InteractionLog, replay: Replay, largest: float | None) -> Range:
    assert log.outcome_range is not None
    seen = float(np.max(replay.ratio))
    return Range(
        outcome=log.outcome_range,
        weight=seen if largest is None else max(largest, seen),
        outcome_declared=log.outcome_range_declared,
        weight_declared=largest is not None and largest >= seen,
    )
