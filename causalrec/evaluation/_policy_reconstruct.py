"""The action distribution of a policy, from the log that it wrote itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from causalrec.errors import DataError
from causalrec.evaluation._policy_estimators import IntArray
from causalrec.evaluation._recommenders import FloatArray

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog


@dataclass(frozen=True, eq=False)
class ReconstructedPolicy:
    """A policy as its own log shows it on average; `policy_value` takes it as `policy`.

    Attributes
    ----------
    by : tuple of str
        What the policy is taken to look at.
    contexts : pandas.Index
        Their values, one entry a row of `shares` (tuples where there are several).
    item_ids : pandas.Index
        Columns of `shares`.
    shares : float64 array (n_contexts, n_items)
        Rows sum to one.
    rows : int64 array (n_contexts,)
        Rows of the log behind each.
    """

    by: tuple[str, ...]
    contexts: pd.Index
    item_ids: pd.Index
    shares: FloatArray
    rows: IntArray

    @property
    def words(self) -> str:
        """What it is, for results."""
        return "the policy reconstructed from its own log"

    @property
    def assumption(self) -> str:
        """What it takes to be that policy."""
        looks = " and ".join(self.by)
        rows, alike = int(self.rows.min()), f" with the same {looks}" if looks else ""
        return (
            f"an item's probability is its share of the rows{alike} of the policy's own log"
            f" ({rows:,} rows or more each): it is the policy's average over that log, right for a"
            f" policy that looks at {looks + ' alone' if looks else 'nothing'} and does not move;"
            " the sampling error of the shares is not in the interval"
        )

    def __call__(self, log: InteractionLog) -> FloatArray:
        """Return the probabilities of every item in every row of a log, (n_rows, n_items).

        Raises
        ------
        DataError
            If the log has contexts that the policy's own log did not have, or lacks items that
            the policy shows.
        """
        context = self.contexts.get_indexer(_contexts(log, self.by))
        unknown = context < 0
        if unknown.any():
            raise DataError.bad_rows(
                " and ".join(self.by),
                "has a value that the policy's own log does not have",
                count=int(unknown.sum()),
                total=log.n_rows,
                rows=np.flatnonzero(unknown)[:5].tolist(),
                way_out="Select the rows that both logs have, or reconstruct by fewer columns.",
            )
        place = self.item_ids.get_indexer(log.item_ids)
        here = np.where(place >= 0, self.shares[:, place], 0.0)
        lost = 1.0 - here.sum(axis=1)
        if lost.max() > 1e-9:
            missing = self.item_ids[~self.item_ids.isin(log.item_ids)]
            raise DataError(
                f"The policy shows {len(missing):,} items that this log does not have (with up to"
                f" {float(lost.max()):.2%} of its probability), such as {list(missing[:5])}. Give"
                " the log a table of items that holds them all."
            )
        return np.asarray(here[context])


def reconstruct_policy(log: InteractionLog, by: Sequence[str] | None = None) -> ReconstructedPolicy:
    """Return the action distribution of the policy that wrote a log, averaged over that log.

    Off-policy estimates of a policy need its probabilities of *all* items in the contexts of
    another log; a log has them for the item that was shown only. Here an item's probability is
    its share of the rows with the same context, which is unbiased for the policy's average
    probability over that log (the logged propensities of an item tell how it moved around that).

    Parameters
    ----------
    log : InteractionLog
        Impressions that the policy chose.
    by : sequence of str, optional
        What the policy looks at: "position", or columns of the log. Default: the position, where
        the log has one.

    Returns
    -------
    ReconstructedPolicy
        A callable of a log, with `shares`, and `assumption` in words. It assumes that the policy
        looks at nothing else and does not move, or that its average is what is asked about.

    Raises
    ------
    DataError
        For a log of another kind.

    Examples
    --------
    >>> from causalrec import datasets, policy_value
    >>> bandit = reconstruct_policy(datasets.open_bandit(policy="bts", campaign="men"))
    >>> bandit.shares.shape
    (3, 34)
    >>> uniform = datasets.open_bandit(policy="random", campaign="men")
    >>> policy_value(uniform, bandit, estimator="ips").rows[0].status
    'ok'
    """
    log.require("impressions", purpose="a policy's action distribution")
    names = (("position",) if log.position is not None else ()) if by is None else tuple(by)
    contexts, code = _distinct(_contexts(log, names))
    counts = np.zeros((len(contexts), log.n_items))
    np.add.at(counts, (code, log.item_codes), 1.0)
    rows = counts.sum(axis=1)
    return ReconstructedPolicy(
        by=names,
        contexts=contexts,
        item_ids=log.item_ids,
        shares=counts / rows[:, None],
        rows=rows.astype(np.int64),
    )


def _contexts(log: InteractionLog, names: tuple[str, ...]) -> pd.Index:
    """Return the context of every row."""
    columns: list[Any] = []
    for name in names:
        if name == "position":
            log.require_fields("position", purpose="a policy by position")
            columns.append(log.position)
        else:
            columns.append(log.column(name).to_numpy())
    if not columns:
        return pd.Index(np.zeros(log.n_rows, dtype=np.int64))
    return pd.Index(columns[0]) if len(columns) == 1 else pd.MultiIndex.from_arrays(columns)


def _distinct(contexts: pd.Index) -> tuple[pd.Index, IntArray]:
    code, distinct = pd.factorize(contexts, sort=True)
    return pd.Index(distinct), code
