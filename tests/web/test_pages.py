"""The pages for people, as a browser without scripts sees them."""

import base64
import dataclasses
import io
import json
import re
import weakref
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from flask import Flask, render_template
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from hemoscope import render
from hemoscope.context_rule import ContextRule
from hemoscope.phantom import Bleed, dicom_slices, make_phantom
from hemoscope.scan_rule import ScanRule
from tests.web.conftest import ensemble_manifest, grey_png
from web.cards import card_of, percent
from web.engine import Reading
from web.pages import Asked

ROOT_PAGES = ("/", "/models", "/about", "/contact")


def percents(page: str) -> list[str]:
    """The values beside the bars."""
    return [value.replace("\N{NO-BREAK SPACE}", " ") for value in re.findall(r'<dd class="value">([^<]+)</dd>', page)]


def post(client: FlaskClient, *files: tuple[bytes, str], **fields: str) -> TestResponse:
    return client.post("/read", data={"files": [(io.BytesIO(data), name) for data, name in files]} | fields)


def download(page: str, file_name: str) -> bytes:
    """What the link that saves as `file_name` holds."""
    found = re.search(rf'<a href="data:[a-z/]+;base64,([^"]+)" download="{re.escape(file_name)}"', page)
    assert found, file_name
    return base64.b64decode(found[1])


@pytest.mark.parametrize("path", ROOT_PAGES)
def test_every_page_says_research_use_and_not_a_medical_device(client: FlaskClient, path: str) -> None:
    page = client.get(path)
    assert page.status_code == 200
    assert "Research use. Not a medical device." in page.text
    assert '<a class="skip" href="#main">' in page.text


def test_start_page_offers_files_models_windows_and_samples(client: FlaskClient) -> None:
    page = client.get("/").text
    assert re.search(r'<input id="files" type="file" name="files" multiple', page)
    assert page.index('<option value="reader" selected>') < page.index('<option value="unet">')  # the default one first
    assert '<option value="80/200">subdural</option>' in page
    assert 'name="sample" value="with-blood"' in page
    assert 'name="sample" value="without-blood"' in page


def test_result_shows_decision_bars_area_and_downloads(client: FlaskClient, blood_png: bytes) -> None:
    page = post(client, (blood_png, "slice 1.png"))
    assert page.status_code == 200
    text = page.text
    assert "Hemorrhage</p>" in text
    text_of_decision = text.replace("\N{NO-BREAK SPACE}", " ")
    assert "any hemorrhage, 94 %, reaches the 62 % from which" in text_of_decision  # 0.625 is the band's upper end
    assert percents(text) == ["94 %", "6 %", "6 %", "6 %", "6 %", "75 %"]
    assert "64<small> px</small>" in text  # a square of 8 x 8
    assert "mm² not known" in text
    assert text.count("as the window 40/80 HU") == 1
    made = json.loads(download(text, "slice_1.json"))
    assert (made["path"], made["finding"], made["area_px"], made["area_mm2"]) == ("slice 1.png", "hemorrhage", 64, None)
    assert [note.split(":")[0] for note in made["notes"]] == ["The file is a picture"]
    mask = np.asarray(Image.open(io.BytesIO(download(text, "slice_1-mask.png"))))
    assert mask.shape == (64, 80)
    assert mask[20:28, 30:38].min() == 255
    assert (mask == 255).sum() == 64
    overlay = np.asarray(Image.open(io.BytesIO(download(text, "slice_1-overlay.png"))))
    assert overlay.shape == (64, 80, 3)
    assert overlay[24, 34, 0] > overlay[24, 34, 2]  # orange on grey
    assert overlay[5, 5].tolist() == [0, 0, 0]


def test_each_doubt_is_told_once_and_the_model_s_first(client: FlaskClient, models: Any, blood_png: bytes) -> None:
    """A picture without spacing, of which the reader and the model say one thing each."""
    reader = models.readers["reader"]
    read = reader.read
    reader.read = lambda scan: dataclasses.replace(read(scan), notes=(*scan.notes, "Too dark for this model."))
    page = post(client, (blood_png, "a.png")).text
    (told,) = re.findall(r'<ul class="unknown">(.*?)</ul>', page)
    assert re.findall(r"<li>(.*?)</li>", told) == [
        "Too dark for this model.",
        "The file is a picture: its grey values were read as the window 40/80 HU, and what lay outside is lost.",
    ]


