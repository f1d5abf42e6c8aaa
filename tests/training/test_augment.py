"""Online augmentation: reproducible by seed, image and target together, in the values that both may have."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from hemoscope.preprocessing import Preprocess, apply_window
from hemoscope.scan import Window
from training.augment import PIPELINES, Augment, _jittered
from training.configs import READER_WINDOWS
from training.preparations import EQUALISED_STRETCHED

READER = Preprocess(64, READER_WINDOWS, frame="head")


def blob(channels, row=20, column=40):
    """Brain of 30 HU with a bright square, and its target: blood there, a box below it, unknown at the right edge."""
    base = np.full((64, 64), 96, np.uint8)
    base[row : row + 10, column : column + 10] = 224
    target = np.zeros((64, 64), np.uint8)
    target[row : row + 10, column : column + 10] = 1
    target[45:55, 30:40] = 3
    target[:, 60:] = 2
    if channels == 1:
        return base[..., None], target
    hu = base.astype(np.float32) / 255 * 80
    return np.stack([np.rint(apply_window(hu, w) * 255).astype(np.uint8) for w in READER_WINDOWS], axis=-1), target


SETTINGS = [("report", EQUALISED_STRETCHED, 1), ("anatomical", READER, 3)]


@pytest.mark.parametrize(("name", "preprocess", "channels"), SETTINGS)
def test_the_same_seed_gives_the_same_result_whatever_came_between(name, preprocess, channels):
    pixels, target = blob(channels)
    augment = Augment(name, preprocess)
    first = augment(pixels, target, 7)
    for seed in range(20, 25):
        augment(pixels, target, seed)
    again, other = augment(pixels, target, 7), Augment(name, preprocess)(pixels, target, 7)
    for result in (again, other):
        assert (result[0] == first[0]).all()
        assert (result[1] == first[1]).all()
    assert any((augment(pixels, target, seed)[0] != first[0]).any() for seed in (8, 9))


def test_threads_do_not_disturb_each_other():
    pixels, target = blob(3)
    augment = Augment("anatomical", READER)
    alone = [augment(pixels, target, seed) for seed in range(60)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seed: augment(pixels, target, seed), range(60)))
    for one, two in zip(alone, together, strict=True):
        assert (one[0] == two[0]).all()
        assert (one[1] == two[1]).all()


@pytest.mark.parametrize(("name", "preprocess", "channels"), SETTINGS)
def test_image_and_target_move_together(name, preprocess, channels):
    pixels, target = blob(channels)
    augment, moved = Augment(name, preprocess), 0
    for seed in range(25):
        image, codes = augment(pixels, target, seed)
        assert image.shape == pixels.shape
        assert image.dtype == codes.dtype == np.uint8
        bright, blood = image[..., 0] > 160, codes == 1
        if blood.sum() > 40:
            moved += int((blood != (target == 1)).sum() > 20)
            assert 2 * (bright & blood).sum() / (bright.sum() + blood.sum()) > 0.75, seed
    assert moved > 15


@pytest.mark.parametrize(("name", "preprocess", "channels"), SETTINGS)
def test_target_codes_are_never_blended(name, preprocess, channels):
    pixels, target = blob(channels)
    seen = set()
    for seed in range(25):
        seen |= set(np.unique(Augment(name, preprocess)(pixels, target, seed)[1]).tolist())
    assert seen == {0, 1, 2, 3}


@pytest.mark.parametrize(("name", "preprocess", "channels"), SETTINGS)
def test_about_half_of_the_slices_are_mirrored(name, preprocess, channels):
    pixels, target = blob(channels)  # the square lies right of the middle
    columns = [np.nonzero(Augment(name, preprocess)(pixels, target, seed)[1] == 1)[1] for seed in range(60)]
    mirrored = sum(found.mean() < 31.5 for found in columns if len(found))
    assert 18 <= mirrored <= 42  # 60 fair coins fall outside once in a thousand


@pytest.mark.parametrize(("name", "windows"), [("report", (Window(40, 120),)), ("anatomical", READER_WINDOWS)])
def test_adjacent_slices_move_together_each_as_it_would_alone(name, windows):
    alone, adjacent = (Augment(name, Preprocess(64, windows, neighbours=reach)) for reach in (0, 1))
    # Three slices with their squares at different places, the target is the middle one's.
    slices = [blob(len(windows), row=row, column=column)[0] for row, column in ((10, 30), (20, 40), (30, 20))]
    target = blob(len(windows))[1]
    for seed in range(15):
        image, codes = adjacent(np.concatenate(slices, axis=-1), target, seed)
        apart = [alone(one, target, seed) for one in slices]
        assert (image == np.concatenate([one for one, _ in apart], axis=-1)).all()
        assert (codes == apart[1][1]).all()


@pytest.mark.parametrize("name", ["report", "anatomical"])
def test_equal_slices_stay_equal(name):
    # A slice that stands in for its missing neighbour is the same slice after augmentation too.
    one = blob(1)[0]
    adjacent = Augment(name, Preprocess(64, neighbours=2))
    for seed in range(15):
        image, _ = adjacent(np.repeat(one, 5, axis=-1), blob(1)[1], seed)
        assert image.shape == (64, 64, 5)
        assert (image == image[..., :1]).all()


def test_no_augmentation_changes_nothing():
    pixels, target = blob(3)
    image, codes = Augment("none", READER)(pixels, target, 3)
    assert (image == pixels).all()
    assert (codes == target).all()


def test_the_input_is_left_alone():
    pixels, target = blob(3)
    before = pixels.copy(), target.copy()
    pixels.setflags(write=False)  # as the cache gives them
    target.setflags(write=False)
    for seed in range(10):
        Augment("anatomical", READER)(pixels, target, seed)
    assert (pixels == before[0]).all()
    assert (target == before[1]).all()


def test_jitter_keeps_the_windows_consistent():
    # All channels are drawn from one value: 20..60 HU and 40..80 HU follow from 0..80 HU, within rounding.
    base = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
    changed = False
    for seed in range(20):
        image = _jittered(base, READER_WINDOWS, np.random.default_rng(seed)).astype(float)
        inner = (image[..., 0] > 0) & (image[..., 0] < 255)  # 0 and 255 stand for all that lies beyond
        hu = image[..., 0] / 255 * 80
        assert np.abs(np.clip((hu - 20) / 40, 0, 1) * 255 - image[..., 1])[inner].max() <= 2
        assert np.abs(np.clip((hu - 40) / 40, 0, 1) * 255 - image[..., 2])[inner].max() <= 2
        changed |= np.abs(image[..., 0] - base)[inner].max() > 5
    assert changed


def test_jitter_stays_within_its_bounds_and_leaves_clipped_ends():
    # 35 HU is the fixed point of the gain: it moves by the shift alone, 4 HU at most, 13 of 255 greys.
    base = np.array([[0, 112, 255]], np.uint8)
    found = [_jittered(base, READER_WINDOWS, np.random.default_rng(seed))[0, :, 0].tolist() for seed in range(100)]
    assert all(ends == (0, 255) for ends in ((one[0], one[2]) for one in found))
    middle = [one[1] for one in found]
    assert 112 - 14 <= min(middle) < 112 - 9
    assert 112 + 9 < max(middle) <= 112 + 14


def test_jitter_is_for_windows_inside_the_first_only():
    assert Augment("anatomical", READER).jitter
    assert not Augment("anatomical", Preprocess(64, (Window(40, 80), Window(80, 200)))).jitter
    assert not Augment("anatomical", Preprocess(64, (Window(600, 2800), Window(40, 80)))).jitter  # too coarse
    assert not Augment("anatomical", Preprocess(64, (Window(40, 80),), clahe_clip=2.0)).jitter  # no longer HU
    assert not Augment("report", READER).jitter


def test_an_unknown_augmentation_is_refused():
    with pytest.raises(ValueError, match="there are none, report, anatomical"):
        Augment("mixup", READER)
    assert set(PIPELINES) == {"none", "report", "anatomical"}
