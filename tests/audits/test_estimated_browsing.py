"""Exposure under an estimated examination curve."""

from __future__ import annotations

import numpy as np
import pytest

import causalrec as cr
from causalrec.audits import browsing_weight
from causalrec.errors import DataError, NotFittedError, StudyError
from causalrec.nuisances import ExaminationModel

WORLD = cr.simulate("social", n_users=300, n_items=40, n_slates=20, random_state=0)
MODEL = ExaminationModel().fit(WORLD.log)


def test_places_count_what_is_examined() -> None:
    weight = browsing_weight([1, 3, 5], MODEL)
    assert weight.tolist() == MODEL.theta_[[0, 2, 4]].tolist()
    with pytest.raises(DataError, match=r"positions \[6\]"):
        browsing_weight([6], MODEL)
    with pytest.raises(NotFittedError):
        browsing_weight([1], ExaminationModel())
    with pytest.raises(StudyError, match="a fitted ExaminationModel"):
        browsing_weight([1], "cascade")


def test_an_audit_takes_it_and_says_its_error() -> None:
    options = {"item_groups": ["topic"], "metrics": "mean", "min_cell": 1, "k": 5}
    audit = cr.audit(WORLD.log, **options, browsing=MODEL)
    attention = MODEL.predict(WORLD.log.position)
    topic = WORLD.log.items["topic"].to_numpy()
    by_item = np.bincount(WORLD.log.item_codes, attention, WORLD.log.n_items)
    news, music = by_item[topic == "news"].mean(), by_item[topic == "music"].mean()
    ratio = audit["exposure: topic=news"].value / audit["exposure: topic=music"].value
    assert ratio == pytest.approx(news / music, rel=1e-9)
    assert "estimated examination (harvesting: 1.00, 0." in audit.provenance.config["browsing"]
    assert cr.Result.from_json(audit.to_json()).provenance.config == audit.provenance.config
