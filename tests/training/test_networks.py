"""The networks at a tiny size: shapes, learning, storing, Grad-CAM in closed form, and every Keras backend."""

import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from hemoscope.labels import CLASSES
from tests.training.small_backbone import with_small_backbones
from training.datasets.sample import SUBTYPE_BITS
from training.export import convert, largest_difference, run_graph
from training.losses import MaskedClassLoss, MaskedPixelLoss, MaskedSubtypeLoss
from training.networks import NETWORKS
from training.networks.backbones import FAMILIES
from training.networks.heads import ClassHead, ClosedFormGradCam, MaskWeightedPooling
from training.networks.stn import KINDS, KindsToClasses
from training.saved import load_network

# Of the networks with a backbone, one stands for all: the builder is the same. The real ones are in test_backbones.py.
TINY = {
    "unet": {"base": 4},
    "two_branch": {"base": 4},
    "reader": {"filters": (8, 8, 16, 24), "blocks": (1, 1, 1, 1), "decoder": (8, 8, 8), "dropout": 0.0},
    "plain_cnn": {"filters": 4},
    "alexnet": {"filters": (8, 8, 8, 8, 8), "width": 16, "dropout": 0.0},
    "vgg16": {"hidden": 16, "dropout": 0.0},
    "stn_vgg16_kinds": {"hidden": 16, "dropout": 0.0},
    "stn_vgg16": {"hidden": (16, 12), "stage_1_hidden": 16, "dropout": 0.0},
}
CLASSIFIERS = sorted(set(TINY) - {"unet", "two_branch"})
LOSSES = {
    "mask": MaskedPixelLoss(1, 1, 0.1),
    "logits": MaskedClassLoss(),
    "kinds": keras.losses.CategoricalCrossentropy(from_logits=True),
}
SIZE = 32
SIZES = {"alexnet": 99}  # the smallest of which two rows and columns of features are left
MAPS = {"reader": 2, "plain_cnn": 5, "alexnet": 2, "vgg16": 4, "stn_vgg16_kinds": 4, "stn_vgg16": 4}


@pytest.fixture(autouse=True)
def small_backbones(monkeypatch):
    with_small_backbones(monkeypatch)


def size_of(name):
    return SIZES.get(name, SIZE)


def tiny(name, channels=3):
    keras.utils.set_random_seed(11)
    return NETWORKS[name](size_of(name), channels, **TINY[name])


def turned(network):
    """The network with a transformation of its own for each slice, where it has a spatial transformer."""
    random = np.random.default_rng(3)
    for weight in network.weights:
        if weight.path.endswith(("theta/kernel", "theta/bias")):
            weight.assign(random.normal(0, 0.05, weight.shape))
    return network


def handful(size=SIZE):
    """Eight slices of noise; four with a bright square of blood, parenchymal, by its place left or right."""
    random = np.random.default_rng(5)
    images = random.uniform(0, 0.4, (8, size, size, 3)).astype(np.float32)
    masks, labels = np.zeros((8, size, size, 1), np.float32), np.zeros((8, 6), np.float32)
    side = 10 * size // SIZE
    for index in range(4):
        row, column = random.integers(2, 20, 2) * size // SIZE
        images[index, row : row + side, column : column + side] += 0.5
        masks[index, row : row + side, column : column + side] = 1
        labels[index, [0, 2]] = 1
    return images, masks, labels


def targets_of(network, masks, labels):
    """A target for each output that is learnt; where there are kinds, the classes follow from them."""
    kinds = np.eye(6)[np.where(labels[:, 0] == 1, KINDS.index("intraparenchymal"), 0)]
    targets = {"mask": masks, "logits": labels, "kinds": kinds}
    derived = {"logits"} if "kinds" in network.output_names else set()
    return {name: targets[name] for name in network.output_names if name in targets and name not in derived}


def compiled(network, optimizer):
    learnt = targets_of(network, *handful()[1:])
    # Without XLA on TensorFlow, which would compile longer than these networks run.
    jit = keras.backend.backend() == "jax"
    losses = {name: LOSSES[name] if name in learnt else None for name in network.output_names}
    network.compile(optimizer, loss=losses, jit_compile=jit)
    return network


@pytest.mark.parametrize("name", sorted(TINY))
@pytest.mark.parametrize("channels", [1, 3])
def test_outputs_have_their_names_and_shapes(name, channels):
    size = size_of(name)
    outputs = tiny(name, channels)(np.zeros((2, size, size, channels), np.float32))
    expected = {"mask": (2, size, size, 1)} if name in ("unet", "two_branch", "reader") else {}
    if name in MAPS:
        expected |= {"logits": (2, 6), "cams": (2, MAPS[name], MAPS[name], 6)}
    if name == "stn_vgg16_kinds":
        expected |= {"kinds": (2, 6)}
    assert {key: tuple(value.shape) for key, value in outputs.items()} == expected


