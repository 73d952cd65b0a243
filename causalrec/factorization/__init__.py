"""Matrix factorisation trained on scores of a biased log, and its kernels.

Names load their module when first used: a fit does not wait for tuning, files or explanations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from causalrec.lazy import on_first_use

if TYPE_CHECKING:
    from causalrec.factorization._explain import Explanation
    from causalrec.factorization._exposure_factors import ExposureFactors, exposure_factors
    from causalrec.factorization._files import load_model
    from causalrec.factorization._model import DebiasedMF
    from causalrec.factorization._path import RegularizationPath, regularization_path
    from causalrec.factorization._protocols import Recommender
    from causalrec.factorization._text_features import TextFeatures
    from causalrec.factorization._tuning import tune
    from causalrec.factorization._tuning_result import TuningResult

_HOME = {
    "Explanation": "_explain",
    "ExposureFactors": "_exposure_factors",
    "exposure_factors": "_exposure_factors",
    "load_model": "_files",
    "DebiasedMF": "_model",
    "RegularizationPath": "_path",
    "regularization_path": "_path",
    "Recommender": "_protocols",
    "TextFeatures": "_text_features",
    "tune": "_tuning",
    "TuningResult": "_tuning_result",
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = on_first_use(__name__, _HOME)

__all__ = [
    "DebiasedMF",
    "Explanation",
    "ExposureFactors",
    "Recommender",
    "RegularizationPath",
    "TextFeatures",
    "TuningResult",
    "exposure_factors",
    "load_model",
    "regularization_path",
    "tune",
]
