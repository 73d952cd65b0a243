"""What only people can state of an audit or a model: read from a mapping, shown as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from causalrec.errors import StudyError, near_miss
from causalrec.results import Table

NOT_STATED = "not stated"


@dataclass(frozen=True)
class Statements:
    """Texts under fixed names; what is empty was not stated."""

    @classmethod
    def of(cls, given: Mapping[str, Any] | Self | None) -> Self:
        """Return the statements of a mapping.

        Raises
        ------
        StudyError
            For a name that is not known.
        """
        if isinstance(given, cls):
            return given
        known = [field.name for field in fields(cls)]
        stated: dict[str, Any] = dict(given) if isinstance(given, Mapping) else {}
        for name in stated:
            if name not in known:
                raise StudyError(
                    f"{cls.__name__} has no {name!r}.{near_miss(str(name), known)} It has"
                    f" {', '.join(known)}."
                )
        return cls(**{name: str(text) for name, text in stated.items()})

    def table(self, name: str, title: str, caption: str = "") -> Table:
        """Return every name with its text, or that it was not stated."""
        return Table(
            name=name,
            title=title,
            columns=("of", "stated"),
            rows=tuple((_words(key), text or NOT_STATED) for key, text in self._texts()),
            caption=caption,
        )

    @property
    def missing(self) -> list[str]:
        """Names that nothing was stated of."""
        return [_words(key) for key, text in self._texts() if not text]

    def _texts(self) -> list[tuple[str, str]]:
        return [(field.name, str(getattr(self, field.name))) for field in fields(self)]


def _words(name: str) -> str:
    return name.replace("_", " ")


@dataclass(frozen=True)
class AuditScope(Statements):
    """What an audit is about, as those who ordered and made it state it.

    All are texts, and may be left out; the annex says what was not stated.

    Parameters
    ----------
    system, version, surface : str
        Which recommender, as of when, where users meet it.
    provider : str
        Who runs it.
    period, population, exclusions : str
        Of the data; who is in it, and who was left out.
    sampling, materiality : str
        Why these data suffice; from which size on a finding matters.
    intended_use, out_of_scope : str
    auditor, independence : str
        Who audited, and their declaration of interests.
    third_parties : str
        Who was consulted.
    not_audited : str
        What could not be audited, and why.

    Examples
    --------
    >>> AuditScope(system="feed ranking").missing[:2]
    ['version', 'surface']
    """

    system: str = ""
    version: str = ""
    surface: str = ""
    provider: str = ""
    period: str = ""
    population: str = ""
    exclusions: str = ""
    sampling: str = ""
    materiality: str = ""
    intended_use: str = ""
    out_of_scope: str = ""
    auditor: str = ""
    independence: str = ""
    third_parties: str = ""
    not_audited: str = ""


@dataclass(frozen=True)
class ModelDetails(Statements):
    """What a model card says that no computation knows (Mitchell et al. 2019).

    Parameters
    ----------
    name, version, date, kind, developers, license, contact : str
        Model details.
    intended_use, intended_users, out_of_scope : str
        Intended use.
    training_data : str
    ethical_considerations : str
    recommendations : str
        Caveats beyond those that the results carry.

    Examples
    --------
    >>> ModelDetails(name="songs, MRDR").name
    'songs, MRDR'
    """

    name: str = ""
    version: str = ""
    date: str = ""
    kind: str = ""
    developers: str = ""
    license: str = ""
    contact: str = ""
    intended_use: str = ""
    intended_users: str = ""
    out_of_scope: str = ""
    training_data: str = ""
    ethical_considerations: str = ""
    recommendations: str = ""