def test_result_has_a_switch_for_mask_contour_and_each_heat_map(client: FlaskClient, blood_png: bytes) -> None:
    page = post(client, (blood_png, "a.png")).text
    assert 'class="show-fill" checked' in page
    assert 'class="show-outline" checked' in page
    assert re.findall(r'class="show-heat" value="(\w*)"', page) == [
        "", "any", "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural",
    ]  # fmt: skip
    assert len(re.findall(r'<img class="layer heat heat-\w+" src="data:image/png', page)) == 6


def test_mask_of_several_subtypes_is_coloured_and_its_shares_are_named(client: FlaskClient, models: Any) -> None:
    """Eight rows of blood at 60 HU and four at 75: two thirds epidural, one third subdural."""
    grey = np.array(Image.open(io.BytesIO(grey_png(191))))
    grey[28:32, 30:38] = 239
    models.readers["reader"].bright.tells_subtypes = True
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "PNG")
    page = post(client, (file.getvalue(), "a.png")).text
    shares = re.search(r'<p class="shares">(.*?)</p>', page, re.DOTALL)
    assert shares is not None
    words = re.sub(r"<[^>]+>", " ", shares[1]).replace("\N{NO-BREAK SPACE}", " ").split()
    assert " ".join(words) == "epidural 67 % subdural 33 %"
    overlay = np.asarray(Image.open(io.BytesIO(download(page, "a-overlay.png"))))
    inside = {"epidural": overlay[24, 34].astype(int), "subdural": overlay[30, 34].astype(int)}
    assert inside["epidural"].argmax() == 1  # green
    assert inside["subdural"].argmin() == 1  # pink
    assert json.loads(download(page, "a.json"))["subtype_areas_px"]["subdural"] == 32


def test_mask_of_a_model_without_subtypes_names_no_shares(client: FlaskClient, blood_png: bytes) -> None:
    page = post(client, (blood_png, "a.png")).text
    assert "shares" not in page
    assert json.loads(download(page, "a.json"))["subtype_areas_px"] is None


def test_slice_without_blood_says_so_and_draws_no_mask(client: FlaskClient, clear_png: bytes) -> None:
    page = post(client, (clear_png, "a.png")).text
    assert "No hemorrhage found" in page
    assert "does not rule a hemorrhage out" in page
    assert 'class="layer fill"' not in page


def test_segmentation_model_says_what_it_does_not_assess(client: FlaskClient, blood_png: bytes) -> None:
    page = post(client, (blood_png, "a.png"), model="unet").text
    assert page.count("not assessed by this model") == 5
    assert percents(page) == ["94 %"]
    assert "Grad-CAM" not in page


def test_model_without_a_mask_says_so_and_offers_its_heat_maps(
    client: FlaskClient, bright_reader: Any, blood_png: bytes
) -> None:
    bright_reader.gives_mask = False
    page = post(client, (blood_png, "a.png")).text
    assert "This model gives no mask." in page
    assert page.count('class="show-heat"') == 7
    for absent in ("show-fill", "data-opacity", "a-mask.png", "a-overlay.png", "layer fill", "No blood marked"):
        assert absent not in page
    assert "Area of the mask" not in page
    made = json.loads(download(page, "a.json"))
    assert (made["area_px"], made["area_mm2"]) == (None, None)


def test_several_slices_of_a_model_without_a_mask_are_listed_without_areas(
    app: Flask, models: Any, bright_reader: Any
) -> None:
    bright_reader.gives_mask = False
    head = make_phantom([Bleed("subdural", 30)], slices=3, rows=64, columns=64, spacing_mm=3.6)
    reader = models.readers["reader"]
    card = card_of(Reading("head", head.scan, reader.read(head.scan), reader.manifest), most_pictures=2)
    assert [numbers.area_px for numbers in card.numbers] == [None] * 3
    assert all(view.heat and not view.mask_png and not view.fill for view in card.slices)
    with app.test_request_context():
        page = render_template("result.html", cards=[card], asked=Asked("reader", "40/80"))
    assert page.count("<td>\N{EN DASH}</td><td>hemorrhage</td>") == 3
    assert "Slice 2 of 3" in page


def test_uncertain_band_is_explained(client: FlaskClient, models: Any, blood_png: bytes) -> None:
    reader = models.readers["reader"]
    read = reader.read
    reader.read = lambda scan: dataclasses.replace(read(scan), finding="uncertain")
    page = post(client, (blood_png, "a.png")).text
    assert "Uncertain</p>" in page
    assert "between 25\N{NO-BREAK SPACE}% and 62\N{NO-BREAK SPACE}%" in page
    assert "neither a yes nor a no" in page


