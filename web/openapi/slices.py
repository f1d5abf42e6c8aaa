"""Of the document: reading slices, the models, and the document itself.

In: the settings. Out: paths and schemas.
"""

from hemoscope import labels
from hemoscope.ensemble import COMBINATIONS
from web.openapi.parts import (
    AMOUNT,
    COUNT,
    DECIDED_BY,
    FINDING,
    NUMBER,
    PROBABILITY,
    TEXT,
    TEXTS,
    Schema,
    answers,
    areas,
    array,
    done,
    files,
    form,
    obj,
    or_null,
    probabilities,
    ref,
    subtype_areas,
)
from web.settings import MEGABYTE, Settings

PICTURE: Schema = {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"}


def paths(settings: Settings) -> Schema:
    return {
        "/api/v1/read": {"post": _read(settings)},
        "/api/v1/models": {"get": _get("models", "The models that this server reads with.", "Models")},
        "/api/v1/openapi.json": {"get": _get("document", "This document.", "Document")},
    }


def schemas() -> Schema:
    numbers = {"probabilities": probabilities(), "finding": FINDING, **areas(), "subtype_areas_px": subtype_areas()}
    mask = or_null(PICTURE) | {"description": "null: the model gives no mask."}
    heatmaps: Schema = {
        "type": "object",
        "propertyNames": {"enum": list(labels.CLASSES)},
        "additionalProperties": PICTURE,
    }
    return {
        "Results": obj({"results": array({"oneOf": [ref("Reading"), ref("Failure")]})}),
        "Reading": obj(
            {
                "path": TEXT,
                "model": TEXT,
                "version": TEXT,
                **numbers,
                "seconds": AMOUNT,
                "notes": TEXTS,
                "decided_by": DECIDED_BY,
            },
            {"slices": array(ref("Slice"))},
        ),
        "Failure": obj({"path": TEXT, "error": TEXT}),
        "Slice": obj({"index": COUNT, **numbers}, {"mask": mask, "overlay": mask, "heatmaps": heatmaps}),
        "Models": obj({"default": TEXT, "models": array(ref("Model"))}),
        "Model": _model(),
        "Document": {"type": "object", "required": ["openapi", "info", "paths"]},
    }


def _read(settings: Settings) -> Schema:
    limits = (
        f"At most {settings.max_files} files are read, of {settings.max_file_bytes / MEGABYTE:g} MB each and "
        f"{settings.max_upload_bytes / MEGABYTE:g} MB together, "
        f"with up to {settings.max_slice_pixels:,} pixels a slice and {settings.max_pixels:,} a file."
    )
    fields: Schema = {
        "files": files("DICOM CT slices or pictures of them. The kind is found by content, not by name."),
        "model": {"type": "string", "default": settings.model},
        "window": {
            "type": "string",
            "default": "40/80",
            "description": "LEVEL/WIDTH in Hounsfield units that pictures were drawn in. DICOM does not need it.",
        },
    }
    failures = {
        400: "No file, or a malformed field.",
        403: "A browser sent the request for another site's page.",
        404: "No model of that name.",
        413: "The request is too large.",
        503: "The server holds as many uploads as it can; `Retry-After` says when to try again.",
    }
    return {
        "operationId": "read",
        "summary": "Read slices.",
        "description": "A file that cannot be read is a result with an error; the others are read. " + limits,
        "parameters": [
            {
                "name": "include",
                "in": "query",
                "style": "form",
                "explode": False,
                "description": "Adds `slices` with numbers a slice, and these pictures as PNG in base64 for up to "
                f"{settings.max_pictures} slices of the request, the most suspicious ones. The mask is on the "
                "slice's own rows and columns; the others are smaller where slices are large.",
                "schema": array({"enum": ["mask", "overlay", "heatmaps"]}),
            }
        ],
        "requestBody": form(("multipart/form-data",), fields, required=("files",)),
        "responses": answers(done("Results"), failures),
    }


def _get(name: str, summary: str, schema: str) -> Schema:
    return {"operationId": name, "summary": summary, "responses": answers(done(schema), {})}


def _model() -> Schema:
    bound = or_null(NUMBER)
    fitted = or_null(obj({"low": PROBABILITY, "high": PROBABILITY, "chosen": TEXT}))
    texts = ("name", "version", "title", "task", "summary", "thresholds_chosen", "licence", "intended_use", "created")
    metric = {"set": TEXT, "name": TEXT, "n": COUNT, "positives": or_null(COUNT), "value": NUMBER}
    data = {"set": TEXT, "licence": TEXT, "citation": TEXT, "patients": or_null(COUNT), "slices": or_null(COUNT)}
    return obj(
        dict.fromkeys(texts, TEXT)
        | {
            "classes": array({"enum": list(labels.CLASSES)}),
            "decision": obj({"low": PROBABILITY, "high": PROBABILITY}),
            "scan_decision": fitted
            | {"description": "Of whole scans. null: the model has no rule for them, its likeliest slice decides."},
            "context_decision": fitted
            | {"description": "Of their slices, each beside its neighbours. null: `decision` is theirs too."},
            "training_data": array(obj(data)),
            "metrics": array(obj(metric | {"low": bound, "high": bound, "note": TEXT})),
            "limits": TEXTS,
            "parameters": COUNT,
            "sha256": or_null(TEXT) | {"description": "Of the network. null: an ensemble, whose members have theirs."},
            "combination": {
                "enum": [*COMBINATIONS, None],
                "description": "How an ensemble combines its members. null: a single network.",
            },
            "members": array(obj({"name": TEXT, "sha256": TEXT, "weight": PROBABILITY}))
            | {"description": "Of an ensemble; `sha256` is of the member's manifest."},
            "milliseconds_a_slice": or_null(NUMBER)
            | {"description": "Of one processor, in an ensemble's networks together. null: not measured."},
        }
    )
