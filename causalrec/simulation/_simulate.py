"""The door: a world by its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from causalrec.errors import StudyError, near_miss
from causalrec.simulation._music import simulate_music
from causalrec.simulation._shop import simulate_shop
from causalrec.simulation._world import World

_WORLDS: dict[str, Callable[..., World[Any]]] = {
    "music": simulate_music,
    "shop": simulate_shop,
}


def list_worlds() -> tuple[str, ...]:
    """Return the names that `simulate` knows."""
    return tuple(sorted(_WORLDS))


def simulate(
    name: str,
    n_users: int | None = None,
    n_items: int | None = None,
    random_state: int | None = 0,
    **switches: Any,
) -> World[Any]:
    """Draw a world."""
    if name not in _WORLDS:
        raise StudyError(
            f"There is no world {name!r}.{near_miss(name, _WORLDS)}"
            f" The worlds are: {', '.join(list_worlds())}."
        )
    make = _WORLDS[name]
    allowed = [key for key in inspect.signature(make).parameters if key not in _SIZES]
    for switch in switches:
        if switch not in allowed:
            raise StudyError(
                f"The world {name!r} has no switch {switch!r}.{near_miss(switch, allowed)}"
                f" Its switches are: {', '.join(allowed)}."
            )
    sizes = {"n_users": n_users, "n_items": n_items}
    given = {key: value for key, value in sizes.items() if value is not None}
    return make(**given, random_state=random_state, **switches)


_SIZES = ("n_users", "n_items", "random_state")
