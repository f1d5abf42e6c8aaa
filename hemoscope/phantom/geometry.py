"""Where the phantom's pixels lie.

In: the size of the grid, its spacing and the gantry's tilt. Out: patient coordinates in millimetres (DICOM: x to the
patient's left, y to the back, z to the head), whose origin is the middle of the head.
"""

from dataclasses import dataclass
from math import cos, radians, sin

import numpy as np
from numpy.typing import NDArray

MIDDLE_Z_MM = 20.0  # the middle slice cuts the lateral ventricles; one slice alone shows the most typical level


@dataclass(frozen=True)
class Geometry:
    """The grid of an axial series whose planes may be tilted about the patient's left-right axis.

    Attributes:
        slices, rows, columns: the grid.
        spacing_mm: of pixels, between rows and between columns.
        slice_spacing_mm: the table's feed from slice to slice, along z.
        tilt_degrees: of the gantry; the planes' normal leans by it.
    """

    slices: int
    rows: int
    columns: int
    spacing_mm: float
    slice_spacing_mm: float
    tilt_degrees: float

    @property
    def orientation(self) -> tuple[float, float, float, float, float, float]:
        """Direction cosines along a row and down a column (DICOM PS3.3 C.7.6.2.1.1)."""
        tilt = radians(self.tilt_degrees)
        return (1.0, 0.0, 0.0, 0.0, cos(tilt), -sin(tilt))

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel: tilted planes lie closer together than the table's feed."""
        return self.spacing_mm**2 * self.slice_spacing_mm * cos(radians(self.tilt_degrees)) / 1000

    def middle_z_mm(self, index: int) -> float:
        return MIDDLE_Z_MM + (index - (self.slices - 1) / 2) * self.slice_spacing_mm

    def position_mm(self, index: int) -> tuple[float, float, float]:
        """The centre of the first pixel of a slice."""
        across, down = (self.columns - 1) / 2 * self.spacing_mm, (self.rows - 1) / 2 * self.spacing_mm
        _, _, _, _, down_y, down_z = self.orientation
        return (-across, -down * down_y, self.middle_z_mm(index) - down * down_z)

    def coordinates(
        self, index: int, rows: int, columns: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Patient coordinates of one slice, sampled on a grid of `rows` x `columns` over the same field of view.

        Returns:
            x (1, columns), y (rows, 1) and z (rows, 1), float32 in millimetres.
        """
        across = ((np.arange(columns) + 0.5) / columns - 0.5) * self.columns * self.spacing_mm
        down = ((np.arange(rows) + 0.5) / rows - 0.5) * self.rows * self.spacing_mm
        _, _, _, _, down_y, down_z = self.orientation
        y, z = down * down_y, self.middle_z_mm(index) + down * down_z
        return (
            across[None, :].astype(np.float32),
            y[:, None].astype(np.float32),
            z[:, None].astype(np.float32),
        )
