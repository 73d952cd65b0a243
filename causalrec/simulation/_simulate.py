"""The door: a world by its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal, overload

from causalrec.errors import StudyError, check_seed, near_miss
from causalrec.simulation._music import simulate_music
from causalrec.simulation._shop import simulate_shop
from causalrec.simulation._social import simulate_social
from causalrec.simulation._video import simulate_video
from causalrec.simulation._world import (
    ExposurePotential,
    RatingPotential,
    SlatePotential,
    World,
)

_WORLDS: dict[str, Callable[..., World[Any]]] = {
    "music": simulate_music,
    "shop": simulate_shop,
    "social": simulate_social,
    "video": simulate_video,
}
_COMMON = ("n_users", "n_items", "random_state")
_BREAKS = ("unmeasured", "selection_on_rating", "interference", "unsupported")


def list_worlds() -> tuple[str, ...]:
    """Return the names that `simulate` knows.

    Examples
    --------
    >>> list_worlds()
    ('music', 'shop', 'social', 'video')
    """
    return tuple(sorted(_WORLDS))


@overload
def simulate(
    name: Literal["music"],
    n_users: int | None = None,
    n_items: int | None = None,
    random_state: int | None = 0,
    **switches: Any,
) -> World[RatingPotential]: ...
@overload
def simulate(
    name: Literal["shop", "video"],
    n_users: int | None = None,
    n_items: int | None = None,
    random_state: int | None = 0,
    **switches: Any,
) -> World[ExposurePotential]: ...
@overload
def simulate(
    name: Literal["social"],
    n_users: int | None = None,
    n_items: int | None = None,
    random_state: int | None = 0,
    **switches: Any,
) -> World[SlatePotential]: ...
@overload
def simulate(
    name: str,
    n_users: int | None = None,
    n_items: int | None = None,
    random_state: int | None = 0,
    **switches: Any,
) -> World[Any]: ...
def simulate(
    name: str,
    n_users: int | None = None,
    n_items: int | None = None,
    random_state: int | None = 0,
    **switches: Any,
) -> World[Any]:
    """Draw a world whose potential outcomes are known.

    Every world is identified by its graph: given the covariates that the graph names, exposure (or
    observation) and outcome are independent, and the propensity is logistic in them. Users and
    items also move the outcome beyond their covariates, so rows are not independent.

    Parameters
    ----------
    name : {"music", "shop", "social", "video"}
        *music*: ratings 1 to 5, missing not at random but for reasons that are measured.
        *shop*: candidates, recommended or not; purchases in either case.
        *social*: impressions of a feed with slates, positions and logged propensities.
        *video*: candidates and minutes watched, a randomised slice and an A/B arm.
    n_users, n_items : int, optional
        Sizes. By default 2000 x 500 (music), 1000 x 60 (social), 1000 x 200 (shop, video).
    random_state : int or None
        Seed; the same seed gives the same world, None a different one each time.
    **switches
        Settings of each world:

        - music: `density=0.05` (mean probability that a rating is recorded), `n_randomized=0`
          (cells of a uniform slice, appended with `uniform_slice` true; below 1 a share of the
          grid), `n_labels=32` (a quarter of them major), `provider_effect=0.0` (standard deviation
          of an effect of the label on its items: above 0, items of a label are not independent),
          `ordinal=True` (False: ratings are linear plus normal noise, unclipped), `critics=0.0`
          (by how much a standard deviation of the critics' score of an item, a column that has no
          say in what is recorded, raises the liking behind a rating: a shadow variable);
        - shop: `n_candidates=40` a user, `n_brands=20`, `model="logistic"` or `"linear"` (both
          potential outcomes and their effect exactly linear in the covariates),
          `exposure_by="item"` or `"user"` (one draw decides all candidates of a user);
        - social: `n_positions=5`, `n_slates=3` a user, `n_creators=16`, `exploration=0.2` (weight
          of the uniform draw within a shelf), `trust=0.0` (probability that what is examined at the
          top is clicked though it is not relevant; at position r that over r);
        - video: `n_candidates=40`, `n_channels=16`, `randomized_share=0.1` (rows decided by a
          coin).

        Each of these breaks one assumption; `graph` then says so:

        - `unmeasured` (all): a latent standard normal taste of the user for the item raises the
          logit of exposure, and that of purchase, play or click, by this much (music: the latent
          taste of rank 3 that moves the ratings also moves the logit of observation, by this much
          a standard deviation; social: the score of the logging policy). The logged propensities
          of social stay exact.
        - `selection_on_rating` (music): the logit of observation rises by this much a star.
        - `interference` (shop): the logit of a purchase falls by this much times the share of the
          user's other candidates that are exposed; (social, at most 1): a post loses this share of
          its clicks to neighbours of full relevance.
        - `unsupported` (all): this share of the cells, by a rule in measured covariates, is never
          shown (music: the least mainstream songs in country B; shop: the dearest products to the
          younger half; social: the stalest posts to the less interested half, save the freshest of
          each shelf; video: the longest videos on the free plan). They stay eligible.

    Returns
    -------
    World
        With `log`, `graph`, `potential`, `truth` (these users and items), `catalogue_truth` (new
        users of these items) and `population_truth` (new users and items). Keys of the truths;
        `:column=level` restricts any of them to a group where it makes sense:

        - music: `mean`, `gap:country` (A minus B), `gap:label_group` (independent minus major),
          `selection:*` (the coefficients of the propensity model);
        - shop and video: `ate`, `att`, `atu`, `overlap`, `mean:unexposed`, `mean:exposed`,
          `gap:gender` (f minus m), `gap:plan` (free minus paid), `ate:policy` (shop: all candidates
          exposed against none), `ate:slate` and `policy:slate` (shop: what one exposure, and all of
          them against none, change in the total over a user's candidates), `late` (video: those
          whom the arm sways), `effect:treatment-control` (video: the arm). Rows count equally, and
          att and atu weight them by the probability of (no) exposure;
        - social: `policy:uniform`, `policy:logging`, `policy:target` (clicks an impression),
          `examination:r`, `trust:r` where there is any, and over the posts as logged `click:r` and
          `effect:1-r` (position 1 against r), the rest of the slate being filled as the logging
          policy does;
        - with `unsupported`: `mean:supported` or `ate:supported`, and `share:supported`.

    Raises
    ------
    StudyError
        If the world or a switch is unknown, or a switch is out of range.

    Notes
    -----
    The covariates are uniform on ±√3, or categorical, so propensities stay off zero: at least .009
    in music (density .05), .026 in shop and video. Population truths are computed by quadrature,
    except for social and for shop with interference: the mean over 400 worlds of a fixed seed.

    Examples
    --------
    >>> world = simulate("shop", n_users=200, n_items=50, random_state=1)
    >>> world.log.n_rows
    8000
    >>> rows = world.events.groupby("exposed")["purchase"].mean()
    >>> bool(rows[1] - rows[0] > world.truth["ate"] + 0.05)  # the naive answer is too high
    True
    >>> simulate("shop", selection_on_rating=1.0)
    Traceback (most recent call last):
        ...
    causalrec.errors.StudyError: The world 'shop' has no switch 'selection_on_rating'. It has: \
n_candidates, n_brands, model, unmeasured, interference, unsupported, exposure_by.
    """
    if name not in _WORLDS:
        raise StudyError(
            f"There is no world {name!r}.{near_miss(name, _WORLDS)}"
            f" The worlds are: {', '.join(list_worlds())}."
        )
    make = _WORLDS[name]
    allowed = [key for key in inspect.signature(make).parameters if key not in _COMMON]
    for switch, value in switches.items():
        if switch not in allowed:
            raise StudyError(
                f"The world {name!r} has no switch {switch!r}.{near_miss(switch, allowed)}"
                f" It has: {', '.join(allowed)}."
            )
        if switch in _BREAKS and not _is_number(value):
            raise StudyError(f"{switch}={value!r} must be a number: by how much it breaks.")
    sizes = {"n_users": n_users, "n_items": n_items}
    given = {key: size for key, size in sizes.items() if size is not None}
    for key, size in given.items():
        if not _is_number(size) or size < 1:
            raise StudyError(f"{key}={size!r} must be a whole number of at least 1.")
    check_seed(random_state)
    return make(**given, random_state=random_state, **switches)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
