"""The pages for people: start, result, models, about, contact, and the samples.

In: form posts. Out: HTML that is complete without scripts; the result is the direct answer to the post, because
nothing of an upload is kept.
"""

from dataclasses import dataclass
from functools import cache

import cv2
from flask import Blueprint, Response, abort, current_app, redirect, render_template, request, stream_template, url_for
from werkzeug.wrappers import Response as BaseResponse

from hemoscope.errors import BadRequest, UnknownModel
from hemoscope.preprocessing import WINDOWS
from hemoscope.scan import BRAIN, Window
from web import pictures
from web.cards import card_of, failed_card, json_uri
from web.engine import Failure, engine
from web.settings import Settings
from web.uploads import Upload, uploads_of

pages = Blueprint("pages", __name__)

SAMPLES = {"with-blood": True, "without-blood": False}
SAMPLE_PREVIEW_PX = 240


@pages.get("/")
def start() -> str:
    return _start_page()


@pages.get("/read")
def read_again() -> BaseResponse:
    """A reload after a result: there is nothing to show again, the result was never stored."""
    return redirect(url_for("pages.start"))


@pages.post("/read")
def read() -> Response | tuple[str, int]:
    settings: Settings = current_app.extensions["settings"]
    asked, field = _asked(), "window"
    try:
        window = Window.parse(asked.window)
        field = "files"
        uploads = _sample_or_uploads(settings)
        most_pictures = max(1, settings.max_pictures // len(uploads))
        field = "model"
        results = engine().read_all(uploads, asked.model, window, lambda reading: card_of(reading, most_pictures))
    except (BadRequest, UnknownModel) as error:
        return _start_page(str(error), field), error.status
    cards = [failed_card(result) if isinstance(result, Failure) else result for result in results]
    together = json_uri({"results": [card.record for card in cards]}) if len(cards) > 1 else ""
    # In pieces: as one text it would be in memory twice, and with a letter beyond Latin-1 at two bytes each.
    pieces = stream_template("result.html", cards=cards, together=together, asked=asked)
    return Response([piece.encode() for piece in pieces])


@pages.get("/samples/<name>.<kind>")
def sample(name: str, kind: str) -> Response:
    """A synthetic slice: the DICOM file, or its picture for the start page."""
    if name not in SAMPLES or kind not in ("dcm", "png"):
        abort(404)
    if kind == "png":
        return Response(_sample_preview(name), mimetype="image/png")
    response = Response(_sample_dicom(name), mimetype="application/dicom")
    response.headers["Content-Disposition"] = f"attachment; filename=phantom-{name}.dcm"
    return response


@pages.get("/models")
def models() -> str:
    return render_template("models.html", manifests=engine().manifests())


@pages.get("/about")
def about() -> str:
    return render_template("about.html")


@pages.get("/contact")
def contact() -> str:
    return render_template("contact.html")


@dataclass(frozen=True)
class Asked:
    """What a form asks for beside its files, or what it would ask for as it comes."""

    model: str
    window: str


def _asked() -> Asked:
    settings: Settings = current_app.extensions["settings"]
    return Asked(request.form.get("model") or settings.model, request.form.get("window") or str(BRAIN))


def _start_page(problem: str = "", problem_field: str = "") -> str:
    """The form, with what was asked for still in it, and where something was wrong, what and in which field."""
    return render_template(
        "start.html",
        manifests=engine().manifests(),
        problem=problem,
        problem_field=problem_field,
        asked=_asked(),
        windows=WINDOWS,
    )


def _sample_or_uploads(settings: Settings) -> list[Upload]:
    """The synthetic slice that was asked for, or the files that were sent.

    Raises:
        BadRequest: for an unknown sample, or where there is neither.
    """
    sample_name = request.form.get("sample")
    if sample_name is not None:
        if sample_name not in SAMPLES:
            raise BadRequest(f"There is no sample {sample_name!r}; there are {', '.join(SAMPLES)}.")
        return [Upload(f"phantom-{sample_name}.dcm", _sample_dicom(sample_name))]
    uploads = uploads_of(request, settings)
    if not uploads:
        raise BadRequest("No file was chosen. Choose one or more CT slices, or try a sample.")
    return uploads


@cache
def _sample_dicom(name: str) -> bytes:
    from hemoscope.phantom import sample_slice

    return sample_slice(SAMPLES[name])


@cache
def _sample_preview(name: str) -> bytes:
    from hemoscope.readers import read_bytes

    hu = read_bytes(_sample_dicom(name)).hu[0]
    return pictures.slice_png(cv2.resize(hu, (SAMPLE_PREVIEW_PX, SAMPLE_PREVIEW_PX), interpolation=cv2.INTER_AREA))