def test_every_network_is_tested_here_or_with_the_backbones():
    same_builder = {"stn_inception_v3_kinds", "stn_inception_v3"}
    assert set(NETWORKS) == set(TINY) | set(FAMILIES) | same_builder


@pytest.mark.parametrize("name", sorted(TINY))
def test_a_mask_holds_probabilities_and_heat_is_never_negative(name):
    network = tiny(name)
    outputs = {key: keras.ops.convert_to_numpy(value) for key, value in network(handful(size_of(name))[0]).items()}
    assert "mask" not in outputs or 0 <= outputs["mask"].min() < outputs["mask"].max() <= 1
    assert "cams" not in outputs or outputs["cams"].min() >= 0


class StopWhenLearnt(keras.callbacks.Callback):
    """Spares the epochs after the loss has fallen to a quarter of the first."""

    first = None

    def on_epoch_end(self, epoch, logs):
        self.first = self.first or logs["loss"]
        self.model.stop_training = logs["loss"] < 0.25 * self.first


@pytest.mark.parametrize("name", sorted(TINY))
def test_a_handful_of_slices_is_learnt_by_heart(name):
    images, masks, labels = handful(size_of(name))
    network = compiled(tiny(name), keras.optimizers.Adam(1e-2))
    targets = targets_of(network, masks, labels)
    callbacks = [StopWhenLearnt()]
    losses = network.fit(images, targets, batch_size=8, epochs=100, verbose=0, callbacks=callbacks).history["loss"]
    assert losses[-1] < 0.25 * losses[0]


def test_the_reader_learns_the_subtype_of_each_pixel():
    images, masks, labels = handful()
    images[:2] += masks[:2]  # of the four bleeds two are brighter: subdural, the others epidural
    subtypes = np.array([SUBTYPE_BITS["subdural"]] * 2 + [SUBTYPE_BITS["epidural"]] * 6, np.float32)
    keras.utils.set_random_seed(11)
    network = NETWORKS["reader"](SIZE, 3, **TINY["reader"], subtypes=True)
    losses = {"mask": MaskedPixelLoss(), "logits": MaskedClassLoss(), "cams": None, "subtypes": MaskedSubtypeLoss()}
    network.compile(keras.optimizers.Adam(1e-2), loss=losses, jit_compile=keras.backend.backend() == "jax")
    targets = {"mask": masks, "logits": labels, "subtypes": masks * subtypes[:, None, None, None]}
    history = network.fit(images, targets, batch_size=8, epochs=40, verbose=0).history["subtypes_loss"]
    assert history[-1] < 0.25 * history[0]
    said = keras.ops.convert_to_numpy(network(images)["subtypes"])
    assert said.shape == (8, SIZE, SIZE, 5)
    assert said.sum(-1) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("name", sorted(TINY))
def test_a_stored_network_answers_as_before(name, tmp_path):
    network, images = turned(tiny(name)), handful(size_of(name))[0]
    network.save(tmp_path / "network.keras")
    before, after = network(images), keras.saving.load_model(tmp_path / "network.keras")(images)
    for key in before:
        assert (keras.ops.convert_to_numpy(before[key]) == keras.ops.convert_to_numpy(after[key])).all()


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_network_of_mixed_precision_is_loaded_in_float32(name, tmp_path):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        trained = turned(tiny(name))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    trained.save(tmp_path / "network.keras")
    network = load_network(tmp_path / "network.keras")
    assert "bfloat16" in {layer.compute_dtype for layer in layers_of(trained)}
    assert {layer.compute_dtype for layer in layers_of(network)} == {"float32"}
    for mine, theirs in zip(network.get_weights(), trained.get_weights(), strict=True):
        assert (mine == theirs).all()
    images = handful(size_of(name))[0]
    rough, exact = trained.predict(images, verbose=0)["logits"], network.predict(images, verbose=0)["logits"]
    assert 0 < np.abs(exact - rough).max() < 0.1


