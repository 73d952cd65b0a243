"""Public data as logs: a small sample that ships with the package, and others by path.

Only the Open Bandit sample is inside the package (Apache-2.0, see NOTICE). The other data sets are
read from a folder that you have: their terms do not let us ship them, or say nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from causalrec.errors import DataError, near_miss
from causalrec.interactions import InteractionLog

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CoatLogs", "coat", "kuairec", "movielens", "open_bandit"]

Folder: TypeAlias = "str | os.PathLike[str]"
Policy = Literal["bts", "random"]
Campaign = Literal["all", "men", "women"]

BANDIT_FEATURES = [f"user_feature_{number}" for number in range(4)]


def open_bandit(
    path: Folder | None = None, policy: Policy = "bts", campaign: Campaign = "all"
) -> InteractionLog:
    """Return a log of the Open Bandit Dataset: fashion items shown in three positions.

    Without a path, the small sample that ships with the package: 10,000 impressions of each policy
    and campaign, with 38 to 69 clicks. That is enough for interfaces, true propensities and
    clipping, and far too few for claims about effects.

    The data have no user ids. The four hashed `user_feature_*` name *segments* (about 250), not
    people, so each row is its own user here: intervals clustered by user are those of independent
    rows, and what one person did twice cannot be seen.

    Parameters
    ----------
    path : path, optional
        Folder of the data as their owners distribute them: `<policy>/<campaign>/<campaign>.csv`
        and `item_context.csv` beside it.
    policy : {"bts", "random"}
        Bernoulli Thompson sampling, or uniform random (`randomized` is true in its rows).
    campaign : {"all", "men", "women"}
        80, 34 or 46 items.

    Returns
    -------
    InteractionLog
        Kind impressions: outcome `click` (0/1), `position` 1 to 3, `propensity_score` (true
        probability of the item in its position), `timestamp`; the event column
        `user_item_affinity` is the user's earlier clicks on the item shown. Users have their four
        features, items `item_feature_0` (a number) to `item_feature_3` (hashes that differ between
        the two policies: match items by their id).

    Raises
    ------
    DataError
        If policy or campaign is unknown, or a file is missing.

    References
    ----------
    Saito, Aihara, Matsutani & Narita (2021), "Open Bandit Dataset and Pipeline: Towards Realistic
    and Reproducible Off-Policy Evaluation", NeurIPS Datasets and Benchmarks.

    Examples
    --------
    >>> log = open_bandit(policy="random")
    >>> log.kind, log.n_rows, log.n_items, int(log.outcome.sum())
    ('impressions', 10000, 80, 38)
    """
    _one_of("policy", policy, ("bts", "random"))
    _one_of("campaign", campaign, ("all", "men", "women"))
    events, items = (
        _bandit_sample(policy, campaign)
        if path is None
        else read_bandit_folder(Path(path) / policy / campaign, campaign)
    )
    events = events.assign(user_id=np.arange(len(events)))
    return InteractionLog(
        events.drop(columns=BANDIT_FEATURES),
        users=events[["user_id", *BANDIT_FEATURES]],
        items=items,
        kind="impressions",
        outcome="click",
        position="position",
        logging_propensity="propensity_score",
        timestamp="timestamp",
        randomized=policy == "random",
        outcome_range=(0, 1),
    ).with_note(
        "the data have no user ids: each row is its own user, and the user features name segments"
    )


def _bandit_sample(policy: str, campaign: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return events and items of the sample inside the package."""
    import duckdb

    found = []
    select = (
        "SELECT * EXCLUDE (policy, campaign) FROM read_parquet(?) WHERE policy = ? AND campaign = ?"
    )
    for name in ("open_bandit", "open_bandit_items"):
        with (
            as_file(files("causalrec") / "_data" / f"{name}.parquet") as file,
            duckdb.connect() as connection,
        ):
            found.append(connection.execute(select, [str(file), policy, campaign]).df())
    events, items = found
    return events, items


def _read_exactly(path: Path, **options: Any) -> pd.DataFrame:
    """Read a CSV file to the last bit of its numbers, which pandas before 3.1 must be told."""
    if tuple(map(int, pd.__version__.split(".")[:2])) < (3, 1):
        options["float_precision"] = "round_trip"
    frame: pd.DataFrame = pd.read_csv(path, **options)
    return frame


