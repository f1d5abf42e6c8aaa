"""Reading from several threads at once gives what one thread gives, and stays silent."""

import logging
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from hemoscope.readers import read_bytes
from hemoscope.readers.quiet import quiet
from tests.readers.samples import COMPRESSED, NATIVE, dicom_bytes, grey_picture, picture_bytes


def test_threads_do_not_disturb_each_other(recwarn: pytest.WarningsRecorder, capfd: pytest.CaptureFixture[str]) -> None:
    files = [dicom_bytes(syntax=syntax) for syntax in (*NATIVE, *COMPRESSED)]
    files += [picture_bytes(grey_picture(), kind) for kind in ("PNG", "JPEG", "TIFF")]
    # A malformed UID, of which pydicom warns with its value.
    files.append(dicom_bytes().replace(b"1.2.3.1\x00", b"1.02.xyz"))
    alone = [read_bytes(data).hu for data in files]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(read_bytes, files * 20))
    for index, scan in enumerate(together):
        np.testing.assert_array_equal(scan.hu, alone[index % len(files)])
    assert not recwarn.list
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("data", [dicom_bytes(), picture_bytes(grey_picture(), "PNG")], ids=["dicom", "picture"])
def test_nobody_waits_for_a_slow_reading(data: bytes) -> None:
    with ThreadPoolExecutor(1) as another, quiet():
        assert another.submit(read_bytes, data).result(timeout=20).hu.shape[0] == 1


def test_silence_lasts_until_the_last_has_left(caplog: pytest.LogCaptureFixture) -> None:
    inside, leave = threading.Event(), threading.Event()

    def stay() -> None:
        with quiet():
            inside.set()
            leave.wait(20)

    def speak() -> None:
        warnings.warn("PatientName", stacklevel=1)
        logging.getLogger("PIL").warning("PatientName")

    with ThreadPoolExecutor(1) as another, warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with quiet():
            staying = another.submit(stay)
            assert inside.wait(20)
        speak()
        assert (heard, caplog.records) == ([], [])
        leave.set()
        staying.result(timeout=20)
        speak()
        assert (len(heard), len(caplog.records)) == (1, 1)
