"""The study file: a TOML document, validated whole before anything is computed."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from causalrec.errors import StudyError, near_miss
from causalrec.interactions import Columns

EffectEstimator = Literal[
    "dr", "ips", "regression", "econml", "dr-learner", "causal-forest-dml", "linear-dml"
]
MeanEstimator = Literal["naive", "regression", "ips", "snips", "dr"]
EvaluationEstimator = Literal["naive", "ips", "snips", "dr", "plain"]
ModelEstimator = Literal["naive", "ips", "snips", "eib", "dr", "mrdr", "stable_dr", "robust_ips"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StudySection(_Section):
    """What the study is called, its seed and where its results go."""

    title: str
    seed: int = 0
    output: str = "results"
    formats: tuple[Literal["html", "json", "md", "csv", "tex"], ...] = ("html", "json", "md")
    min_cell: int = Field(default=11, ge=1)
    level: float = Field(default=0.95, gt=0.5, lt=1)


class LogSection(_Section):
    """Where the log comes from: files, a simulated world or a public data set by path."""

    events: str | None = None
    users: str | None = None
    items: str | None = None
    world: Literal["shop", "social", "music", "video"] | None = None
    world_options: dict[str, float | int] = Field(default_factory=dict)
    dataset: Literal["open_bandit", "coat", "movielens", "kuairec"] | None = None
    path: str | None = None
    kind: Literal["ratings", "candidates", "impressions", "positives"] | None = None
    outcome_range: tuple[float, float] | None = None
    columns: Columns = Field(default_factory=Columns)

    @model_validator(mode="after")
    def _one_source(self) -> LogSection:
        sources = [s for s in (self.events, self.world, self.dataset) if s is not None]
        if len(sources) != 1:
            raise ValueError(
                "name exactly one source: events = FILE, world = NAME or dataset = NAME"
            )
        return self


class PropensitySection(_Section):
    """How the probability of being observed (or exposed) is known or estimated."""

    method: Literal[
        "auto",
        "logistic",
        "cloglog",
        "case-control",
        "low-rank",
        "naive-bayes",
        "boosting",
        "popularity",
        "independence",
        "known",
    ] = "auto"
    column: str | None = None
    clip: float | None = Field(default=None, gt=0, lt=1)


class SplitSection(_Section):
    """How the log is parted before recommenders are trained and evaluated."""

    by: Literal["cell", "user", "time"] = "cell"
    test_size: float = Field(default=0.2, gt=0, lt=1)


class ModelSection(_Section):
    """One recommender of the study; `tune` searches its options on the training part."""

    estimator: ModelEstimator
    objective: Literal["preference", "effect"] = "preference"
    n_factors: int | None = Field(default=None, ge=0)
    regularization: float | None = Field(default=None, ge=0)
    features: bool = False
    features_as: Literal["regression", "prior"] = "regression"
    popularity: Literal["ignore", "remove", "adjust"] = "ignore"
    solver: Literal["als", "sgd", "svd"] = "als"
    early_stopping: bool = False
    sensitivity: float | None = Field(default=None, ge=1)
    """Of `robust_ips`: by how much the odds of being recorded may be off."""
    tune: bool = False


class _Question(_Section):
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")


class EffectQuestion(_Question):
    """What does exposure cause?"""

    kind: Literal["effect"]
    estimator: EffectEstimator = "dr"
    estimand: Literal["ate", "att", "atu"] = "ate"
    contrast: tuple[int | str, ...] = Field(default=(1, 0), min_length=2)
    """Exposed minus not, or values of the graph's exposure: the first against each other one."""
    weights: str | None = None
    """Column of how much each row counts."""
    unit: Literal["item", "slate", "user"] = "item"
    by: tuple[str, ...] = ()
    sampled: tuple[Literal["user", "item"], ...] = ("user", "item")