def test_the_band_that_is_explained_is_that_of_the_rule_that_decided(
    client: FlaskClient, models: Any, blood_png: bytes
) -> None:
    reader = models.readers["reader"]
    read = reader.read
    reader.manifest.band = lambda decided_by: {"scan": (0.125, 0.5), "slice": (0.25, 0.625)}[decided_by]
    reader.read = lambda scan: dataclasses.replace(read(scan), finding="uncertain", decided_by="scan")
    page = post(client, (blood_png, "a.png")).text
    assert "between 12\N{NO-BREAK SPACE}% and 50\N{NO-BREAK SPACE}%" in page


def test_a_model_states_how_it_decides_whole_scans(client: FlaskClient, models: Any) -> None:
    assert "Decides scans" not in client.get("/models").text
    models.readers["reader"].manifest.scan_rule = ScanRule(1, 1.0, -1.0, 0.125, 0.5, "Chosen by hand.")
    models.readers["reader"].manifest.context_rule = ContextRule(0.5, 1.0, -1.0, 0.25, 0.75, "By hand too.")
    page = client.get("/models").text.replace("\N{NO-BREAK SPACE}", " ")
    assert "<dt>Decides their slices</dt><dd>none below 25 %, hemorrhage from 75 %, uncertain between. By hand" in page
    assert "<dt>Decides scans</dt><dd>none below 12 %, hemorrhage from 50 %, uncertain between. Chosen by hand." in page


def test_chosen_window_gives_other_hounsfield_units(client: FlaskClient, clear_png: bytes) -> None:
    """Grey 100 is 31 HU in 40/80 and 58 HU in 80/200: -20 + 100 / 255 * 200."""
    assert "No hemorrhage found" in post(client, (clear_png, "a.png"), window="40/80").text
    page = post(client, (clear_png, "a.png"), window=" 80/200 ").text
    assert "Hemorrhage</p>" in page
    assert "picture, window 80/200" in page


def test_wrong_file_among_good_ones_gets_its_own_card(client: FlaskClient, blood_png: bytes, clear_png: bytes) -> None:
    page = post(client, (blood_png, "a.png"), (b"a shopping list", "list.dcm"), (clear_png, "c.png"))
    assert page.status_code == 200
    assert page.text.count('<article class="card card-error"') == 1
    assert page.text.count('<article class="card"') == 2
    together = json.loads(download(page.text, "hemoscope.json"))["results"]
    assert [entry.get("finding", "error") for entry in together] == ["hemorrhage", "error", "none"]
    assert "shopping" not in page.text
    assert together[1]["error"]


def test_a_fault_of_the_reader_spoils_one_file_only(
    client: FlaskClient, models: Any, blood_png: bytes, clear_png: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    reader, seen = models.readers["reader"], []
    read = reader.read

    def fails_first(scan: Any) -> Any:
        seen.append(scan)
        if len(seen) == 1:
            raise KeyError("DOE^JANE")
        return read(scan)

    reader.read = fails_first
    page = post(client, (blood_png, "jane.png"), (clear_png, "c.png"))
    assert page.status_code == 200
    assert "our fault" in page.text
    assert "No hemorrhage found" in page.text
    assert "KeyError" in caplog.text  # the operator learns what and where, and nobody's name
    assert "DOE" not in page.text + caplog.text
    assert "jane" not in caplog.text


@pytest.mark.parametrize("files", [(), ((b"", ""),)], ids=["no field", "empty field"])
def test_empty_submit_is_answered_kindly(client: FlaskClient, files: tuple[tuple[bytes, str], ...]) -> None:
    page = post(client, *files)
    assert page.status_code == 400
    assert "No file was chosen." in page.text
    assert '<form class="upload"' in page.text


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"window": "wide"}, 400, "LEVEL/WIDTH"),
        ({"window": "40/0"}, 400, "width above 0"),
        ({"model": "../weights"}, 404, "There is no model"),
        ({"sample": "a cat"}, 400, "There is no sample"),
    ],
)
def test_wrong_choice_comes_back_to_the_form(
    client: FlaskClient, blood_png: bytes, fields: dict[str, str], status: int, message: str
) -> None:
    page = post(client, (blood_png, "a.png"), **fields)
    assert page.status_code == status
    assert message in page.text
    assert '<form class="upload"' in page.text


