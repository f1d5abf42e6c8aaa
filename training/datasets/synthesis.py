"""Bleeds drawn into real slices without hemorrhage, with pixel-exact truth: training only.

In: slices known to hold no blood. Out: `SyntheticSample`s, each with a bleed where its subtype lives: crescents along
the inner table (subdural), lenses on it (epidural), blobs with edema in the brain (intraparenchymal), blood in
ventricles that are there (intraventricular) and in sulci and cisterns that are there (subarachnoid).

Bleeds are drawn into one slice, never into its neighbours: a network that sees those would learn that a slice unlike
its neighbours bleeds. Left out, the slice would stand in for them, and it would learn the same of slices without any.
So drawn slices are refused where neighbours are asked for.

Pictures have no pixel spacing: lengths take the skull's inside for a disc of 70 mm radius, halfway up an adult's.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from hemoscope.errors import BadData, BadScan
from hemoscope.labels import ANY, CLASSES, SUBTYPES
from hemoscope.preprocessing import intracranial_mask
from hemoscope.scan import Scan
from training.datasets.sample import BLOOD, NO_BLOOD, SUBTYPE_BITS, Sample

SOURCE = "synthetic"
INNER_RADIUS_MM = 70.0
BONE_HU = 92.0
WINDOW_MARGIN_HU = 4.0  # below a picture's upper end, where bone is cut off
SMALLEST_INSIDE = 0.1  # of the picture: with less brain than that nothing is drawn
SMALLEST_SOLIDITY = 0.85  # of the inside in its convex hull: at the skull's base orbits and sinuses pass for inside
SMALLEST_BLEED_MM2 = 25.0
FAINTEST_HU = 8.0  # by which a bleed must be brighter than what was there
CSF_HU = 20.0
DENSEST_BRAIN_HU = 55.0
NO_NEIGHBOURS = (
    "Slices are made one by one: on adjacent slices a training must have synthetic=0, pasted=0 and lookalikes=0."
)
SECOND_BLEED = 0.25  # the share of slices that get two
TRIES = 12
Made = TypeVar("Made", bound=Sample)


@dataclass(frozen=True)
class Head:
    """What drawing needs to know of a slice.

    Attributes:
        hu: float32 (rows, columns).
        smooth: hu without its noise, float32; bone does not bleed into it.
        depth_mm: from the inner table inwards, float32; 0 outside the skull's inside.
        angle: round the inside's centre, radians, float32.
        brain_hu: of this slice's brain; scanners and pictures differ by ten and more.
        mm: pixels in a millimetre.
    """

    hu: NDArray[np.float32]
    smooth: NDArray[np.float32]
    depth_mm: NDArray[np.float32]
    angle: NDArray[np.float32]
    brain_hu: float
    mm: float

    @property
    def inside(self) -> NDArray[np.bool_]:
        """The skull's inside, bool (rows, columns)."""
        return self.depth_mm > 0


@dataclass(frozen=True)
class LoneSample(Sample):
    """A slice that was made, whose neighbours know nothing of what was put into it."""

    def in_context(self, reach: int) -> tuple[Scan, int]:
        """The slice alone.

        Raises:
            BadData: if neighbours are asked for.
        """
        if reach:
            raise BadData(f"{self.key}: {NO_NEIGHBOURS}")
        return self.scan(), 0