class MeanQuestion(_Question):
    """What would the mean outcome be, had selection not been at work?"""

    kind: Literal["mean"]
    estimator: MeanEstimator = "dr"
    using: Literal["observed", "randomized"] | None = None
    """By default the randomised slice where the log has one, else what was observed."""
    by: str | None = None
    population: Literal["supported", "all"] = "supported"
    sampled: tuple[Literal["user", "item"], ...] = ("user", "item")
    compare_with_randomized: bool = False
    margin: float = Field(default=0.05, gt=0)


class BoundsQuestion(_Question):
    """How far could the mean be from what is observed?"""

    kind: Literal["bounds"]
    method: Literal["range", "msm"] = "msm"
    lam: float = Field(default=1.5, ge=1)


class EvaluationQuestion(_Question):
    """How good are these recommenders, on the held-out part of the log?"""

    kind: Literal["evaluation"]
    models: tuple[str, ...]
    metrics: tuple[str, ...] = ("mse", "mae")
    estimator: EvaluationEstimator = "snips"
    relevance_threshold: float | None = None
    """Outcomes from here on are relevant; metrics of lists that ask for it need it."""
    item_columns: tuple[str, ...] = ()
    """Columns of the items that intra-list-diversity and miscalibration compare."""
    sensitivity: bool = False
    """Whether to add how wrong the propensities may be before an order flips."""


class UpliftQuestion(_Question):
    """What do these recommenders' lists add, on held-out candidates?"""

    kind: Literal["uplift"]
    models: tuple[str, ...]
    k: int = Field(default=10, ge=1)
    estimator: Literal["dr", "ips"] = "dr"


class PolicyQuestion(_Question):
    """What would another policy have earned?"""

    kind: Literal["policy_value"]
    policy: Literal["uniform"] = "uniform"
    estimator: Literal[
        "ips",
        "snips",
        "regression",
        "dr",
        "sndr",
        "switch_dr",
        "shrinkage_dr",
        "sub_gaussian_ips",
        "sub_gaussian_dr",
    ] = "snips"
    slate_model: Literal["independent", "cascade", "standard"] | None = None
    adaptive: bool = False
    interval: Literal["clustered", "empirical_bernstein"] = "clustered"


class AuditQuestion(_Question):
    """Who is treated worse, and is the gap real once selection is corrected?"""

    kind: Literal["audit"]
    model: str | None = None
    user_groups: tuple[str, ...] = ()
    item_groups: tuple[str, ...] = ()
    """Columns; "gender x age" crosses two."""
    unknown: Literal["exclude", "category", "bounds"] = "exclude"
    metrics: tuple[str, ...] | None = None
    """None for the mean outcome without a model, the squared error with one."""
    measures: tuple[str, ...] | None = None
    """Families of measures of the lists; None for the default."""
    relevance_threshold: float | None = None
    """Outcomes from here on are relevant; what needs relevance asks for it."""
    k: int = Field(default=10, ge=1)


class DecompositionQuestion(_Question):
    """Through which pathway does a gap between two groups arise?"""

    kind: Literal["decomposition"]
    by: str
    groups: tuple[str, str] | None = None
    method: Literal["exposure", "standard_fairness"] = "exposure"
    effect: Literal["natural", "interventional"] = "natural"
    allowed_mediators: tuple[str, ...] | None = None
    sampled: tuple[Literal["user", "item"], ...] = ("user", "item")
    refute: bool = False
    """Whether to add the refuters: some seconds."""


class ImpactRatiosQuestion(_Question):
    """At what rate is each category selected, beside the category selected most?"""

    kind: Literal["impact_ratios"]
    by: tuple[str, ...] = Field(min_length=1)
    """Columns of the user table, or of the item table."""
    model: str | None = None
    scores: str | None = None
    """A column of the events: the tool scores, and does not select."""
    k: int | None = Field(default=None, ge=1)
    among: dict[str, str] = Field(default_factory=dict)
    intersections: bool = True
    unknown: tuple[str, ...] = ()
    """Levels that mean "not known"."""
    sampled: tuple[Literal["user", "item"], ...] = ("user", "item")


