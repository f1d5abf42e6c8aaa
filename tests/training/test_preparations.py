"""The papers' preparations: every channel against values worked out from Hounsfield units without `Preprocess`."""

import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest

from hemoscope.phantom import Bleed, make_phantom
from hemoscope.preprocessing import BACKGROUND_GREY, Preprocess, intracranial_mask
from hemoscope.readers import read_file
from hemoscope.scan import BRAIN, Scan, Window
from training.cards import card_of, preparation_limits
from training.configs import CONFIGS
from training.datasets import load_samples
from training.datasets.sample import Sample
from training.preparations import (
    ASIP,
    BONE_BRAIN_SUBDURAL,
    CLAHE_INTRACRANIAL,
    EQUALISED_STRETCHED,
    PREPARATIONS,
    THREE_WINDOWS,
    VASCULAR_BRAIN_SUBDURAL,
    at_size,
    coverage,
)

# The lowest and the highest Hounsfield unit of each channel, as the papers or their sources give them.
ENDS = {
    "three_windows": [(0, 80), (-120, 280), (15, 45)],
    "bone_brain_subdural": [(-800, 2000), (0, 80), (-20, 180)],
    "vascular_brain_subdural": [(0, 600), (0, 80), (-20, 180)],
}
ROUNDING = 0.5 + 1e-3  # greys are whole numbers; float32 adds a little


def greys(hu, low, high):
    """0..255 in float64, not rounded."""
    return np.clip((hu.astype(np.float64) - low) / (high - low), 0, 1) * 255


def scan_of(*planes):
    return Scan(np.stack([np.asarray(plane, np.float32) for plane in planes]), calibrated=True)


def dicom_hu(path):
    """Stored values times slope plus intercept, by pydicom alone; padding and below is air."""
    dataset = pydicom.dcmread(path)
    hu = dataset.pixel_array.astype(np.float64) * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
    return np.where(hu < -1100, -1000, hu)


@pytest.fixture(scope="module")
def phantom():
    bleeds = [Bleed("intraparenchymal", 20), Bleed("subdural", 30, side="right")]
    return make_phantom(bleeds, slices=3, rows=128, columns=128, spacing_mm=1.8, noise_hu=3)


@pytest.fixture(scope="module")
def real(data_folder):
    """Slices of 512 x 512 and their Hounsfield units by pydicom: two of RSNA with blood, one of a tilted GE head."""
    folder = data_folder / "dicom"
    paths = [*sorted((folder / "rsna_samples").glob("*.dcm")), folder / "ge_head_tilt" / "14.dcm"]
    return [(read_file(path), dicom_hu(path)) for path in paths]


# By hand


@pytest.mark.parametrize(
    ("preprocess", "hu", "expected"),
    [
        # 35/80, 155/400 and 20/30 of 255.
        (THREE_WINDOWS, 35, [112, 99, 170]),
        (THREE_WINDOWS, 70, [223, 121, 255]),
        (THREE_WINDOWS, -50, [0, 45, 0]),
        # 835/2800, 35/80 and 55/200 of 255; bone of 1000 HU: 1800/2800.
        (BONE_BRAIN_SUBDURAL, 35, [76, 112, 70]),
        (BONE_BRAIN_SUBDURAL, 1000, [164, 255, 255]),
        # 35/600 of 255; contrast medium of 300 HU is the middle.
        (VASCULAR_BRAIN_SUBDURAL, 35, [15, 112, 70]),
        (VASCULAR_BRAIN_SUBDURAL, 300, [128, 255, 255]),
    ],
)
def test_a_value_in_each_window_by_hand(preprocess, hu, expected):
    small = replace(at_size(preprocess, 32), frame="whole", canvas_px=None)
    pixels, _ = small.pixels(scan_of(np.full((32, 32), hu)), 0)
    assert (pixels == expected).all()


def test_asip_is_previous_core_and_next_in_the_brain_window():
    planes = [np.full((32, 32), hu) for hu in (10, 20, 30)]  # 31.9, 63.75 and 95.6 of 255
    pixels, _ = at_size(ASIP, 32).pixels(scan_of(*planes), 1)
    assert (pixels == [32, 64, 96]).all()
    assert (at_size(ASIP, 32).pixels(scan_of(*planes), 0)[0] == [32, 32, 64]).all()


