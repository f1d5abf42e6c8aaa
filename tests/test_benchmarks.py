"""`benchmarks.latency`: the parts that a wrong figure could hide in."""

import os
import sys
from io import BytesIO

import pytest
from werkzeug.formparser import parse_form_data

from benchmarks.latency import WARM_UP, median_ms, multipart, resident_mb, table


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
    assert resident_mb(peak=True) >= resident_mb()
    assert len(held) == 50_000_000


def test_the_table_compares_with_tensorflow_and_the_targets() -> None:
    found = {"slice_ms": 20.0, "network_ms": 8.0, "process_mb": 120.0}
    alone = table("reader", found)
    assert any("20.0 ms   target below 80" in line for line in alone)
    assert "not installed" in alone[-1]
    beside = table("reader", found | {"keras_network_ms": 12.0, "keras_process_mb": 600.0})
    assert beside[-1] == "TensorFlow takes 1.50 times the network's time and 5.0 times the memory."
