"""Which slices lie next to each other: `Sample.previous` and `Sample.next`.

In: where slices lie, from a table's slice numbers or from DICOM headers. Out: the samples with their neighbours. A
stack is one series of one patient, so a neighbour never comes from another patient.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from hemoscope.errors import BadData
from training.datasets.sample import Sample

log = logging.getLogger(__name__)

REACH = 5  # the most neighbours on a side that a `Preprocess` takes
CLOSEST_MM = 0.01  # slices nearer than that are two images of one place
HEADER = ("PatientID", "SeriesInstanceUID", "ImagePositionPatient", "ImageOrientationPatient", "Rows", "Columns")


@dataclass(frozen=True)
class Place:
    """Where a slice lies.

    Attributes:
        stack: the series, together with its patient.
        height: rises from one slice to the next: a slice number, or millimetres.
    """

    stack: str
    height: float


def with_neighbours(samples: Sequence[Sample], places: Mapping[Path, Place]) -> list[Sample]:
    """The samples with the slices that come before and after each in its stack.

    Args:
        samples: of one set.
        places: by image, also of slices that are no samples: what is not learnt from can still be a neighbour. An
            image that is not there is left out.

    Raises:
        BadData: if two slices of a stack have the same height.
    """
    stacks: dict[str, list[tuple[float, Path]]] = defaultdict(list)
    for image, place in places.items():
        if image.is_file():
            stacks[place.stack].append((place.height, image))
    around: dict[Path, tuple[tuple[Path, ...], tuple[Path, ...]]] = {}
    for stack, members in stacks.items():
        members.sort()
        for (low, one), (high, other) in pairwise(members):
            if low == high:
                raise BadData(f"Two slices of {stack} have the number {low:g}: {one.name} and {other.name}.")
        images = tuple(image for _, image in members)
        for at, image in enumerate(images):
            around[image] = (images[max(at - REACH, 0) : at][::-1], images[at + 1 : at + 1 + REACH])
    joined = []
    for sample in samples:
        previous, following = around.get(sample.image, ((), ()))
        joined.append(replace(sample, previous=previous, next=following))
    return joined


def read_header(path: Path) -> Dataset | None:
    """What `place_of` needs of a DICOM file; None where there is no such file or it is none."""
    try:
        return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(HEADER))
    except (pydicom.errors.InvalidDicomError, OSError):
        return None


def place_of(header: Dataset, patient: str) -> Place | None:
    """Where a DICOM slice lies, from Image Position and Orientation (PS3.3 C.7.6.2); None where they are missing.

    Slices of one series that differ in orientation or size are different stacks. Axial slices rise towards the top of
    the head.

    Args:
        header: of one slice.
        patient: who it is of; series of two patients can have the same UID.
    """
    try:
        position = np.array([float(value) for value in header.ImagePositionPatient])
        row, column = np.array([float(value) for value in header.ImageOrientationPatient]).reshape(2, 3)
        normal = np.cross(row, column)
        height = float(position @ normal)
        size = f"{header.Rows}x{header.Columns}"
        series = str(header.SeriesInstanceUID)
    except (AttributeError, TypeError, ValueError):
        return None
    if not np.isfinite(height):
        return None
    return Place(f"{patient} {series} {size} {np.round(normal, 2) + 0.0}", height)


def ordered(places: Iterable[tuple[Path, Place]]) -> dict[Path, Place]:
    """The places of those stacks in which every slice has a place of its own.

    Where two slices of a series lie at one place (repeated scans, faulty headers), nobody knows which follows which:
    its slices get no neighbours, and the log says so.
    """
    stacks: dict[str, list[tuple[Path, Place]]] = defaultdict(list)
    for image, place in places:
        stacks[place.stack].append((image, place))
    kept: dict[Path, Place] = {}
    unordered = 0
    for members in stacks.values():
        gaps = np.diff(sorted(place.height for _, place in members))
        if (gaps < CLOSEST_MM).any():
            unordered += len(members)
            continue
        kept.update(members)
    if unordered:
        log.warning("%d slices are of series with two slices at one place: they get no neighbours.", unordered)
    return kept
