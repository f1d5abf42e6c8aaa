"""A stack -> the `Scan` that a model reads, and the way back to the stored slices.

In: a `Stack`. Out: a `Volume`: slices or, where they are thin, slabs, from the feet to the head, seen from the feet
with the patient's left on the right; and arrays of it taken back to the files' own pixels. One slice is decoded at a
time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hemoscope.errors import BadScan
from hemoscope.readers.limits import MAX_PIXELS
from hemoscope.scan import Scan, ScanFacts
from hemoscope.studies.choice import Candidate
from hemoscope.studies.files import LeftOut
from hemoscope.studies.geometry import Course, Place, Turn, course_of, heights_mm, turn_of
from hemoscope.studies.headers import Slice
from hemoscope.studies.pixels import decoded
from hemoscope.studies.slabs import SLAB_MM, Slabs, slabs_of
from hemoscope.studies.stacks import Stack

_OF_PIXELS = " of the pixels are "


@dataclass(frozen=True)
class Volume:
    """A stack with its pixels.

    Attributes:
        scan: what a model reads: one slice for each of `slices`, or one for each slab.
        slices: the stored slices that were read, from the feet to the head.
        course: their distances, tilt and gaps; None where positions are unknown.
        turn: how the stored pictures were turned.
        slabs: which slices were averaged to which slice of the scan; None where none were.
        left_out: slices whose pixels could not be read, and why.
    """

    scan: Scan
    slices: tuple[Slice, ...]
    course: Course | None
    turn: Turn
    slabs: Slabs | None
    left_out: tuple[LeftOut, ...]

    def on_slices(self, values: NDArray[Any]) -> NDArray[Any]:
        """Take masks or maps of the scan back to the stored slices.

        Args:
            values: (slices or slabs of the scan, rows, columns) on the scan's grid.

        Returns:
            (len(self.slices), rows, columns) on the grid of the files: slice i lies over the pixels of `slices[i]`.
            All slices of a slab have the slab's.
        """
        if values.shape != self.scan.hu.shape:
            raise ValueError(f"values {values.shape} do not lie on the scan {self.scan.hu.shape}")
        stored = self.turn.undo(values)
        return stored if self.slabs is None else self.slabs.on_slices(stored)

    def stored(self, index: int) -> range:
        """The places in `slices` behind one slice of the scan: several where it is a slab."""
        return range(index, index + 1) if self.slabs is None else self.slabs.slices(index)


def read_volume(
    candidate: Candidate,
    *,
    progress: Callable[[int, int], object] | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Volume:
    """Decode a stack, slice by slice; thin slices go straight into their slabs.

    Args:
        candidate: one that can be read, as `Studies.pick` gives it.
        progress: told how many slices of how many are done; what it raises ends the reading.
        max_pixels: refuse scans with more, after averaging. A float32 scan takes 4 bytes a pixel.

    Raises:
        BadScan: where the stack cannot be read, is too large, or none of its slices can be decoded.
    """
    stack = candidate.stack
    if stack is None or stack.refusal:
        raise BadScan(candidate.reason)
    turn = _turn(stack)
    slabs = _slabs(stack)
    first = stack.slices[0]
    rows, columns = (first.columns, first.rows) if turn.transpose else (first.rows, first.columns)
    count = len(stack.slices) if slabs is None else len(slabs)
    if count * rows * columns > max_pixels:
        raise BadScan(f"{count} slices of {rows} x {columns} are more than the {max_pixels} pixels that are read.")
    filling = _Filling(np.zeros((count, rows, columns), np.float32), np.zeros(count, np.int32))
    order = {id(one): index for index, one in enumerate(stack.slices)}
    for done, (one, scan) in enumerate(decoded(stack.slices), 1):
        index = order[id(one)]
        if isinstance(scan, BadScan):
            filling.lost[index] = str(scan)
        else:
            filling.add(index if slabs is None else slabs.of_slice[index], turn, scan)
        if progress is not None:
            progress(done, len(stack.slices))
    return _finished(stack, turn, slabs, filling, candidate.series.facts)


@dataclass
class _Filling:
    """A scan while slices come in, in any order."""

    hu: NDArray[np.float32]
    counts: NDArray[np.int32]
    lost: dict[int, str] = field(default_factory=dict)
    notes: dict[str, tuple[str, int]] = field(default_factory=dict)

    def add(self, place: int, turn: Turn, scan: Scan) -> None:
        self.hu[place] += turn.apply(scan.hu[0])
        self.counts[place] += 1
        for note in scan.notes:
            kind = note.partition(_OF_PIXELS)[2] or note
            self.notes[kind] = (note, self.notes.get(kind, ("", 0))[1] + 1)

    def said(self) -> list[str]:
        """Each note once; shares of pixels, which differ from slice to slice, as the number of slices."""
        whole = int(self.counts.sum())
        return [
            f"In {count} of {whole} slices some pixels are {kind}" if _OF_PIXELS in note else note
            for kind, (note, count) in self.notes.items()
        ]

    def averaged(self) -> NDArray[np.float32]:
        """The scan without the places at which nothing came in; no second array is made."""
        kept = np.flatnonzero(self.counts)
        for to, place in enumerate(kept):
            np.divide(self.hu[place], np.float32(self.counts[place]), out=self.hu[to])
        return self.hu[: len(kept)]


def _turn(stack: Stack) -> Turn:
    orientation = stack.slices[0].orientation
    return turn_of(orientation) if stack.plane == "axial" and orientation is not None else Turn()


def _slabs(stack: Stack) -> Slabs | None:
    orientation = stack.slices[0].orientation
    if stack.plane != "axial" or stack.course is None or orientation is None:
        return None
    return slabs_of(heights_mm(_positions(stack.slices), orientation).tolist())


def _positions(slices: Sequence[Slice]) -> list[tuple[float, float, float]]:
    return [one.position_mm for one in slices if one.position_mm is not None]


def _finished(stack: Stack, turn: Turn, slabs: Slabs | None, filling: _Filling, facts: ScanFacts) -> Volume:
    if len(filling.lost) == len(stack.slices):
        raise BadScan(next(iter(filling.lost.values())))
    kept = tuple(one for index, one in enumerate(stack.slices) if index not in filling.lost)
    if slabs is not None:
        slabs = slabs.without(tuple(filling.lost))
    course = stack.course
    if course is not None and filling.lost and kept[0].orientation is not None:
        course = course_of(_positions(kept), kept[0].orientation, [one.thickness_mm for one in kept])
    places = _places(kept, turn)
    spacing = kept[0].spacing_mm
    if spacing is not None and turn.transpose:
        spacing = (spacing[1], spacing[0])
    uids = tuple(one.instance_uid for one in kept)
    scan = Scan(
        hu=filling.averaged(),
        calibrated=True,
        spacing_mm=spacing,
        positions_mm=None if places is None else _scan_positions([one.position_mm for one in places], slabs),
        orientation=None if places is None else places[0].orientation,
        slice_thickness_mm=kept[0].thickness_mm if slabs is None else _slab_thickness(course, slabs),
        instance_uids=uids if slabs is None and all(uids) else None,
        frame_of_reference_uid=kept[0].frame_of_reference_uid,
        facts=facts,
        notes=tuple(_notes(replace(stack, slices=kept, course=course), slabs, filling)),
    )
    left_out = tuple(LeftOut(stack.slices[index].file.name, reason) for index, reason in sorted(filling.lost.items()))
    return Volume(scan, kept, course, turn, slabs, left_out)


def _places(slices: Sequence[Slice], turn: Turn) -> list[Place] | None:
    """The planes of the turned pictures; None where the header does not tell enough of them."""
    places = []
    for one in slices:
        if one.position_mm is None or one.orientation is None or (one.spacing_mm is None and turn != Turn()):
            return None
        # Without a turn the spacing moves nothing.
        place = Place(one.position_mm, one.orientation, one.spacing_mm or (1.0, 1.0), one.rows, one.columns)
        places.append(place.turned(turn))
    return places


def _scan_positions(
    positions_mm: Sequence[tuple[float, float, float]], slabs: Slabs | None
) -> tuple[tuple[float, float, float], ...]:
    if slabs is None:
        return tuple(positions_mm)
    means = [np.mean([positions_mm[index] for index in slabs.slices(slab)], axis=0) for slab in range(len(slabs))]
    return tuple((float(x), float(y), float(z)) for x, y, z in means)


def _slab_thickness(course: Course | None, slabs: Slabs) -> float | None:
    if course is None or course.usual_gap_mm is None:
        return None
    return course.usual_gap_mm * max(len(slabs.slices(slab)) for slab in range(len(slabs)))


def _notes(stack: Stack, slabs: Slabs | None, filling: _Filling) -> list[str]:
    notes, course = list(stack.notes), stack.course
    if filling.lost:
        plural = "slices" if len(filling.lost) > 1 else "slice"
        notes.append(
            f"{len(filling.lost)} {plural} of {len(stack.slices) + len(filling.lost)} could not be read: blood there "
            f"cannot be seen. {next(iter(filling.lost.values()))}"
        )
    if slabs is not None and course is not None and course.usual_gap_mm is not None:
        plural = "slabs" if len(slabs) > 1 else "slab"
        notes.append(
            f"{len(slabs.of_slice)} thin slices, {course.usual_gap_mm:.2f} mm apart, were averaged to {len(slabs)} "
            f"{plural} of about {SLAB_MM:g} mm for the model, which counts these as its slices."
        )
    return [*notes, *filling.said()]
