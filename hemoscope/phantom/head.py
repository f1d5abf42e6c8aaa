"""A synthetic head CT with bleeds of known kind and volume.

In: which bleeds, the grid, noise, tilt and a seed. Out: a `Phantom`: the scan in Hounsfield units and, pixel by pixel,
which blood was drawn. The same parameters give the same voxels. The demo, the golden tests and the truth for areas and
volumes; it looks like a head, but no network's accuracy can be told from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import NAMESPACE_URL, uuid5

import cv2
import numpy as np
from numpy.typing import NDArray

from hemoscope.errors import BadRequest
from hemoscope.labels import SUBTYPES
from hemoscope.phantom.anatomy import ABOVE_MM, Field, Variation, fields, tissue_hu
from hemoscope.phantom.bleeds import EDEMA_HU, EDEMA_REACH, Bleed, first_voxels, rank
from hemoscope.phantom.geometry import Geometry
from hemoscope.scan import Scan, ScanFacts

BLUR_MM = 0.5  # standard deviation of the scanner's point spread in the plane
NOISE_GRAIN_PX = 0.7  # noise of CT is not white: its grain is about a pixel wide
LOWEST_HU, HIGHEST_HU = -1024, 3071  # twelve bits, as scanners store


@dataclass(frozen=True)
class Phantom:
    """A synthetic head CT and its truth.

    Attributes:
        scan: calibrated, whole Hounsfield units, slices from the base up.
        labels: uint8 (slices, rows, columns): 0 for no blood, else 1 + the subtype's index in `labels.SUBTYPES`.
        geometry: the grid.
        bleeds: as asked for.
        noise_hu: standard deviation of the noise.
        seed: of anatomy and noise.
        push_mm: how far the brain is pushed to the patient's left at the origin, by the bleeds and by what was asked.
    """

    scan: Scan
    labels: NDArray[np.uint8]
    geometry: Geometry
    bleeds: tuple[Bleed, ...]
    noise_hu: float
    seed: int
    push_mm: float

    def volume_ml(self, subtype: str) -> float:
        """The volume of one subtype that was drawn, from the voxels."""
        return int((self.labels == 1 + SUBTYPES.index(subtype)).sum()) * self.geometry.voxel_ml

    def midline_shift_mm(self, index: int) -> float:
        """How far the brain's middle lies to the patient's left of the skull's, at the origin's level of one slice."""
        return self.push_mm * max(1 - (self.geometry.middle_z_mm(index) / ABOVE_MM) ** 2, 0.0)

    def slice(self, index: int) -> Scan:
        """One slice as a scan of its own.

        Raises:
            IndexError: if there is no such slice.
        """
        if not 0 <= index < len(self.labels):
            raise IndexError(f"slice {index} of {len(self.labels)}")
        assert self.scan.positions_mm is not None
        return replace(
            self.scan, hu=self.scan.hu[index : index + 1], positions_mm=self.scan.positions_mm[index : index + 1]
        )


def make_phantom(
    bleeds: Sequence[Bleed] = (),
    *,
    slices: int = 24,
    rows: int = 512,
    columns: int = 512,
    spacing_mm: float = 0.45,
    slice_spacing_mm: float = 5.0,
    noise_hu: float = 3.0,
    tilt_degrees: float = 0.0,
    midline_shift_mm: float = 0.0,
    seed: int = 0,
) -> Phantom:
    """Draw a head with bleeds.

    Args:
        bleeds: drawn in this order; where two would overlap, the first keeps the place.
        slices, rows, columns: the grid; the middle slice cuts the lateral ventricles.
        spacing_mm: of the pixels; the head is about 160 x 195 mm.
        slice_spacing_mm: the table's feed from slice to slice.
        noise_hu: standard deviation.
        tilt_degrees: of the gantry, within ±30.
        midline_shift_mm: how far the middle of the brain is pushed to the patient's left (below 0 to the right, within
            ±20), besides what the bleeds push; less towards the skull, see `Phantom.midline_shift_mm`.
        seed: of anatomy and noise, 0 or more.

    Raises:
        BadRequest: for a grid, tilt, shift, noise or seed out of range, or more blood than there is room for.
    """
    geometry = Geometry(slices, rows, columns, spacing_mm, slice_spacing_mm, tilt_degrees)
    _check(geometry, noise_hu, midline_shift_mm, seed)
    variation = Variation.drawn(np.random.default_rng([seed, 0]))
    push_mm = midline_shift_mm + sum(bleed.push_mm for bleed in bleeds)
    hu = np.empty((slices, rows, columns), np.float32)
    ranks = [np.empty_like(hu) for _ in bleeds]
    for index in range(slices):
        surfaces = fields(geometry, index, variation, push_mm)
        hu[index] = tissue_hu(surfaces)
        for bleed, order in zip(bleeds, ranks, strict=True):
            order[index] = rank(bleed, surfaces)
    labels = _bleed_into(hu, bleeds, ranks, geometry)
    for index in range(slices):
        hu[index] = _scanned(hu[index], geometry.spacing_mm, noise_hu, np.random.default_rng([seed, 1, index]))
    scan = Scan(
        hu,
        calibrated=True,
        spacing_mm=(spacing_mm, spacing_mm),
        positions_mm=tuple(geometry.position_mm(index) for index in range(slices)),
        orientation=geometry.orientation,
        slice_thickness_mm=slice_spacing_mm,
        facts=_facts(
            repr((geometry, tuple(bleeds), noise_hu, seed)) + (f" {midline_shift_mm}" * (midline_shift_mm != 0))
        ),
    )
    return Phantom(scan, labels, geometry, tuple(bleeds), noise_hu, seed, push_mm)


def uid(*parts: object) -> str:
    """A DICOM UID derived from a text, under the root for UUIDs (PS3.5 B.2): the same text gives the same UID."""
    return f"2.25.{uuid5(NAMESPACE_URL, 'hemoscope phantom ' + ' '.join(map(str, parts))).int}"


def _facts(parameters: str) -> ScanFacts:
    return ScanFacts(
        patient_id="PHANTOM",
        patient_name="PHANTOM^HEAD",
        patient_sex="O",
        study_uid=uid("study", parameters),
        series_uid=uid("series", parameters),
        study_date="20260101",
        study_description="Synthetic head CT",
        series_description="Phantom, axial head",
        manufacturer="Hemoscope",
        convolution_kernel="SOFT",
    )


def _bleed_into(hu: Field, bleeds: Sequence[Bleed], ranks: list[Field], geometry: Geometry) -> NDArray[np.uint8]:
    """Draw the bleeds into `hu`, in place, and return the labels."""
    labels: NDArray[np.uint8] = np.zeros(hu.shape, np.uint8)
    for bleed, order in zip(bleeds, ranks, strict=True):
        free = labels == 0
        try:
            blood, last = first_voxels(order, free, max(round(bleed.volume_ml / geometry.voxel_ml), 1))
        except ValueError:
            room_ml = int((free & np.isfinite(order)).sum()) * geometry.voxel_ml
            raise BadRequest(
                f"The phantom has room for {room_ml:.1f} ml of {bleed.subtype} blood, not for {bleed.volume_ml:g} ml."
            ) from None
        if bleed.edema:
            hu[free & (order <= last * EDEMA_REACH)] = EDEMA_HU
        hu[blood] = bleed.hu
        labels[blood] = 1 + SUBTYPES.index(bleed.subtype)
    return labels


def _scanned(hu: Field, spacing_mm: float, noise_hu: float, random: np.random.Generator) -> Field:
    """What a scanner makes of sharp tissue: blurred edges, grainy noise, whole numbers."""
    blurred = cv2.GaussianBlur(hu, (0, 0), BLUR_MM / spacing_mm)
    if noise_hu > 0:
        kernel = cv2.getGaussianKernel(5, NOISE_GRAIN_PX, cv2.CV_32F)
        grain = cv2.sepFilter2D(random.standard_normal(hu.shape, np.float32), -1, kernel, kernel)
        # Smoothing shrinks white noise's deviation by the sum of the squared weights.
        blurred = blurred + grain * np.float32(noise_hu / (kernel**2).sum())
    return np.clip(np.rint(blurred), LOWEST_HU, HIGHEST_HU).astype(np.float32)


def _check(geometry: Geometry, noise_hu: float, midline_shift_mm: float, seed: int) -> None:
    limits = (
        ("slices", geometry.slices, 1, 400),
        ("rows", geometry.rows, 16, 2048),
        ("columns", geometry.columns, 16, 2048),
        ("the pixel spacing in mm", geometry.spacing_mm, 0.1, 10),
        ("the slice spacing in mm", geometry.slice_spacing_mm, 0.1, 50),
        ("the tilt in degrees", geometry.tilt_degrees, -30, 30),
        ("the midline shift in mm", midline_shift_mm, -20, 20),
        ("the noise in HU", noise_hu, 0, 100),
        ("the seed", seed, 0, 2**32 - 1),
    )
    for name, value, low, high in limits:
        if not low <= value <= high:
            raise BadRequest(f"For the phantom, {name} must be {low}..{high}; got {value}.")
