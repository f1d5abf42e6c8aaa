"""The phantom's head without blood: smooth fields in millimetres, and the tissue drawn from them.

In: coordinates of a slice, the individual variation and how far the brain is pushed aside. Out: `Fields` (distances to
the surfaces of skull, sulci and ventricles) and Hounsfield units. The shapes are ellipsoids, tubes and random waves
fitted by eye to what axial CT shows; they are no atlas.
"""

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from hemoscope.phantom.geometry import Geometry
from hemoscope.scan import AIR_HU

Field = NDArray[np.float32]
Waves = tuple[Field, Field]  # wave vectors (waves, 3) per millimetre, and their phases

HALF_WIDTH_MM, HALF_LENGTH_MM, ABOVE_MM, BELOW_MM = 66.0, 83.0, 78.0, 80.0  # of the skull's inner surface
CSF_HU, GREY_HU, WHITE_HU = 7.0, 37.5, 28.5
TABLE_HU, DIPLOE_HU, FAT_HU, SKIN_HU, MUSCLE_HU, DURA_HU = 1250.0, 650.0, -90.0, 45.0, 55.0, 48.0

# Tubes of ventricles and bone: ((|x|, y, z), radius) from one joint to the next, in millimetres.
LATERAL_VENTRICLE = (
    ((12.5, -36.0, 10.0), 1.6),
    ((9.0, -28.0, 13.0), 3.6),
    ((4.6, -14.0, 16.0), 2.6),
    ((6.5, 0.0, 24.0), 3.6),
    ((11.0, 16.0, 25.0), 4.2),
    ((20.0, 34.0, 15.0), 5.2),
    ((18.5, 50.0, 8.0), 2.4),
)
TEMPORAL_HORN = (((20.0, 34.0, 15.0), 4.0), ((30.0, 18.0, -6.0), 1.6), ((28.0, -8.0, -18.0), 1.8))
PETROUS_BONE = (((66.0, 30.0, -40.0), 12.0), ((40.0, 16.0, -40.0), 8.0), ((16.0, 4.0, -42.0), 6.0))


@dataclass(frozen=True)
class Variation:
    """What makes one phantom's head differ from another's: random plane waves, drawn once from the seed."""

    sulci: Waves
    fine: Waves
    bends: Waves
    broad: Waves

    @classmethod
    def drawn(cls, random: np.random.Generator) -> "Variation":
        return cls(
            _plane_waves(random, 21.0),
            _plane_waves(random, 9.0),
            _plane_waves(random, 34.0),
            _plane_waves(random, 75.0),
        )


@dataclass(frozen=True)
class Fields:
    """One slice's distances in millimetres, each float32 (rows, columns).

    Attributes:
        x, y, z: patient coordinates, broadcastable to (rows, columns).
        depth: inward from the skull's inner surface; negative outside it.
        ventricle: to the ventricles' wall; negative inside them.
        cistern: to the cisterns' wall; negative inside them.
        sulcus: to the wall of sulci and fissures; negative inside them.
        surface: inward from the brain's outer and medial surface.
        nuclei: to the deep grey matter; negative inside it.
        cerebellum: positive below the tentorium, in millimetres.
        rough, bend: random waves of 9 and 34 mm, mean 0 and standard deviation 1.
    """

    x: Field
    y: Field
    z: Field
    depth: Field
    ventricle: Field
    cistern: Field
    sulcus: Field
    surface: Field
    nuclei: Field
    cerebellum: Field
    rough: Field
    bend: Field

    @property
    def subarachnoid(self) -> NDArray[np.bool_]:
        """Fluid outside the ventricles: sulci, fissures and cisterns, above the tentorium or before it."""
        fluid = (self.sulcus < 0) | (self.cistern < 0)
        return fluid & (self.depth > 1.0) & (self.ventricle > 0.5) & (self.cerebellum < 0)


