"""Fairlearn's group metrics where they define the same: plain means by group, and their ends."""

from __future__ import annotations

import numpy as np
import pytest

import causalrec as cr

fairlearn = pytest.importorskip("fairlearn.metrics", reason="fairlearn is not installed")


def test_naive_metrics_of_groups_are_those_of_a_metric_frame() -> None:
    from sklearn.metrics import mean_absolute_error, mean_squared_error

    world = cr.simulate("music", n_users=150, n_items=40, density=0.3, random_state=0)
    log = world.log

    def guess(users: object, items: object) -> np.ndarray:
        return 3.0 + 0.5 * (np.asarray(items) % 3 == 0)

    audit = cr.audit(
        log, guess, user_groups="age_group", metrics=["mse", "mae"], propensity=0.3,
        estimators=["naive"], min_cell=2, measures="concentration",
    )  # fmt: skip
    frame = fairlearn.MetricFrame(
        metrics={"mse": mean_squared_error, "mae": mean_absolute_error},
        y_true=log.outcome,
        y_pred=guess(log.user_ids[log.user_codes], log.item_ids[log.item_codes]),
        sensitive_features=log.column("age_group"),
    )
    rows = {(row.metric, row.group.get("age_group")): row.value for row in audit.rows if row.group}
    for group, values in frame.by_group.iterrows():
        for metric in ("mse", "mae"):
            assert rows[metric, group] == pytest.approx(values[metric], abs=1e-12)
    spread = next(table for table in audit.tables if table.name == "spread").to_frame()
    ends = spread.set_index("measure")["largest minus smallest"]
    for metric, difference in frame.difference(method="between_groups").items():
        assert ends[metric] == pytest.approx(difference, abs=1e-12)
