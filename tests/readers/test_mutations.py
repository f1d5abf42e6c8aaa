"""Damaged files give a scan or a clear refusal: never another exception, a crash or a hang."""

import time

import pytest
from PIL import Image

from hemoscope.errors import HemoscopeError
from hemoscope.readers import read_bytes
from hemoscope.scan import Scan
from tests.mutations import mutations
from tests.readers.samples import COMPRESSED, NATIVE, dicom_bytes, grey_picture, head, picture_bytes

EACH = 200  # of 15 sources: 3,000 files
SLOWEST_SECONDS = 2.0


def sources() -> dict[str, bytes]:
    grey = Image.fromarray((head().astype(int) % 251).astype("uint8"))
    return {
        **{syntax.name: dicom_bytes(syntax=syntax) for syntax in (*NATIVE, *COMPRESSED)},
        "PNG": picture_bytes(grey, "PNG"),
        "JPEG": picture_bytes(grey, "JPEG"),
        "JPEG with colour": picture_bytes(grey_picture().convert("RGB"), "JPEG"),
        "WebP": picture_bytes(grey, "WEBP", lossless=True),
        "TIFF": picture_bytes(grey, "TIFF"),
        "TIFF, deflated": picture_bytes(grey, "TIFF", compression="tiff_adobe_deflate"),
        "BMP": picture_bytes(grey, "BMP"),
    }


SOURCES = sources()


@pytest.mark.parametrize("name", SOURCES)
def test_damaged_file_is_read_or_refused(name: str) -> None:
    assert isinstance(read_bytes(SOURCES[name]), Scan)
    outcomes = {"read": 0, "refused": 0}
    for data in mutations(SOURCES[name], EACH, seed=2026):
        began = time.perf_counter()
        try:
            read_bytes(data)
        except HemoscopeError as refusal:
            assert str(refusal).endswith((".", "…")), refusal
            outcomes["refused"] += 1
        else:
            outcomes["read"] += 1
        assert time.perf_counter() - began < SLOWEST_SECONDS
    # A generator that damages nothing, or a reader that refuses everything, would prove nothing.
    assert outcomes["refused"] >= EACH // 10
    assert outcomes["read"] >= 1


def test_mutations_are_the_same_for_the_same_seed() -> None:
    data = bytes(range(256)) * 20
    first, again, other = (list(mutations(data, 50, seed)) for seed in (7, 7, 8))
    assert first == again
    assert first != other
    assert len(first) == 50
    assert sum(damaged != data for damaged in first) >= 45