def fields(geometry: Geometry, index: int, variation: Variation, push_mm: float) -> Fields:
    """The fields of one slice; computed at half the resolution where the pixels are fine, since they are smooth.

    Args:
        push_mm: how far the middle of the brain lies to the patient's left of the midline.
    """
    reduction = 2 if geometry.spacing_mm < 0.7 and min(geometry.rows, geometry.columns) >= 128 else 1
    x, y, z = geometry.coordinates(index, -(-geometry.rows // reduction), -(-geometry.columns // reduction))
    coarse = _coarse_fields(x, y, z, variation, push_mm)
    size = (geometry.columns, geometry.rows)
    fine: dict[str, Field] = {name: cv2.resize(f, size).astype(np.float32, copy=False) for name, f in coarse.items()}
    x, y, z = geometry.coordinates(index, geometry.rows, geometry.columns)
    return Fields(x=x, y=y, z=z, **fine)


def tissue_hu(f: Fields) -> Field:
    """Hounsfield units of the head and the table, sharp and without noise: float32 (rows, columns)."""
    hu = _brain_hu(f)
    outside = f.depth < 0
    return np.where(outside, _covers_hu(f), hu).astype(np.float32)


def _coarse_fields(x: Field, y: Field, z: Field, variation: Variation, push_mm: float) -> dict[str, Field]:
    radius, depth = _skull(x, y, z, variation)
    rough, bend = _waves(variation.fine, x, y, z), _waves(variation.bends, x, y, z)
    # Directions on the skull: sulci run inward from it as sheets that bend on their way.
    onto: Field = np.reciprocal(np.maximum(radius, 0.12))
    aside = rough + 4.5 * bend
    sheet = (x * onto + aside, y * onto - aside, z * onto + aside)
    x = x - push_mm * np.clip(1 - radius**2, 0, 1)
    side = np.abs(x)
    tentorium = 6 - 0.5 * side - 0.02 * (y - 38) ** 2 - z
    cerebellum = np.where(y > 12, tentorium, np.minimum(tentorium, y - 12))
    apart = _above_callosum(y, z)
    sylvian = _sylvian(side, y, z)
    surface = np.minimum(np.minimum(depth - 1.6, np.where(apart > 0, side - 0.3, 99.0)), sylvian)
    sulcus = np.where(cerebellum < 0, _furrows(surface, sheet, variation), 9.0)
    fissure = np.where(apart > 0, np.maximum(side - 1.3, -apart), 9.0)
    sulcus = np.minimum(np.minimum(sulcus, depth - 1.3), np.minimum(fissure, sylvian - 1.2))
    return {
        "depth": depth,
        "ventricle": _ventricles(x, side, y, z),
        "cistern": _cisterns(x, y, z),
        "sulcus": sulcus,
        "surface": surface,
        "nuclei": _nuclei(side, y, z),
        "cerebellum": cerebellum,
        "rough": rough,
        "bend": bend,
    }


def _above_callosum(y: Field, z: Field) -> Field:
    """Where the hemispheres lie apart: positive beyond the corpus callosum, and before the brain stem."""
    callosum = (np.sqrt(((y + 2) / 44) ** 2 + ((z - 6) / 26) ** 2) - 1) * 26
    return np.where((z > -12) | (y < -12), callosum, np.float32(-5)).astype(np.float32)


def _furrows(surface: Field, sheet: tuple[Field, Field, Field], variation: Variation) -> Field:
    """Distance to the walls of the sulci: zero lines of random waves, narrowing inward to their floor."""
    away = np.abs(_waves(variation.sulci, *sheet)) * 5.5  # a wave of 21 mm rises by about 1 in 5.5 mm
    reach = 15 + 4 * _waves(variation.broad, *sheet)
    half = 1.05 * np.clip(1.15 - surface / reach, -1, 1)
    walls: Field = np.maximum(away - half, surface - reach)
    return walls


def _ventricles(x: Field, side: Field, y: Field, z: Field) -> Field:
    lateral = np.minimum(_tubes(side, y, z, LATERAL_VENTRICLE), _tubes(side, y, z, TEMPORAL_HORN))
    third = _ellipsoid(x, y, z, (0.0, 2.0, 3.0), (1.9, 12.0, 10.0))
    fourth = _ellipsoid(x, y, z, (0.0, 36.0, -30.0), (7.0, 4.5, 9.0))
    return np.minimum(np.minimum(lateral, third), fourth).astype(np.float32)


def _skull(x: Field, y: Field, z: Field, variation: Variation) -> tuple[Field, Field]:
    """Relative radius (1 on the inner surface) and depth in millimetres inward from it."""
    width = HALF_WIDTH_MM * (1 + 0.07 * np.tanh(y / 45))  # narrower at the front
    height = np.where(z > 0, np.float32(ABOVE_MM), np.float32(BELOW_MM))
    across, along, up = x / width, y / HALF_LENGTH_MM, z / height
    plane = (np.abs(across) ** 2.25 + np.abs(along) ** 2.25) ** (1 / 2.25)  # a little fuller than an ellipse
    radius = np.sqrt(plane**2 + up**2) + 1e-4
    radius = radius * (1 + 0.01 * _waves(variation.broad, x / radius, y / radius, z / radius))
    slope = np.sqrt((across / width) ** 2 + (along / HALF_LENGTH_MM) ** 2 + (up / height) ** 2) / radius
    return radius.astype(np.float32), ((1 - radius) / slope).astype(np.float32)


def _sylvian(side: Field, y: Field, z: Field) -> Field:
    """Distance to the Sylvian fissure: a sheet over the insula and a stem that reaches the skull."""
    insula = np.maximum(np.abs(side - 36 + (y + 4) ** 2 / 110), np.abs(y + 4) - 17)
    stem = np.maximum(np.abs(y + 6 - (side - 36) * 0.25 - z * 0.35), 35 - side)
    sheet: Field = np.maximum(np.minimum(insula, stem), np.abs(z - 4) - 15)
    return sheet


def _cisterns(x: Field, y: Field, z: Field) -> Field:
    angle = np.arctan2(x, -(y + 14))
    star = np.hypot(x, y + 14) - (10 + 4.5 * np.cos(5 * angle))
    suprasellar = np.maximum(star, np.abs(z + 22) - 8)
    stem = (np.hypot(x / 16, (y - 9) / 14) - 1) * 15
    ambient = np.maximum(np.maximum(np.abs(stem - 1.2) - 1.2, np.abs(z + 14) - 12), -4 - y)
    plate = _ellipsoid(x, y, z, (0.0, 26.0, -8.0), (9.0, 4.0, 9.0))
    nearest: Field = np.minimum(np.minimum(suprasellar, ambient), plate)
    return nearest


def _nuclei(side: Field, y: Field, z: Field) -> Field:
    turned, along = side - 25 - 0.22 * y, y + 3
    lentiform = _ellipsoid(turned, along, z, (0.0, 0.0, 8.0), (6.5, 16.0, 13.0))
    caudate = _ellipsoid(side, y, z, (14.0, -22.0, 14.0), (4.6, 10.0, 13.0))
    thalamus = _ellipsoid(side - 0.25 * (y - 10), y, z, (10.0, 10.0, 9.0), (7.5, 14.0, 11.0))
    return np.minimum(np.minimum(lentiform, caudate), thalamus).astype(np.float32)


def _brain_hu(f: Fields) -> Field:
    inside_grey = np.minimum(np.minimum(f.surface, np.maximum(f.sulcus, 0)) - 3.4, f.nuclei + 0.6)
    hu = WHITE_HU + (GREY_HU - WHITE_HU) / (1 + np.exp(np.clip(inside_grey * 1.6, -20, 20)))
    cerebellar = 35 + 1.5 * np.sin(f.rough * 3)
    hu = np.where(f.cerebellum > 0, cerebellar, hu)
    stem = np.hypot(f.x / 16, (f.y - 9) / 14) < 1
    hu = np.where(stem & (f.z < -6), 31.0, hu)
    fluid = np.minimum(np.minimum(f.ventricle, f.sulcus), f.cistern)
    hu = np.where(fluid < 0, CSF_HU, hu)
    falx = (np.abs(f.x) < 0.6) & (f.surface < 1.3) & ((f.y < -18) | (f.y > 22) | (f.z > 36)) & (f.z > -14)
    tent = (np.abs(f.cerebellum) < 0.45) & (f.y > 14)
    hu = np.where(falx | tent, DURA_HU, hu)
    sinus = (np.abs(f.x) < 6 - f.depth) & (f.depth < 5) & (f.y > 0)
    hu = np.where(sinus | (f.depth < 0.5), DURA_HU, hu)
    petrous = _tubes(np.abs(f.x), f.y, f.z, PETROUS_BONE)
    return np.where(petrous < 0, 900 + 350 * f.rough, hu).astype(np.float32)


def _covers_hu(f: Fields) -> Field:
    """Skull, scalp, air and the head holder, by the distance outward from the skull's inner surface."""
    out = -f.depth
    along = (f.y / HALF_LENGTH_MM) ** 2
    skull = 5.2 + 2.2 * along
    temple = (
        7 * np.exp(-(((f.y + 22) / 22) ** 2)) * np.clip((26 - f.z) / 20, 0, 1) * np.clip(np.abs(f.x) / 66, 0, 1) ** 3
    )
    scalp = skull + 5 + 1.5 * along + temple
    table = 1.5 + 0.2 * along
    hu = np.where((out < table) | (out > skull - table), TABLE_HU, DIPLOE_HU + 130 * f.rough)
    suture = (np.abs(f.y + 30 + 0.3 * (f.z - 40) + f.rough) < 0.5) | (np.abs(f.y - 52 - 0.3 * f.z + f.rough) < 0.5)
    hu = np.where(suture, 350.0, hu)
    hu = np.where(out > skull, np.where(out < skull + temple + 1.2, MUSCLE_HU, FAT_HU), hu)
    hu = np.where(out > scalp - 2.4, SKIN_HU, hu)
    hu = np.where(out > scalp, AIR_HU, hu)
    from_middle = np.hypot(f.x, f.y) - 105
    holder = (np.abs(from_middle) < 1.5) & (f.y > 38)
    return np.where((out > scalp) & holder, 110.0, hu).astype(np.float32)


def _ellipsoid(
    x: Field, y: Field, z: Field, centre: tuple[float, float, float], radii: tuple[float, float, float]
) -> Field:
    """About the distance in millimetres to an ellipsoid's surface, negative inside."""
    scaled = [(part - middle) / radius for part, middle, radius in zip((x, y, z), centre, radii, strict=True)]
    distance = np.sqrt(scaled[0] ** 2 + scaled[1] ** 2 + scaled[2] ** 2) + 1e-4
    steep = np.sqrt(sum((part / radius) ** 2 for part, radius in zip(scaled, radii, strict=True))) + 1e-6
    away: Field = (distance - 1) * distance / steep
    return away


def _tubes(side: Field, y: Field, z: Field, joints: tuple[tuple[tuple[float, float, float], float], ...]) -> Field:
    """Distance to a chain of cones with round ends, negative inside; taller than wide, as ventricles are."""
    nearest: Field = np.full(np.broadcast_shapes(side.shape, y.shape), 99.0, np.float32)
    flat = 0.62
    for (start, start_radius), (end, end_radius) in pairwise(joints):
        way = (end[0] - start[0], end[1] - start[1], (end[2] - start[2]) * flat)
        dx, dy, dz = side - start[0], y - start[1], (z - start[2]) * flat
        share = np.clip((dx * way[0] + dy * way[1] + dz * way[2]) / sum(part * part for part in way), 0, 1)
        off = (dx - share * way[0]) ** 2 + (dy - share * way[1]) ** 2 + (dz - share * way[2]) ** 2
        nearest = np.minimum(nearest, np.sqrt(off) - (start_radius + share * (end_radius - start_radius)))
    return nearest.astype(np.float32)


def _plane_waves(random: np.random.Generator, length_mm: float, count: int = 14) -> Waves:
    directions = random.standard_normal((count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    phases = random.uniform(0, 2 * np.pi, count)
    return (directions * (2 * np.pi / length_mm)).astype(np.float32), phases.astype(np.float32)


def _waves(waves: Waves, x: Field, y: Field, z: Field) -> Field:
    """A sum of random plane waves of one length: mean 0, standard deviation 1, and winding zero lines like gyri."""
    vectors, phases = waves
    total: Field = np.zeros(np.broadcast_shapes(x.shape, y.shape, z.shape), np.float32)
    for (kx, ky, kz), phase in zip(vectors, phases, strict=True):
        total += np.cos(kx * x + ky * y + (kz * z + phase))
    total *= np.float32(np.sqrt(2 / len(phases)))
    return total
