"""Run a study: log -> graph -> questions -> report, each finished answer kept as it comes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import causalrec
from causalrec.reporting import write_report
from causalrec.results import Result, ledger
from causalrec.study._context import Context
from causalrec.study._file import (
    AuditQuestion,
    BoundsQuestion,
    DecompositionQuestion,
    EffectQuestion,
    EvaluationQuestion,
    ImpactRatiosQuestion,
    MeanQuestion,
    PolicyQuestion,
    RandomizationQuestion,
    StudyFile,
    UpliftQuestion,
    read_study,
)
from causalrec.study._store import Store, digest, write_atomically


class Progress(Protocol):
    """What a run tells of its progress: a step that takes a while, and a line."""

    def step(self, text: str) -> AbstractContextManager[None]:
        """Return a context that lasts as long as the step."""
        ...

    def __call__(self, text: str) -> None:
        """Say a line."""
        ...


class Silence:
    """No progress at all: the default inside the library."""

    def step(self, text: str) -> AbstractContextManager[None]:
        """Do nothing for as long as the step lasts."""
        return nullcontext()

    def __call__(self, text: str) -> None:
        """Say nothing."""


def run_study(
    study: str | Path | StudyFile,
    *,
    output: str | Path | None = None,
    progress: Progress | None = None,
) -> Result:
    """Run every question of a study and write its report.

    A finished answer is kept under the hash of what decides it, so an interrupted run resumes
    where it stopped, and the files of the previous run stay whole until all answers are there.

    Parameters
    ----------
    study : str, Path or StudyFile
        The TOML file, or a study that is already read.
    output : str or Path, optional
        The folder of the results; by default the one that the study names, beside the file.
    progress : Progress, optional
        Told what is being done; silent by default.

    Returns
    -------
    Result
        Of kind "study": one section a question, the ledger of assumptions over all of them.

    Raises
    ------
    StudyError, DataError, IdentificationError
        If the file, the log or the graph does not allow the questions.
    """
    progress = progress or Silence()
    base = Path.cwd() if isinstance(study, StudyFile) else Path(study).resolve().parent
    parsed = study if isinstance(study, StudyFile) else read_study(study)
    folder = result_folder(parsed, base, output)
    store = Store(folder)
    with progress.step("reading the log"):
        context = Context(parsed, base)
        shared = context.digest_of_what_is_shared()
    sections = []
    for question in parsed.questions:
        key = digest({"shared": shared, "question": question.model_dump(mode="json")})
        found = store.find(key)
        if found is None:
            with progress.step(f"{question.kind}: {question.name}"):
                found = answer(context, question)
            store.keep(key, found)
        else:
            progress(f"{question.kind}: {question.name} (kept from an earlier run)")
        # Read back what was written: a resumed run and a fresh one publish the same bytes.
        sections.append(Result.from_json(found.to_json()))
    whole = _assemble(parsed, context, sections)
    with progress.step("writing the report"):
        publish(whole, folder, parsed.study.formats)
    return whole


def result_folder(study: StudyFile, base: Path, output: str | Path | None = None) -> Path:
    """Return the folder that a study writes to."""
    return Path(output) if output is not None else base / study.study.output


def report_paths(study: str | Path, output: str | Path | None = None) -> tuple[Path, ...]:
    """Return the files that a study's report is written to, one a format."""
    parsed = read_study(study)
    folder = result_folder(parsed, Path(study).parent, output)
    return tuple(folder / f"report.{ending}" for ending in parsed.study.formats)


def publish(result: Result, folder: Path, formats: tuple[str, ...]) -> None:
    """Write the report in every format; each file replaces its predecessor whole."""
    folder.mkdir(parents=True, exist_ok=True)
    for ending in formats:
        if ending == "json":
            write_atomically(folder / "report.json", result.to_json())
        else:
            write_report(result, folder / f"report.{ending}")


def answer(context: Context, question: Any) -> Result:
    """Answer one question of a study."""
    result = _ANSWERS[type(question)](context, question)
    return result.model_copy(update={"name": question.name})


def _effect(context: Context, question: EffectQuestion) -> Result:
    effect = causalrec.estimate_effect(
        context.log,
        context.require_graph(question.name),
        estimator=question.estimator,
        estimand=question.estimand,
        contrast=question.contrast,
        weights=question.weights,
        unit=question.unit,
        propensity=context.propensity_or_none(),
        sampled=question.sampled,
        level=context.level,
        random_state=context.seed,
    )
    min_cell = context.study.study.min_cell
    by = [effect.by(column, min_cell=min_cell) for column in question.by]
    return effect.model_copy(update={"sections": tuple(by)})


def _mean(context: Context, question: MeanQuestion) -> Result:
    mean = causalrec.estimate_mean(
        context.log,
        propensity=context.propensity_or_none(),
        by=question.by,
        estimator=question.estimator,
        using=question.using,
        graph=context.graph,
        sampled=question.sampled,
        population=question.population,
        min_cell=context.study.study.min_cell,
        level=context.level,
        random_state=context.seed,
    )
    if not question.compare_with_randomized:
        return mean
    compared = causalrec.compare_with_randomized(mean, context.log, margin=question.margin)
    return mean.model_copy(update={"sections": (compared,)})


