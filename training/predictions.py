"""What a network says of one side of a fold, slice by slice, on the path that serving takes.

In: a Keras network, its `Preprocess` and samples. Out: `Predictions`, one logit a class and slice, and for the slices
whose every pixel is known the pixels counted by score on the image's own grid, if the network marks pixels at all.
Probability maps are not kept: 8 KB a slice are, whatever its size. With a `Rule` they become `Judged`: what serving
would have said.
"""

import csv
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import click
import keras
import numpy as np
from numpy.typing import NDArray

from hemoscope.context_rule import ContextRule
from hemoscope.errors import BadData, HemoscopeError
from hemoscope.findings import Finding
from hemoscope.labels import ANY, CLASSES, SUBTYPES
from hemoscope.metrics import Counts, ScoreHistogram
from hemoscope.postprocessing import Rule, class_logits, pixel_subtypes, subtype_map
from hemoscope.preprocessing import Placement, Preprocess
from hemoscope.scan_rule import ScanRule
from training.datasets.sample import BLOOD, SUBTYPE_BITS, Sample
from training.scans import FINDINGS, Scans, judge_scans, rows_of_complete_scans

log = logging.getLogger(__name__)

BINS = 1024  # a power of two: a score and a threshold at a bin's edge compare as they do in serving, without rounding
BATCH = 16


@dataclass(frozen=True)
class Predictions:
    """A network's answers for n slices, m of them with known pixels.

    Attributes:
        classes: the classes of the logits, in the order of `labels.CLASSES`.
        keys, groups, sources: str (n,), see `Sample`.
        labels: float64 (n, 6), 1, 0 or NaN.
        logits: float32 (n, classes), before any calibration.
        pixel_slices: int64 (m,), which slices `pixels` belongs to: those with a mask or without any blood, of the
            sets that have masks. Where blood lies unknown, or only a box says where, no pixel is counted. None for a
            network without a mask.
        pixels: int32 (m, 2, BINS), pixels without and with blood by their score in steps of 1 / BINS.
        skipped: slices that could not be read.
        marked: float32 (n, 5), how much blood the network marks of each subtype: the sum over the pixels of its input
            of blood's probability times the subtype's. None for a network that does not tell them apart by pixel.
        subtype_pixels: int64 (n, 5, 5), pixels of blood by the subtype that they have and the one that is said, on
            the image's own grid; 0 where the one that they have is not known. None like `marked`.
    """

    classes: tuple[str, ...]
    keys: NDArray[np.str_]
    groups: NDArray[np.str_]
    sources: NDArray[np.str_]
    labels: NDArray[np.float64]
    logits: NDArray[np.float32]
    pixel_slices: NDArray[np.int64]
    pixels: NDArray[np.int32]
    skipped: int
    marked: NDArray[np.float32] | None = None
    subtype_pixels: NDArray[np.int64] | None = None

    def save(self, path: Path, fingerprint: str) -> None:
        """Write an .npz file; `fingerprint` is the sha256 of the network that they are of."""
        stored = {field.name: getattr(self, field.name) for field in fields(self)}
        arrays = {name: np.asarray(value) for name, value in stored.items() if value is not None}
        np.savez_compressed(path, fingerprint=np.array(fingerprint), **arrays)

    def take(self, rows: NDArray[np.int64]) -> "Predictions":
        """Those of some slices only, in the order of `rows`, which names none twice."""
        places = np.full(len(self.keys), -1)
        places[rows] = np.arange(len(rows))
        at = places[self.pixel_slices]
        of_slices = ("keys", "groups", "sources", "labels", "logits", "marked", "subtype_pixels")
        arrays = {name: getattr(self, name) for name in of_slices}
        return replace(
            self,
            **{name: None if array is None else array[rows] for name, array in arrays.items()},
            pixel_slices=at[at >= 0],
            pixels=self.pixels[at >= 0],
        )

    @classmethod
    def read(cls, path: Path, fingerprint: str) -> "Predictions":
        """Read `save`'s file.

        Raises:
            BadData: if it is not there, or is of another network.
        """
        if not path.is_file():
            raise BadData(f"There are no predictions {path}: evaluate without --reuse.")
        with np.load(path) as stored:
            if str(stored["fingerprint"]) != fingerprint:
                raise BadData(f"{path} is of another network than the one beside it: evaluate without --reuse.")
            values = {field.name: stored[field.name] for field in fields(cls) if field.name in stored}
        return cls(**values | {"classes": tuple(values["classes"].tolist()), "skipped": int(values["skipped"])})


@dataclass(frozen=True)
class Judged:
    """Predictions and what a rule makes of them.

    Attributes:
        predictions: of n slices, m of them with known pixels.
        probabilities: float64 (n, classes), calibrated.
        findings: int8 (n,), places in FINDINGS.
        counts: int64 (m, 4), true and false positive, false and true negative pixels of the mask that is shown: at
            the mask threshold, and empty where the finding is `none`.
        scans: what the rule for whole scans says of them; None without one.
        in_context: the slices of complete scans alone, with what the rule for these says of them; None without one.
    """

    predictions: Predictions
    probabilities: NDArray[np.float64]
    findings: NDArray[np.int8]
    counts: NDArray[np.int64]
    scans: Scans | None = None
    in_context: "Judged | None" = None

    def slice_counts(self) -> list[Counts]:
        """`counts`, one `Counts` a slice with known pixels."""
        return [Counts(*row) for row in self.counts.tolist()]


