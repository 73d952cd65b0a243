"""Entropy balancing: the propensity moved as little as matches declared moments exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from causalrec.errors import DataError, OverlapError, StudyError
from causalrec.nuisances._features import Encoder, encode
from causalrec.nuisances._grid_logit import blocks
from causalrec.nuisances._never import NEVER

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog
    from causalrec.nuisances._options import Within

Floats = NDArray[np.float64]
Moment = str | tuple[str, str]

STEPS = 100
PRECISION = 1e-11
"""Largest difference of a moment's mean at convergence; features are standardised."""


@dataclass(frozen=True)
class Moments:
    """What is to be matched: means of columns and of products of a user's and an item's column.

    Attributes
    ----------
    user, item, event : Encoder
        Of the columns that are used.
    pairs : tuple of (str, str)
        A column of users and one of items, whose products are matched.
    single : tuple of str
        Columns whose own mean is matched.
    """

    user: Encoder
    item: Encoder
    event: Encoder
    pairs: tuple[tuple[str, str], ...]
    single: tuple[str, ...]

    @classmethod
    def of(cls, log: InteractionLog, declared: Sequence[Moment]) -> Moments:
        """Read what was declared.

        Raises
        ------
        StudyError
            If a pair is not of a column of users and one of items.
        DataError
            If a column is not there, has missing values, or belongs to events that do not exist.
        """
        single = tuple(x for x in declared if isinstance(x, str))
        pairs = [_pair(log, x) for x in declared if not isinstance(x, str)]
        named = list(dict.fromkeys([*single, *(x for pair in pairs for x in pair)]))
        of = {x: log.entity_of(x) for x in named}
        event = [x for x in named if of[x] == "event"]
        if event and log.kind != "candidates":
            raise DataError(
                f"{', '.join(map(repr, event))}: columns of the events cannot be balanced over"
                " cells, because unobserved cells have no event. Declare columns of users or items."
            )
        return cls(
            encode(log.users, [x for x in named if of[x] == "user"], table="users"),
            encode(log.items, [x for x in named if of[x] == "item"], table="items"),
            encode(log.events, event, table="events"),
            tuple(pairs),
            single,
        )

    def names(self) -> tuple[str, ...]:
        """Return what each number of `at` is."""
        found = ["the number of cells"]
        for encoder in (self.user, self.item, self.event):
            for code in encoder.codes:
                found += code.names if code.column in self.single else ()
        user, item = _columns(self.user), _columns(self.item)
        return (*found, *(f"{a} x {b}" for x, y in self.pairs for a in user[x] for b in item[y]))

    def sides(self, users: pd.DataFrame, items: pd.DataFrame) -> list[tuple[Floats, Floats]]:
        """Return (left, right) whose products over all their columns are the moments of a cell."""
        x, z = self.user.apply(users).matrix, self.item.apply(items).matrix
        ones = np.ones((len(x), 1)), np.ones((len(z), 1))
        found = [ones]
        left, right = _spans(self.user), _spans(self.item)
        found += [(x[:, left[c.column]], ones[1]) for c in self.user.codes if self._own(c.column)]
        found += [(ones[0], z[:, right[c.column]]) for c in self.item.codes if self._own(c.column)]
        return found + [(x[:, left[a]], z[:, right[b]]) for a, b in self.pairs]

    def _own(self, column: str) -> bool:
        return column in self.single

    def of_rows(self, log: InteractionLog) -> Floats:
        """Return the moments of each row of a log, (n_rows, k)."""
        sides = self.sides(log.users, log.items)
        cells = at_cells(sides, log.user_codes, log.item_codes)
        events = self.event.apply(log.events).matrix if self.event.codes else None
        if events is None:
            return cells
        before = 1 + sum(len(c.names) for e in (self.user, self.item) for c in e.codes
                         if self._own(c.column))  # fmt: skip
        return np.hstack([cells[:, :before], events, cells[:, before:]])


def _pair(log: InteractionLog, pair: Any) -> tuple[str, str]:
    sides = {log.entity_of(x): x for x in pair} if len(pair) == 2 else {}
    if set(sides) != {"user", "item"}:
        raise StudyError(
            f"balance has {pair!r}: a pair is a column of users and one of items, whose products"
            " are to be matched."
        )
    return sides["user"], sides["item"]


