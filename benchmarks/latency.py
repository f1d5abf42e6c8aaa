"""How long one slice takes, what a web worker needs, how soon the first answer comes.

    python -m benchmarks.latency [--model reader] [--rounds 50]

In: the installed models and a synthetic 512 x 512 DICOM slice; no real data. Out: a table on stdout. Every figure is
measured in a process of its own; those of one thread are held to one core. Times depend on the machine: compare the
ratios.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path

import click

from benchmarks.server import ROOT, START_LIMIT_S, server

WARM_UP = 5
REQUESTS = 20
TARGETS = {"slice_ms": 80.0, "worker_mb": 350.0, "web_start_s": 3.0, "command_start_s": 3.0}


def resident_mb(pid: int | str = "self", peak: bool = False) -> float:
    """Memory of a process in megabytes of 1,000,000 bytes: resident now, or the most that it ever was."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    return int(re.search(r"VmHWM:\s+(\d+) kB" if peak else r"VmRSS:\s+(\d+) kB", status)[1]) * 1024 / 1e6


def median_ms(action: Callable[[], object], rounds: int) -> float:
    """Median time of an action in milliseconds, after a warm-up."""
    for _ in range(WARM_UP):
        action()
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        action()
        times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1e3


def measure_slice(model_name: str, rounds: int) -> dict[str, float]:
    """File to JSON with the mask as PNG, warm; and the network's share of it."""
    import model
    from hemoscope.phantom import sample_slice
    from hemoscope.readers import read_file
    from hemoscope.render import mask_png
    from hemoscope.results.record import record

    reader = model.load(model_name)
    network_ms: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slice.dcm"
        path.write_bytes(sample_slice(with_blood=True))

        def read() -> str:
            findings = reader.read(read_file(path))
            network_ms.append(findings.timings.network * 1e3)
            mask = findings.slices[0].mask
            return json.dumps(record(str(path), findings)) + ("" if mask is None else mask_png(mask).hex())

        slice_ms = median_ms(read, rounds)
    return {
        "slice_ms": slice_ms,
        "network_ms": statistics.median(network_ms[WARM_UP:]),
        "process_mb": resident_mb(peak=True),
    }


def measure_keras(model_name: str, rounds: int) -> dict[str, float]:
    """The same network under TensorFlow. Its weights are random: they change nothing of the time."""
    import keras
    import numpy as np
    import tensorflow as tf

    from model import manifests
    from training.configs import CONFIGS
    from training.networks import NETWORKS
    from training.networks.mirror import mirrored

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    manifest = next(manifest for manifest in manifests() if manifest.name == model_name)
    size, channels = manifest.preprocess.size, manifest.preprocess.channels
    keras.config.set_dtype_policy("float32")
    network = NETWORKS[manifest.architecture](size, channels, **manifest.arguments)
    if CONFIGS[manifest.config].mirror:
        network = mirrored(network)
    compiled = tf.function(lambda image: network(image, training=False))
    image = tf.constant(np.random.default_rng(0).random((1, size, size, channels), np.float32))
    network_ms = median_ms(lambda: {name: out.numpy() for name, out in compiled(image).items()}, rounds)
    return {"keras_network_ms": network_ms, "keras_process_mb": resident_mb(peak=True)}


def measure_command(model_name: str) -> dict[str, float]:
    """`hemoscope predict` of one slice, from the start of the process to its end."""
    from hemoscope.phantom import sample_slice

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slice.dcm"
        path.write_bytes(sample_slice(with_blood=True))
        command = [sys.executable, "-c", "import cli; cli.main()", "predict", str(path), "--model", model_name]
        begin = time.perf_counter()
        subprocess.run([*command, "--json", "-"], check=True, capture_output=True)
        return {"command_start_s": time.perf_counter() - begin}


