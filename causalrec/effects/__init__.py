"""Effects of exposure: what being shown causes, for whom, and how sure we are."""

from causalrec.effects._estimate_effect import estimate_effect
from causalrec.effects._estimate_paths import estimate_paths
from causalrec.effects._forest import effect_forest
from causalrec.effects._modifiers import effect_modifiers
from causalrec.effects._path_result import PathResult
from causalrec.effects._policy_tree import effect_policy
from causalrec.effects._result import EffectResult
from causalrec.effects._validation import validate_effects

__all__ = [
    "EffectResult",
    "PathResult",
    "effect_forest",
    "effect_modifiers",
    "effect_policy",
    "estimate_effect",
    "estimate_paths",
    "validate_effects",
]
