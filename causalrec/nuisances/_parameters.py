"""scikit-learn's convention for parameters, without importing scikit-learn."""

from __future__ import annotations

import inspect
from typing import Any, Self

from causalrec.errors import StudyError, near_miss


class Parameters:
    """`get_params`, `set_params` and `clone` for classes whose constructor stores parameters."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's parameters."""
        names = list(inspect.signature(type(self).__init__).parameters)[1:]
        return {name: getattr(self, name) for name in names}

    def set_params(self, **parameters: Any) -> Self:
        """Set parameters of the constructor and return self."""
        known = self.get_params()
        for name, value in parameters.items():
            if name not in known:
                raise StudyError(
                    f"{type(self).__name__} has no parameter {name!r}.{near_miss(name, known)}"
                    f" It has {', '.join(known)}."
                )
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        said = [f"{k}={v!r}" for k, v in self.get_params().items() if v is not defaults[k].default
                and v != defaults[k].default]  # fmt: skip
        return f"{type(self).__name__}({', '.join(said)})"

    def clone(self) -> Self:
        """Return an unfitted copy with the same parameters."""
        return type(self)(**self.get_params())
