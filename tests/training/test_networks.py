"""The networks at a tiny size: shapes, learning, storing, Grad-CAM in closed form, and every Keras backend."""

import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from hemoscope.labels import CLASSES
from training.losses import MaskedClassLoss, MaskedPixelLoss
from training.networks import NETWORKS
from training.networks.heads import ClosedFormGradCam, MaskWeightedPooling

TINY = {
    "unet": {"base": 4},
    "two_branch": {"base": 4},
    "reader": {"filters": (8, 8, 16, 24), "blocks": (1, 1, 1, 1), "decoder": (8, 8, 8), "dropout": 0.0},
}
LOSSES = {"mask": MaskedPixelLoss(1, 1, 0.1), "logits": MaskedClassLoss(), "cams": None}
SIZE = 32


def tiny(name, channels=3):
    keras.utils.set_random_seed(11)
    return NETWORKS[name](SIZE, channels, **TINY[name])


def handful():
    """Eight slices of noise; four with a bright square of blood, parenchymal, by its place left or right."""
    random = np.random.default_rng(5)
    images = random.uniform(0, 0.4, (8, SIZE, SIZE, 3)).astype(np.float32)
    masks, labels = np.zeros((8, SIZE, SIZE, 1), np.float32), np.zeros((8, 6), np.float32)
    for index in range(4):
        row, column = random.integers(2, 20, 2)
        images[index, row : row + 10, column : column + 10] += 0.5
        masks[index, row : row + 10, column : column + 10] = 1
        labels[index, [0, 2]] = 1
    return images, masks, labels


def compiled(network, optimizer):
    outputs = network.output_names
    # Without XLA on TensorFlow, which would compile longer than these networks run.
    jit = keras.backend.backend() == "jax"
    network.compile(optimizer, loss={name: LOSSES[name] for name in outputs}, jit_compile=jit)
    return network, [name for name in outputs if name != "cams"]


