"""Batches: what is drawn how often, by hand, and what a network gets."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from hemoscope.preprocessing import Preprocess
from training.augment import Augment
from training.batches import Batches, Draw, balanced_copies, epoch_of, weighted_draws
from training.cache import Prepared
from training.datasets.sample import BLOOD, UNKNOWN, Sample

PREPROCESS = Preprocess(32)


@pytest.fixture
def prepared():
    random = np.random.default_rng(1)
    labels = [(1.0, UNKNOWN, 1.0, UNKNOWN, UNKNOWN, 0.0), *[(0.0,) * 6] * 6]
    samples = [Sample("rsna", str(n), Path(f"{n}.png"), labels[n], None) for n in range(7)]
    pixels = random.integers(0, 256, (7, 32, 32, 1), dtype=np.uint8)
    targets = random.integers(0, 4, (7, 32, 32), dtype=np.uint8)
    candidates = np.where(targets == BLOOD, random.integers(0, 32, targets.shape, np.uint8), 0).astype(np.uint8)
    return Prepared(samples, pixels, targets, candidates, skipped=0)


def every(prepared):
    return [Draw(index) for index in range(len(prepared.samples))]


def test_a_batch_has_scaled_pixels_codes_and_labels(prepared):
    batches = Batches(prepared, every(prepared), PREPROCESS, ["mask", "logits"], batch=2)
    inputs, targets = batches[1]
    assert inputs.shape == (2, 32, 32, 1)
    assert (inputs == prepared.pixels[2:4] / np.float32(255)).all()
    assert (targets["mask"] == prepared.targets[2:4, ..., None]).all()
    assert targets["mask"].dtype == targets["logits"].dtype == np.float32
    assert targets["logits"].tolist() == [[0] * 6] * 2
    known = batches[0][1]["logits"][0]
    assert np.isnan(known).tolist() == [False, True, False, True, True, False]


def test_the_subtypes_that_blood_may_have_come_beside_the_mask(prepared):
    targets = Batches(prepared, every(prepared), PREPROCESS, ["mask", "subtypes"], batch=7)[0][1]
    assert (targets["mask"] == prepared.targets[..., None]).all()
    assert (targets["subtypes"] == prepared.candidates[..., None]).all()
    assert targets["subtypes"].dtype == np.float32


def test_augmentation_moves_mask_and_subtypes_alike(prepared):
    augment = Augment("report", PREPROCESS)
    targets = Batches(prepared, every(prepared), PREPROCESS, ["mask", "subtypes"], batch=7, augment=augment)[0][1]
    assert (targets["mask"] != prepared.targets[..., None]).any()
    assert (targets["mask"][targets["subtypes"] > 0] == BLOOD).all()
    assert set(np.unique(targets["subtypes"])) <= set(np.unique(prepared.candidates))


def test_a_network_without_a_class_head_gets_masks_only(prepared):
    assert set(Batches(prepared, every(prepared), PREPROCESS, ["mask"], batch=2)[0][1]) == {"mask"}


def test_the_last_short_batch_is_kept_for_validation_and_dropped_in_training(prepared):
    assert len(Batches(prepared, every(prepared), PREPROCESS, ["mask"], batch=3)) == 3
    assert len(Batches(prepared, every(prepared), PREPROCESS, ["mask"], batch=3)[2][0]) == 1
    augment = Augment("none", PREPROCESS)
    assert len(Batches(prepared, every(prepared), PREPROCESS, ["mask"], batch=3, augment=augment)) == 2


def test_the_same_slice_is_augmented_differently_at_each_place_and_the_same_by_seed(prepared):
    draws = [Draw(0)] * 4
    augment = Augment("report", PREPROCESS)
    one = Batches(prepared, draws, PREPROCESS, ["mask"], batch=4, augment=augment, seed=5)[0][0]
    again = Batches(prepared, draws, PREPROCESS, ["mask"], batch=4, augment=augment, seed=5)[0][0]
    other = Batches(prepared, draws, PREPROCESS, ["mask"], batch=4, augment=augment, seed=50)[0][0]
    assert (one == again).all()
    assert (one != other).any()
    assert len({image.tobytes() for image in one}) == 4


def test_an_offline_copy_is_the_same_in_every_epoch(prepared):
    offline = Augment("report", PREPROCESS)
    first, later = (
        Batches(prepared, [Draw(1, copy=9), Draw(1)], PREPROCESS, ["mask"], batch=2, offline=offline, seed=seed)[0][0]
        for seed in (1, 2)
    )
    assert (first == later).all()
    assert (first[0] != first[1]).any()
    assert (first[1] == prepared.pixels[1] / np.float32(255)).all()


def test_draws_follow_the_weights_by_hand():
    # Weights 1 : 1 : 2 : 4 of 80 draws are 10, 10, 20 and 40; systematic resampling is off by less than one.
    draws = weighted_draws(np.array([1.0, 1.0, 2.0, 4.0]), 80, seed=3)
    counts = Counter(draw.index for draw in draws)
    for index, expected in enumerate((10, 10, 20, 40)):
        assert abs(counts[index] - expected) <= 1
    assert len(draws) == 80
    assert all(draw.copy is None for draw in draws)


def test_a_weight_of_zero_is_never_drawn_and_fractions_come_in_turn():
    weights = np.array([0.0, 2.3, 0.0, 1.7])
    totals = Counter()
    for seed in range(200):
        counts = Counter(draw.index for draw in weighted_draws(weights, 4, seed))
        assert set(counts) <= {1, 3}
        assert counts[1] in (2, 3)
        totals += counts
    assert totals[1] / 200 == pytest.approx(2.3, abs=0.15)


def test_draws_are_shuffled_and_reproducible():
    weights = np.ones(50)
    draws = weighted_draws(weights, 50, seed=1)
    assert sorted(draw.index for draw in draws) == list(range(50))
    assert [draw.index for draw in draws] != list(range(50))
    assert draws == weighted_draws(weights, 50, seed=1)
    assert draws != weighted_draws(weights, 50, seed=2)


@pytest.mark.parametrize("fewer", [True, False])
def test_offline_balancing_by_hand(fewer):
    # 3 of one kind and 7 of the other: 4 copies of the three in turn, so that each kind has 7.
    positive = np.array([fewer] * 3 + [not fewer] * 7)
    draws = balanced_copies(positive, seed=100)
    assert draws[:10] == [Draw(index) for index in range(10)]
    assert draws[10:] == [Draw(0, 100), Draw(1, 101), Draw(2, 102), Draw(0, 103)]


@pytest.mark.parametrize("positive", [[True, False], [True] * 3, [False] * 3])
def test_balancing_adds_nothing_where_kinds_are_even_or_one_is_missing(positive):
    assert balanced_copies(np.array(positive), seed=0) == [Draw(index) for index in range(len(positive))]


def test_an_epoch_takes_each_draw_at_most_once():
    draws = [Draw(index) for index in range(10)]
    part = epoch_of(draws, 6, seed=4)
    assert len(part) == len(set(part)) == 6
    assert part == epoch_of(draws, 6, seed=4)
    assert part != epoch_of(draws, 6, seed=5)
    assert sorted(draw.index for draw in epoch_of(draws, 99, seed=4)) == list(range(10))
