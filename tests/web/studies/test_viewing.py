"""A study as the viewer gets it: its outline, and the pixels of one slice at a time."""

import gzip
import io
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from numpy.typing import NDArray
from PIL import Image

from hemoscope.measuring.values import MidlineShift
from hemoscope.phantom import make_phantom
from web.engine import Engine
from web.settings import Settings
from web.studies.demo import DemoStudies
from web.studies.protocol import HeldStudy, Study, UnknownStudy

ROWS, COLUMNS, SLICES = 48, 64, 3


class OneStudy:
    """A source that knows one key."""

    def __init__(self, study: Study) -> None:
        self.held = study

    def study(self, key: str) -> Study:
        if key != "one":
            raise UnknownStudy("There is no such study.")
        return self.held


@pytest.fixture
def study(bright_reader: Any) -> HeldStudy:
    """Three slices without tissue; on the second a square of 4 x 5 px at 60 HU, its two last rows at 70."""
    bright_reader.tells_subtypes = True
    empty = make_phantom(slices=SLICES, rows=ROWS, columns=COLUMNS, spacing_mm=3.0, tilt_degrees=15).scan
    hu = np.full((SLICES, ROWS, COLUMNS), -1000.0, np.float32)
    hu[1, 10:14, 20:25] = 60
    hu[1, 12:14, 20:25] = 70
    hu[2, 0, 0] = 1234.4
    scan = replace(empty, hu=hu)
    return HeldStudy("A head", scan, bright_reader.read(scan).slices, "bright 1.2.3", notes=("A doubt.",))


@pytest.fixture
def viewed(app: Flask, study: HeldStudy) -> FlaskClient:
    app.extensions["studies"] = OneStudy(study)
    return app.test_client()


def unpacked(data: bytes, kind: str) -> NDArray[Any]:
    return np.frombuffer(gzip.decompress(data), kind).reshape(ROWS, COLUMNS)


def test_outline_tells_geometry_and_findings(viewed: FlaskClient, study: HeldStudy) -> None:
    made = viewed.get("/studies/one/study.json").get_json()
    assert (made["rows"], made["columns"], made["spacing_mm"]) == (ROWS, COLUMNS, [3.0, 3.0])
    assert made["orientation"] == pytest.approx([1, 0, 0, 0, 0.9659258, -0.2588190])
    assert [one["number"] for one in made["slices"]] == [1, 2, 3]
    assert made["slices"][1]["position_mm"] == pytest.approx(study.outline.slices[1].position_mm)
    assert [one["finding"] for one in made["slices"]] == ["none", "hemorrhage", "none"]
    assert [one["area_px"] for one in made["slices"]] == [0, 20, 0]
    assert made["slices"][1]["probabilities"]["any"] == 0.9375
    assert made["mask"] is True
    assert made["codes"][0] == {"code": 1, "name": "any", "colour": "#e69f00"}
    assert [code["code"] for code in made["codes"]] == [1, 2, 3, 4, 5, 6]


def test_slices_come_as_whole_hounsfield_units(viewed: FlaskClient) -> None:
    answer = viewed.get("/studies/one/slices/3")
    assert answer.headers["Content-Encoding"] == "gzip"
    hu = unpacked(answer.data, "<i2")
    assert hu[0, 0] == 1234
    assert hu[0, 1] == -1000


def test_masks_carry_the_code_of_the_subtype(viewed: FlaskClient) -> None:
    codes = unpacked(viewed.get("/studies/one/masks/2").data, "u1")
    assert (codes[11, 22], codes[13, 22]) == (2, 6)  # epidural and subdural, the second and the last class
    assert (codes > 0).sum() == 20


def test_heat_map_is_a_transparent_picture(viewed: FlaskClient) -> None:
    picture = Image.open(io.BytesIO(viewed.get("/studies/one/heats/2.png").data))
    assert (picture.mode, picture.size) == ("RGBA", (64, 64))


@pytest.mark.parametrize("path", ["slices/0", "slices/4", "slices/4.png", "masks/0", "heats/9.png", "?slice=4", "x"])
def test_what_a_study_does_not_have_is_not_found(viewed: FlaskClient, path: str) -> None:
    assert viewed.get(f"/studies/one/{path}").status_code == 404


def test_unknown_study_is_not_found(viewed: FlaskClient) -> None:
    page = viewed.get("/studies/two/")
    assert page.status_code == 404
    assert "There is no such study." in page.text


