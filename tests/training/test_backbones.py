"""The published backbones: they are Keras' own, scaled as their weights expect, and they take weights from a file."""

import os
from pathlib import Path

import keras
import numpy as np
import pytest

from hemoscope.errors import BadData
from tests.training.small_backbone import with_small_backbones
from training.export import convert, largest_difference, run_graph
from training.networks import NETWORKS
from training.networks.backbones import FAMILIES, InputScaling, build_backbone_classifier
from training.saved import load_network

SMALLEST = {name: family.smallest for name, family in FAMILIES.items()}
# What the report with the three of them states, with three input channels; our scaling has 12 numbers more, and
# EfficientNet's own, which it replaces, had 7.
PAPER_PARAMETERS = {"efficientnet_b2": 7949695 - 7, "resnet50": 23850758, "densenet121": 7169478}
PREPARED = {  # how Keras says that a picture in 0..255 is to be prepared; EfficientNet does it in its first layers
    "vgg16": keras.applications.vgg16,
    "inception_v3": keras.applications.inception_v3,
    "resnet50": keras.applications.resnet,
    "resnet152": keras.applications.resnet,
    "densenet121": keras.applications.densenet,
}


def scaled(name: str, images: np.ndarray) -> np.ndarray:
    """As a family scales its input when it has ImageNet weights."""
    scaling = InputScaling()
    scaling.build(images.shape)
    scaling.set_weights([FAMILIES[name].matrix, FAMILIES[name].offset])
    return keras.ops.convert_to_numpy(scaling(images))


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_backbone_reads_a_slice_of_its_smallest_size(name: str):
    size = SMALLEST[name]
    network = NETWORKS[name](size, 3)
    outputs = network(np.zeros((1, size, size, 3), np.float32))
    assert {key: tuple(value.shape) for key, value in outputs.items()} == {"logits": (1, 6), "cams": (1, 1, 1, 6)}
    assert network.name == name
    if name in PAPER_PARAMETERS:
        assert network.count_params() - 12 == PAPER_PARAMETERS[name]


def test_without_weights_any_number_of_channels_is_taken():
    network = NETWORKS["efficientnet_b2"](32, 5)
    assert network.input_shape == (None, 32, 32, 5)
    layers = {type(layer).__name__ for layer in network.get_layer("backbone").layers}
    assert "Normalization" not in layers  # it is lost on the way to ONNX


@pytest.mark.skipif("HEMOSCOPE_SLOW_TESTS" not in os.environ, reason="HEMOSCOPE_SLOW_TESTS=1 for ten minutes of it")
@pytest.mark.parametrize("name", sorted({*FAMILIES, "stn_vgg16", "stn_inception_v3_kinds"}))
def test_a_real_backbone_is_stored_and_exported_as_it_is(name: str, tmp_path: Path):
    size = 75 if "inception" in name else 64
    keras.utils.set_random_seed(1)
    network = NETWORKS[name](size, 3)
    network.save(tmp_path / "network.keras")
    images = np.random.default_rng(2).random((2, size, size, 3), np.float32)
    stored, expected = load_network(tmp_path / "network.keras"), network.predict(images, verbose=0)
    assert largest_difference(expected, stored.predict(images, verbose=0)) < 1e-5
    assert largest_difference(expected, run_graph(convert(stored), images)) < 1e-4


# Input scaling


@pytest.mark.parametrize("name", sorted(PREPARED))
def test_the_input_is_scaled_as_keras_says(name: str):
    images = np.random.default_rng(0).random((2, 4, 4, 3), np.float32)
    expected = PREPARED[name].preprocess_input(images * 255)
    assert scaled(name, images) == pytest.approx(expected, rel=1e-5, abs=1e-4)


def test_efficientnet_is_scaled_as_its_own_first_layers_do():
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    images = np.random.default_rng(0).random((2, 4, 4, 3), np.float32)
    # Rescaling(1/255), Normalization(mean, deviation²), and for `imagenet` Rescaling(1/sqrt(deviation)).
    expected = (images - mean) / deviation / np.sqrt(deviation)
    assert scaled("efficientnet_b2", images) == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_without_weights_the_input_goes_from_minus_one_to_one():
    images = np.array([0, 0.25, 1, 0.5], np.float32).reshape(1, 2, 1, 2)
    assert keras.ops.convert_to_numpy(InputScaling()(images)).ravel().tolist() == [-1, -0.5, 1, 0]


