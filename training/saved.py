"""Trained networks as they lie in a run's folder: `network.keras` with `preprocess.json`, `config.json`, `rule.json`.

In: the path of a `.keras` file. Out: the network in float32, as it is evaluated, exported and served, or what
`model.load` needs to read with it before it is exported.
"""

import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

import training.networks  # noqa: F401 - registers the layers that a stored network names
from hemoscope.errors import BadData, BadWeights
from hemoscope.labels import ANY, CLASSES
from hemoscope.manifest import NetworkManifest, task_of
from hemoscope.postprocessing import Rule
from hemoscope.preprocessing import Preprocess
from training.calibrate import RULE_FILE, read_choice
from training.folds import ALL
from training.networks.mirror import mirrored
from training.networks.reader import SUBTYPE_SCORES

NETWORK_FILE, PREPROCESS_FILE, CONFIG_FILE = "network.keras", "preprocess.json", "config.json"
START_FILE = "start.npz"
UNEXPORTED = "unexported"
UNCALIBRATED = (
    "The training was not evaluated yet: the probabilities are not calibrated and the thresholds are 0.5, chosen on "
    "nothing."
)

Network = Callable[[NDArray[np.float32]], Mapping[str, NDArray[np.float32]]]


def load_network(path: Path) -> keras.Model:
    """A trained network that computes in float32, whatever the precision of its training.

    A `.keras` file stores each layer's precision (training uses mixed_bfloat16) beside float32 weights. The layers
    are built anew from the stored configuration with that precision replaced, and take the stored weights over.
    Where the `config.json` beside it asks for it, the network looks at the mirror image too, as it will be served.

    Args:
        path: a `.keras` file.

    Raises:
        BadData: if there is no such file or Keras cannot read it.
    """
    if not path.is_file():
        raise BadData(f"There is no trained network {path}.")
    try:
        trained = keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadData(f"Keras cannot read {path}: {error}.") from error
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_global_policy("float32")  # for the layers that store no precision of their own
    try:
        network = type(trained).from_config(_in_float32(trained.get_config()))
    finally:
        keras.mixed_precision.set_global_policy(before)
    network.set_weights(trained.get_weights())
    stored = read_config(path.parent) if (path.parent / CONFIG_FILE).is_file() else {}
    return mirrored(network) if stored.get("mirror") else network


def write_start(trained: Path, path: Path) -> None:
    """Store a trained network's weights as float16, small enough to ship: what another training can start from.

    Args:
        trained: a `.keras` file.
        path: the `.npz` file to write; the arrays in Keras' order.
    """
    weights = keras.saving.load_model(trained, compile=False).get_weights()
    np.savez_compressed(path, *[w.astype(np.float16) if w.dtype == np.float32 else w for w in weights])


def read_start(path: Path, network: keras.Model) -> None:
    """Give a network the weights of `write_start`; it may take another size of slices.

    Nothing else may differ but one thing: where they are of a network that does not tell subtypes apart by pixel, the
    layer that does keeps what it has.

    Raises:
        BadData: if there is no such file, it is garbled, or it is of another network.
    """
    try:
        weights = list(np.load(path).values())
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise BadData(f"The weights {path} cannot be read: {error}.") from None
    _take(weights, network, path)


def start_from(trained: Path, network: keras.Model) -> None:
    """Give a network the weights of a trained one, in the same way as `read_start`.

    Args:
        trained: a `.keras` file.
        network: takes them.

    Raises:
        BadData: if it is of another network.
    """
    _take(keras.saving.load_model(trained, compile=False).get_weights(), network, trained)


def older(made: Path, source: Path) -> bool:
    """Whether a file is missing, or was made before what it is made of."""
    return not made.is_file() or made.stat().st_mtime < source.stat().st_mtime


