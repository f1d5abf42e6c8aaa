"""Of the document: what the history answers of studies and jobs, as `web.studies.as_json` makes it.

In: nothing. Out: schemas.
"""

from hemoscope import labels
from web.openapi.parts import (
    AMOUNT,
    COUNT,
    FINDING,
    NUMBER,
    PROBABILITY,
    TEXT,
    TEXTS,
    TRUTH,
    Schema,
    array,
    error,
    obj,
    or_null,
    ref,
)

ADDRESS: Schema = {"type": "string", "format": "uri-reference"}
MOMENT: Schema = {"type": "string", "format": "date-time", "description": "In UTC."}
DAY: Schema = {"type": "string", "format": "date"}
LEFT_OUT: Schema = obj({"name": TEXT, "reason": TEXT})
JOB_STATES = ["queued", "running", "done", "failed", "cancelled", "interrupted"]
CHANGES = ["first", "new", "grown", "not_grown", "unknown"]


def schemas() -> Schema:
    taken = {"studies": array(ref("TakenStudy")), "left_out": array(LEFT_OUT), "notes": TEXTS}
    listed = _listed()
    return {
        "Taken": obj(taken),
        "NothingKept": obj({"error": error()}, taken),
        "TakenStudy": _taken_study(),
        "Worklist": obj({"studies": array(ref("ListedStudy")), "page": COUNT, "pages": COUNT, "count": COUNT}),
        "ListedStudy": obj(listed),
        "Study": obj(
            listed
            | {
                "series": array(_series()),
                "job": or_null(ref("Job")) | {"description": "The one that was queued last."},
                "change": or_null(_change()) | {"description": "Since the study before; null where it was not read."},
                "results": array(obj({"name": TEXT, "type": TEXT, "link": ADDRESS})),
            }
        ),
        "StudyReading": _reading(),
        "Job": _job(),
    }


def _taken_study() -> Schema:
    links = dict.fromkeys(("self", "results", "page", "job"), ADDRESS)
    return obj(
        {
            "number": or_null(COUNT) | {"description": "null: it was not kept."},
            "new": TRUTH | {"description": "Whether it had not been sent before."},
            "job": or_null(COUNT) | {"description": "null: no reading was queued; the sentence says why."},
            "sentence": TEXT,
            "links": obj({}, links),
        }
    )


def _listed() -> Schema:
    patient = {"number": COUNT, "name": TEXT, "id": TEXT, "issuer": TEXT, "matched_by": TEXT}
    return {
        "number": COUNT,
        "patient": obj(patient),
        "uid": TEXT,
        "date": or_null(DAY),
        "time": or_null(TEXT) | {"description": "On the scanner's clock."},
        "description": TEXT,
        "received_at": MOMENT,
        "unread": TRUTH | {"description": "Nobody has looked at it since it was read."},
        "state": {"enum": ["received", "read", "failed"]},
        "files": COUNT,
        "size_bytes": COUNT,
        "deidentified": TRUTH,
        "warnings": TEXTS,
        "reading": or_null(ref("StudyReading")) | {"description": "The last one; null where it was not read."},
        "links": obj({"self": ADDRESS, "results": ADDRESS, "page": ADDRESS}),
    }


def _reading() -> Schema:
    by_class = {"propertyNames": {"enum": list(labels.CLASSES)}, "additionalProperties": or_null(PROBABILITY)}
    by_subtype = {"propertyNames": {"enum": list(labels.SUBTYPES)}, "additionalProperties": AMOUNT}
    return obj(
        {
            "model": TEXT,
            "version": TEXT,
            "finding": FINDING,
            "probabilities": {"type": "object", **by_class},
            "volume_ml": or_null(AMOUNT) | {"description": "null: the geometry or a mask is missing."},
            "uncertainty_ml": or_null(AMOUNT),
            "subtype_volumes_ml": {"type": "object", **by_subtype},
            "lesion_volumes_ml": array(AMOUNT) | {"description": "The largest first."},
            "key_slices": array(COUNT)
            | {"description": "To look at first; counted from 0 in `slices` of the result, the likeliest blood first."},
            "seconds": AMOUNT,
            "notes": TEXTS,
            "made_at": MOMENT,
        }
    )


def _series() -> Schema:
    return obj(
        {
            "uid": TEXT,
            "number": or_null({"type": "integer"}),
            "description": TEXT,
            "kernel": TEXT,
            "slices": COUNT,
            "chosen": TRUTH | {"description": "Whether it is the one that was to be read when the study came."},
            "reason": TEXT,
        }
    )


def _change() -> Schema:
    return obj(
        {
            "kind": {"enum": CHANGES},
            "prior": or_null(COUNT) | {"description": "The number of the study that was compared with."},
            "difference_ml": or_null(NUMBER),
            "sentence": TEXT,
        }
    )


def _job() -> Schema:
    return obj(
        {
            "number": COUNT,
            "study": COUNT,
            "model": TEXT,
            "series": TEXT | {"description": "Its UID or key; empty for the one that the rules choose."},
            "state": {"enum": JOB_STATES, "description": "interrupted: the process that worked on it died."},
            "share": PROBABILITY | {"description": "How much is done."},
            "message": TEXT,
            "slices_done": COUNT,
            "slices": or_null(COUNT) | {"description": "null: not known yet."},
            "seconds_left": or_null(COUNT) | {"description": "At the pace so far; null where nothing can be said."},
            "queued_at": MOMENT,
            "started_at": or_null(MOMENT),
            "ended_at": or_null(MOMENT),
            "links": obj({"self": ADDRESS, "cancel": ADDRESS, "study": ADDRESS}),
        }
    )
