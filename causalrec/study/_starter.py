"""Something to start from: a commented study file, or a whole simulated world on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from causalrec.errors import StudyError
from causalrec.simulation import World, simulate
from causalrec.study._store import write_atomically

_STARTER = """# A study: one log, one declared graph, your questions.
#   causalrec check {name}     can it be answered?
#   causalrec run {name}       answers, report, ledger of assumptions
schema_version = 1
graph = "exposure_click"      # decides what is adjusted for; `causalrec graph` lists the shipped

[study]
title = "What does showing an item sell?"
seed = 0
output = "results"
formats = ["html", "json", "md"]
min_cell = 11                 # groups smaller than this are suppressed in every output

[log]
world = "shop"                # a simulated log; for your own, name files instead:
# events = "events.parquet"   # CSV, Parquet or a DuckDB database
# users = "users.csv"
# items = "items.csv"
# [log.columns]
# outcome = "purchase"
# exposure = "exposed"        # 0/1, with a row for every candidate, shown or not

"""

_QUESTIONS = {
    "shop": """[[questions]]
kind = "effect"
name = "effect"
estimator = "dr"
by = ["gender"]

[[questions]]
kind = "audit"
name = "audit"
user_groups = ["gender"]
item_groups = ["category"]
""",
    "video": """[[questions]]
kind = "effect"
name = "effect"
estimator = "dr"
by = ["plan"]
""",
    "music": """[models.naive]
estimator = "naive"
n_factors = 8

[models.mrdr]
estimator = "mrdr"
n_factors = 8

[[questions]]
kind = "mean"
name = "mean"
by = "country"

[[questions]]
kind = "evaluation"
name = "recommenders"
models = ["naive", "mrdr"]

[[questions]]
kind = "audit"
name = "audit"
model = "mrdr"
user_groups = ["country"]
item_groups = ["label_group"]
""",
    "social": """[[questions]]
kind = "policy_value"
name = "uniform-policy"
policy = "uniform"
estimator = "dr"
""",
}
_GRAPHS = {
    "shop": "exposure_click",
    "music": "rating_selection",
    "social": "feed_position",
    "video": "watch_time",
}


def write_starter(path: Path, *, force: bool = False) -> None:
    """Write a commented study file of the `shop` world.

    Raises
    ------
    StudyError
        If the file exists and `force` is False.
    """
    if path.exists() and not force:
        raise StudyError(f"{path} exists. Name another file, or pass --force to write over it.")
    write_atomically(path, _STARTER.format(name=path.name) + _QUESTIONS["shop"])


def write_world(world: str, folder: Path, *, random_state: int = 0, **sizes: int) -> list[Path]:
    """Write a simulated world: its tables as Parquet, its truth as JSON, a study of it.

    Parameters
    ----------
    world : {"shop", "social", "music", "video"}
    folder : Path
        Made if need be.
    random_state : int
    **sizes : int
        `n_users`, `n_items`.

    Returns
    -------
    list of Path
        What was written.
    """
    made = simulate(world, random_state=random_state, **sizes)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in ("events", "users", "items"):
        paths.append(folder / f"{name}.parquet")
        getattr(made, name).to_parquet(paths[-1], index=False)
    truth = {"these users and items": made.truth, "new users and items": made.population_truth}
    write_atomically(folder / "truth.json", json.dumps(truth, indent=1, sort_keys=True) + "\n")
    write_atomically(folder / "study.toml", _study_of(made, random_state))
    return [*paths, folder / "truth.json", folder / "study.toml"]


def _study_of(world: World[Any], seed: int) -> str:
    options = dict(world.log_columns)
    kind, limits = options.pop("kind"), options.pop("outcome_range", None)
    span = f"outcome_range = {list(limits)}\n" if limits else ""
    names = "\n".join(f'{role} = "{name}"' for role, name in sorted(options.items()))
    return (
        f'schema_version = 1\ngraph = "{_GRAPHS[world.name]}"\n\n'
        f'[study]\ntitle = "The {world.name} world"\nseed = {seed}\n\n'
        f'[log]\nkind = "{kind}"\nevents = "events.parquet"\nusers = "users.parquet"\n'
        f'items = "items.parquet"\n{span}\n[log.columns]\n{names}\n\n{_QUESTIONS[world.name]}'
    )
