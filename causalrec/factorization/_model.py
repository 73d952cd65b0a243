"""`DebiasedMF`: matrix factorisation trained on scores, with scikit-learn's conventions."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from causalrec.errors import StudyError, check_log, near_miss
from causalrec.factorization._adjustments import Popularity
from causalrec.factorization._afterwards import Afterwards
from causalrec.factorization._common import RidgeForm
from causalrec.factorization._objectives import (
    Objected,
    Objective,
    check_objective,
    prepare_objective,
    training_recipe,
)
from causalrec.factorization._options import check_options, check_pairs
from causalrec.factorization._prepare import Prepared, said_of_factors, state_of
from causalrec.factorization._recipe import (
    WITHOUT_PROPENSITY,
    Estimator,
    FeaturesAs,
    Imputation,
    Kernel,
    Recipe,
    Solver,
)
from causalrec.factorization._training import Trained, train

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog
    from causalrec.nuisances import Propensity


class DebiasedMF(Afterwards):
    """Matrix factorisation of what users would like, from a log that selection has biased.

    f = features + mu + a_u + b_i + U_u . V_i is fitted to the outcomes of the observed cells,
    weighted (naive, ips, snips), or to a score of every cell of the grid, as sparse + low rank:
    s = g + O v (y - g), where v is 1 / p (dr, mrdr, stable_dr; relmf with g = 0) or 1 (eib).

    Parameters
    ----------
    estimator : {"naive", "ips", "snips", "eib", "dr", "mrdr", "stable_dr", "relmf", \
            "robust_ips"}, default "mrdr"
        naive: observed cells weigh 1. ips and snips: 1 / p; with weights of mean 1 the two train
        the same model (they differ in evaluation). eib: the outcome where there is one, the
        imputation g elsewhere; needs no propensity, and is right where g is (Steck 2013). dr: the
        doubly robust score, g named by `imputation`. mrdr: g fitted on weights (1 - p) / p^2,
        which minimise the score's variance (Farajtabar et al. 2018, eq. 12). stable_dr: dr with
        1 / p divided by its sum over cells, so that the scale of p plays no role and the mean
        score stays within what outcomes and g allow, however small a propensity (the
        self-normalisation of Li et al. 2023, without their training of p). relmf: y / p in every
        cell of a log of positives, p the declared exposure (Saito et al. 2020).
        robust_ips: the weights within `sensitivity` of 1 / p that make the self-normalised loss
        largest.
    n_factors : int, default 32
        Rank k of the interaction; 0 leaves the biases alone.
    regularization : float, default 8.0
        Ridge on factors and biases, in units of mean-1 weights for every estimator: the prior
        weighs as much as this many average observed cells. Where every cell of the grid has a
        target it is multiplied by cells / observed cells inside, since there each counts once.
    regularization_form : {"uniform", "count"}, default "uniform"
        One ridge for every row, or in proportion to the row's observed cells (same total).
    features : bool or sequence of str, default False
        True: the graph's covariates if `fit` is given a graph, else all usable columns of the
        user and item tables; a sequence names the columns. Arrays, frames and encoders of text
        are handed to `fit`, and need no True here.
    features_as : {"regression", "prior"}, default "regression"
        regression: first fit a ridge regression on user features, item features and their
        crosses, then factorise what it leaves. prior: draw each row's factors and bias around
        what its features say, V_i = W x_i + delta_i, with delta integrated out; every user shares
        W, so that a new item gets *personal* predictions also where users have no features.
    feature_regularization : float, optional
        Ridge of that regression, or of W, in the same unit; default `regularization`.
    imputation : {"biases", "constant", "naive", "ips"}, default "biases"
        g of "dr", "stable_dr" and "eib": user and item biases fitted by ips; the weighted mean; a
        naive or an ips factorisation. With "ips", stable_dr returns g itself, and so does dr
        where 1 / p sums to the number of cells (Kang & Schafer 2007). All of eib's are fitted
        without weights, and it takes no "ips".
    solver : {"als", "sgd", "svd"}, default "als"
        Alternating least squares, exact in each half-sweep; stochastic gradient descent; or the
        closed form of the scores over all cells with biases=False, a soft-thresholded singular
        value decomposition (the same optimum).
    n_sweeps : int, default 30
        At most so many passes (in each stage).
    tol : float, default 1e-5
        Stop when a sweep lowers the loss by less than this share of it; 0 takes all sweeps.
    learning_rate : float, default 0.05
        First step of "sgd"; sweep t takes learning_rate / sqrt(t), halved (and the sweep
        undone) where the loss rises by 2 % or more above the best so far.
    clip_to_range : bool, default False
        Cut predictions to the log's outcome range. The default leaves them as they are: a cut
        makes ties and is not linear. `recommend` never cuts.
    dtype : {"float64", "float32"}, default "float64"
    kernel : {"auto", "scipy", "numba"}, default "auto"
        "auto" compiles (numba) once observed cells x sweeps reach 10^7.
    n_jobs : int, default 1
        Threads of the compiled kernels; the result does not depend on it.
    random_state : int or None, default 0
        Seed of the start and of the order of "sgd".
    objective : {"preference", "effect"}, default "preference"
        preference: the outcome of a cell if it is observed or exposed. effect: what exposing it
        adds, from a log of candidates; the target is the two-arm score of every candidate (Sato
        et al. 2019, 2020), for estimator "dr", "mrdr" or "ips". Scores are noisier than outcomes,
        and the ridge is multiplied by how much, so `regularization` still counts in outcomes. All
        candidates count as seen: rank among them with `recommend(..., exclude_seen=False)`.
    sensitivity : float, default 1.0
        Of "robust_ips": how far the odds of being observed may be from p / (1 - p), as a factor
        (Ding et al. 2022). Their sum of weighted losses is largest at the upper bound of every
        weight; here weights are self-normalised, so the worst ones depend on the losses.
    use_randomized : bool or float in (0, 1), default False
        True: the cells of the log's randomised slice, which need no propensity, count beside the
        selected ones in proportion to the effective sample sizes; a number is their share of the
        loss. For "ips" and "snips". False: they are cells like the others.
    popularity : {"ignore", "remove", "adjust"}, default "ignore"
        The outcome as f x popularity^exponent, fitted by least squares. remove: predict f, what
        would be liked were all items equally popular (PD); adjust: multiply popularity back in
        (PDA; Zhang et al. 2021). For "naive", "ips" and "snips". It helps where people follow the
        crowd, and harms where items are popular because they are good.
    popularity_exponent : float, default 0.2
        Declared, since one log does not say how much of popularity is quality.
    biases : bool, default True
        Fit user and item biases, solved exactly with the factors. False: f = mean + U . V, with
        the (weighted) mean of the target held fixed. The imputation keeps its biases.
    early_stopping : bool or float in (0, 1), default False
        Choose the number of sweeps: hold out this share of the observed cells (True: a tenth),
        watch their SNIPS squared error after each sweep, and fit all cells with the best number
        of sweeps. What it chose is in `notes_` and `validation_losses_`.
    patience : int, default 3
        Sweeps without a smaller held-out loss before early stopping stops.

    Attributes
    ----------
    user_factors_, item_factors_ : float array, shapes (n_users, k), (n_items, k)
    user_biases_, item_biases_ : float array, shapes (n_users,), (n_items,)
    intercept_ : float
    loss_history_ : float64 array, shape (n_sweeps_,)
        Loss with its ridge after each sweep, per cell: weighted over the observed cells, or over
        the whole grid.
    validation_losses_ : float64 array
        Held-out loss after each sweep of early stopping; empty without.
    converged_ : bool
    n_sweeps_ : int
    solver_path_ : {"scipy", "numba"}
    share_clipped_ : float
        Share of propensities that were clipped, as the propensity model reports it.
    effective_sample_size_ : float
        (sum w)^2 / sum w^2 of the observed cells' weights 1 / p (1 for naive and eib).
    user_ids_, item_ids_ : pandas.Index
    notes_ : tuple of str
        What was decided on the way, in sentences.

    See Also
    --------
    tune : choose n_factors and regularization on the biased log.
    load_model : read what `save` wrote.

    References
    ----------
    Schnabel et al. (2016), Recommendations as treatments, eq. 10 (ips). Wang, Zhang, Sun & Qi
    (2019), Doubly robust joint learning, eq. 8 (dr). Farajtabar, Chow & Ghavamzadeh (2018), More
    robust doubly robust off-policy evaluation (mrdr). Steck (2013), Evaluation of recommendations
    (eib). Li, Zheng & Wu (2023), StableDR (stable_dr). Saito et al. (2020), Unbiased recommender
    learning from missing-not-at-random implicit feedback (relmf).

    Examples
    --------
    >>> from causalrec.simulation import simulate
    >>> world = simulate("music", n_users=60, n_items=30, random_state=0)
    >>> model = DebiasedMF(estimator="ips", n_factors=2).fit(world.log, propensity=0.2)
    >>> model.user_factors_.shape
    (60, 2)
    >>> model.recommend(model.user_ids_[:1], k=2)["rank"].tolist()
    [1, 2]
    """

    def __init__(
        self,
        estimator: Estimator = "mrdr",
        *,
        n_factors: int = 32,
        regularization: float = 8.0,
        regularization_form: RidgeForm = "uniform",
        features: bool | Sequence[str] = False,
        feature_regularization: float | None = None,
        features_as: FeaturesAs = "regression",
        imputation: Imputation = "biases",
        solver: Solver = "als",
        n_sweeps: int = 30,
        tol: float = 1e-5,
        learning_rate: float = 0.05,
        clip_to_range: bool = False,
        dtype: str = "float64",
        kernel: Kernel = "auto",
        n_jobs: int = 1,
        random_state: int | None = 0,
        objective: Objective = "preference",
        sensitivity: float = 1.0,
        use_randomized: bool | float = False,
        popularity: Popularity = "ignore",
        popularity_exponent: float = 0.2,
        biases: bool = True,
        early_stopping: bool | float = False,
        patience: int = 3,
    ) -> None:
        self.estimator = estimator
        self.n_factors = n_factors
        self.regularization = regularization
        self.regularization_form = regularization_form
        self.features = features
        self.feature_regularization = feature_regularization
        self.features_as = features_as
        self.imputation = imputation
        self.solver = solver
        self.n_sweeps = n_sweeps
        self.tol = tol
        self.learning_rate = learning_rate
        self.clip_to_range = clip_to_range
        self.dtype = dtype
        self.kernel = kernel
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.objective = objective
        self.sensitivity = sensitivity
        self.use_randomized = use_randomized
        self.popularity = popularity
        self.popularity_exponent = popularity_exponent
        self.biases = biases
        self.early_stopping = early_stopping
        self.patience = patience

    # ------------------------------------------------------------------ parameters

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's parameters by name (`deep` is scikit-learn's; no effect)."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name; return self."""
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                hint = near_miss(name, known)
                raise StudyError(f"DebiasedMF has no parameter {name!r}.{hint}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        default = inspect.signature(type(self)).parameters
        said = [f"{k}={v!r}" for k, v in self.get_params().items() if v != default[k].default]
        return f"{type(self).__name__}({', '.join(said)})"

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_state")

    # ------------------------------------------------------------------ fitting

    def fit(
        self,
        log: InteractionLog,
        propensity: Propensity | ArrayLike | str | None = None,
        graph: CausalGraph | None = None,
        *,
        user_features: Any = None,
        item_features: Any = None,
    ) -> Self:
        """Fit on the observed cells of a log.

        Parameters
        ----------
        log : InteractionLog
            Ratings, candidates (the exposed cells) or impressions; positives for relmf.
        propensity : Propensity, array, str, float or None
            P(observed) or P(exposed) of the cells; None fits one (naive and eib need none, relmf
            asks for a declared one).
        graph : CausalGraph, optional
            Decides the covariates of a propensity fitted here, and of `features=True`.
        user_features, item_features : array, frame or callable, optional
            Features beside those of the tables. An array (n, d) has one row for each of
            `log.user_ids` or `log.item_ids`; a frame has the ids as a column or as its index; a
            callable turns the table into an array (`TextFeatures` does). More than 64 columns
            are projected onto their 64 main directions.

        Raises
        ------
        DataError
            If the log has no outcomes, a propensity lies outside (0, 1], or features are missing,
            infinite, or not aligned with the ids.
        StudyError
            If an option means nothing.
        """
        check_log(log)
        recipe = self._recipe()
        given = user_features, item_features
        objected = self._objected(log, propensity, graph, given=given)
        trained = objected.finish(train(objected.prepared.problem, recipe))
        return self._remember(objected.log, objected.prepared, trained)

    def _objected(
        self, log: InteractionLog, propensity: Any, graph: CausalGraph | None, **more: Any
    ) -> Objected:
        """Return the training problem of a log under this model's options."""
        options, recipe = self.get_params(), self._recipe()
        return prepare_objective(options, log, propensity, graph, recipe, **more)

    def _recipe(self) -> Recipe:
        options = self.get_params()
        check_options(options)
        check_pairs(options)
        check_objective(options)
        recipe = Recipe(**{one.name: options[one.name] for one in fields(Recipe)})
        return training_recipe(options, recipe)

    def _remember(self, log: InteractionLog, prepared: Prepared, trained: Trained) -> Self:
        """Keep what was fitted in the attributes that scikit-learn's conventions name."""
        self._state = state_of(log, prepared, trained, self._recipe())
        self.loss_history_ = np.array(trained.fit.losses)
        self.n_sweeps_ = len(trained.fit.losses)
        self.converged_ = trained.fit.converged
        self.solver_path_ = trained.path
        self.share_clipped_ = prepared.share_clipped
        p = prepared.problem.propensity
        weights = np.ones_like(p) if self.estimator in WITHOUT_PROPENSITY else 1.0 / p
        self.effective_sample_size_ = float(weights.sum() ** 2 / np.square(weights).sum())
        self.notes_ = (*prepared.notes, *said_of_factors(trained, prepared.problem, self._recipe()))
        watched = () if trained.validation is None else trained.validation.losses
        self.validation_losses_ = np.array(watched)
        if trained.validation is not None:
            self.notes_ = (*self.notes_, trained.validation.note())
        return self
