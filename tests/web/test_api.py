"""The JSON API, and that its OpenAPI document tells the truth."""

import base64
import io
import re
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from PIL import Image
from werkzeug.test import TestResponse

from hemoscope.context_rule import ContextRule
from hemoscope.labels import CLASSES
from hemoscope.phantom import dicom_slices, make_phantom
from hemoscope.scan_rule import ScanRule
from tests.web.conftest import ensemble_manifest, grey_png
from web import pictures


def post(client: FlaskClient, *files: tuple[bytes, str], query: str = "", **fields: str) -> TestResponse:
    sent = [(io.BytesIO(data), name) for data, name in files]
    return client.post(f"/api/v1/read{query}", data={"files": sent} | fields)


def picture(text: str) -> Any:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def test_one_slice_gives_the_record_of_the_command_line(client: FlaskClient, check: Any, blood_png: bytes) -> None:
    (made,) = check(post(client, (blood_png, "a.png")))["results"]
    assert list(made)[:4] == ["path", "model", "version", "probabilities"]
    assert made == {
        "path": "a.png",
        "model": "reader",
        "version": "1.2.3",
        "probabilities": dict.fromkeys(CLASSES, 0.0625) | {"any": 0.9375, "subdural": 0.75},
        "finding": "hemorrhage",
        "area_px": 64,
        "area_mm2": None,
        "subtype_areas_px": None,
        "seconds": 0.875,
        "notes": [
            "The file is a picture: its grey values were read as the window 40/80 HU, and what lay outside is lost."
        ],
        "decided_by": "slice",
    }


def test_the_band_of_whole_scans_stands_beside_that_of_slices(client: FlaskClient, check: Any, models: Any) -> None:
    models.readers["reader"].manifest.scan_rule = ScanRule(1, 1.0, -1.0, 0.125, 0.5, "By hand.")
    models.readers["reader"].manifest.context_rule = ContextRule(0.5, 1.0, -1.0, 0.25, 0.75, "By hand too.")
    decisions = {
        one["name"]: (one["decision"], one["scan_decision"], one["context_decision"])
        for one in check(client.get("/api/v1/models"))["models"]
    }
    slices = {"low": 0.25, "high": 0.625}
    scans = {"low": 0.125, "high": 0.5, "chosen": "By hand."}
    in_context = {"low": 0.25, "high": 0.75, "chosen": "By hand too."}
    assert decisions == {"unet": (slices, None, None), "reader": (slices, scans, in_context)}


def test_area_of_dicom_is_in_square_millimetres(client: FlaskClient, check: Any) -> None:
    (file,) = dicom_slices(make_phantom(slices=1, rows=64, columns=64, spacing_mm=3.5))
    (made,) = check(post(client, (file, "a")))["results"]
    assert made["area_px"] > 0  # the edges of the skull
    assert made["area_mm2"] == pytest.approx(made["area_px"] * 12.25)


def test_files_keep_their_order_and_a_wrong_one_its_place(
    client: FlaskClient, check: Any, blood_png: bytes, clear_png: bytes
) -> None:
    results = check(post(client, (b"no", "1"), (blood_png, "2"), (b"", "3"), (clear_png, "4")))["results"]
    assert [entry["path"] for entry in results] == ["1", "2", "3", "4"]
    assert ["error" in entry for entry in results] == [True, False, True, False]


def test_model_and_window_can_be_chosen(client: FlaskClient, check: Any, clear_png: bytes) -> None:
    (made,) = check(post(client, (clear_png, "a.png"), model="unet", window="80/200"))["results"]
    assert (made["model"], made["finding"]) == ("unet", "hemorrhage")
    assert made["probabilities"] == dict.fromkeys(CLASSES) | {"any": 0.9375}


def test_pictures_come_where_they_are_asked_for(client: FlaskClient, check: Any, blood_png: bytes) -> None:
    answer = post(client, (blood_png, "a.png"), query="?include=mask,overlay,heatmaps")
    (shown,) = check(answer)["results"][0]["slices"]
    mask = picture(shown["mask"])
    assert (mask.shape, int(mask.sum())) == ((64, 80), 64 * 255)
    assert picture(shown["overlay"]).shape == (64, 80, 3)
    assert set(shown["heatmaps"]) == set(CLASSES)
    assert picture(shown["heatmaps"]["any"]).shape == (64, 80, 3)
    (only_mask,) = check(post(client, (blood_png, "a.png"), query="?include=mask"))["results"][0]["slices"]
    assert "overlay" not in only_mask
    answer = post(client, (blood_png, "a.png"), query="?include=mask&include=overlay")
    (both,) = answer.json["results"][0]["slices"]
    assert {"mask", "overlay"} <= set(both)


def test_a_mask_s_pixels_are_counted_by_subtype_where_the_model_tells_them_apart(
    client: FlaskClient, check: Any, models: Any, blood_png: bytes
) -> None:
    models.readers["reader"].bright.tells_subtypes = True
    (made,) = check(post(client, (blood_png, "a.png"), query="?include=overlay"))["results"]
    expected = dict.fromkeys(CLASSES[1:], 0) | {"epidural": 64}
    assert made["subtype_areas_px"] == made["slices"][0]["subtype_areas_px"] == expected


