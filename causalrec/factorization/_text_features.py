"""Text columns as features: TF-IDF, reduced to a few directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from causalrec import errors
from causalrec.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


class TextFeatures:
    """Features of a table's text columns: TF-IDF of words, reduced by a truncated SVD.

    Pass it as `item_features` of `DebiasedMF.fit`: it is fitted on the log's table, and encodes
    the items that come later. Only text that was fixed before the exposure may enter: tags and
    reviews are written by raters, and leak what they are to predict.

    Parameters
    ----------
    columns : sequence of str
        Text columns; a missing text counts as empty.
    n_components : int, default 64
        At most so many directions.
    min_count : int, default 2
        Leave out words that fewer texts have.

    Examples
    --------
    >>> import pandas as pd
    >>> films = pd.DataFrame({"title": ["Night train", "Night bus", "Day train", "Day bus"]})
    >>> TextFeatures(["title"], n_components=2).fit(films)(films).shape
    (4, 2)
    """

    def __init__(
        self, columns: Sequence[str], *, n_components: int = 64, min_count: int = 2
    ) -> None:
        self.columns = columns
        self.n_components = n_components
        self.min_count = min_count

    def fit(self, table: pd.DataFrame) -> Self:
        """Learn the words and the directions of a table.

        Raises
        ------
        DataError
            If a column is absent, or no word occurs `min_count` times.
        """
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        texts = self._texts(table)
        words = TfidfVectorizer(min_df=self.min_count, sublinear_tf=True)
        try:
            counts = words.fit_transform(texts)
        except ValueError:
            raise DataError(
                f"No word of {', '.join(map(repr, self.columns))} occurs in {self.min_count} of"
                f" {len(texts):,} texts. Lower min_count, or name columns of text."
            ) from None
        # The exact solver: the randomised one would make features depend on a seed.
        rank = max(1, min(self.n_components, min(counts.shape) - 1))
        self._words = words
        self._directions = TruncatedSVD(rank, algorithm="arpack", random_state=0).fit(counts)
        return self

    def __call__(self, table: pd.DataFrame) -> NDArray[np.float64]:
        """Return the features of a table's rows, shape (n, n_components)."""
        if not hasattr(self, "_directions"):
            raise errors.NotFittedError.of(self)
        counts = self._words.transform(self._texts(table))
        return np.asarray(self._directions.transform(counts), dtype=np.float64)

    def _texts(self, table: pd.DataFrame) -> list[str]:
        if isinstance(self.columns, str):
            raise DataError(f"columns={self.columns!r} is one name: pass [{self.columns!r}].")
        for column in self.columns:
            if column not in table.columns:
                raise DataError.missing_column(
                    column, list(table.columns), role="columns of TextFeatures", table="features"
                )
        parts: list[Any] = [table[c].astype("object").fillna("").astype(str) for c in self.columns]
        return [" ".join(words) for words in zip(*parts, strict=True)]
