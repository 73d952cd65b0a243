"""How much attention a place in a list gets."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from causalrec.audits._cascade import Cascade
from causalrec.errors import StudyError
from causalrec.nuisances import ExaminationModel

FloatArray = npt.NDArray[np.float64]
Browsing = str | float | ExaminationModel | Cascade
PLACES_NAMED = 5


def browsing_weight(rank: npt.ArrayLike, browsing: Browsing = "log") -> FloatArray:
    """Return the weight v(r) of 1-based places.

    Parameters
    ----------
    rank : int array (n,)
    browsing : {"log", "equal"}, float or fitted ExaminationModel
        "log": 1 / log2(1 + r) (Singh & Joachims 2018). "equal": 1. A number g in (0, 1): g^(r - 1),
        the patience of rank-biased precision (Moffat & Zobel 2008). A model: the examination that
        it has estimated, the first place counting one.

    Raises
    ------
    StudyError
        For anything else.
    DataError
        If the model has not seen a place.

    Examples
    --------
    >>> browsing_weight([1, 3]).tolist(), browsing_weight([1, 2, 3], 0.5).tolist()
    ([1.0, 0.5], [1.0, 0.5, 0.25])
    """
    if isinstance(browsing, ExaminationModel):
        return browsing.predict(rank)
    if isinstance(browsing, Cascade):
        raise StudyError(
            "Attention by a cascade depends on the items above, not on the place alone: audit(...)"
            " knows them; here pass 'log', 'equal', a patience or a fitted ExaminationModel."
        )
    place = np.asarray(rank, dtype=np.float64)
    if browsing == "log":
        return np.asarray(1.0 / np.log2(1.0 + place))
    if browsing == "equal":
        return np.ones_like(place)
    if isinstance(browsing, float) and 0.0 < browsing < 1.0:
        return np.asarray(browsing ** (place - 1.0))
    raise StudyError(
        f"browsing={browsing!r} is not known: 'log' (1 / log2(1 + place)), 'equal', a patience"
        " between 0 and 1 such as 0.85, a fitted ExaminationModel, or, in audit(...), a Cascade."
    )


def browsing_words(browsing: Browsing) -> str:
    """Return the weights in words, for captions.

    Examples
    --------
    >>> browsing_words("log")
    'a place r counts 1 / log2(1 + r)'
    """
    if isinstance(browsing, ExaminationModel):
        values = ", ".join(f"{value:.2f}" for value in browsing.theta_[:PLACES_NAMED])
        more = ", ..." if len(browsing.theta_) > PLACES_NAMED else ""
        others = len(browsing.theta_) - 1
        error = float(browsing.estimate_.standard_error[:others].max())
        return (
            f"a place counts its estimated examination ({browsing.method}: {values}{more}; the"
            f" standard error of its logarithm, at most {error:.2f}, is not in the intervals)"
        )
    if isinstance(browsing, Cascade):
        return browsing.words
    if browsing == "log":
        return "a place r counts 1 / log2(1 + r)"
    if browsing == "equal":
        return "every place counts one"
    return f"a place r counts {browsing:g}^(r - 1)"