def test_large_slices_are_drawn_smaller_with_their_mask_as_it_is(make_app: Any, models: Any) -> None:
    """Where one picture fits, a slice of 800 x 600 is drawn on at most 512 x 512 pixels: 591 x 443."""
    client = make_app(max_pictures=1).test_client()
    answer = post(client, (grey_png(204, 40, 600, 800), "a.png"), query="?include=mask,overlay,heatmaps")
    (shown,) = answer.json["results"][0]["slices"]
    assert picture(shown["mask"]).shape == (600, 800)
    assert picture(shown["overlay"]).shape == picture(shown["heatmaps"]["any"]).shape == (443, 591, 3)
    overlay = picture(shown["overlay"])
    assert overlay[30, 37, 0] > overlay[30, 37, 2]  # the blood of rows 20..60 and columns 30..70, at 0.74 of that


def test_one_file_at_a_time_is_read_and_drawn(
    make_app: Any, models: Any, monkeypatch: pytest.MonkeyPatch, blood_png: bytes
) -> None:
    """Whatever the number of requests: drawing takes more memory than reading."""
    inside: list[int] = [0]
    most = []
    draw = pictures.overlay_png

    def watched(*given: Any) -> bytes:
        inside[0] += 1
        most.append(inside[0])
        time.sleep(0.05)
        inside[0] -= 1
        return draw(*given)

    monkeypatch.setattr(pictures, "overlay_png", watched)
    app = make_app()
    with ThreadPoolExecutor(4) as pool:
        sent = [pool.submit(post, app.test_client(), (blood_png, "a"), query="?include=overlay") for _ in range(4)]
    assert [each.result().status_code for each in sent] == [200] * 4
    assert most == [1] * 4


def test_errors_match_the_document(client: FlaskClient, check: Any, blood_png: bytes) -> None:
    assert check(post(client))["error"]["message"].startswith("No file came.")
    assert check(post(client, (blood_png, "a"), window="1"))["error"]["status"] == 400
    answer = post(client, (blood_png, "a"), query="?include=mask&include=shoes")
    assert check(answer)["error"]["message"] == "include knows mask, overlay, heatmaps; got shoes."
    assert check(post(client, (blood_png, "a"), model="x"))["error"]["status"] == 404


def test_models_match_the_document(client: FlaskClient, check: Any) -> None:
    made = check(client.get("/api/v1/models"))
    assert made["default"] == "reader"
    assert [entry["name"] for entry in made["models"]] == ["reader", "unet"]
    assert made["models"][0]["metrics"][0]["n"] == 678
    assert made["models"][1]["classes"] == ["any"]


def test_document_lists_every_address_and_no_other(app: Flask, client: FlaskClient, check: Any) -> None:
    document = check(client.get("/api/v1/openapi.json"))
    listed = {
        (path, method.upper()) for path, item in document["paths"].items() for method in item if method != "parameters"
    }
    routed = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method)
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/")
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert listed == routed


def test_every_reference_of_the_document_resolves(client: FlaskClient) -> None:
    answer = client.get("/api/v1/openapi.json")
    references = set(re.findall(r'"#/components/schemas/(\w+)"', answer.text))
    assert references == set(answer.json["components"]["schemas"])


def test_validation_would_notice_a_wrong_answer(client: FlaskClient) -> None:
    components = client.get("/api/v1/openapi.json").json["components"]
    validator = Draft202012Validator({"$ref": "#/components/schemas/Results", "components": components})
    assert not validator.is_valid({"results": [{"path": "a", "error": "no", "finding": "none"}]})
    assert not validator.is_valid({"results": [{"path": "a"}]})


def test_what_a_model_without_a_mask_does_not_give_is_null(
    client: FlaskClient, check: Any, bright_reader: Any, blood_png: bytes
) -> None:
    bright_reader.gives_mask = False
    (made,) = check(post(client, (blood_png, "a.png"), query="?include=mask,overlay,heatmaps"))["results"]
    assert made["finding"] == "hemorrhage"
    (shown,) = made["slices"]
    for entry in (made, shown):
        assert (entry["area_px"], entry["area_mm2"]) == (None, None)
    assert (shown["mask"], shown["overlay"]) == (None, None)
    assert picture(shown["heatmaps"]["any"]).shape == (64, 80, 3)


def test_an_ensemble_states_its_members_and_its_cost(client: FlaskClient, check: Any, models: Any) -> None:
    models.readers["both"] = SimpleNamespace(manifest=ensemble_manifest("both", ("reader", "unet")))
    listed = {entry["name"]: entry for entry in check(client.get("/api/v1/models"))["models"]}
    both, reader = listed["both"], listed["reader"]
    assert (both["combination"], both["milliseconds_a_slice"], both["sha256"]) == ("vote", 21.5, None)
    assert [(member["name"], member["weight"]) for member in both["members"]] == [("reader", 0.5), ("unet", 0.5)]
    assert (reader["combination"], reader["members"], reader["milliseconds_a_slice"]) == (None, [], None)
