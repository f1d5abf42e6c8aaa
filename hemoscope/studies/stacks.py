"""Slices of one series -> stacks: slices of one grid, orientation and frame of reference, in order from the feet.

In: `Slice`s in any order. Out: `Stack`s; a series of mixed slices gives several. Of several slices at one place one is
kept where their pixels are the same; else a stack is split by acquisition, or cannot be read.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np

from hemoscope.errors import BadScan
from hemoscope.readers.limits import MAX_FRAMES
from hemoscope.studies.geometry import SAME_PLACE_MM, Course, Plane, course_of, heights_mm, plane_of
from hemoscope.studies.headers import Slice
from hemoscope.studies.pixels import decoded

_SAME_COSINES = 5e-3  # a third of a degree
_SAME_SPACING = 1e-3  # of it: vendors round
STACKS_AT_MOST = 64  # in a series
SLICES_AT_MOST = MAX_FRAMES  # in a stack
_TOO_MIXED = (
    f"The slices have more than {STACKS_AT_MOST} orientations or grids, as in a radial or curved reformat: they form "
    "no volume."
)
_TOO_MANY = f"More than {SLICES_AT_MOST} slices lie in one stack, which no CT of a head has."
_NO_POSITION = (
    "The slices state no position (Image Position (0020,0032)) or orientation (0020,0037): their order in the head "
    "cannot be told, and file names do not say."
)


@dataclass(frozen=True)
class Stack:
    """Slices that form a volume.

    Attributes:
        slices: from the feet to the head; of coronal and sagittal ones towards the back and the patient's left.
        plane: how they are cut; None where the header does not say.
        course: distances, tilt and gaps; None where the header states no position.
        copies: how many further slices held the same pixels at the same place and were passed over.
        refusal: why it cannot be read, in a sentence, or "".
    """

    slices: tuple[Slice, ...]
    plane: Plane | None
    course: Course | None
    copies: int = 0
    refusal: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is unusual about its geometry, in sentences."""
        said = () if self.course is None else self.course.sentences()
        if self.copies:
            plural = "slices were" if self.copies > 1 else "slice was"
            said = (*said, f"{self.copies} {plural} there more than once, with the same pixels; one of each is read.")
        return said


def stacks_of(slices: Sequence[Slice]) -> tuple[Stack, ...]:
    """Split, order and check the slices of one series; the largest stack comes first."""
    groups = _alike(slices)
    if len(groups) > STACKS_AT_MOST:
        return (Stack(tuple(slices), None, None, refusal=_TOO_MIXED),)
    stacks = [stack for alike in groups for stack in _ordered(alike)]
    return tuple(sorted(stacks, key=lambda stack: -len(stack.slices)))


def _alike(slices: Iterable[Slice]) -> list[list[Slice]]:
    """Groups of one kind, grid, orientation and frame of reference, in the order in which they first come.

    It ends when there are too many of them.
    """
    groups: list[list[Slice]] = []
    for one in slices:
        for group in groups:
            if _same_grid(one, group[0]):
                group.append(one)
                break
        else:
            groups.append([one])
            if len(groups) > STACKS_AT_MOST:
                break
    return groups


def _same_grid(one: Slice, other: Slice) -> bool:
    same = (
        one.kind == other.kind
        and (one.rows, one.columns) == (other.rows, other.columns)
        and one.frame_of_reference_uid == other.frame_of_reference_uid
        and (one.position_mm is None) == (other.position_mm is None)
    )
    return (
        same
        and _near(one.orientation, other.orientation, _SAME_COSINES, 0)
        and _near(one.spacing_mm, other.spacing_mm, 0, _SAME_SPACING)
    )


def _near(one: Sequence[float] | None, other: Sequence[float] | None, absolute: float, relative: float) -> bool:
    if one is None or other is None:
        return one is other
    return bool(np.allclose(one, other, atol=absolute, rtol=relative))


def _ordered(slices: list[Slice]) -> list[Stack]:
    orientation = slices[0].orientation
    positions = [one.position_mm for one in slices if one.position_mm is not None]
    if orientation is None or len(positions) < len(slices):
        alone = len(slices) == 1
        plane = None if orientation is None else plane_of(orientation)
        return [Stack(tuple(slices), plane, None, refusal="" if alone else _NO_POSITION)]
    if len(slices) > SLICES_AT_MOST:
        return [Stack(tuple(slices), plane_of(orientation), None, refusal=_TOO_MANY)]
    heights = heights_mm(positions, orientation)
    places: list[list[Slice]] = []
    last = -np.inf
    for index in np.argsort(heights, kind="stable"):
        if heights[index] - last > SAME_PLACE_MM:
            places.append([])
            last = heights[index]
        places[-1].append(slices[index])
    if len(places) == len(slices):
        return [_stack([place[0] for place in places])]
    return _without_copies(places)


def _stack(slices: Sequence[Slice], copies: int = 0, refusal: str = "") -> Stack:
    """Of slices in order; of several at one place only where there is a refusal."""
    orientation = slices[0].orientation
    assert orientation is not None
    positions = [one.position_mm for one in slices if one.position_mm is not None]
    course = None if refusal else course_of(positions, orientation, [one.thickness_mm for one in slices])
    return Stack(tuple(slices), plane_of(orientation), course, copies, refusal)


def _without_copies(places: list[list[Slice]]) -> list[Stack]:
    """Keep one of slices with the same pixels; split by acquisition where they differ."""
    try:
        kept = [place if len(place) == 1 else _distinct(place) for place in places]
    except BadScan as error:
        return [_stack([one for place in places for one in place], refusal=str(error))]
    copies = sum(map(len, places)) - sum(map(len, kept))
    if all(len(place) == 1 for place in kept):
        return [_stack([place[0] for place in kept], copies)]
    acquisitions = defaultdict(list)
    for place in kept:
        for one in place:
            acquisitions[one.acquisition].append((one, place))
    parts = [[one for one, _ in part] for part in acquisitions.values()]
    # Each part must be free of double places, and a volume: else nothing tells what belongs together.
    unique = all(len({id(place) for _, place in part}) == len(part) for part in acquisitions.values())
    if unique and len(parts) > 1 and all(len(part) > 1 for part in parts):
        return [_stack(part) for part in parts]
    crowded = max(len(place) for place in kept)
    reason = (
        f"Up to {crowded} different slices lie at one place, as in a series over time (bolus tracking, perfusion) or "
        "one put together from several: which of them belong together cannot be told."
    )
    return [_stack([one for place in kept for one in place], refusal=reason)]


def _distinct(place: list[Slice]) -> list[Slice]:
    """Slices of one place whose pixels differ; of equal ones the same is kept whatever the files are called."""
    found: dict[bytes, Slice] = {}
    for one, scan in decoded(sorted(place, key=lambda one: one.instance_uid)):
        if isinstance(scan, BadScan):
            raise scan
        found.setdefault(sha256(scan.hu.tobytes()).digest(), one)
    return list(found.values())


def refused(stack: Stack, reason: str) -> Stack:
    """The stack, which cannot be read."""
    return replace(stack, refusal=reason)