def _columns(encoder: Encoder) -> dict[str, tuple[str, ...]]:
    return {code.column: tuple(code.names) for code in encoder.codes}


def _spans(encoder: Encoder) -> dict[str, slice]:
    found, at = {}, 0
    for code in encoder.codes:
        found[code.column] = slice(at, at + len(code.names))
        at += len(code.names)
    return found


def at_cells(
    sides: list[tuple[Floats, Floats]], users: NDArray[Any], items: NDArray[Any]
) -> Floats:
    """Return the moments of aligned cells, (n, k)."""
    return np.hstack([
        (left[users][:, :, None] * right[items][:, None, :]).reshape(len(users), -1)
        for left, right in sides
    ])  # fmt: skip


@dataclass(frozen=True)
class Balanced:
    """Another backend with logit p lowered by moments' c: 1/p - 1 times exp(c)."""

    inner: Any
    moments: Moments
    sides: list[tuple[Floats, Floats]]
    coefficients: Floats

    def codes(self, users: NDArray[Any], items: NDArray[Any]) -> Floats:
        """Return P of aligned cells."""
        self._refuse_events()
        shift = at_cells(self.sides, users, items) @ self.coefficients
        return lowered(self.inner.codes(users, items), shift)

    def block(self, users: slice) -> Floats:
        """Return P of a block of users against all items."""
        self._refuse_events()
        p: Floats = self.inner.block(users)
        shift, at = np.zeros_like(p), 0
        for left, right in self.sides:
            size = left.shape[1] * right.shape[1]
            mine = self.coefficients[at : at + size].reshape(left.shape[1], right.shape[1])
            shift += left[users] @ mine @ right.T
            at += size
        return lowered(p, shift)

    def rows(self, log: InteractionLog) -> Floats | None:
        """Return P of the rows of a log, or None where P is a function of the cell."""
        p: Floats | None = self.inner.rows(log)
        if p is None:
            return None
        return lowered(p, self.moments.of_rows(log) @ self.coefficients)

    def _refuse_events(self) -> None:
        if self.moments.event.codes:
            named = ", ".join(repr(code.column) for code in self.moments.event.codes)
            raise DataError(
                f"This propensity is balanced on columns of the events ({named}), so a (user, item)"
                " pair has no single value. Ask for rows: for_rows(log)."
            )


def lowered(p: Floats, shift: Floats) -> Floats:
    """Return p with its logit lowered by `shift`; never-observed cells stay so."""
    odds = (1.0 - p) / np.maximum(p, NEVER) * np.exp(np.clip(shift, -700.0, 700.0))
    return np.asarray(np.where(p > NEVER, 1.0 / (1.0 + odds), p))


def balanced(
    inner: Any, log: InteractionLog, within: Within, declared: Sequence[Moment]
) -> tuple[Balanced, tuple[str, ...]]:
    """Move a propensity so that what happened, weighted by 1/p, matches declared moments exactly.

    Parameters
    ----------
    inner : Backend
        Its odds (1 - p) / p are the base weights.
    log : InteractionLog
        Kind "ratings" or "candidates".
    within : Within
        Users and items whose cells (rows) are matched.
    declared : sequence of str or (str, str)

    Notes
    -----
    Hainmueller (2012, Political Analysis 20, "Entropy Balancing for Causal Effects", equations 5-8)
    reweights one group to the moments of another. Here what happened stands for itself, with weight
    1, and its odds (1 - p) / p are moved, as little in relative entropy as matches what did *not*
    happen: so 1/p stays above 1, and the moved p is a logit again (Zhao & Percival 2017).
    """
    moments = Moments.of(log, declared)
    sides = moments.sides(log.users, log.items)
    if log.kind == "candidates":
        features, target, odds = _row_problem(inner, moments, log, within)
    else:
        features, target, odds = _cell_problem(inner, sides, log, within)
    coefficients = solve_dual(features, odds, target, moments.names())
    before, after = 1.0 + odds, 1.0 + odds * np.exp(features @ coefficients)
    named = ", ".join(x if isinstance(x, str) else " x ".join(x) for x in declared)
    said = (
        f"Entropy balancing: weighted by 1/p, what happened has the means of {named} of all"
        f" eligible {'rows' if log.kind == 'candidates' else 'cells'}, exactly; the effective"
        f" sample size went from {_effective(before):,.0f} to {_effective(after):,.0f}."
    )
    other = "The other arm, weighted by 1/(1 - p), is not matched exactly."
    return Balanced(inner, moments, sides, coefficients), (
        (said, other) if log.kind == "candidates" else (said,)
    )


