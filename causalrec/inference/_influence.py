"""The joint influence of an estimate: its sums, what they were summed over, and its covariance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from causalrec.errors import ResultError
from causalrec.inference._clusters import combine_terms
from causalrec.inference._sums import (
    FloatArray,
    IntArray,
    SmallSums,
    Sums,
    divide,
    join_sums,
)
from causalrec.threads import one_thread

# Below this many clusters on a side a t interval is not honest: a permutation p is given instead.
FEWEST_CLUSTERS = 5

DESIGN: tuple[str, ...] = ()
"""Key of the only term when nothing is sampled: the units whose draw was random."""


@dataclass(frozen=True, eq=False)
class Frame:
    """What an influence was summed over; only influences of one frame can be combined.

    Parameters
    ----------
    kind : str
        "rows", "grid" or "totals".
    codes : mapping of int arrays
        Codes that have to agree element by element.
    n_rows : int
        Rows, or cells, that have to be as many.
    token : object, optional
        Where identity is what has to agree (a streamed accumulation).
    """

    kind: str
    codes: Mapping[str, IntArray]
    n_rows: int = 0
    token: object = None

    def require_same(self, other: Frame) -> None:
        """Raise unless the two influences speak of the same rows and clusters."""
        if self.kind == "totals" and other.kind == "totals" and self.token is not other.token:
            raise ResultError(
                "These estimates come from two separate accumulations of cells, of which only"
                " totals are left, so the covariance between them is not known. Accumulate both"
                " in one CellTotals (more columns), then call to_estimate."
            )
        alike = self.kind == other.kind and self.n_rows == other.n_rows
        if not alike or set(self.codes) != set(other.codes):
            raise ResultError(
                f"These estimates stand on other rows or clusters: {self._words()} and"
                f" {other._words()}. Compute both on the same rows with the same clusters."
            )
        for name, mine in self.codes.items():
            theirs = other.codes[name]
            if mine is not theirs and not np.array_equal(mine, theirs):
                raise ResultError(
                    f"These estimates stand on other rows or clusters: their {name!r} codes differ"
                    f" ({len(mine):,} against {len(theirs):,} entries). Compute both on the same"
                    " rows in the same order, or with one score of several columns."
                )

    def _words(self) -> str:
        return f"{self.n_rows:,} {self.kind} with {', '.join(self.codes) or 'no clusters'}"


@dataclass(frozen=True, eq=False)
class Influence:
    """Joint influence of K ratio estimates ("atoms"), summed over each set of clusters.

    Parameters
    ----------
    sampled : tuple of str
        Dimensions whose clusters count as drawn at random.
    terms : mapping from subset of `sampled` to sums
        One term for each non-empty subset; the key () alone when nothing is sampled.
    shares : mapping from dimension to array (groups, K)
        Share of each atom's denominator that a cluster holds.
    values : float array (K,)
    counts : int array (K,)
        Rows or cells behind each atom.
    sizes : float array (K,)
        Effective sample size of each atom, (sum w)^2 / sum w^2.
    frame : Frame
    parts : tuple of Influence
        What this one was joined from.
    """

    sampled: tuple[str, ...]
    terms: Mapping[tuple[str, ...], Sums]
    shares: Mapping[str, FloatArray]
    values: FloatArray
    counts: IntArray
    sizes: FloatArray
    frame: Frame
    parts: tuple[Influence, ...] = ()

    @property
    def n_atoms(self) -> int:
        """Number of columns, K."""
        return len(self.values)

    @property
    def leaves(self) -> tuple[Influence, ...]:
        """The influences this one was joined from, or itself."""
        return self.parts or (self,)

    def full_share(self, dimension: str) -> FloatArray:
        """Shares of one dimension with a column for each atom, (groups, K)."""
        share = self.shares[dimension]
        return np.broadcast_to(share, (len(share), self.n_atoms))

    def covariance(self, matrix: FloatArray) -> FloatArray:
        """Covariance (q, q) of the atoms mapped by `matrix` (K, q)."""
        mapped = {subset: term.variance(matrix) for subset, term in self.terms.items()}
        return combine_terms(mapped) if self.sampled else mapped[DESIGN]

    @cached_property
    def cluster_counts(self) -> dict[str, IntArray]:
        """Clusters with a share in each atom, by dimension, (K,)."""
        return {
            name: np.broadcast_to(np.count_nonzero(share, axis=0), (self.n_atoms,))
            for name, share in self.shares.items()
        }

    def cluster_sums(self, dimension: str) -> FloatArray:
        """Influence of each atom summed by the clusters of one dimension, (groups, K)."""
        sums = self.terms[(dimension,)]
        assert isinstance(sums, SmallSums), "sums of one dimension are always held as an array"
        return sums.values

    @one_thread
    def effective_clusters(self, dimension: str, matrix: FloatArray) -> FloatArray:
        """Effective number of clusters of each mapped column, (q,).

        Satterthwaite's (sum v)^2 / sum v^2 of the clusters' contributions v to the variance, as
        Carter, Schnepel & Steigerwald (2017) count them, from the design alone: v is the squared
        share of the denominator that a cluster holds, summed over the atoms with their squared
        coefficients. Equal clusters count fully; a contrast of 8 against 40 counts 11, not 48.
        """
        contribution = np.square(self.full_share(dimension)) @ np.square(matrix)
        return divide(np.square(contribution.sum(axis=0)), np.square(contribution).sum(axis=0))


def join_influences(parts: Sequence[Influence]) -> tuple[Influence, list[IntArray]]:
    """Put several influences side by side; one that occurs twice is kept once.

    Returns the joint influence, and the place in it of each atom of each part.
    """
    first = parts[0]
    distinct: list[Influence] = []
    for part in parts:
        if part.sampled != first.sampled:
            raise ResultError(
                f"These estimates treat different things as sampled: {first.sampled} and"
                f" {part.sampled}. Compute both with the same sampled=..."
            )
        first.frame.require_same(part.frame)
        for leaf in part.leaves:
            if not any(leaf is known for known in distinct):
                distinct.append(leaf)
    ends = np.cumsum([leaf.n_atoms for leaf in distinct])
    places = {
        id(leaf): np.arange(end - leaf.n_atoms, end)
        for leaf, end in zip(distinct, ends.tolist(), strict=True)
    }
    where = [np.concatenate([places[id(leaf)] for leaf in part.leaves]) for part in parts]
    return (first if len(distinct) == len(first.leaves) else _side_by_side(distinct)), where


def _side_by_side(leaves: Sequence[Influence]) -> Influence:
    first = leaves[0]
    return Influence(
        sampled=first.sampled,
        terms={key: join_sums([leaf.terms[key] for leaf in leaves]) for key in first.terms},
        shares={
            name: np.hstack([leaf.full_share(name) for leaf in leaves]) for name in first.shares
        },
        values=np.concatenate([leaf.values for leaf in leaves]),
        counts=np.concatenate([leaf.counts for leaf in leaves]),
        sizes=np.concatenate([leaf.sizes for leaf in leaves]),
        frame=first.frame,
        parts=tuple(leaves),
    )
