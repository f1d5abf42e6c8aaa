"""The JSON API, version 1, as `web.openapi` describes it.

In: multipart posts. Out: JSON; a file that cannot be read is a result with an error, the request still succeeds.
"""

from collections.abc import Sequence
from dataclasses import asdict

from flask import Blueprint, Response, current_app, request
from flask.typing import ResponseReturnValue

from hemoscope import labels
from hemoscope.errors import BadRequest
from hemoscope.fitted_rule import FittedRule
from hemoscope.manifest import EnsembleManifest, NetworkManifest
from hemoscope.results.record import failure, record
from hemoscope.scan import BRAIN, Window
from web import pictures
from web.engine import Failure, Reading, engine
from web.openapi.document import document as describe
from web.settings import Settings
from web.uploads import uploads_of

api = Blueprint("api", __name__, url_prefix="/api/v1")

INCLUDES = ("mask", "overlay", "heatmaps")


@api.post("/read")
def read() -> ResponseReturnValue:
    settings: Settings = current_app.extensions["settings"]
    include = _include(request.args.getlist("include"))
    window = Window.parse(request.form.get("window") or str(BRAIN))
    uploads = uploads_of(request, settings)
    if not uploads:
        raise BadRequest("No file came. Send one or more in the multipart field 'files'.")
    most_pictures = max(1, settings.max_pictures // len(uploads))
    results = engine().read_all(
        uploads, request.form.get("model", ""), window, lambda reading: _pieces(reading, include, most_pictures)
    )
    listed = [[_json(failure(each.name, each.message))] if isinstance(each, Failure) else each for each in results]
    return Response([b'{"results":[', *_separated(listed), b"]}\n"], mimetype="application/json")


@api.get("/models")
def models() -> ResponseReturnValue:
    settings: Settings = current_app.extensions["settings"]
    listed = [_model(manifest) for manifest in engine().manifests()]
    return {"default": settings.model, "models": listed}


@api.get("/openapi.json")
def document() -> ResponseReturnValue:
    return describe(current_app.extensions["settings"])


def _include(values: Sequence[str]) -> frozenset[str]:
    """The words of `?include=mask,overlay` or `?include=mask&include=overlay`."""
    wanted = frozenset(part.strip() for part in ",".join(values).split(",") if part.strip())
    unknown = sorted(wanted - set(INCLUDES))
    if unknown:
        raise BadRequest(f"include knows {', '.join(INCLUDES)}; got {', '.join(unknown)}.")
    return wanted


def _pieces(result: Reading, include: frozenset[str], most_pictures: int) -> list[bytes]:
    """One result as JSON, slice by slice: pictures as text are long, and no second copy of them is ever made."""
    made = record(result.name, result.findings)
    if not include:
        return [_json(made)]
    plan = pictures.plan(result.findings, result.scan.hu.shape, most_pictures)
    slices = [
        [_json(_slice(result, index, include if index in plan.shown else frozenset(), plan.drawn_px))]
        for index in range(len(result.findings.slices))
    ]
    return [_json(made).removesuffix(b"}"), b',"slices":[', *_separated(slices), b"]}"]


def _json(value: object) -> bytes:
    return current_app.json.dumps(value).encode()


def _separated(values: Sequence[Sequence[bytes]]) -> list[bytes]:
    """The pieces of all values, with commas between the values."""
    return [piece for value in values for piece in (b",", *value)][1:]


def _slice(result: Reading, index: int, include: frozenset[str], drawn_px: int) -> dict[str, object]:
    """One slice's numbers, and the pictures that were asked for as PNG in base64."""
    found, hu = result.findings.slices[index], pictures.fitted(result.scan.hu[index], drawn_px)
    made: dict[str, object] = {
        "index": index,
        "probabilities": {name: _rounded(found.probabilities.get(name), 6) for name in labels.CLASSES},
        "finding": found.finding,
        "area_px": None if found.area_px is None else int(found.area_px),
        "area_mm2": _rounded(found.area_mm2, 2),
        "subtype_areas_px": found.subtype_areas_px,
    }
    if "mask" in include:
        made["mask"] = None if found.mask is None else pictures.base64(pictures.mask_png(found.mask))
    if "overlay" in include:
        mask = pictures.fitted_mask(found.mask, drawn_px)
        subtypes = pictures.fitted_subtypes(found.subtype_map, hu.shape)
        made["overlay"] = None if mask is None else pictures.base64(pictures.overlay_png(hu, mask, subtypes))
    if "heatmaps" in include:
        heats = ((name, pictures.fitted(heat, drawn_px)) for name, heat in found.heat.items())
        made["heatmaps"] = {name: pictures.base64(pictures.heat_png(hu, heat)) for name, heat in heats}
    return made


def _rounded(value: float | None, decimals: int) -> float | None:
    return None if value is None else round(float(value), decimals)


def _decision(rule: FittedRule | None) -> dict[str, object] | None:
    if rule is None:
        return None
    return {"low": rule.decision_low, "high": rule.decision_high, "chosen": rule.chosen}


def _model(manifest: NetworkManifest | EnsembleManifest) -> dict[str, object]:
    """What a manifest says of a model, without what only the loading of it needs."""
    ensemble = manifest if isinstance(manifest, EnsembleManifest) else None
    return {
        "name": manifest.name,
        "version": manifest.version,
        "title": manifest.title,
        "task": manifest.task,
        "summary": manifest.summary,
        "classes": list(manifest.classes),
        "decision": {"low": manifest.decision_low, "high": manifest.decision_high},
        "scan_decision": _decision(manifest.scan_rule),
        "context_decision": _decision(manifest.context_rule),
        "thresholds_chosen": manifest.thresholds_chosen,
        "training_data": [asdict(entry) for entry in manifest.training_data],
        "metrics": [asdict(entry) for entry in manifest.metrics],
        "licence": manifest.licence,
        "intended_use": manifest.intended_use,
        "limits": list(manifest.limits),
        "parameters": manifest.parameters,
        "created": manifest.created,
        "sha256": None if isinstance(manifest, EnsembleManifest) else manifest.sha256,
        "combination": ensemble.combination if ensemble else None,
        "members": [asdict(member) for member in ensemble.members] if ensemble else [],
        "milliseconds_a_slice": ensemble.milliseconds_a_slice if ensemble else None,
    }
