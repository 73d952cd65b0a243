"""A study runs its chain once, resumes, and publishes the same bytes whatever interrupted it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from causalrec.errors import DataError, IdentificationError, StudyError
from causalrec.results import Result
from causalrec.study import check_study, read_study, run_study, write_starter, write_world
from causalrec.study._store import Store

SMALL = """
schema_version = 1
graph = "exposure_click"

[study]
title = "A small shop"
output = "out"
formats = ["html", "json", "md", "csv", "tex"]

[log]
world = "shop"
world_options = { n_users = 150, n_items = 40, n_candidates = 20 }

[[questions]]
kind = "effect"
name = "effect"
by = ["gender"]

[[questions]]
kind = "audit"
name = "audit"
user_groups = ["gender"]
item_groups = ["category"]
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(SMALL)
    return path


def _published(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.glob("report.*"))}


class Lines:
    """Progress that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def step(self, text: str):
        from contextlib import nullcontext

        self.told.append(text)
        return nullcontext()

    def __call__(self, text: str) -> None:
        self.told.append(text)


def test_a_study_answers_every_question_and_keeps_the_ledger(study: Path) -> None:
    result = run_study(study)
    assert [section.kind for section in result.sections] == ["effect", "audit"]
    assert result.answer
    assert {a.name for a in result.assumptions} >= {"no unmeasured confounding"}
    published = _published(study.parent / "out")
    assert set(published) == {f"report.{e}" for e in ("html", "json", "md", "csv", "tex")}
    assert len(published["report.html"]) < 300 * 1024
    assert Result.load(study.parent / "out" / "report.json").to_json() == result.to_json()


def test_a_second_run_computes_nothing_and_writes_the_same_bytes(study: Path) -> None:
    run_study(study)
    first = _published(study.parent / "out")
    progress = Lines()
    run_study(study, progress=progress)
    assert _published(study.parent / "out") == first
    assert [line for line in progress.told if "kept from an earlier run" in line] == [
        "effect: effect (kept from an earlier run)",
        "audit: audit (kept from an earlier run)",
    ]


def test_a_changed_question_is_answered_again(study: Path) -> None:
    run_study(study)
    study.write_text(SMALL.replace('name = "effect"', 'name = "effect"\nestimand = "att"'))
    progress = Lines()
    changed = run_study(study, progress=progress)
    assert "effect: effect" in progress.told
    assert "audit: audit (kept from an earlier run)" in progress.told
    assert "att" in changed.sections[0].model_dump_json().lower()


def test_a_damaged_part_is_computed_again(study: Path) -> None:
    run_study(study)
    first = _published(study.parent / "out")
    for part in (study.parent / "out" / ".parts").glob("*.json"):
        part.write_text(part.read_text()[:40])
    run_study(study)
    assert _published(study.parent / "out") == first


def _run(study: Path, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "causalrec.cli", "run", str(study), "--quiet"],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_the_same_bytes_with_one_and_two_threads(study: Path, tmp_path: Path) -> None:
    published = []
    for threads in ("1", "2"):
        folder = tmp_path / threads
        folder.mkdir()
        (folder / "study.toml").write_text(SMALL)
        variables = dict.fromkeys(
            ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), threads
        )
        assert _run(folder / "study.toml", PYTHONHASHSEED=threads, **variables).wait() == 0
        published.append(_published(folder / "out"))
    assert published[0] == published[1]


@pytest.mark.parametrize("seconds", [0.4, 3.0, 5.0])
def test_a_killed_run_leaves_the_previous_results_whole(study: Path, seconds: float) -> None:
    run_study(study)
    before = _published(study.parent / "out")
    study.write_text(SMALL.replace("A small shop", "Another title").replace("seed", "seed"))
    process = _run(study)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    after = _published(study.parent / "out")
    complete = {name: b"Another title" in text for name, text in after.items() if "csv" not in name}
    assert set(after) == set(before)
    for name, changed in complete.items():
        assert changed or after[name] == before[name]
    Result.load(study.parent / "out" / "report.json")
    assert not Store(study.parent / "out").find("nothing")
    run_study(study)
    assert all(
        b"Another title" in t
        for n, t in _published(study.parent / "out").items()
        if n != "report.csv"
    )


def test_check_says_how_each_question_is_identified(study: Path) -> None:
    checked = check_study(study)
    assert "back-door adjustment" in checked.summary() or "adjust" in checked.summary().lower()


def test_check_refuses_what_the_graph_does_not_identify(study: Path) -> None:
    study.write_text(SMALL.replace('"exposure_click"', '"exposure_click_latent"'))
    with pytest.raises(IdentificationError, match="exposure <- taste -> click"):
        check_study(study)


def test_an_effect_without_a_graph_is_refused(study: Path) -> None:
    study.write_text(SMALL.replace('graph = "exposure_click"\n', ""))
    with pytest.raises(StudyError, match="declare the graph"):
        run_study(study)


def test_the_starter_can_be_checked_and_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    write_starter(path)
    assert read_study(path).graph == "exposure_click"
    check_study(path)
    with pytest.raises(StudyError, match="--force"):
        write_starter(path)
    write_starter(path, force=True)


@pytest.mark.parametrize("world", ["shop", "social", "music", "video"])
def test_a_world_on_disk_is_a_study_that_checks(world: str, tmp_path: Path) -> None:
    paths = write_world(world, tmp_path, n_users=120, n_items=40)
    assert [p.name for p in paths][-2:] == ["truth.json", "study.toml"]
    assert check_study(tmp_path / "study.toml").kind == "check"


def test_the_smallest_cell_of_a_study_holds_for_effects_by_group_too(study: Path) -> None:
    study.write_text(SMALL.replace('output = "out"', 'output = "out"\nmin_cell = 100'))
    by_gender = run_study(study).sections[0].sections[0]
    assert {row.status for row in by_gender.rows} == {"suppressed"}


def test_the_smallest_cell_of_a_study_holds_for_means_by_group_too(study: Path) -> None:
    study.write_text("""
