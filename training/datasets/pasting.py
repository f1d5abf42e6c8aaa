"""Real bleeds of one patient, pasted into another's slice without hemorrhage, with pixel-exact truth: training only.

In: slices whose blood is of one subtype and outlined by a mask or boxes (donors), and slices known to hold no blood
(hosts). Out: `PastedSample`s.

The donor's head is laid over the host's in polar coordinates round the middle of each skull's inside, in shares of the
distance to the inner table: what touches the skull there touches it here. Blood keeps how much denser than its own
brain it was. Blood in ventricles and sulci is not pasted, for those of two people do not lie alike; it is drawn, see
`synthesis`. Pasted bleeds go into single slices, as drawn ones do.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import cv2
import numpy as np
from numpy.typing import NDArray

from hemoscope.errors import BadData
from hemoscope.labels import CLASSES
from hemoscope.scan import Scan
from training.datasets.pseudo import outline_boxes
from training.datasets.sample import BLOOD, NO_BLOOD, Sample
from training.datasets.synthesis import (
    FAINTEST_HU,
    SMALLEST_BLEED_MM2,
    Head,
    LoneSample,
    can_be_made,
    find_head,
    first_that_fits,
    without_blood,
)

SOURCE = "pasted"
KINDS = ("epidural", "intraparenchymal", "subdural")
LARGEST_TURN = {"epidural": 40.0, "intraparenchymal": 15.0, "subdural": 40.0}  # degrees; the skull is nearly round
RIM_MM = (0.0, 6.0)  # of the donor's brain that comes along with an intraparenchymal bleed: its edema
DIRECTIONS = 360


@dataclass(frozen=True)
class PastedSample(LoneSample):
    """A slice without hemorrhage with another patient's bleed in it.

    Attributes:
        donor: the slice with the bleed.
        seed: of how it is turned, mirrored and blended.
    """

    donor: Sample | None = None
    seed: int = 0

    def scan(self) -> Scan:
        """The host's slice with the bleed.

        Raises:
            BadScan: if a file cannot be read.
            BadData: if the bleed cannot be pasted.
        """
        return _pasted_scan(self)[0]

    def target(self, rows: int, columns: int) -> NDArray[np.uint8]:
        """BLOOD where it was pasted, NO_BLOOD elsewhere."""
        return np.where(_pasted_scan(self)[1], BLOOD, NO_BLOOD).astype(np.uint8)

    def host_scan(self) -> Scan:
        """The host's slice as it is."""
        return super().scan()


@lru_cache(maxsize=16)  # slice and target are asked for one after the other
def _pasted_scan(one: PastedSample) -> tuple[Scan, NDArray[np.bool_]]:
    """The host's slice with the bleed, and where that is; raises what `PastedSample.scan` does."""
    assert one.donor is not None
    scan, donor = one.host_scan(), one.donor.scan()
    target = one.donor.target(*donor.hu.shape[1:])
    if one.donor.mask is None:
        target = outline_boxes(donor, target, one.donor.boxes)
    host_head, donor_head = find_head(scan), find_head(donor)
    if host_head is None or donor_head is None:
        raise BadData(f"{one.key}: a skull encloses too little to paste a bleed into or out of.")
    generator = np.random.default_rng(one.seed)
    pasted = paste_bleed(host_head, donor_head, target == BLOOD, kind_of(one.donor), generator)
    if pasted is None:
        raise BadData(f"{one.key}: the bleed of {one.donor.key} would not be seen here.")
    hu, blood = pasted
    if scan.window is not None:
        hu = np.clip(hu, scan.window.lowest_hu, scan.window.highest_hu)
    return replace(scan, hu=hu[None]), blood


def pasted_samples(
    samples: Sequence[Sample], count: int, seed: int, fits: Callable[[Sample], bool] = can_be_made
) -> list[PastedSample]:
    """`count` slices with pasted bleeds, every subtype that has donors as often; fewer if they fit too badly.

    Args:
        samples: slices of training patients, donors and hosts among them.
        count: how many are wanted.
        seed: of choice and pasting.
        fits: as of `synthesis.synthetic_samples`.
    """
    hosts = without_blood(samples)
    donors = {kind: [sample for sample in samples if kind_of(sample) == kind] for kind in KINDS}
    kinds = [kind for kind in KINDS if donors[kind]]
    generator = np.random.default_rng(seed)
    found: list[PastedSample] = []
    for number in range(count if hosts and kinds else 0):
        possible = donors[kinds[number % len(kinds)]]
        one = first_that_fits(partial(_proposed, hosts, possible, generator), fits)
        found += [one] if one else []
    return found


