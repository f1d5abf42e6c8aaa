"""Which runtime serves the networks: ONNX Runtime or LiteRT, beside Keras under TensorFlow.

    python -m benchmarks.runtimes [NAME ...]

In: the networks by name (untrained weights: time and memory do not depend on them). Out: a table on stdout with the
median milliseconds of one slice on one thread, the process's memory, the file's size and the largest difference from
Keras. Each runtime runs in a process of its own, and the rounds take turns. Needs the `train` and `dev` extras.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np

from benchmarks.latency import resident_mb

RUNTIMES = ("keras", "onnx", "litert")
SEED = 7
ROUNDS, WARM_UP, TURNS = 30, 5, 3


def build(name: str):
    """The network of a configuration, with random weights that are the same in every process."""
    import keras

    from training.configs import CONFIGS
    from training.networks import NETWORKS

    keras.utils.set_random_seed(SEED)
    config = CONFIGS[name]
    return NETWORKS[config.network](config.preprocess.size, config.preprocess.channels, **config.arguments)


def convert(name: str, folder: Path) -> None:
    """Write the network as `NAME.keras`, `NAME.onnx` and `NAME.litert`, and a slice as `NAME.npy`."""
    network = build(name)
    slices = np.random.default_rng(SEED).random((1, *network.input_shape[1:]), np.float32)
    np.save(folder / f"{name}.npy", slices)
    np.save(folder / f"{name}.mask.npy", np.asarray(network(slices)["mask"]))
    network.save(folder / f"{name}.keras")
    network.export(str(folder / f"{name}.onnx"), format="onnx", verbose=False)
    network.export(str(folder / f"{name}.tflite"), format="litert", verbose=False)
    (folder / f"{name}.tflite").rename(folder / f"{name}.litert")


def opened(runtime: str, path: Path) -> Callable[[np.ndarray], list[np.ndarray]]:
    """The network in a runtime, on one thread."""
    if runtime == "onnx":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        entry = session.get_inputs()[0].name
        return lambda tensor: session.run(None, {entry: tensor})
    if runtime == "litert":
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(path), num_threads=1)
        interpreter.allocate_tensors()
        entry = interpreter.get_input_details()[0]["index"]
        exits = [detail["index"] for detail in interpreter.get_output_details()]

        def run(tensor: np.ndarray) -> list[np.ndarray]:
            interpreter.set_tensor(entry, tensor)
            interpreter.invoke()
            return [interpreter.get_tensor(index) for index in exits]

        return run
    import keras

    import training.networks  # noqa: F401  registers the layers
    import tensorflow as tf  # isort: skip

    tf.config.threading.set_intra_op_parallelism_threads(1)
    network = keras.saving.load_model(path, compile=False)
    step = tf.function(lambda tensor: network(tensor, training=False))
    return lambda tensor: [np.asarray(value) for value in step(tf.constant(tensor)).values()]


def measure(runtime: str, name: str, folder: Path) -> dict[str, float]:
    """Median milliseconds, megabytes of this process, and the mask's largest difference from Keras."""
    run = opened(runtime, folder / f"{name}.{runtime}")
    tensor, expected = np.load(folder / f"{name}.npy"), np.load(folder / f"{name}.mask.npy")
    times = []
    for round_number in range(WARM_UP + ROUNDS):
        began = time.perf_counter()
        outputs = run(tensor)
        if round_number >= WARM_UP:
            times.append(time.perf_counter() - began)
    mask = next(output for output in outputs if output.shape == expected.shape)
    return {
        "ms": statistics.median(times) * 1e3,
        "process_mb": resident_mb(peak=True),
        "file_mb": (folder / f"{name}.{runtime}").stat().st_size / 1e6,
        "difference": float(np.abs(mask - expected).max()),
    }


@click.command(help=__doc__)
@click.argument("names", nargs=-1)
@click.option("--one", nargs=3, hidden=True, help="RUNTIME NAME FOLDER: measure one here and print JSON.")
def main(names: tuple[str, ...], one: tuple[str, str, str] | None) -> None:
    if one:
        click.echo(json.dumps(measure(one[0], one[1], Path(one[2]))))
        return
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    click.echo(f"{'network':<12}{'runtime':<9}{'ms':>8}{'process MB':>12}{'file MB':>9}{'difference':>12}")
    with tempfile.TemporaryDirectory() as folder:
        for name in names or ("reader", "unet", "two_branch"):
            convert(name, Path(folder))
            rows: dict[str, list[dict[str, float]]] = {runtime: [] for runtime in RUNTIMES}
            for _ in range(TURNS):
                for runtime in RUNTIMES:
                    command = [sys.executable, "-m", "benchmarks.runtimes", "--one", runtime, name, folder]
                    answer = subprocess.run(command, capture_output=True, text=True, env=quiet, check=True)
                    rows[runtime].append(json.loads(answer.stdout.strip().splitlines()[-1]))
            for runtime, turns in rows.items():
                middle = {key: statistics.median(turn[key] for turn in turns) for key in turns[0]}
                click.echo(
                    f"{name:<12}{runtime:<9}{middle['ms']:>8.1f}{middle['process_mb']:>12.0f}"
                    f"{middle['file_mb']:>9.1f}{middle['difference']:>12.1e}"
                )


if __name__ == "__main__":
    main()
