"""Bleeds of a chosen kind and volume.

In: what to bleed, and one slice's `Fields`. Out: a rank for every pixel, the order in which blood of that kind would
fill the head. Taking the first N voxels of the whole series gives the volume exactly, to the voxel.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hemoscope.errors import BadRequest
from hemoscope.labels import SUBTYPES
from hemoscope.phantom.anatomy import ABOVE_MM, HALF_WIDTH_MM, Field, Fields

MIDDLE_BLEED_Z_MM = 20.0
LENS_FLATNESS = 1 / 2.6  # depth over half the width of an epidural lens
CRESCENT_FLATNESS = 1 / 9
CORONAL_Y_MM, LAMBDOID_Y_MM = -28.0, 48.0  # an epidural bleed stays between these sutures
EDEMA_REACH = 1.25  # an edema rim ends at this multiple of the bleed's own radius
EDEMA_HU = 20.0
PUSH_MM_PER_ML = 0.1  # midline shift of a bleed with mass effect
MOST_PUSH_MM = 8.0


@dataclass(frozen=True)
class Bleed:
    """One bleed of the phantom.

    Attributes:
        subtype: one of `labels.SUBTYPES`.
        volume_ml: how much blood, above 0.
        side: of the patient; images show the patient's left on their right. For blood in the ventricles, the side that
            fills first.
        hu: of the blood, 30..100.
        edema: whether a dark rim surrounds it; intraparenchymal only.
    """

    subtype: str
    volume_ml: float
    side: Literal["left", "right"] = "left"
    hu: float = 65.0
    edema: bool = False

    def __post_init__(self) -> None:
        if self.subtype not in SUBTYPES:
            raise BadRequest(f"A bleed is one of {', '.join(SUBTYPES)}; got {self.subtype!r}.")
        if not 0 < self.volume_ml <= 500:
            raise BadRequest(f"A bleed's volume is above 0 and up to 500 ml; got {self.volume_ml}.")
        if self.side not in ("left", "right"):
            raise BadRequest(f"A bleed's side is left or right; got {self.side!r}.")
        if not 30 <= self.hu <= 100:
            raise BadRequest(f"Blood has 30 to 100 HU; got {self.hu}.")
        if self.edema and self.subtype != "intraparenchymal":
            raise BadRequest(f"Only an intraparenchymal bleed has an edema rim, not a {self.subtype} one.")

    @property
    def sign(self) -> int:
        """+1 on the patient's left, where x is positive, -1 on the right."""
        return 1 if self.side == "left" else -1

    @property
    def push_mm(self) -> float:
        """How far the bleed moves the midline, positive to the patient's left."""
        if self.subtype not in ("epidural", "intraparenchymal", "subdural"):
            return 0.0
        return -self.sign * min(PUSH_MM_PER_ML * self.volume_ml, MOST_PUSH_MM)


def rank(bleed: Bleed, f: Fields) -> Field:
    """The order in which a bleed fills a slice: float32 (rows, columns), lowest first, infinite where it cannot go."""
    order, allowed = {
        "epidural": _epidural,
        "intraparenchymal": _intraparenchymal,
        "intraventricular": _intraventricular,
        "subarachnoid": _subarachnoid,
        "subdural": _subdural,
    }[bleed.subtype](bleed, f)
    return np.where(allowed, order, np.float32(np.inf)).astype(np.float32)


def first_voxels(ranks: Field, free: NDArray[np.bool_], count: int) -> tuple[NDArray[np.bool_], float]:
    """The `count` free voxels of lowest rank, and the highest rank among them; equal ranks go in storage order.

    Raises:
        ValueError: where fewer are free.
    """
    candidates = np.flatnonzero(free & np.isfinite(ranks))
    if candidates.size < count:
        raise ValueError(f"{candidates.size} voxels are free, {count} are needed")
    values = ranks.ravel()[candidates]
    last = np.partition(values, count - 1)[count - 1]
    below = candidates[values < last]
    chosen = np.zeros(ranks.size, np.bool_)
    chosen[below] = True
    chosen[candidates[values == last][: count - below.size]] = True
    return chosen.reshape(ranks.shape), float(last)


