"""The four-part exposure decomposition: baseline, prevalence, effect, selection.

With Y0 the outcome without exposure, T the exposure and tau the effect of it, in group g

    E_g[Y] = E_g[Y0] + E_g[T] E_g[tau] + Cov_g(T, tau),

so that the gap between groups a and b is, exactly,

    baseline    E_a[Y0] - E_b[Y0]                   there without any exposure
    prevalence  E_b[tau] (E_a[T] - E_b[T])          shown less
    effect      E_a[T] (E_a[tau] - E_b[tau])        the same exposure works less
    selection   Cov_a(T, tau) - Cov_b(T, tau)       shown to those on whom it works, or not

(Yu & Elwert 2025, "Nonparametric causal decomposition of group disparities", Annals of Applied
Statistics). E_g[Y0] and E_g[tau] are means of cross-fitted doubly robust scores, with models of
each group's own; Cov_g is what is left of the group's mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from causalrec.audits._decomposition_fits import Bools, Codes, Fitted, Floats, RowFeatures, fit_rows
from causalrec.audits._decomposition_parts import (
    Means,
    Parts,
    hidden_cause_scale,
    parts_of,
    weight_summary,
)

BASELINE, PREVALENCE, EFFECT, SELECTION = "baseline", "prevalence", "effect", "selection"
SIDES = ("a", "b")


@dataclass(frozen=True, eq=False)
class ExposureRows:
    """The rows of two groups, as the decomposition reads them.

    Attributes
    ----------
    outcome, exposure : float64 (n,)
    side : int64 (n,)
        0 in the first group, 1 in the second.
    features : RowFeatures
    given : float64 (n,) or None
        Propensities that were given.
    outcome_model, propensity_model : scikit-learn estimators or None
    """

    outcome: Floats
    exposure: Floats
    side: Codes
    features: RowFeatures
    given: Floats | None = None
    outcome_model: Any = None
    propensity_model: Any = None

    def rows(self, inside: Bools | Codes) -> ExposureRows:
        """Return some of the rows."""
        return replace(
            self,
            outcome=self.outcome[inside],
            exposure=self.exposure[inside],
            side=self.side[inside],
            features=self.features.rows(inside),
            given=None if self.given is None else self.given[inside],
        )

    def has_arms(self) -> bool:
        """Return whether both groups have rows in both arms."""
        return all(
            ((self.side == side) & (self.exposure == arm)).any()
            for side in (0, 1)
            for arm in (0, 1)
        )

    def propensity(self, fold: Codes, seed: int | None = 0) -> tuple[Floats, list[Fitted]]:
        """Return the propensity of each row within its own group, and the fits behind it."""
        if self.given is not None:
            return self.given, []
        values, fits = np.zeros(len(self.outcome)), []
        for side in (0, 1):
            inside = self.side == side
            found = fit_rows(
                self.features, self.exposure, inside, inside, fold, self.propensity_model, seed=seed
            )
            values[inside] = found.values[inside]
            fits.append(found)
        return values, fits


def exposure_parts(
    rows: ExposureRows, fold: Codes, *, floor: float = 0.0, seed: int | None = 0
) -> tuple[Parts, list[dict[str, float]]]:
    """Return the four parts, and what stands behind each group.

    Parameters
    ----------
    rows : ExposureRows
        Supported ones, with both arms in both groups.
    fold : int64 (n,)
    floor : float
        Fitted propensities are held within [floor, 1 - floor]: folds differ a little from the fit
        that decided the support.
    seed : int or None

    Returns
    -------
    (Parts, one dict of diagnostics a group)
    """
    p, by_side = rows.propensity(fold, seed)
    p = np.clip(p, floor, 1.0 - floor)
    means, told = Means(), []
    reach: dict[str, float] = {}
    for side, name in enumerate(SIDES):
        inside = rows.side == side
        arms = [
            fit_rows(
                rows.features, rows.outcome, inside & (rows.exposure == arm), inside, fold,
                rows.outcome_model, seed=seed,
            )
            for arm in (0.0, 1.0)
        ]  # fmt: skip
        fitted = by_side[side] if by_side else None
        _add_group(means, rows, inside, name, p, arms, fitted)
        reach |= _scales(rows, inside, name, p, arms)
        told.append(_diagnostics(rows, inside, p))
    return _assemble(means, reach), told


def _add_group(
    means: Means,
    rows: ExposureRows,
    inside: Bools,
    name: str,
    p: Floats,
    arms: list[Fitted],
    fitted: Fitted | None,
) -> None:
    """Add the means of a group and what the error of its nuisances does to them."""
    here = inside.astype(np.float64)
    y, t = rows.outcome, rows.exposure
    w0, w1 = _weights(rows, inside, p)
    r0, r1 = y - arms[0].values, y - arms[1].values
    zero = here * arms[0].values + w0 * r0
    one = here * arms[1].values + w1 * r1
    means.add(f"mean {name}", here * y, here)
    means.add(f"without {name}", zero, here, w0)
    means.add(f"shown {name}", here * t, here)
    means.add(f"tau {name}", one - zero, here, w0 + w1)
    by_zero, by_one = here - w0, here - w1
    means.error_of(arms[0], {f"without {name}": by_zero, f"tau {name}": -by_zero})
    means.error_of(arms[1], {f"tau {name}": by_one})
    if fitted is not None:
        # d w0 / d logit p = (1 - T) p / (1 - p), d w1 / d logit p = -T (1 - p) / p
        of_zero, of_one = w0 * p * r0, -w1 * (1.0 - p) * r1
        means.error_of(
            fitted,
            {f"without {name}": of_zero, f"tau {name}": of_one - of_zero},
            by_logit=True,
        )


def _weights(rows: ExposureRows, inside: Bools, p: Floats) -> tuple[Floats, Floats]:
    safe = np.where(inside, p, 0.5)
    here = inside.astype(np.float64)
    t = rows.exposure
    return here * (1.0 - t) / (1.0 - safe), here * t / safe


def _scales(
    rows: ExposureRows, inside: Bools, name: str, p: Floats, arms: list[Fitted]
) -> dict[str, float]:
    """Return the scale of a hidden cause's bias in E[Y0], E[tau] and Cov of a group."""
    w0, w1 = _weights(rows, inside, p)
    t, n = rows.exposure, int(inside.sum())
    share = float(t[inside].mean())
    r0 = np.where(inside & (t == 0.0), rows.outcome - arms[0].values, 0.0)
    r1 = np.where(inside & (t == 1.0), rows.outcome - arms[1].values, 0.0)
    both = r0 + r1
    return {
        f"without {name}": hidden_cause_scale(r0, w0, n),
        f"tau {name}": hidden_cause_scale(both, w1 - w0, n),
        # Cov = E[Y] - E[Y0] - E[T] E[tau], with weight (1 - share) w0 + share w1 on the models
        f"selection {name}": hidden_cause_scale(both, (1.0 - share) * w0 + share * w1, n),
    }


