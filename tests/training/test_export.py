"""Export: the graph is compared with Keras before it is written, and serving reads what was written."""

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest

import model
from hemoscope.errors import BadData
from hemoscope.manifest import Metric, read_manifest
from hemoscope.postprocessing import Rule
from hemoscope.preprocessing import Preprocess
from tests.training.phantom_set import SIZE, WINDOW, write_ct_ich
from training import export as module
from training.calibrate import read_choice, write_rule
from training.datasets import load_samples
from training.evaluate import evaluate, read_evaluation
from training.export import convert, export, halve, largest_difference, run_graph
from training.folds import make_folds
from training.networks import NETWORKS
from training.networks.mirror import mirrored
from training.saved import read_start

RULE = Rule(("any",), 2.0, (0.5,), 0.2, 0.6, 0.5)
METRIC = Metric("ct_ich", "Dice pooled", 12, 3, 0.5, 0.4, 0.6)


@pytest.fixture(scope="module")
def reader() -> keras.Model:
    keras.utils.set_random_seed(1)
    return NETWORKS["reader"](32, 3, filters=(8, 8, 16, 16), blocks=(1, 1, 1, 1), decoder=(8, 8, 8))


@pytest.fixture(scope="module")
def graph(reader: keras.Model) -> bytes:
    return convert(reader)


@pytest.fixture(scope="module")
def batch() -> np.ndarray:
    return np.random.default_rng(2).random((3, 32, 32, 3), np.float32)


def test_the_graph_puts_out_what_keras_does(reader: keras.Model, graph: bytes, batch: np.ndarray) -> None:
    expected = reader.predict(batch, verbose=0)
    assert set(expected) == {"mask", "logits", "cams"}
    assert largest_difference(expected, run_graph(graph, batch)) < 1e-5


def test_half_weights_nearly_halve_the_file_and_hardly_move_the_outputs(graph: bytes, batch: np.ndarray) -> None:
    halved = halve(graph)
    big = [w for w in onnx.load_from_string(halved).graph.initializer if w.data_type == onnx.TensorProto.FLOAT16]
    assert big
    assert len(halved) < 0.75 * len(graph)
    difference = largest_difference(run_graph(graph, batch), run_graph(halved, batch))
    assert 0 < difference < 5e-3


def test_the_largest_difference_is_over_all_outputs() -> None:
    first = {"mask": np.zeros((1, 2), np.float32), "logits": np.zeros((1, 1), np.float32)}
    second = {"mask": np.array([[0, 0.25]], np.float32), "logits": np.array([[-0.5]], np.float32)}
    assert largest_difference(first, second) == 0.5
    far, near = {"logits": np.array([[20, -20]], np.float32)}, {"logits": np.array([[20, -19]], np.float32)}
    assert largest_difference(far, near) == pytest.approx(1 / 20)
    assert np.isnan(largest_difference(far, {"logits": np.array([[20, np.nan]], np.float32)}))
    with pytest.raises(BadData, match=r"\['mask'\]"):
        largest_difference(first, {"mask": second["mask"]})


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """`data/` and an evaluated run of `two_branch` with random weights."""
    write_ct_ich(tmp_path / "data" / "ct_ich")
    make_folds(load_samples(tmp_path / "data", ["ct_ich"])).write(tmp_path / "runs" / "folds.csv")
    run = tmp_path / "runs" / "two_branch" / "fold_0"
    run.mkdir(parents=True)
    keras.utils.set_random_seed(3)
    NETWORKS["two_branch"](SIZE, 1, base=4).save(run / "network.keras")
    (run / "preprocess.json").write_text(json.dumps(Preprocess(SIZE, (WINDOW,)).to_dict()))
    (run / "config.json").write_text(json.dumps({"sets": ["ct_ich"]}))
    write_rule(RULE, "by hand", run)
    (run / "metrics.json").write_text(json.dumps({"thresholds_chosen": "by hand", "metrics": [asdict(METRIC)]}))
    return tmp_path


