"""Reading from several threads at once gives what one thread gives, and stays silent."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from hemoscope.readers import read_bytes
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
