"""Training on several devices: what each process sees by hand, refusals, and two processes against one."""

import csv
import importlib.util
import os
import pickle
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from hemoscope.errors import BadData
from hemoscope.preprocessing import Preprocess
from hemoscope.scan import BRAIN
from tests.training.phantom_set import write_ct_ich
from training import distribution
from training.augment import Augment
from training.batches import Batches, Draw
from training.cache import Prepared
from training.configs import TrainConfig
from training.datasets.sample import Sample
from training.distribution import Devices, Engine, choose_engine, copy_state
from training.train import main

CONFIG = TrainConfig(
    network="small",
    preprocess=Preprocess(16, (BRAIN,)),
    sets=("ct_ich",),
    needs="any",
    slices_per_epoch=16,
    epochs=2,
    licence="CC-BY-4.0",
    batch=4,
    optimizer="adamw",
    weight_decay=0.01,
    dice=1.0,
    slice_dice=1.0,
    mean_of_last=2,
    keep="last",
    precision="float32",
)

# Everything that goes over the rows of a batch: normalisation, dropout, and in the configuration Dice.
TRAINING = """
import os, pickle, sys
sys.modules["tensorflow"] = None  # it is not needed, and takes seconds to import
import keras
from keras import layers
from training.distribution import choose_engine
from training.networks import NETWORKS
from training.train import train

def small(size, channels):
    inputs = keras.Input((size, size, channels))
    features = layers.Conv2D(4, 3, padding="same", use_bias=False)(inputs)
    features = layers.Dropout(0.3)(layers.ReLU()(layers.BatchNormalization()(features)))
    mask = layers.Conv2D(1, 1, activation="sigmoid", name="mask")(features)
    logits = layers.Dense(6, name="logits")(layers.GlobalAveragePooling2D()(features))
    return keras.Model(inputs, {"mask": mask, "logits": logits})

NETWORKS["small"] = small
path, choice, resume, killed_after = sys.argv[1], sys.argv[2], sys.argv[3] == "resume", int(sys.argv[4])

def on_epoch(done, row):
    if done == killed_after:
        os._exit(9)

with open(path, "rb") as file:
    config, data, runs = pickle.load(file)
train(config, "small", 0, data, runs, resume, engine=choose_engine(choice), on_epoch=on_epoch)
"""
QUICK = {
    "KERAS_BACKEND": "jax",
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_backend_optimization_level=0",
    "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
}
NEVER = 99