def test_model_without_a_mask_or_heat_map_has_none_to_give(viewed: FlaskClient, study: HeldStudy) -> None:
    study._masks = [None] * SLICES
    study._heats = [None] * SLICES
    assert viewed.get("/studies/one/study.json").get_json()["mask"] is False
    assert viewed.get("/studies/one/masks/1").status_code == 404
    assert viewed.get("/studies/one/heats/1.png").status_code == 404
    assert viewed.get("/studies/one/slices/2.png").status_code == 200


@pytest.mark.parametrize("path", ["study.json", "slices/2", "masks/2", "heats/2.png", "slices/2.png"])
def test_nothing_of_a_study_is_kept_by_a_cache(viewed: FlaskClient, path: str) -> None:
    assert viewed.get(f"/studies/one/{path}").headers["Cache-Control"] == "no-store"


def test_page_without_scripts_shows_the_most_suspicious_slice_and_leads_to_all(viewed: FlaskClient) -> None:
    page = viewed.get("/studies/one/").text
    assert 'src="/studies/one/slices/2.png"' in page
    assert 'href="?slice=1" rel="prev"' in page
    assert 'href="?slice=3" rel="next"' in page
    assert re.findall(r'<a href="\?slice=(\d)" class="finding-(\w+)"', page) == [
        ("1", "none"), ("2", "hemorrhage"), ("3", "none"),
    ]  # fmt: skip
    assert "Research use. Not a medical device." in page
    assert "A doubt." in page


def test_picture_has_the_blood_in_the_colours_of_the_subtypes(viewed: FlaskClient) -> None:
    picture = np.asarray(Image.open(io.BytesIO(viewed.get("/studies/one/slices/2.png").data)))
    assert picture.shape == (ROWS, COLUMNS, 3)
    assert picture[11, 22].argmax() == 1  # epidural is green
    assert picture[13, 22].argmin() == 1  # subdural is pink
    assert picture[0, 0].tolist() == [0, 0, 0]


def test_midline_is_drawn_on_its_slice_and_told_to_the_viewer(viewed: FlaskClient, study: HeldStudy) -> None:
    down = ((4.0, 30.0), (44.0, 30.0))
    found = ((4.0, 34.0), (44.0, 34.0))
    midline = MidlineShift(2.0, 1.5, 1, 1, ideal_px=down, midline_px=found, farthest_px=(24.0, 34.0))
    study.outline = replace(study.outline, midline=midline)
    picture = np.asarray(Image.open(io.BytesIO(viewed.get("/studies/one/slices/2.png").data)))
    # The edges of a line are smoothed.
    assert picture[24, 30].tolist() == pytest.approx([255, 255, 255], abs=30)
    assert picture[24, 34].tolist() == pytest.approx([102, 255, 102], abs=30)
    assert picture[24, 32].tolist() == [0, 0, 0]
    other = np.asarray(Image.open(io.BytesIO(viewed.get("/studies/one/slices/1.png").data)))
    assert not other.any()
    told = viewed.get("/studies/one/study.json").get_json()["midline"]
    assert (told["number"], told["shift_mm"], told["ideal_px"]) == (2, 2.0, [[4.0, 30.0], [44.0, 30.0]])
    assert 'data-act="midline"' in viewed.get("/studies/one/").text


def test_outline_tells_how_much_of_a_slice_is_head(viewed: FlaskClient) -> None:
    """20 pixels of 3 x 3 mm above -300 HU on the second slice, one on the third."""
    made = viewed.get("/studies/one/study.json").get_json()
    assert [one["head_mm2"] for one in made["slices"]] == [0.0, 180.0, 9.0]
    assert made["midline"] is None


def test_demo_is_read_once_and_its_second_study_has_more_blood(models: Any) -> None:
    demo = DemoStudies(Engine(Settings()), slices=4, side_px=64)
    later = demo.study("demo")
    assert demo.study("demo") is later
    earlier = demo.study(later.outline.prior)
    assert [one.position_mm for one in earlier.outline.slices] == [one.position_mm for one in later.outline.slices]
    areas = [sum(one.area_px or 0 for one in each.outline.slices) for each in (earlier, later)]
    assert 0 < areas[0] < areas[1]
    with pytest.raises(UnknownStudy):
        demo.study("other")
