"""Fused batch normalisation: the same numbers as Keras' own, in fewer passes."""

import keras
import numpy as np
import pytest

from training.networks.fused import fuse_normalisation

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="Fused on TensorFlow only.")


def small_network(trainable: bool = True) -> keras.Model:
    keras.utils.set_random_seed(7)
    inner_input = keras.Input((8, 8, 4))
    inner_output = keras.layers.BatchNormalization(scale=False, momentum=0.8)(inner_input)
    inner = keras.Model(inner_input, inner_output, name="inner")
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", use_bias=False)(inputs)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9, trainable=trainable)(x))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(inner(x)))
    network = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.BatchNormalization()(x)))
    network.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
    return network


def pixels() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(3)
    return generator.normal(2, 3, (6, 8, 8, 3)).astype(np.float32), generator.random((6, 2)).astype(np.float32)


@pytest.mark.parametrize("trainable", [True, False])
def test_training_gives_the_variables_that_keras_gives(trainable: bool) -> None:
    keras.mixed_precision.set_global_policy("float32")
    plain, fused = small_network(trainable), small_network(trainable)
    fuse_normalisation(fused)
    before = [np.array(variable.numpy()) for variable in fused.variables]
    slices, targets = pixels()
    for _ in range(4):
        assert fused.train_on_batch(slices, targets) == pytest.approx(plain.train_on_batch(slices, targets), abs=1e-5)
    for ours, theirs in zip(fused.variables, plain.variables, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-5, err_msg=ours.path)
    np.testing.assert_allclose(fused.predict(slices, verbose=0), plain.predict(slices, verbose=0), atol=1e-5)
    assert any(np.abs(now.numpy() - then).max() > 1e-3 for now, then in zip(fused.variables, before, strict=True))


def test_what_is_saved_is_keras_own(tmp_path) -> None:
    network = small_network()
    fuse_normalisation(network)
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    assert {type(layer) for layer in loaded.layers} == {type(layer) for layer in network.layers}
    slices, _ = pixels()
    np.testing.assert_allclose(loaded.predict(slices, verbose=0), network.predict(slices, verbose=0), atol=1e-5)


def test_every_normalisation_over_slices_is_fused() -> None:
    network = small_network()
    fuse_normalisation(network)
    normalisations = [
        layer for layer in network._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert sorted("call" in vars(layer) for layer in normalisations) == [False, True, True]
