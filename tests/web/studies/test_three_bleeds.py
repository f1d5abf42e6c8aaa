"""A patient with two studies of 150 thin slices, from the upload to the worklist and the growth since the prior.

The reader here marks what was drawn, so that what is tested is everything but the network.
"""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pydicom
import pytest
from flask import Flask
from flask.testing import FlaskClient

from hemoscope.findings import Findings
from hemoscope.labels import SUBTYPES
from hemoscope.phantom import Bleed, Phantom, dicom_slices, make_phantom
from hemoscope.scan import Scan
from tests.studies.series import zipped
from tests.web.conftest import FakeModels
from web.history.opening import Store
from web.history.timeline import timeline
from web.history.worklist import Filter, worklist
from web.studies.working import Worker

SLICES, SIDE_PX, SPACING_MM = 150, 256, 0.9
BEFORE = (Bleed("intraparenchymal", 10.0), Bleed("subdural", 20.0))  # of 12 ml, slabs lose 3.4 %
AFTER = (Bleed("intraparenchymal", 24.0), Bleed("subdural", 30.0), Bleed("epidural", 15.0))
DATES = ("20260101", "20260104")


def head(bleeds: tuple[Bleed, ...]) -> Phantom:
    return make_phantom(
        bleeds, slices=SLICES, rows=SIDE_PX, columns=SIDE_PX, spacing_mm=SPACING_MM, slice_spacing_mm=1.0
    )


@pytest.fixture(scope="module")
def heads() -> dict[str, Phantom]:
    return dict(zip(DATES, (head(BEFORE), head(AFTER)), strict=True))


class DrawnReader:
    """Marks the drawn bleeds by their subtype, in a slab where most of its slices have one."""

    def __init__(self, reader: Any, heads: dict[str, Phantom]) -> None:
        self.reader, self.heads, self.manifest = reader, heads, reader.manifest

    def read(self, scan: Scan, progress: Any = None) -> Findings:
        found: Findings = self.reader.read(scan, progress)
        drawn = self.heads[scan.facts.study_date].labels.reshape(len(scan.hu), -1, *scan.hu.shape[1:])
        slices = []
        for one, slab in zip(found.slices, drawn, strict=True):
            maps = np.sort(slab, axis=0)[slab.shape[0] // 2]  # the median: one kind or none at each place
            slices.append(replace(one, mask=maps > 0, subtype_map=maps, area_px=int((maps > 0).sum())))
        return replace(found, slices=tuple(slices), finding="hemorrhage")


def packed(phantom: Phantom, date: str) -> io.BytesIO:
    files = {}
    for number, data in enumerate(dicom_slices(phantom)):
        header = pydicom.dcmread(io.BytesIO(data))
        header.PatientID, header.PatientName, header.StudyDate, header.StudyTime = "4711", "DOE^JANE", date, "101500"
        header.StudyInstanceUID, header.SeriesInstanceUID = f"1.2.{date}", f"1.2.{date}.1"
        header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = f"1.2.{date}.1.{number + 1}"
        header.save_as(file := io.BytesIO())
        files[f"{(number * 37) % SLICES:03d}"] = file.getvalue()  # names in an order of their own
    return io.BytesIO(zipped(files))


@pytest.fixture
def sent(app: Flask, client: FlaskClient, worker: Worker, models: FakeModels, heads: dict[str, Phantom]) -> FlaskClient:
    models.readers["reader"] = DrawnReader(models.readers["reader"], heads)  # type: ignore[assignment]
    for date, phantom in heads.items():
        client.post("/studies/", data={"files": (packed(phantom, date), "study.zip")})
        assert worker.work()
    return client


def test_three_bleeds_in_150_slices_are_measured_listed_and_compared(
    sent: FlaskClient, store: Store, heads: dict[str, Phantom]
) -> None:
    later, earlier = worklist(store.database, Filter()).rows  # the larger volume comes first
    for row, (date, phantom) in zip((earlier, later), heads.items(), strict=True):
        drawn = {bleed.subtype: phantom.volume_ml(bleed.subtype) for bleed in phantom.bleeds}
        assert f"{row.study_date:%Y%m%d}" == date
        assert row.read.volume_ml == pytest.approx(sum(drawn.values()), rel=0.03)
        measured = {name: row.read.subtype_volumes_ml[name] for name in SUBTYPES if name in drawn}
        assert measured == pytest.approx(drawn, rel=0.03)
    before, after = timeline(store.database, later.patient_number).points
    assert (before.change.kind, after.change.kind) == ("first", "grown")
    assert after.change.difference_ml == pytest.approx(69 - 30, rel=0.03)
    page = sent.get(f"/studies/{later.number}/").text
    assert "Compare with prior" in page
    assert after.change.sentence in page