@dataclass(frozen=True)
class SyntheticSample(LoneSample):
    """A slice without hemorrhage with bleeds drawn into it.

    Attributes:
        seed: of the drawing.
        kinds: the subtypes drawn.
    """

    seed: int = 0
    kinds: tuple[str, ...] = ()

    def scan(self) -> Scan:
        """The slice with its bleeds.

        Raises:
            BadScan: if the file cannot be read.
            BadData: if there is no room for the bleeds.
        """
        return _drawn_scan(self)[0]

    def target(self, rows: int, columns: int) -> NDArray[np.uint8]:
        """BLOOD where it was drawn, NO_BLOOD elsewhere."""
        return np.where(_drawn_scan(self)[1] > 0, BLOOD, NO_BLOOD).astype(np.uint8)

    def candidates(self, target: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The subtype that was drawn."""
        return _drawn_scan(self)[1]

    def slice_without(self) -> Scan:
        """The slice as it is."""
        return super().scan()


@lru_cache(maxsize=16)  # slice, target and subtypes are asked for one after the other
def _drawn_scan(one: SyntheticSample) -> tuple[Scan, NDArray[np.uint8]]:
    """The slice with its bleeds, and their subtypes; raises what `SyntheticSample.scan` does."""
    scan = one.slice_without()
    head = find_head(scan)
    if head is None:
        raise BadData(f"{one.key}: the skull encloses too little to draw a bleed in.")
    drawn = draw_bleeds(head, one.kinds, np.random.default_rng(one.seed))
    if drawn is None:
        raise BadData(f"{one.key}: there is no room for {' and '.join(one.kinds)} bleeding.")
    hu, subtypes = drawn
    if scan.window is not None:
        hu = np.clip(hu, scan.window.lowest_hu, scan.window.highest_hu)
    return replace(scan, hu=hu[None]), subtypes


def can_be_made(one: Sample) -> bool:
    """Whether a slice's files can be read and there is room in it for what is put into it."""
    try:
        one.scan()
    except (BadScan, BadData):
        return False
    return True


def without_blood(samples: Sequence[Sample]) -> list[Sample]:
    """Those known to hold no blood: what is made is put into these alone."""
    return [sample for sample in samples if sample.labels[0] == 0 and sample.mask is None]


def first_that_fits(propose: Callable[[], Made], fits: Callable[[Sample], bool]) -> Made | None:
    """The first of a few proposals that can be made, or None."""
    return next((one for one in (propose() for _ in range(TRIES)) if fits(one)), None)


def synthetic_samples(
    samples: Sequence[Sample], count: int, seed: int, fits: Callable[[Sample], bool] = can_be_made
) -> list[SyntheticSample]:
    """`count` slices with drawn bleeds, every subtype as often; fewer if the slices have too little room.

    Args:
        samples: slices of training patients; only those known to hold no blood are drawn into.
        count: how many are wanted.
        seed: of choice and drawing.
        fits: whether a slice can be made; what is not known of it has to be tried out.
    """
    empty = without_blood(samples)
    generator = np.random.default_rng(seed)
    found: list[SyntheticSample] = []
    for number in range(count if empty else 0):
        wanted = [SUBTYPES[number % len(SUBTYPES)]]
        if generator.random() < SECOND_BLEED:
            wanted.append(str(generator.choice([kind for kind in SUBTYPES if kind not in wanted])))
        one = first_that_fits(partial(_proposed, empty, tuple(wanted), generator), fits)
        found += [one] if one else []
    return found


def _proposed(empty: Sequence[Sample], kinds: tuple[str, ...], generator: np.random.Generator) -> SyntheticSample:
    return _synthetic(empty[int(generator.integers(len(empty)))], kinds, int(generator.integers(2**31)))


def find_head(scan: Scan) -> Head | None:
    """The head of a slice, or None where the skull encloses too little."""
    hu = scan.hu[0]
    inside = intracranial_mask(hu)
    if inside.all():
        return None
    top = BONE_HU if scan.window is None else min(BONE_HU, scan.window.highest_hu - WINDOW_MARGIN_HU)
    bone = cv2.GaussianBlur(hu, (0, 0), 1) > top
    inside = _without_holes(inside & ~bone)
    area = int(inside.sum())
    if area < SMALLEST_INSIDE * inside.size or _solidity(inside) < SMALLEST_SOLIDITY:
        return None
    mm = float(np.sqrt(area / np.pi)) / INNER_RADIUS_MM
    weight = (inside & ~bone).astype(np.float32)
    sigma = 1.2 * mm
    smooth = cv2.GaussianBlur(hu * weight, (0, 0), sigma) / (cv2.GaussianBlur(weight, (0, 0), sigma) + 1e-3)
    depth_mm = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 5) / mm
    rows, columns = np.indices(hu.shape, np.float32)
    centre_row, centre_column = rows[inside].mean(), columns[inside].mean()
    angle = np.arctan2(rows - centre_row, columns - centre_column)
    tissue = smooth[inside & (smooth > CSF_HU) & (smooth < DENSEST_BRAIN_HU)]
    if not tissue.size:
        return None
    brain_hu = float(np.median(tissue))
    return Head(hu, smooth.astype(np.float32), depth_mm.astype(np.float32), angle.astype(np.float32), brain_hu, mm)


