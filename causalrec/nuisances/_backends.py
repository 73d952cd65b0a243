"""What stands behind the method names of `PropensityModel`: fitted functions of cells or rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import DataError
from causalrec.nuisances._cloglog import LARGEST_LOG_RATE
from causalrec.nuisances._features import Encoders, RowDesign, join_features
from causalrec.nuisances._linear import LinearFit
from causalrec.nuisances._never import NEVER, Never
from causalrec.nuisances._shared import shared_design

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Backend(Protocol):
    """A fitted probability, before clipping."""

    def codes(self, users: NDArray[Any], items: NDArray[Any]) -> Floats:
        """Return P of aligned cells."""
        ...

    def block(self, users: slice) -> Floats:
        """Return P of a block of users against all items."""
        ...

    def rows(self, log: InteractionLog) -> Floats | None:
        """Return P of the rows of a log, or None where P is a function of the cell."""
        ...


@dataclass(frozen=True)
class GridLogit:
    """logit p = (X B)_u . z_i + a_u + b_i."""

    XB: Floats
    Z: Floats
    user_effect: Floats
    item_effect: Floats

    def codes(self, users: NDArray[Any], items: NDArray[Any]) -> Floats:
        """Return P of aligned cells."""
        value = np.einsum("ij,ij->i", self.XB[users], self.Z[items])
        return self.inverse_link(value + self.user_effect[users] + self.item_effect[items])

    def block(self, users: slice) -> Floats:
        """Return P of a block of users against all items."""
        value = self.XB[users] @ self.Z.T
        value += self.item_effect
        value += self.user_effect[users, None]
        return self.inverse_link(value)

    def rows(self, log: InteractionLog) -> None:
        """Return None: P is a function of the cell."""

    @staticmethod
    def inverse_link(value: Floats) -> Floats:
        """Return the probability; `value` is overwritten."""
        return _expit(value)


@dataclass(frozen=True)
class GridCloglog(GridLogit):
    """log(-log(1 - p)) = (X B)_u . z_i + a_u + b_i."""

    @staticmethod
    def inverse_link(value: Floats) -> Floats:
        """Return the probability; `value` is overwritten."""
        np.minimum(value, LARGEST_LOG_RATE, out=value)
        np.exp(value, out=value)
        np.negative(value, out=value)
        np.expm1(value, out=value)
        return np.negative(value, out=value)


@dataclass(frozen=True)
class Rates:
    """p = user rate x item rate / overall rate, at most 1; both rates 1 for independence."""

    user: Floats
    item: Floats

    def codes(self, users: NDArray[Any], items: NDArray[Any]) -> Floats:
        """Return P of aligned cells."""
        return np.asarray(np.minimum(self.user[users] * self.item[items], 1.0))

    def block(self, users: slice) -> Floats:
        """Return P of a block of users against all items."""
        return np.minimum(np.outer(self.user[users], self.item), 1.0)

    def rows(self, log: InteractionLog) -> None:
        """Return None: P is a function of the cell."""


@dataclass(frozen=True)
class RowLogit:
    """P(exposed | row) of a linear fit or a classifier on the row design."""

    model: LinearFit | Any
    encoders: Encoders
    crosses: bool
    x: Floats
    z: Floats

    def predict(self, matrix: Floats) -> Floats:
        """Return P of rows of the design; a classifier brings its own intercept."""
        if isinstance(self.model, LinearFit):
            return self.model.predict(matrix)
        classifier: Any = self.model
        return np.asarray(classifier.predict_proba(matrix[:, 1:])[:, 1], dtype=np.float64)

    def codes(self, users: NDArray[Any], items: NDArray[Any]) -> Floats:
        """Return P of aligned cells, where no event column is adjusted for."""
        if self.encoders.event.codes:
            named = ", ".join(repr(code.column) for code in self.encoders.event.codes)
            raise DataError(
                f"This propensity depends on columns of the events ({named}), so a (user, item)"
                " pair has no single value. Ask for rows: for_rows(log)."
            )
        nothing = np.zeros((len(users), 0))
        matrix = join_features(self.x[users], self.z[items], nothing, crosses=self.crosses)
        return self.predict(matrix)

    def block(self, users: slice) -> Floats:
        """Return P of a block of users against all items, where no event column is used."""
        n_items = len(self.z)
        codes = np.arange(len(self.x))[users]
        cells = self.codes(np.repeat(codes, n_items), np.tile(np.arange(n_items), len(codes)))
        return cells.reshape(len(codes), n_items)

    def rows(self, log: InteractionLog) -> Floats:
        """Return P of the rows of a log."""
        return self.predict(shared_design(log, self.encoders, crosses=self.crosses).matrix)

    def design_rows(self, design: RowDesign, log: InteractionLog, rows: Bools) -> Floats:
        """Return P of some rows of a log whose design is at hand."""
        return at_rows(self.model, design.matrix, rows, self.predict)


@dataclass(frozen=True)
class Restricted:
    """Another backend, with the never-observed (and the always-shown) profiles taken out."""

    inner: Any
    never: Never
    always: Never

    def codes(self, users: NDArray[Any], items: NDArray[Any]) -> Floats:
        """Return P of aligned cells."""
        p: Floats = self.inner.codes(users, items)
        return self._restrict(p, users, items)

    def block(self, users: slice) -> Floats:
        """Return P of a block of users against all items."""
        p: Floats = self.inner.block(users)
        never, always = (x.block(users, slice(None)) for x in (self.never, self.always))
        if never is not None:
            p[never] = NEVER
        if always is not None:
            p[always] = 1.0 - NEVER
        return p

    def rows(self, log: InteractionLog) -> Floats | None:
        """Return P of the rows of a log, or None where P is a function of the cell."""
        p: Floats | None = self.inner.rows(log)
        return None if p is None else self._restrict(p, log.user_codes, log.item_codes)

    def design_rows(self, design: RowDesign, log: InteractionLog, rows: Bools) -> Floats:
        """Return P of some rows of a log whose design is at hand."""
        p = self.inner.design_rows(design, log, rows)
        return self._restrict(p, log.user_codes[rows], log.item_codes[rows])

    def _restrict(self, p: Floats, users: NDArray[Any], items: NDArray[Any]) -> Floats:
        p[self.never.cells(users, items)] = NEVER
        p[self.always.cells(users, items)] = 1.0 - NEVER
        return p


def at_rows(model: Any, matrix: Floats, rows: Bools, predict: Callable[[Floats], Floats]) -> Floats:
    """Predict some rows of a design: a linear fit all of them, which is cheaper than a copy."""
    if isinstance(model, LinearFit):
        return predict(matrix)[rows]
    return predict(matrix[rows])


def _expit(logit: Floats) -> Floats:
    from scipy.special import expit

    return np.asarray(expit(logit, out=logit), dtype=np.float64)