def finish(commands, folder, timeout=200):
    """Run processes together, and return their exit statuses and what they said; none outlives the call."""
    running = []
    try:
        for number, (command, variables) in enumerate(commands):
            with (folder / f"said_{number}.txt").open("w") as said:
                running.append(
                    subprocess.Popen(command, env=os.environ | variables, stdout=said, stderr=subprocess.STDOUT)
                )
        statuses = [process.wait(timeout) for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
    return statuses, [(folder / f"said_{number}.txt").read_text() for number in range(len(running))]


def training(what, choice="none", resume=False, killed_after=NEVER):
    return [sys.executable, "-c", TRAINING, str(what), choice, "resume" if resume else "anew", str(killed_after)]


def pair(command):
    """The same command as two processes of one training on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    variables = {distribution.ADDRESSES: address, distribution.PROCESSES: "2"}
    return [(command, QUICK | variables | {distribution.PROCESS: str(number)}) for number in range(2)]


def log_of(runs):
    with (runs / "small" / "fold_0" / "log.csv").open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_ct_ich(folder / "ct_ich")
    return folder


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory):
    """The folder of a training on one device."""
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed")
    folder = tmp_path_factory.mktemp("alone")
    (folder / "what").write_bytes(pickle.dumps((CONFIG, data, folder / "runs")))
    statuses, said = finish([(training(folder / "what"), QUICK)], folder)
    assert statuses == [0], said[0][-2000:]
    return folder / "runs"


@pytest.fixture(scope="module")
def killed(alone, data, tmp_path_factory):
    """The folder of a training on two processes that were killed after the first epoch."""
    folder = tmp_path_factory.mktemp("killed")
    (folder / "what").write_bytes(pickle.dumps((CONFIG, data, folder / "runs")))
    statuses, said = finish(pair(training(folder / "what", "machines", killed_after=1)), folder)
    assert 9 in statuses, said[0][-2000:]
    assert len(log_of(folder / "runs")) == 1
    return folder / "runs"


def assert_same_training(one, two):
    for row, other in zip(log_of(one), log_of(two), strict=True):
        assert row == pytest.approx(other, rel=1e-4)
    folders = [runs / "small" / "fold_0" for runs in (one, two)]
    assert {path.name for path in folders[0].iterdir()} == {path.name for path in folders[1].iterdir()}
    networks = [keras.saving.load_model(folder / "network.keras", compile=False) for folder in folders]
    for weights, others in zip(*(network.get_weights() for network in networks), strict=True):
        assert weights == pytest.approx(others, rel=1e-3, abs=1e-5)


@pytest.mark.timeout(600)  # half a minute, but ten times that on a machine that is busy
def test_two_processes_learn_as_one_does_and_go_on_after_a_kill(alone, killed, data, tmp_path):
    runs = shutil.copytree(killed, tmp_path / "runs")
    (tmp_path / "what").write_bytes(pickle.dumps((CONFIG, data, runs)))
    statuses, said = finish(pair(training(tmp_path / "what", "machines", resume=True)), tmp_path)
    assert statuses == [0, 0], said[0][-2000:] + said[1][-2000:]
    assert_same_training(alone, runs)


@pytest.mark.timeout(600)  # half a minute, but ten times that on a machine that is busy
def test_two_devices_of_one_process_go_on_with_what_two_processes_began(alone, killed, data, tmp_path):
    runs = shutil.copytree(killed, tmp_path / "runs")
    (tmp_path / "what").write_bytes(pickle.dumps((CONFIG, data, runs)))
    two = QUICK | {"XLA_FLAGS": f"{QUICK['XLA_FLAGS']} --xla_force_host_platform_device_count=2"}
    statuses, said = finish([(training(tmp_path / "what", "gpus", resume=True), two)], tmp_path)
    assert statuses == [0], said[0][-2000:]
    assert_same_training(alone, runs)


@pytest.fixture
def batches():
    preprocess = Preprocess(16)
    samples = [Sample("rsna", str(n), Path(f"{n}.png"), (float(n % 2),) * 6, None) for n in range(7)]
    pixels = np.arange(7 * 256, dtype=np.uint64).reshape(7, 16, 16, 1).astype(np.uint8)
    prepared = Prepared(samples, pixels, np.zeros((7, 16, 16), np.uint8), np.zeros((7, 16, 16), np.uint8), skipped=0)
    draws = [Draw(n) for n in (3, 1, 6, 0, 2, 5, 4)]
    return lambda **named: Batches(prepared, draws, preprocess, ["mask", "logits"], batch=4, **named)


def devices(count, process=0, processes=1):
    """An engine without a machine behind it."""
    engine = Devices.__new__(Devices)
    engine.devices, engine.process, engine.processes, engine.first = count, process, processes, process == 0
    return engine


def test_the_processes_batches_side_by_side_are_the_batches_of_one(batches):
    augmented = {"augment": Augment("report", Preprocess(16)), "seed": 8}
    for named in ({}, augmented):
        parts = [devices(2, process, 2).share(batches(**named)) for process in range(2)]
        for number in range(len(parts[0])):
            inputs, targets = batches(**named)[number]
            together = np.concatenate([part[number][0] for part in parts])
            assert (together == inputs[: len(together)]).all()
            for output in targets:
                together = np.concatenate([part[number][1][output] for part in parts])
                assert (together == targets[output][: len(together)]).all()


def test_what_does_not_deal_out_evenly_is_left_out_at_the_end(batches):
    # Seven slices on two devices are six: a batch of four and one of two.
    shared = devices(2).share(batches())
    assert [len(shared[number][0]) for number in range(len(shared))] == [4, 2]
    part = devices(2, 1, 2).share(batches())
    assert [draw.index for draw in part.draws] == [3, 1, 6, 0, 2, 5]
    assert [len(part[number][0]) for number in range(len(part))] == [2, 1]
    assert part.share == (1, 2)


def test_a_batch_that_does_not_deal_out_is_refused(batches):
    with pytest.raises(BadData, match="A batch of 4 does not deal out to 3 devices"):
        devices(3).share(batches())
    few = batches()
    few.draws = few.draws[:3]
    with pytest.raises(BadData, match="fewer slices than the 4 devices"):
        devices(4).share(few)


def test_one_device_changes_nothing(batches):
    engine, network = Engine(), keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    same = batches()
    shared = engine.share(batches())
    rows = (
        [np.asarray(shared[n][0]) for n in range(len(same))]
        if isinstance(shared, Batches)
        else [inputs.numpy() for inputs, _ in shared]
    )
    assert len(rows) == len(same)
    assert all(np.array_equal(mine, same[number][0]) for number, mine in enumerate(rows))
    assert engine.in_turn(len)([1, 2]) == 2
    assert engine.fitter(network, lambda: network) == network.fit
    assert choose_engine("none").first


@pytest.mark.parametrize("fails", [False, True])
def test_the_first_process_works_before_the_others_even_when_it_fails(fails, monkeypatch):
    order = []

    def work(number):
        order.append(f"work {number}")
        if fails:
            raise BadData("No.")

    for process in (0, 1):
        engine = devices(2, process, 2)
        monkeypatch.setattr(engine, "_meet", lambda: order.append("meet"))
        try:
            engine.in_turn(work)(process)
        except BadData:
            assert fails
    assert order == ["work 0", "meet", "meet", "work 1"]


def test_a_twin_takes_weights_and_the_optimizers_state():
    def network(seed):
        layers = [
            keras.layers.Input((2,)),
            keras.layers.Dense(1, kernel_initializer=keras.initializers.RandomUniform(seed=seed)),
        ]
        made = keras.Sequential(layers)
        made.compile(keras.optimizers.Adam(0.1), "mse")
        made.fit(np.ones((4, 2), np.float32), np.ones((4, 1), np.float32), epochs=seed, verbose=0)
        return made

    one, two = network(1), network(2)
    assert int(two.optimizer.iterations) == 2
    copy_state(one, two)
    assert int(two.optimizer.iterations) == 1
    for weights, others in zip(one.get_weights(), two.get_weights(), strict=True):
        assert (weights == others).all()


ENVIRONMENT = {distribution.ADDRESSES: "a:1,b:1", distribution.PROCESSES: "2", distribution.PROCESS: "1"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({distribution.PROCESS: ""}, "needs the variables KERAS_DISTRIBUTION_PROCESS_ID"),
        ({distribution.PROCESS: "two"}, "must be whole numbers"),
        ({distribution.PROCESS: "2"}, "is 2: it must be 0 to 1"),
        ({distribution.ADDRESSES: "a:1,b:1,c:1"}, "of all 2, separated by commas"),
        ({distribution.ADDRESSES: "a,b"}, "must hold host:port"),
    ],
)
def test_variables_that_make_no_sense_are_refused(changed, message, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(BadData, match=message):
        choose_engine("machines", ENVIRONMENT | changed)


def test_the_variables_reach_keras(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(distribution, "Devices", lambda: "joined")
    joined = []
    monkeypatch.setattr(keras.distribution, "initialize", lambda *arguments: joined.append(arguments))
    assert choose_engine("machines", ENVIRONMENT) == "joined"
    assert joined == [("a:1,b:1", 2, 1)]


def test_one_device_is_not_several(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["gpu:0"])
    with pytest.raises(BadData, match="There is one device here, gpu:0"):
        choose_engine("gpus")


def test_another_backend_is_refused_with_the_way_out(data, tmp_path):
    if keras.backend.backend() == "jax":
        pytest.skip("Keras runs on JAX here")
    arguments = ["two_branch", "--data", str(data), "--runs", str(tmp_path), "--distribute", "gpus"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert "set KERAS_BACKEND=jax" in result.output
    assert "Traceback" not in result.output
    assert not list(tmp_path.iterdir())
