"""The cache: the very pixels that serving sees, on disk, and what happens to files that cannot be read."""

import inspect
import json
import logging
from dataclasses import replace

import cv2
import numpy as np
import pytest

from hemoscope.errors import BadData
from hemoscope.phantom import Bleed, make_phantom
from hemoscope.preprocessing import Preprocess
from hemoscope.readers import read_file
from hemoscope.scan import BRAIN, Window
from training import cache
from training.batches import Batches, Draw
from training.cache import KnownFits, prepare
from training.configs import CONFIGS, READER_WINDOWS
from training.datasets import load_samples
from training.datasets.sample import BLOOD, IN_BOX, NO_BLOOD, NOT_KNOWN, Box, Sample
from training.datasets.synthesis import synthetic_samples

FREE, UNKNOWN_PLACE = (0.0,) * 6, (1.0, 0.0, 1.0, 0.0, 0.0, 0.0)
SMALL = Preprocess(32, READER_WINDOWS, frame="head")


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Five slices of a phantom as pictures in the brain window: masked, free, boxed, of unknown place, free."""
    folder = tmp_path_factory.mktemp("pictures") / "images"
    folder.mkdir()
    made = make_phantom([Bleed("intraparenchymal", 40)], slices=5, rows=120, columns=100, spacing_mm=2.2)
    for index, hu in enumerate(made.scan.hu):
        grey = np.rint(np.clip(hu / 80, 0, 1) * 255).astype(np.uint8)
        assert cv2.imwrite(str(folder / f"{index}.png"), grey)
    mask = folder.parent / "mask.png"
    cv2.imwrite(str(mask), (made.labels[2] > 0).astype(np.uint8) * 255)
    return [
        Sample("ct_ich", "1", folder / "2.png", UNKNOWN_PLACE, BRAIN, mask=mask),
        Sample("ct_ich", "1", folder / "0.png", FREE, BRAIN, blood_free=True),
        Sample("ct_ich", "1", folder / "3.png", UNKNOWN_PLACE, BRAIN, boxes=(Box(30, 40, 60, 70),)),
        Sample("rsna", "2", folder / "1.png", UNKNOWN_PLACE, BRAIN),
        Sample("rsna", "2", folder / "4.png", FREE, BRAIN, blood_free=True),
    ]


@pytest.mark.parametrize(
    "preprocess",
    [
        SMALL,
        Preprocess(32, (Window(40, 120),), equalise=True, stretch=(2, 98)),
        Preprocess(48, frame="canvas", canvas_px=90, intracranial=True, clahe_clip=2.0, scale="signed"),
    ],
)
def test_an_unaugmented_training_sample_is_the_serving_tensor_bit_for_bit(samples, preprocess, tmp_path):
    prepared = prepare(samples, preprocess, tmp_path)
    batches = Batches(prepared, [Draw(index) for index in range(5)], preprocess, ["mask", "logits"], batch=5)
    inputs, _ = batches[0]
    for index, sample in enumerate(samples):
        served, _ = preprocess.tensor(read_file(sample.image, sample.window), 0)
        assert inputs.dtype == served.dtype == np.float32
        assert (inputs[index] == served).all()


@pytest.mark.parametrize("name", ["reader", "unet"])
def test_a_real_unaugmented_training_sample_is_the_serving_tensor_bit_for_bit(data_folder, name, tmp_path):
    config = CONFIGS[name]
    samples = [one for source in config.sets for one in load_samples(data_folder, [source])[100:103]]
    prepared = prepare(samples, config.preprocess, tmp_path)
    draws = [Draw(index) for index in range(len(samples))]
    inputs, _ = Batches(prepared, draws, config.preprocess, ["mask"], batch=len(samples))[0]
    for index, sample in enumerate(samples):
        assert (inputs[index] == config.preprocess.tensor(read_file(sample.image, sample.window), 0)[0]).all()


def test_targets_lie_where_the_network_sees_them(samples, tmp_path):
    prepared = prepare(samples, SMALL, tmp_path)
    codes = [set(np.unique(target).tolist()) for target in prepared.targets]
    assert codes == [{NO_BLOOD, BLOOD}, {NO_BLOOD}, {NO_BLOOD, IN_BOX}, {NOT_KNOWN}, {NO_BLOOD}]
    _, placement = SMALL.pixels(samples[0].scan(), 0)
    expected = placement.forward(samples[0].target(120, 100), cv2.INTER_NEAREST)
    assert (prepared.targets[0] == expected).all()
    # Blood is 60 HU and more, brain 40 and less: the target's pixels are the bright ones.
    bright = prepared.pixels[0, ..., 0] > 50 / 80 * 255
    assert bright[prepared.targets[0] == BLOOD].mean() > 0.8


def test_the_arrays_are_mapped_from_disk(samples, tmp_path):
    prepared = prepare(samples, SMALL, tmp_path)
    for array in (prepared.pixels, prepared.targets):
        assert isinstance(array, np.memmap)
        assert not array.flags.writeable


def test_a_cache_is_built_once_for_the_same_samples_and_settings(samples, tmp_path, monkeypatch):
    first = prepare(samples, SMALL, tmp_path)
    monkeypatch.setattr(cache, "_build", lambda *_: pytest.fail("built again"))
    again = prepare(samples, SMALL, tmp_path)
    assert (again.pixels == first.pixels).all()
    assert again.samples == samples


def test_other_samples_boxes_masks_and_settings_get_a_cache_of_their_own(samples, tmp_path):
    masked, boxed = samples[0], samples[2]
    without_mask = Sample("ct_ich", "1", masked.image, masked.labels, BRAIN)
    other_box = Sample("ct_ich", "1", boxed.image, boxed.labels, BRAIN, boxes=(Box(1, 2, 3, 4),))
    for part in ([masked], [without_mask], [boxed], [other_box], [masked, boxed], [boxed, masked]):
        prepare(part, SMALL, tmp_path)
    prepare([masked], Preprocess(32), tmp_path)
    assert len(list(tmp_path.iterdir())) == 7


def test_a_changed_picture_gets_a_cache_of_its_own(samples, tmp_path):
    image = tmp_path / "images" / "one.png"
    image.parent.mkdir()
    image.write_bytes(samples[0].image.read_bytes())
    one = Sample("ct_ich", "1", image, FREE, BRAIN, blood_free=True)
    before = prepare([one], SMALL, tmp_path / "cache").pixels.copy()
    image.write_bytes(samples[1].image.read_bytes())
    assert (prepare([one], SMALL, tmp_path / "cache").pixels != before).any()


def test_other_code_gets_a_cache_of_its_own(samples, tmp_path, monkeypatch):
    prepare(samples, SMALL, tmp_path)
    source = inspect.getsource
    monkeypatch.setattr(cache.inspect, "getsource", lambda module: source(module) + "\n# changed\n")
    prepare(samples, SMALL, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_boxes_are_outlined_only_where_that_is_asked_for(samples, tmp_path):
    boxed = replace(samples[2], window=Window(40, 120))
    somewhere = prepare([boxed, samples[0]], SMALL, tmp_path).targets
    outlined = prepare([boxed, samples[0]], SMALL, tmp_path, outline=True).targets
    assert IN_BOX in somewhere[0] and BLOOD not in somewhere[0]
    assert IN_BOX not in outlined[0] and BLOOD in outlined[0]
    assert (outlined[1] == somewhere[1]).all()


def test_files_that_cannot_be_read_are_counted_named_and_skipped(samples, tmp_path, caplog):
    broken = tmp_path / "images" / "broken.png"
    broken.parent.mkdir()
    broken.write_bytes(samples[0].image.read_bytes()[:200])
    missing = broken.with_name("missing.png")
    other_grid = tmp_path / "mask.png"
    cv2.imwrite(str(other_grid), np.zeros((7, 7), np.uint8))
    bad = [
        Sample("ct_ich", "3", broken, FREE, BRAIN, blood_free=True),
        Sample("ct_ich", "3", missing, FREE, BRAIN, blood_free=True),
        Sample("ct_ich", "3", samples[3].image, UNKNOWN_PLACE, BRAIN, mask=other_grid),
    ]
    mixed = [bad[0], samples[0], bad[1], samples[1], bad[2], samples[4]]
    with caplog.at_level(logging.WARNING):
        prepared = prepare(mixed, SMALL, tmp_path / "cache")
    assert prepared.skipped == 3
    assert prepared.samples == [samples[0], samples[1], samples[4]]
    assert len(prepared.pixels) == len(prepared.targets) == 3
    assert (prepared.pixels[2] == SMALL.pixels(samples[4].scan(), 0)[0]).all()
    for named in ("ct_ich/images/broken.png", "ct_ich/images/missing.png", "mask.png is (7, 7)", "3 of 6 slices"):
        assert named in caplog.text
    assert prepare(mixed, SMALL, tmp_path / "cache").skipped == 3  # the count survives in the cache


def test_nothing_readable_at_all_is_an_error(tmp_path):
    missing = Sample("rsna", "1", tmp_path / "a.png", FREE, BRAIN, blood_free=True)
    with pytest.raises(BadData, match="None of 1 slices"):
        prepare([missing], SMALL, tmp_path / "cache")
    with pytest.raises(BadData, match="None of 1 slices"):  # and stays one: no empty cache was left behind
        prepare([missing], SMALL, tmp_path / "cache")


def test_a_build_that_was_killed_is_done_anew(samples, tmp_path, monkeypatch):
    def killed(sample, preprocess, outline):
        if sample is samples[3]:
            raise KeyboardInterrupt
        return real(sample, preprocess, outline)

    real = cache._prepare_one
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(cache, "_prepare_one", killed)
        prepare(samples, SMALL, tmp_path)
    assert not list(tmp_path.glob("*/read.json"))
    prepared = prepare(samples, SMALL, tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [""]
    assert json.loads(next(tmp_path.glob("*/read.json")).read_text()) == [0, 1, 2, 3, 4]
    assert (prepared.pixels[3] == SMALL.pixels(samples[3].scan(), 0)[0]).all()


def test_a_set_larger_than_what_is_read_ahead_keeps_its_order(samples, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "READ_AHEAD", 2)
    prepared = prepare(samples, SMALL, tmp_path, workers=3)
    for index, sample in enumerate(samples):
        assert (prepared.pixels[index] == SMALL.pixels(sample.scan(), 0)[0]).all()


def test_a_slice_is_tried_out_once_and_the_next_training_draws_the_same(samples, tmp_path, monkeypatch):
    fits = KnownFits(tmp_path / "cache")
    drawn = synthetic_samples(samples, 5, 1, fits)
    assert [one.key for one in drawn] == [one.key for one in synthetic_samples(samples, 5, 1)]
    assert drawn and all(fits.answers[one.key] for one in drawn)
    fits.save()
    monkeypatch.setattr(cache.synthesis, "can_be_made", lambda one: pytest.fail(f"{one.key} is tried out again"))
    assert synthetic_samples(samples, 5, 1, KnownFits(tmp_path / "cache")) == drawn


def test_what_other_code_could_make_is_not_taken_for_known(samples, tmp_path, monkeypatch):
    fits = KnownFits(tmp_path)
    synthetic_samples(samples, 5, 1, fits)
    fits.save()
    monkeypatch.setattr(cache, "_code", lambda: "other code")
    assert KnownFits(tmp_path).answers == {}