def predict(network: keras.Model, preprocess: Preprocess, samples: Sequence[Sample], label: str) -> Predictions:
    """Run the samples through preprocessing, network and the way back to the image's own grid.

    Args:
        network: in float32, see `saved.load_network`.
        preprocess: the network's own.
        samples: one side of a fold.
        label: what the progress bar says.

    Raises:
        BadData: if not one slice can be read.
    """
    marks = "mask" in network.output_names
    collected = Collector(samples)
    with click.progressbar(length=len(samples), label=label, file=sys.stderr) as bar:
        for start in range(0, len(samples), BATCH):
            part = samples[start : start + BATCH]
            prepared = [one for one in (prepare_slice(sample, preprocess, marks) for sample in part) if one]
            if prepared:
                outputs = network.predict_on_batch(np.stack([tensor for _, tensor, _, _ in prepared]))
            for place, (sample, _, placement, target) in enumerate(prepared):
                answer = {name: np.asarray(values[place], np.float32) for name, values in outputs.items()}
                mask = placement.inverse(answer["mask"][..., 0]) if target is not None else None
                subtypes = _subtypes(answer, sample, target, placement) if "subtypes" in answer else None
                collected.add(sample, class_logits(answer), target, mask, subtypes)
            bar.update(min(BATCH, len(samples) - start))
    return collected.predictions(CLASSES if "logits" in network.output_names else (ANY,))


class Collector:
    """Makes `Predictions` of one side of a fold, slice by slice.

    Args:
        samples: the side, with the slices that cannot be read.
    """

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._asked = len(samples)
        self._with_masks = {sample.source for sample in samples if sample.mask is not None}
        self._read: list[Sample] = []
        self._logits: list[NDArray[np.float32]] = []
        self._pixel_slices: list[int] = []
        self._pixels: list[NDArray[np.int32]] = []
        self._subtypes: list[Subtypes] = []

    def add(
        self,
        sample: Sample,
        logits: NDArray[np.float32],
        target: NDArray[np.uint8] | None,
        mask: NDArray[np.float32] | None,
        subtypes: "Subtypes | None" = None,
    ) -> None:
        """Take what was said of a slice.

        Args:
            sample: the slice.
            logits: (classes,).
            target: (rows, columns), what is known of its pixels, see `Sample.target`.
            mask: (rows, columns), probabilities of blood.
            subtypes: what is said of them by pixel, of every slice or of none.
        """
        if subtypes is not None:
            self._subtypes.append(subtypes)
        if mask is not None and target is not None and sample.source in self._with_masks:
            histogram = ScoreHistogram(BINS)
            histogram.add(target == BLOOD, mask)
            self._pixel_slices.append(len(self._read))
            self._pixels.append(np.stack([histogram.negatives, histogram.positives]).astype(np.int32))
        self._logits.append(logits)
        self._read.append(sample)

    def predictions(self, classes: tuple[str, ...]) -> Predictions:
        """All that was taken; `classes` are those of the logits.

        Raises:
            BadData: if not one slice could be read.
        """
        if not self._read:
            raise BadData(f"None of {self._asked} slices could be read.")
        return Predictions(
            classes=classes,
            keys=np.array([sample.key for sample in self._read]),
            groups=np.array([sample.group for sample in self._read]),
            sources=np.array([sample.source for sample in self._read]),
            labels=np.array([sample.labels for sample in self._read], np.float64),
            logits=np.stack(self._logits),
            pixel_slices=np.array(self._pixel_slices, np.int64),
            pixels=np.stack(self._pixels) if self._pixels else np.zeros((0, 2, BINS), np.int32),
            skipped=self._asked - len(self._read),
            marked=np.stack([one.marked for one in self._subtypes]) if self._subtypes else None,
            subtype_pixels=np.stack([one.pixels for one in self._subtypes]) if self._subtypes else None,
        )


@dataclass(frozen=True)
class Subtypes:
    """What is said of the subtypes in one slice's mask: (5,) and (5, 5), see `Predictions`."""

    marked: NDArray[np.float32]
    pixels: NDArray[np.int64]


def _subtypes(
    answer: Mapping[str, NDArray[np.float32]], sample: Sample, target: NDArray[np.uint8] | None, placement: Placement
) -> Subtypes:
    subtypes = pixel_subtypes(answer)
    marked = (answer["mask"] * subtypes).sum(axis=(0, 1))
    pixels = np.zeros((len(SUBTYPES), len(SUBTYPES)), np.int64)
    if target is not None and (target == BLOOD).any():
        candidates = sample.candidates(target)
        said = subtype_map(subtypes, target == BLOOD, placement)
        for place, name in enumerate(SUBTYPES):
            counts = np.bincount(said[candidates == SUBTYPE_BITS[name]], minlength=1 + len(SUBTYPES))
            pixels[place] = counts[1:]
    return Subtypes(marked, pixels)