@pytest.mark.parametrize(
    ("fields", "field", "selected"),
    [
        ({"model": "unet", "window": "foo"}, "window", "unet"),
        ({"model": "unet", "window": "80/200"}, "files", "unet"),
        ({"model": "gone", "window": "80/200"}, "model", None),
    ],
)
def test_form_that_comes_back_keeps_what_was_sent_and_marks_the_field(
    client: FlaskClient, blood_png: bytes, fields: dict[str, str], field: str, selected: str | None
) -> None:
    data = {"files": [(io.BytesIO(blood_png), "a.png")]} if field != "files" else {}
    page = client.post("/read", data=data | fields).text
    tags = Tags()
    tags.feed(page)
    marked = [given for _, given in tags.found if given.get("aria-invalid") == "true"]
    assert [given["id"] for given in marked] == [field]
    assert "problem" in (marked[0]["aria-describedby"] or "").split()
    assert 'role="alert" id="problem"' in page
    chosen = [given["value"] for tag, given in tags.found if tag == "option" and "selected" in given]
    assert chosen == ([selected] if selected else [])
    assert [given["value"] for _, given in tags.found if given.get("id") == "window"] == [fields["window"]]


def test_result_reads_more_with_the_same_model_and_window(client: FlaskClient, blood_png: bytes) -> None:
    page = post(client, (blood_png, "a.png"), model="unet", window="80/200").text
    assert '<input type="hidden" name="model" value="unet">' in page
    assert '<input type="hidden" name="window" value="80/200">' in page
    assert '<input id="files" type="file" name="files" multiple' in page


def test_samples_differ_by_their_blood(client: FlaskClient) -> None:
    """Skull edges are as bright as blood for the test's reader, so both have an area; the bleed adds to it."""
    pages = {name: client.post("/read", data={"sample": name}).text for name in ("with-blood", "without-blood")}
    areas = {name: json.loads(download(page, f"phantom-{name}.json"))["area_mm2"] for name, page in pages.items()}
    assert areas["with-blood"] > areas["without-blood"] + 50


def test_sample_can_be_taken_as_dicom_and_read_again(client: FlaskClient) -> None:
    file = client.get("/samples/with-blood.dcm")
    assert file.data[128:132] == b"DICM"
    assert file.headers["Content-Disposition"] == "attachment; filename=phantom-with-blood.dcm"
    assert "Hemorrhage</p>" in post(client, (file.data, "x")).text
    assert client.get("/samples/with-blood.png").data.startswith(b"\x89PNG")
    assert client.get("/samples/other.dcm").status_code == 404
    assert client.get("/samples/with-blood.exe").status_code == 404


def test_markup_in_a_file_name_stays_text(client: FlaskClient, blood_png: bytes) -> None:
    page = post(client, (blood_png, "<script>alert(1).png")).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


def test_first_slice_is_the_most_suspicious_one(make_app: Callable[..., Flask], models: Any) -> None:
    """Three slices, of which the middle one bleeds; two come as pictures."""
    head = make_phantom([Bleed("intraparenchymal", 20)], slices=5, rows=64, columns=64, spacing_mm=3.6)
    reader = models.readers["reader"]
    findings = reader.read(head.scan)
    bleeding = [found.area_px > 0 for found in findings.slices]
    card = card_of(Reading("head", head.scan, findings, reader.manifest), most_pictures=2)
    assert len(card.slices) == 2
    assert bleeding[card.slices[0].number - 1]
    assert findings.slices[card.slices[0].number - 1].area_px == max(found.area_px for found in findings.slices)
    assert any("All 5 slices were read; the 2 most suspicious" in sentence for sentence in card.unknown)


def test_pictures_are_counted_by_their_size(models: Any) -> None:
    """Eight pictures of 512 x 512 are two of 1024 x 1024."""
    reader = models.readers["reader"]
    for side, shown in ((256, 8), (512, 8), (1024, 2)):
        head = make_phantom([Bleed("subdural", 30)], slices=9, rows=64, columns=64, spacing_mm=3.6)
        scan = dataclasses.replace(head.scan, hu=np.zeros((9, side, side), np.float32))
        card = card_of(Reading("head", scan, reader.read(scan), reader.manifest), most_pictures=8)
        assert len(card.slices) == shown
        assert len(card.numbers) == 9


def test_a_card_lets_the_arrays_of_its_file_go(models: Any) -> None:
    """Thirty-two files would hold a third of a gigabyte otherwise."""
    reader = models.readers["reader"]
    head = make_phantom([Bleed("subdural", 30)], slices=2, rows=64, columns=64, spacing_mm=3.6)
    findings = reader.read(head.scan)
    held = [weakref.ref(found.mask) for found in findings.slices]
    card = card_of(Reading("head", head.scan, findings, reader.manifest), most_pictures=2)
    del findings
    assert [reference() for reference in held] == [None, None]
    assert len(card.slices) == len(card.numbers) == 2


