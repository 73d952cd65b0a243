"""Effects of exposure: what being shown causes, for whom, and how sure we are."""

from causalrec.effects._estimate_effect import estimate_effect
from causalrec.effects._modifiers import effect_modifiers
from causalrec.effects._result import EffectResult

__all__ = ["EffectResult", "effect_modifiers", "estimate_effect"]
