"""Models on disk: arrays as safetensors, the rest as a JSON manifest that vouches for them.

The array file is named after its own hash and the manifest is replaced in one step, so a reader
finds the old model or the new one, never half of each. Nothing in a model file is executed.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from causalrec import __version__
from causalrec.errors import ModelFileError, StudyError
from causalrec.factorization._common import Factors
from causalrec.factorization._eligible_items import EligibleItems
from causalrec.factorization._feature_files import (
    FeatureSide,
    are_sides,
    check_feature_shapes,
    feature_arrays,
    feature_sides,
    features_from,
    prior_from,
    sides_of,
)
from causalrec.factorization._ids import Ids, ids_from_json, ids_to_json
from causalrec.factorization._state import Events, Scales, State

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from causalrec.factorization._model import DebiasedMF

SCHEMA_VERSION = "2.0"
MANIFEST = "manifest.json"
HISTORIES = ("loss_history_", "validation_losses_")

Arrays = dict[str, "NDArray[Any]"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Fitted(_Strict):
    """Fitted attributes that are not arrays."""

    loss_history_: tuple[float, ...]
    n_sweeps_: int
    converged_: bool
    solver_path_: Literal["scipy", "numba"]
    share_clipped_: float
    effective_sample_size_: float
    notes_: tuple[str, ...]
    validation_losses_: tuple[float, ...] = ()


class Manifest(_Strict):
    """What `manifest.json` holds."""

    schema_version: str
    kind: Literal["DebiasedMF"]
    causalrec_version: str
    parameters: dict[str, Any]
    fitted: Fitted
    user_ids: Ids
    item_ids: Ids
    intercepts: dict[Literal["factors", "imputation", "prior"], float]
    scales: dict[str, float]
    outcome_range: tuple[float, float]
    features: tuple[FeatureSide, FeatureSide] | None
    eligible: tuple[int, bool] | None = None
    arrays_sha256: str

    def text(self) -> str:
        """Return the file's text: the content and a checksum of it."""
        body = self.model_dump(mode="json")
        body["checksum"] = _checksum(body)
        return json.dumps(body, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _checksum(body: dict[str, Any]) -> str:
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _array_file(sha256: str) -> str:
    return f"arrays-{sha256[:16]}.safetensors"


# -------------------------------------------------------------------------- writing


def save_model(
    directory: Path, parameters: dict[str, Any], fitted: dict[str, Any], state: State
) -> Path:
    """Write a fitted model; see `DebiasedMF.save`."""
    from safetensors.numpy import save

    if directory.exists() and (not directory.is_dir() or _holds_something_else(directory)):
        raise ModelFileError(
            f"{directory} exists and is not a saved model. Save into a directory of its own."
        )
    content = save(_arrays(state))
    sha256 = hashlib.sha256(content).hexdigest()
    manifest = _manifest(parameters, fitted, state, sha256)
    directory.mkdir(parents=True, exist_ok=True)
    _write(directory / _array_file(sha256), content)
    _write(directory / MANIFEST, manifest.text().encode("utf-8"))
    for old in directory.glob("arrays-*.safetensors"):
        if old.name != _array_file(sha256):
            old.unlink()
    return directory


def _holds_something_else(directory: Path) -> bool:
    return any(directory.iterdir()) and not (directory / MANIFEST).is_file()


def _write(path: Path, content: bytes) -> None:
    """Write to a temporary name in the same directory, then rename."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _arrays(state: State) -> Arrays:
    arrays: Arrays = {"seen_pointer": state.seen_pointer, "seen_items": state.seen_items}
    for name, factors in (("factors", state.factors), ("imputation", state.imputation)):
        if factors is not None:
            arrays[f"{name}.user_factors"] = factors.user_factors
            arrays[f"{name}.item_factors"] = factors.item_factors
            arrays[f"{name}.user_biases"] = factors.user_biases
            arrays[f"{name}.item_biases"] = factors.item_biases
    arrays |= feature_arrays(state)
    if state.eligible is not None:
        arrays["eligible.pointer"] = state.eligible.pointer
        arrays["eligible.items"] = state.eligible.items
    if state.events is not None:
        arrays["events.outcome"] = state.events.outcome
        arrays["events.propensity"] = state.events.propensity
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _manifest(
    parameters: dict[str, Any], fitted: dict[str, Any], state: State, sha256: str
) -> Manifest:
    intercepts: dict[Literal["factors", "imputation", "prior"], float] = {
        "factors": state.factors.intercept
    }
    if state.imputation is not None:
        intercepts["imputation"] = state.imputation.intercept
    if state.features is not None:
        intercepts["prior"] = state.features.prior.intercept
    return Manifest(
        schema_version=SCHEMA_VERSION,
        kind="DebiasedMF",
        causalrec_version=__version__,
        parameters={name: _plain(value) for name, value in parameters.items()},
        fitted=Fitted(**fitted),
        user_ids=ids_to_json(state.user_ids, "user"),
        item_ids=ids_to_json(state.item_ids, "item"),
        intercepts=intercepts,
        scales=vars(state.scales),
        outcome_range=state.outcome_range,
        features=feature_sides(state),
        eligible=None
        if state.eligible is None
        else (state.eligible.n_items, state.eligible.listed_are_eligible),
        arrays_sha256=sha256,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    return list(map(_plain, value)) if isinstance(value, list | tuple) else value


# -------------------------------------------------------------------------- reading


def load_model(directory: str | os.PathLike[str]) -> DebiasedMF:
    """Read a model that `DebiasedMF.save` wrote.

    Parameters
    ----------
    directory : path

    Returns
    -------
    DebiasedMF
        Fitted: it predicts, recommends and folds in as the one that was saved.

    Raises
    ------
    ModelFileError
        If a file is missing, truncated, altered, of another schema, or does not fit together.
    """
    from causalrec.factorization._model import DebiasedMF

    folder = Path(directory)
    manifest = _read_manifest(folder / MANIFEST)
    arrays = _read_arrays(folder, manifest.arrays_sha256)
    try:
        state = _state(manifest, arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"The parts of the model in {folder} do not fit: {error}") from None
    _check_shapes(state, folder)
    parameters = dict(manifest.parameters)
    if isinstance(parameters.get("features"), list):
        parameters["features"] = tuple(parameters["features"])
    try:
        model = DebiasedMF(**parameters)
        model._recipe()
    except (TypeError, StudyError) as error:
        raise ModelFileError(f"The parameters of the model in {folder}: {error}") from None
    for name, value in manifest.fitted:
        setattr(model, name, np.array(value) if name in HISTORIES else value)
    model._state = state
    return model


def _read_manifest(path: Path) -> Manifest:
    if not path.is_file():
        raise ModelFileError(
            f"There is no saved model in {path.parent}: it has no {path.name}. Pass the folder that"
            " model.save(folder) wrote."
        )
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        claimed = body.pop("checksum")
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise ModelFileError(f"{path} is not the manifest of a saved model: {error}") from None
    if claimed != _checksum(body):
        raise ModelFileError(f"{path} was altered after it was written: its checksum differs.")
    version = str(body.get("schema_version"))
    if version.split(".", maxsplit=1)[0] != SCHEMA_VERSION.split(".", maxsplit=1)[0]:
        raise ModelFileError(
            f"{path} has schema {version}; this version reads {SCHEMA_VERSION}. Save the model"
            " again with the version that made it."
        )
    try:
        return Manifest.model_validate(body)
    except ValidationError as error:
        raise ModelFileError(f"{path} is not the manifest of a saved model: {error}") from None


def _read_arrays(folder: Path, sha256: str) -> Arrays:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = folder / _array_file(sha256)
    if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise ModelFileError(f"The manifest in {folder} names no valid hash of its arrays.")
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ModelFileError(f"{path} is truncated or altered: its hash differs.")
        found: Arrays = load(content)
    except (OSError, SafetensorError) as error:
        raise ModelFileError(f"{path} cannot be read: {error}") from None
    return found


def _state(manifest: Manifest, arrays: Arrays) -> State:
    sides = None if manifest.features is None else sides_of(manifest.features, arrays)
    features = prior = None
    if sides is not None and "prior" in manifest.intercepts:
        features = features_from(sides, manifest.intercepts["prior"], arrays)
    elif sides is not None and manifest.features is not None:
        prior = prior_from(sides, manifest.features, arrays)
    factors = _factors(manifest, arrays, "factors")
    if factors is None:
        raise KeyError("factors")
    factors = replace(factors, biased=manifest.parameters.get("biases") is not False)
    return State(
        ids_from_json(manifest.user_ids),
        ids_from_json(manifest.item_ids),
        factors,
        _factors(manifest, arrays, "imputation"),
        features,
        arrays["seen_pointer"],
        arrays["seen_items"],
        Scales(**manifest.scales),
        manifest.outcome_range,
        prior,
        _events(arrays),
        _eligible(manifest, arrays),
    )


def _eligible(manifest: Manifest, arrays: Arrays) -> EligibleItems | None:
    if manifest.eligible is None:
        return None
    pointer, items = arrays["eligible.pointer"], arrays["eligible.items"]
    return EligibleItems(pointer, items, *manifest.eligible)


def _events(arrays: Arrays) -> Events | None:
    if "events.outcome" not in arrays:
        return None
    return Events(arrays["events.outcome"], arrays["events.propensity"])


def _factors(
    manifest: Manifest, arrays: Arrays, name: Literal["factors", "imputation"]
) -> Factors | None:
    if name not in manifest.intercepts:
        return None
    parts = ("user_factors", "item_factors", "user_biases", "item_biases")
    user_factors, item_factors, user_biases, item_biases = (
        arrays[f"{name}.{part}"] for part in parts
    )
    return Factors(manifest.intercepts[name], user_factors, item_factors, user_biases, item_biases)


def _check_shapes(state: State, folder: Path) -> None:
    """Refuse arrays that do not belong to these ids, or to each other."""
    m, n = len(state.user_ids), len(state.item_ids)
    pointer, seen = state.seen_pointer, state.seen_items
    whole = {"seen_pointer", "seen_items", "eligible.pointer", "eligible.items"}
    fits = [
        array.dtype.kind == ("i" if name in whole else "b" if name.endswith(".warm") else "f")
        for name, array in _arrays(state).items()
    ]
    fits += [pointer.shape == (m + 1,), seen.ndim == 1]
    for factors in filter(None, (state.factors, state.imputation)):
        fits.append(are_sides(factors.user_factors, factors.item_factors, m, n))
        fits += [factors.user_biases.shape == (m,), factors.item_biases.shape == (n,)]
    fits += check_feature_shapes(state)
    if state.eligible is not None:
        one = state.eligible
        fits += [one.pointer.ndim == one.items.ndim == 1, 0 <= one.n_items <= n]
        fits += [0 < len(one.pointer) <= m + 1]
    if state.events is not None:
        fits += [state.events.outcome.shape == seen.shape == state.events.propensity.shape]
    if all(fits):
        fits += [pointer[0] == 0, pointer[-1] == len(seen), bool((np.diff(pointer) >= 0).all())]
        fits += [bool(((seen >= 0) & (seen < n)).all())]
    if all(fits) and state.eligible is not None:
        one = state.eligible
        fits += [one.pointer[0] == 0, one.pointer[-1] == len(one.items)]
        fits += [bool((np.diff(one.pointer) >= 0).all())]
        fits += [bool(((one.items >= 0) & (one.items < one.n_items)).all())]
    if not all(fits):
        raise ModelFileError(
            f"The arrays in {folder} do not have the shapes that its {m:,} users and {n:,} items"
            " ask for. The files do not belong together; save the model again."
        )
