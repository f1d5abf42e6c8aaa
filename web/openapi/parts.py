"""What the parts of the document are written with.

In: schemas. Out: schemas and responses, as JSON-ready dictionaries.
"""

from collections.abc import Mapping
from typing import Any

from hemoscope import labels

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
TEXTS: Schema = {"type": "array", "items": TEXT}
COUNT: Schema = {"type": "integer", "minimum": 0}
TRUTH: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "number"}
AMOUNT: Schema = {"type": "number", "minimum": 0}
PROBABILITY: Schema = {"type": "number", "minimum": 0, "maximum": 1}
FINDING: Schema = {"enum": ["hemorrhage", "none", "uncertain"]}
DECIDED_BY: Schema = {
    "enum": ["scan", "slice"],
    "description": "Which of the model's rules gave `probabilities` and `finding`.",
}
FAULT = "The server failed."


def obj(required: Schema, optional: Schema | None = None) -> Schema:
    """An object with these keys and no other."""
    return {
        "type": "object",
        "required": list(required),
        "properties": required | (optional or {}),
        "additionalProperties": False,
    }


def array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def or_null(schema: Schema) -> Schema:
    """The same, or null; for what refers to another schema too."""
    if "type" not in schema:
        return {"oneOf": [schema, {"type": "null"}]}
    return schema | {"type": [schema["type"], "null"]}


def ref(schema: str) -> Schema:
    return {"$ref": f"#/components/schemas/{schema}"}


def content(schema: str) -> Schema:
    """JSON of that schema."""
    return {"application/json": {"schema": ref(schema)}}


def form(types: tuple[str, ...], properties: Schema, required: tuple[str, ...] = ()) -> Schema:
    """A body of form fields, in any of these types."""
    schema = {"type": "object", "required": list(required), "properties": properties}
    return {"required": bool(required), "content": {name: {"schema": schema} for name in types}}


def files(description: str) -> Schema:
    """A form field with one file or more."""
    item = {"type": "string", "contentMediaType": "application/octet-stream"}
    return {"type": "array", "items": item, "minItems": 1, "description": description}


def answers(done: Schema, failures: Mapping[int, str], status: int = 200) -> Schema:
    """The responses of an operation.

    Args:
        done: the response where all went well.
        failures: by status, when it comes; 500 is added.
        status: of `done`.
    """
    failed = {
        str(code): {"description": reason, "content": content("Error")}
        for code, reason in (*failures.items(), (500, FAULT))
    }
    return {str(status): done} | failed


def done(schema: str, description: str = "Done.") -> Schema:
    return {"description": description, "content": content(schema)}


def probabilities() -> Schema:
    """By class; all six stand there."""
    made = obj({name: or_null(PROBABILITY) for name in labels.CLASSES})
    return made | {"description": "null: the model does not assess the class."}


def areas() -> Schema:
    """Of a mask in pixels and square millimetres."""
    return {
        "area_px": or_null(COUNT) | {"description": "null: the model gives no mask."},
        "area_mm2": or_null(AMOUNT)
        | {"description": "null: the model gives no mask, or the size of a pixel is not known."},
    }


def subtype_areas() -> Schema:
    made = or_null(obj(dict.fromkeys(labels.SUBTYPES, COUNT)))
    return made | {
        "description": "The mask's pixels by subtype. null: the model does not tell subtypes apart by pixel."
    }


def error() -> Schema:
    return obj({"status": {"type": "integer"}, "code": TEXT, "message": TEXT})