def draw_bleeds(
    head: Head, kinds: Sequence[str], generator: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.uint8]] | None:
    """Draw one bleed of each of these subtypes.

    Returns:
        hu, float32 (rows, columns), and what was drawn: the last bleed's `SUBTYPE_BITS` in each pixel, 0 where there is
        none, uint8 (rows, columns); None if the slice has no room for one of them, or one would not be seen.
    """
    hu, subtypes = head.hu, np.zeros(head.hu.shape, np.uint8)
    for kind in kinds:
        region = _rounded(_REGIONS[kind](head, generator), head)
        if region.sum() < SMALLEST_BLEED_MM2 * head.mm**2:
            return None
        bled = _coloured(hu, head, region, kind, generator)
        if (bled - hu)[region].mean() < FAINTEST_HU:
            return None
        hu = bled
        subtypes[region] = SUBTYPE_BITS[kind]
    return hu, subtypes


def _rounded(region: NDArray[np.bool_], head: Head) -> NDArray[np.bool_]:
    inside = (region & head.inside).astype(np.float32)
    return np.asarray((cv2.GaussianBlur(inside, (0, 0), 0.6 * head.mm) > 0.5) & head.inside)


def _subdural(head: Head, generator: np.random.Generator) -> NDArray[np.bool_]:
    off = _off_centre(head, generator.uniform(-np.pi, np.pi), np.radians(generator.uniform(20, 80)))
    thickness_mm = generator.uniform(3, 6) if generator.random() < 0.5 else generator.uniform(6, 14)
    profile = np.clip(np.cos(np.clip(off, 0, 1) * np.pi / 2), 0, 1) ** generator.uniform(0.4, 1.0)
    return _wavy(head, generator, 1.0) < thickness_mm * profile


def _epidural(head: Head, generator: np.random.Generator) -> NDArray[np.bool_]:
    off = _off_centre(head, generator.uniform(-np.pi, np.pi), np.radians(generator.uniform(7, 24)))
    thickness_mm = generator.uniform(4, 10) if generator.random() < 0.5 else generator.uniform(10, 26)
    return _wavy(head, generator, 0.8) < thickness_mm * np.sqrt(np.clip(1 - off**2, 0, 1))


def _intraparenchymal(head: Head, generator: np.random.Generator) -> NDArray[np.bool_]:
    brain = (head.depth_mm > 10) & (head.smooth > CSF_HU) & (head.smooth < DENSEST_BRAIN_HU)
    places = np.flatnonzero(brain)
    if not places.size:
        return brain
    row, column = np.unravel_index(int(generator.choice(places)), brain.shape)
    rows, columns = np.indices(brain.shape, np.float32)
    down, right = rows - row, columns - column
    turn = generator.uniform(0, np.pi)
    along, across = down * np.sin(turn) + right * np.cos(turn), down * np.cos(turn) - right * np.sin(turn)
    radius = head.mm * (generator.uniform(2.5, 8) if generator.random() < 0.5 else generator.uniform(8, 28))
    ratio = generator.uniform(1, 1.8)
    distance = np.sqrt((along / ratio**0.5) ** 2 + (across * ratio**0.5) ** 2)
    bumps = 1 + 0.22 * smooth_noise(brain.shape, max(0.4 * radius, 2), generator)
    return (distance < radius * bumps) & (head.depth_mm > 2)