def layers_of(network):
    """The layers of a network and of the networks inside it."""
    inner = [deep for layer in network.layers if isinstance(layer, keras.Model) for deep in layers_of(layer)]
    return [layer for layer in network.layers if not isinstance(layer, keras.Model)] + inner


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the export takes TensorFlow")
@pytest.mark.parametrize("name", sorted(set(TINY) - {"unet", "two_branch", "reader"}))  # these are in test_export.py
def test_the_exported_graph_puts_out_what_keras_does(name):
    network, images = turned(tiny(name)), handful(size_of(name))[0][:3]
    assert largest_difference(network.predict(images, verbose=0), run_graph(convert(network), images)) < 1e-5


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

    heat = next(layer for layer in network.layers if isinstance(layer, ClosedFormGradCam))
    features = heat.input[0]
    model = keras.Model(network.input, [features, network.output["logits"], heat.output])
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
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_closed_form_grad_cam_equals_the_gradient(name, steps):
    images, masks, labels = handful(size_of(name))
    network = compiled(turned(tiny(name)), keras.optimizers.Adam(3e-3))
    if steps:
        network.fit(images, targets_of(network, masks, labels), batch_size=8, epochs=steps, verbose=0)
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


def test_a_flat_head_by_hand():
    # Two places of two channels, one hidden unit that is on, one that is off.
    head = ClassHead(hidden=(2,), places=2)
    head.build((None, 4))
    first = np.array([[1, 5], [2, 5], [3, 5], [-4, 5]], np.float32)  # place 0: channels 0, 1; place 1: channels 0, 1
    second = np.zeros((2, 6), np.float32)
    second[:, 3] = [10, 100]
    head.set_weights([first, np.array([0, -99], np.float32), second, np.zeros(6, np.float32)])
    logits, gradients = head(np.array([[1, 1, 1, 1]], np.float32))
    assert float(logits[0, 3]) == 10 * (1 + 2 + 3 - 4)
    assert keras.ops.convert_to_numpy(gradients)[0, :, 3].tolist() == [10 * (1 + 3), 10 * (2 - 4)]
    assert not np.delete(keras.ops.convert_to_numpy(gradients), 3, axis=-1).any()


def test_dropout_of_a_head_is_off_when_it_is_not_trained():
    features = np.random.default_rng(0).random((4, 8), np.float32)
    head = ClassHead(hidden=(64, 32), dropout=0.5)
    once, again = (keras.ops.convert_to_numpy(head(features)[0]) for _ in range(2))
    assert (once == again).all()
    assert not (keras.ops.convert_to_numpy(head(features, training=True)[0]) == once).all()


def test_classes_from_kinds_by_hand():
    shares = np.array([0.5, 0.25, 0.125, 0.0625, 0.03125, 0.03125])  # no hemorrhage, then the subtypes
    logits, _ = KindsToClasses()(np.log(shares)[None].astype(np.float32), np.zeros((1, 1, 6), np.float32))
    probabilities = 1 / (1 + np.exp(-keras.ops.convert_to_numpy(logits)[0]))
    assert probabilities == pytest.approx([0.5, 0.25, 0.125, 0.0625, 0.03125, 0.03125], abs=1e-6)


# Backends

ONE_STEP = """
import sys
import keras, numpy as np, pytest
folder, test, name = sys.argv[1:]
sys.path.insert(0, test)
import test_networks as shared
images, masks, labels = shared.handful(shared.size_of(name))
with pytest.MonkeyPatch.context() as patch:
    shared.with_small_backbones(patch)
    network = shared.compiled(shared.tiny(name), keras.optimizers.SGD(1e-2))
network.load_weights(folder + "/start.weights.h5")
before = network.predict(images, verbose=0)
loss = network.train_on_batch(images, shared.targets_of(network, masks, labels))
after = network.predict(images, verbose=0)
np.savez(folder + "/" + keras.backend.backend(), loss=np.ravel(loss)[0],
         **{"before_" + k: v for k, v in before.items()}, **{"after_" + k: v for k, v in after.items()})
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.parametrize("name", ["reader", "alexnet", "stn_vgg16_kinds", "stn_vgg16"])
def test_another_backend_predicts_and_trains_alike(name, backend, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    turned(tiny(name)).save_weights(tmp_path / "start.weights.h5")
    for one in ("tensorflow", backend):
        subprocess.run(
            [sys.executable, "-c", ONE_STEP, str(tmp_path), os.path.dirname(__file__), name],  # noqa: PTH120
            env=os.environ | {"KERAS_BACKEND": one, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            check=True,
            timeout=240,
        )
    one, two = np.load(tmp_path / "tensorflow.npz"), np.load(tmp_path / f"{backend}.npz")
    assert set(one) == set(two)
    for key in one:
        assert np.abs(one[key] - two[key]).max() < 1e-4, key