schema_version = 1
graph = "rating_selection"

[study]
title = "Songs"
output = "out"
min_cell = 90
formats = ["json"]

[log]
world = "music"
world_options = { n_users = 150, n_items = 40 }

[[questions]]
kind = "mean"
name = "mean"
by = "country"
""")
    rows = run_study(study).sections[0].rows
    by_country = [row for row in rows if row.group]
    assert by_country
    assert {row.status for row in by_country} == {"suppressed"}


MUSIC = """
schema_version = 1
graph = "rating_selection"

[study]
title = "A small music service"
output = "out"
formats = ["json"]
level = 0.8

[log]
world = "music"
world_options = { n_users = 150, n_items = 40, density = 0.2 }

[models.ips]
estimator = "ips"
n_factors = 2

[[questions]]
kind = "mean"
name = "mean"
estimator = "snips"
by = "country"

[[questions]]
kind = "bounds"
name = "bounds"

[[questions]]
kind = "evaluation"
name = "evaluation"
models = ["ips"]
metrics = ["mse"]

[[questions]]
kind = "audit"
name = "audit"
model = "ips"
user_groups = ["country"]
"""


def test_every_question_speaks_at_the_level_of_the_study(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(MUSIC)
    result = run_study(path)
    rows = [row for section in result.sections for row in section.rows]
    assert {row.level for row in rows if row.lower is not None} == {0.8}
    audit = result.sections[3]
    assert "train" in audit.provenance.data, "a model is audited on what it was not trained on"


def test_a_study_asks_for_lists_by_threshold_and_columns(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    asked = (
        'metrics = ["precision@3", "coverage@3", "intra-list-diversity@3"]\n'
        'relevance_threshold = 4.0\nitem_columns = ["genre"]'
    )
    path.write_text(MUSIC.replace('metrics = ["mse"]', asked))
    found = run_study(path).sections[2]
    assert {"precision@3", "coverage@3", "intra-list-diversity@3"} <= {
        row.label for row in found.rows if row.value is not None
    }


UPLIFT = """
schema_version = 1
graph = "exposure_click"

[study]
title = "Whom to recommend what"
output = "out"

[log]
world = "shop"
world_options = { n_users = 200, n_items = 40 }

[split]
test_size = 0.5

[models.by-effect]
estimator = "dr"
objective = "effect"
n_factors = 2

[models.by-outcome]
estimator = "ips"
n_factors = 2

