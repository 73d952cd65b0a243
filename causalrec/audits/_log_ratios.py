"""Ratios on the log scale, several at once, so that they have one covariance and one band."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from causalrec.inference import Estimate


def log_ratios(estimate: Estimate, pairs: Mapping[str, tuple[str, str]]) -> Estimate:
    """Return log(top / bottom) of each pair of labels (the delta method).

    Parameters
    ----------
    estimate : Estimate
        Its labels named here are above 0.
    pairs : mapping of new label to (top, bottom)

    Examples
    --------
    >>> from causalrec.scores import Score
    >>> clicks, user = np.tile([1.0, 0.0, 1.0, 1.0], 30), np.arange(120)
    >>> by_group = Estimate.from_score(
    ...     Score(clicks), {"user": user}, groups=user % 2, labels=["even", "odd"])
    >>> found = log_ratios(by_group, {"odd to even": ("odd", "even")})
    >>> round(float(found), 4), float(np.round(np.exp(found.interval()[0, 0]), 2))
    (-0.6931, 0.39)
    """
    value = dict(zip(estimate.labels, estimate.value.tolist(), strict=True))
    linear = estimate.contrast(
        {
            label: {top: 1.0 / value[top], bottom: -1.0 / value[bottom]}
            for label, (top, bottom) in pairs.items()
        }
    )
    # The linear map has the value 1 - 1 = 0; the logarithm of the ratio stands there instead.
    logs = np.array([np.log(value[top] / value[bottom]) for top, bottom in pairs.values()])
    return linear.shift(logs - linear.value)
