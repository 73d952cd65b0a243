"""Names of a package that load their module when first used, so that nobody waits for the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module


def on_first_use(
    package: str, home: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return a package's `__getattr__` and `__dir__`.

    Parameters
    ----------
    package : str
        Its `__name__`.
    home : mapping of str to str
        The module that each public name is in.

    Examples
    --------
    >>> find, names = on_first_use("causalrec.nuisances", {"LinearFit": "_linear"})
    >>> find("LinearFit").__name__, names()
    ('LinearFit', ['LinearFit'])
    """

    def find(name: str) -> object:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{home[name]}"), name)

    return find, lambda: sorted(home)