def _diagnostics(rows: ExposureRows, inside: Bools, p: Floats) -> dict[str, float]:
    w0, w1 = _weights(rows, inside, p)
    exposed, largest = weight_summary(w1[inside])
    unexposed, other = weight_summary(w0[inside])
    low, high = np.quantile(p[inside], [0.01, 0.99]).tolist()
    return {
        "rows": float(inside.sum()),
        "share exposed": float(rows.exposure[inside].mean()),
        "propensity, 1 %": low,
        "99 %": high,
        "effective, exposed": exposed,
        "effective, unexposed": unexposed,
        "largest weight": max(largest, other),
    }


def _assemble(means: Means, reach: dict[str, float]) -> Parts:
    at = means.of()
    shown_a, shown_b = at["shown a"], at["shown b"]
    tau_a, tau_b = at["tau a"], at["tau b"]
    functions: dict[str, Callable[[Mapping[str, float]], float]] = {
        BASELINE: lambda m: m["without a"] - m["without b"],
        PREVALENCE: lambda m: m["tau b"] * (m["shown a"] - m["shown b"]),
        EFFECT: lambda m: m["shown a"] * (m["tau a"] - m["tau b"]),
        SELECTION: lambda m: _covariance(m, "a") - _covariance(m, "b"),
    }
    gradients = {
        BASELINE: {"without a": 1.0, "without b": -1.0},
        PREVALENCE: {"tau b": shown_a - shown_b, "shown a": tau_b, "shown b": -tau_b},
        EFFECT: {"shown a": tau_a - tau_b, "tau a": shown_a, "tau b": -shown_a},
        SELECTION: {
            "mean a": 1.0, "without a": -1.0, "shown a": -tau_a, "tau a": -shown_a,
            "mean b": -1.0, "without b": 1.0, "shown b": tau_b, "tau b": shown_b,
        },
    }  # fmt: skip
    scales = {
        BASELINE: reach["without a"] + reach["without b"],
        PREVALENCE: abs(shown_a - shown_b) * reach["tau b"],
        EFFECT: shown_a * (reach["tau a"] + reach["tau b"]),
        SELECTION: reach["selection a"] + reach["selection b"],
    }
    return parts_of(means, functions, gradients, scales)


def _covariance(m: Mapping[str, float], name: str) -> float:
    """Return Cov(T, tau) of a group: what its mean has beyond E[Y0] + E[T] E[tau]."""
    return m[f"mean {name}"] - m[f"without {name}"] - m[f"shown {name}"] * m[f"tau {name}"]
