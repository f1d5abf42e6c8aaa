"""`benchmarks`: the parts that a wrong figure could hide in."""

import io
import os
import sys
import zipfile
from io import BytesIO

import pytest
from werkzeug.formparser import parse_form_data

from benchmarks import study
from benchmarks.latency import WARM_UP, median_ms, multipart, resident_mb, table
from hemoscope.phantom import Bleed, dicom_slices, make_phantom
from tests.measuring.readings import findings_of


def test_the_form_that_is_posted_holds_the_file_and_the_model() -> None:
    body, content_type = multipart(b"\x00\r\n--slice\xff", "unet")
    environment = {
        "REQUEST_METHOD": "POST",
        "CONTENT_TYPE": content_type,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": BytesIO(body),
    }
    _, form, files = parse_form_data(environment)
    assert form.to_dict() == {"model": "unet"}
    assert files["files"].filename == "slice.dcm"
    assert files["files"].read() == b"\x00\r\n--slice\xff"
    files["files"].close()


def test_the_median_leaves_out_the_warm_up() -> None:
    calls = []
    assert median_ms(lambda: calls.append(None), rounds=3) < 1000
    assert len(calls) == WARM_UP + 3


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from Linux's /proc")
def test_memory_is_that_of_the_process() -> None:
    before = resident_mb()
    held = b"x" * 50_000_000
    assert 45 < resident_mb(os.getpid()) - before < 60
    assert resident_mb(peak=True) >= resident_mb() - 1  # the kernel counts in batches
    assert len(held) == 50_000_000


def test_the_table_compares_with_tensorflow_and_the_targets() -> None:
    found = {"slice_ms": 20.0, "network_ms": 8.0, "process_mb": 120.0}
    alone = table("reader", found)
    assert any("20.0 ms   target below 80" in line for line in alone)
    assert "not installed" in alone[-1]
    beside = table("reader", found | {"keras_network_ms": 12.0, "keras_process_mb": 600.0})
    assert beside[-1] == "TensorFlow takes 1.50 times the network's time and 5.0 times the memory."


class Drawing:
    """A reader that draws the same masks for every scan."""

    def __init__(self, masks) -> None:
        self.masks = masks

    def read(self, scan):
        assert scan.hu.shape == self.masks.shape
        return findings_of(self.masks)


def test_a_studys_time_is_told_for_every_step_and_every_form() -> None:
    phantom = make_phantom([Bleed("intraparenchymal", 40)], slices=8, rows=64, columns=64, spacing_mm=3.5)
    archive, seconds = io.BytesIO(), {}
    with zipfile.ZipFile(archive, "w") as written:
        for number, data in enumerate(dicom_slices(phantom)):
            written.writestr(f"{number}.dcm", data)
    study.measure_steps(archive.getvalue(), Drawing(phantom.labels > 0), seconds)
    assert set(seconds) == {*study.STEPS, *study.FORMS, "processor"}
    assert all(value > 0 for value in seconds.values())


def test_a_studys_shares_are_of_its_steps_together() -> None:
    steps = dict(zip(study.STEPS, (0.1, 0.2, 0.3, 0.4, 1.0), strict=True))
    round_ = dict.fromkeys(study.FORMS, 0.5) | steps | {"processor": 1.5}
    rounds = [
        {"first": round_ | {"model": model_s}, "again": round_, "memory": {"peak_mb": 300.0}}
        for model_s in (0.25, 9.0, 0.25)
    ]
    lines = study.table("reader", 30, study.medians(rounds))
    assert lines[0] == "model reader, 30 slices of 512 x 512, 2 cores"
    assert lines[6].split() == ["all", "results", "written", "1.00", "s", "50%", "1.00", "s", "50%"]
    assert lines[-4].split() == ["bytes", "to", "folder", "2.00", "s", "2.00", "s"]
    assert lines[-3].split() == ["processor", "time", "1.50", "s", "1.50", "s"]
    assert lines[-2:] == ["target below 4 s; the model was loaded in 0.25 s before", "most memory 300 MB"]
