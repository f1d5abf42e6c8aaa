"""Export a trained and evaluated network to a folder of weights that serving loads without TensorFlow.

    python -m training.export NAME --fold K --data DIR

In: `runs/NAME/fold_K` with its `network.keras`, `rule.json`, `scan_rule.json` and `metrics.json` (see
`training.evaluate`); with `--fold all` the network of `runs/NAME/fold_all`, and rules and figures of the folds'
networks from `runs/NAME/pooled`. Out:
`weights/NAME/`: the ONNX graph, `manifest.json`, `README.md` (the model card), and `start.npz`, the weights for a
training that starts from them. The graph is compared with Keras on real slices before anything is written.
"""

import hashlib
import json
import os
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click
import keras
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper

from hemoscope.errors import BadData, HemoscopeError
from hemoscope.labels import CLASSES
from hemoscope.manifest import FILE, Metric, NetworkManifest, TrainingData, read_graph, read_manifest, task_of
from hemoscope.preprocessing import Preprocess
from training.adopt import adopted, adopted_steps
from training.calibrate import read_choice
from training.cards import OUT_OF_FOLD, Check, card_of, preparation_limits, source_of, write_card
from training.checkpoints import other_settings, run_folder, settings, trained_seconds
from training.configs import CONFIGS, TrainConfig
from training.datasets.sample import Sample
from training.evaluate import METRICS_FILE, judged_folder, read_evaluation, read_split
from training.fitted_rules import read_context_rule, read_scan_rule
from training.folds import ALL, FILES, Fold, Folds, fold_option, fold_word
from training.saved import NETWORK_FILE, START_FILE, load_network, older, read_config, read_preprocess, write_start
from training.train import steps_to, usable

GRAPH = "network.onnx"
CHECKED_SLICES = 32
KERAS_TOLERANCE = 1e-4  # the float32 graph against Keras: probabilities, and what has no end as a share of its largest
HALF_TOLERANCE = 5e-3  # the stored float16 weights against float32: probabilities
UNBOUNDED = {"logits", "kinds", "cams"}
SMALLEST_HALVED = 256  # weights; smaller tensors (biases, shapes) stay as they are
PACKAGES = ("keras", "tensorflow-cpu", "tensorflow", "jax", "torch", "numpy", "onnx", "tf2onnx", "onnxruntime")

Outputs = Mapping[str, NDArray[np.float32]]


def export(name: str, fold: Fold, data: Path, runs: Path, weights: Path, release: str) -> Path:
    """Export and return the weights folder; what is in it stays as it is until the new files passed all checks.

    Raises:
        BadData: if the run was not trained and evaluated, if the networks of the folds were trained by another recipe
            than that of all patients, or if the graph does not compute what Keras computes.
    """
    run, judged = run_folder(runs, name, fold), judged_folder(runs, name, fold)
    if not (judged / METRICS_FILE).is_file():
        what = "a fold or more" if fold is None else "it"
        raise BadData(f"Evaluate {what} first: python -m training.evaluate {name} --fold {fold_word(fold)}.")
    network = load_network(run / NETWORK_FILE)
    if fold is None:
        _check_pool(name, runs)
    # What was trained then decides, not what the registry says now.
    config = _as_trained(CONFIGS[name], run)
    split = read_split(run, fold, data, runs)
    batch = _check_slices(usable(split.train if fold is None else split.test, config), config.preprocess)
    exact = convert(network)
    keras_difference = largest_difference(_keras_outputs(network, batch), run_graph(exact, batch))
    if not keras_difference <= KERAS_TOLERANCE:
        raise BadData(f"The exported graph differs from Keras by {keras_difference:.2g} (at most {KERAS_TOLERANCE}).")
    stored = halve(exact)
    half_difference = largest_difference(
        _probabilities(run_graph(exact, batch)), _probabilities(run_graph(stored, batch))
    )
    if not half_difference <= HALF_TOLERANCE:
        stored, half_difference = exact, 0.0
    manifest = _manifest(name, fold, config, network, stored, judged, runs, split.train, release)
    steps = {step: run_folder(runs, step, fold) for step in steps_to(name, adopted_steps(name, fold, runs))}
    trainings = [(step, trained_seconds(run)) for step, run in steps.items() if adopted(run) is None]
    given = [f"`{step}`: {words}" for step, run in steps.items() if (words := adopted(run))]
    folder = weights / name
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=weights) as beside:
        made = Path(beside) / name
        made.mkdir()
        (made / GRAPH).write_bytes(stored)
        (made / FILE).write_text(json.dumps(manifest.to_dict(), indent=2) + "\n", encoding="utf-8")
        write_start(run / NETWORK_FILE, made / START_FILE)
        write_card(made, manifest, trainings, given, Check(len(batch), keras_difference, half_difference))
        read_graph(made, read_manifest(made))  # as serving will
        for path in made.iterdir():
            path.replace(folder / path.name)
    return folder


