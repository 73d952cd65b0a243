"""Worlds with known potential outcomes, one for each domain, to test every claim against."""

from causalrec.simulation._simulate import list_worlds, simulate
from causalrec.simulation._world import (
    ExposurePotential,
    Potential,
    RatingPotential,
    SlatePotential,
    World,
)

__all__ = [
    "ExposurePotential",
    "Potential",
    "RatingPotential",
    "SlatePotential",
    "World",
    "list_worlds",
    "simulate",
]
