"""A newcomer's network: one builder and one configuration, and it is trained, evaluated and exported."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from hemoscope.labels import CLASSES
from hemoscope.manifest import read_manifest
from hemoscope.preprocessing import Preprocess
from tests.training.phantom_set import WINDOW, write_ct_ich
from training.configs import CONFIGS, TrainConfig
from training.evaluate import evaluate, read_evaluation
from training.export import export, run_graph
from training.networks import NETWORKS
from training.saved import load_network
from training.train import train


def build_brightness(size: int, channels: int) -> keras.Model:
    """Six logits from the mean of each quarter; nothing but `logits` is put out."""
    image = keras.Input((size, size, channels), name="image")
    x = layers.Flatten()(layers.AveragePooling2D(size // 2)(image))
    return keras.Model(image, {"logits": layers.Dense(6, dtype="float32", name="logits")(x)})


BRIGHTNESS = TrainConfig(
    network="brightness",
    preprocess=Preprocess(32, (WINDOW,)),
    sets=("ct_ich",),
    needs="any",
    slices_per_epoch=16,
    epochs=1,
    licence="CC-BY-4.0",
    precision="float32",
)


def test_a_builder_and_a_configuration_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(NETWORKS, "brightness", build_brightness)
    monkeypatch.setitem(CONFIGS, "brightness", BRIGHTNESS)
    data, runs = tmp_path / "data", tmp_path / "runs"
    write_ct_ich(data / "ct_ich")

    run = train(CONFIGS["brightness"], "brightness", 0, data, runs, resume=False)
    found = read_evaluation(evaluate("brightness", [0], data, runs))
    folder = export("brightness", 0, data, runs, tmp_path / "weights", "1.2.3")

    names = {metric.name for metric in found.metrics}
    assert "AUC any" in names
    assert not {name for name in names if "Dice" in name or "pixel" in name}  # it marks none
    assert "there is no mask to choose a mask threshold on" in found.thresholds_chosen
    manifest = read_manifest(folder)
    assert (manifest.name, manifest.version, manifest.classes) == ("brightness", "1.2.3", CLASSES)
    assert "`brightness`, 32 x 32 x 1, trained on CT-ICH 1.3.0: the six classes" in manifest.summary
    assert any("no areas, no volumes" in limit for limit in manifest.limits)
    assert "Hssayeni" in (folder / "README.md").read_text("utf-8")
    images = np.random.default_rng(0).random((2, 32, 32, 1), np.float32)
    expected = load_network(run / "network.keras").predict(images, verbose=0)["logits"]
    assert run_graph((folder / manifest.graph).read_bytes(), images)["logits"] == pytest.approx(expected, abs=1e-4)
