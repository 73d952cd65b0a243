"""A variable of the graph: what it is called, what part it plays, and which column holds it."""

from __future__ import annotations

from dataclasses import dataclass

from causalrec.errors import GraphError, near_miss
from causalrec.graph._vocabulary import (
    CONTROL_ROLES,
    ENTITIES,
    ROLES,
    SINGLE_ROLES,
    Entity,
    Role,
    listed,
    name_problem,
    plain_text,
)


@dataclass(frozen=True)
class Node:
    """A variable of the graph.

    Parameters
    ----------
    name : str
        What the arrows call it.
    role : str
        "exposure", "outcome", "observed" (the indicator that the outcome is recorded), "latent",
        "instrument", "mediator", "selection", "shadow" (it goes with the outcome, and given the
        outcome not with its being recorded), "negative_control_outcome" (the exposure cannot cause
        it), "negative_control_exposure" (it cannot cause the outcome), or "covariate".
    column : str, optional
        The column of the log that holds it; its name unless said otherwise, None if it is latent.
    entity : {"user", "item", "event"}, optional
        Whose property it is; exposure, outcome and observed are facts of the event.
    label : str
        What it means, in words.
    latent : bool
        Whether nobody measures it. An instrument or a mediator may be latent, too.
    time : int, optional
        When it is measured, in any order-keeping count; what is measured after the exposure is no
        covariate of it.
    """

    name: str
    role: Role = "covariate"
    column: str | None = None
    entity: Entity | None = None
    label: str = ""
    latent: bool = False
    time: int | None = None

    def __post_init__(self) -> None:
        self._check()
        fill = object.__setattr__  # the defaults that depend on other fields
        fill(self, "label", plain_text(self.label))
        fill(self, "latent", self.latent or self.role == "latent")
        if not self.latent and self.column is None:
            fill(self, "column", self.name)
        if self.role in SINGLE_ROLES and self.entity is None:
            fill(self, "entity", "event")

    def _check(self) -> None:
        if problem := name_problem(self.name):
            raise GraphError(f"A node's name {problem}.")
        if self.role not in ROLES:
            raise GraphError(
                f"Node {self.name!r} has the role {self.role!r}, which does not exist."
                f"{near_miss(self.role, ROLES)} Roles: {listed(ROLES)}."
            )
        if self.entity is not None and self.entity not in ENTITIES:
            raise GraphError(
                f"Node {self.name!r} has the entity {self.entity!r}, which does not exist."
                f"{near_miss(self.entity, ENTITIES)} Entities: {listed(ENTITIES)}."
            )
        if self.column is not None and (problem := name_problem(self.column)):
            raise GraphError(f"The column of node {self.name!r} {problem}.")
        if problem := name_problem(plain_text(self.label), empty=True):
            raise GraphError(f"The label of node {self.name!r} {problem}.")
        if self.time is not None and (type(self.time) is not int or abs(self.time) >= 10**9):
            raise GraphError(
                f"Node {self.name!r} has the time {self.time!r}; a time is a whole number of at"
                " most nine digits, in any count that keeps the order."
            )
        if self.latent and self.role in SINGLE_ROLES:
            raise GraphError(
                f"Node {self.name!r} is the {self.role} and latent. The {self.role} must be"
                " recorded: name its column, or give the role to a node that is."
            )
        if self.latent and self.role in CONTROL_ROLES:
            raise GraphError(
                f"Node {self.name!r} is a negative control and latent. What is to be tested must be"
                " measured: name its column, or take the node out of the graph."
            )
        if (self.latent or self.role == "latent") and self.column is not None:
            raise GraphError(
                f"Node {self.name!r} is latent, yet names the column {self.column!r}."
                " Drop one of the two."
            )