def export_it(folder: Path) -> Path:
    return export("two_branch", 0, folder / "data", folder / "runs", folder / "weights", "9.8.7")


def test_serving_reads_what_was_exported(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = export_it(trained)
    manifest = read_manifest(folder)
    assert (manifest.name, manifest.version, manifest.rule) == ("two_branch", "9.8.7", RULE)
    assert manifest.metrics == (METRIC,)
    assert manifest.preprocess == Preprocess(SIZE, (WINDOW,))
    monkeypatch.setenv("HEMOSCOPE_WEIGHTS", str(trained / "weights"))
    scan = load_samples(trained / "data", ["ct_ich"])[0].scan()
    tensor = manifest.preprocess.tensor(scan, 0)[0][None]
    keras_mask = keras.saving.load_model(trained / "runs/two_branch/fold_0/network.keras")(tensor)["mask"]
    found = model.load("two_branch").read_slice(scan, 0)[0]
    assert found.mask_probability == pytest.approx(np.asarray(keras_mask)[0, :, :, 0], abs=5e-3)
    assert found.probabilities["epidural"] is None


def test_the_card_states_data_figures_and_limits(trained: Path) -> None:
    card = (export_it(trained) / "README.md").read_text("utf-8")
    assert "| ct_ich | Dice pooled | 0.500 | 0.400 to 0.600 | 12 | 3 |" in card
    assert "Hssayeni" in card
    assert "Not a medical device" in card
    assert "not of which subtype" in card


def test_the_weights_to_start_from_are_those_of_the_network(trained: Path) -> None:
    folder = export_it(trained)
    run = trained / "runs/two_branch/fold_0"
    network = keras.saving.load_model(run / "network.keras", compile=False)
    expected = network.get_weights()
    network.set_weights([np.zeros_like(values) for values in expected])
    read_start(folder / "start.npz", network)
    for found, wanted in zip(network.get_weights(), expected, strict=True):
        assert found == pytest.approx(wanted, rel=1e-3, abs=1e-6)


def test_a_run_that_was_not_evaluated_is_refused_with_the_command(trained: Path) -> None:
    (trained / "runs/two_branch/fold_0/metrics.json").unlink()
    with pytest.raises(BadData, match=r"python -m training.evaluate two_branch --fold 0"):
        export_it(trained)
    assert not (trained / "weights").exists()


@pytest.fixture
def pooled(trained: Path) -> Path:
    """The same with two judged folds, pooled, and a network of all patients."""
    keras.utils.set_random_seed(4)
    for fold in ("1", "all"):
        run = shutil.copytree(trained / "runs/two_branch/fold_0", trained / f"runs/two_branch/fold_{fold}")
        NETWORKS["two_branch"](SIZE, 1, base=4).save(run / "network.keras")
    for left in ("rule.json", "metrics.json"):
        (run / left).unlink()
    evaluate("two_branch", [0, 1], trained / "data", trained / "runs")
    return trained


def export_all(folder: Path) -> Path:
    return export("two_branch", None, folder / "data", folder / "runs", folder / "weights", "9.8.7")


def test_a_network_of_all_patients_ships_with_the_rule_and_the_figures_of_the_pool(
    pooled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = export_all(pooled)
    manifest, pool = read_manifest(folder), pooled / "runs/two_branch/pooled"
    assert manifest.fold is None
    assert (manifest.rule, manifest.thresholds_chosen) == read_choice(pool)
    assert manifest.metrics == read_evaluation(pool).metrics
    # Of one of the 60 slices it is not known where it bleeds.
    assert [(data.patients, data.slices) for data in manifest.training_data] == [(20, 59)]
    monkeypatch.setenv("HEMOSCOPE_WEIGHTS", str(pooled / "weights"))
    scan = load_samples(pooled / "data", ["ct_ich"])[0].scan()
    tensor = manifest.preprocess.tensor(scan, 0)[0][None]
    on_all = keras.saving.load_model(pooled / "runs/two_branch/fold_all/network.keras")(tensor)["mask"]
    found = model.load("two_branch").read_slice(scan, 0)[0]
    assert found.mask_probability == pytest.approx(np.asarray(on_all)[0, :, :, 0], abs=5e-3)


def test_it_is_said_that_the_figures_are_of_other_networks(pooled: Path) -> None:
    folder = export_all(pooled)
    said, card = read_manifest(folder).limits[0], (folder / "README.md").read_text("utf-8")
    assert "The figures are not of this network: it was trained on all patients" in said
    assert "fitted on the out-of-fold predictions" in said
    assert f"## Figures of the networks of the folds, not of this one\n\n{said}" in card
    assert "`python -m training.train two_branch --fold all`, the same on the folds" in card
    assert "every patient of these sets" in card


def test_a_pool_of_another_recipe_or_of_earlier_networks_is_refused(pooled: Path) -> None:
    run = pooled / "runs/two_branch/fold_1"
    (run / "config.json").write_text(json.dumps({"sets": ["ct_ich"], "epochs": 7}))
    with pytest.raises(BadData, match=r"fold_1 and .*fold_all were trained with different settings \(epochs\)"):
        export_all(pooled)
    (run / "config.json").write_text(json.dumps({"sets": ["ct_ich"], "focal": 0.0}))  # its default
    export_all(pooled)
    os.utime(run / "network.keras", (2e9, 2e9))
    with pytest.raises(BadData, match="evaluate two_branch --fold all` again"):
        export_all(pooled)
    (run / "split.sha256").write_text("0" * 64)
    with pytest.raises(BadData, match="trained on other folds"):
        export_all(pooled)


def test_no_network_that_is_split_by_slice_ships_with_the_figures_of_a_pool(pooled: Path) -> None:
    (pooled / "runs/two_branch/fold_all/config.json").write_text(json.dumps({"sets": ["ct_ich"], "split": "slice"}))
    with pytest.raises(BadData, match="is split by slice"):
        export_all(pooled)


def test_without_a_pool_there_is_no_rule_for_a_network_of_all_patients(trained: Path) -> None:
    (trained / "runs/two_branch/fold_0").rename(trained / "runs/two_branch/fold_all")
    with pytest.raises(BadData, match=r"a fold or more first: python -m training.evaluate two_branch --fold all"):
        export_all(trained)


@pytest.mark.parametrize("failing", ["write_start", "write_card", "largest_difference"])
def test_weights_that_lie_there_stay_when_an_export_fails(
    trained: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    folder = export_it(trained)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fails(*_: object) -> None:
        raise BadData("The disk is full.")

    monkeypatch.setattr(module, failing, fails)
    keras.utils.set_random_seed(5)
    NETWORKS["two_branch"](SIZE, 1, base=4).save(trained / "runs/two_branch/fold_0/network.keras")
    with pytest.raises(BadData, match="disk is full"):
        export_it(trained)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in (trained / "weights").iterdir()] == ["two_branch"]


def test_a_mirrored_network_says_the_same_of_a_slice_and_of_its_mirror_image(
    reader: keras.Model, batch: np.ndarray
) -> None:
    both = mirrored(reader)
    plain, found = reader.predict(batch, verbose=0), both.predict(batch, verbose=0)
    other = reader.predict(batch[:, :, ::-1], verbose=0)
    assert found["logits"] == pytest.approx((plain["logits"] + other["logits"]) / 2, abs=1e-5)
    assert found["mask"] == pytest.approx((plain["mask"] + other["mask"][:, :, ::-1]) / 2, abs=1e-5)
    assert found["cams"] == pytest.approx((plain["cams"] + other["cams"][:, :, ::-1]) / 2, abs=1e-5)
    turned = both.predict(batch[:, :, ::-1], verbose=0)
    assert turned["mask"][:, :, ::-1] == pytest.approx(found["mask"], abs=1e-5)
    assert largest_difference(found, run_graph(convert(both), batch)) < 1e-5
