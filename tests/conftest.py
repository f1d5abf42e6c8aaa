"""Fixtures that tests of several parts share: the real data, and a reader that needs no weights."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

# Before anything imports them: quiet, and the same on every machine.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.pop("PORT", None)

import numpy as np
import pytest

from hemoscope.findings import Findings, SliceFindings, Timings
from hemoscope.labels import CLASSES, SUBTYPES
from hemoscope.scan import Scan

LONGEST = "test_train.py"  # begun last, it would keep one of two processes busy while the other has nothing left


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name != LONGEST)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data; the test skips where HEMOSCOPE_DATA names none."""
    named = os.environ.get("HEMOSCOPE_DATA")
    if not named:
        pytest.skip("HEMOSCOPE_DATA is not set: this test needs real data")
    folder = Path(named)
    assert folder.is_dir(), f"HEMOSCOPE_DATA={named} is not a folder"
    return folder


class BrightReader:
    """Reads as `model.Reader` does, by a rule that a hand can follow: blood is what lies between 55 and 79 HU.

    It remembers the scans that it was given. Without `gives_mask` it answers as a classifier does; with
    `tells_subtypes` its mask is subdural above 67 HU and epidural below.
    """

    def __init__(self) -> None:
        self.scans: list[Scan] = []
        self.gives_mask = True
        self.tells_subtypes = False

    def read(self, scan: Scan, progress: Callable[[int, int], object] | None = None) -> Findings:
        self.scans.append(scan)
        if progress is not None:
            progress(len(scan.hu), len(scan.hu))
        slices = tuple(self._slice(scan, index) for index in range(len(scan.hu)))
        bleeds = any(found.area_px for found in slices)
        areas = [found.area_mm2 for found in slices if found.area_mm2 is not None]
        found = Findings(
            model="bright",
            version="1.2.3",
            slices=slices,
            probabilities=self._probabilities(bleeds),
            finding="hemorrhage" if bleeds else "none",
            area_px=sum(found.area_px for found in slices),
            area_mm2=sum(areas) if areas else None,
            timings=Timings(preprocess=0.25, network=0.5, postprocess=0.125),
            notes=scan.notes,
        )
        return found if self.gives_mask else without_mask(found)

    def read_slice(self, scan: Scan, index: int) -> tuple[SliceFindings, Timings]:
        found = self._slice(scan, index)
        return found, Timings(preprocess=0.25, network=0.5, postprocess=0.125)

    def _slice(self, scan: Scan, index: int) -> SliceFindings:
        mask = (scan.hu[index] >= 55) & (scan.hu[index] < 79)
        area = int(mask.sum())
        kinds = np.where(scan.hu[index] >= 67, 1 + SUBTYPES.index("subdural"), 1 + SUBTYPES.index("epidural"))
        return SliceFindings(
            probabilities=self._probabilities(area > 0),
            finding="hemorrhage" if area else "none",
            mask=mask,
            mask_probability=mask.astype(np.float32),
            heat={name: mask.astype(np.float32) for name in CLASSES},
            area_px=area,
            area_mm2=None if scan.pixel_area_mm2 is None else area * scan.pixel_area_mm2,
            subtype_map=(kinds * mask).astype(np.uint8) if self.tells_subtypes else None,
        )

    @staticmethod
    def _probabilities(bleeds: bool) -> dict[str, float | None]:
        return dict.fromkeys(CLASSES, 0.0625) | ({"any": 0.9375, "subdural": 0.75} if bleeds else {})


def without_mask(found: Findings) -> Findings:
    """The same findings from a model that gives no mask."""
    no_area = {"area_px": None, "area_mm2": None}
    slices = tuple(replace(one, mask=None, mask_probability=None, **no_area) for one in found.slices)
    return replace(found, slices=slices, **no_area)


@pytest.fixture
def bright_reader() -> BrightReader:
    return BrightReader()
