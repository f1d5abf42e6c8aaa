"""The OpenAPI 3.1 document of the API: what is sent, what comes back.

In: the settings, for the limits that it states. Out: a JSON-ready dictionary. A test holds the answers against it.
"""

from typing import Any

from hemoscope import labels
from hemoscope.ensemble import COMBINATIONS
from web.settings import MEGABYTE, Settings

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
PROBABILITY: Schema = {"type": "number", "minimum": 0, "maximum": 1}
PICTURE: Schema = {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"}


def document(settings: Settings) -> Schema:
    """The whole document, with this server's limits in its descriptions."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Hemoscope",
            "version": "1",
            "summary": "Reads head CT slices for intracranial hemorrhage.",
            "description": "For research. Not a medical device: no decision about a patient may rest on it.",
        },
        "paths": {
            "/api/v1/read": {"post": _read(settings)},
            "/api/v1/models": {"get": _get("models", "The models that this server reads with.", "Models")},
            "/api/v1/openapi.json": {"get": _get("document", "This document.", "Document")},
        },
        "components": {"schemas": _schemas()},
    }


def _read(settings: Settings) -> Schema:
    limits = (
        f"At most {settings.max_files} files are read, of {settings.max_file_bytes / MEGABYTE:g} MB each and "
        f"{settings.max_upload_bytes / MEGABYTE:g} MB together, "
        f"with up to {settings.max_slice_pixels:,} pixels a slice and {settings.max_pixels:,} a file."
    )
    form: Schema = {
        "type": "object",
        "required": ["files"],
        "properties": {
            "files": {
                "type": "array",
                "items": {"type": "string", "contentMediaType": "application/octet-stream"},
                "description": "DICOM CT slices or pictures of them. The kind is found by content, not by name.",
            },
            "model": {"type": "string", "default": settings.model},
            "window": {
                "type": "string",
                "default": "40/80",
                "description": "LEVEL/WIDTH in Hounsfield units that pictures were drawn in. DICOM does not need it.",
            },
        },
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
                "schema": {"type": "array", "items": {"enum": ["mask", "overlay", "heatmaps"]}},
            }
        ],
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}},
        "responses": _answers("Results", 400, 403, 404, 413, 503),
    }


def _get(name: str, summary: str, schema: str) -> Schema:
    return {"operationId": name, "summary": summary, "responses": _answers(schema)}


def _answers(schema: str, *failures: int) -> Schema:
    reasons = {
        400: "No file, or a malformed field.",
        403: "A browser sent the request for another site's page.",
        404: "No model of that name.",
        413: "The request is too large.",
        503: "The server holds as many uploads as it can; `Retry-After` says when to try again.",
        500: "The server or a model's weights failed.",
    }
    answers = {"200": {"description": "Done.", "content": _json(schema)}}
    for status in (*failures, 500):
        answers[str(status)] = {"description": reasons[status], "content": _json("Error")}
    return answers


def _json(schema: str) -> Schema:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _object(required: Schema, optional: Schema | None = None) -> Schema:
    return {
        "type": "object",
        "required": list(required),
        "properties": required | (optional or {}),
        "additionalProperties": False,
    }


def _or_null(schema: Schema) -> Schema:
    return schema | {"type": [schema["type"], "null"]}


def _schemas() -> Schema:
    finding: Schema = {"enum": ["hemorrhage", "none", "uncertain"]}
    probabilities = _object({name: _or_null(PROBABILITY) for name in labels.CLASSES})
    probabilities["description"] = "null: the model does not assess the class."
    no_mask = "null: the model gives no mask."
    area = {
        "area_px": _or_null(COUNT) | {"description": no_mask},
        "area_mm2": _or_null({"type": "number", "minimum": 0})
        | {"description": "null: the model gives no mask, or the size of a pixel is not known."},
    }
    area["subtype_areas_px"] = _or_null(_object(dict.fromkeys(labels.SUBTYPES, COUNT))) | {
        "description": "The mask's pixels by subtype. null: the model does not tell subtypes apart by pixel."
    }
    mask = _or_null(PICTURE) | {"description": no_mask}
    heatmaps: Schema = {
        "type": "object",
        "propertyNames": {"enum": list(labels.CLASSES)},
        "additionalProperties": PICTURE,
    }
    reading = {"path": TEXT, "model": TEXT, "version": TEXT, "probabilities": probabilities, "finding": finding}
    return {
        "Results": _object({"results": {"type": "array", "items": {"oneOf": [_ref("Reading"), _ref("Failure")]}}}),
        "Reading": _object(
            reading
            | area
            | {
                "seconds": {"type": "number", "minimum": 0},
                "notes": {"type": "array", "items": TEXT},
                "decided_by": {
                    "enum": ["scan", "slice"],
                    "description": "Which of the model's rules gave `probabilities` and `finding`.",
                },
            },
            {"slices": {"type": "array", "items": _ref("Slice")}},
        ),
        "Failure": _object({"path": TEXT, "error": TEXT}),
        "Slice": _object(
            {"index": COUNT, "probabilities": probabilities, "finding": finding} | area,
            {"mask": mask, "overlay": mask, "heatmaps": heatmaps},
        ),
        "Models": _object({"default": TEXT, "models": {"type": "array", "items": _ref("Model")}}),
        "Model": _model(),
        "Document": {"type": "object", "required": ["openapi", "info", "paths"]},
        "Error": _object({"error": _object({"status": {"type": "integer"}, "code": TEXT, "message": TEXT})}),
    }


def _model() -> Schema:
    bound = {"type": ["number", "null"]}
    texts = ("name", "version", "title", "task", "summary", "thresholds_chosen", "licence", "intended_use", "created")
    metric = {"set": TEXT, "name": TEXT, "n": COUNT, "positives": _or_null(COUNT), "value": {"type": "number"}}
    data = {"set": TEXT, "licence": TEXT, "citation": TEXT, "patients": _or_null(COUNT), "slices": _or_null(COUNT)}
    return _object(
        dict.fromkeys(texts, TEXT)
        | {
            "classes": {"type": "array", "items": {"enum": list(labels.CLASSES)}},
            "decision": _object({"low": PROBABILITY, "high": PROBABILITY}),
            "scan_decision": _or_null(_object({"low": PROBABILITY, "high": PROBABILITY, "chosen": TEXT}))
            | {"description": "Of whole scans. null: the model has no rule for them, its likeliest slice decides."},
            "training_data": {"type": "array", "items": _object(data)},
            "metrics": {"type": "array", "items": _object(metric | {"low": bound, "high": bound, "note": TEXT})},
            "limits": {"type": "array", "items": TEXT},
            "parameters": COUNT,
            "sha256": _or_null(TEXT) | {"description": "Of the network. null: an ensemble, whose members have theirs."},
            "combination": {
                "enum": [*COMBINATIONS, None],
                "description": "How an ensemble combines its members. null: a single network.",
            },
            "members": {
                "type": "array",
                "items": _object({"name": TEXT, "sha256": TEXT, "weight": PROBABILITY}),
                "description": "Of an ensemble; `sha256` is of the member's manifest.",
            },
            "milliseconds_a_slice": {
                "type": ["number", "null"],
                "description": "Of one processor, in an ensemble's networks together. null: not measured.",
            },
        }
    )


def _ref(schema: str) -> Schema:
    return {"$ref": f"#/components/schemas/{schema}"}
