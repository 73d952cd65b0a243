"""Choose among propensities by held-out balance and calibration, not by log-loss alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import StudyError
from causalrec.nuisances._balance import balance
from causalrec.nuisances._base import Propensity
from causalrec.nuisances._calibrate import Counts, fit_map
from causalrec.nuisances._diagnostics import effective_sample_size
from causalrec.nuisances._grid_logit import blocks
from causalrec.nuisances._model import PropensityModel
from causalrec.nuisances._never import NEVER
from causalrec.nuisances._report import PLAUSIBLE_SUM
from causalrec.nuisances._resolve import grid_propensity, row_propensity
from causalrec.results import Result, Table, provenance

if TYPE_CHECKING:
    import pandas as pd

    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]

TIE = 0.01
"""Imbalances this near, in standard deviations of a feature, count as equal."""
PLAUSIBLE_SLOPE = (0.8, 1.25)
DEFAULTS = {
    "ratings": ("logistic", "low-rank", "popularity", "independence"),
    "candidates": ("logistic", "boosting", "independence"),
}
RULE = (
    f"Of the candidates whose sum(1/p)/cells and calibration slope on held-out data lie between"
    f" {PLAUSIBLE_SUM[0]} and {PLAUSIBLE_SUM[1]}, the one with the smallest imbalance; among those"
    f" within {TIE} of it, the one with the smallest log-loss."
)
CAVEAT = (
    "The rule sees the features that the tables hold. Selection on anything else, or on the outcome"
    " itself, it cannot see; and intervals of what is estimated with the chosen propensity do not"
    " count that it was chosen."
)


@dataclass(frozen=True)
class Standing:
    """What held-out data says of one candidate (means over the repeats).

    Attributes
    ----------
    log_loss : float
        A cell (row).
    imbalance : float
        Root mean squared standardised difference of the features, overall and within groups, with
        the noise that weights from the whole log would have: the error of SNIPS for what is known.
    worst : float
        Largest mean standardised difference.
    slope : float
        Of the logit: 1 is right, below it the propensities are too extreme.
    sum_inverse : float
        sum(1/p)/cells.
    effective_share : float
        Effective sample size of what happened, as a share of it.
    """

    log_loss: float
    imbalance: float
    worst: float
    slope: float
    sum_inverse: float
    effective_share: float

    @property
    def plausible(self) -> bool:
        """Whether it passes the first part of the rule."""
        return (
            PLAUSIBLE_SUM[0] <= self.sum_inverse <= PLAUSIBLE_SUM[1]
            and PLAUSIBLE_SLOPE[0] <= self.slope <= PLAUSIBLE_SLOPE[1]
        )


@dataclass(frozen=True)
class PropensityChoice:
    """The chosen propensity, fitted on the whole log, and how the candidates stood.

    Attributes
    ----------
    name : str
    propensity : Propensity
    result : Result
        The table, the rule and the caveat; `write_report` draws it.
    """

    name: str
    propensity: Propensity
    result: Result

    def to_frame(self) -> pd.DataFrame:
        """Return the table, one candidate a row, the chosen first."""
        return self.result.tables[0].to_frame()

    def summary(self) -> str:
        """Return the answer, the rule and the caveat as plain text."""
        return self.result.summary()

    __str__ = summary


def choose_propensity(
    log: InteractionLog,
    candidates: Sequence[str | PropensityModel] | Mapping[str, Propensity] | None = None,
    graph: CausalGraph | None = None,
    *,
    repeats: int = 3,
    test_size: float = 0.2,
    random_state: int | None = 0,
) -> PropensityChoice:
    """Choose among propensities by how well each repairs what can be checked on held-out data.

    The best log-loss is not the best correction: on Coat, factors have the lowest held-out log-loss
    of eight models and one of the worst SNIPS means, because they spend themselves on tastes that
    do not matter and shrink what does.

    Parameters
    ----------
    log : InteractionLog
        Kind "ratings" or "candidates".
    candidates : sequence or mapping, optional
        Methods of `PropensityModel`, models, or {name: model or known propensity}. Default, on
        ratings: logistic, low-rank, popularity, independence; on candidates: logistic, boosting,
        independence.
    graph : CausalGraph, optional
        Decides the covariates of each model.
    repeats : int
        Random splits, over which the figures are averaged.
    test_size : float
        Held-out share of the observed cells (ratings) or of the users (candidates).
    random_state : int, optional

    Returns
    -------
    PropensityChoice

    Raises
    ------
    StudyError
        If there are fewer than two candidates, or one that depends on the outcome.

    Notes
    -----
    Ratings are split by cell: a model fitted on the share 1 - r of the observed cells is checked on
    the others, where the propensity is r p over all cells. What a model has learned from a cell's
    own O shows there: its sum(1/p)/cells is far above 1.

    Examples
    --------
    >>> import causalrec as cr
    >>> world = cr.simulate("music", n_users=600, n_items=150, random_state=0)
    >>> found = choose_propensity(world.log, ["logistic", "independence"], world.graph, repeats=1)
    >>> found.name, found.to_frame()["chosen"].tolist()
    ('logistic', [True, False])
    """
    log.require("ratings", "candidates", purpose="choosing a propensity")
    models = _named(log, candidates)
    seeds = np.random.default_rng(random_state).integers(2**31, size=max(repeats, 1))
    splits = [_Held.of(log, test_size, int(seed)) for seed in seeds]
    standings = {name: _standing(model, splits, graph) for name, model in models.items()}
    name = choose(standings)
    propensity = _fitted(models[name], log, graph)
    config = {"repeats": repeats, "test_size": test_size, "candidates": list(models)}
    result = Result(
        kind="propensity",
        title="Which propensity",
        question="Which of these propensities repairs the selection best?",
        answer=_answer(name, standings),
        tables=(_table(name, standings),),
        notes=(RULE, CAVEAT, *propensity.notes_),
        provenance=provenance(log, random_state, config),
    )
    return PropensityChoice(name, propensity, result.with_internals(propensity=propensity))


def choose(standings: Mapping[str, Standing]) -> str:
    """Apply the rule; where no candidate passes its first part, to all of them."""
    passed = {name: x for name, x in standings.items() if x.plausible} or dict(standings)
    smallest = min(x.imbalance for x in passed.values())
    near = [name for name, x in passed.items() if x.imbalance <= smallest + TIE]
    return min(near, key=lambda name: passed[name].log_loss)


def _named(log: InteractionLog, candidates: Any) -> dict[str, Propensity]:
    given = DEFAULTS[log.kind] if candidates is None else candidates
    if isinstance(given, Mapping):
        found = {str(name): x for name, x in given.items()}
    else:
        models = [PropensityModel(x) if isinstance(x, str) else x for x in given]
        found = {
            x if isinstance(x, str) else repr(x): m for x, m in zip(given, models, strict=True)
        }
    if len(found) < 2:
        raise StudyError("Choosing takes at least two candidates with different names.")
    for name, model in found.items():
        if getattr(model, "method", None) == "naive-bayes" or model.depends_on_outcome:
            raise StudyError(
                f"{name!r} depends on the outcome, so that most held-out cells have no propensity"
                " to check. Compare its estimate with that of a randomised slice instead."
            )
    return found


def _fitted(model: Propensity, log: InteractionLog, graph: CausalGraph | None) -> Propensity:
    return model.clone().fit(log, graph) if isinstance(model, PropensityModel) else model


@dataclass(frozen=True)
class _Held:
    """A log and the two parts of one split of it."""

    log: InteractionLog
    train: InteractionLog
    test: InteractionLog
    share: float

    @classmethod
    def of(cls, log: InteractionLog, test_size: float, seed: int) -> _Held:
        by: Any = "cell" if log.kind == "ratings" else "user"
        return cls(log, *log.split(by, test_size, seed), test_size)

    def loss(self, propensity: Propensity) -> tuple[float, float]:
        """Return (log-loss, calibration slope) on what the fit has not seen."""
        total, n = 0.0, 0
        pieces = []
        for p, event, sign in self._pieces(propensity):
            q = np.clip(p, NEVER, 1.0 - 1e-9)
            total += sign * float((np.log1p(-q) * (event - 1.0) - np.log(q) * event).sum())
            n += int(sign) * len(q)
            pieces.append((q, event, sign))
        parts = [
            Counts.of(iter([(q, np.zeros(len(q), dtype=np.int64), event)]), 1)
            for q, event, _ in pieces
        ]
        signs = [sign for *_, sign in pieces]
        counts = Counts(*(
            sum(s * getattr(part, field) for s, part in zip(signs, parts, strict=True))
            for field in ("population", "happened", "total")
        ))  # fmt: skip
        share = counts.without(-1)
        return total / n, float(fit_map("platt", *share).y[1])

    def _pieces(self, propensity: Propensity) -> Iterator[tuple[Floats, Floats, float]]:
        """Yield (P, happened, +1 or -1): cells outside the training part as all, minus that."""
        if self.log.kind == "candidates":
            p = row_propensity(propensity, self.test)
            assert self.test.exposure is not None  # candidates have one
            yield p, self.test.exposure.astype(np.float64), 1.0
            return
        for users in blocks(self.log.n_users, self.log.n_items):
            q = self._outside(grid_propensity(propensity, self.log, users))
            allowed = self.log.eligible_block(users)
            inside = q.ravel() if allowed is None else q[allowed]
            yield inside, np.zeros(inside.size), 1.0
        for part, moved in ((self.train, ((0.0, -1.0),)), (self.test, ((0.0, -1.0), (1.0, 1.0)))):
            cells = part.observed_cells()
            p = propensity.of_cells(self.log, cells.users, cells.items)
            q = self._outside(np.minimum(p / propensity.sampling_rate_, 1.0))
            for event, sign in moved:
                yield q, np.full(len(q), event), sign

    def _outside(self, p: Floats) -> Floats:
        return np.asarray(self.share * p / (1.0 - (1.0 - self.share) * p))

    def balance(self, propensity: Propensity) -> tuple[Floats, Floats]:
        """Return (after, noise) of every comparison, of both arms on candidates."""
        arms = (1, 0) if self.log.kind == "candidates" else (1,)
        lines = [x for arm in arms for x in balance(propensity, self.test, arm=arm)]
        return np.array([x.after for x in lines]), np.array([x.noise for x in lines])

    def weights(self, propensity: Propensity) -> tuple[float, float]:
        """Return (sum(1/p)/cells, effective share) of what happened in the test part."""
        p = row_propensity(propensity, self.test)
        if self.test.exposure is not None:
            w = 1.0 / p[self.test.exposure == 1]
            return float(w.sum()) / len(p), effective_sample_size(w) / len(w)
        w, cells = 1.0 / p, 0
        for users in blocks(self.log.n_users, self.log.n_items):
            allowed = self.log.eligible_block(users)
            size = (users.stop - users.start) * self.log.n_items
            cells += size if allowed is None else int(allowed.sum())
        return float(w.sum()) / cells, effective_sample_size(w) / len(w)


def _standing(model: Propensity, splits: Sequence[_Held], graph: CausalGraph | None) -> Standing:
    found = []
    for held in splits:
        propensity = _fitted(model, held.train, graph)
        after, noise = held.balance(propensity)
        # what is bias stays; noise is that of the whole log's weights
        squared = after**2 - (1.0 - held.share) * noise**2
        mean = float(squared.mean()) if len(squared) else 0.0
        worst = float(np.abs(after).max(initial=0.0))
        found.append((*held.loss(propensity), mean, worst, *held.weights(propensity)))
    loss, slope, squared_mean, worst, total, effective = np.mean(found, axis=0).tolist()
    return Standing(loss, float(np.sqrt(max(squared_mean, 0.0))), worst, slope, total, effective)


def _answer(name: str, standings: Mapping[str, Standing]) -> str:
    mine = standings[name]
    best = min(standings, key=lambda x: standings[x].log_loss)
    said = (
        f"{name} repairs best what can be checked: held-out imbalance {mine.imbalance:.3f} standard"
        f" deviations, calibration slope {mine.slope:.2f}, sum(1/p)/cells {mine.sum_inverse:.2f}."
    )
    if not mine.plausible:
        said += " No candidate is calibrated well enough on held-out data: read it with care."
    if best != name:
        said += (
            f" Log-loss alone would have taken {best}, with an imbalance of"
            f" {standings[best].imbalance:.3f}."
        )
    return said


def _table(chosen: str, standings: Mapping[str, Standing]) -> Table:
    order = sorted(standings, key=lambda name: (name != chosen, standings[name].imbalance))
    rows = []
    for name in order:
        x = standings[name]
        rows.append((
            name, x.log_loss, x.imbalance, x.worst, x.slope, x.sum_inverse, x.effective_share,
            x.plausible, name == chosen,
        ))  # fmt: skip
    return Table(
        name="candidates",
        title="Candidates, on held-out data",
        columns=(
            "propensity", "log-loss", "imbalance", "largest difference", "calibration slope",
            "sum(1/p)/cells", "effective share", "plausible", "chosen",
        ),
        rows=tuple(rows),
        caption=RULE,
        figure="bars",
        x="propensity",
        y=("imbalance",),
    )  # fmt: skip
