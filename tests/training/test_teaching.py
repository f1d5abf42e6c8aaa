"""A teacher's masks as targets: only of slices that are labelled and no more, only where it is sure, asked once."""

import json
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from hemoscope.errors import BadData
from hemoscope.preprocessing import Preprocess
from hemoscope.scan import BRAIN
from training.datasets.sample import BLOOD, NO_BLOOD, NOT_KNOWN, Box, Sample
from training.teaching import codes_of, taught_samples

SIDE = 32
POSITIVE, NEGATIVE = (1.0, 0.0, 1.0, 0.0, 0.0, 0.0), (0.0,) * 6


def brightness_network(name: str = "mask") -> keras.Model:
    """A pixel's probability of blood is its grey."""
    image = keras.Input((SIDE, SIDE, 1), name="image")
    return keras.Model(image, {name: keras.layers.Activation("linear", name=name)(image)})


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    run = tmp_path / "runs" / "bright" / "fold_2"
    run.mkdir(parents=True)
    brightness_network().save(run / "network.keras")
    (run / "preprocess.json").write_text(json.dumps(Preprocess(SIDE, (BRAIN,)).to_dict()))
    return tmp_path / "runs"


def picture(path: Path, brightest: int) -> Path:
    grey = np.tile(np.linspace(0, 40, SIDE).astype(np.uint8), (SIDE, 1))
    grey[4:8, 4:8] = brightest
    grey[20:24, 4:8] = 115  # a probability of 0.45: the teacher is not sure
    cv2.imwrite(str(path), grey)
    return path


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    bright, dim = picture(tmp_path / "bright.png", 230), picture(tmp_path / "dim.png", 60)
    return [
        Sample("rsna", "1", bright, POSITIVE, BRAIN, name="labelled"),
        Sample("rsna", "2", dim, POSITIVE, BRAIN, name="too dim"),
        Sample("rsna", "3", bright, NEGATIVE, BRAIN, blood_free=True, name="none"),
        Sample("rsna", "4", bright, POSITIVE, BRAIN, boxes=(Box(1, 1, 9, 9),), name="boxed"),
        Sample("rsna", "5", tmp_path / "missing.png", POSITIVE, BRAIN, name="missing"),
    ]


def test_codes_by_hand() -> None:
    probability = np.full((40, 40), 0.1, np.float32)
    probability[0, :4] = [0.7, 0.69, 0.21, 0.2]
    codes = codes_of(probability)
    assert codes is not None
    assert codes[0, :4].tolist() == [BLOOD, NOT_KNOWN, NOT_KNOWN, NO_BLOOD]
    assert (codes[1:] == NO_BLOOD).all()


def test_a_teacher_that_marks_nothing_teaches_nothing() -> None:
    assert codes_of(np.full((40, 40), 0.69, np.float32)) is None


def test_only_slices_that_are_labelled_and_no_more_are_taught(runs: Path, samples: list[Sample]) -> None:
    found = taught_samples(samples, "bright", 2, runs)
    assert [one.taught is not None for one in found] == [True, False, False, False, False]
    assert [one.key for one in found] == [one.key for one in samples]
    target = found[0].target(SIDE, SIDE)
    assert (target[4:8, 4:8] == BLOOD).all()
    assert (target[20:24, 4:8] == NOT_KNOWN).all()
    assert (target[12:16, 4:8] == NO_BLOOD).all()
    assert (found[1].target(SIDE, SIDE) == NOT_KNOWN).all()


def test_the_teacher_is_asked_anew_only_when_something_changed(runs: Path, samples: list[Sample]) -> None:
    (first, *_) = taught_samples(samples, "bright", 2, runs)
    first.taught.write_bytes(b"marked")
    (again, *_) = taught_samples(samples, "bright", 2, runs)
    assert again.taught.read_bytes() == b"marked"
    (fewer, *_) = taught_samples(samples[:1], "bright", 2, runs)
    assert fewer.taught.read_bytes() != b"marked"


def test_a_teacher_that_is_missing_or_gives_no_mask_is_refused(runs: Path, samples: list[Sample]) -> None:
    with pytest.raises(BadData, match=r"python -m training\.train bright --fold 3` first"):
        taught_samples(samples, "bright", 3, runs)
    brightness_network("logits").save(runs / "bright" / "fold_2" / "network.keras")
    with pytest.raises(BadData, match="gives no mask"):
        taught_samples(samples, "bright", 2, runs)
