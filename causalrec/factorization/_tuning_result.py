"""What a search for hyper-parameters found, as a result: rows, tables, and what they allow for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from causalrec.factorization._model import DebiasedMF
from causalrec.inference import Estimate
from causalrec.results import Assumption, Result, Table, rows_from_estimate

RULES = {
    "minimum": "Rule: the configuration with the smallest held-out loss.",
    "one_standard_error": "Rule: the simplest configuration (fewest factors, then largest"
    " regularization) whose paired difference from the smallest loss is within one standard error.",
}


@dataclass(frozen=True)
class HeldOutLoss:
    """What configurations are compared by, in words.

    Attributes
    ----------
    metric, estimator : str
        As in the rows of the result.
    words, interval_method : str
    assumption : Assumption
        Under which the held-out loss speaks of all cells.
    """

    metric: str
    estimator: str
    words: str
    interval_method: str
    assumption: Assumption


OF_OUTCOMES = HeldOutLoss(
    metric="mse",
    estimator="snips",
    words="SNIPS squared error of held-out cells",
    interval_method="two-way clustered by user and item, propensities held fixed",
    assumption=Assumption(
        name="missing at random",
        statement="The held-out loss speaks of all cells only if the propensities are right and"
        " nothing unmeasured drives both selection and outcome.",
        status="untestable",
    ),
)
OF_RELEVANCE = HeldOutLoss(
    metric="mse of relevance, less that of predicting 0",
    estimator="ips",
    words="IPS squared error of relevance, less that of predicting 0, by held-out positives",
    interval_method="clustered by user, propensities held fixed",
    assumption=Assumption(
        name="exposure model",
        statement="The held-out loss speaks of relevance only if the declared probability of"
        " exposure is right and, given it, exposure does not depend on relevance.",
        status="untestable",
    ),
)


class TuningResult(Result):
    """What `tune` answers: one row a configuration, and the model refitted on the whole log."""

    @property
    def model(self) -> DebiasedMF:
        """The selected model, fitted on the whole log."""
        return cast(DebiasedMF, self.internal("model"))

    @property
    def selected(self) -> dict[str, Any]:
        """The selected hyper-parameters."""
        return dict(self.provenance.config["selected"])


def label(configuration: Mapping[str, Any]) -> str:
    """Return a configuration in words.

    Examples
    --------
    >>> label({"n_factors": 2, "regularization": 8.0})
    'n_factors=2, regularization=8'
    """
    return ", ".join(
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in configuration.items()
    )


def _comparisons(
    estimate: Estimate,
    configurations: list[dict[str, Any]],
    chosen: dict[str, Any],
    estimator: str,
    loss_words: HeldOutLoss,
) -> tuple[Table, ...]:
    """Return the paired differences from the selected configuration, and the estimators' best."""
    if len(configurations) == 1:
        return ()
    own, loss = label(chosen), dict(zip(estimate.labels, estimate.value.tolist(), strict=True))
    others = [name for name in estimate.labels if name != own]
    gaps = estimate.contrast({name: {name: 1.0, own: -1.0} for name in others})
    lower, upper = gaps.interval(0.95).T
    found = zip(gaps.value, gaps.standard_error, lower, upper, strict=True)
    rows = {name: tuple(map(float, one)) for name, one in zip(others, found, strict=True)}
    columns = ("difference", "standard_error", "lower", "upper")
    caption = (
        f"Held-out loss less that of {own}, in the same cells; 95 % intervals"
        f" ({loss_words.interval_method}), one by one: they allow neither for the choice nor for"
        " their number."
    )
    tables = [
        Table(
            name="differences",
            title="Paired differences from the selected configuration",
            columns=("configuration", *columns),
            rows=tuple((name, *rows[name]) for name in others),
            caption=caption,
        )
    ]
    best: dict[str, str] = {}
    for one in configurations:
        name = one.get("estimator", estimator)
        if name not in best or loss[label(one)] < loss[best[name]]:
            best[name] = label(one)
    best[chosen.get("estimator", estimator)] = own
    if len(best) > 1:
        zero = (0.0, 0.0, 0.0, 0.0)
        tables.append(
            Table(
                name="estimators",
                title="The best configuration of each estimator",
                columns=("estimator", "configuration", "mse", *columns),
                rows=tuple((e, one, loss[one], *rows.get(one, zero)) for e, one in best.items()),
                caption=caption,
            )
        )
    return tuple(tables)


def tuning_result(
    estimate: Estimate,
    configurations: list[dict[str, Any]],
    chosen: dict[str, Any],
    estimator: str,
    notes: tuple[str, ...],
    held_out: HeldOutLoss = OF_OUTCOMES,
) -> TuningResult:
    """Return the result of a search, without provenance or internals."""
    rows = rows_from_estimate(
        estimate,
        metric=held_out.metric,
        population="all cells of the grid",
        estimator=held_out.estimator,
        null=None,
        interval_method=held_out.interval_method,
    )
    names = tuple(configurations[0])
    losses, errors = estimate.value.tolist(), estimate.standard_error.tolist()
    table = Table(
        name="grid",
        title="Held-out loss by configuration",
        columns=(*names, held_out.metric, "standard_error", "selected"),
        rows=tuple(
            (*one.values(), loss, error, one == chosen)
            for one, loss, error in zip(configurations, losses, errors, strict=True)
        ),
        caption=f"{held_out.words} of the biased log.",
    )
    best = next(row for row in rows if row.label == label(chosen))
    interval = "" if best.lower is None else f" [{best.lower:.3f}, {best.upper:.3f}]"
    return TuningResult(
        kind="tuning",
        title=f"Hyper-parameters of a DebiasedMF trained by {estimator}",
        question="Which configuration predicts unselected cells best?",
        answer=(
            f"{label(chosen)} of {len(configurations)} configurations:"
            f" {held_out.words} {best.value:.3f}{interval}."
        ),
        rows=rows,
        tables=(table, *_comparisons(estimate, configurations, chosen, estimator, held_out)),
        assumptions=(held_out.assumption,),
        notes=(
            "The selected loss is the smallest of several and flatters the selected model, and"
            " its interval is not one after selection: measure the model on data that took no"
            " part in the choice.",
            *notes,
        ),
    )
