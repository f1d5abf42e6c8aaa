"""Stored networks: float32 whatever they were trained in, and readable by `model.load` before they are exported."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

import model
from hemoscope.errors import BadData, BadWeights, UnknownModel
from hemoscope.labels import CLASSES
from hemoscope.phantom import Bleed, make_phantom
from hemoscope.postprocessing import Rule
from hemoscope.preprocessing import Preprocess
from hemoscope.scan import BRAIN, Window
from training.calibrate import write_rule
from training.networks import NETWORKS
from training.saved import UNCALIBRATED, load_network, open_keras, read_start, write_start

PREPROCESS = Preprocess(32, (BRAIN, Window(40, 40), Window(60, 40)), frame="head")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with a small reader as training leaves it: mixed precision, not evaluated."""
    folder = tmp_path_factory.mktemp("runs") / "small" / "fold_3"
    folder.mkdir(parents=True)
    keras.utils.set_random_seed(7)
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        network = NETWORKS["reader"](32, 3, filters=(4, 4, 4, 4), blocks=(1, 1, 1, 1), decoder=(4, 4, 4))
    finally:
        keras.mixed_precision.set_global_policy(before)
    network.save(folder / "network.keras")
    (folder / "preprocess.json").write_text(json.dumps(PREPROCESS.to_dict()))
    (folder / "config.json").write_text(json.dumps({"network": "reader", "arguments": {"dropout": 0.5}, "seed": 11}))
    return folder


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    """The same files in a folder that is no run's, for a test to change."""
    for path in run.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_a_network_of_all_patients_is_read_as_one(run: Path, tmp_path: Path):
    folder = shutil.copytree(run, tmp_path / "small" / "fold_all")
    manifest, _ = open_keras(folder / "network.keras")
    assert (manifest.name, manifest.fold) == ("small", None)
    assert open_keras(run / "network.keras")[0].fold == 3


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_a_network_of_mixed_precision_computes_in_float32(run: Path, policy: str):
    trained = keras.saving.load_model(run / "network.keras", compile=False)
    assert {layer.compute_dtype for layer in trained.layers} == {"bfloat16", "float32"}
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_global_policy(policy)
    try:
        network = load_network(run / "network.keras")
        assert keras.mixed_precision.dtype_policy().name == policy
    finally:
        keras.mixed_precision.set_global_policy(before)
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}
    for mine, theirs in zip(network.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    image = np.random.default_rng(0).random((2, 32, 32, 3), np.float32)
    rough, exact = trained.predict_on_batch(image), network.predict_on_batch(image)
    np.testing.assert_allclose(exact["mask"], rough["mask"], atol=0.02)
    assert np.abs(exact["mask"] - rough["mask"]).max() > 0  # or the test would not see bfloat16 at all


def test_a_missing_or_garbled_network_is_named(tmp_path: Path):
    with pytest.raises(BadData, match=r"no trained network .*network\.keras"):
        load_network(tmp_path / "network.keras")
    (tmp_path / "network.keras").write_bytes(b"not a network")
    with pytest.raises(BadData, match=r"cannot read .*network\.keras"):
        load_network(tmp_path / "network.keras")


def test_an_unexported_network_reads_a_scan(run: Path):
    manifest, network = open_keras(run / "network.keras")
    assert (manifest.name, manifest.version, manifest.fold, manifest.seed) == ("small", "unexported", 3, 11)
    assert manifest.task == "classification+segmentation"
    assert manifest.rule == Rule(CLASSES, 1.0, (0.0,) * 6, 0.5, 0.5, 0.5)
    assert UNCALIBRATED in manifest.limits
    scan = make_phantom([Bleed("subdural", 20)], slices=2, rows=64, columns=64, spacing_mm=3.6).scan
    found = model.NetworkReader(manifest, network).read(scan)
    assert found.slices[0].mask.shape == (64, 64)
    tensor, _ = PREPROCESS.tensor(scan, 1)
    logits = load_network(run / "network.keras").predict_on_batch(tensor[None])["logits"][0]
    expected = 1 / (1 + np.exp(-logits.astype(np.float64)))
    assert list(found.slices[1].probabilities.values()) == pytest.approx(expected.tolist(), abs=1e-6)


def test_the_manifest_of_an_unexported_network_reads_back(run: Path):
    manifest, _ = open_keras(run / "network.keras")
    assert type(manifest).from_dict(json.loads(json.dumps(manifest.to_dict()))) == manifest


def test_an_evaluated_run_is_read_with_its_rule(copy: Path):
    rule = Rule(CLASSES, 2.0, (0.5, 0, 0, 0, 0, -1.0), 0.125, 0.75, 0.25)
    write_rule(rule, "By hand.", copy)
    manifest, _ = open_keras(copy / "network.keras")
    assert manifest.rule == rule
    assert manifest.thresholds_chosen == "By hand."
    assert UNCALIBRATED not in manifest.limits


def test_what_does_not_fit_the_network_is_refused(copy: Path):
    write_rule(Rule(("any",), 1.0, (0.0,), 0.5, 0.5, 0.5), "By hand.", copy)
    with pytest.raises(BadWeights, match=r"rule\.json is for any; network\.keras assesses any, epidural"):
        open_keras(copy / "network.keras")
    (copy / "preprocess.json").write_text(json.dumps(Preprocess(32).to_dict()))
    with pytest.raises(BadWeights, match=r"takes inputs of \(32, 32, 3\).*makes \(32, 32, 1\)"):
        open_keras(copy / "network.keras")
    (copy / "preprocess.json").unlink()
    with pytest.raises(BadWeights, match=r"no preprocess\.json beside"):
        open_keras(copy / "network.keras")


def test_the_door_to_inference_finds_the_loader(run: Path, tmp_path: Path):
    assert model.load(str(run / "network.keras")).manifest.version == "unexported"
    with pytest.raises(UnknownModel, match="There is no file"):
        model.load(str(tmp_path / "network.keras"))


def test_weights_without_subtypes_by_pixel_start_a_network_with_them(tmp_path: Path):
    small = {"filters": (4, 4, 4, 4), "blocks": (1, 1, 1, 1), "decoder": (4, 4, 4)}
    keras.utils.set_random_seed(8)
    plain, telling = NETWORKS["reader"](32, 3, **small), NETWORKS["reader"](32, 3, subtypes=True, **small)
    plain.save(tmp_path / "network.keras")
    write_start(tmp_path / "network.keras", tmp_path / "start.npz")
    own = [w.copy() for w in telling.get_layer("subtype_scores").get_weights()]
    read_start(tmp_path / "start.npz", telling)
    image = np.random.default_rng(0).random((2, 32, 32, 3), np.float32)
    expected, found = plain.predict_on_batch(image), telling.predict_on_batch(image)
    for output in ("mask", "logits"):
        np.testing.assert_allclose(found[output], expected[output], atol=5e-3)  # stored in float16
    for kept, before in zip(telling.get_layer("subtype_scores").get_weights(), own, strict=True):
        np.testing.assert_array_equal(kept, before)
