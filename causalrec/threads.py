"""One BLAS thread where sums are long: in another order they move the last digits."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar, cast

Parameters = ParamSpec("Parameters")
Value = TypeVar("Value")


@cache
def _controller() -> Any:
    # Looking for the loaded libraries takes 9 ms, so it is done once: after both have loaded.
    import numpy as np  # noqa: F401
    import scipy.linalg  # noqa: F401
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[object]:
    """Return a context in which BLAS has one thread: the same bytes on every machine."""
    return cast("AbstractContextManager[object]", _controller().limit(limits=1, user_api="blas"))


def one_thread(function: Callable[Parameters, Value]) -> Callable[Parameters, Value]:
    """Run a function with one BLAS thread."""

    @wraps(function)
    def limited(*args: Parameters.args, **keywords: Parameters.kwargs) -> Value:
        with one_blas_thread():
            return function(*args, **keywords)

    return limited
