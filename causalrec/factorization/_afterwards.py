"""What is done with a fitted factorisation: explain, find neighbours, add rows, export."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from causalrec.errors import DataError, StudyError
from causalrec.factorization._predictions import UNKNOWN_ITEM, UNKNOWN_USER, Predictions
from causalrec.factorization._prepare import propensities
from causalrec.factorization._recipe import WHOLE_GRID, WITHOUT_PROPENSITY
from causalrec.factorization._state import codes_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike

    from causalrec.factorization._explain import Explanation
    from causalrec.factorization._recipe import Recipe
    from causalrec.interactions import InteractionLog
    from causalrec.nuisances import Propensity


FITTED = (
    "loss_history_",
    "n_sweeps_",
    "converged_",
    "solver_path_",
    "share_clipped_",
    "effective_sample_size_",
    "notes_",
    "validation_losses_",
)


def _plain(value: Any) -> Any:
    """Return an array as a list, anything else as it is."""
    return value.tolist() if isinstance(value, np.ndarray) else value


class Afterwards(Predictions):
    """The part of `DebiasedMF` that needs its options beside a fitted state."""

    _recipe: Callable[[], Recipe]
    get_params: Callable[[], dict[str, Any]]

    def explain(self, user: Any, item: Any) -> Explanation:
        """Say which of a user's ratings carry the prediction of an item, exactly.

        Items are held fixed, so that the user is a ridge regression: contributions of the ratings
        add up to the prediction, and the change if one of them had not been given is a rank-one
        update. Influence functions, which leave out the leverage, understate it. Costs O(n k^2)
        for n ratings; the estimators over the whole grid add one Gram matrix of the items.

        Parameters
        ----------
        user, item : id

        Returns
        -------
        Explanation
            `parts` (overall mean, features, item, user level, taste) and `ratings` (contribution
            and `change_if_deleted` of each) as frames; `summary()` in words.

        Raises
        ------
        DataError
            If an id is unknown, or the model was saved without its events.
        StudyError
            If the estimator has no closed form.

        Examples
        --------
        >>> from causalrec.factorization import DebiasedMF
        >>> from causalrec.simulation import simulate
        >>> world = simulate("music", n_users=60, n_items=30, random_state=0)
        >>> model = DebiasedMF("ips", n_factors=2).fit(world.log, propensity=0.2)
        >>> why = model.explain(model.user_ids_[0], model.item_ids_[3])
        >>> bool(abs(why.parts["value"].sum() - why.score) < 1e-12)
        True
        """
        from causalrec.factorization._explain import explain

        state = self._fitted
        self._check_least_squares("explain")
        for entity, one in (("user", user), ("item", item)):
            if isinstance(one, np.ndarray | list):
                raise DataError(
                    f"explain takes one {entity} id, not {len(one)} of them: ask one by one."
                )
        user_code = codes_of(state.user_ids, [user], "user", UNKNOWN_USER)[0]
        item_code = codes_of(state.item_ids, [item], "item", UNKNOWN_ITEM)[0]
        return explain(state, self._recipe(), int(user_code), int(item_code))

    def _check_least_squares(self, verb: str) -> None:
        """Refuse a model whose users are not least squares on the outcomes that were kept."""
        options = self.get_params()
        known = {
            "estimator": ("naive", "ips", "snips", *WHOLE_GRID),
            "solver": ("als", "svd"),
            "objective": ("preference",),
            "popularity": ("ignore",),
            "use_randomized": (False,),
        }
        for name, allowed in known.items():
            if name in options and options[name] not in allowed:
                raise StudyError(
                    f"{verb} solves a user's least squares on the outcomes again, which a model"
                    f" with {name}={options[name]!r} does not come from. It takes {name}="
                    f"{', '.join(map(repr, allowed))}."
                )

    def similar_items(self, item: Any, k: int = 10) -> pd.DataFrame:
        """Return the items whose predicted taste goes with an item's across the users.

        The similarity is the correlation, over users, of what the model predicts beside the
        averages of user and item. It depends on predictions only: cosines of factors change when
        factors are rotated or rescaled, which no prediction notices.

        Parameters
        ----------
        item : id
        k : int, default 10

        Returns
        -------
        pandas.DataFrame
            Columns rank (from 1), item_id, similarity (-1 to 1). Items whose prediction does not
            vary over users have no similarity and are left out.

        Raises
        ------
        DataError
            If the item is unknown.
        StudyError
            If k is below 1, or the model predicts every user the same tastes.
        """
        from causalrec.factorization._similar import similar_items

        state = self._fitted
        code = codes_of(state.item_ids, [item], "item", UNKNOWN_ITEM)[0]
        return similar_items(state, int(code), k)

    def extend(
        self,
        *,
        users: pd.DataFrame | None = None,
        items: pd.DataFrame | None = None,
        user_features: Any = None,
        item_features: Any = None,
    ) -> Self:
        """Return a model that also knows users and items that came after the fit, by features.

        Nobody has met them: they are predicted from what their features say, and `predict`,
        `recommend` and `similar_items` treat them as the others. Users who have events are folded
        in instead (`fold_in`).

        Parameters
        ----------
        users, items : pandas.DataFrame, optional
            Tables with the columns of the log's; new ids as a column of the same name, or as the
            index (as in `log.items`).
        user_features, item_features : array, frame or callable, optional
            Of these rows, where the model was fitted with such.

        Returns
        -------
        DebiasedMF
            Known ids keep their codes; new ones follow.

        Raises
        ------
        DataError
            If the model has no features of that side, an id is known or occurs twice, or a
            feature is missing or has a level that the fit did not see.
        StudyError
            If predictions are multiplied by popularity, which a new item does not have.

        Examples
        --------
        >>> from causalrec.factorization import DebiasedMF
        >>> from causalrec.simulation import simulate
        >>> world = simulate("music", n_users=60, n_items=30, random_state=0)
        >>> model = DebiasedMF("ips", n_factors=2, features=True, features_as="prior")
        >>> _ = model.fit(world.log, propensity=0.2)
        >>> newcomer = world.log.items.iloc[:1].rename(index={5001: "new song"})
        >>> model.extend(items=newcomer).predict([model.user_ids_[0]], ["new song"]).shape
        (1,)
        """
        from causalrec.factorization._extend import extended_state

        state = self._fitted
        if items is not None and self.get_params().get("popularity") == "adjust":
            raise StudyError(
                "popularity='adjust' multiplies the popularity of an item back in, and a new item"
                " has none yet: extend a model with popularity='remove' or 'ignore'."
            )
        if users is not None:
            state = extended_state(state, self._recipe(), "user", users, user_features)
        if items is not None:
            state = extended_state(state, self._recipe(), "item", items, item_features)
        extended = copy.copy(self)
        extended._state = state
        return extended

    def partial_fit(
        self,
        log: InteractionLog,
        propensity: Propensity | ArrayLike | str | None = None,
        *,
        user_features: Any = None,
    ) -> Self:
        """Add new events, and solve the users who have them again with the items as they are.

        A user is solved from all events, those of the fit and the new ones; a new event of a cell
        replaces the earlier. Each of these users is where `fold_in` of the same events puts
        them; the others, and the items, do not move. What many new events would teach of the
        items takes another `fit`.

        Parameters
        ----------
        log : InteractionLog
            New events of known or new users on items that the model knows.
        propensity : Propensity, array, str, float, optional
            Of the new events; as in `fold_in`.
        user_features : array, frame or callable, optional
            Of the users of `log`, where the model was fitted with `user_features`.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If an item is unknown, the propensity is missing, or the model was saved without its
            events.
        StudyError
            If the estimator has no closed form.
        """
        from causalrec.factorization._partial_fit import updated_state

        state = self._fitted
        self._check_least_squares("partial_fit")
        estimator = self.get_params()["estimator"]
        weighs = estimator not in WITHOUT_PROPENSITY
        if propensity is None and weighs and log.logging_propensity is None:
            raise DataError(
                f"Adding events to a model fitted by {estimator!r} needs their propensity: pass a"
                " number, a column's name, or the fitted PropensityModel."
            )
        p = propensities(log, propensity, None, estimator).values
        self._state = updated_state(state, self._recipe(), log, p, user_features)
        return self

    def export_factors(self, directory: str | os.PathLike[str]) -> Path:
        """Write vectors whose inner products are the predictions, for an index of neighbours.

        Factors, biases and features are folded into one vector a row, so that an index of maximum
        inner products (approximate nearest neighbours) ranks as `recommend` does.

        Parameters
        ----------
        directory : path
            Created. users.npy and items.npy (float32, one row an id), users.parquet and
            items.parquet (columns id and vector), and README.txt that says what they are.

        Returns
        -------
        pathlib.Path
            The directory.
        """
        from causalrec.factorization._export import export_factors

        return export_factors(self._fitted, Path(directory))

    def fold_in(
        self,
        log: InteractionLog,
        propensity: Propensity | ArrayLike | str | None = None,
        *,
        user_features: Any = None,
    ) -> Self:
        """Return a model of the users of another log, with the items as they were fitted.

        Each user's factors solve their own normal equation, so what the fitted users get is
        unchanged and the items are not moved. Users without events are predicted from their
        features and the item biases.

        Parameters
        ----------
        log : InteractionLog
            Events of new users (or later events of known ones, which then stand alone) on items
            that the model knows; with features, its user table has the same columns.
        propensity : Propensity, array, str, float, optional
            As in `fit`; needed by every estimator but naive, since a few events do not say what
            made them visible.
        user_features : array, frame or callable, optional
            Of the users of `log`, where the model was fitted with `user_features`.

        Returns
        -------
        DebiasedMF
            A fitted model: `predict` and `recommend` speak of the users of `log`.

        Raises
        ------
        DataError
            If an item is unknown, or the propensity is missing.
        """
        from causalrec.factorization._fold_in import folded_state

        options = self.get_params()
        if options["objective"] != "preference" or options["popularity"] != "ignore":
            raise StudyError(
                "fold_in solves for outcomes; a model of objective='effect' or with popularity="
                " predicts something else: fit it again on a log that has the new users."
            )
        state, estimator = self._fitted, options["estimator"]
        weighs = estimator not in WITHOUT_PROPENSITY
        if propensity is None and weighs and log.logging_propensity is None:
            raise DataError(
                f"Folding users into a model fitted by {estimator!r} needs the propensity of"
                " their events: pass a number, a column's name, or the fitted PropensityModel."
            )
        p = propensities(log, propensity, None, estimator).values
        folded = copy.copy(self)
        folded._state = folded_state(state, self._recipe(), log, p, user_features)
        return folded

    def save(self, directory: str | os.PathLike[str], *, events: bool = True) -> Path:
        """Write the model into a directory: arrays as safetensors, the rest as JSON.

        Everything is written to a temporary directory beside it and renamed, so an interrupted
        save leaves what was there. No code is written, and `load_model` executes none.

        Parameters
        ----------
        directory : path
            Created; a model that is already there is replaced, anything else is refused.
        events : bool, default True
            Write the outcomes too, which `explain` and `partial_fit` need. The file then holds
            what every user gave; False leaves out how much, though not to which items.

        Raises
        ------
        ModelFileError
            If ids are of a type that JSON cannot hold, or the directory holds something else.
        """
        from causalrec.factorization._files import save_model

        fitted = {name: _plain(getattr(self, name)) for name in FITTED}
        state = self._fitted if events else replace(self._fitted, events=None)
        return save_model(Path(directory), self.get_params(), fitted, state)