def _intraventricular(head: Head, generator: np.random.Generator) -> NDArray[np.bool_]:
    fluid = ((head.smooth < CSF_HU) & (head.depth_mm > 22)).astype(np.uint8)
    fluid = cv2.morphologyEx(fluid, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, pieces, statistics, _ = cv2.connectedComponentsWithStats(fluid, connectivity=8)
    filled = np.zeros(fluid.shape, np.bool_)
    chosen = [p for p in range(1, count) if statistics[p, cv2.CC_STAT_AREA] >= 60 * head.mm**2]
    share = generator.uniform(0.2, 1.3)  # from 1 on all of it: a cast
    for piece in chosen:
        place = pieces == piece
        if len(chosen) > 1 and generator.random() < 0.3:
            continue
        # The patient lies on the back: blood sinks to the back of the head, below in the picture.
        level = np.quantile(np.nonzero(place)[0], max(1 - share, 0))
        filled |= place & (np.indices(place.shape)[0] >= level)
    return filled


def _subarachnoid(head: Head, generator: np.random.Generator) -> NDArray[np.bool_]:
    fluid = (head.smooth < CSF_HU + 4) & (head.depth_mm < 20)
    off = _off_centre(head, generator.uniform(-np.pi, np.pi), np.radians(generator.uniform(25, 110)))
    return fluid & (off < 1) & (smooth_noise(fluid.shape, 8 * head.mm, generator) > -0.7)


_REGIONS: dict[str, Callable[[Head, np.random.Generator], NDArray[np.bool_]]] = {
    "epidural": _epidural,
    "intraparenchymal": _intraparenchymal,
    "intraventricular": _intraventricular,
    "subarachnoid": _subarachnoid,
    "subdural": _subdural,
}


def _coloured(
    hu: NDArray[np.float32], head: Head, region: NDArray[np.bool_], kind: str, generator: np.random.Generator
) -> NDArray[np.float32]:
    """The slice with blood in the region: its density and structure, the scanner's noise, partial volume at the rim."""
    if kind == "intraparenchymal":
        rim_mm = generator.uniform(0, 7)
        near = cv2.GaussianBlur(region.astype(np.float32), (0, 0), max(rim_mm * head.mm, 0.5))
        hu = hu - generator.uniform(3, 10) * np.clip(2 * near, 0, 1) * (head.inside & (head.smooth > CSF_HU))
    if kind in ("subarachnoid", "intraventricular"):  # mixed with fluid
        above_brain_hu = generator.uniform(4, 32)
    else:
        above_brain_hu = generator.uniform(12, 22) if generator.random() < 0.35 else generator.uniform(22, 40)
    structure = generator.uniform(1, 6) * smooth_noise(hu.shape, generator.uniform(2, 8) * head.mm, generator)
    noise = head.hu - cv2.GaussianBlur(head.hu, (0, 0), 1.5)
    share = cv2.GaussianBlur(region.astype(np.float32), (0, 0), generator.uniform(0.4, 1.2) * head.mm)
    share = share * (head.inside | region)
    blood = head.brain_hu + above_brain_hu + structure + np.clip(noise, -12, 12)
    return ((1 - share) * hu + share * blood).astype(np.float32)


def _off_centre(head: Head, centre: float, half: float) -> NDArray[np.float32]:
    """The angle from `centre`, 1 at `half` to either side."""
    off = np.abs(np.angle(np.exp(1j * (head.angle - centre)))) / half
    return np.asarray(off, np.float32)


def _wavy(head: Head, generator: np.random.Generator, amplitude_mm: float) -> NDArray[np.float32]:
    depth = head.depth_mm + amplitude_mm * smooth_noise(head.hu.shape, 5 * head.mm, generator)
    return np.where(head.inside, np.maximum(depth, 1e-3), np.inf).astype(np.float32)


def smooth_noise(shape: tuple[int, ...], sigma: float, generator: np.random.Generator) -> NDArray[np.float32]:
    """Smooth noise with mean 0 and standard deviation 1; `sigma` in pixels is how coarse it is."""
    coarse = max(sigma / 2, 1.0)
    small = generator.standard_normal([max(round(side / coarse), 2) for side in shape]).astype(np.float32)
    small = cv2.GaussianBlur(small, (0, 0), 2, borderType=cv2.BORDER_REFLECT)
    field = cv2.resize(small, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray((field - field.mean()) / (field.std() + 1e-6), np.float32)


def _without_holes(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Close what lies wholly within: calcified falx and choroid."""
    outside = cv2.copyMakeBorder((~inside).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    cv2.floodFill(outside, None, (0, 0), 2)
    return np.asarray(outside[1:-1, 1:-1] != 2)


def _solidity(inside: NDArray[np.bool_]) -> float:
    hull = cv2.convexHull(np.argwhere(inside)[:, ::-1].astype(np.int32))
    return float(inside.sum() / max(cv2.contourArea(hull), 1.0))


def _synthetic(base: Sample, kinds: tuple[str, ...], seed: int) -> SyntheticSample:
    labels = tuple(1.0 if name == ANY or name in kinds else 0.0 for name in CLASSES)
    name = hashlib.sha256(f"{base.key} {kinds} {seed}".encode()).hexdigest()[:16]
    return SyntheticSample(
        source=SOURCE, patient=base.group, image=base.image, labels=labels, window=base.window, name=name,
        seed=seed, kinds=kinds,
    )  # fmt: skip
