"""A study for the viewer: the page, its outline as JSON, and its slices, masks and heat maps one at a time.

In: the key of a study and a slice's number, counted from 1 as people do. Out: HTML that shows each slice without
scripts, JSON, pictures, and pixels as gzip of little-endian values, row by row. How each is laid out:
`docs/reference/viewer.md`.
"""

import gzip

import numpy as np
from flask import Blueprint, Response, abort, current_app, jsonify, render_template, request
from numpy.typing import NDArray

from hemoscope import labels, render
from hemoscope.measuring.values import MidlineShift
from hemoscope.scan import BRAIN
from web.access import require_study_access
from web.cards import colour_of
from web.security import keep_by_no_cache
from web.studies.protocol import Outline, SliceOutline, Study, StudySource

viewing = Blueprint("viewing", __name__, url_prefix="/studies/<key>")
viewing.before_request(require_study_access)
viewing.after_request(keep_by_no_cache)  # patients' slices: the viewer's own memory holds them

FASTEST = 1  # gzip's level: noise does not shrink further, only slower
OVERLAY_OPACITY = 0.45


@viewing.get("/")
def page(key: str) -> str:
    return study_page("study.html", key, _study(key).outline)


def study_page(template: str, key: str, outline: Outline, **more: object) -> str:
    """The viewer with the slice that the address asks for, or the most suspicious one.

    Args:
        template: `study.html` or one that extends it; gets `more`.

    Raises:
        NotFound: where the study has no such slice.
    """
    number = request.args.get("slice", _most_suspicious(outline), type=int)
    if not 1 <= number <= len(outline.slices):
        abort(404)
    return render_template(template, key=key, outline=outline, number=number, **more)


@viewing.get("/study.json")
def outline(key: str) -> Response:
    study = _study(key)
    return jsonify(_as_json(key, study.outline, study.mask(0) is not None))


@viewing.get("/slices/<int:number>")
def pixels(key: str, number: int) -> Response:
    """int16 Hounsfield units."""
    study, index = _slice(key, number)
    return _packed(study.hu(index).astype("<i2"))


@viewing.get("/masks/<int:number>")
def mask(key: str, number: int) -> Response:
    """uint8 codes, see `Study.mask`."""
    study, index = _slice(key, number)
    return _packed(_given(study.mask(index)))


@viewing.get("/heats/<int:number>.png")
def heat(key: str, number: int) -> Response:
    """The heat map as a transparent picture, to be stretched over the slice."""
    study, index = _slice(key, number)
    share = _given(study.heat(index)).astype(np.float32) / np.float32(255)
    return Response(render.png(render.heat_layer(share)), mimetype="image/png")


@viewing.get("/slices/<int:number>.png")
def picture(key: str, number: int) -> Response:
    """The slice in the brain window with its mask, for a browser without scripts."""
    study, index = _slice(key, number)
    shown = render.grey(study.hu(index).astype(np.float32), BRAIN)
    codes = study.mask(index)
    if codes is not None and codes.any():
        palette = np.array([(0, 0, 0), *labels.COLOURS.values()], np.uint8)
        shown = render.overlay(shown, codes > 0, palette[codes], OVERLAY_OPACITY)
    midline = study.outline.midline
    if midline is not None and midline.slice == index:
        shown = render.line(shown, midline.ideal_px, render.IDEAL_LINE)
        shown = render.line(shown, midline.midline_px, render.FOUND_LINE)
    return Response(render.png(shown), mimetype="image/png")


def _study(key: str) -> Study:
    source: StudySource = current_app.extensions["studies"]
    return source.study(key)


def _slice(key: str, number: int) -> tuple[Study, int]:
    """The study and the slice's index; 404 where it has no such slice."""
    study = _study(key)
    if not 1 <= number <= len(study.outline.slices):
        abort(404)
    return study, number - 1


def _given(pixels: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    if pixels is None:
        abort(404)
    return pixels


def _packed(pixels: NDArray[np.generic]) -> Response:
    response = Response(gzip.compress(pixels.tobytes(), FASTEST, mtime=0), mimetype="application/octet-stream")
    response.headers["Content-Encoding"] = "gzip"
    return response


def _most_suspicious(outline: Outline) -> int:
    """The number of the slice with the highest probability of any hemorrhage."""
    return 1 + max(range(len(outline.slices)), key=lambda index: outline.slices[index].probabilities[labels.ANY] or 0.0)


def _as_json(key: str, outline: Outline, has_mask: bool) -> dict[str, object]:
    return {
        "key": key,
        "title": outline.title,
        "rows": outline.rows,
        "columns": outline.columns,
        "spacing_mm": outline.spacing_mm,
        "orientation": outline.orientation,
        "model": outline.model,
        "prior": outline.prior,
        "notes": outline.notes,
        "mask": has_mask,
        "midline": None if outline.midline is None else _midline_json(outline.midline),
        "codes": [
            {"code": 1 + place, "name": name, "colour": colour_of(name)} for place, name in enumerate(labels.CLASSES)
        ],
        "slices": [_slice_json(number, one) for number, one in enumerate(outline.slices, 1)],
    }


def _slice_json(number: int, one: SliceOutline) -> dict[str, object]:
    return {
        "number": number,
        "position_mm": one.position_mm,
        "probabilities": one.probabilities,
        "finding": one.finding,
        "area_px": one.area_px,
        "heat": one.heat,
        "head_mm2": one.head_mm2,
    }


def _midline_json(one: MidlineShift) -> dict[str, object]:
    return {
        "number": one.slice + 1,
        "shift_mm": round(one.shift_mm, 1),  # as the page says it
        "uncertainty_mm": one.uncertainty_mm,
        "ideal_px": one.ideal_px,
        "midline_px": one.midline_px,
        "farthest_px": one.farthest_px,
    }
