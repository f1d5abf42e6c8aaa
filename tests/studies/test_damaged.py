"""Damaged files of every kind: nothing but `BadScan` is raised, and what is whole beside them is read."""

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest

from hemoscope.errors import BadScan
from hemoscope.studies import read_studies, read_volume, received
from tests.mutations import mutations
from tests.readers.samples import dicom_bytes
from tests.studies.series import series, slice_hu, write, zipped
from tests.studies.test_multiframe import Z_MM, enhanced

SHORT = [5.0 * number for number in range(4)]


def nifti() -> bytes:
    voxels = np.array([slice_hu(number) for number in range(3)]).transpose(2, 1, 0)
    return nibabel.Nifti1Image(voxels, np.diag([-0.5, -0.5, 5, 1])).to_bytes()


WHOLE = {
    "dicom": dicom_bytes(slice_hu(0), BodyPartExamined="HEAD"),
    "enhanced": enhanced(Z_MM),
    "nifti": nifti(),
    "packed nifti": gzip.compress(nifti(), mtime=0),
    "zip": zipped({str(number): data for number, data in enumerate(series(SHORT))}),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_damage_is_refused_in_words_and_costs_nothing_else(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "whole", series(SHORT, uid="1.9.9", PatientID="WHOLE"))
    for number, damaged in enumerate(mutations(WHOLE[kind], 40, seed=len(kind))):
        path = tmp_path / f"{number}"
        path.write_bytes(damaged)
        with received([tmp_path / "whole", path]) as files:
            studies = read_studies(files)
            assert len(read_volume(studies.pick("1.9.9")).slices) == 4
            for candidate in studies.candidates:
                try:
                    volume = read_volume(candidate)
                except BadScan as error:
                    assert str(error)
                else:
                    assert np.isfinite(volume.scan.hu).all()
        path.unlink()
