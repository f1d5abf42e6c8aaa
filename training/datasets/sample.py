"""`Sample`: one slice, where it lies and what is known of it.

In: facts from a data set's tables. Out: the slice as a `Scan`, alone or between its neighbours, and its target map on
the scan's own grid.
"""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from hemoscope.errors import BadData, BadScan
from hemoscope.labels import ANY, CLASSES, SUBTYPES
from hemoscope.readers import read_file
from hemoscope.scan import BRAIN, Scan, Window

UNKNOWN = math.nan

# The codes of a target map: what is known of a pixel.
NO_BLOOD, BLOOD, NOT_KNOWN, IN_BOX = 0, 1, 2, 3
# The subtypes that a pixel of blood may have, as one number: one bit each, in the order of `labels.SUBTYPES`.
SUBTYPE_BITS = {name: 1 << place for place, name in enumerate(SUBTYPES)}


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the image, x to the right and y down, inside which there is some blood.

    `subtype` is one of `labels.SUBTYPES`, or empty where it is not known.
    """

    x0: float
    y0: float
    x1: float
    y1: float
    subtype: str = ""

    @property
    def inside(self) -> tuple[slice, slice]:
        """Its rows and columns, to index an image with."""
        return slice(int(self.y0), math.ceil(self.y1)), slice(int(self.x0), math.ceil(self.x1))


@dataclass(frozen=True)
class Sample:
    """One slice.

    Attributes:
        source: name of the data set.
        patient: unique within the set; slices of one patient stay on one side of every split.
        image: the file.
        labels: 1, 0 or NaN (unknown) for each of `labels.CLASSES`.
        window: the window that a picture was drawn in; None for DICOM.
        mask: a picture, above 127 where there is blood, or None.
        blood_free: True where the whole slice is known to hold no blood.
        boxes: rectangles with some blood in each and none outside; empty if there are none.
        taught: a picture of codes that a teacher gave, see `training.teaching`, or None; it counts where neither a mask
            nor boxes are known.
        name: unique within the set and the same on every machine; by default the image's folder and file name.
        previous, next: the files of the slices below and above it in the same series of the same patient, the nearest
            first; empty at the ends, and where the set does not say how its slices lie.
    """

    source: str
    patient: str
    image: Path
    labels: tuple[float, ...]
    window: Window | None
    mask: Path | None = None
    blood_free: bool = False
    boxes: tuple[Box, ...] = ()
    taught: Path | None = None
    name: str = ""
    previous: tuple[Path, ...] = ()
    next: tuple[Path, ...] = ()

    @property
    def key(self) -> str:
        """Unique over all sets and the same on every machine."""
        return f"{self.source}/{self.name or f'{self.image.parent.name}/{self.image.name}'}"

    @property
    def group(self) -> str:
        """The patient, unique over all sets: the unit of splits and of bootstrap resampling."""
        return f"{self.source}/{self.patient}"

    def scan(self) -> Scan:
        """Read the slice.

        Raises:
            BadScan: if the file cannot be read.
        """
        return read_file(self.image, self.window or BRAIN)

    def neighbours(self, reach: int) -> tuple[Path, ...]:
        """The files of up to `reach` slices on each side, from the lowest to the highest, without the slice itself."""
        return (*reversed(self.previous[:reach]), *self.next[:reach])

    def in_context(self, reach: int) -> tuple[Scan, int]:
        """Read the slice between up to `reach` neighbours on each side.

        Returns:
            A scan, and which of its slices this one is. Where a neighbour is missing the scan ends, as a whole scan
            ends in serving: `Preprocess` then lets the nearest slice stand in.

        Raises:
            BadScan: if the slice or a neighbour cannot be read.
            BadData: if they do not fit together.
        """
        scan, files = self.scan(), self.neighbours(reach)
        if not files:
            return scan, 0
        others = []
        for file in files:
            try:
                other = read_file(file, self.window or BRAIN)
            except BadScan as error:
                raise BadScan(f"Its neighbour {file.name}: {error}") from None
            if other.hu.shape != scan.hu.shape or len(other.hu) != 1 or other.calibrated != scan.calibrated:
                raise BadData(f"{self.key} and its neighbour {file.name} are not two slices of one scan.")
            others.append(other.hu)
        place = len(self.previous[:reach])
        planes = [*others[:place], scan.hu, *others[place:]]
        return replace(scan, hu=np.concatenate(planes), positions_mm=None, instance_uids=None), place

    def target(self, rows: int, columns: int) -> NDArray[np.uint8]:
        """What is known of each pixel, as NO_BLOOD, BLOOD, NOT_KNOWN or IN_BOX: uint8 (rows, columns).

        Raises:
            BadData: if the mask cannot be read or is not on the image's grid.
        """
        if self.mask is not None:
            mask = _read_on_grid(self.mask, rows, columns)
            return np.where(mask > 127, BLOOD, NO_BLOOD).astype(np.uint8)
        if self.blood_free:
            return np.full((rows, columns), NO_BLOOD, np.uint8)
        if self.boxes:
            target = np.full((rows, columns), NO_BLOOD, np.uint8)
            for box in self.boxes:
                target[box.inside] = IN_BOX
            return target
        if self.taught is not None:
            return _read_on_grid(self.taught, rows, columns)
        return np.full((rows, columns), NOT_KNOWN, np.uint8)

    def candidates(self, target: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Which subtypes each pixel of blood may have: all that the slice is not known to be free of, and inside boxes
        of some of these only they.

        Args:
            target: (rows, columns), as `target` gives it or better.

        Returns:
            sums of SUBTYPE_BITS, uint8 (rows, columns); 0 where there is no blood.
        """
        possible = sum(
            SUBTYPE_BITS[name] for name, label in zip(CLASSES, self.labels, strict=True) if name != ANY and label != 0
        )
        boxed = np.zeros(target.shape, np.uint8)
        for box in self.boxes:
            if box.subtype:
                boxed[box.inside] |= SUBTYPE_BITS[box.subtype] & possible
        return np.where(target == BLOOD, np.where(boxed > 0, boxed, possible), 0).astype(np.uint8)


def _read_on_grid(path: Path, rows: int, columns: int) -> NDArray[np.uint8]:
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None or picture.shape != (rows, columns):
        shape = None if picture is None else picture.shape
        raise BadData(f"The mask {path.name} is {shape}, its image is {(rows, columns)}.")
    return picture.astype(np.uint8)


def subtype_labels(row: Mapping[str, str]) -> tuple[float, ...]:
    """The labels from a table's columns `any` and the five subtypes (0 or 1 each).

    Raises:
        BadData: if a column is missing or holds something else.
    """
    try:
        labels = tuple(float(row[name]) for name in CLASSES)
    except (KeyError, ValueError) as error:
        raise BadData(f"A label row lacks or garbles a class: {error}.") from None
    if any(value not in (0.0, 1.0) for value in labels) or labels[0] != max(labels[1 : 1 + len(SUBTYPES)]):
        raise BadData(f"Labels must be 0 or 1, and `any` the largest of the subtypes; got {labels}.")
    return labels


def read_table(path: Path) -> list[dict[str, str]]:
    """All rows of a CSV file with a header.

    Raises:
        BadData: if there is no such file or it is empty.
    """
    if not path.is_file():
        raise BadData(f"There is no table {path}.")
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise BadData(f"The table {path} is empty.")
    return rows