[[questions]]
kind = "uplift"
name = "uplift"
models = ["by-effect", "by-outcome"]
k = 5
"""


def test_a_study_ranks_by_what_recommending_adds(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(UPLIFT)
    assert "exposure" in check_study(path).notes[0]
    uplift = run_study(path).sections[0]
    assert uplift.kind == "uplift"
    assert [row.label for row in uplift.rows][:2] == ["by-effect", "by-outcome"]
    path.write_text(UPLIFT.replace('"by-outcome"]', '"by-outcom"]'))
    with pytest.raises(StudyError, match=r"Did you mean 'by-outcome'\?"):
        check_study(path)


def test_check_refuses_bounds_of_a_log_of_candidates(study: Path) -> None:
    study.write_text(SMALL + '\n[[questions]]\nkind = "bounds"\nname = "bounds"\n')
    with pytest.raises(DataError, match="ratings"):
        check_study(study)


POSITIONS = """
schema_version = 1
graph = "feed_position"

[study]
title = "A feed"
output = "out"

[log]
world = "social"
world_options = { n_users = 150, n_items = 40 }

[[questions]]
kind = "effect"
name = "first-or-fifth"
contrast = [1, 5]
weights = "freshness_weight"
by = ["device"]
"""


def test_a_study_compares_positions_and_arms(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(POSITIONS.replace('weights = "freshness_weight"\n', ""))
    assert "1 of 1 questions" in check_study(path).answer
    effect = run_study(path).sections[0]
    assert effect.answer.startswith("Position 1 rather than 5 changes click by")
    assert effect.provenance.config["contrast"] == [1, 5]
    path.write_text(POSITIONS)
    with pytest.raises(DataError, match="freshness_weight"):
        check_study(path)
    path.write_text(POSITIONS.replace("[1, 5]", "[1]"))
    with pytest.raises(StudyError, match="contrast"):
        read_study(path)
    question = POSITIONS.replace("[1, 5]", '["treatment", "control"]')
    path.write_text(question)
    assert read_study(path).questions[0].contrast == ("treatment", "control")


DECOMPOSED = """
schema_version = 1
graph = "exposure_click"

[study]
title = "Through which pathway"
output = "out"
min_cell = 5

[log]
world = "shop"
world_options = { n_users = 80, n_items = 30 }

[[questions]]
kind = "decomposition"
name = "four"
by = "gender"
groups = ["f", "m"]
refute = true

[[questions]]
kind = "decomposition"
name = "paths"
by = "gender"
method = "standard_fairness"
allowed_mediators = ["activity"]
"""


RATIOS = """
schema_version = 1

[study]
title = "At what rate"
output = "out"
min_cell = 5

[log]
world = "shop"
world_options = { n_users = 80, n_items = 30 }

[[questions]]
kind = "impact_ratios"
name = "shown"
by = ["gender"]
unknown = ["not disclosed"]

[[questions]]
kind = "impact_ratios"
name = "scored"
by = ["category"]
scores = "purchase"
intersections = false
"""


def test_a_study_tabulates_impact_ratios(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(RATIOS)
    assert len(check_study(path).notes) == 2
    shown, scored = run_study(path).sections
    assert shown.kind == scored.kind == "impact_ratios"
    assert shown.tables[0].columns[3] == "selection rate"
    assert scored.tables[0].columns[3] == "scoring rate"
    path.write_text(RATIOS.replace('["gender"]', '["gendre"]'))
    with pytest.raises(DataError, match="gender"):
        check_study(path)


def test_a_study_asks_through_which_pathway_a_gap_arises(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(DECOMPOSED)
    first, second = check_study(path).notes
    assert "effect of exposure" in first
    assert "natural indirect effect of gender on purchase through activity" in second
    four, paths = run_study(path).sections
    assert four.kind == paths.kind == "decomposition"
    assert [section.kind for section in four.sections] == ["refutation"]
    assert {row.label for row in paths.rows} >= {"direct", "indirect", "spurious"}
    path.write_text(DECOMPOSED.replace('["activity"]', '["exposed"]'))
    with pytest.raises(IdentificationError, match="recanting witness"):
        check_study(path)


def test_an_audit_crosses_columns_and_counts_who_has_none(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    crossed = 'user_groups = ["country", "country x age_group"]\nunknown = "category"'
    path.write_text(MUSIC.replace('user_groups = ["country"]', crossed))
    assert "questions can be asked" in check_study(path).answer
    audit = next(one for one in run_study(path).sections if one.kind == "audit")
    assert any(set(row.group) == {"country", "age_group"} for row in audit.rows)
    path.write_text(MUSIC.replace('["country"]', '["country x agegroup"]'))
    with pytest.raises(ValueError, match="age_group"):
        check_study(path)
