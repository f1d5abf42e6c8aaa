"""Training on adjacent slices gives the network what serving gives it when it reads a whole scan."""

import csv
import logging
from dataclasses import replace
from pathlib import Path

import cv2
import keras
import numpy as np
import pydicom
import pytest

from hemoscope.errors import BadData
from hemoscope.labels import CLASSES
from hemoscope.phantom import Bleed, make_phantom, write_dicom_series
from hemoscope.preprocessing import Preprocess
from hemoscope.readers import read_file
from hemoscope.scan import Scan, Window
from tests.training.phantom_set import write_rows
from training.batches import Batches, Draw
from training.cache import prepare
from training.configs import READER_WINDOWS
from training.datasets import load_samples
from training.datasets.sample import BLOOD, Box, Sample
from training.datasets.synthesis import synthetic_samples
from training.export import _check_slices
from training.predictions import predict

CT_ICH = Window(40, 120)
SLICES = 6
ADJACENT = Preprocess(32, (CT_ICH,), neighbours=1)
PREPARATIONS = [
    ADJACENT,
    Preprocess(48, READER_WINDOWS, neighbours=2, frame="head"),
    Preprocess(32, neighbours=1, frame="canvas", canvas_px=90, intracranial=True, clahe_clip=2.0, scale="signed"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Two patients of six slices each, as pictures and a table in the compact layout of CT-ICH, rows out of order."""
    root = tmp_path_factory.mktemp("data")
    folder = root / "ct_ich"
    (folder / "images").mkdir(parents=True)
    rows = []
    for patient in (1, 2):
        made = make_phantom(
            [Bleed("intraparenchymal", 25)],
            slices=SLICES,
            rows=96,
            columns=96,
            spacing_mm=2.4,
            noise_hu=2,
            seed=patient,
        )
        for index in (3, 0, 5, 1, 4, 2):
            file, blood = f"{patient}_{index}.png", str(int((made.labels[index] > 0).any()))
            grey = np.clip((made.scan.hu[index] - CT_ICH.lowest_hu) / CT_ICH.width, 0, 1)
            cv2.imwrite(str(folder / "images" / file), np.rint(grey * 255).astype(np.uint8))
            facts = {"patient": str(patient), "file": file, "slice": str(index + 1), "mask": "", "label_trusted": "1"}
            rows.append(facts | dict.fromkeys(CLASSES, "0") | {"any": blood, "intraparenchymal": blood})
    write_rows(folder / "labels.csv", rows)
    write_rows(folder / "boxes.csv", [{"file": "none.png", "x0": "0", "y0": "0", "x1": "1", "y1": "1"}])
    return root


@pytest.fixture(scope="module")
def samples(data: Path) -> list[Sample]:
    return load_samples(data, ["ct_ich"])


def whole_scan(files: list[Path], window: Window | None = None) -> Scan:
    """The slices of one patient as one scan."""
    scans = [read_file(file, window or CT_ICH) for file in files]
    hu = np.concatenate([scan.hu for scan in scans])
    return Scan(hu, calibrated=scans[0].calibrated, window=scans[0].window)


def scan_and_index(sample: Sample) -> tuple[Scan, int]:
    patient, index = sample.image.stem.split("_")
    return whole_scan([sample.image.with_name(f"{patient}_{i}.png") for i in range(SLICES)]), int(index)


@pytest.mark.parametrize("preprocess", PREPARATIONS)
def test_an_unaugmented_sample_is_the_serving_tensor_of_its_slice_in_the_whole_scan(samples, preprocess, tmp_path):
    prepared = prepare(samples, preprocess, tmp_path)
    inputs, _ = Batches(prepared, [Draw(i) for i in range(12)], preprocess, ["logits"], batch=12)[0]
    assert inputs.shape == (12, preprocess.size, preprocess.size, preprocess.channels)
    for tensor, sample in zip(inputs, samples, strict=True):
        served, _ = preprocess.tensor(*scan_and_index(sample))
        assert tensor.dtype == served.dtype == np.float32
        assert (tensor == served).all(), sample.key


def test_the_first_and_the_last_slice_stand_in_for_what_is_missing(samples, tmp_path):
    prepared = prepare(samples, ADJACENT, tmp_path)
    pixels = {sample.image.name: one for sample, one in zip(samples, prepared.pixels, strict=True)}
    for name, equal in (("1_0.png", (0, 1)), ("1_5.png", (1, 2)), ("2_0.png", (0, 1))):
        core, repeated = equal
        assert (pixels[name][..., core] == pixels[name][..., repeated]).all()
    assert (pixels["1_0.png"][..., 2] == pixels["1_1.png"][..., 1]).all()
    assert (pixels["1_2.png"][..., 0] != pixels["1_2.png"][..., 1]).any()


def test_a_real_sample_is_the_serving_tensor_of_its_slice_in_the_whole_scan(data_folder, tmp_path):
    everything = load_samples(data_folder, ["ct_ich"])
    patient = sorted((one for one in everything if one.patient == "52"), key=lambda one: one.image.name)
    scan = whole_scan([one.image for one in patient])
    for preprocess in PREPARATIONS[:2]:
        chosen = [0, 1, len(patient) // 2, len(patient) - 1]
        prepared = prepare([patient[index] for index in chosen], preprocess, tmp_path)
        for pixels, index in zip(prepared.pixels, chosen, strict=True):
            assert (pixels == preprocess.pixels(scan, index)[0]).all()


def test_a_real_dicom_series_is_read_in_the_order_of_its_positions(data_folder, tmp_path):
    folder = data_folder / "dicom" / "ge_head_tilt"
    files = sorted(file.resolve() for file in folder.glob("*.dcm"))
    write_own(tmp_path / "own", [(file, "P") for file in reversed(files)])
    samples = load_samples(tmp_path, ["own"])
    # All slices have the same tilt: the height along the body orders them as the height along their normal does.
    upwards = sorted(files, key=lambda file: float(pydicom.dcmread(file).ImagePositionPatient[2]))
    scan = whole_scan(upwards)
    preprocess = Preprocess(64, neighbours=1)
    for sample in samples[::9]:
        index = upwards.index(sample.image.resolve())
        assert (preprocess.tensor(*sample.in_context(1))[0] == preprocess.tensor(scan, index)[0]).all()


def write_own(folder: Path, slices: list[tuple[Path, str]]) -> None:
    """A table of one's own beside links to the files."""
    folder.mkdir()
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("file", "patient", "any"))
        for path, patient in slices:
            (folder / path.name).symlink_to(path.resolve())
            table.writerow((path.name, patient, "0"))


def test_a_dicom_series_of_ones_own_is_the_serving_tensor_bit_for_bit(tmp_path):
    made = make_phantom([Bleed("subdural", 30)], slices=4, rows=64, columns=64, spacing_mm=3.5, noise_hu=2)
    files = write_dicom_series(made, tmp_path / "series")
    write_own(tmp_path / "own", [(file, "P") for file in (files[2], files[0], files[3], files[1])])
    scan = whole_scan(files)
    preprocess = Preprocess(32, READER_WINDOWS, neighbours=1, frame="head")
    prepared = prepare(load_samples(tmp_path, ["own"]), preprocess, tmp_path / "cache")
    for pixels, index in zip(prepared.pixels, (2, 0, 3, 1), strict=True):
        assert (pixels == preprocess.pixels(scan, index)[0]).all()


# The cache


def test_a_changed_neighbour_gets_a_cache_of_its_own(samples, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    low, core = (folder / name for name in ("low.png", "core.png"))
    first, second, third = sorted(samples, key=lambda one: one.image.name)[:3]
    low.write_bytes(first.image.read_bytes())
    core.write_bytes(second.image.read_bytes())
    sample = Sample("ct_ich", "1", core, second.labels, CT_ICH, previous=(low,))
    before = prepare([sample], ADJACENT, tmp_path / "cache").pixels.copy()
    alone = Preprocess(32, (CT_ICH,))
    prepare([sample], alone, tmp_path / "cache")
    low.write_bytes(third.image.read_bytes())
    after = prepare([sample], ADJACENT, tmp_path / "cache").pixels
    assert (after[..., 0] != before[..., 0]).any()
    assert (after[..., 1:] == before[..., 1:]).all()
    prepare([sample], alone, tmp_path / "cache")  # which sees no neighbour, and so no change
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_the_side_on_which_a_neighbour_lies_gets_a_cache_of_its_own(samples, tmp_path):
    one, other = samples[:2]
    below = Sample("ct_ich", "1", one.image, one.labels, CT_ICH, previous=(other.image,))
    above = Sample("ct_ich", "1", one.image, one.labels, CT_ICH, next=(other.image,))
    first, second = (prepare([sample], ADJACENT, tmp_path).pixels[0] for sample in (below, above))
    assert (first[..., ::-1] == second).all()
    assert (first != second).any()


def test_another_window_gets_a_cache_of_its_own(samples, tmp_path):
    one = samples[0]
    narrow = Sample("ct_ich", "1", one.image, one.labels, Window(40, 80))
    wide = Sample("ct_ich", "1", one.image, one.labels, CT_ICH)
    first, second = (prepare([sample], ADJACENT, tmp_path).pixels[0] for sample in (narrow, wide))
    assert (first != second).any()


def test_slices_without_known_neighbours_are_counted_in_the_log(samples, tmp_path, caplog):
    alone = [Sample("rsna", "1", one.image, one.labels, CT_ICH) for one in samples[:2]]
    with caplog.at_level(logging.WARNING):
        prepared = prepare([*alone, samples[2]], ADJACENT, tmp_path)
    assert "2 of 3 slices have no known neighbours: each stands in for its own" in caplog.text
    for pixels in prepared.pixels[:2]:
        assert (pixels[..., 0] == pixels[..., 1]).all()
        assert (pixels[..., 1] == pixels[..., 2]).all()


def test_boxes_are_outlined_in_the_slice_and_not_in_its_neighbour(samples, tmp_path):
    other, one = (next(one for one in samples if one.image.name == name) for name in ("1_0.png", "1_3.png"))
    boxes = (Box(20, 25, 76, 75),)
    alone, of_other = (
        Sample("ct_ich", "1", image, one.labels, CT_ICH, boxes=boxes) for image in (one.image, other.image)
    )
    between = replace(alone, previous=(other.image,))
    first, second, third = prepare([alone, between, of_other], ADJACENT, tmp_path, outline=True).targets
    assert BLOOD in first
    assert (first == second).all()
    assert (first != third).any()


# Evaluation and export


def difference_network() -> keras.Model:
    """The logit of `any` is eight times the next slice's mean less the previous one's; the mask is the slice itself."""
    image = keras.Input((32, 32, 3))
    slope = np.zeros((3, 6), np.float32)
    slope[:, 0] = -8, 0, 8
    logits = keras.layers.Dense(6, kernel_initializer=keras.initializers.Constant(slope))
    outputs = {"mask": image[..., 1:2], "logits": logits(keras.layers.GlobalAveragePooling2D()(image))}
    return keras.Model(image, outputs)


def test_predictions_see_the_neighbours_that_serving_sees(samples):
    found = predict(difference_network(), ADJACENT, samples, "Reading").logits[:, 0]
    means = [ADJACENT.tensor(*scan_and_index(one))[0].mean((0, 1)) for one in samples]
    expected = np.array([8 * (after - before) for before, _, after in means])
    assert found == pytest.approx(expected, abs=1e-4)
    assert np.abs(expected).max() > 0.1


def test_the_exported_graph_is_checked_on_slices_between_their_neighbours(samples):
    for tensor, sample in zip(_check_slices(samples, ADJACENT), samples, strict=True):
        assert (tensor == ADJACENT.tensor(*scan_and_index(sample))[0]).all()


# Drawn bleeds


def test_drawn_bleeds_are_refused_between_neighbours(tmp_path):
    made = make_phantom(slices=1, rows=200, columns=200, spacing_mm=1.2, noise_hu=1)
    image = tmp_path / "free.png"
    cv2.imwrite(str(image), np.rint(np.clip((made.scan.hu[0] + 20) / 120, 0, 1) * 255).astype(np.uint8))
    (drawn,) = synthetic_samples([Sample("ct_ich", "1", image, (0.0,) * 6, CT_ICH, blood_free=True)], 1, 1)
    scan, index = drawn.in_context(0)
    assert (scan.hu == drawn.scan().hu).all() and index == 0
    with pytest.raises(BadData, match="synthetic=0"):
        drawn.in_context(1)
