"""The registry of metrics, and the reading of names such as "dcg@5"."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from causalrec.errors import StudyError, near_miss
from causalrec.evaluation.metrics import (
    auc,
    average_precision,
    calibration_error,
    coverage,
    dcg,
    hit,
    intra_list_diversity,
    log_loss,
    macro_recall,
    mae,
    miscalibration,
    mse,
    ndcg,
    novelty,
    precision,
    recall,
    reciprocal_rank,
    serendipity,
    uplift,
)
from causalrec.evaluation.metrics._model import Metric

REGISTRY = MappingProxyType(
    {
        definition.name: definition
        for definition in (
            mse.DEFINITION,
            mae.DEFINITION,
            log_loss.DEFINITION,
            auc.DEFINITION,
            calibration_error.DEFINITION,
            dcg.DEFINITION,
            recall.DEFINITION,
            precision.DEFINITION,
            serendipity.DEFINITION,
            ndcg.DEFINITION,
            macro_recall.DEFINITION,
            hit.DEFINITION,
            average_precision.DEFINITION,
            reciprocal_rank.DEFINITION,
            coverage.DEFINITION,
            novelty.DEFINITION,
            intra_list_diversity.DEFINITION,
            miscalibration.DEFINITION,
            uplift.DEFINITION,
        )
    }
)


def parse_metric(text: str) -> Metric:
    """Read a metric's name: "mse", "dcg@5".

    Parameters
    ----------
    text : str
        A name of the registry, with "-" or "_"; list metrics carry their cut-off after "@".

    Raises
    ------
    StudyError
        For an unknown name, a list metric without a cut-off or a cell metric with one.

    Examples
    --------
    >>> metric = parse_metric("recall@10")
    >>> metric.definition.name, metric.cutoff, metric.additive
    ('recall', 10, True)
    """
    name, _, cut = text.strip().lower().replace("_", "-").partition("@")
    if name not in REGISTRY:
        raise StudyError(
            f"There is no metric {text!r}.{near_miss(name, REGISTRY)}"
            f" The metrics are: {', '.join(sorted(REGISTRY))}."
        )
    definition = REGISTRY[name]
    if definition.scope == "cell":
        if cut:
            raise StudyError(f"{name} looks at cells, not at lists: ask for {name!r}.")
        return Metric(definition)
    if not cut.isdigit() or int(cut) < 1:
        raise StudyError(
            f"{name} looks at lists and needs their length: ask for {name + '@5'!r}, for example."
        )
    return Metric(definition, int(cut))


def parse_metrics(names: str | Sequence[str]) -> tuple[Metric, ...]:
    """Read one or several metric names, in order, without repeats.

    Examples
    --------
    >>> [metric.label for metric in parse_metrics(["mse", "dcg@5", "mse"])]
    ['mse', 'dcg@5']
    """
    asked = [names] if isinstance(names, str) else list(names)
    if not asked:
        raise StudyError("No metric was asked for: metrics=['mse', 'dcg@5'], for example.")
    found = {metric.label: metric for metric in map(parse_metric, asked)}
    return tuple(found.values())