@pytest.mark.parametrize("name", sorted(NETWORKS))
@pytest.mark.parametrize("channels", [1, 3])
def test_outputs_have_their_names_and_shapes(name, channels):
    outputs = tiny(name, channels)(np.zeros((2, SIZE, SIZE, channels), np.float32))
    expected = {"mask": (2, SIZE, SIZE, 1)}
    if name == "reader":
        expected |= {"logits": (2, 6), "cams": (2, SIZE // 16, SIZE // 16, 6)}
    assert {key: tuple(value.shape) for key, value in outputs.items()} == expected


def test_the_registry_has_the_three_networks():
    assert set(NETWORKS) == {"unet", "two_branch", "reader"} == set(TINY)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_a_mask_holds_probabilities_and_heat_is_never_negative(name):
    outputs = {key: keras.ops.convert_to_numpy(value) for key, value in tiny(name)(handful()[0]).items()}
    assert 0 <= outputs["mask"].min() < outputs["mask"].max() <= 1
    assert "cams" not in outputs or outputs["cams"].min() >= 0


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_a_handful_of_slices_is_learnt_by_heart(name):
    images, masks, labels = handful()
    network, learnt = compiled(tiny(name), keras.optimizers.Adam(1e-2))
    targets = {key: value for key, value in (("mask", masks), ("logits", labels)) if key in learnt}
    losses = network.fit(images, targets, batch_size=8, epochs=100, verbose=0).history["loss"]
    assert losses[-1] < 0.25 * losses[0]


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_a_stored_network_answers_as_before(name, tmp_path):
    network, images = tiny(name), handful()[0]
    network.save(tmp_path / "network.keras")
    before, after = network(images), keras.saving.load_model(tmp_path / "network.keras")(images)
    for key in before:
        assert (keras.ops.convert_to_numpy(before[key]) == keras.ops.convert_to_numpy(after[key])).all()


def test_weights_of_a_small_input_start_a_network_of_a_larger_one(tmp_path):
    small = tiny("reader")
    small.save_weights(tmp_path / "network.weights.h5")
    large = NETWORKS["reader"](2 * SIZE, 3, **TINY["reader"])
    large.load_weights(tmp_path / "network.weights.h5")
    for one, two in zip(small.get_weights(), large.get_weights(), strict=True):
        assert (one == two).all()


# Grad-CAM


def grad_cam_by_gradient(network, images):
    """Selvaraju et al., ICCV 2017: features weighted by the mean of the logit's gradient over the map, rectified."""
    import tensorflow as tf

    features = network.get_layer("cams").input[0]
    model = keras.Model(network.input, [features, network.output["logits"], network.output["cams"]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(tf.convert_to_tensor(images))
        maps, logits, cams = model(tf.convert_to_tensor(images), training=False)
        of_class = [logits[:, index] for index in range(len(CLASSES))]
    expected = []
    for logit in of_class:
        weights = tf.reduce_mean(tape.gradient(logit, maps), axis=(1, 2), keepdims=True)
        expected.append(tf.nn.relu(tf.reduce_sum(weights * maps, axis=-1)).numpy())
    return np.stack(expected, axis=-1), cams.numpy()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the gradient is taken with TensorFlow's tape")
@pytest.mark.parametrize("steps", [0, 15])
def test_closed_form_grad_cam_equals_the_gradient(steps):
    images, masks, labels = handful()
    network, _ = compiled(tiny("reader"), keras.optimizers.Adam(3e-3))
    if steps:
        network.fit(images, {"mask": masks, "logits": labels}, batch_size=8, epochs=steps, verbose=0)
    expected, found = grad_cam_by_gradient(network, images)
    for index, name in enumerate(CLASSES):
        scale = expected[..., index].max()
        assert np.abs(found[..., index] - expected[..., index]).max() <= 1e-5 * max(scale, 1e-3), name
    assert (expected.max(axis=(0, 1, 2)) > 0).sum() >= 2  # there is something to compare


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the gradient is taken with TensorFlow's tape")
def test_classes_do_not_pull_at_the_mask():
    import tensorflow as tf

    network = tiny("reader")
    with tf.GradientTape() as tape:
        logits = network(handful()[0], training=True)["logits"]
    gradients = tape.gradient(logits, network.trainable_variables)
    untouched = [v.path for v, g in zip(network.trainable_variables, gradients, strict=True) if g is None]
    # The decoder: three convolutions, each with scale and offset of its normalisation, and the last with its bias.
    assert len(untouched) == 3 * 3 + 2
    assert not any("head" in path for path in untouched)


def test_mask_weighted_pooling_by_hand():
    features = np.array([[1, 2], [3, 6]], np.float32).reshape(1, 2, 2, 1)
    mask = np.zeros((1, 4, 4, 1), np.float32)
    pooling = MaskWeightedPooling()
    assert float(pooling(features, mask)[0, 0]) == pytest.approx(3)  # an empty mask: the plain mean
    mask[0, :2, 2:] = 1  # above the value 2
    assert float(pooling(features, mask)[0, 0]) == pytest.approx((1.001 * 2 + 0.001 * 10) / 1.004, rel=1e-5)


def test_closed_form_by_hand():
    # Two channels, two poolings: weights are the sums of both poolings' gradients over the four pixels.
    features = np.array([1, 0, 0, 2, 0, 0, 4, 4], np.float32).reshape(1, 2, 2, 2)
    gradients = np.zeros((1, 4, 6), np.float32)
    gradients[0, :, 3] = [1, 2, 3, -4]  # channel 0: (1 + 3) / 4 = 1; channel 1: (2 - 4) / 4 = -0.5
    cams = keras.ops.convert_to_numpy(ClosedFormGradCam()(features, gradients))
    assert cams[0, :, :, 3].tolist() == [[1, 0], [0, 2]]
    assert (np.delete(cams, 3, axis=-1) == 0).all()


# Backends

ONE_STEP = """
import sys
import keras, numpy as np
folder, test = sys.argv[1:]
sys.path.insert(0, test)
import test_networks as shared
images, masks, labels = shared.handful()
network, _ = shared.compiled(shared.tiny("reader"), keras.optimizers.SGD(1e-2))
network.load_weights(folder + "/start.weights.h5")
before = network.predict(images, verbose=0)
loss = network.train_on_batch(images, {"mask": masks, "logits": labels})
after = network.predict(images, verbose=0)
np.savez(folder + "/" + keras.backend.backend(), loss=np.ravel(loss)[0],
         **{"before_" + k: v for k, v in before.items()}, **{"after_" + k: v for k, v in after.items()})
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend_predicts_and_trains_alike(backend, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    tiny("reader").save_weights(tmp_path / "start.weights.h5")
    for name in ("tensorflow", backend):
        subprocess.run(
            [sys.executable, "-c", ONE_STEP, str(tmp_path), os.path.dirname(__file__)],  # noqa: PTH120
            env=os.environ | {"KERAS_BACKEND": name, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            check=True,
            timeout=240,
        )
    one, two = np.load(tmp_path / "tensorflow.npz"), np.load(tmp_path / f"{backend}.npz")
    assert set(one) == set(two)
    for key in one:
        assert np.abs(one[key] - two[key]).max() < 1e-4, key
