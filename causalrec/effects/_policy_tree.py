"""Whom to expose: a small tree learned from some users, its gain measured on the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.effects._held_out import deal_users
from causalrec.effects._linear import effect_rows, functional_score
from causalrec.effects._modifier_design import raw_design
from causalrec.effects._modifiers import refuse_consequences
from causalrec.effects._words import amount, interval_method
from causalrec.errors import StudyError
from causalrec.results import Assumption, Result, Row, Table, multiplicity, rows_from_estimate

if TYPE_CHECKING:
    from causalrec.effects._result import EffectResult
    from causalrec.effects._scores import Computation
    from causalrec.inference import Estimate

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
OVER_NONE, OVER_ALL, BEST = "tree - expose none", "tree - expose all", "expose all - expose none"
METRIC = "gain a row, cost taken off"


def effect_policy(
    effect: EffectResult,
    columns: Sequence[str],
    *,
    cost: float = 0.0,
    max_depth: int = 2,
    min_leaf: int = 100,
    share: float = 0.5,
    random_state: int | None = 0,
) -> Result:
    """Learn whom to expose by a tree, and measure its gain on users it has not seen.

    Parameters
    ----------
    effect : EffectResult
        From `estimate_effect` with estimator "dr", "ips" or "econml", estimand "ate" and contrast
        (1, 0).
    columns : sequence of str
        What the rule may look at; columns that precede the exposure.
    cost : float
        Of one exposure, in the units of the outcome.
    max_depth : int
        Questions asked of a row at most.
    min_leaf : int
        Smallest number of rows in a leaf.
    share : float
        Of the users, to learn from; the others measure.
    random_state : int or None

    Returns
    -------
    Result
        Of kind "policy_tree". Rows: gain of the tree over exposing none and over exposing all, of
        exposing all over none, each a row of the log and net of cost; and the share it exposes.
        Table: the rules. `internal("exposes")` is its decision for every supported row.

    Raises
    ------
    DataError
        If a column cannot be a modifier.
    StudyError
        If the effect has no score, or options are out of range.
    ResultError
        If the effect was reloaded from a file.

    Notes
    -----
    Athey & Wager (2021), "Policy learning with observational data", by EconML's `PolicyTree` on
    the doubly robust score less the cost; greedy. The gain is the mean of the scores of held-out
    users where the tree decides otherwise, clustered as the effect is; the tree is taken as given.
    It is the gain of exposing single items with the rest of the slate as it was.

    Examples
    --------
    >>> import causalrec as cr
    >>> from causalrec.effects import effect_policy
    >>> world = cr.simulate("shop", n_users=300, n_items=60, random_state=1)
    >>> effect = cr.estimate_effect(world.log, world.graph, n_repeats=1)
    >>> found = effect_policy(effect, ["quality", "gender"], cost=0.15)
    >>> [row.label for row in found.rows]
    ['tree - expose none', 'tree - expose all', 'expose all - expose none', 'share exposed']
    """
    computation: Computation = effect.internal("computation")
    _check(computation, cost, max_depth, min_leaf)
    tau = effect_rows(computation, "A policy tree") - cost
    rows = computation.population.rows
    matrix, names = raw_design(rows, columns)
    refuse_consequences(effect, columns)
    teach = deal_users(rows, share, random_state)
    tree = _grow(matrix[teach], tau[teach], max_depth, min_leaf, random_state)
    exposes = np.asarray(tree.predict(matrix)).ravel() == 1
    joint = _gains(computation, tau, exposes, ~teach)
    shown = _rows(joint, computation, exposes[~teach])
    return Result(
        kind="policy_tree",
        title=f"{effect.title}: whom to expose",
        question=f"Whom should we expose, if an exposure costs {cost:g}?",
        answer=_answer(shown, cost),
        rows=shown,
        tables=(_rules(tree.tree_, names, matrix[~teach], tau[~teach] + cost),),
        assumptions=(*effect.assumptions, _HELD_OUT),
        notes=(
            f"The tree was learned from {int(teach.sum()):,} rows and is measured on"
            f" {int((~teach).sum()):,} rows of other users.",
        ),
        family=multiplicity(2, "sup-t", "gains of the tree"),
        graph_dot=effect.graph_dot,
        adjustment=effect.adjustment,
        provenance=effect.provenance,
    ).with_internals(estimate=joint, exposes=exposes)


_HELD_OUT = Assumption(
    name="held-out users",
    statement="The tree was learned from other users than those its gain is measured on; the items"
    " are the same.",
    status="by design",
)


def _check(computation: Computation, cost: float, max_depth: int, min_leaf: int) -> None:
    if computation.question.sign < 0:
        raise StudyError(
            "A policy decides whom to expose: estimate the effect with contrast=(1, 0)."
        )
    if not np.isfinite(cost) or max_depth < 1 or min_leaf < 1:
        raise StudyError(
            f"cost={cost!r}, max_depth={max_depth}, min_leaf={min_leaf}: the cost is a number, and"
            " the tree has at least one question and one row in a leaf."
        )


def _grow(
    matrix: Floats, gain: Floats, max_depth: int, min_leaf: int, random_state: int | None
) -> Any:
    from econml.policy import PolicyTree

    tree = PolicyTree(
        max_depth=max_depth,
        min_samples_leaf=min_leaf,
        min_balancedness_tol=0.5,  # no split is refused for being uneven
        honest=False,  # other users measure it
        random_state=random_state,
    )
    return tree.fit(matrix, np.column_stack([np.zeros(len(gain)), gain]))


def _gains(computation: Computation, net: Floats, exposes: Bools, inside: Bools) -> Estimate:
    """Return the gains of tree over none and all, and of all over none, a held-out row."""
    one = exposes.astype(np.float64)
    weight = np.column_stack([one, one - 1.0, np.ones(len(one))])
    rows = weight * net[:, None]
    value = rows[inside].mean(axis=0)
    score = functional_score(computation, value, rows - value, weight, inside)
    return computation.from_score(score, (OVER_NONE, OVER_ALL, BEST))


def _rows(joint: Estimate, computation: Computation, exposes: Bools) -> tuple[Row, ...]:
    question = computation.question
    rows = rows_from_estimate(
        joint,
        metric=METRIC,
        population="rows of held-out users",
        estimator=question.estimator,
        unit="rows",
        level=question.level,
        interval_method=interval_method(question.sampled),
    )
    band = joint[[OVER_NONE, OVER_ALL]].simultaneous_interval(question.level)
    method = f"simultaneous (sup-t), {interval_method(question.sampled)}"
    both = [
        row
        if row.lower is None
        else row.model_copy(
            update={"lower": float(e[0]), "upper": float(e[1]), "interval_method": method}
        )
        for row, e in zip(rows[:2], band, strict=True)
    ]
    share = Row(
        label="share exposed",
        value=float(exposes.mean()),
        n=len(exposes),
        unit="rows",
        metric="share",
        population="rows of held-out users",
        estimator="tree",
        note="a count, without an interval",
    )
    return (*both, rows[2], share)


def _rules(tree: Any, names: Sequence[str], matrix: Floats, tau: Floats) -> Table:
    """Return one row a leaf: its conditions, its decision, and what held-out users say of it."""
    lines: list[tuple[str, str, int, float | None]] = []

    def walk(node: int, path: tuple[str, ...], inside: Bools) -> None:
        if tree.children_left[node] < 0:
            decision = "expose" if int(np.argmax(tree.value[node].ravel())) == 1 else "do not"
            mean = float(tau[inside].mean()) if inside.any() else None
            lines.append((" and ".join(path) or "always", decision, int(inside.sum()), mean))
            return
        column, limit = int(tree.feature[node]), float(tree.threshold[node])
        low = matrix[:, column] <= limit
        no, yes = _conditions(names[column], limit)
        walk(tree.children_left[node], (*path, no), inside & low)
        walk(tree.children_right[node], (*path, yes), inside & ~low)

    walk(0, (), np.ones(len(tau), dtype=bool))
    return Table(
        name="rules",
        title="The rules of the tree",
        columns=("where", "decision", "rows", "effect"),
        rows=tuple(lines),
        caption="Rows and mean effect (before cost) of the held-out users in each leaf.",
    )


def _conditions(name: str, limit: float) -> tuple[str, str]:
    column, _, level = name.partition(" = ")
    if level:
        return f"{column} is not {level}", f"{column} is {level}"
    return f"{name} <= {limit:.4g}", f"{name} > {limit:.4g}"


def _answer(rows: Sequence[Row], cost: float) -> str:
    none, everybody, _, share = rows
    better = all(row.lower is not None and row.lower > 0.0 for row in (none, everybody))
    verdict = (
        "The tree is better than exposing everybody and than exposing nobody"
        if better
        else "The tree is not shown to be better than both exposing everybody and nobody"
    )
    return (
        f"{verdict}: exposing {share.value or 0.0:.0%} of the rows, it gains {amount(none)} a row"
        f" over exposing none and {amount(everybody)} over exposing all, at a cost of {cost:g} an"
        " exposure."
    )