def _effective(w: Floats) -> float:
    return float(w.sum()) ** 2 / float((w**2).sum())


def _row_problem(
    inner: Any, moments: Moments, log: InteractionLog, within: Within
) -> tuple[Floats, Floats, Floats]:
    p: Floats | None = inner.rows(log)
    p = inner.codes(log.user_codes, log.item_codes) if p is None else p
    assert log.exposure is not None  # candidates have one, the log has checked
    kept = within.cells(log.user_codes, log.item_codes) & (p > NEVER)
    features, happened = moments.of_rows(log)[kept], log.exposure[kept] == 1
    p = p[kept]
    return (
        features[happened],
        features[~happened].sum(axis=0),
        (1.0 - p[happened]) / p[happened],
    )


def _cell_problem(
    inner: Any, sides: list[tuple[Floats, Floats]], log: InteractionLog, within: Within
) -> tuple[Floats, Floats, Floats]:
    totals = [np.zeros((left.shape[1], right.shape[1])) for left, right in sides]
    for users, cells in _population(inner, log, within):
        for at, (left, right) in enumerate(sides):
            totals[at] += left[users].T @ (cells @ right)
    observed = within.observed(log)
    p = inner.codes(*observed)
    features = at_cells(sides, *observed)
    total = np.concatenate([x.ravel() for x in totals])
    return features, total - features.sum(axis=0), (1.0 - p) / p


def _population(inner: Any, log: InteractionLog, within: Within) -> Iterator[tuple[slice, Floats]]:
    for users in blocks(log.n_users, log.n_items):
        cells = within.users[users][:, None] & within.items[None, :]
        allowed = log.eligible_block(users)
        cells = cells if allowed is None else cells & allowed
        yield users, (cells & (inner.block(users) > NEVER)).astype(np.float64)


def solve_dual(features: Floats, base: Floats, target: Floats, names: Sequence[str]) -> Floats:
    """Return c such that sum base exp(features c) features = target.

    Parameters
    ----------
    features : float64 (n, k)
        The first column is 1.
    base : float64 (n,)
        Positive base weights.
    target : float64 (k,)
    names : sequence of str (k,)

    Raises
    ------
    OverlapError
        If no positive weights match.

    Examples
    --------
    >>> x = np.column_stack([np.ones(3), [0.0, 1.0, 2.0]])
    >>> c = solve_dual(x, np.ones(3), np.array([10.0, 15.0]), ["1", "x"])
    >>> (x.T @ np.exp(x @ c)).round(9).tolist()
    [10.0, 15.0]
    """
    size = max(float(target[0]), 1.0)
    at = np.zeros(features.shape[1])
    at[0] = np.log(size / float(base.sum()))  # the number of cells first
    weights = base * np.exp(features @ at)
    value = float(weights.sum()) - float(at @ target)
    for _ in range(STEPS):
        gradient = features.T @ weights - target
        if np.abs(gradient).max() <= PRECISION * size:
            return at
        # levels of a column add up to the constant: the least-squares step leaves that direction
        step = np.linalg.lstsq((features * weights[:, None]).T @ features, gradient, rcond=1e-12)[0]
        slope, length = float(gradient @ step), 1.0
        while length > 1e-8:
            moved = at - length * step
            exponent = features @ moved
            if exponent.max() < 600.0:
                new = base * np.exp(exponent)
                lower = float(new.sum()) - float(moved @ target)
                if lower <= value - 1e-4 * length * slope + 1e-12 * size:
                    break
            length /= 2.0
        else:
            break
        at, weights, value = moved, new, lower
    gradient = features.T @ weights - target
    if np.abs(gradient).max() <= 1e-9 * size:
        return at
    worst = int(np.abs(gradient).argmax())
    raise OverlapError(
        f"No weights on what happened match the declared moments: {names[worst]} is off by"
        f" {gradient[worst] / size:+.3g} at best. Some level never happened, or only at one end of"
        " a number: declare fewer moments, or restrict the population to what is supported."
    )