def test_the_scaling_travels_with_the_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    with_small_backbones(monkeypatch)
    source = NETWORKS["resnet50"](16, 3)
    source.get_layer("scaling").set_weights([FAMILIES["resnet50"].matrix, FAMILIES["resnet50"].offset])
    source.save_weights(tmp_path / "network.weights.h5")
    network = NETWORKS["resnet50"](16, 3)
    network.load_weights(tmp_path / "network.weights.h5")
    assert network.get_layer("scaling").offset.numpy() == pytest.approx([-103.939, -116.779, -123.68])


# Weights


@pytest.mark.parametrize("name", ["efficientnet_b2", "vgg16"])
def test_weights_from_a_file_are_those_of_the_backbone(name: str, tmp_path: Path):
    keras.utils.set_random_seed(5)
    original = FAMILIES[name].build(include_top=False, weights=None, input_shape=(32, 32, 3))
    original.save_weights(tmp_path / "some.weights.h5")
    keras.utils.set_random_seed(6)
    network = NETWORKS[name](32, 3, weights=str(tmp_path / "some.weights.h5"))
    images = np.random.default_rng(0).random((1, 32, 32, 3), np.float32)
    first = FAMILIES[name].first
    expecting = original if first is None else keras.Model(original.get_layer(first).input, original.output)
    found = keras.Model(network.input, network.get_layer("pooled").input)(images)
    assert keras.ops.convert_to_numpy(found) == pytest.approx(
        keras.ops.convert_to_numpy(expecting(scaled(name, images))), rel=1e-4, abs=1e-4
    )


def test_weights_of_another_network_or_of_none_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    with_small_backbones(monkeypatch)
    with pytest.raises(BadData, match=r"no weights .*missing\.weights\.h5 for vgg16; .*None, 'imagenet' or a file"):
        NETWORKS["vgg16"](32, 3, weights=str(tmp_path / "missing.weights.h5"))
    (tmp_path / "garbled.weights.h5").write_bytes(b"no weights")
    with pytest.raises(BadData, match=r"garbled\.weights\.h5 are not of vgg16 without its top"):
        NETWORKS["vgg16"](32, 3, weights=str(tmp_path / "garbled.weights.h5"))
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(BadData, match=r"other\.weights\.h5 are not of vgg16 without its top"):
        NETWORKS["vgg16"](32, 3, weights=str(tmp_path / "other.weights.h5"))


def test_imagenet_weights_want_three_channels():
    with pytest.raises(BadData, match="weights of resnet50 take three channels: got 9"):
        NETWORKS["resnet50"](32, 9, weights="imagenet")


def test_a_slice_that_is_too_small_is_refused():
    with pytest.raises(BadData, match="inception_v3 takes slices of at least 75 pixels: got 74"):
        NETWORKS["inception_v3"](74, 3)


def test_a_failed_download_is_told_with_its_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def refused(*_: object, **__: object) -> None:
        raise OSError("no way out")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    # What Keras does when there is no network; nothing is fetched here, whether there is one or not.
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", refused)
    with pytest.raises(
        BadData, match=r"ImageNet weights of vgg16 could not be downloaded: no way out\. Fetch"
    ) as raised:
        build_backbone_classifier("vgg16", 32, 3, weights="imagenet")
    assert raised.value.__suppress_context__  # one sentence, no chain of errors before it


# Freezing


def test_a_frozen_backbone_leaves_the_head_to_train(monkeypatch: pytest.MonkeyPatch):
    with_small_backbones(monkeypatch)
    paths = [weight.path for weight in NETWORKS["vgg16"](16, 3, frozen=True).trainable_weights]
    assert paths == ["head/w1", "head/b1", "head/w2", "head/b2"]


def test_the_last_layers_of_a_frozen_backbone_can_learn(monkeypatch: pytest.MonkeyPatch):
    with_small_backbones(monkeypatch)

    def trained(count: int) -> int:
        network = NETWORKS["vgg16"](16, 3, frozen=True, trainable_last=count)
        return len(network.get_layer("backbone").trainable_weights)

    # From the end: a convolution (kernel, bias), a normalisation (scale, offset), a convolution; there is no fourth.
    assert [trained(count) for count in range(5)] == [0, 2, 4, 6, 6]


def test_training_does_not_change_a_frozen_backbone(monkeypatch: pytest.MonkeyPatch):
    with_small_backbones(monkeypatch)
    network = NETWORKS["vgg16"](16, 3, frozen=True)
    before = network.get_layer("backbone").get_weights()
    network.compile("adam", loss={"logits": "mse", "cams": None})
    images = np.random.default_rng(0).random((4, 16, 16, 3), np.float32)
    network.fit(images, {"logits": np.ones((4, 6))}, verbose=0)
    for now, then in zip(network.get_layer("backbone").get_weights(), before, strict=True):
        assert (now == then).all()  # the normalisation's running mean too