def _epidural(bleed: Bleed, f: Fields) -> tuple[Field, NDArray[np.bool_]]:
    allowed = (f.depth > 0) & (f.y > CORONAL_Y_MM) & (f.y < LAMBDOID_Y_MM) & (bleed.sign * f.x > 12)
    middle, reach = (LAMBDOID_Y_MM + CORONAL_Y_MM) / 2, (LAMBDOID_Y_MM - CORONAL_Y_MM) / 2
    # The dura holds fast at the sutures: the way to them is stretched without end, so that the lens tapers off there.
    away = np.clip(np.abs(f.y - middle) / reach, 0, 0.999)
    stretch_mm2 = (f.y - middle) ** 2 * (1 / (1 - away**2) - 1)
    return _lens(bleed, f, (middle, MIDDLE_BLEED_Z_MM), LENS_FLATNESS, stretch_mm2), allowed


def _subdural(bleed: Bleed, f: Fields) -> tuple[Field, NDArray[np.bool_]]:
    allowed = (f.depth > 0) & (bleed.sign * f.x > 3) & (f.cerebellum < 0)
    return _lens(bleed, f, (-4.0, MIDDLE_BLEED_Z_MM + 6), CRESCENT_FLATNESS, np.zeros_like(f.y)), allowed


def _lens(bleed: Bleed, f: Fields, centre_yz: tuple[float, float], flatness: float, stretch_mm2: Field) -> Field:
    """The half-width of the smallest lens on the inner table that holds a pixel.

    A lens of half-width w is as deep as flatness * w * (1 - (s / w)^2) at s mm from its middle; solved here for w.
    `stretch_mm2` is added to s^2.
    """
    y, z = centre_yz
    x = bleed.sign * HALF_WIDTH_MM * np.sqrt(max(1 - (z / ABOVE_MM) ** 2, 0))
    apart = (f.x - x) ** 2 + (f.y - y) ** 2 + (f.z - z) ** 2 - f.depth**2
    along = np.maximum(apart, 0) + stretch_mm2
    deep = f.depth / flatness
    half_width: Field = (deep + np.sqrt(deep**2 + 4 * along)) / 2
    return half_width


def _intraparenchymal(bleed: Bleed, f: Fields) -> tuple[Field, NDArray[np.bool_]]:
    across, along, up = f.x - bleed.sign * 29, f.y - 1, f.z - MIDDLE_BLEED_Z_MM
    turned = across - bleed.sign * 0.15 * along
    distance = np.sqrt(turned**2 + (along / 1.4) ** 2 + (up / 1.1) ** 2)
    wavy = distance * (1 + (0.035 * f.rough + 0.11 * f.bend) * np.clip(distance / 8, 0, 1))
    allowed = (f.depth > 5) & (f.ventricle > 0.8) & (bleed.sign * f.x > 2) & (f.cerebellum < -1)
    return wavy, allowed


def _intraventricular(bleed: Bleed, f: Fields) -> tuple[Field, NDArray[np.bool_]]:
    """From the back forward, since patients lie on their backs: blood settles with a level, on one side first."""
    return -(f.y + 8 * np.tanh(bleed.sign * f.x / 4)), f.ventricle < 0.2


def _subarachnoid(bleed: Bleed, f: Fields) -> tuple[Field, NDArray[np.bool_]]:
    """Outward from the middle cerebral artery: basal cisterns, Sylvian fissure, then the sulci around."""
    distance: Field = np.sqrt((f.x - bleed.sign * 32) ** 2 + (f.y + 8) ** 2 + (0.8 * (f.z - 4)) ** 2)
    return distance, f.subarachnoid