def test_512_px_come_by_padding_with_zeros_and_by_truncation():
    small = np.full((300, 400), 42.0)
    pixels, _ = BONE_BRAIN_SUBDURAL.pixels(scan_of(small), 0)
    assert pixels.shape == (512, 512, 3)
    inside = np.zeros((512, 512), bool)
    inside[106:406, 56:456] = True  # (512 - 300) / 2 rows and (512 - 400) / 2 columns on each side
    assert (pixels[inside] == [77, 134, 79]).all()  # 842/2800, 42/80 and 62/200 of 255
    assert (pixels[~inside] == 0).all()
    large = np.zeros((600, 512))
    large[44, 3] = large[555, 500] = 80  # the first and the last row that are kept
    large[43] = large[556] = 80
    brain = BONE_BRAIN_SUBDURAL.pixels(scan_of(large), 0)[0][..., 1]
    assert np.argwhere(brain).tolist() == [[0, 3], [511, 500]]


def test_sizes_change_and_nothing_else_does():
    assert at_size(ASIP, 96) == Preprocess(96, (Window(40, 80),), neighbours=1)
    smaller = at_size(VASCULAR_BRAIN_SUBDURAL, 160)
    assert (smaller.size, smaller.canvas_px) == (160, 512)
    for name, preprocess in PREPARATIONS.items():
        assert at_size(at_size(preprocess, 64), preprocess.size) == preprocess, name
        assert Preprocess.from_dict(preprocess.to_dict()) == preprocess, name


def test_the_reports_networks_use_the_preparation_of_their_paper():
    assert CONFIGS["unet"].preprocess == CONFIGS["two_branch"].preprocess == EQUALISED_STRETCHED
    assert CONFIGS["resnet152"].preprocess == at_size(CLAHE_INTRACRANIAL, CONFIGS["resnet152"].preprocess.size)


# From Hounsfield units: the phantom, and real DICOM


def check_windows(name, scan, hu, size):
    """Each channel of a slice that fills the input, against its Hounsfield units."""
    pixels, _ = replace(at_size(PREPARATIONS[name], size), frame="whole", canvas_px=None).pixels(scan, 0)
    for channel, (low, high) in enumerate(ENDS[name]):
        assert np.abs(pixels[..., channel] - greys(hu, low, high)).max() <= ROUNDING


@pytest.mark.parametrize("name", ENDS)
def test_windows_of_the_phantom_are_exact(phantom, name):
    check_windows(name, scan_of(phantom.scan.hu[1]), phantom.scan.hu[1], 128)


@pytest.mark.parametrize("name", ENDS)
def test_windows_of_real_dicom_are_exact(real, name):
    for scan, hu in real:
        check_windows(name, scan, hu, 512)
        assert PREPARATIONS[name].lost_windows(scan) == ()


@pytest.mark.parametrize("name", ["bone_brain_subdural", "vascular_brain_subdural"])
def test_real_dicom_of_512_px_fills_the_canvas(real, name):
    for scan, hu in real:
        pixels, _ = PREPARATIONS[name].pixels(scan, 0)
        low, high = ENDS[name][0]
        assert np.abs(pixels[..., 0] - greys(hu, low, high)).max() <= ROUNDING


def test_asip_of_a_real_series_is_exact(data_folder):
    files = sorted(
        (data_folder / "dicom" / "ge_head_tilt").glob("*.dcm"),
        key=lambda file: float(pydicom.dcmread(file, stop_before_pixels=True).ImagePositionPatient[2]),
    )[10:14]
    scan = scan_of(*(read_file(file).hu[0] for file in files))
    hu = [dicom_hu(file) for file in files]
    for index, around in ((0, (0, 0, 1)), (1, (0, 1, 2)), (3, (2, 3, 3))):
        pixels, _ = at_size(ASIP, 512).pixels(scan, index)
        for channel, place in enumerate(around):
            assert np.abs(pixels[..., channel] - greys(hu[place], 0, 80)).max() <= ROUNDING


