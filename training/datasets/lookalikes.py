"""What looks like blood and is none, drawn into real slices without hemorrhage: hard negatives, training only.

In: slices known to hold no blood. Out: `LookalikeSample`s, each with one or two of `KINDS` in it and with no blood as
their truth: a calcified falx, calcified choroid plexus and pineal gland, calcified basal ganglia, dense blood in the
venous sinuses, bone's partial volume along the inner table, and the streaks of beam hardening. They are denser than
brain, as blood is; what tells them apart is where they lie, how dense they are and how their edge looks.

Like bleeds they are drawn into single slices, and lengths take the skull's inside for a disc, see `synthesis`.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from hemoscope.errors import BadData
from hemoscope.labels import CLASSES
from hemoscope.scan import Scan
from training.datasets.sample import NO_BLOOD, Sample
from training.datasets.synthesis import (
    CSF_HU,
    Head,
    LoneSample,
    can_be_made,
    find_head,
    first_that_fits,
    smooth_noise,
    without_blood,
)

SOURCE = "lookalike"
SECOND = 0.3  # the share of slices that get two
SMALLEST_CHANGE_MM2 = 6.0  # with fewer pixels that differ by VISIBLE_HU nothing would be seen
VISIBLE_HU = 6.0
LONGER = 1.1  # by which the head must be longer than wide to show its axis
MOST_TILTED = 0.4  # the sine of the angle of the axis to the upright
FALX_DEPTH_MM = (6.0, 40.0)  # from the inner table inwards, in front and at the back


@dataclass(frozen=True)
class LookalikeSample(LoneSample):
    """A slice without hemorrhage with something in it that looks like blood.

    Attributes:
        seed: of the drawing.
        kinds: of KINDS, what is drawn.
    """

    seed: int = 0
    kinds: tuple[str, ...] = ()

    def scan(self) -> Scan:
        """The slice with what was drawn.

        Raises:
            BadScan: if the file cannot be read.
            BadData: if there is no place for it.
        """
        scan = super().scan()
        head = find_head(scan)
        if head is None:
            raise BadData(f"{self.key}: the skull encloses too little to draw in.")
        hu = draw_lookalikes(head, self.kinds, np.random.default_rng(self.seed))
        if hu is None:
            raise BadData(f"{self.key}: there is no place for {' and '.join(self.kinds)}.")
        if scan.window is not None:
            hu = np.clip(hu, scan.window.lowest_hu, scan.window.highest_hu)
        return replace(scan, hu=hu[None])

    def target(self, rows: int, columns: int) -> NDArray[np.uint8]:
        """NO_BLOOD everywhere."""
        return np.full((rows, columns), NO_BLOOD, np.uint8)


@dataclass(frozen=True)
class Axes:
    """Where the pixels lie to the head's own axes, in millimetres, float32 (rows, columns).

    Attributes:
        along: from the middle along the midline; positive at the back, which lies below in the picture.
        across: from the midline.
    """

    along: NDArray[np.float32]
    across: NDArray[np.float32]


def lookalike_samples(
    samples: Sequence[Sample], count: int, seed: int, fits: Callable[[Sample], bool] = can_be_made
) -> list[LookalikeSample]:
    """`count` slices with something that looks like blood, every kind as often; fewer if the slices have no place.

    Args:
        samples: slices of training patients; only those known to hold no blood are drawn into.
        count: how many are wanted.
        seed: of choice and drawing.
        fits: as of `synthesis.synthetic_samples`.
    """
    empty = without_blood(samples)
    generator = np.random.default_rng(seed)
    names = list(KINDS)
    found: list[LookalikeSample] = []
    for number in range(count if empty else 0):
        wanted = [names[number % len(names)]]
        if generator.random() < SECOND:
            wanted.append(str(generator.choice([name for name in names if name not in wanted])))
        one = first_that_fits(partial(_proposed, empty, tuple(wanted), generator), fits)
        found += [one] if one else []
    return found


def _proposed(empty: Sequence[Sample], kinds: tuple[str, ...], generator: np.random.Generator) -> LookalikeSample:
    return _lookalike(empty[int(generator.integers(len(empty)))], kinds, int(generator.integers(2**31)))


def draw_lookalikes(head: Head, kinds: Sequence[str], generator: np.random.Generator) -> NDArray[np.float32] | None:
    """Draw these kinds; hu, float32 (rows, columns), or None if there is no place for one of them."""
    hu, axes = head.hu, _axes(head, generator)
    for kind in kinds:
        drawn = KINDS[kind](hu, head, axes, generator)
        if ((drawn - hu) > VISIBLE_HU).sum() < SMALLEST_CHANGE_MM2 * head.mm**2:
            return None
        hu = drawn
    return hu


Draw = Callable[[NDArray[np.float32], Head, Axes, np.random.Generator], NDArray[np.float32]]


def _falx(hu: NDArray[np.float32], head: Head, axes: Axes, generator: np.random.Generator) -> NDArray[np.float32]:
    """A calcified or merely dense falx: a thin line in the midline, in front or at the back, with gaps."""
    side = 1 if generator.random() < 0.6 else -1
    reach = generator.uniform(*FALX_DEPTH_MM)
    bend = 1.2 * smooth_noise(hu.shape, 12 * head.mm, generator)
    thick = generator.uniform(0.8, 2.2)
    depth = np.where(side * axes.along > 8, head.depth_mm, np.inf)
    line = (np.abs(axes.across + bend) < thick) & (depth > 0) & (depth < reach)
    if generator.random() < 0.5:  # plaques
        line &= smooth_noise(hu.shape, 4 * head.mm, generator) > 0.2
    return _blended(hu, head, line, generator.uniform(55, 130), generator)


def _midline_calcification(
    hu: NDArray[np.float32], head: Head, axes: Axes, generator: np.random.Generator
) -> NDArray[np.float32]:
    """The calcified pineal gland, alone or with the choroid plexus of both sides, somewhat unlike."""
    back = generator.uniform(4, 20)
    spots = np.zeros(hu.shape, np.bool_)
    if generator.random() < 0.7:
        spots |= _blob(axes, back, generator.normal(0, 1), generator.uniform(1.2, 3.2), head, generator)
    if generator.random() < 0.7 or not spots.any():
        aside, further = generator.uniform(12, 24), back + generator.uniform(2, 14)
        for side in (-1, 1):
            if generator.random() < 0.85:
                at = further + generator.normal(0, 2), side * aside + generator.normal(0, 1.5)
                spots |= _blob(axes, *at, generator.uniform(1.5, 4.5), head, generator)
    return _blended(hu, head, spots & (head.depth_mm > 12), generator.uniform(70, 220), generator)


def _basal_ganglia(
    hu: NDArray[np.float32], head: Head, axes: Axes, generator: np.random.Generator
) -> NDArray[np.float32]:
    """Faint calcium in the pallidum of both sides, alike: blood would lie on one."""
    forward, aside, radius = generator.uniform(-14, 2), generator.uniform(14, 22), generator.uniform(1.5, 5)
    spots = np.zeros(hu.shape, np.bool_)
    for side in (-1, 1):
        at = forward + generator.normal(0, 1.5), side * aside + generator.normal(0, 1)
        spots |= _blob(axes, *at, radius * generator.uniform(0.7, 1.2), head, generator)
    spots &= (head.depth_mm > 15) & (head.smooth > CSF_HU)
    return _blended(hu, head, spots, generator.uniform(50, 110), generator)


def _sinus(hu: NDArray[np.float32], head: Head, axes: Axes, generator: np.random.Generator) -> NDArray[np.float32]:
    """Dense flowing blood: the sagittal sinus at the back or in front, or a transverse sinus along the table."""
    if generator.random() < 0.5:
        side = 1 if generator.random() < 0.75 else -1
        width, deep = generator.uniform(2.5, 5), generator.uniform(4, 11)
        region = (side * axes.along > 0) & (head.depth_mm < deep)
        region &= np.abs(axes.across) < width * (1 - head.depth_mm / (1.3 * deep))
    else:
        start, end = generator.uniform(3, 15), generator.uniform(35, 60)
        both = generator.random() < 0.4
        side = 1 if generator.random() < 0.5 else -1
        lateral = np.abs(axes.across) if both else side * axes.across
        region = (axes.along > 25) & (lateral > start) & (lateral < end)
        region &= head.depth_mm < generator.uniform(2.5, 6.5)
    above = generator.uniform(10, 32)
    return _blended(hu, head, region & head.inside, head.brain_hu + above, generator)


def _partial_volume(
    hu: NDArray[np.float32], head: Head, axes: Axes, generator: np.random.Generator
) -> NDArray[np.float32]:
    """Where the skull slopes through the slice its density fades inwards along the table, without any edge."""
    centre, half = generator.uniform(-np.pi, np.pi), np.radians(generator.uniform(25, 180))
    off = np.abs(np.angle(np.exp(1j * (head.angle - centre)))) / half
    deep = generator.uniform(1.2, 3.5) * (1 + 0.2 * smooth_noise(hu.shape, 8 * head.mm, generator))
    fade = np.exp(-head.depth_mm / np.maximum(deep, 0.5)) * np.clip(1.2 * np.cos(np.clip(off, 0, 1) * np.pi / 2), 0, 1)
    more = generator.uniform(25, 70) * fade * head.inside
    return (hu + more).astype(np.float32)


def _streaks(hu: NDArray[np.float32], head: Head, axes: Axes, generator: np.random.Generator) -> NDArray[np.float32]:
    """Beam hardening: bright and dark bands between dense bones, and brain that brightens towards the table."""
    turn = generator.normal(0, 0.15)
    at = generator.uniform(-40, 45)
    off = axes.along * np.cos(turn) + axes.across * np.sin(turn) - at
    change = np.zeros(hu.shape, np.float32)
    for _ in range(int(generator.integers(2, 6))):
        place, width = generator.normal(0, 9), generator.uniform(2.5, 6)
        change += generator.choice([-1, 1]) * generator.uniform(5, 16) * np.exp(-(((off - place) / width) ** 2))
    ends = smooth_noise(hu.shape, 20 * head.mm, generator)
    cupping = generator.uniform(0, 12) * np.exp(-head.depth_mm / generator.uniform(4, 9))
    return (hu + (change * np.clip(0.7 + 0.4 * ends, 0, 1) + cupping) * head.inside).astype(np.float32)


KINDS: dict[str, Draw] = {
    "falx": _falx,
    "pineal gland and choroid plexus": _midline_calcification,
    "basal ganglia": _basal_ganglia,
    "venous sinus": _sinus,
    "partial volume": _partial_volume,
    "beam hardening": _streaks,
}


def _axes(head: Head, generator: np.random.Generator) -> Axes:
    """The head's axes: the longer one of the skull's inside is the midline; the upright one where that is not clear."""
    rows, columns = np.nonzero(head.inside)
    row, column = rows.mean(), columns.mean()
    points = np.stack([rows - row, columns - column])
    spread, directions = np.linalg.eigh(np.cov(points))
    down, right = directions[:, -1] * np.sign(directions[0, -1] or 1)
    if spread[1] < LONGER**2 * spread[0] or abs(right) > MOST_TILTED:
        down, right = 1.0, 0.0
    row, column = row + generator.normal(0, 0.5) * head.mm, column + generator.normal(0, 0.8) * head.mm
    all_rows, all_columns = np.indices(head.hu.shape, np.float32)
    vertical, horizontal = (all_rows - row) / head.mm, (all_columns - column) / head.mm
    along, across = vertical * down + horizontal * right, horizontal * down - vertical * right
    return Axes(along.astype(np.float32), across.astype(np.float32))


def _blob(
    axes: Axes, along: float, across: float, radius: float, head: Head, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """An uneven round spot, in places and sizes of millimetres."""
    distance = np.hypot(axes.along - along, axes.across - across)
    bumps = 1 + 0.3 * smooth_noise(distance.shape, max(0.5 * radius * head.mm, 2), generator)
    return np.asarray(distance < radius * bumps)


def _blended(
    hu: NDArray[np.float32], head: Head, region: NDArray[np.bool_], dense: float, generator: np.random.Generator
) -> NDArray[np.float32]:
    """The slice with something of that density in the region: partial volume at its rim, the scanner's noise."""
    share = cv2.GaussianBlur(region.astype(np.float32), (0, 0), generator.uniform(0.4, 0.9) * head.mm)
    noise = np.clip(head.hu - cv2.GaussianBlur(head.hu, (0, 0), 1.5), -12, 12)
    grain = generator.uniform(1, 6) * smooth_noise(hu.shape, 2 * head.mm, generator)
    return ((1 - share) * hu + share * np.maximum(dense + grain + noise, hu)).astype(np.float32)


def _lookalike(base: Sample, kinds: tuple[str, ...], seed: int) -> LookalikeSample:
    name = hashlib.sha256(f"{base.key} {kinds} {seed}".encode()).hexdigest()[:16]
    return LookalikeSample(
        source=SOURCE, patient=base.group, image=base.image, labels=(0.0,) * len(CLASSES), window=base.window,
        blood_free=True, name=name, seed=seed, kinds=kinds,
    )  # fmt: skip
