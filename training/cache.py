"""Prepared slices on disk: each sample is read and preprocessed once, then served from memory-mapped arrays.

In: samples and a `Preprocess`. Out: uint8 pixels (n, size, size, channels) exactly as `Preprocess.pixels` gives them,
target maps (n, size, size) in the codes of `datasets.sample`, and the subtypes that the blood may have. Memory stays
bounded: the arrays live on disk. Of slices that are made, it is kept which of them can be.
Files that cannot be read are counted, named in the log, and skipped.
"""

import hashlib
import inspect
import json
import logging
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from hemoscope import preprocessing, readers
from hemoscope.errors import BadData, HemoscopeError
from hemoscope.preprocessing import Preprocess
from training.datasets import lookalikes, pasting, pseudo, sample, synthesis
from training.datasets.pseudo import outline_boxes
from training.datasets.sample import Sample

log = logging.getLogger(__name__)
READ_AHEAD = 256  # samples in memory at a time while a cache is built


@dataclass(frozen=True)
class Prepared:
    """Memory-mapped slices. `samples[i]` belongs to `pixels[i]`, `targets[i]` and `candidates[i]`.

    Attributes:
        samples: those that could be read.
        pixels: uint8 (n, size, size, channels).
        targets: uint8 (n, size, size), see `Sample.target`.
        candidates: uint8 (n, size, size), see `Sample.candidates`.
        skipped: how many could not be read.
    """

    samples: list[Sample]
    pixels: NDArray[np.uint8]
    targets: NDArray[np.uint8]
    candidates: NDArray[np.uint8]
    skipped: int


def prepare(
    samples: Sequence[Sample], preprocess: Preprocess, folder: Path, workers: int = 2, outline: bool = False
) -> Prepared:
    """Open the cache of these samples below `folder`, building it first where it is missing.

    Args:
        samples: what to prepare; the cache is keyed by them, their files' sizes and times (with those of the neighbours
            that are asked for), the preprocessing, and the code that prepares.
        preprocess: how.
        folder: where caches live.
        workers: threads that read and prepare.
        outline: give slices that have boxes and no mask the targets of `datasets.pseudo`.

    Raises:
        BadData: if nothing can be read.
    """
    alone = sum(not sample.neighbours(preprocess.neighbours) for sample in samples)
    if preprocess.neighbours and alone:
        log.warning("%d of %d slices have no known neighbours: each stands in for its own.", alone, len(samples))
    identities = [_identity(sample, preprocess.neighbours) for sample in samples]
    what = json.dumps([_code(), preprocess.to_dict(), outline, identities], default=vars)
    place = folder / hashlib.sha256(what.encode()).hexdigest()[:16]
    if not place.is_dir():
        _build(samples, preprocess, place, workers, outline)
    read = json.loads((place / "read.json").read_text())
    return Prepared(
        samples=[samples[index] for index in read],
        pixels=np.load(place / "pixels.npy", mmap_mode="r")[: len(read)],
        targets=np.load(place / "targets.npy", mmap_mode="r")[: len(read)],
        candidates=np.load(place / "candidates.npy", mmap_mode="r")[: len(read)],
        skipped=len(samples) - len(read),
    )


class KnownFits:
    """Which made slices can be made, kept below the caches' folder: to try each out takes a tenth of a second.

    Args:
        folder: where caches live; answers of other code than today's are not taken.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"fits_{_code()[:16]}.json"
        self.answers: dict[str, bool] = json.loads(self.path.read_text()) if self.path.is_file() else {}
        self.stored = len(self.answers)

    def __call__(self, one: Sample) -> bool:
        """Whether `one` can be made, see `synthesis.can_be_made`."""
        if one.key not in self.answers:
            self.answers[one.key] = synthesis.can_be_made(one)
        return self.answers[one.key]

    def save(self) -> None:
        """Write the answers for the next training, if any are new."""
        if len(self.answers) == self.stored:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(self.answers))
        partial.rename(self.path)


def _code() -> str:
    """A fingerprint of the code that decides what a prepared slice and its target look like."""
    sources = [inspect.getsource(module) for module in (preprocessing, lookalikes, pasting, pseudo, sample, synthesis)]
    sources += [path.read_text(encoding="utf-8") for path in sorted(Path(readers.__file__).parent.glob("*.py"))]
    return hashlib.sha256("".join(sources).encode()).hexdigest()


def _identity(sample: Sample, reach: int) -> list[object]:
    """What a sample's pixels and target depend on."""
    around = sample.neighbours(reach)
    files = [path and path.is_file() and path.stat() for path in (sample.image, sample.mask, sample.taught, *around)]
    states = [file and (file.st_size, file.st_mtime_ns) for file in files]
    names = [path and path.name for path in (sample.mask, *around)]
    # How many of them come before the slice decides which channel it is.
    below = len(sample.previous[:reach])
    return [sample.key, sample.window, names, below, sample.boxes, sample.blood_free, states]


def _build(samples: Sequence[Sample], preprocess: Preprocess, place: Path, workers: int, outline: bool) -> None:
    partial = place.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    shape = (len(samples), preprocess.size, preprocess.size)
    pixels = np.lib.format.open_memmap(partial / "pixels.npy", "w+", np.uint8, (*shape, preprocess.channels))
    targets = np.lib.format.open_memmap(partial / "targets.npy", "w+", np.uint8, shape)
    candidates = np.lib.format.open_memmap(partial / "candidates.npy", "w+", np.uint8, shape)
    read: list[int] = []
    bar = click.progressbar(length=len(samples), label=f"Preparing {len(samples)} slices", file=sys.stderr)
    with bar, ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(samples), READ_AHEAD):
            part = samples[start : start + READ_AHEAD]
            for offset, one in enumerate(pool.map(lambda sample: _prepare_one(sample, preprocess, outline), part)):
                if one is not None:
                    pixels[len(read)], targets[len(read)], candidates[len(read)] = one
                    read.append(start + offset)
            bar.update(len(part))
    if not read:
        raise BadData(f"None of {len(samples)} slices could be read.")
    if len(read) < len(samples):
        log.warning("%d of %d slices could not be read and are skipped.", len(samples) - len(read), len(samples))
    pixels.flush()
    targets.flush()
    candidates.flush()
    (partial / "read.json").write_text(json.dumps(read))
    partial.rename(place)


def _prepare_one(
    sample: Sample, preprocess: Preprocess, outline: bool
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]] | None:
    try:
        scan, index = sample.in_context(preprocess.neighbours)
        pixels, placement = preprocess.pixels(scan, index)
        target = sample.target(placement.rows, placement.columns)
        if outline and sample.mask is None:
            target = outline_boxes(scan, target, sample.boxes, index)
        candidates = sample.candidates(target)
    except HemoscopeError as error:
        log.warning("Skipped %s: %s", sample.key, error)
        return None
    maps = (np.asarray(placement.forward(one, cv2.INTER_NEAREST)) for one in (target, candidates))
    return pixels, *maps
