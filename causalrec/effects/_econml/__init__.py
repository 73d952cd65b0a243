"""EconML's learners on our folds, with explicit models and our inference.

Each learner is fitted once on folds dealt by user, its nuisances are read back, and the interval is
ours: EconML clusters nothing, and its nominal 95 % intervals cover far fewer where users and items
carry effects of their own. What EconML itself would have reported stands beside, in a table.
"""

from causalrec.effects._econml._compute import compute_econml
from causalrec.effects._econml._driv import effect_by_driv

__all__ = ["compute_econml", "effect_by_driv"]
