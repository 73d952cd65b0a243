"""Fits of many folds at once are those of one after the other."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import causalrec as cr
from causalrec.nuisances import (
    ArmOutcomeModel,
    PropensityModel,
    cross_fit,
    fit_linear,
    folds_by_block,
    folds_by_user,
)
from causalrec.nuisances import _linear as linear
from causalrec.nuisances._linear_folds import fit_linear_folds
from causalrec.nuisances._shared import _designs

PARTS, K = 4, 6


def rows(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Design, 0/1 outcome, part (some rows of none) and weight of each row."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.normal(size=(n, K - 1))])
    y = (rng.random(n) < 1 / (1 + np.exp(0.7 - x @ rng.normal(0, 0.5, K)))).astype(float)
    parts = rng.integers(-1, PARTS, n).astype(np.int16)
    return x, y, parts, rng.integers(0, 3, n).astype(float)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("n", [300, 70_000])
def test_every_fold_is_fitted_as_if_alone(n: int, binary: bool, weighted: bool) -> None:
    x, y, parts, w = rows(n)
    y = y if binary else y + x[:, 1]
    weights = w if weighted else None
    penalty = np.array([0.0, *np.linspace(0.5, 3.0, K - 1)])
    members = ~np.eye(PARTS, dtype=bool)
    fits = fit_linear_folds(x, y, parts, members, penalty=penalty, binary=binary, weights=weights)
    for fit, inside in zip(fits, members, strict=True):
        kept = (parts >= 0) & inside[parts]
        some = None if weights is None else w[kept]
        gradient = fit.scores(x[kept], y[kept], some).sum(axis=0) - penalty * fit.coefficients
        scale = np.sqrt(np.diag(fit.hessian(x[kept], some)) * kept.sum())
        assert np.abs(gradient / scale).max() < 1e-9
        alone = fit_linear(x[kept], y[kept], penalty=penalty, binary=binary, weights=some)
        np.testing.assert_allclose(fit.coefficients, alone.coefficients, atol=1e-8)


def test_a_start_changes_nothing_but_the_way() -> None:
    x, y, parts, _ = rows(5_000)
    members, penalty = ~np.eye(PARTS, dtype=bool), np.ones(K)
    plain = fit_linear_folds(x, y, parts, members, penalty=penalty, binary=True)
    for start in (plain[0].coefficients, np.full(K, 5.0)):  # near; so far that Newton may leap
        again = fit_linear_folds(x, y, parts, members, penalty=penalty, binary=True, start=start)
        for one, other in zip(plain, again, strict=True):
            np.testing.assert_allclose(one.coefficients, other.coefficients, atol=1e-8)


def test_a_fold_with_one_class_gets_its_intercept() -> None:
    x, _, parts, _ = rows(400)
    y = (parts == 1).astype(float)
    fits = fit_linear_folds(
        x, y, parts, ~np.eye(PARTS, dtype=bool), penalty=np.ones(K), binary=True
    )
    assert fits[1].predict(x).max() < 1e-9
    assert (fits[0].coefficients[1:] != 0).all()


def test_many_rows_are_fitted_as_few(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, _, w = rows(120_000)
    for weights in (None, w):
        fast = fit_linear(x, y, penalty=np.ones(K), binary=True, weights=weights)
        with monkeypatch.context() as patch:
            patch.setattr(linear, "MANY", 10**9)
            slow = fit_linear(x, y, penalty=np.ones(K), binary=True, weights=weights)
        np.testing.assert_allclose(fast.coefficients, slow.coefficients, atol=1e-8)


def test_separated_rows_are_left_to_the_careful_solver() -> None:
    x = np.column_stack([np.ones(60_000), np.linspace(-1, 1, 60_000)])
    y = (x[:, 1] > 0).astype(float)
    fit = fit_linear(x, y, penalty=np.array([0.0, 1.0]), binary=True)
    gradient = fit.scores(x, y).sum(axis=0) - fit.penalty * fit.coefficients
    assert np.abs(gradient).max() < 1e-6 * len(x)
    assert fit.coefficients[1] > 20


@pytest.mark.parametrize("deal", [folds_by_user, folds_by_block])
def test_models_of_folds_have_not_seen_what_they_predict(deal) -> None:
    shop = cr.simulate("shop", n_users=120, n_items=40, random_state=3)
    folds = deal(shop.log, 3)
    for model, options in ((PropensityModel(), {}), (ArmOutcomeModel(), {"arm": 1})):
        fitted = cross_fit(model, shop.log, folds, shop.graph)
        out = fitted.out_of_fold_rows(**options)
        for number, (users, items) in enumerate(folds):
            alone = model.clone().fit(shop.log, shop.graph, users=users, items=items)
            held = folds.of_cells(shop.log.user_codes, shop.log.item_codes) == number
            expected = alone.for_rows(shop.log, **options)[held]
            np.testing.assert_allclose(out[held], expected, rtol=1e-7)


def test_one_design_serves_all_folds_and_goes_with_them() -> None:
    shop = cr.simulate("shop", n_users=120, n_items=40, random_state=3)
    folds = folds_by_user(shop.log, 3)
    fits = [cross_fit(model, shop.log, folds, shop.graph).models_
            for model in (PropensityModel(), ArmOutcomeModel())]  # fmt: skip
    designs = {id(getattr(m, "row_design_", None) or m.design_) for some in fits for m in some}
    assert len(designs) == 1
    assert len(_designs[shop.log]) == 1
    with pytest.raises(ValueError, match="read-only"):
        fits[1][0].design_.matrix[0, 0] = 2.0
    del fits
    gc.collect()
    assert len(_designs[shop.log]) == 0
