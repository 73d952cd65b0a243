"""What the questions of one study share: the log, the graph, propensities, parts and models."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import causalrec
from causalrec import datasets
from causalrec.errors import StudyError
from causalrec.results import Provenance, provenance
from causalrec.simulation import World, simulate
from causalrec.study._file import StudyFile
from causalrec.study._store import digest

if TYPE_CHECKING:
    from causalrec.factorization import DebiasedMF
    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog


class Context:
    """Everything lazily: a question that is found among the kept parts costs no fit."""

    def __init__(self, study: StudyFile, base: Path) -> None:
        self.study = study
        self.base = base
        self.seed = study.study.seed
        self.level = study.study.level
        self._models: dict[str, DebiasedMF] = {}

    @cached_property
    def log(self) -> InteractionLog:
        """The log of the study."""
        section = self.study.log
        if section.world is not None:
            options: dict[str, Any] = {"random_state": self.seed, **section.world_options}
            world: World[Any] = simulate(str(section.world), **options)
            return world.log
        if section.dataset is not None:
            return self._dataset()
        assert section.events is not None
        return causalrec.read_log(
            self.base / section.events,
            users=None if section.users is None else self.base / section.users,
            items=None if section.items is None else self.base / section.items,
            kind=section.kind,
            outcome_range=section.outcome_range,
            columns=section.columns,
        )

    def _dataset(self) -> InteractionLog:
        section = self.study.log
        if section.dataset == "open_bandit":
            return datasets.open_bandit(self._path())
        if section.dataset == "coat":
            return datasets.coat(self._path(required=True)).train
        reader = datasets.movielens if section.dataset == "movielens" else datasets.kuairec
        return reader(self._path(required=True))

    def _path(self, *, required: bool = False) -> Any:
        path = self.study.log.path
        if required and path is None:
            raise StudyError(
                f"log.path: the data set {self.study.log.dataset!r} is not shipped;"
                " name the folder that holds it."
            )
        return None if path is None else self.base / path

    @cached_property
    def graph(self) -> CausalGraph | None:
        """The declared graph: a shipped name, or a path beside the study file."""
        name = self.study.graph
        if name is None:
            return None
        beside = self.base / name
        return causalrec.load_graph(str(beside) if beside.is_file() else name)

    def require_graph(self, question: str) -> CausalGraph:
        """Return the graph, or say which question cannot do without."""
        if self.graph is None:
            raise StudyError(
                f"Question {question!r} asks for an effect: declare the graph that identifies it,"
                " graph = NAME or FILE (causalrec graph lists the shipped ones)."
            )
        return self.graph

    def propensity_or_none(self) -> Any:
        """Return the known propensity, or None where the question estimates its own."""
        known = self.study.propensity.method == "known"
        return self.propensity if known else None

    @cached_property
    def propensity(self) -> Any:
        """The propensity that training, evaluation and audit share."""
        section = self.study.propensity
        if section.method == "known":
            return causalrec.KnownPropensity(section.column or "logging_propensity")
        model = causalrec.PropensityModel(method=section.method, clip=section.clip)
        return model.fit(self.log, graph=self.graph)

    @cached_property
    def parts(self) -> tuple[InteractionLog, InteractionLog]:
        """The training and the test part of the log."""
        section = self.study.split
        return self.log.split(by=section.by, test_size=section.test_size, random_state=self.seed)

    def model(self, name: str) -> DebiasedMF:
        """Return a recommender of the study, trained on the training part when first asked for."""
        if name not in self._models:
            section = self.study.models[name]
            options = section.model_dump(exclude={"tune"}, exclude_none=True)
            model = causalrec.DebiasedMF(random_state=self.seed, **options)
            train, _ = self.parts
            # An effect needs both arms of each row: its nuisances are fitted by rows, inside.
            of_effects = section.objective == "effect"
            given = self.propensity_or_none() if of_effects else self.propensity
            if section.tune:
                tuned = causalrec.tune(
                    model, train, propensity=given, graph=self.graph, random_state=self.seed
                )
                self._models[name] = tuned.model
            else:
                self._models[name] = model.fit(train, propensity=given, graph=self.graph)
        return self._models[name]

    def provenance(self) -> Provenance:
        """Return versions, seed, data and the configuration with its defaults written out."""
        return provenance(
            self.log, seed=self.seed, config=self.study.model_dump(mode="json", exclude_none=True)
        )

    def digest_of_what_is_shared(self) -> str:
        """Return the hash of all that decides an answer besides its question."""
        config = self.study.model_dump(mode="json", exclude={"questions"})
        config["study"].pop("output")
        config["study"].pop("formats")
        return digest(
            {
                "config": config,
                "log": self.log.fingerprint(),
                "graph": self.graph.to_dot() if self.graph else "",
                "versions": provenance(self.log).versions,
            }
        )