def read_bandit_folder(folder: Path, campaign: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return events and items of one campaign as its owners distribute it.

    The affinities with every item become one column, the affinity with the item shown.
    """
    owner = "ZOZO Research, and inside their Python package obp"
    events, items = (
        _read_exactly(_file(folder, name, "the Open Bandit Dataset", owner))
        for name in (f"{campaign}.csv", "item_context.csv")
    )
    names = [name for name in events.columns if name.startswith("user-item_affinity_")]
    of_item = np.array([int(name.rsplit("_", 1)[1]) for name in names])
    affinity = events[names].to_numpy()[:, np.argsort(of_item)]
    shown = affinity[np.arange(len(events)), events["item_id"].to_numpy()]
    kept = ["timestamp", "item_id", "position", "click", "propensity_score", *BANDIT_FEATURES]
    features = [name for name in items.columns if name.startswith("item_feature_")]
    return events[kept].assign(user_item_affinity=shown), items[["item_id", *features]]


@dataclass(frozen=True)
class CoatLogs:
    """The Coat Shopping data as three logs of ratings over 290 users and 300 coats.

    Parameters
    ----------
    train : InteractionLog
        6,960 ratings of coats that the users chose themselves.
    randomized : InteractionLog
        All 4,640 ratings of the uniform slice (16 coats a user, drawn at random): what a mean or
        a self-selected estimate is compared with.
    test : InteractionLog
        The slice without the 366 cells that `train` holds too: what a model trained on `train`
        is tested on. Not quite uniform: it speaks of the cells that users did not choose.
    propensities : float64 array (290, 300)
        The probabilities of a rating in `train` that come with the data: learned, not true ones.
    """

    train: InteractionLog
    randomized: InteractionLog
    test: InteractionLog
    propensities: NDArray[np.float64]


def coat(path: Folder) -> CoatLogs:
    """Return the Coat Shopping data: self-selected ratings beside a uniform random slice.

    Parameters
    ----------
    path : path
        Folder with train.ascii, test.ascii, propensities.ascii and user_item_features/.

    Returns
    -------
    CoatLogs
        Logs whose users have gender, age, location and fashioninterest; items have item_gender,
        jackettype, color and onfrontpage. Outcome `rating`, 1 to 5.

    Raises
    ------
    DataError
        If a file is missing, or does not have the shape of these data.

    References
    ----------
    Schnabel, Swaminathan, Singh, Chandak & Joachims (2016), "Recommendations as Treatments:
    Debiasing Learning and Evaluation", ICML.
    """
    owner = "its authors at Cornell, and with the code of many papers that use it"
    read = {
        name: _matrix(_file(Path(path), f"{name}.ascii", "Coat Shopping", owner))
        for name in ("train", "test", "propensities")
    }
    features = Path(path) / "user_item_features"
    users = _one_hot(features, "user", owner).rename_axis("user_id").reset_index()
    items = _one_hot(features, "item", owner).rename_axis("item_id").reset_index()
    items = items.rename(columns={"gender": "item_gender"})
    for name, values in read.items():
        if values.shape != (len(users), len(items)):
            raise DataError(
                f"{name}.ascii has shape {values.shape}; the features are of"
                f" {len(users)} users and {len(items)} items. The files are not of one set."
            )
    both = (read["train"] > 0) & (read["test"] > 0)
    log = {
        "train": _grid_log(read["train"], users, items, randomized=False),
        "randomized": _grid_log(read["test"], users, items, randomized=True),
        "test": _grid_log(np.where(both, 0, read["test"]), users, items, randomized=True),
    }
    note = (
        f"the uniform slice without the {both.sum()} cells that users had chosen to rate as well:"
        " no longer quite uniform over all cells, only over the cells outside the training log"
    )
    propensities = read["propensities"]
    propensities.setflags(write=False)
    return CoatLogs(log["train"], log["randomized"], log["test"].with_note(note), propensities)


def _one_hot(folder: Path, what: str, owner: str) -> pd.DataFrame:
    """Return the attributes behind one-hot columns named `attribute:level` in a map file."""
    stem = f"{what}_features"
    matrix = _matrix(_file(folder, f"{stem}.ascii", "Coat Shopping", owner))
    text = _file(folder, f"{stem}_map.txt", "Coat Shopping", owner).read_text(encoding="utf-8")
    names = [line.strip().split(":", 1) for line in text.splitlines() if line.strip()]
    found = {}
    for attribute in dict.fromkeys(attribute for attribute, _ in names):
        columns = [number for number, (other, _) in enumerate(names) if other == attribute]
        block = matrix[:, columns]
        if not (block.sum(axis=1) == 1).all():
            raise DataError(f"{stem}.ascii: {attribute!r} is not one level for each {what}.")
        levels = np.array([names[number][1] for number in columns])
        found[attribute] = levels[block.argmax(axis=1)]
    return pd.DataFrame(found)


def _matrix(path: Path) -> NDArray[np.float64]:
    """Return a text matrix of numbers separated by blanks, one line a row.

    Where every number is one digit followed by one blank or end of line, as ratings and one-hot
    columns are, the bytes are the matrix, without a parser.
    """
    content = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    width = int(np.argmax(content == ord("\n"))) + 1  # bytes of the first line
    if len(content) and width % 2 == 0 and len(content) % width == 0:
        lines = content.reshape(-1, width)
        digits, blanks, ends = lines[:, ::2] - np.uint8(ord("0")), lines[:, 1:-1:2], lines[:, -1]
        if (digits <= 9).all() and (blanks == ord(" ")).all() and (ends == ord("\n")).all():
            return digits.astype(np.float64)
    return np.loadtxt(path, ndmin=2)


def _grid_log(
    ratings: NDArray[np.float64], users: pd.DataFrame, items: pd.DataFrame, *, randomized: bool
) -> InteractionLog:
    """Return the log of the non-zero cells of a matrix of ratings."""
    rows, columns = np.nonzero(ratings)
    events = pd.DataFrame({"user_id": rows, "item_id": columns, "rating": ratings[rows, columns]})
    return InteractionLog(events, users, items, randomized=randomized, outcome_range=(1, 5))


def movielens(path: Folder) -> InteractionLog:
    """Return a MovieLens log of ratings with genres and times (the CSV releases).

    Parameters
    ----------
    path : path
        Folder with ratings.csv and movies.csv.

    Returns
    -------
    InteractionLog
        Outcome `rating`, 0.5 to 5. Items have title, genres (all, separated by "|") and genre
        (the first that is listed). These releases have no attributes of users.

    Raises
    ------
    DataError
        If a file is missing.

    References
    ----------
    Harper & Konstan (2015), "The MovieLens Datasets: History and Context", ACM TiiS 5(4).
    """
    owner = "GroupLens at the University of Minnesota, under terms that exclude commercial use"
    folder = Path(path)
    ratings = pd.read_csv(_file(folder, "ratings.csv", "MovieLens", owner))
    movies = pd.read_csv(_file(folder, "movies.csv", "MovieLens", owner))
    ratings["timestamp"] = pd.to_datetime(ratings["timestamp"], unit="s")
    movies["genre"] = movies["genres"].str.split("|").str[0]
    names = {"userId": "user_id", "movieId": "item_id"}
    return InteractionLog(
        ratings.rename(columns=names),
        items=movies.rename(columns=names),
        timestamp="timestamp",
        outcome_range=(0.5, 5),
    )


def kuairec(path: Folder) -> InteractionLog:
    """Return the uniform part of KuaiRec: watch ratios of short videos shown at random.

    This is the randomised slice only (`randomized` is true in every row): the biased part that a
    recommender logged is not in the copies that this reads.

    Parameters
    ----------
    path : path
        Folder with random.txt: user, item and watch ratio, separated by commas, no header.

    Returns
    -------
    InteractionLog
        Kind ratings; outcome `watch_ratio` (watched over length; above 1 where watched again).

    Raises
    ------
    DataError
        If the file is missing.

    References
    ----------
    Gao, Li, Lei, Chen, Li, Jiang, He, Mao & Chua (2022), "KuaiRec: A Fully-observed Dataset and
    Insights for Evaluating Recommender Systems", CIKM.
    """
    owner = "its authors, under CC BY-SA 4.0, and with code of papers that use it"
    file = _file(Path(path), "random.txt", "the uniform part of KuaiRec", owner)
    names = ["user_id", "item_id", "watch_ratio"]
    events = _read_exactly(file, header=None, names=names)
    return InteractionLog(events, outcome="watch_ratio", randomized=True).with_note(
        "the uniform part of KuaiRec only: videos shown at random"
    )


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise DataError(
            f"{name}={value!r} is unknown.{near_miss(value, known)}"
            f" It is one of {', '.join(known)}."
        )


def _file(folder: Path, name: str, data_set: str, owner: str) -> Path:
    """Return a file of a data set, or say what is missing and who has it."""
    path = folder / name
    if not path.is_file():
        there = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
        state = f"holds {', '.join(there[:5]) or 'nothing'}" if folder.is_dir() else "is not there"
        raise DataError(
            f"{data_set} needs the file {name}; the folder {folder} {state}."
            f"{near_miss(name, there)} The data are not part of this package: they can be had"
            f" from {owner}. Pass the folder that holds {name}."
        )
    return path
