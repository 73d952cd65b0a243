"""One BLAS thread where sums are long (another order moves the last digits); pools; compilation."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar, cast

Parameters = ParamSpec("Parameters")
Value = TypeVar("Value")
Item = TypeVar("Item")
Function = TypeVar("Function", bound=Callable[..., Any])


@cache
def _controller(with_scipy: bool) -> Any:
    # Looking for the loaded libraries takes 9 ms, so it is done once: after they have loaded.
    import numpy as np  # noqa: F401
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    if with_scipy:
        import scipy.linalg  # noqa: F401

    return ThreadpoolController()


def one_blas_thread(*, scipy: bool = True) -> AbstractContextManager[object]:
    """Return a context in which BLAS has one thread: the same bytes on every machine.

    Parameters
    ----------
    scipy : bool
        False does not load scipy, whose BLAS is a second library: for work with numpy alone.
    """
    controller = _controller(scipy or "scipy.linalg" in sys.modules)
    return cast("AbstractContextManager[object]", controller.limit(limits=1, user_api="blas"))


def compiled(function: Function) -> Function:
    """Compile on first use, and keep the machine code on disk where a folder can be written.

    Whoever imports a module with such functions loads the compiler: that import stays lazy.
    """
    import numba

    try:
        return cast(Function, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
    except RuntimeError:  # no writable cache folder: compile in each process
        return cast(Function, numba.njit(nogil=True, error_model="numpy")(function))


def two_at_a_time(function: Callable[[Item], Value], items: Iterable[Item]) -> list[Value]:
    """Return what a function makes of each item, two at a time, in their order.

    For long sums that do not know of each other: numpy lets go of the interpreter. More at a time
    would hold more arrays of all rows.
    """
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(function, items))


def one_thread(function: Callable[Parameters, Value]) -> Callable[Parameters, Value]:
    """Run a function with one BLAS thread."""

    @wraps(function)
    def limited(*args: Parameters.args, **keywords: Parameters.kwargs) -> Value:
        with one_blas_thread():
            return function(*args, **keywords)

    return limited
