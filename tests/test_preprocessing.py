"""Preprocessing against values computed by hand, and bit for bit against golden pixels of the phantom.

`python tests/test_preprocessing.py` writes the golden file anew; do that only where the change is meant, and retrain or
re-check every network whose manifest stores the settings that changed.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from hemoscope.errors import BadWeights
from hemoscope.phantom import Bleed, make_phantom
from hemoscope.preprocessing import (
    WINDOWS,
    Placement,
    Preprocess,
    apply_window,
    equalise_histogram,
    head_box,
    intracranial_mask,
    stretch_contrast,
)
from hemoscope.scan import BRAIN, Scan, Window

GOLDEN = Path(__file__).parent / "golden" / "preprocessing.npz"
THREE_WINDOWS = (BRAIN, Window(40, 40), Window(60, 40))
PRESETS = {
    "whole": Preprocess(64),
    "head_three_windows": Preprocess(64, THREE_WINDOWS, frame="head"),
    "head_neighbours": Preprocess(48, neighbours=1, frame="head", scale="signed"),
    "head_larger_than_scan": Preprocess(192, (WINDOWS["subdural"],), frame="head"),
    "canvas_padded_intracranial_stretched": Preprocess(
        64, frame="canvas", canvas_px=160, intracranial=True, stretch=(2, 98)
    ),
    "canvas_truncated_equalised": Preprocess(64, frame="canvas", canvas_px=100, equalise=True),
    "clahe": Preprocess(64, (WINDOWS["bone"], WINDOWS["stroke"]), clahe_clip=2.0),
}


def scan_of(*planes):
    return Scan(np.stack([np.asarray(plane, np.float32) for plane in planes]), calibrated=True)


def flat(hu, side=20):
    return np.full((side, side), hu, np.float32)


@pytest.fixture(scope="module")
def phantom():
    bleeds = [Bleed("intraparenchymal", 15), Bleed("subdural", 25, side="right")]
    return make_phantom(bleeds, slices=3, rows=300, columns=256, spacing_mm=0.9, noise_hu=2)


# Windows


@pytest.mark.parametrize(
    ("window", "hu", "grey"),
    [
        (BRAIN, [-1000, -0.5, 0, 20, 40, 80, 80.5, 3000], [0, 0, 0, 0.25, 0.5, 1, 1, 1]),
        (WINDOWS["subdural"], [-20, 30, 80, 130, 180], [0, 0.25, 0.5, 0.75, 1]),
        (WINDOWS["soft"], [15, 22.5, 30, 45], [0, 0.25, 0.5, 1]),
        (WINDOWS["bone"], [-800, -100, 600, 2000], [0, 0.25, 0.5, 1]),
        (WINDOWS["stroke"], [20, 30, 60], [0, 0.25, 1]),
    ],
)
def test_windows_by_hand(window, hu, grey):
    assert apply_window(np.array(hu, np.float32), window) == pytest.approx(grey, abs=1e-6)


def test_applying_a_window_leaves_the_scan_alone():
    hu = np.array([[-5, 100]], np.float32)
    apply_window(hu, BRAIN)
    assert hu.tolist() == [[-5, 100]]


def test_pixels_are_rounded_to_the_nearest_of_256_greys():
    for hu, value in ((10, 32), (20, 64), (30, 96), (-3, 0), (90, 255)):  # 31.875, 63.75 and 95.625 round up
        pixels, _ = Preprocess(16).pixels(scan_of(flat(hu)), 0)
        assert pixels.shape == (16, 16, 1)
        assert pixels.dtype == np.uint8
        assert (pixels == value).all(), hu


# Channels


def test_channels_run_from_previous_to_next_slice_each_with_all_windows():
    scan = scan_of(flat(10), flat(20), flat(30))
    preprocess = Preprocess(16, (BRAIN, Window(40, 40)), neighbours=1)  # the second goes from 20 to 60 HU
    assert preprocess.channels == 6
    pixels, _ = preprocess.pixels(scan, 1)
    assert pixels[0, 0].tolist() == [32, 0, 64, 0, 96, 64]


def test_the_nearest_slice_stands_in_at_the_ends():
    scan = scan_of(flat(10), flat(20), flat(30))
    preprocess = Preprocess(16, neighbours=2)
    assert preprocess.pixels(scan, 0)[0][0, 0].tolist() == [32, 32, 32, 64, 96]
    assert preprocess.pixels(scan, 2)[0][0, 0].tolist() == [32, 64, 96, 96, 96]
    assert preprocess.pixels(scan_of(flat(20)), 0)[0][0, 0].tolist() == [64] * 5


@pytest.mark.parametrize("index", [-1, 3])
def test_a_slice_that_is_not_there_is_refused(index):
    with pytest.raises(IndexError, match="of 3"):
        Preprocess(16).pixels(scan_of(flat(1), flat(2), flat(3)), index)


def test_scaling_by_hand():
    pixels = np.array([0, 51, 255], np.uint8)
    assert Preprocess(16).scaled(pixels) == pytest.approx([0, 0.2, 1])
    assert Preprocess(16, scale="signed").scaled(pixels) == pytest.approx([-1, -0.6, 1])
    assert Preprocess(16).scaled(pixels).dtype == np.float32


def test_the_tensor_is_the_scaled_pixels(phantom):
    preprocess = PRESETS["head_neighbours"]
    tensor, placement = preprocess.tensor(phantom.scan, 1)
    pixels, same = preprocess.pixels(phantom.scan, 1)
    assert placement == same
    assert tensor.shape == (48, 48, 3)
    assert (tensor == preprocess.scaled(pixels)).all()


# Contrast


def test_stretching_by_hand():
    stretched = stretch_contrast(np.arange(101, dtype=np.uint8), 2, 98)  # percentiles are the values 2 and 98
    assert stretched[[0, 2, 26, 50, 74, 98, 100]].tolist() == [0, 0, 64, 128, 191, 255, 255]


def test_a_flat_image_cannot_be_stretched():
    channel = np.full((4, 4), 77, np.uint8)
    assert (stretch_contrast(channel, 2, 98) == 77).all()


def test_equalisation_spreads_two_greys_to_black_and_white():
    halves = np.hstack([np.full((16, 8), 30.0), np.full((16, 8), 34.0)])
    pixels, _ = Preprocess(16, equalise=True).pixels(scan_of(halves), 0)
    assert (pixels[:, :8] == 0).all()
    assert (pixels[:, 8:] == 255).all()


def test_equalisation_by_hand():
    # Four greys in the foreground, the first on 4 of 12 pixels: (4 - 4, 8 - 4, 10 - 4, 12 - 4) / (12 - 4) * 255.
    channel = np.array([0] * 20 + [5] * 3 + [40] * 4 + [90] * 4 + [91] * 2 + [200] * 2, np.uint8)
    expected = [0] * 23 + [0] * 4 + [128] * 4 + [191] * 2 + [255] * 2
    assert equalise_histogram(channel).tolist() == expected


@pytest.mark.parametrize("air", [0, 1, 4])
def test_equalisation_makes_air_black_whatever_a_jpeg_made_of_it(air):
    random = np.random.default_rng(0)
    head = random.integers(40, 200, 400).astype(np.uint8)
    channel = np.concatenate([np.zeros(30, np.uint8), np.full(500, air, np.uint8), head])
    equalised = equalise_histogram(channel)
    assert (equalised[:530] == 0).all()
    assert (equalised[530:] == equalise_histogram(head)).all()
    assert (equalised.min(), equalised.max()) == (0, 255)


def test_equalisation_of_nothing_and_of_one_grey():
    assert (equalise_histogram(np.full(9, 3, np.uint8)) == 0).all()
    assert equalise_histogram(np.array([0, 77, 77], np.uint8)).tolist() == [0, 255, 255]


def test_clahe_raises_faint_contrast_everywhere(phantom):
    plain, _ = Preprocess(128, frame="head").pixels(phantom.scan, 1)
    clahe, _ = Preprocess(128, frame="head", clahe_clip=2.0).pixels(phantom.scan, 1)
    brain = (slice(40, 90), slice(35, 60))
    assert clahe[brain].std() > 1.3 * plain[brain].std()
    assert clahe.shape == plain.shape


def test_windows_come_before_contrast():
    steps = np.repeat([[0.0, 40.0, 200.0, 1000.0]], 16, axis=0).repeat(4, axis=1)
    pixels, _ = Preprocess(16, stretch=(0, 100)).pixels(scan_of(steps), 0)
    assert pixels[0, ::4, 0].tolist() == [0, 128, 255, 255]


# Placement


def test_a_box_past_the_edge_is_filled_with_black():
    image = np.arange(40, dtype=np.float32).reshape(5, 8)
    placement = Placement(top=-1, left=6, height=4, width=4, rows=5, columns=8, size=4)
    assert placement.forward(image).tolist() == [[0, 0, 0, 0], [6, 7, 0, 0], [14, 15, 0, 0], [22, 23, 0, 0]]


def test_the_inverse_puts_the_box_back_and_leaves_the_rest_empty():
    placement = Placement(top=-1, left=6, height=4, width=4, rows=5, columns=8, size=4)
    output = np.arange(1, 17, dtype=np.float32).reshape(4, 4)
    expected = np.zeros((5, 8))
    expected[0:3, 6:8] = [[5, 6], [9, 10], [13, 14]]
    assert placement.inverse(output).tolist() == expected.tolist()


def test_a_non_square_scan_comes_back_in_its_own_shape():
    mask = np.zeros((40, 96), np.float32)
    mask[8:24, 48:72] = 1
    _, placement = Preprocess(160).pixels(scan_of(mask * 50), 0)
    back = placement.inverse(placement.forward(mask))
    assert back.shape == (40, 96)
    assert ((back > 0.5) == (mask > 0.5)).all()


@pytest.mark.parametrize("frame", ["whole", "head", "canvas"])
@pytest.mark.parametrize("size", [128, 320])
def test_a_mask_returns_to_its_place(phantom, frame, size):
    canvas_px = 280 if frame == "canvas" else None
    _, placement = Preprocess(size, frame=frame, canvas_px=canvas_px).pixels(phantom.scan, 1)
    mask = phantom.labels[1] > 0
    back = placement.inverse(placement.forward(mask.astype(np.float32))) > 0.5
    assert 2 * (back & mask).sum() / (back.sum() + mask.sum()) > 0.95
    for axis in (0, 1):
        assert np.nonzero(back)[axis].mean() == pytest.approx(np.nonzero(mask)[axis].mean(), abs=0.3)


def test_a_canvas_pads_what_is_smaller_and_truncates_what_is_larger():
    plane = np.arange(20 * 40, dtype=np.float32).reshape(20, 40) / 10
    pixels, placement = Preprocess(30, frame="canvas", canvas_px=30).pixels(scan_of(plane), 0)
    assert (placement.top, placement.left, placement.height, placement.width) == (-5, 5, 30, 30)
    assert (pixels[:5] == 0).all()
    assert (pixels[25:] == 0).all()
    inner = np.rint(np.clip(plane[:, 5:35] / 80, 0, 1) * 255)
    assert np.abs(pixels[5:25, :, 0] - inner).max() <= 1


def test_an_image_on_another_grid_is_refused():
    with pytest.raises(ValueError, match="grid"):
        Placement(0, 0, 4, 4, 4, 4, 16).forward(np.zeros((4, 5), np.float32))


# Head and skull


def test_head_box_of_a_rectangle():
    plane = np.full((200, 300), -1000, np.float32)
    plane[50:150, 100:180] = 40
    top, left, height, width = head_box(plane)
    # The longer side of 100 and 3 % on each side, found on a grid of 300 / 160 px.
    assert height == width == pytest.approx(106, abs=4)
    assert top + height / 2 == pytest.approx(100, abs=2)
    assert left + width / 2 == pytest.approx(140, abs=2)


def test_head_box_ignores_a_thin_table_and_specks():
    plane = np.full((320, 320), -1000, np.float32)
    plane[60:220, 100:220] = 40
    alone = head_box(plane)
    plane[280:284, 20:300] = 100
    plane[5:20, 5:20] = 100
    assert head_box(plane) == alone


def test_head_box_reaches_past_the_image_where_the_head_does():
    plane = np.full((100, 100), 40, np.float32)
    assert head_box(plane) == (-3, -3, 106, 106)


def test_without_a_head_the_box_is_the_smallest_square_around_the_image():
    assert head_box(np.full((100, 60), -1000, np.float32)) == (0, -20, 100, 100)


def test_slices_without_a_head_are_named_where_one_is_looked_for(phantom):
    air = np.full_like(phantom.scan.hu[1], -1000)
    head = Preprocess(64, frame="head")
    sentence = "No head was found in {}: the whole image was read instead."
    assert head.misfits(phantom.scan, "hand") == ()
    assert head.misfits(scan_of(phantom.scan.hu[1], air), "hand") == (sentence.format("slice 2"),)
    assert head.misfits(scan_of(air, phantom.scan.hu[1], air), "hand") == (sentence.format("slices 1, 3"),)
    (many,) = head.misfits(scan_of(*[air] * 10), "hand")
    assert many == sentence.format("slices 1, 2, 3, 4, 5, 6, 7, 8 and 2 more")
    assert Preprocess(64).misfits(scan_of(air), "hand") == ()


@pytest.mark.parametrize(
    ("row", "column", "hu", "lost"),
    [
        (30, 9, 40, True),  # of 80 columns the canvas takes those from 20 to 59
        (30, 20, 40, False),
        (30, 60, 40, True),
        (9, 30, 40, True),  # of 60 rows those from 10 to 49
        (30, 9, -200, False),  # black in the window, as air is
    ],
)
def test_what_lies_outside_the_canvas_is_said_not_to_be_read(row, column, hu, lost):
    plane = np.full((60, 80), -1000, np.float32)
    plane[30, 40] = 40
    plane[row, column] = hu
    said = Preprocess(32, frame="canvas", canvas_px=40).misfits(scan_of(plane), "hand")
    sentence = "The image is larger than the 40 x 40 pixels in its middle that hand looks at, and is not empty outside"
    assert said == ((f"{sentence}: its edges were not read.",) if lost else ())


def test_edges_are_looked_for_in_every_slice_and_along_one_side_too():
    plane = np.full((30, 80), -1000, np.float32)
    full = np.full((30, 80), 40, np.float32)
    canvas = Preprocess(32, frame="canvas", canvas_px=40)
    assert len(canvas.misfits(scan_of(plane, full), "hand")) == 1
    assert Preprocess(32, frame="canvas", canvas_px=80).misfits(scan_of(full), "hand") == ()


def test_a_lone_slice_is_said_to_lack_its_neighbours():
    adjacent = Preprocess(32, neighbours=1)
    (said,) = adjacent.misfits(scan_of(flat(40)), "hand")
    assert said == "hand reads a slice together with its neighbours; this one came alone, and copies of it stood in."
    assert adjacent.misfits(scan_of(flat(40), flat(40)), "hand") == ()


def test_head_box_of_the_phantom_leaves_the_holder_out(phantom):
    top, left, height, width = head_box(phantom.scan.hu[1])
    assert height == width
    # The skull is 175 mm long at this height and gets 3 % on each side; a fat scalp's thin skin counts no more than
    # the holder, which ends 105 mm below the middle of the field.
    assert 175 * 1.06 - 4 < height * 0.9 < 175 * 1.06 + 4
    assert (top + height / 2 - 150) * 0.9 == pytest.approx(0, abs=4)
    assert (left + width / 2 - 128) * 0.9 == pytest.approx(0, abs=4)
    rows, columns = np.nonzero(phantom.scan.hu[1] > 300)  # the holder has 110 HU
    assert top < rows.min()
    assert rows.max() < top + height
    assert left < columns.min()
    assert columns.max() < left + width


def test_the_same_head_is_found_in_a_picture_of_the_brain_window(phantom):
    hu = phantom.scan.hu[1]
    assert head_box(np.clip(hu, 0, 80)) == head_box(hu)


def test_intracranial_mask_keeps_brain_and_blood_and_drops_bone_and_scalp(phantom):
    hu = phantom.scan.hu[1]
    inside = intracranial_mask(hu)
    # A full ellipse of 66 x 83 mm half axes, 3 % smaller at this height and 3.5 % fuller than an ellipse.
    expected_mm2 = np.pi * 66 * 83 * 0.934 * 1.035
    assert inside.sum() * 0.81 == pytest.approx(expected_mm2, rel=0.05)
    assert inside[phantom.labels[1] > 0].mean() > 0.98
    assert abs(np.nonzero(inside)[1].mean() - 127.5) * 0.9 < 3
    assert (hu[inside] > 500).mean() < 0.05  # it reaches up to one pixel of the 160 px grid, 1.7 mm, into the bone
    assert not inside[:, :35].any()


def test_outside_the_skull_the_input_is_black(phantom):
    plain, _ = Preprocess(128).pixels(phantom.scan, 1)
    masked, _ = Preprocess(128, intracranial=True).pixels(phantom.scan, 1)
    assert (masked[60:70, 60:70] == plain[60:70, 60:70]).all()
    assert plain[64].max() == 255
    assert (plain == 255).sum() > 800
    assert (masked == 255).sum() < 100


@pytest.mark.parametrize(
    "plane", [flat(-1000, 100), flat(35, 100), np.pad(flat(35, 60), 20, constant_values=-1000).astype(np.float32)]
)
def test_without_a_closed_skull_nothing_is_hidden(plane):
    assert intracranial_mask(plane).all()


@pytest.mark.parametrize("blood_hu", [72, 78, 95])
def test_acute_blood_beside_the_skull_is_kept(blood_hu):
    bleed = Bleed("subdural", 40, side="right", hu=blood_hu)
    made = make_phantom([bleed], slices=5, rows=256, columns=256, spacing_mm=0.9, slice_spacing_mm=20, noise_hu=3)
    for hu, labels in zip(made.scan.hu, made.labels, strict=True):
        blood = (labels > 0) & (hu < 110)  # the rest shares its pixel with bone
        if blood.sum() > 50:
            assert intracranial_mask(hu)[blood].mean() >= 0.99


def test_a_burr_hole_does_not_open_the_skull(phantom):
    hu = phantom.scan.hu[1].copy()
    whole = intracranial_mask(hu)
    hu[145:151, :60] = np.minimum(hu[145:151, :60], 30)  # 5 mm through the temporal bone
    opened = intracranial_mask(hu)
    assert (opened == whole).mean() > 0.99
    assert not opened.all()


# Settings


def test_settings_survive_json():
    for name, preprocess in PRESETS.items():
        assert Preprocess.from_dict(json.loads(json.dumps(preprocess.to_dict()))) == preprocess, name


def test_every_setting_is_stored():
    assert Preprocess(64, THREE_WINDOWS, frame="head").to_dict() == {
        "size": 64,
        "windows": [[40, 80], [40, 40], [60, 40]],
        "neighbours": 0,
        "frame": "head",
        "canvas_px": None,
        "intracranial": False,
        "equalise": False,
        "stretch": None,
        "clahe_clip": None,
        "scale": "unit",
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gamma": 2}, "unknown keys .'gamma'."),
        ({"size": None}, "cannot be read"),
        ({"size": 8}, "16..2048"),
        ({"windows": []}, "at least one window"),
        ({"windows": [[40]]}, "cannot be read"),
        ({"windows": [["a", "b"]]}, "cannot be read"),
        ({"neighbours": 9}, "neighbours"),
        ({"frame": "face"}, "'face'"),
        ({"frame": "canvas"}, "canvas_px"),
        ({"canvas_px": 100}, "canvas_px"),
        ({"stretch": [98, 2]}, "percentiles"),
        ({"stretch": [2]}, "cannot be read"),
        ({"scale": "log"}, "'log'"),
        ({"size": 64.0}, "whole number"),
        ({"size": True}, "whole number"),
        ({"neighbours": 1.5}, "whole number"),
        ({"frame": "canvas", "canvas_px": 8}, "16..8192"),
        ({"frame": "canvas", "canvas_px": "100"}, "whole number"),
        ({"intracranial": 1}, "yes or no"),
        ({"equalise": "no"}, "yes or no"),
        ({"clahe_clip": 0}, "above 0"),
        ({"clahe_clip": "2"}, "above 0"),
        ({"clahe_clip": float("nan")}, "above 0"),
        ({"windows": [[40, 0]]}, "width above 0"),
        ({"windows": [[float("inf"), 80]]}, "finite level"),
        ({"windows": [[10**400, 80]]}, "cannot be read"),
        ({"stretch": [2, 98, 99]}, "cannot be read"),
        ({"stretch": {"low": 2}}, "cannot be read"),
    ],
)
def test_stored_settings_that_make_no_sense_are_refused(change, message):
    with pytest.raises(BadWeights, match=message):
        Preprocess.from_dict(Preprocess(64).to_dict() | change)


@pytest.mark.parametrize("stored", [None, [], "whole", 3])
def test_what_is_no_object_of_settings_is_refused(stored):
    with pytest.raises(BadWeights, match="object of settings"):
        Preprocess.from_dict(stored)


@pytest.mark.parametrize("key", sorted(Preprocess(64).to_dict()))
def test_a_missing_setting_is_refused(key):
    stored = Preprocess(64).to_dict()
    del stored[key]
    with pytest.raises(BadWeights, match=f"lacks .'{key}'."):
        Preprocess.from_dict(stored)


def test_windows_that_a_picture_cannot_give_are_named():
    picture = Scan(flat(10)[None], calibrated=False, window=BRAIN)
    preprocess = Preprocess(16, (BRAIN, Window(40, 40), WINDOWS["subdural"], Window(10, 30)))
    assert preprocess.lost_windows(picture) == (WINDOWS["subdural"], Window(10, 30))
    assert preprocess.lost_windows(scan_of(flat(10))) == ()


# Golden pixels


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_pixels_are_golden_bit_for_bit(name):
    golden = np.load(GOLDEN)
    pixels, placement = PRESETS[name].pixels(scan_of(*golden["hu"]), 1)
    assert (pixels == golden[name]).all()
    assert [placement.top, placement.left, placement.height, placement.width] == golden[f"{name}_box"].tolist()


def test_the_golden_file_has_every_preset():
    assert set(np.load(GOLDEN)) == {"hu", *PRESETS, *(f"{name}_box" for name in PRESETS)}


def write_golden() -> None:
    bleeds = [Bleed("intraparenchymal", 15), Bleed("subdural", 20, side="right")]
    made = make_phantom(bleeds, slices=3, rows=144, columns=120, spacing_mm=1.6)
    stored = {"hu": made.scan.hu.astype(np.int16)}
    scan = scan_of(*stored["hu"])
    for name, preprocess in PRESETS.items():
        pixels, box = preprocess.pixels(scan, 1)
        stored |= {name: pixels, f"{name}_box": np.array([box.top, box.left, box.height, box.width])}
    np.savez_compressed(GOLDEN, **stored)


if __name__ == "__main__":
    write_golden()