def _proposed(hosts: Sequence[Sample], donors: Sequence[Sample], generator: np.random.Generator) -> PastedSample:
    host, donor = (choice[int(generator.integers(len(choice)))] for choice in (hosts, donors))
    return _pasted(host, donor, int(generator.integers(2**31)))


def kind_of(sample: Sample) -> str:
    """The subtype of all blood in a slice with a mask or boxes, if it can be pasted; else empty."""
    known = [name for name, label in zip(CLASSES, sample.labels, strict=True) if label == 1][1:]
    outlined = sample.mask is not None or bool(sample.boxes)
    return known[0] if outlined and len(known) == 1 and known[0] in KINDS else ""


def paste_bleed(
    host: Head, donor: Head, mask: NDArray[np.bool_], kind: str, generator: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.bool_]] | None:
    """Lay the donor's bleed into the host's slice.

    Args:
        host, donor: the heads.
        mask: bool, the donor's blood on its own grid.
        kind: its subtype.
        generator: decides turn, mirror image and rim.

    Returns:
        hu, float32, and where blood is, bool, on the host's grid; None if too little of it falls inside the skull, or
        it would not be seen.
    """
    turn = np.radians(generator.uniform(-1, 1) * LARGEST_TURN[kind])
    rows, columns = _donor_places(host, donor, turn, bool(generator.integers(2)))
    blood = cv2.remap(mask.astype(np.float32), columns, rows, cv2.INTER_LINEAR) > 0.5
    region = blood & host.inside
    if region.sum() < SMALLEST_BLEED_MM2 * host.mm**2:
        return None
    rim_px = round(generator.uniform(*RIM_MM) * host.mm) if kind == "intraparenchymal" else 0
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * rim_px + 1, 2 * rim_px + 1))
    share = cv2.dilate(region.astype(np.float32), disc)
    share = cv2.GaussianBlur(share, (0, 0), generator.uniform(0.4, 1.2) * host.mm) * (host.inside | region)
    denser = cv2.remap(donor.hu, columns, rows, cv2.INTER_LINEAR) - np.float32(donor.brain_hu)
    hu = ((1 - share) * host.hu + share * (host.brain_hu + denser)).astype(np.float32)
    return (hu, region) if (hu - host.hu)[region].mean() >= FAINTEST_HU else None


def _donor_places(
    host: Head, donor: Head, turn: float, mirrored: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """For each pixel of the host the row and column of the donor's slice that lies over it."""
    (row, column), (donor_row, donor_column) = _middle(host), _middle(donor)
    rows, columns = np.indices(host.hu.shape, np.float32)
    share = np.hypot(rows - row, columns - column) / _reach(host)[_direction(host.angle)]
    angle = (np.pi - host.angle if mirrored else host.angle) + turn
    radius = share * _reach(donor)[_direction(angle)]
    places = donor_row + radius * np.sin(angle), donor_column + radius * np.cos(angle)
    return places[0].astype(np.float32), places[1].astype(np.float32)


def _middle(head: Head) -> tuple[float, float]:
    """Row and column of the middle of the skull's inside, round which `Head.angle` runs."""
    rows, columns = np.nonzero(head.inside)
    return float(rows.mean()), float(columns.mean())


def _reach(head: Head) -> NDArray[np.float32]:
    """How far the skull's inside reaches from its middle, in pixels, in each direction of a full turn."""
    row, column = _middle(head)
    rows, columns = np.nonzero(head.inside)
    reach = np.ones(DIRECTIONS)
    np.maximum.at(reach, _direction(head.angle[head.inside]), np.hypot(rows - row, columns - column))
    wrapped = np.concatenate([reach[-4:], reach, reach[:4]])  # a bump of one direction is the pixel grid's
    smooth = np.convolve(wrapped, np.ones(9) / 9, mode="valid")
    return smooth.astype(np.float32)


def _direction(angle: NDArray[np.float32]) -> NDArray[np.int64]:
    return (np.floor(angle * (DIRECTIONS / (2 * np.pi))).astype(np.int64)) % DIRECTIONS


def _pasted(host: Sample, donor: Sample, seed: int) -> PastedSample:
    name = hashlib.sha256(f"{host.key} {donor.key} {seed}".encode()).hexdigest()[:16]
    return PastedSample(
        source=SOURCE, patient=host.group, image=host.image, labels=donor.labels, window=host.window, name=name,
        donor=donor, seed=seed,
    )  # fmt: skip