def _bounds(context: Context, question: BoundsQuestion) -> Result:
    return causalrec.bounds(
        context.log,
        kind=question.method,
        lam=question.lam,
        propensity=context.propensity,
        level=context.level,
    )


def _evaluation(context: Context, question: EvaluationQuestion) -> Result:
    _, test = context.parts
    models = {name: context.model(name) for name in question.models}
    found = causalrec.evaluate(
        models,
        test,
        metrics=list(question.metrics),
        estimator=question.estimator,
        relevance_threshold=question.relevance_threshold,
        item_columns=question.item_columns,
        propensity=context.propensity,
        graph=context.graph,
        level=context.level,
        random_state=context.seed,
    )
    if not question.sensitivity:
        return found
    return found.model_copy(update={"sections": (*found.sections, found.sensitivity())})


def _uplift(context: Context, question: UpliftQuestion) -> Result:
    from causalrec.evaluation import evaluate_uplift

    _, test = context.parts
    return evaluate_uplift(
        {name: context.model(name) for name in question.models},
        test,
        k=question.k,
        estimator=question.estimator,
        graph=context.graph,
        propensity=context.propensity_or_none(),
        level=context.level,
        random_state=context.seed,
    )


def _policy(context: Context, question: PolicyQuestion) -> Result:
    return causalrec.policy_value(
        context.log,
        question.policy,
        estimator=question.estimator,
        slate_model=question.slate_model,
        adaptive=question.adaptive,
        interval=question.interval,
        level=context.level,
    )


def _audit(context: Context, question: AuditQuestion) -> Result:
    # A model is audited on the part of the log that it was not trained on.
    train, test = (None, context.log) if question.model is None else context.parts
    return causalrec.audit(
        test,
        None if question.model is None else context.model(question.model),
        train=train,
        user_groups=list(question.user_groups),
        item_groups=list(question.item_groups),
        unknown=question.unknown,
        metrics=question.metrics,
        measures=question.measures,
        relevance_threshold=question.relevance_threshold,
        k=question.k,
        propensity=context.propensity,
        graph=context.graph,
        min_cell=context.study.study.min_cell,
        level=context.level,
        random_state=context.seed,
    )


def _decomposition(context: Context, question: DecompositionQuestion) -> Result:
    from causalrec.audits import decompose_gap

    found = decompose_gap(
        context.log,
        context.require_graph(question.name),
        by=question.by,
        groups=question.groups,
        method=question.method,
        effect=question.effect,
        allowed_mediators=question.allowed_mediators,
        propensity=context.propensity_or_none() if question.method == "exposure" else None,
        sampled=question.sampled,
        min_cell=context.study.study.min_cell,
        level=context.level,
        random_state=context.seed,
    )
    if not question.refute or not found.parts:
        return found
    return found.model_copy(update={"sections": (found.refute(random_state=context.seed),)})


def _impact_ratios(context: Context, question: ImpactRatiosQuestion) -> Result:
    from causalrec.audits import impact_ratio_table

    train, test = (None, context.log) if question.model is None else context.parts
    return impact_ratio_table(
        test,
        None if question.model is None else context.model(question.model),
        groups=question.by,
        scores=question.scores,
        k=question.k,
        among=question.among,
        intersections=question.intersections,
        unknown=question.unknown,
        train=train,
        sampled=question.sampled,
        min_cell=context.study.study.min_cell,
        level=context.level,
    )


def _randomization(context: Context, question: RandomizationQuestion) -> Result:
    # Models are compared on the part of the log that they were not trained on.
    log = context.parts[1] if question.models else context.log
    logged = log.kind == "impressions" or question.question == "encouragement"
    return causalrec.plan_randomization(
        log,
        question.question,
        question.precision,
        by=question.by,
        groups=question.groups,
        models={name: context.model(name) for name in question.models} or None,
        metric=question.metric,
        propensity=context.propensity_or_none() if logged else context.propensity,
        exposure_share=question.exposure_share,
        positions=question.positions,
        items_per_user=question.items_per_user,
        sampled=question.sampled,
        level=context.level,
        power=question.power,
    )


_ANSWERS: dict[type, Callable[[Context, Any], Result]] = {
    EffectQuestion: _effect,
    MeanQuestion: _mean,
    BoundsQuestion: _bounds,
    EvaluationQuestion: _evaluation,
    UpliftQuestion: _uplift,
    PolicyQuestion: _policy,
    AuditQuestion: _audit,
    DecompositionQuestion: _decomposition,
    ImpactRatiosQuestion: _impact_ratios,
    RandomizationQuestion: _randomization,
}


def _assemble(study: StudyFile, context: Context, sections: list[Result]) -> Result:
    headlines = tuple(
        section.rows[0].model_copy(update={"label": f"{question.name}: {section.rows[0].label}"})
        for question, section in zip(study.questions, sections, strict=True)
        if section.rows
    )
    return Result(
        kind="study",
        title=study.study.title,
        answer=" ".join(section.answer for section in sections if section.answer),
        rows=headlines,
        assumptions=ledger(sections),
        graph_dot=context.graph.to_dot() if context.graph else "",
        provenance=context.provenance(),
        sections=tuple(sections),
    )
