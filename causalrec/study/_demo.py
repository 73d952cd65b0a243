"""The main job: the three questions where the truth is known, then a real log with a real answer.

Every number comes from the library's public verbs; this file only asks and sets the answers beside
the truth that the simulated worlds know.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import causalrec
from causalrec import datasets
from causalrec.interactions import InteractionLog
from causalrec.reporting import summary_table, write_report
from causalrec.results import Result, Row, Table, ledger
from causalrec.simulation import RatingPotential, World
from causalrec.study._chain import Progress, Silence


def run_demo(folder: str | Path, *, seed: int = 0, progress: Progress | None = None) -> Result:
    """Answer the three questions on simulated worlds, then a real one, and write the report.

    Parameters
    ----------
    folder : str or Path
        Where `report.html` and `report.json` go.
    seed : int
        Seed of the worlds, splits and fits.
    progress : Progress, optional
        Told what is being done; silent by default.

    Returns
    -------
    Result
        Of kind "study": a section a question, and the table "summary": naive, debiased with
        its interval, truth.
    """
    progress = progress or Silence()
    folder = Path(folder)
    with progress.step("1/5 effect: what does showing a product sell? (simulated shop)"):
        effect = _effect(seed)
    with progress.step("2/5 preference: what would listeners rate? (simulated music service)"):
        music = causalrec.simulate("music", random_state=seed)
        propensity = causalrec.PropensityModel().fit(music.log, graph=music.graph)
        mean = _mean(music, propensity, seed)
    with progress.step("3/5 preference: which recommender is better? (music, two models)"):
        train, test = music.log.split(by="cell", test_size=0.2, random_state=seed)
        models = _trained(train, propensity, seed)
        recommenders = _recommenders(music, models, test, propensity)
    with progress.step("4/5 fairness: who is treated worse? (music, gap between countries)"):
        fairness = _fairness(music, propensity)
        audit = _audit(music, models["mrdr"], train, test, propensity)
    with progress.step("5/5 a real log: the uniform policy, from the bandit's log (Open Bandit)"):
        policy = _policy()
    sections = (effect, mean, recommenders, fairness, policy, audit)
    comparison = summary_table(sections[:-1])
    result = Result(
        kind="study",
        title="causalrec demo: naive, debiased, true",
        answer=_answer(comparison),
        tables=(comparison, _policy_table(policy)),
        assumptions=ledger(sections),
        notes=(
            "The shop and the music service are simulated, so the truth is known: that of new"
            " users and new items, which is what the intervals speak of; for the recommenders, of"
            " this world's cells. The Open Bandit log is real: its truth is the mean of the log"
            " of the uniform policy itself, with an interval of its own.",
        ),
        sections=sections,
    )
    with progress.step("writing the report"):
        folder.mkdir(parents=True, exist_ok=True)
        # The page draws the comparison itself, from the sections.
        page = result.model_copy(update={"tables": result.tables[1:]})
        write_report(page, folder / "report.html")
        write_report(result, folder / "report.json")
    return result


def _answer(comparison: Table) -> str:
    """Count how the naive and the debiased answers did where the truth is known."""
    lines = [dict(zip(comparison.columns, row, strict=True)) for row in comparison.rows]
    known = [line for line in lines if isinstance(line["truth"], float)]
    held = sum(_holds(line, line["truth"]) for line in known)
    naive = [line for line in known if isinstance(line["naive"], float)]
    off = sum(not _holds(line, line["naive"]) for line in naive)
    return (
        "A log shows what the recommender let it show; here is what that does to the answers. The"
        f" truth is known (for the bandit: measured) for {len(known)} of them: {held} of"
        f" {len(known)} debiased intervals hold it (95 % of such intervals should). Of"
        f" {len(naive)} naive answers, {off} lie outside the interval that corrects them."
    )


def _holds(line: dict[str, Any], value: Any) -> bool:
    return bool(line["lower"] <= value <= line["upper"])


def _effect(seed: int) -> Result:
    shop = causalrec.simulate("shop", random_state=seed)
    effect = causalrec.estimate_effect(shop.log, shop.graph, estimator="dr", random_state=seed)
    question = "Effect: what does showing a product sell?"
    return _beside_truth(effect, question, shop.population_truth["ate"])


def _mean(music: World[Any], propensity: Any, seed: int) -> Result:
    mean = causalrec.estimate_mean(
        music.log, propensity, graph=music.graph, estimator="dr", random_state=seed
    )
    question = "Preference: the mean rating, all songs heard"
    return _beside_truth(mean, question, music.population_truth["mean"])


def _trained(train: InteractionLog, propensity: Any, seed: int) -> dict[str, Any]:
    # Not "naive": that is a way of judging a model, too, and the page has both.
    options: dict[str, Any] = {"n_factors": 4, "features": True, "random_state": seed}
    models = {
        "uncorrected": causalrec.DebiasedMF(estimator="naive", **options),
        "mrdr": causalrec.DebiasedMF(estimator="mrdr", **options),
    }
    return {name: model.fit(train, propensity=propensity) for name, model in models.items()}


def _recommenders(
    music: World[Any], models: dict[str, Any], test: InteractionLog, propensity: Any
) -> Result:
    result = causalrec.evaluate(
        models, test, metrics=["mse"], estimator=["snips", "naive"], propensity=propensity
    )
    truths = tuple(
        _truth(result[f"{name}: mse"], _true_error(music, model)) for name, model in models.items()
    )
    question = "Preference: a recommender's error, all songs"
    update = {"question": question, "rows": (*result.rows, *truths)}
    return result.model_copy(update=update)


def _true_error(music: World[Any], model: Any) -> float:
    """Return the expected squared error over every cell, which only a simulated world knows."""
    potential: RatingPotential = music.potential
    predicted = model.predict_block(slice(0, music.log.n_users))
    return float(potential.expected_squared_error(predicted).mean())


def _audit(
    music: World[Any], model: Any, train: InteractionLog, test: InteractionLog, propensity: Any
) -> Result:
    return causalrec.audit(
        test,
        model,
        train=train,
        user_groups=["country"],
        item_groups=["label_group"],
        propensity=propensity,
        graph=music.graph,
    ).model_copy(
        update={
            "title": "Audit of the recommender",
            "question": "Audit: who is treated worse by the recommender?",
        }
    )


def _fairness(music: World[Any], propensity: Any) -> Result:
    result = causalrec.audit(
        music.log, user_groups=["country"], propensity=propensity, graph=music.graph
    )
    gap = next(row for row in result.rows if row.derived_from and row.estimator == "dr")
    question = "Fairness: the gap between two countries"
    sign = 1.0 if gap.label.endswith("A - B") else -1.0
    truth = _truth(gap, sign * music.population_truth["gap:country"])
    update = {"title": "Two countries", "question": question, "rows": (*result.rows, truth)}
    return result.model_copy(update=update)


def _policy() -> Result:
    logged = datasets.open_bandit(policy="bts", campaign="men")
    value = causalrec.policy_value(logged, "uniform", estimator=["snips", "ips", "dr"])
    uniform = datasets.open_bandit(policy="random", campaign="men")
    own = causalrec.policy_value(uniform, "uniform", estimator="ips")
    truth = own.rows[0].model_copy(
        update={
            "label": f"{value.rows[0].label} (truth)",
            "estimator": "truth",
            "metric": value.rows[0].metric,
            "note": "on-policy mean of the uniform log",
        }
    )
    question = "Open Bandit: clicks if shown uniformly"
    return value.model_copy(update={"question": question, "rows": (*value.rows, truth)})


def _policy_table(policy: Result) -> Table:
    rows = [row for row in policy.rows if not row.derived_from]
    return Table(
        name="policy",
        title="Open Bandit, men's campaign: clicks an impression under the uniform policy",
        caption="By every estimator from the Thompson-sampling log, and what the uniform policy's"
        " own log shows.",
        columns=("estimator", "value", "lower", "upper", "effective sample size", "from"),
        rows=tuple(
            (
                "on-policy mean" if row.estimator == "truth" else row.estimator,
                row.value,
                row.lower,
                row.upper,
                row.effective_sample_size,
                "uniform log" if row.estimator == "truth" else "Thompson-sampling log",
            )
            for row in rows
        ),
    )


def _beside_truth(result: Result, question: str, truth: float) -> Result:
    rows = (*result.rows, _truth(result.rows[0], truth))
    return result.model_copy(update={"question": question, "rows": rows})


def _truth(row: Row, value: float) -> Row:
    return Row(
        label=f"{row.label} (truth)",
        value=value,
        metric=row.metric,
        group=row.group,
        derived_from=row.derived_from,
        population=row.population,
        estimator="truth",
        note="simulated world",
    )
