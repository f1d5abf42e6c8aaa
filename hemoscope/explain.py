"""Grad-CAM maps from what the exported graph puts out.

In: the `cams` output of one slice, already weighted and rectified inside the graph (closed form, no gradients; see the
class head of the training package). Out: maps on the scan's own grid, made when they are asked for: six maps of a
512 x 512 slice are 6 MB, and mostly nobody looks at more than one.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hemoscope.preprocessing import Placement


class HeatMaps(Mapping[str, NDArray[np.float32]]):
    """Class name -> float32 (rows, columns) in 0..1, relative to the map's own largest value; all zero where nothing
    speaks for the class (Selvaraju et al., ICCV 2017).

    Args:
        cams: float32 (rows, columns, classes), at least 0, on the network's coarse grid.
        placement: where the input lay in the scan.
        classes: one name a map.
    """

    def __init__(self, cams: NDArray[np.float32], placement: Placement, classes: Sequence[str]) -> None:
        self._maps = dict(zip(classes, np.moveaxis(cams, -1, 0), strict=True))
        self._placement = placement

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        coarse = self._maps[name]
        largest = float(coarse.max())
        return self._placement.inverse(np.ascontiguousarray(coarse / largest if largest > 0 else coarse))

    def __iter__(self) -> Iterator[str]:
        return iter(self._maps)

    def __len__(self) -> int:
        return len(self._maps)
