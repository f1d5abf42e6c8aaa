"""What a trained network says of where slices bleed that are only labelled: targets for a student.

In: a training (the teacher) of the same fold, and slices of the training side. Out: for each slice with hemorrhage of
which neither mask nor boxes are known, and in which the teacher marks blood, a map of codes (see `datasets.sample`) as
a PNG in the teacher's folder, and samples that use it. Where the teacher is not sure nothing is claimed. Training only:
nothing is ever judged by these.
"""

import hashlib
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from hemoscope.errors import BadData
from training.checkpoints import run_folder
from training.datasets.sample import BLOOD, NO_BLOOD, NOT_KNOWN, Sample
from training.folds import Fold, fold_word
from training.predictions import BATCH, prepare_slice
from training.saved import NETWORK_FILE, fingerprint, load_network, read_preprocess

log = logging.getLogger(__name__)

FOLDER, SIGNATURE = "taught", "taught.json"
SURE_OF_BLOOD, SURE_OF_NONE = 0.7, 0.2  # pixel probabilities
SMALLEST_SHARE = 0.0005  # of the picture's pixels: with less blood than that the teacher has seen nothing


def taught_samples(samples: Sequence[Sample], teacher: str, fold: Fold, runs: Path) -> list[Sample]:
    """The samples, those that the teacher can say something of with its targets.

    It is asked once; its answers are kept as long as it stays the same.

    Args:
        samples: of the training side of the fold.
        teacher: a training with a mask, of the same fold: of another one it would have seen the test side.
        fold, runs: where it lies.

    Raises:
        BadData: if there is no such network, or it gives no mask.
    """
    run = run_folder(runs, teacher, fold)
    if not (run / NETWORK_FILE).is_file():
        raise BadData(
            f"There is no teacher {run}: run `python -m training.train {teacher} --fold {fold_word(fold)}` first."
        )
    pupils = [one for one in samples if one.labels[0] == 1 and one.mask is None and not one.boxes]
    folder, of = run / FOLDER, _signature(run, pupils)
    if not (folder / SIGNATURE).is_file() or json.loads((folder / SIGNATURE).read_text()) != of:
        _teach(run, pupils, folder)
        (folder / SIGNATURE).write_text(json.dumps(of))
    answers = {one.key: folder / _file(one) for one in pupils}
    found = [
        replace(one, taught=answers[one.key]) if one.key in answers and answers[one.key].is_file() else one
        for one in samples
    ]
    log.info(
        "%s has taught where %d of %d slices bleed.", teacher, sum(s.taught is not None for s in found), len(pupils)
    )
    return found


def codes_of(probability: NDArray[np.float32]) -> NDArray[np.uint8] | None:
    """What a teacher's pixel probabilities (rows, columns) say for sure, as codes; None if it marks next to nothing."""
    codes = np.full(probability.shape, NOT_KNOWN, np.uint8)
    codes[probability >= SURE_OF_BLOOD] = BLOOD
    codes[probability <= SURE_OF_NONE] = NO_BLOOD
    return codes if (codes == BLOOD).mean() >= SMALLEST_SHARE else None


def _teach(run: Path, pupils: Sequence[Sample], folder: Path) -> None:
    network, preprocess = load_network(run / NETWORK_FILE), read_preprocess(run)
    if "mask" not in network.output_names:
        raise BadData(f"{run} gives no mask, so it cannot teach where slices bleed.")
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    with click.progressbar(
        length=len(pupils), label=f"Asking the teacher of {len(pupils)} slices", file=sys.stderr
    ) as bar:
        for start in range(0, len(pupils), BATCH):
            part = pupils[start : start + BATCH]
            prepared = [one for one in (prepare_slice(sample, preprocess, marks=False) for sample in part) if one]
            if prepared:
                masks = network.predict_on_batch(np.stack([tensor for _, tensor, _, _ in prepared]))["mask"]
                for (sample, _, placement, _), mask in zip(prepared, masks, strict=True):
                    codes = codes_of(placement.inverse(np.asarray(mask[..., 0], np.float32)))
                    if codes is not None:
                        cv2.imwrite(str(folder / _file(sample)), codes)
            bar.update(len(part))


def _file(sample: Sample) -> str:
    return hashlib.sha256(sample.key.encode()).hexdigest()[:24] + ".png"


def _signature(run: Path, pupils: Sequence[Sample]) -> list[str]:
    """What the answers depend on."""
    keys = hashlib.sha256("\n".join(sorted(one.key for one in pupils)).encode()).hexdigest()
    return [fingerprint(run / NETWORK_FILE), keys, f"{SURE_OF_BLOOD} {SURE_OF_NONE} {SMALLEST_SHARE}"]