def _check_pool(name: str, runs: Path) -> None:
    """Check that the folds' figures are of networks that lie there now and were trained as the one on all patients."""
    pooled = judged_folder(runs, name, None)
    if settings(run_folder(runs, name, None))["split"] == "slice":
        raise BadData(f"{name} is split by slice: no fold's network is judged on patients that it never saw.")
    folds = Folds.read(runs / FILES["patient"])
    for fold in read_evaluation(pooled).folds:
        run = run_folder(runs, name, fold)
        folds.check(run)
        if older(pooled / METRICS_FILE, run / NETWORK_FILE):
            raise BadData(
                f"{run} was trained after {pooled} was made: run `python -m training.evaluate {name} --fold {ALL}` "
                "again."
            )
        for step in steps_to(name, adopted_steps(name, None, runs)):
            one, on_all = run_folder(runs, step, fold), run_folder(runs, step, None)
            other = other_settings(settings(one), settings(on_all))
            if other:
                raise BadData(
                    f"{one} and {on_all} were trained with different settings ({', '.join(other)}): the figures of the "
                    "one say nothing of the other."
                )


def _as_trained(config: TrainConfig, run: Path) -> TrainConfig:
    known = {field.name for field in fields(TrainConfig)}
    stored = {name: value for name, value in read_config(run).items() if name in known}
    return replace(config, **stored | {"preprocess": read_preprocess(run), "sets": tuple(stored["sets"])})


def convert(network: keras.Model) -> bytes:
    """A Keras network as an ONNX graph in float32, with outputs of the same names and one free axis: the batch."""
    size, channels = network.input_shape[1], network.input_shape[3]
    network(np.zeros((1, size, size, channels), np.float32))
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / GRAPH)
        network.export(path, format="onnx", verbose=False)
        graph = onnx.load(path)
    onnx.checker.check_model(graph)
    return graph.SerializeToString()


