"""What can go wrong, in words: one root for errors, one for warnings.

A message names the column, the count, a few offending rows, the near miss and the way out. The
constructors below build those sentences, so that every room of the toolkit speaks alike.
`exit_code` is what the command line answers with, so `cli.py` needs one `except`.
"""

from __future__ import annotations

import difflib
import math
import operator
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from sklearn.exceptions import NotFittedError as _SklearnNotFittedError

MAX_SHOWN_ROWS = 5


def near_miss(name: str, available: Iterable[object]) -> str:
    """Return `" Did you mean 'x'?"` for the closest available name, or an empty string.

    Examples
    --------
    >>> near_miss("genre", ["gender", "genres"])
    " Did you mean 'genres'?"
    """
    close = difflib.get_close_matches(str(name), [str(a) for a in available], n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


class CausalRecError(Exception):
    """Root of every error that causalrec raises on purpose."""

    exit_code: ClassVar[int] = 3


class DataError(CausalRecError, ValueError):
    """The log, a table or an array cannot be used as it stands."""

    @classmethod
    def missing_column(
        cls, column: str, available: Sequence[object], *, role: str, table: str = "events"
    ) -> DataError:
        """Build the error for a column that `table` does not have."""
        names = ", ".join(map(str, available))
        return cls(
            f"The {table} table has no column {column!r}, which was named as {role}."
            f"{near_miss(column, available)} Its columns are: {names}."
            f" Pass the right name as {role}=..., or rename the column."
        )

    @classmethod
    def bad_rows(
        cls, column: str, problem: str, *, count: int, total: int, rows: Any, way_out: str
    ) -> DataError:
        """Build the error for rows of one column that hold what they must not.

        Parameters
        ----------
        column : str
            The column's name, as the user wrote it.
        problem : str
            What is wrong, as a predicate: "has no value", "lies outside (0, 1]".
        count, total : int
            Offending rows and all rows.
        rows : pandas.DataFrame or sequence
            The offending rows; the first five are shown.
        way_out : str
            What the reader can do about it, as a sentence.
        """
        shown = rows.head(MAX_SHOWN_ROWS) if hasattr(rows, "head") else rows[:MAX_SHOWN_ROWS]
        text = shown.to_string() if hasattr(shown, "to_string") else "\n".join(map(str, shown))
        return cls(
            f"Column {column!r} {problem} in {count:,} of {total:,} rows."
            f" The first of them:\n{text}\n{way_out}"
        )


class GraphError(CausalRecError, ValueError):
    """A graph cannot be read, or does not describe what it is asked about."""


class IdentificationError(CausalRecError):
    """The declared graph does not identify the question; the message names the open path."""

    exit_code: ClassVar[int] = 4

    def __init__(self, message: str, *, open_path: str | None = None) -> None:
        super().__init__(message)
        self.open_path = open_path


class OverlapError(CausalRecError):
    """Some of the population could never have been observed (or exposed)."""

    exit_code: ClassVar[int] = 4


class StudyError(CausalRecError, ValueError):
    """A study file or a combination of options means nothing."""

    exit_code: ClassVar[int] = 2


def check_whole_number(name: str, value: object, *, least: int = 0) -> None:
    """Refuse an option that is no whole number of at least `least`.

    Raises
    ------
    StudyError

    Examples
    --------
    >>> check_whole_number("n_folds", 2.5, least=2)
    Traceback (most recent call last):
    ...
    causalrec.errors.StudyError: n_folds=2.5 must be a whole number of at least 2.
    """
    whole = hasattr(value, "__index__") and not isinstance(value, bool)
    if not whole or operator.index(value) < least:  # type: ignore[arg-type]
        raise StudyError(f"{name}={value!r} must be a whole number of at least {least}.")


def check_number(name: str, value: object, *, least: float, words: str = "") -> None:
    """Refuse an option that is no finite number of at least `least`; `words` say what that means.

    Raises
    ------
    StudyError
    """
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < least:  # type: ignore[arg-type, operator]
        raise StudyError(f"{name}={value!r} must be a number of at least {least:g}{words}.")


def check_seed(value: object) -> None:
    """Refuse a `random_state` that seeds nothing.

    Raises
    ------
    StudyError
    """
    if value is not None and not (hasattr(value, "__index__") and operator.index(value) >= 0):
        raise StudyError(
            f"random_state={value!r} must be a whole number of at least 0, or None for another"
            " draw each time."
        )


def check_log(value: object) -> None:
    """Refuse a table, or anything else, where an `InteractionLog` belongs.

    Raises
    ------
    DataError
    """
    if not hasattr(value, "require_fields"):
        raise DataError(
            f"log= takes an InteractionLog, not a {type(value).__name__}: make one of a table with"
            " InteractionLog(events, outcome=...), or of files with read_log(path)."
        )


class ResultError(CausalRecError):
    """A result cannot do what is asked of it (for example, it was reloaded without its log)."""

    exit_code: ClassVar[int] = 2


class ModelFileError(CausalRecError, ValueError):
    """A saved model or result is truncated, altered or of an unknown schema."""


if TYPE_CHECKING:

    class NotFittedError(CausalRecError, _SklearnNotFittedError):  # type: ignore[misc]
        """A fitted attribute was asked for before `fit`."""

        @classmethod
        def of(cls, instance: object) -> NotFittedError:
            """Build the error for an estimator that was asked too early."""
            ...


def __getattr__(name: str) -> type[Exception]:
    # scikit-learn is a second's import; the class that inherits from its error waits until asked.
    if name != "NotFittedError":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sklearn.exceptions import NotFittedError as SklearnError

    def of(cls: type[Exception], instance: object) -> Exception:
        kind = type(instance).__name__
        return cls(f"This {kind} is not fitted yet: call .fit(log, ...) first.")

    namespace = {
        "__doc__": "A fitted attribute was asked for before `fit`.",
        "__module__": __name__,
        "of": classmethod(of),
    }
    created = type("NotFittedError", (CausalRecError, SklearnError), namespace)
    globals()["NotFittedError"] = created
    return created


class CausalRecWarning(UserWarning):
    """Root of every warning that causalrec issues."""


class DataWarning(CausalRecWarning):
    """The data were usable, but not quite as given; the message counts what was done."""


class OverlapWarning(CausalRecWarning):
    """Weights are extreme, propensities were clipped, or part of the population lacks support."""


class PropensityWarning(CausalRecWarning):
    """The propensities cannot repair the selection that the question is about."""


class ConvergenceWarning(CausalRecWarning):
    """An iterative fit stopped before it converged."""
