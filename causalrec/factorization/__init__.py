"""Matrix factorisation trained on scores of a biased log, and its kernels."""

from causalrec.factorization._explain import Explanation
from causalrec.factorization._exposure_factors import ExposureFactors, exposure_factors
from causalrec.factorization._files import load_model
from causalrec.factorization._model import DebiasedMF
from causalrec.factorization._path import RegularizationPath, regularization_path
from causalrec.factorization._protocols import Recommender
from causalrec.factorization._text_features import TextFeatures
from causalrec.factorization._tuning import tune
from causalrec.factorization._tuning_result import TuningResult

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
