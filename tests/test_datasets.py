"""Public data: the figures that their makers and readers know them by."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from causalrec import datasets
from causalrec.errors import DataError

# policy, campaign -> items, clicks, mean of 1 / p (80, 34 and 46 under the uniform policy).
BANDIT = {
    ("bts", "all"): (80, 42, 80.9),
    ("bts", "men"): (34, 69, 32.1),
    ("bts", "women"): (46, 46, 144.2),
    ("random", "all"): (80, 38, 80.0),
    ("random", "men"): (34, 46, 34.0),
    ("random", "women"): (46, 46, 46.0),
}


@pytest.mark.parametrize(("policy", "campaign"), BANDIT)
def test_open_bandit_sample(policy: str, campaign: str) -> None:
    log = datasets.open_bandit(policy=policy, campaign=campaign)  # type: ignore[arg-type]
    n_items, clicks, mean_inverse = BANDIT[policy, campaign]
    assert log.kind == "impressions"
    assert (log.n_rows, log.n_users, log.n_items) == (10_000, 10_000, n_items)
    assert log.outcome is not None
    assert log.outcome.sum() == clicks
    assert log.logging_propensity is not None
    assert (1 / log.logging_propensity).mean() == pytest.approx(mean_inverse, abs=0.05)
    assert log.position is not None
    assert set(log.position) == {1, 2, 3}
    assert log.randomized is not None
    assert log.randomized.all() == (policy == "random")
    assert log.users.shape[1] == 4
    assert "each row is its own user" in log.summary()


def test_the_sample_is_small() -> None:
    folder = files("causalrec") / "_data"
    with_sizes = [Path(str(file)).stat().st_size for file in folder.iterdir()]
    assert sum(with_sizes) <= 1_000_000


@pytest.mark.data
@pytest.mark.parametrize(("policy", "campaign"), BANDIT)
def test_the_sample_is_the_owners_files(
    policy: str, campaign: str, data_dir: Callable[[str], Path]
) -> None:
    shipped = datasets.open_bandit(policy=policy, campaign=campaign)  # type: ignore[arg-type]
    folder = data_dir("open-bandit")
    read = datasets.open_bandit(folder, policy, campaign)  # type: ignore[arg-type]
    assert shipped.fingerprint() == read.fingerprint()


@pytest.mark.data
def test_coat(data_dir: Callable[[str], Path]) -> None:
    coat = datasets.coat(data_dir("coat"))
    sizes = [log.n_rows for log in (coat.train, coat.randomized, coat.test)]
    assert sizes == [6_960, 4_640, 4_640 - 366]
    for log in (coat.train, coat.randomized, coat.test):
        assert (log.n_users, log.n_items) == (290, 300)
        assert log.outcome_range == (1.0, 5.0)
    assert coat.train.outcome is not None
    assert coat.randomized.outcome is not None
    assert coat.train.outcome.mean() == pytest.approx(2.6115, abs=5e-5)
    assert coat.randomized.outcome.mean() == pytest.approx(2.2289, abs=5e-5)
    p = coat.propensities[coat.train.user_codes, coat.train.item_codes]
    snips = np.sum(coat.train.outcome / p) / np.sum(1 / p)
    assert snips == pytest.approx(2.3308, abs=5e-5)
    assert coat.randomized.randomized is not None
    assert coat.randomized.randomized.all()
    assert "no longer quite uniform" in coat.test.summary()
    assert coat.train.users["gender"].value_counts().to_dict() == {"men": 162, "women": 128}
    assert coat.train.items["item_gender"].value_counts().to_dict() == {"men": 150, "women": 150}
    assert (coat.train.items["onfrontpage"] == "yes").sum() == 16
    assert coat.train.items[["jackettype", "color"]].nunique().tolist() == [16, 13]
    assert list(coat.train.users) == ["gender", "age", "location", "fashioninterest"]
    cells = [
        set(zip(log.user_codes, log.item_codes, strict=True)) for log in (coat.train, coat.test)
    ]
    assert not cells[0] & cells[1]


@pytest.mark.data
def test_movielens(data_dir: Callable[[str], Path]) -> None:
    log = datasets.movielens(data_dir("ml-latest-small"))
    assert (log.n_rows, log.n_users, log.n_items) == (100_004, 671, 9_125)
    assert log.items.loc[1, "genre"] == "Adventure"
    assert log.outcome_range == (0.5, 5.0)
    assert log.timestamp is not None
    assert log.timestamp[0] == np.datetime64("2009-12-14T02:52:24")


@pytest.mark.data
def test_kuairec(data_dir: Callable[[str], Path]) -> None:
    log = datasets.kuairec(data_dir("kuairec-partial"))
    assert (log.n_rows, log.n_users, log.n_items) == (117_113, 1_411, 2_519)
    assert log.outcome is not None
    assert np.median(log.outcome) == pytest.approx(0.779, abs=5e-4)
    assert "uniform part" in log.summary()


def test_missing_files_say_who_has_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"needs the file train\.ascii.*holds nothing.*Cornell"):
        datasets.coat(tmp_path)
    (tmp_path / "rating.csv").write_text("x", encoding="utf-8")
    with pytest.raises(DataError, match=r"ratings\.csv.*Did you mean 'rating\.csv'.*GroupLens"):
        datasets.movielens(tmp_path)
    with pytest.raises(DataError, match=r"random\.txt.*is not there.*CC BY-SA"):
        datasets.kuairec(tmp_path / "none")
    with pytest.raises(DataError, match=r"all\.csv.*obp"):
        datasets.open_bandit(tmp_path)
    with pytest.raises(DataError, match=r"policy='uniform' is unknown.*bts, random"):
        datasets.open_bandit(policy="uniform")  # type: ignore[arg-type]


def test_files_of_different_sets_are_refused(tmp_path: Path) -> None:
    features = tmp_path / "user_item_features"
    features.mkdir()
    for what in ("user", "item"):
        (features / f"{what}_features.ascii").write_text("1 0\n0 1\n", encoding="utf-8")
        (features / f"{what}_features_map.txt").write_text("g:a\ng:b\n", encoding="utf-8")
    for name in ("train", "test", "propensities"):
        (tmp_path / f"{name}.ascii").write_text("1 2 3\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"shape \(1, 3\).*2 users and 2 items"):
        datasets.coat(tmp_path)
    (features / "user_features.ascii").write_text("1 1\n0 1\n", encoding="utf-8")
    with pytest.raises(DataError, match="not one level for each user"):
        datasets.coat(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "1 0 5\n0 2 0\n",  # the layout whose bytes are the matrix
        "1 0 5\n0 2 0",
        "1  0\n0  2\n",
        "0.5 1\n1 2.5\n",
        "10 2 3\n4 5 60\n",
        "7\n",
        "1 0\n\n0 1\n",
    ],
)
def test_a_matrix_is_read_as_numpy_reads_it(text: str, tmp_path: Path) -> None:
    path = tmp_path / "train.ascii"
    path.write_bytes(text.encode())
    read, expected = datasets._matrix(path), np.loadtxt(path, ndmin=2)
    assert read.dtype == expected.dtype
    assert np.array_equal(read, expected)


def test_a_matrix_with_rows_of_two_lengths_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.ascii"
    path.write_bytes(b"1 0\n0 1 2 3\n")  # twice the bytes, so the reshape alone would fit
    with pytest.raises(ValueError, match="columns changed"):
        datasets._matrix(path)
