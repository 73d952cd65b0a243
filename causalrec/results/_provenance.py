"""How to make the same numbers again: versions, seed, fingerprints, configuration."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol, runtime_checkable

from causalrec import __version__
from causalrec.results._model import Provenance

DISTRIBUTIONS = ("numpy", "pandas", "scipy", "scikit-learn", "numba", "networkx", "dowhy", "econml")


@runtime_checkable
class LogLike(Protocol):
    """What `provenance` reads of a log: `causalrec.InteractionLog` has it all."""

    @property
    def kind(self) -> str: ...
    @property
    def n_rows(self) -> int: ...
    @property
    def n_users(self) -> int: ...
    @property
    def n_items(self) -> int: ...
    def fingerprint(self) -> str: ...


def provenance(
    log: LogLike | Mapping[str, LogLike] | None = None,
    seed: int | None = None,
    config: Mapping[str, Any] | None = None,
    *,
    command: str = "",
) -> Provenance:
    """Return what a reader needs to make the same numbers again.

    Parameters
    ----------
    log : InteractionLog or mapping of name to InteractionLog, optional
        The data: kind, sizes and the sha256 of its normalised content are kept.
    seed : int, optional
        The `random_state` of the question.
    config : mapping, optional
        The other choices, as plain JSON types.
    command : str
        The command or call that was run.

    Returns
    -------
    Provenance
        Without a clock: the same input, seed and versions give the same bytes.

    Examples
    --------
    >>> made = provenance(seed=7, config={"estimator": "dr"})
    >>> made.seed, made.config, sorted(made.versions)[:2]
    (7, {'estimator': 'dr'}, ['causalrec', 'dowhy'])
    """
    logs = {} if log is None else {"log": log} if isinstance(log, LogLike) else dict(log)
    return Provenance(
        versions=_versions(),
        seed=seed,
        data={name: _describe(part) for name, part in sorted(logs.items())},
        config=dict(config or {}),
        command=command,
    )


@cache
def _installed(name: str) -> str:
    # Reading the metadata of eight distributions takes 15 ms, and they do not change meanwhile.
    return importlib.metadata.version(name)


def _versions() -> dict[str, str]:
    found = {"causalrec": __version__, "python": platform.python_version()}
    found |= {name: _installed(name) for name in DISTRIBUTIONS}
    return dict(sorted(found.items()))


def _describe(log: LogLike) -> str:
    return (
        f"{log.kind}: {log.n_rows:,} rows, {log.n_users:,} users, {log.n_items:,} items,"
        f" sha256 {log.fingerprint()}"
    )