def check_clahe(scan, hu, size):
    inside = intracranial_mask(hu.astype(np.float32))
    assert 0.05 < inside.mean() < 0.6  # a skull was found, and it is not the whole picture
    shown = np.rint(greys(hu, 0, 80).astype(np.float32) * inside).astype(np.uint8)
    expected = cv2.createCLAHE(2.0, (8, 8)).apply(shown).astype(int)
    pixels = at_size(CLAHE_INTRACRANIAL, size).pixels(scan, 0)[0][..., 0].astype(int)
    # A grey that rounds the other way in float64 moves its tile's table a little.
    assert np.abs(pixels - expected).max() <= 3
    assert np.abs(pixels - expected).mean() < 0.2
    # Bone and scalp are gone: a tile without brain is flat, whatever its skull was.
    solid = (hu > 300) & ~inside
    assert solid.sum() > 100
    assert pixels[solid].mean() < 0.1 * pixels[inside].mean() + 10


def test_clahe_works_on_what_lies_in_the_phantoms_skull(phantom):
    check_clahe(scan_of(phantom.scan.hu[1]), phantom.scan.hu[1], 128)


def test_clahe_works_on_what_lies_in_a_real_skull(real):
    for scan, hu in real:
        check_clahe(scan, hu, 512)


def check_equalised(scan, hu, size):
    """Equalised by ranks, then stretched between the percentiles, step by step in float64."""
    shown = np.rint(greys(hu.astype(np.float32), -20, 100).astype(np.float32))
    foreground = np.sort(shown[shown > BACKGROUND_GREY])
    darkest = np.searchsorted(foreground, foreground[0], side="right")
    ranks = np.searchsorted(foreground, shown, side="right") - darkest
    equalised = np.where(
        shown > BACKGROUND_GREY, np.rint(np.clip(ranks, 0, None) / (len(foreground) - darkest) * 255), 0
    )
    low, high = np.percentile(equalised, (2, 98))
    expected = np.clip((equalised - low) / (high - low), 0, 1) * 255
    pixels = at_size(EQUALISED_STRETCHED, size).pixels(scan, 0)[0][..., 0]
    difference = np.abs(pixels - expected)
    # Where a value lies half way between two greys, float32 and float64 round apart: that moves ranks a little.
    assert difference.mean() < 0.6
    assert (difference <= 2).mean() > 0.99


def test_the_phantom_is_equalised_and_stretched_by_rank(phantom):
    check_equalised(scan_of(phantom.scan.hu[1]), phantom.scan.hu[1], 128)


def test_real_dicom_is_equalised_and_stretched_by_rank(real):
    for scan, hu in real:
        check_equalised(scan, hu, 512)


# What pictures can give


def picture(source, window, **facts):
    return Sample(source, "1", Path("a.png"), (0.0,) * 6, window, **facts)


SUBDURAL_WIDE, SOFT, BONE = Window(80, 400), Window(30, 30), Window(600, 2800)


@pytest.mark.parametrize(
    ("drawn_in", "preprocess", "clipped"),
    [
        (Window(40, 80), THREE_WINDOWS, (SUBDURAL_WIDE,)),
        (Window(40, 120), THREE_WINDOWS, (SUBDURAL_WIDE,)),
        (Window(40, 80), ASIP, ()),
        (Window(40, 80), EQUALISED_STRETCHED, (Window(40, 120),)),
        (Window(40, 120), EQUALISED_STRETCHED, ()),
        (Window(40, 80), BONE_BRAIN_SUBDURAL, (BONE, Window(80, 200))),
        (Window(40, 120), VASCULAR_BRAIN_SUBDURAL, (Window(300, 600), Window(80, 200))),
        (None, BONE_BRAIN_SUBDURAL, ()),
    ],
)
def test_a_window_is_clipped_where_it_reaches_beyond_the_pictures(drawn_in, preprocess, clipped):
    (found,) = coverage(preprocess, [picture("rsna", drawn_in)] * 3)
    assert (found.source, found.drawn_in, found.slices) == ("rsna", drawn_in, 3)
    assert found.clipped == clipped
    assert set(found.exact) == set(preprocess.windows) - set(clipped)
    if drawn_in is not None:
        scan = Scan(np.zeros((1, 32, 32), np.float32), calibrated=False, window=drawn_in)
        assert preprocess.lost_windows(scan) == clipped  # serving says the same of such a picture