@pytest.mark.parametrize(
    ("probability", "text"),
    [(0, "0 %"), (0.004, "< 1 %"), (0.01, "1 %"), (0.375, "38 %"), (0.99, "99 %"), (0.996, "> 99 %"), (1, "100 %")],
)
def test_percentages_never_round_onto_certainty(probability: float, text: str) -> None:
    assert percent(probability).replace("\N{NO-BREAK SPACE}", " ") == text


def test_models_page_gives_figures_with_n_interval_limits_and_licence(client: FlaskClient) -> None:
    page = client.get("/models").text
    for stated in ("0.912", "0.881", "0.939", "678", "A. Nobody, 2020", "knows brightness only.", "1,234,567", "CC0"):
        assert stated in page
    assert page.index('id="reader"') < page.index('id="unet"')


def test_models_page_says_when_the_figures_are_of_other_networks(client: FlaskClient, models: Any) -> None:
    assert client.get("/models").text.count("Figures on unseen patients") == 2
    models.readers["reader"].manifest.fold = None
    page = client.get("/models").text
    assert page.count("Figures of the networks of the folds, not of this one") == 1
    assert page.count("Figures on unseen patients") == 1


def test_models_page_shows_an_ensemble_with_its_members_and_its_cost(client: FlaskClient, models: Any) -> None:
    models.readers["both"] = SimpleNamespace(manifest=ensemble_manifest("both", ("reader", "unet")))
    page = client.get("/models").text
    assert "vote of reader, unet" in page
    assert "2 networks, 1,234,567 parameters together, 22 ms a slice" in page
    assert page.count("SHA-256") == 2  # of the two networks


def test_without_a_model_the_start_page_stands_and_says_so(client: FlaskClient, models: Any) -> None:
    models.manifests = lambda: ()
    answer = client.get("/")
    assert answer.status_code == 200
    assert "No model can be used. The server&#39;s log says why." in answer.text.replace("'", "&#39;")


def test_contact_page_shows_who_runs_the_server(make_app: Callable[..., Flask]) -> None:
    page = make_app(contact="mailto:someone@example.org").test_client().get("/contact").text
    assert '<a href="mailto:someone@example.org">someone@example.org</a>' in page


def test_reload_of_a_result_leads_to_the_start(client: FlaskClient) -> None:
    answer = client.get("/read")
    assert (answer.status_code, answer.location) == (302, "/")


def test_unknown_address_is_a_page_for_people(client: FlaskClient) -> None:
    page = client.get("/nowhere")
    assert page.status_code == 404
    assert "There is nothing at this address." in page.text


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))


@pytest.mark.parametrize("path", [*ROOT_PAGES, "/nowhere", "/read"])
def test_pages_hold_no_inline_script_style_or_foreign_address(client: FlaskClient, path: str, blood_png: bytes) -> None:
    page = post(client, (blood_png, "a.png"), (b"no", "b")) if path == "/read" else client.get(path)
    tags = Tags()
    tags.feed(page.text)
    assert {tag for tag, _ in tags.found} & {"html", "main", "footer"} == {"html", "main", "footer"}
    for tag, attributes in tags.found:
        assert tag != "style"
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        assert tag != "script" or attributes["src"].startswith("/static/")  # type: ignore[union-attr]
        assert tag != "img" or "alt" in attributes
        source = attributes.get("src") or ""
        assert source.startswith(("/", "data:image/png;base64,")) or not source


def test_identifiers_of_a_page_are_unique_and_labels_point_at_them(client: FlaskClient, blood_png: bytes) -> None:
    for page in (client.get("/"), post(client, (blood_png, "a.png"), (blood_png, "a.png"), (b"no", "a.png"))):
        tags = Tags()
        tags.feed(page.text)
        named = [attributes["id"] for _, attributes in tags.found if "id" in attributes]
        assert len(named) == len(set(named))
        for _, attributes in tags.found:
            for pointer in ("for", "aria-labelledby", "aria-describedby", "list"):
                assert attributes.get(pointer, named[0]) in named


def test_several_slices_of_one_file_are_listed(client: FlaskClient) -> None:
    slices = dicom_slices(make_phantom([Bleed("subdural", 30)], slices=3, rows=64, columns=64, spacing_mm=3.6))
    page = post(client, *((data, f"{index}.dcm") for index, data in enumerate(slices)))
    assert page.text.count('<article class="card"') == 3
    assert 'href="#file-3"' in page.text


def test_stored_colour_bar_is_what_the_heat_map_draws() -> None:
    stored = Path(__file__).parents[2] / "static" / "heat.png"
    assert np.array_equal(np.asarray(Image.open(stored)), render.legend(160, 8))
