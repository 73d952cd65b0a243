"""One BLAS thread where sums are long: in another order they move the last digits."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Value = TypeVar("Value")


def one_thread(function: Callable[Parameters, Value]) -> Callable[Parameters, Value]:
    """Run a function with one BLAS thread: same bytes whatever the machine's thread count."""

    @wraps(function)
    def limited(*args: Parameters.args, **keywords: Parameters.kwargs) -> Value:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        with threadpool_limits(1, user_api="blas"):
            return function(*args, **keywords)

    return limited
