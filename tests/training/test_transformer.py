"""The spatial transformer: sampling by hand, the way back, its gradient, the two stages, and the picture."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from hemoscope.errors import BadData
from hemoscope.preprocessing import Preprocess
from hemoscope.scan import BRAIN, Window
from tests.training.small_backbone import with_small_backbones
from training.alignment import PICTURE, draw_alignment, main, outline, phantom_slices
from training.networks import NETWORKS
from training.networks.heads import ClosedFormGradCam
from training.networks.mirror import mirrored
from training.networks.stn import STAGE_1
from training.networks.transformer import IDENTITY, Affine, AffineSampling, InverseAffine, alignment
from training.saved import start_from

SIZE = 32
STAGE_1_ARGUMENTS = {"hidden": 8}
STAGE_2_ARGUMENTS = {"hidden": (8, 8), "stage_1_hidden": 8}
# One pixel of a 4 x 4 image is half a unit wide, for the unit is half of the image.
SHIFT_RIGHT = [[1, 0, -0.5], [0, 1, 0]]  # each pixel shows its left neighbour
QUARTER_TURN = [[0, -1, 0], [1, 0, 0]]  # the right edge shows the lower edge


@pytest.fixture(autouse=True)
def small_backbones(monkeypatch: pytest.MonkeyPatch) -> None:
    with_small_backbones(monkeypatch)


def sampled(images: np.ndarray, theta: list) -> np.ndarray:
    return keras.ops.convert_to_numpy(AffineSampling()(images, np.array([theta], np.float32)))


def numbered() -> np.ndarray:
    return np.arange(1, 17, dtype=np.float32).reshape(1, 4, 4, 1)


def test_the_identity_leaves_every_pixel():
    images = np.random.default_rng(0).random((1, 5, 7, 2), np.float32)
    assert sampled(images, [[1, 0, 0], [0, 1, 0]]) == pytest.approx(images, abs=1e-6)


def test_a_shift_by_a_pixel_brings_in_black():
    found = sampled(numbered(), SHIFT_RIGHT)[0, :, :, 0]
    assert found.tolist() == [[0, 1, 2, 3], [0, 5, 6, 7], [0, 9, 10, 11], [0, 13, 14, 15]]


def test_a_quarter_turn_turns_anticlockwise():
    assert (sampled(numbered(), QUARTER_TURN)[0, :, :, 0] == np.rot90(numbered()[0, :, :, 0])).all()


def test_between_pixels_the_value_is_the_mean():
    found = sampled(numbered(), [[1, 0, 0.25], [0, 1, 0]])  # half a pixel to the right
    assert found[0, 0, :, 0] == pytest.approx([1.5, 2.5, 3.5, 2])  # beyond the edge there is 0


def test_each_image_has_its_own_transformation():
    images = np.concatenate([numbered(), numbered() * 2])
    theta = np.array([SHIFT_RIGHT, [[1, 0, 0], [0, 1, 0]]], np.float32)
    found = keras.ops.convert_to_numpy(AffineSampling()(images, theta))
    assert found[0, 0, :, 0].tolist() == [0, 1, 2, 3]
    assert found[1, 0, :, 0].tolist() == [2, 4, 6, 8]


def test_the_way_back_undoes_the_way():
    theta = np.array([[[1.1, -0.3, 0.2], [0.4, 0.9, -0.5]], SHIFT_RIGHT], np.float32)
    back = keras.ops.convert_to_numpy(InverseAffine()(theta))
    last = np.array([0, 0, 1])
    for one, other in zip(theta, back, strict=True):
        assert np.vstack([one, last]) @ np.vstack([other, last]) == pytest.approx(np.eye(3), abs=1e-6)


def test_a_collapsed_transformation_has_a_finite_way_back():
    assert np.isfinite(keras.ops.convert_to_numpy(InverseAffine()(np.zeros((1, 2, 3), np.float32)))).all()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the gradient is taken with TensorFlow's tape")
def test_the_gradient_of_the_transformation_is_the_slope():
    import tensorflow as tf

    ramp = np.tile(np.arange(16, dtype=np.float32), (16, 1)).reshape(1, 16, 16, 1)  # grows by 1 a column
    theta = tf.constant([[[1.0, 0, 0], [0, 1, 0]]])
    with tf.GradientTape() as tape:
        tape.watch(theta)
        middle = AffineSampling()(ramp, theta)[0, 8, 4, 0]
    gradient = tape.gradient(middle, theta).numpy()[0]
    # A unit is half of the width, 8 columns; pixel 4 of 16 has its centre at x = -7 / 16, row 8 at y = 1 / 16.
    assert gradient[0] == pytest.approx([8 * -7 / 16, 8 / 16, 8])
    assert gradient[1] == pytest.approx([0, 0, 0])


# The networks


def set_theta(network: keras.Model, theta: list) -> None:
    """Make the transformer give this theta whatever it sees."""
    weights = [w for w in network.weights if w.path.endswith(("theta/kernel", "theta/bias"))]
    weights[0].assign(np.zeros(weights[0].shape))
    weights[1].assign((np.array(theta) - np.eye(2, 3)).ravel())


@pytest.mark.parametrize("name", ["stn_vgg16_kinds", "stn_vgg16"])
def test_untrained_it_changes_nothing(name: str):
    images = np.random.default_rng(0).random((2, SIZE, SIZE, 3), np.float32)
    aligned, theta = alignment(NETWORKS[name](SIZE, 3), images)
    assert aligned == pytest.approx(images, abs=1e-5)
    assert theta.tolist() == [[[1, 0, 0], [0, 1, 0]]] * 2


def test_a_bounded_transformation_keeps_the_image_in_the_frame():
    affine = Affine(largest_change=0.5)
    affine.build((1, 1))
    affine.kernel.assign([[1e3, -1e3, 1e3, 0.25, 0, 0]])
    theta = keras.ops.convert_to_numpy(affine(np.ones((1, 1), np.float32)))[0]
    assert theta == pytest.approx(np.array([[1.5, -0.5, 0.5], [0.5 * np.tanh(0.5), 1, 0]]), abs=1e-6)
    assert Affine.from_config(affine.get_config()).largest_change == 0.5


@pytest.mark.parametrize("name", ["stn_inception_v3_kinds", "stn_inception_v3"])
def test_heat_is_taken_back_to_the_frame_of_the_input(name: str):
    network = NETWORKS[name](SIZE, 3)
    set_theta(network, QUARTER_TURN)
    heat = next(layer for layer in network.layers if isinstance(layer, ClosedFormGradCam))
    images = np.random.default_rng(0).random((2, SIZE, SIZE, 3), np.float32)
    outputs = keras.Model(network.input, {"aligned": heat.output, "cams": network.output["cams"]}).predict(images)
    assert outputs["aligned"].max() > 0
    # The slice was turned anticlockwise to be aligned; its heat is turned back clockwise.
    assert outputs["cams"] == pytest.approx(np.rot90(outputs["aligned"], -1, axes=(1, 2)), abs=1e-5)


def test_stage_2_takes_over_exactly_what_stage_1_learnt(tmp_path: Path):
    keras.utils.set_random_seed(1)
    first = NETWORKS["stn_vgg16_kinds"](SIZE, 3, **STAGE_1_ARGUMENTS)
    random = np.random.default_rng(2)
    for weight in first.weights:
        weight.assign(random.uniform(0.01, 0.1, weight.shape))
    first.save(tmp_path / "network.keras")
    second = NETWORKS["stn_vgg16"](SIZE, 3, **STAGE_2_ARGUMENTS)
    start_from(tmp_path / "network.keras", second.get_layer(STAGE_1))
    for one, other in zip(second.get_layer(STAGE_1).weights, first.weights, strict=True):
        assert (one.numpy() == other.numpy()).all()
    images = np.random.default_rng(0).random((2, SIZE, SIZE, 3), np.float32)
    kinds = [keras.ops.convert_to_numpy(network(images)["kinds"]) for network in (first, second.get_layer(STAGE_1))]
    assert kinds[1] == pytest.approx(kinds[0], abs=1e-6)


def test_stage_2_trains_all_but_the_head_of_stage_1():
    trained = {weight.path for weight in NETWORKS["stn_vgg16"](SIZE, 3, **STAGE_2_ARGUMENTS).trainable_weights}
    assert any(path.endswith("theta/kernel") for path in trained)
    assert [path for path in trained if "head/w1" in path] == ["head/w1"]  # the one on top, not that inside
    frozen = NETWORKS["stn_vgg16"](SIZE, 3, frozen_stage_1=True, **STAGE_2_ARGUMENTS).trainable_weights
    assert sorted(weight.path for weight in frozen) == [f"head/{kind}{number}" for kind in "bw" for number in (1, 2, 3)]


def test_a_network_without_a_transformer_has_no_alignment():
    with pytest.raises(BadData, match="vgg16 has no spatial transformer"):
        alignment(NETWORKS["vgg16"](SIZE, 3), np.zeros((1, SIZE, SIZE, 3), np.float32))


def test_the_transformer_is_found_behind_the_mirror():
    aligned, _ = alignment(mirrored(NETWORKS["stn_vgg16"](SIZE, 1)), np.ones((1, SIZE, SIZE, 1), np.float32))
    assert aligned.shape == (1, SIZE, SIZE, 1)


# The picture


def test_the_outline_is_the_frame_that_is_taken():
    corners = outline(np.array(SHIFT_RIGHT, np.float32), rows=4, columns=4)
    # The image reaches from -0.5 to 3.5 px; what is taken of it lies a pixel further left.
    assert corners.tolist() == [[-1.5, -0.5], [2.5, -0.5], [2.5, 3.5], [-1.5, 3.5], [-1.5, -0.5]]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "stn" / "fold_2"
    folder.mkdir(parents=True)
    NETWORKS["stn_vgg16"](SIZE, 2, **STAGE_2_ARGUMENTS).save(folder / "network.keras")
    (folder / "preprocess.json").write_text(json.dumps(Preprocess(SIZE, (BRAIN, Window(60, 40))).to_dict()))
    return folder


def test_the_picture_lies_in_the_run_s_folder(run: Path, tmp_path: Path):
    result = CliRunner().invoke(main, ["stn", "--fold", "2", "--runs", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert (run / PICTURE).read_bytes().startswith(b"\x89PNG")
    assert PICTURE in result.output


def test_a_run_that_is_not_there_is_told(tmp_path: Path):
    result = CliRunner().invoke(main, ["stn", "--runs", str(tmp_path)])
    assert result.exit_code == 1
    assert "There is no trained network" in result.output
    with pytest.raises(BadData, match="no trained network"):
        draw_alignment("stn", 0, tmp_path)


def test_the_phantom_is_shown_upright_and_turned():
    titles, images = phantom_slices(Preprocess(64, (BRAIN,)))
    assert titles[1] == "slice 12, turned by 0°"
    assert images.shape == (6, 64, 64, 1)
    # Turned clockwise, the front of the head, up in the middle, comes to the right half.
    weight = images[:, :16].sum(axis=(1, 3))
    centre = (weight * np.arange(64)).sum(axis=1) / weight.sum(axis=1)
    assert centre[0] > centre[1] > centre[2]


def test_a_transformation_that_is_no_number_gives_no_numbers_instead_of_an_error():
    theta = np.tile(np.array(IDENTITY, np.float32), (2, 1, 1))
    theta[1] = np.nan
    images = np.ones((2, 8, 8, 1), np.float32)
    seen = keras.ops.convert_to_numpy(AffineSampling()(images, theta))
    assert np.isfinite(seen[0]).all()
    assert np.isnan(seen[1]).all()