def judge(
    predictions: Predictions, rule: Rule, scan_rule: ScanRule | None = None, context_rule: ContextRule | None = None
) -> Judged:
    """What serving says with these rules, see `postprocessing.slice_findings`, `scan_rule` and `context_rule`.

    The masks are those of single slices, or in context of slices beside their neighbours: serving empties them where a
    whole scan is decided `none`.
    """
    probabilities = rule.probabilities(predictions.logits)
    return replace(
        _judged(predictions, rule, probabilities, rule.decide),
        scans=None if scan_rule is None else judge_scans(predictions, rule, scan_rule),
        in_context=None if context_rule is None else _in_context(predictions, rule, context_rule),
    )


def _in_context(predictions: Predictions, rule: Rule, context_rule: ContextRule) -> Judged | None:
    scans = rows_of_complete_scans(predictions)
    if not scans:
        return None
    alone = rule.probabilities(predictions.logits)
    probabilities = np.concatenate([context_rule.probabilities(alone[rows]) for rows in scans])
    return _judged(predictions.take(np.concatenate(scans)), rule, probabilities, context_rule.decide)


def _judged(
    predictions: Predictions, rule: Rule, probabilities: NDArray[np.float64], decide: Callable[[float], Finding]
) -> Judged:
    assessed = probabilities[:, rule.classes.index(ANY)].tolist()
    findings = np.array([FINDINGS.index(decide(probability)) for probability in assessed], np.int8)
    edge = round(rule.mask_threshold * BINS)
    negatives, positives = predictions.pixels.astype(np.int64).transpose(1, 0, 2)
    shown = findings[predictions.pixel_slices] > 0
    found, wrong = positives[:, edge:].sum(1) * shown, negatives[:, edge:].sum(1) * shown
    counts = np.stack([found, wrong, positives.sum(1) - found, negatives.sum(1) - wrong], axis=1)
    return Judged(predictions, probabilities, findings, counts)


def join(parts: Sequence[Judged]) -> Judged:
    """Several folds' test sides as one, each judged by its own fold's rules; with what all folds have of scans."""
    offsets = np.cumsum([0] + [len(part.predictions.keys) for part in parts])
    sides = [part.predictions for part in parts]
    arrays = ("keys", "groups", "sources", "labels", "logits", "pixels")
    arrays += tuple(name for name in ("marked", "subtype_pixels") if all(getattr(s, name) is not None for s in sides))
    predictions = Predictions(
        classes=sides[0].classes,
        pixel_slices=np.concatenate([side.pixel_slices + at for side, at in zip(sides, offsets, strict=False)]),
        skipped=sum(side.skipped for side in sides),
        **{name: np.concatenate([getattr(side, name) for side in sides]) for name in arrays},
    )
    own = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("probabilities", "findings", "counts")
    }
    scans = [part.scans for part in parts if part.scans is not None]
    in_context = [part.in_context for part in parts if part.in_context is not None]
    return Judged(
        predictions,
        **own,
        scans=Scans.joined(scans) if len(scans) == len(parts) else None,
        in_context=join(in_context) if len(in_context) == len(parts) else None,
    )


def write_table(judged: Judged, path: Path) -> None:
    """One row a slice as CSV: who, labels, logits, probabilities, finding, and the mask's pixel counts where known."""
    side = judged.predictions
    rows = dict(zip(side.pixel_slices.tolist(), judged.counts.tolist(), strict=True))
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        header = ["key", "group", "source", *(f"label_{name}" for name in CLASSES)]
        header += [f"logit_{name}" for name in side.classes] + [f"probability_{name}" for name in side.classes]
        table.writerow([*header, "finding", "pixels_tp", "pixels_fp", "pixels_fn", "pixels_tn"])
        for index, key in enumerate(side.keys):
            labels = ["" if np.isnan(label) else int(label) for label in side.labels[index]]
            numbers = [f"{value:.6g}" for value in (*side.logits[index], *judged.probabilities[index])]
            counts = rows.get(index, [""] * 4)
            finding = FINDINGS[judged.findings[index]]
            table.writerow([key, side.groups[index], side.sources[index], *labels, *numbers, finding, *counts])


def prepare_slice(sample: Sample, preprocess: Preprocess, marks: bool = True) -> tuple | None:
    """(sample, tensor, placement, target or None) of a slice, or None where it cannot be read; a target if `marks`."""
    try:
        tensor, placement = preprocess.tensor(*sample.in_context(preprocess.neighbours))
        known = marks and (sample.mask is not None or sample.blood_free)
        target = sample.target(placement.rows, placement.columns) if known else None
    except HemoscopeError as error:
        log.warning("Skipped %s: %s", sample.key, error)
        return None
    return sample, tensor, placement, target