def measure_web(model_name: str) -> dict[str, float]:
    """One Gunicorn worker: seconds from its start to the first answer, memory after 20 readings."""
    from hemoscope.phantom import sample_slice

    body, content_type = multipart(sample_slice(with_blood=True), model_name)
    begin = time.perf_counter()
    with server({"HEMOSCOPE_MODEL": model_name}) as (process, port):
        first_s = None
        while first_s is None:
            if process.poll() is not None or time.perf_counter() - begin > START_LIMIT_S:
                raise click.ClickException("The server did not answer.")
            try:
                post(port, body, content_type)
                first_s = time.perf_counter() - begin
            except ConnectionError:
                time.sleep(0.02)
        times = []
        for _ in range(REQUESTS):
            begin = time.perf_counter()
            post(port, body, content_type)
            times.append(time.perf_counter() - begin)
        (worker,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text("ascii").split()
        memory = {"worker_mb": resident_mb(worker), "worker_peak_mb": resident_mb(worker, peak=True)}
        return {"web_start_s": first_s, "web_request_ms": statistics.median(times) * 1e3, **memory}


def multipart(data: bytes, model_name: str, name: str = "slice.dcm") -> tuple[bytes, str]:
    """A form with one file of that name and the model's name: its body and content type (RFC 7578)."""
    boundary = uuid.uuid4().hex
    field = f'--{boundary}\r\nContent-Disposition: form-data; name="model"\r\n\r\n{model_name}\r\n'
    file = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    body = (field + file).encode() + data + f"\r\n--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


def post(port: int, body: bytes, content_type: str) -> None:
    """Have one slice read with its mask, and fail where it was not."""
    connection = HTTPConnection("127.0.0.1", port, timeout=START_LIMIT_S)
    try:
        connection.request("POST", "/api/v1/read?include=mask", body, {"Content-Type": content_type})
        answer = connection.getresponse()
        said = json.loads(answer.read())
        if answer.status != 200 or "error" in said["results"][0]:
            raise click.ClickException(f"The server answered {answer.status}: {said}")
    finally:
        connection.close()


PARTS: dict[str, Callable[[str, int], dict[str, float]]] = {
    "slice": measure_slice,
    "keras": measure_keras,
    "web": lambda model_name, rounds: measure_web(model_name),
    "command": lambda model_name, rounds: measure_command(model_name),
}
ONE_CORE = ("slice", "keras")


def measured(part: str, model_name: str, rounds: int) -> dict[str, float]:
    """One part, measured in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.latency", "--part", part, "--model", model_name]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, "--rounds", str(rounds)], cwd=ROOT, env=environment, stdout=subprocess.PIPE)
    if done.returncode:
        raise click.ClickException(f"The part {part!r} failed.")
    return json.loads(done.stdout.splitlines()[-1])


def table(model_name: str, found: dict[str, float]) -> list[str]:
    """The figures as lines, with the target where there is one."""
    rows = [
        ("slice_ms", "512 x 512 DICOM file to JSON with mask, warm, one core, median", "ms"),
        ("network_ms", "  of it the network, ONNX Runtime", "ms"),
        ("keras_network_ms", "  the same network under TensorFlow", "ms"),
        ("process_mb", "memory of that process, most", "MB"),
        ("keras_process_mb", "  under TensorFlow, the network alone", "MB"),
        ("web_start_s", "web: process start to first answer", "s"),
        ("web_request_ms", "web: one request, warm, median", "ms"),
        ("worker_mb", f"web: memory of a worker after {REQUESTS} requests", "MB"),
        ("worker_peak_mb", "  at most", "MB"),
        ("command_start_s", "hemoscope predict of one slice, whole process", "s"),
    ]
    lines = [f"model {model_name}"]
    for key, label, unit in rows:
        if key in found:
            target = f"   target below {TARGETS[key]:g}" if key in TARGETS else ""
            lines.append(f"{label:<66}{found[key]:8.1f} {unit}{target}")
    if "keras_network_ms" in found:
        times, memory = (found[f"keras_{key}"] / found[key] for key in ("network_ms", "process_mb"))
        lines.append(f"TensorFlow takes {times:.2f} times the network's time and {memory:.1f} times the memory.")
    else:
        lines.append("TensorFlow is not installed: nothing is compared with it (make test installs it).")
    return lines


@click.command()
@click.option("--model", "model_name", default="reader", show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=50, show_default=True)
@click.option("--part", type=click.Choice(list(PARTS)), help="Measure this one in this process and print it as JSON.")
def main(model_name: str, rounds: int, part: str | None) -> None:
    """Measure latency, memory and start-up of one model."""
    if part is not None:
        if part in ONE_CORE:
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        click.echo(json.dumps(PARTS[part](model_name, rounds)))
        return
    parts = [part for part in PARTS if part != "keras" or find_spec("tensorflow")]
    found: dict[str, float] = {}
    for each in parts:
        found |= measured(each, model_name, rounds)
    click.echo("\n".join(table(model_name, found)))


if __name__ == "__main__":
    main()
