"""Patient-wise, stratified folds, written to a file so that every experiment uses the same ones.

Folds by slice exist too, for one purpose: to show how much a report that split so owes to the leak.

In: samples. Out: for each patient a fold (0..4) and a part (0..7). For fold K, the test side is fold K; of the rest,
the patients of part K are the validation side (about 10 % of all), on which thresholds, temperature and early stopping
are chosen, and the others are the training side. Fold `all` holds nobody out: everyone trains.
"""

import csv
import hashlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click
import numpy as np

from hemoscope.errors import BadData
from training.datasets.sample import Sample

FOLDS = 5
PARTS = 8
Unit = Literal["patient", "slice"]
Fold = int | None  # None holds nobody out
ALL = "all"  # what None is called in options and folders
SPLIT_FILE = "split.sha256"  # in a training's folder: the folds that it is on
FILES: dict[Unit, str] = {"patient": "folds.csv", "slice": "folds_by_slice.csv"}


@dataclass(frozen=True)
class Split:
    """The three sides of one fold."""

    train: list[Sample]
    validation: list[Sample]
    test: list[Sample]


@dataclass(frozen=True)
class Folds:
    """Where each patient stands: group -> (fold, part); for folds by slice, each slice: key -> (fold, part)."""

    places: dict[str, tuple[int, int]]
    unit: Unit = "patient"

    def split(self, samples: list[Sample], fold: Fold) -> Split:
        """The sides of a fold; with nobody held out the other two are empty.

        Raises:
            BadData: for a fold that does not exist, or a patient that the folds do not know.
        """
        if fold is not None and not 0 <= fold < FOLDS:
            raise BadData(f"There is no fold {fold}; there are 0 to {FOLDS - 1}.")
        sides: dict[str, list[Sample]] = {"train": [], "validation": [], "test": []}
        for sample in samples:
            name = _name(sample, self.unit)
            if name not in self.places:
                raise BadData(f"The folds file does not know {self.unit} {name}; was it made from other data?")
            place, part = self.places[name]
            side = "test" if place == fold else "validation" if part == fold else "train"
            sides[side].append(sample)
        return Split(**sides)

    @property
    def sha256(self) -> str:
        """A fingerprint of who stands where."""
        text = "\n".join(f"{group},{fold},{part}" for group, (fold, part) in sorted(self.places.items()))
        return hashlib.sha256(text.encode()).hexdigest()

    def sign(self, run: Path) -> None:
        """Note in a training's folder that it is on these folds."""
        (run / SPLIT_FILE).write_text(self.sha256 + "\n", encoding="utf-8")

    def check(self, run: Path) -> None:
        """Check that a training was on these folds; one without a note is taken at its word.

        Raises:
            BadData: if it was on others: patients that it was trained on may stand on the test side now.
        """
        note = run / SPLIT_FILE
        if note.is_file() and note.read_text(encoding="utf-8").strip() != self.sha256:
            raise BadData(
                f"{run} was trained on other folds than those that lie there now: patients that it has seen may stand "
                "on the test side. Put its folds file back, or train anew."
            )

    def write(self, path: Path) -> None:
        """Write a CSV file: group, fold, part."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(("group", "fold", "part"))
            table.writerows((group, *place) for group, place in sorted(self.places.items()))

    @classmethod
    def read(cls, path: Path, unit: Unit = "patient") -> "Folds":
        """Read `write`'s file.

        Raises:
            BadData: if it is not there or garbled.
        """
        try:
            with path.open(newline="", encoding="utf-8") as file:
                return cls({row["group"]: (int(row["fold"]), int(row["part"])) for row in csv.DictReader(file)}, unit)
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise BadData(f"The folds file {path} cannot be read: {error}.") from None


def make_folds(samples: list[Sample], seed: int = 2019, unit: Unit = "patient") -> Folds:
    """Deal patients to folds and parts so that each set and each of its classes spreads evenly.

    Patients are grouped by their set and what they have (a mask; else their rarest positive class; else nothing),
    shuffled, and dealt in turn, the large before the small.

    Args:
        samples: all samples of all sets.
        seed: of the shuffle.
        unit: what is dealt.
    """
    by_group: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_group[_name(sample, unit)].append(sample)
    counts = np.nansum([sample.labels for sample in samples], axis=0)
    strata: dict[tuple[str, str], list[str]] = defaultdict(list)
    for group, members in by_group.items():
        strata[members[0].source, _stratum(members, counts)].append(group)
    shuffle, places = np.random.default_rng(seed), {}
    dealt = 0  # running on over the strata keeps the small ones from all landing in fold 0
    # The few patients with masks come first: dealt in the middle, they would all fall to a few parts, and some folds'
    # validation side would hold none.
    for _, groups in sorted(strata.items(), key=lambda item: (item[0][1] != "mask", item[0])):
        order = [sorted(groups)[index] for index in shuffle.permutation(len(groups))]
        order.sort(key=lambda group: -len(by_group[group]))
        for group in order:
            places[group] = (dealt % FOLDS, dealt // FOLDS % PARTS)
            dealt += 1
    return Folds(places, unit)


def fold_word(fold: Fold) -> str:
    """What a fold is called in options, folders and sentences."""
    return ALL if fold is None else str(fold)


def fold_seed(fold: Fold) -> int:
    """What a fold adds to the seed of a training."""
    return FOLDS if fold is None else fold


def _chosen_fold(_: click.Context, __: click.Parameter, word: str) -> Fold:
    return None if word == ALL else int(word)


# The option of commands that work on one fold or on all patients.
fold_option = click.option(
    "--fold",
    type=click.Choice([*map(str, range(FOLDS)), ALL]),
    default="0",
    show_default=True,
    callback=_chosen_fold,
    help=f"The fold held out; `{ALL}` holds nobody out.",
)


def _name(sample: Sample, unit: Unit) -> str:
    return sample.group if unit == "patient" else sample.key


def _stratum(members: list[Sample], counts: np.ndarray) -> str:
    if any(sample.mask is not None for sample in members):
        return "mask"
    positive = np.nansum([sample.labels for sample in members], axis=0) > 0
    if not positive.any():
        return "none"
    return str(int(np.argmin(np.where(positive, counts, np.inf))))
