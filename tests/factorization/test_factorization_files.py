"""Saving and loading: the same model, or a `ModelFileError` that says why not."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save

from causalrec import DebiasedMF, InteractionLog, load_model, simulate
from causalrec.errors import ModelFileError
from causalrec.factorization import _files
from causalrec.factorization._ids import Ids, ids_from_json, ids_to_json


@pytest.fixture(scope="module")
def world():
    return simulate("music", n_users=50, n_items=30, random_state=0)


@pytest.fixture(scope="module")
def model(world) -> DebiasedMF:
    return DebiasedMF("mrdr", n_factors=3, n_sweeps=4, features=True).fit(
        world.log, world.potential.propensity
    )


@pytest.fixture
def saved(model, tmp_path):
    return model.save(tmp_path / "model")


@pytest.mark.parametrize("estimator", ["naive", "ips", "dr", "mrdr"])
@pytest.mark.parametrize("features", [False, True, ("genre", "country")])
def test_a_loaded_model_is_the_saved_one(world, tmp_path, estimator: str, features) -> None:
    model = DebiasedMF(estimator, n_factors=2, n_sweeps=np.int64(3), features=features)
    model.fit(world.log, world.potential.propensity)
    loaded = load_model(model.save(tmp_path / "m"))
    assert loaded.get_params() == model.get_params()
    assert type(loaded.n_sweeps) is int
    everything = slice(None)
    assert loaded.predict_block(everything).tobytes() == model.predict_block(everything).tobytes()
    pd.testing.assert_frame_equal(loaded.recommend(k=3), model.recommend(k=3))
    folded = [one.fold_in(world.log, 0.3).predict_block(everything) for one in (model, loaded)]
    assert folded[0].tobytes() == folded[1].tobytes()
    for name in ("loss_history_", "n_sweeps_", "converged_", "solver_path_", "notes_"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(model, name))


def test_saving_twice_writes_the_same_bytes_and_leaves_nothing_behind(model, tmp_path) -> None:
    first = {p.name: p.read_bytes() for p in model.save(tmp_path / "a").iterdir()}
    second = {p.name: p.read_bytes() for p in model.save(tmp_path / "a").iterdir()}
    assert first == second
    assert len(first) == 2


def test_saving_another_model_replaces_the_first(world, model, saved) -> None:
    other = DebiasedMF("naive", n_factors=1, n_sweeps=2).fit(world.log)
    other.save(saved)
    assert len(list(saved.iterdir())) == 2
    assert load_model(saved).estimator == "naive"


def test_an_interrupted_save_leaves_the_previous_model(world, saved, monkeypatch) -> None:
    before = load_model(saved).predict_block(slice(None))
    written = _files._write

    def stop_before_the_manifest(path, content) -> None:
        if path.name == _files.MANIFEST:
            raise KeyboardInterrupt
        written(path, content)

    monkeypatch.setattr(_files, "_write", stop_before_the_manifest)
    other = DebiasedMF("naive", n_factors=1, n_sweeps=2).fit(world.log)
    with pytest.raises(KeyboardInterrupt):
        other.save(saved)
    assert load_model(saved).predict_block(slice(None)).tobytes() == before.tobytes()


def test_a_directory_of_something_else_is_left_alone(model, tmp_path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ModelFileError, match="not a saved model"):
        model.save(tmp_path)
    with pytest.raises(ModelFileError, match="not a saved model"):
        model.save(tmp_path / "thesis.txt")


def _array_file(saved):
    (path,) = saved.glob("arrays-*.safetensors")
    return path


def test_missing_files_are_named(saved, tmp_path) -> None:
    with pytest.raises(ModelFileError, match=r"manifest\.json"):
        load_model(tmp_path / "nowhere")
    _array_file(saved).unlink()
    with pytest.raises(ModelFileError, match="cannot be read"):
        load_model(saved)


@pytest.mark.parametrize("length", [0, 10, 1_000])
def test_truncated_arrays_are_refused(saved, length: int) -> None:
    path = _array_file(saved)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ModelFileError, match="truncated or altered"):
        load_model(saved)


def test_one_flipped_bit_is_refused(saved) -> None:
    path = _array_file(saved)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="hash differs"):
        load_model(saved)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "7", '{"checksum": "x"}', "[" * 100_000, "\x00"]
)
def test_what_is_no_manifest_is_refused(saved, text: str) -> None:
    (saved / _files.MANIFEST).write_text(text)
    with pytest.raises(ModelFileError):
        load_model(saved)


def _alter(saved, change) -> None:
    """Alter the manifest as an attacker would: with a checksum that fits again."""
    path = saved / _files.MANIFEST
    body = json.loads(path.read_text(encoding="utf-8"))
    del body["checksum"]
    change(body)
    body["checksum"] = _files._checksum(body)
    path.write_text(json.dumps(body), encoding="utf-8")


def test_an_altered_manifest_is_refused(saved) -> None:
    path = saved / _files.MANIFEST
    path.write_text(path.read_text(encoding="utf-8").replace('"mrdr"', '"naive"'))
    with pytest.raises(ModelFileError, match="checksum differs"):
        load_model(saved)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda b: b.update(schema_version="9.0"), "schema 9.0"),
        (lambda b: b.update(schema_version=None), "schema None"),
        (lambda b: b.update(pickle="cos\nsystem"), "manifest"),
        (lambda b: b.update(kind="Pipeline"), "manifest"),
        (lambda b: b.update(arrays_sha256="../../etc/passwd"), "no valid hash"),
        (lambda b: b["parameters"].update(hook="os.system"), "parameters"),
        (lambda b: b["parameters"].update(n_factors=-3), "n_factors"),
        (lambda b: b["user_ids"]["values"].pop(), "(shapes|types)"),
        (lambda b: b["item_ids"]["values"].__setitem__(0, b["item_ids"]["values"][1]), "twice"),
        (lambda b: b["item_ids"].update(tags="module"), "is not a"),
        (lambda b: b["intercepts"].pop("factors"), "do not fit"),
        (lambda b: b["scales"].update(more=1.0), "do not fit"),
        (lambda b: b["fitted"].update(solver_path_="gpu"), "manifest"),
    ],
)
def test_a_hostile_manifest_with_a_valid_checksum_is_refused(saved, change, says: str) -> None:
    _alter(saved, change)
    with pytest.raises(ModelFileError, match=says):
        load_model(saved)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.update(seen_items=a["seen_items"] + 1_000),
        lambda a: a.update(seen_pointer=a["seen_pointer"][::-1].copy()),
        lambda a: a.update({"factors.user_factors": a["factors.user_factors"][:-1]}),
        lambda a: a.update({"factors.item_biases": a["factors.item_biases"][None]}),
        lambda a: a.update({"prior.crosses": a["prior.crosses"][1:].copy()}),
        lambda a: a.update({"features.left": np.zeros(())}),
        lambda a: a.pop("factors.user_biases"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(saved, change) -> None:
    import hashlib

    arrays = load_file(_array_file(saved))
    change(arrays)
    content = save(arrays)
    sha256 = hashlib.sha256(content).hexdigest()
    (saved / _files._array_file(sha256)).write_bytes(content)
    _alter(saved, lambda body: body.update(arrays_sha256=sha256))
    with pytest.raises(ModelFileError):
        load_model(saved)


@pytest.mark.parametrize(
    "index",
    [
        pd.Index([3, 1, 2]),
        pd.Index(["a", "b"]),
        pd.Index(["a", "b"], dtype=object),
        pd.Index([1, "1", (1, "a"), 2.5, False], dtype=object, tupleize_cols=False),
        pd.DatetimeIndex(["2024-01-01", "2024-05-01"], tz="UTC"),
        pd.Index([1.5, 2.5]),
        pd.Index([3, 4], dtype="uint16"),
        pd.Index([UUID(int=7), UUID(int=8)], dtype=object),
    ],
)
def test_ids_of_any_plain_type_come_back(index: pd.Index) -> None:
    text = ids_to_json(index, "user").model_dump_json()
    back = ids_from_json(Ids.model_validate_json(text))
    assert back.dtype == index.dtype
    assert [(type(a), a) for a in back] == [(type(a), a) for a in index]


def test_ids_that_json_cannot_hold_are_refused(tmp_path) -> None:
    events = pd.DataFrame(
        {"user_id": [frozenset("a"), frozenset("b")], "item_id": [1, 2], "rating": [1.0, 2.0]}
    )
    model = DebiasedMF("naive", n_factors=0).fit(InteractionLog(events))
    with pytest.raises(ModelFileError, match="frozenset"):
        model.save(tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_a_folder_without_a_model_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="There is no saved model in"):
        load_model(tmp_path / "nowhere")


@pytest.fixture(scope="module")
def prior_model(world) -> DebiasedMF:
    model = DebiasedMF("mrdr", n_factors=2, n_sweeps=3, features=True, features_as="prior")
    array = np.random.default_rng(0).normal(size=(30, 3))
    return model.fit(world.log, 0.3, item_features=array)


@pytest.mark.parametrize("seed", range(40))
def test_random_damage_to_either_file_is_refused(prior_model, tmp_path, seed: int) -> None:
    folder = prior_model.save(tmp_path / "m")
    rng = np.random.default_rng(seed)
    path = _array_file(folder) if seed % 2 else folder / _files.MANIFEST
    content = bytearray(path.read_bytes())
    for at in rng.integers(0, len(content), size=rng.integers(1, 4)):
        content[at] ^= int(rng.integers(1, 256))
    if seed % 3 == 0:
        content = content[: rng.integers(0, len(content))]
    path.write_bytes(content)
    with pytest.raises(ModelFileError):
        load_model(folder)


@pytest.mark.parametrize("seed", range(60))
def test_forged_arrays_with_a_fitting_hash_give_an_error_or_a_model(
    prior_model, tmp_path, seed: int
) -> None:
    folder = prior_model.save(tmp_path / "m")
    rng = np.random.default_rng(seed)
    old = _array_file(folder)
    content = bytearray(old.read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    for at in rng.integers(8 if seed % 2 else 0, header, size=rng.integers(1, 4)):
        content[at] = int(rng.integers(32, 127))
    sha = _files.hashlib.sha256(content).hexdigest()
    old.unlink()
    (folder / _files._array_file(sha)).write_bytes(content)
    _alter(folder, lambda body: body.update(arrays_sha256=sha))
    try:
        loaded = load_model(folder)
    except ModelFileError:
        return
    assert loaded.predict_block(slice(None)).shape == (50, 30)


@pytest.mark.parametrize(
    ("name", "forged"),
    [
        ("seen_pointer", lambda a: a.astype(np.float64)),
        ("factors.item_factors", lambda a: a.astype(np.int64)),
        ("factor_prior.item.weights", lambda a: a[:, :-1]),
        ("factor_prior.item.rows", lambda a: a[:-1]),
        ("factor_prior.item.warm", lambda a: a.astype(np.int64)),
        ("factor_prior.user.imputation", lambda a: a[:1]),
        ("item_array.components", lambda a: a[0]),
        ("events.outcome", lambda a: a[:-1]),
    ],
)
def test_arrays_of_another_shape_or_type_are_refused(prior_model, tmp_path, name, forged) -> None:
    folder = prior_model.save(tmp_path / "m")
    old = _array_file(folder)
    arrays = load_file(old)
    arrays[name] = np.ascontiguousarray(forged(arrays[name]))
    content = save(arrays)
    sha = _files.hashlib.sha256(content).hexdigest()
    old.unlink()
    (folder / _files._array_file(sha)).write_bytes(content)
    _alter(folder, lambda body: body.update(arrays_sha256=sha))
    with pytest.raises(ModelFileError):
        load_model(folder)