class RandomizationQuestion(_Question):
    """How large must a randomised slice be, for which question, and what does it cost?"""

    kind: Literal["randomization_plan"]
    question: Literal["mean", "gap", "difference", "effect", "encouragement", "position"] = "mean"
    precision: float = Field(gt=0)
    """Half the width of the interval that the slice is to give."""
    by: str | None = None
    groups: tuple[str, str] | None = None
    models: tuple[str, ...] = ()
    metric: Literal["mse", "mae", "log-loss"] = "mse"
    exposure_share: float = Field(default=0.5, gt=0, lt=1)
    positions: tuple[int, int] | None = None
    items_per_user: int | None = Field(default=None, ge=1)
    sampled: tuple[Literal["user", "item"], ...] = ("user", "item")
    power: float = Field(default=0.8, ge=0.5, lt=1)


Question = Annotated[
    EffectQuestion
    | MeanQuestion
    | BoundsQuestion
    | EvaluationQuestion
    | UpliftQuestion
    | PolicyQuestion
    | AuditQuestion
    | DecompositionQuestion
    | ImpactRatiosQuestion
    | RandomizationQuestion,
    Field(discriminator="kind"),
]


class StudyFile(_Section):
    """A whole study: log, graph, propensity, models, questions."""

    schema_version: Literal[1] = 1
    study: StudySection
    log: LogSection
    graph: str | None = None
    """A name in `graphs/`, or a path to a DOT or DAGitty file."""
    propensity: PropensitySection = Field(default_factory=PropensitySection)
    split: SplitSection = Field(default_factory=SplitSection)
    models: dict[str, ModelSection] = Field(default_factory=dict)
    questions: tuple[Question, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_known_and_unique(self) -> StudyFile:
        names = [question.name for question in self.questions]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"two questions are called {repeated[0]!r}: give each its own name")
        for question in self.questions:
            asked: tuple[str, ...] = ()
            if isinstance(question, EvaluationQuestion | UpliftQuestion | RandomizationQuestion):
                asked = question.models
            elif isinstance(question, AuditQuestion | ImpactRatiosQuestion) and question.model:
                asked = (question.model,)
            for model in asked:
                if model not in self.models:
                    raise ValueError(
                        f"question {question.name!r} names the model {model!r}, which has no"
                        f" [models.{model}] section.{near_miss(model, self.models)}"
                    )
        return self


def read_study(path: str | Path) -> StudyFile:
    """Read and validate a study file.

    Parameters
    ----------
    path : str or Path
        The TOML file.

    Returns
    -------
    StudyFile
        The validated study, defaults filled in.

    Raises
    ------
    StudyError
        If the file is absent, is not TOML, or does not describe a study; the message gives the
        path inside the document and what is wrong there.
    """
    path = Path(path)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError:
        near = near_miss(path.name, sorted(p.name for p in path.parent.glob("*.toml")))
        raise StudyError(f"There is no study file {path}.{near}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StudyError(f"{path} is not a TOML document: {error}.") from None
    return study_from_dict(document, source=str(path))


def study_from_dict(document: dict[str, Any], *, source: str = "the study") -> StudyFile:
    """Validate a study that is already a dictionary.

    Examples
    --------
    >>> study = study_from_dict({
    ...     "study": {"title": "demo"}, "log": {"world": "shop"}, "graph": "exposure_click",
    ...     "questions": [{"kind": "effect", "name": "effect"}]})
    >>> study.questions[0].estimator
    'dr'
    """
    try:
        return StudyFile.model_validate(document)
    except ValidationError as error:
        lines = [_explain(detail) for detail in error.errors()]
        raise StudyError(f"{source} does not describe a study:\n" + "\n".join(lines)) from None


def _explain(detail: Any) -> str:
    place = ".".join(str(part) for part in detail["loc"]) or "the document"
    message = str(detail["msg"]).removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        message = "this option is unknown here"
    given = detail.get("input")
    shown = "" if isinstance(given, dict) or detail["type"] == "missing" else f" (got {given!r})"
    return f"  {place}: {message}{shown}"
