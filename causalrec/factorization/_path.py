"""The regularisation path: one fit after another from a strong ridge down, each from the last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import StudyError
from causalrec.factorization._common import Factors, random_start
from causalrec.factorization._model import DebiasedMF
from causalrec.factorization._recipe import cell_weights
from causalrec.factorization._stages import Start
from causalrec.factorization._training import Problem, Trained, train
from causalrec.threads import one_blas_thread

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike

    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog
    from causalrec.nuisances import Propensity

# The path begins just below where the factors vanish.
BELOW_LARGEST = 0.9
# A column that a stronger ridge put to zero would stay there: each start is stirred by as much.
STIRRED = 0.1
_PASSES = 30


@dataclass(frozen=True)
class RegularizationPath:
    """Models along a path of ridges, strongest first.

    Attributes
    ----------
    regularizations : tuple of float
        In units of mean-1 weights, as `DebiasedMF` takes them.
    models : tuple of DebiasedMF
        Fitted on the whole log, aligned with `regularizations`.
    """

    regularizations: tuple[float, ...]
    models: tuple[DebiasedMF, ...]

    def to_frame(self) -> pd.DataFrame:
        """Return one row a ridge: regularization, loss, n_sweeps, converged, interaction.

        `interaction` is the root mean square of U_u . V_i over all cells: 0 where the factors have
        vanished. `loss` is the training loss with its ridge; choose by `tune`, not by it.
        """
        import pandas as pd

        return pd.DataFrame(
            {
                "regularization": self.regularizations,
                "loss": [float(model.loss_history_[-1]) for model in self.models],
                "n_sweeps": [model.n_sweeps_ for model in self.models],
                "converged": [model.converged_ for model in self.models],
                "interaction": [_interaction(model) for model in self.models],
            }
        )


def regularization_path(
    model: DebiasedMF,
    log: InteractionLog,
    propensity: Propensity | ArrayLike | str | None = None,
    *,
    graph: CausalGraph | None = None,
    regularizations: Sequence[float] | None = None,
    n_values: int = 10,
    smallest: float = 0.01,
    user_features: Any = None,
    item_features: Any = None,
) -> RegularizationPath:
    """Fit a model for each of several ridges, each from where the last one ended.

    Parameters
    ----------
    model : DebiasedMF
        Everything but `regularization`. It is not changed.
    log, propensity, graph, user_features, item_features
        As in `DebiasedMF.fit`.
    regularizations : sequence of float, optional
        Default: `n_values` of them, geometric, from .9 of where the factors vanish (the largest
        singular value of the weighted deviations from the mean) down to `smallest` of it.
    n_values : int, default 10
    smallest : float in (0, 1), default 0.01

    Returns
    -------
    RegularizationPath

    Raises
    ------
    StudyError
        If there are no ridges, or one means nothing.

    References
    ----------
    Mazumder, Hastie & Tibshirani (2010), Spectral regularization algorithms for learning large
    incomplete matrices, section 4.

    Examples
    --------
    >>> from causalrec.simulation import simulate
    >>> world = simulate("music", n_users=60, n_items=30, random_state=0)
    >>> path = regularization_path(DebiasedMF("ips", n_factors=2), world.log, 0.2, n_values=3)
    >>> path.to_frame()["regularization"].is_monotonic_decreasing
    True
    """
    given = user_features, item_features
    objected = model._objected(log, propensity, graph, given=given)
    problem = objected.prepared.problem
    if regularizations is None:
        regularizations = _default(problem, model, n_values, smallest)
    if not len(regularizations):
        raise StudyError("regularizations= is empty: name at least one, or leave it out.")
    models, begin = [], None
    ordered = sorted((float(one) for one in regularizations), reverse=True)
    for number, ridge in enumerate(ordered):
        one = DebiasedMF(**{**model.get_params(), "regularization": ridge})
        trained = train(problem, one._recipe(), begin)
        begin = _stirred(trained, model, number)
        models.append(one._remember(objected.log, objected.prepared, objected.finish(trained)))
    return RegularizationPath(tuple(ordered), tuple(models))


def largest_regularization(problem: Problem, estimator: str) -> float:
    """Return the ridge at which the factors vanish: |w (y - mean)|_2, by power iteration."""
    from scipy import sparse

    weights = cell_weights(estimator, problem.propensity) / problem.noise
    pattern = problem.pattern
    residual = weights * (problem.outcome - np.average(problem.outcome, weights=weights))
    shape = pattern.n_users, pattern.n_items
    matrix = sparse.csr_array((residual, pattern.items, pattern.user_pointer), shape=shape)
    vector = np.random.default_rng(0).normal(size=pattern.n_items)
    norm = 0.0
    for _ in range(_PASSES):
        vector = np.asarray(matrix.T @ (matrix @ (vector / np.linalg.norm(vector))))
        norm = float(np.sqrt(np.linalg.norm(vector)))
        if norm == 0.0:
            break
    return norm


def _default(
    problem: Problem, model: DebiasedMF, n_values: int, smallest: float
) -> tuple[float, ...]:
    if n_values < 1 or not 0.0 < smallest < 1.0:
        raise StudyError(
            f"A path needs n_values of at least 1 and smallest between 0 and 1; got"
            f" n_values={n_values!r}, smallest={smallest!r}."
        )
    with one_blas_thread():
        largest = BELOW_LARGEST * largest_regularization(problem, model._recipe().estimator)
    if largest == 0.0:
        raise StudyError(
            "Every outcome is the mean, so there is no path to walk: name regularizations=."
        )
    return tuple(np.geomspace(largest, smallest * largest / BELOW_LARGEST, n_values).tolist())


def _stirred(trained: Trained, model: DebiasedMF, number: int) -> Start:
    """Return where the next fit begins."""
    factors = trained.factors
    seed = None if model.random_state is None else [model.random_state, number]
    rows = len(factors.user_biases), len(factors.item_biases), factors.n_factors
    drawn = random_start(*rows, np.random.default_rng(seed), model.dtype)
    return Start(_sum(factors, drawn.item_factors), trained.imputation)


def _sum(factors: Factors, drawn: NDArray[np.floating]) -> Factors:
    stir = np.asarray(STIRRED, dtype=drawn.dtype) * drawn
    return replace(factors, item_factors=factors.item_factors + stir)


def _interaction(model: DebiasedMF) -> float:
    users = model.user_factors_.astype(np.float64)
    items = model.item_factors_.astype(np.float64)
    squares = float(np.sum((users.T @ users) * (items.T @ items)))
    return float(np.sqrt(max(squares, 0.0) / (len(users) * len(items))))