def halve(graph: bytes) -> bytes:
    """The same graph with its large float32 weights stored as float16 and cast back when it is loaded.

    The arithmetic stays float32: half the size on disk, and no need for float16 kernels.
    """
    model = onnx.load_from_string(graph)
    casts = []
    for weight in model.graph.initializer:
        if weight.data_type != onnx.TensorProto.FLOAT or np.prod(weight.dims) < SMALLEST_HALVED:
            continue
        name = weight.name
        halved = numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), f"{name}/half")
        weight.CopyFrom(halved)
        casts.append(onnx.helper.make_node("Cast", [halved.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(casts + nodes)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def run_graph(graph: bytes, batch: NDArray[np.float32]) -> Outputs:
    """The graph's outputs for a batch (n, size, size, channels), slice by slice as serving runs it."""
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    each = [session.run(names, {session.get_inputs()[0].name: tensor[None]}) for tensor in batch]
    return {name: np.concatenate([outputs[place] for outputs in each]) for place, name in enumerate(names)}


def largest_difference(expected: Outputs, found: Outputs) -> float:
    """The largest absolute difference over all outputs; that of heat and logits as a share of the largest one above 1.

    They have no end: float32 holds seven digits of a logit of 20, and heat is shown relative to its largest value.

    Raises:
        BadData: if they do not have the same names.
    """
    if set(expected) != set(found):
        raise BadData(f"The graph puts out {sorted(found)}, the network {sorted(expected)}.")
    differences = {name: float(np.abs(expected[name] - found[name]).max()) for name in expected}
    for name in UNBOUNDED & differences.keys():
        differences[name] /= max(1.0, float(np.abs(expected[name]).max()))
    return float(np.max(list(differences.values())))  # NaN if one is


def _probabilities(outputs: Outputs) -> Outputs:
    kept = {name: outputs[name] for name in ("mask", "subtypes") if name in outputs}
    if "logits" in outputs:
        kept["classes"] = 1 / (1 + np.exp(-outputs["logits"]))
    return kept


def _keras_outputs(network: keras.Model, batch: NDArray[np.float32]) -> Outputs:
    outputs = network.predict(batch, batch_size=8, verbose=0)
    return {name: np.asarray(values) for name, values in outputs.items()}


def _check_slices(samples: list[Sample], preprocess: Preprocess) -> NDArray[np.float32]:
    step = max(len(samples) // CHECKED_SLICES, 1)
    tensors = []
    for sample in samples[::step][:CHECKED_SLICES]:
        try:
            tensors.append(preprocess.tensor(*sample.in_context(preprocess.neighbours))[0])
        except HemoscopeError:
            continue
    if not tensors:
        raise BadData("No slice of the test side could be read to check the graph with.")
    return np.stack(tensors)


def _manifest(
    name: str,
    fold: Fold,
    config: TrainConfig,
    network: keras.Model,
    graph: bytes,
    judged: Path,
    runs: Path,
    trained_on: list[Sample],
    release: str,
) -> NetworkManifest:
    card = card_of(name, config, network.output_names)
    rule, thresholds_chosen = read_choice(judged)
    learnt = usable(trained_on, config, config.outline_boxes)
    stored = json.loads((judged / METRICS_FILE).read_text(encoding="utf-8"))
    return NetworkManifest(
        name=name,
        version=release,
        title=card.title,
        summary=card.summary,
        task=task_of(network.output_names),
        architecture=config.network,
        arguments=dict(config.arguments),
        preprocess=config.preprocess,
        **(asdict(rule) | {"classes": tuple(name for name in CLASSES if name in rule.classes)}),
        thresholds_chosen=thresholds_chosen,
        training_data=_training_data(learnt),
        metrics=tuple(Metric(**entry) for entry in stored["metrics"]),
        graph=GRAPH,
        sha256=hashlib.sha256(graph).hexdigest(),
        config=name,
        seed=config.seed,
        fold=fold,
        split_sha256=Folds.read(runs / FILES[config.split], config.split).sha256,
        git_commit=git_commit(),
        backend=keras.backend.backend(),
        packages=installed_packages(),
        created=datetime.now(UTC).date().isoformat(),
        parameters=int(network.count_params()),
        licence=config.licence,
        intended_use="Research and education. Not a medical device; not for decisions about patients.",
        limits=(
            *([OUT_OF_FOLD] if fold is None else []),
            *card.limits,
            *preparation_limits(config.preprocess, learnt),
        ),
        scan_rule=read_scan_rule(judged),
        context_rule=read_context_rule(judged),
    )


def _training_data(samples: list[Sample]) -> tuple[TrainingData, ...]:
    by_set: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_set[sample.source].append(sample)
    return tuple(
        TrainingData(
            set=source_of(source).title,
            licence=source_of(source).licence,
            citation=source_of(source).citation,
            patients=len({sample.group for sample in members}),
            slices=len(members),
        )
        for source, members in sorted(by_set.items())
    )


def git_commit() -> str:
    """The commit of the working folder, or `unknown`."""
    command = ["git", "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def installed_packages() -> dict[str, str]:
    """The versions of those PACKAGES that are installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@click.command(help=__doc__)
@click.argument("name", type=click.Choice(sorted(CONFIGS)))
@click.option("--data", type=click.Path(path_type=Path), envvar="HEMOSCOPE_DATA", required=True, help="Data folder.")
@fold_option
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Runs folder.")
@click.option("--weights", type=click.Path(path_type=Path), default=Path("weights"), show_default=True, help="Output.")
@click.option("--release", default="0.1.0", show_default=True, help="Version of the weights.")
def main(name: str, data: Path, fold: Fold, runs: Path, weights: Path, release: str) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        folder = export(name, fold, data, runs, weights, release)
    except HemoscopeError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"Exported to {folder}")


if __name__ == "__main__":
    main()