def fingerprint(path: Path) -> str:
    """The sha256 of a file in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_preprocess(folder: Path) -> Preprocess:
    """The preprocessing that the run's batches were made with.

    Raises:
        BadWeights: if `preprocess.json` is missing or garbled.
    """
    return Preprocess.from_dict(_read_json(folder / PREPROCESS_FILE))


def read_config(folder: Path) -> dict[str, Any]:
    """The run's stored `TrainConfig`, as a dictionary: what was trained then, not what the registry says now.

    Raises:
        BadWeights: if `config.json` is missing or garbled.
    """
    return _read_json(folder / CONFIG_FILE)


def open_keras(path: Path) -> tuple[NetworkManifest, Network]:
    """What `model.load("….keras")` reads with: the network, and a manifest made from the files beside it.

    Args:
        path: a training's `network.keras`; `preprocess.json` must lie beside it, `config.json` and `rule.json` may.

    Raises:
        BadWeights: if the preprocessing is missing, or a file beside it is garbled or does not fit.
        BadData: if the network cannot be read.
    """
    network, preprocess = load_network(path), read_preprocess(path.parent)
    if tuple(network.input_shape[1:]) != (preprocess.size, preprocess.size, preprocess.channels):
        raise BadWeights(
            f"{path.name} takes inputs of {network.input_shape[1:]}, the {PREPROCESS_FILE} beside it makes "
            f"{(preprocess.size, preprocess.size, preprocess.channels)}."
        )

    def run(tensor: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        return {name: np.asarray(values, np.float32) for name, values in network.predict_on_batch(tensor).items()}

    return _unexported(path, network, preprocess), run


def _unexported(path: Path, network: keras.Model, preprocess: Preprocess) -> NetworkManifest:
    classes = CLASSES if "logits" in network.output_names else (ANY,)
    limits = ["Not exported: a training result for trying out, without a published fingerprint."]
    rule, chosen = Rule(classes, 1.0, (0.0,) * len(classes), 0.5, 0.5, 0.5), UNCALIBRATED
    if (path.parent / RULE_FILE).is_file():
        rule, chosen = read_choice(path.parent)
    else:
        limits.append(UNCALIBRATED)
    if rule.classes != classes:
        raise BadWeights(f"{RULE_FILE} is for {', '.join(rule.classes)}; {path.name} assesses {', '.join(classes)}.")
    folder = path.resolve().parent
    in_a_run, fold = folder.name.startswith("fold_"), folder.name.removeprefix("fold_")
    held_out = 0 if not in_a_run else None if fold == ALL else int(fold)
    config = read_config(folder) if (folder / CONFIG_FILE).is_file() else {}
    return NetworkManifest(
        name=folder.parent.name if in_a_run else path.stem,
        version=UNEXPORTED,
        title=f"{path.stem} of {folder.name}",
        summary="A training result that was not exported.",
        task=task_of(network.output_names),
        architecture=str(config.get("network", network.name)),
        arguments=config.get("arguments", {}),
        preprocess=preprocess,
        classes=rule.classes,
        temperature=rule.temperature,
        bias=rule.bias,
        decision_low=rule.decision_low,
        decision_high=rule.decision_high,
        mask_threshold=rule.mask_threshold,
        thresholds_chosen=chosen,
        training_data=(),
        metrics=(),
        graph=path.name,
        sha256=fingerprint(path),
        config=folder.parent.name if in_a_run else "",
        seed=int(config.get("seed", 0)),
        fold=held_out,
        split_sha256="",
        git_commit="",
        backend=keras.backend.backend(),
        packages={"keras": version("keras")},
        created="",
        parameters=network.count_params(),
        licence=str(config.get("licence", "not stated")),
        intended_use="Research use, not a medical device.",
        limits=tuple(limits),
    )


def _take(weights: Sequence[NDArray[Any]], network: keras.Model, path: Path) -> None:
    own = network.weights
    if len(weights) < len(own):
        own = [w for w in own if not w.path.startswith(f"{SUBTYPE_SCORES}/")]
    if [w.shape for w in weights] != [tuple(w.shape) for w in own]:
        raise BadData(f"The weights {path} are of another network than {network.name}.")
    for mine, w in zip(own, weights, strict=True):
        mine.assign(w.astype(mine.dtype))


def _in_float32(stored: Any) -> Any:
    """A Keras configuration with every precision policy replaced by float32."""
    if isinstance(stored, dict):
        if stored.get("class_name") in ("DTypePolicy", "FloatDTypePolicy"):
            return stored | {"config": stored["config"] | {"name": "float32"}}
        return {key: _in_float32(value) for key, value in stored.items()}
    if isinstance(stored, list | tuple):
        return type(stored)(_in_float32(value) for value in stored)
    return stored


def _read_json(path: Path) -> dict[str, Any]:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadWeights(f"There is no {path.name} beside {NETWORK_FILE} in {path.parent}.") from None
    except (OSError, ValueError) as error:
        raise BadWeights(f"{path} is not readable JSON: {error}.") from None
    if not isinstance(stored, dict):
        raise BadWeights(f"{path} is not a JSON object.")
    return stored