def test_a_set_of_pictures_and_dicom_is_told_apart():
    samples = [picture("own", None), picture("own", BRAIN), picture("own", BRAIN), picture("ct_ich", Window(40, 120))]
    found = coverage(THREE_WINDOWS, samples)
    assert [(one.source, one.drawn_in, one.slices) for one in found] == [
        ("ct_ich", Window(40, 120), 1),
        ("own", BRAIN, 2),
        ("own", None, 1),
    ]


def test_a_clipped_window_holds_the_part_that_the_picture_has(phantom):
    hu = phantom.scan.hu[1]
    picture_of = Scan(np.clip(hu, 0, 80)[None], calibrated=False, window=BRAIN)
    whole, part = (at_size(THREE_WINDOWS, 128).pixels(scan, 0)[0] for scan in (scan_of(hu), picture_of))
    there = (hu >= 0) & (hu <= 80)
    assert (part[there] == whole[there]).all()
    assert (part[..., 0] == whole[..., 0]).all() and (part[..., 2] == whole[..., 2]).all()
    # 0 and 80 HU in -120..280: 76.5 and 127.5 of 255; air and bone of the picture end there.
    assert (part[..., 1].min(), part[..., 1].max()) == (76, 128)
    assert (whole[..., 1].min(), whole[..., 1].max()) == (0, 255)


def test_the_card_names_clipped_windows_set_by_set():
    limits = preparation_limits(THREE_WINDOWS, [picture("rsna", BRAIN)] * 2 + [picture("ct_ich", Window(40, 120))])
    assert [limit.split(":")[0] for limit in limits[:2]] == [
        "CT-ICH 1.3.0 (1 slices) is drawn in 40/120 and ends at -20 and 100 HU",
        "RSNA 2019 Intracranial Hemorrhage Detection (2 slices) is drawn in 40/80 and ends at 0 and 80 HU",
    ]
    assert all("80/400 (-120 to 280 HU)" in limit and "30/30" not in limit for limit in limits[:2])
    assert limits[2].startswith("Reads slice by slice")
    assert len(limits) == 3


def test_the_card_of_exact_windows_names_none():
    assert len(preparation_limits(THREE_WINDOWS, [picture("rsna", None)])) == 1


def test_the_card_of_a_split_by_slice_says_what_its_figures_are():
    limits = card_of("two_branch_by_slice", CONFIGS["two_branch_by_slice"], ["mask"]).limits
    assert any(limit.startswith("Split by slice: slices of its test patients were trained on.") for limit in limits)
    assert not any("Split by slice" in limit for limit in card_of("vgg16", CONFIGS["vgg16"], ["logits"]).limits)


def test_the_card_says_who_has_no_neighbours_and_that_single_files_have_none():
    between = picture("ct_ich", Window(40, 120), previous=(Path("b.png"),))
    limits = preparation_limits(ASIP, [between, between, picture("rsna", BRAIN)])
    assert len(limits) == 2
    assert "read files one by one" in limits[0]
    assert limits[1].startswith("RSNA 2019 Intracranial Hemorrhage Detection: 1 of 1 slices have no known neighbours")


def reference_rows():
    """The reference's table: name -> windows clipped on CT-ICH, windows clipped on PHE-SICH and RSNA."""
    page = Path(__file__).parents[2] / "docs" / "reference" / "preparations.md"
    rows = re.findall(r"^\| `(\w+)` \| 0.*\| ([^|]+) \| ([^|]+) \|$", page.read_text("utf-8"), re.M)
    return {name: clipped for name, *clipped in rows}


def test_the_reference_lists_every_preparation_with_what_pictures_cannot_give():
    assert set(reference_rows()) == set(PREPARATIONS)
    for name, clipped in reference_rows().items():
        for drawn_in, said in zip((Window(40, 120), Window(40, 80)), clipped, strict=True):
            (found,) = coverage(PREPARATIONS[name], [picture("ct_ich", drawn_in)])
            assert said == (", ".join(str(window) for window in found.clipped) or "none")


def test_the_real_sets_are_drawn_and_ordered_as_the_reference_says(data_folder):
    for source, drawn_in, ordered in (
        ("ct_ich", Window(40, 120), True),
        ("phe_sich", BRAIN, False),
        ("rsna", BRAIN, False),
    ):
        (found,) = coverage(ASIP, load_samples(data_folder, [source]))
        assert found.drawn_in == drawn_in
        assert found.alone == (0 if ordered else found.slices)
