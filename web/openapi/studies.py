"""Of the document: whole studies and their jobs.

In: the settings. Out: paths.
"""

from web.numbers import LARGEST_NUMBER
from web.openapi.parts import TEXT, Schema, answers, content, done, files, form, ref
from web.settings import MEGABYTE, Settings
from web.studies.answers import MEDIA_TYPES, UNKNOWN_TYPE
from web.studies.api import FORMS
from web.studies.asked import FINDINGS, LARGEST_PAGE

PASSWORD = "password"
SECURITY: list[Schema] = [{}, {PASSWORD: []}]  # either: a server without a password needs none

NO_STUDY = "There is no such study, or no longer."
NO_JOB = "There is no such job, or its study was deleted."
GUARDED = {
    401: "The server's history needs its password; `WWW-Authenticate` says how it is sent.",
    403: "The history is not shown to you, or a browser sent the request for another site's page.",
}
FORM_FAULTS = {
    413: "The request is too large, or has too many parts.",
    415: "The request is no form.",
    503: "So many uploads run already; `Retry-After` says when to try again.",
}


def paths(settings: Settings) -> Schema:
    study, job = _number("The study's number."), _number("The job's number.")
    return {
        "/api/v1/studies": {"get": _list(), "post": _send(settings)},
        "/api/v1/studies/{number}": {"parameters": [study], "get": _study(), "delete": _delete()},
        "/api/v1/studies/{number}/results": {"parameters": [study], "get": _results()},
        "/api/v1/studies/{number}/results/{name}": {"parameters": [study], "get": _result()},
        "/api/v1/studies/{number}/jobs": {"parameters": [study], "post": _read_again(settings)},
        "/api/v1/jobs/{number}": {"parameters": [job], "get": _job()},
        "/api/v1/jobs/{number}/cancel": {"parameters": [job], "post": _cancel()},
    }


def _send(settings: Settings) -> Schema:
    limits = (
        f"At most {settings.max_study_files} files and {settings.max_study_bytes / MEGABYTE:g} MB come at once, and "
        f"up to {settings.max_study_pixels:,} pixels of a study are read."
    )
    fields = {
        "files": files("The files of studies, or ZIP archives of them, or NIfTI volumes, in any mixture."),
        **_reading_fields(settings),
    }
    failures = {
        400: "No file, a malformed form, or no series of that name.",
        404: "No model of that name.",
        **FORM_FAULTS,
    }
    made = _operation(
        "send",
        "Send whole studies.",
        answers(done("Taken", "Something was kept; each study says what became of it."), GUARDED | failures, 202),
    )
    made["responses"]["422"] = {
        "description": "Nothing was kept; the reasons say why.",
        "content": content("NothingKept"),
    }
    return made | {
        "description": "They are kept, sorted by patient and study, and a job reads each. The same study sent twice is "
        "kept and read once. A file that cannot be read is listed; the others are kept. " + limits,
        "requestBody": form(FORMS[:1], fields, required=("files",)),
    }


def _list() -> Schema:
    from web.history.worklist import LONGEST_TEXT, MOST_ROWS, ROWS_A_PAGE

    day = {"type": "string", "format": "date"}
    query = {
        "finding": ({"enum": list(FINDINGS)}, "Of the last reading; `not_read`: there is none."),
        "unread": ({"type": "boolean"}, "Whether nobody has looked at it since it was read."),
        "first_date": (day, "Of the study, included; a study without a date is in no range."),
        "last_date": (day, "Of the study, included."),
        "text": ({"type": "string", "maxLength": LONGEST_TEXT}, "Somewhere in name, patient ID or description."),
        "page": (_counted(LARGEST_PAGE, 1), "One that is too large gives the last."),
        "rows": (_counted(MOST_ROWS, ROWS_A_PAGE), "How many studies a page has."),
    }
    parameters = [
        {"name": name, "in": "query", "schema": schema, "description": said} for name, (schema, said) in query.items()
    ]
    failures = {400: "A parameter cannot be read."}
    return _operation("studies", "The worklist, the most urgent first.", _kept("Worklist", failures)) | {
        "parameters": parameters
    }


def _study() -> Schema:
    return _operation("study", "All that is known of a study.", _kept("Study", {404: NO_STUDY}))


def _delete() -> Schema:
    responses = answers({"description": "Deleted for good."}, GUARDED | {404: NO_STUDY}, 204)
    return _operation("delete", "Delete a study with its files, readings and jobs.", responses)


def _results() -> Schema:
    failures = {404: NO_STUDY, 409: "The study was not read; the sentence says why."}
    return _operation("results", "The last reading in full: the file `result.json`.", _kept("Result", failures))


def _result() -> Schema:
    failures = {404: "There is no such study or file.", 409: "The study was not read; the sentence says why."}
    kinds: Schema = {kind: {} for kind in (*MEDIA_TYPES.values(), UNKNOWN_TYPE)}
    kinds["application/json"] = {"schema": ref("Result")}
    name = {
        "name": "name",
        "in": "path",
        "required": True,
        "description": "As `results` of the study lists it; it may have slashes in it, which stand as they are.",
        "schema": {"type": "string", "minLength": 1},
        "example": "report.pdf",
    }
    responses = answers({"description": "The file.", "content": kinds}, GUARDED | failures)
    return _operation("result", "One file of the results.", responses) | {"parameters": [name]}


def _read_again(settings: Settings) -> Schema:
    failures = {
        400: "The study has no series of that name.",
        404: "No such study, or no model of that name.",
        409: "A reading of the study waits or runs.",
        **FORM_FAULTS,
    }
    made = _operation("read_again", "Read a study again.", _kept("Job", failures, 202))
    return made | {"requestBody": form(FORMS, _reading_fields(settings))}


def _job() -> Schema:
    return _operation("job", "How far a job is.", _kept("Job", {404: NO_JOB}))


def _cancel() -> Schema:
    failures = {404: NO_JOB, 409: "The job has ended."}
    return _operation("cancel", "Cancel a job that waits or runs.", _kept("Job", failures))


def _kept(schema: str, failures: dict[int, str], status: int = 200) -> Schema:
    """The answers of an operation on the history."""
    return answers(done(schema), GUARDED | failures, status)


def _operation(name: str, summary: str, responses: Schema) -> Schema:
    return {"operationId": name, "summary": summary, "security": SECURITY, "responses": responses}


def _reading_fields(settings: Settings) -> Schema:
    return {
        "model": {"type": "string", "default": settings.model},
        "series": TEXT
        | {"description": "Which series is read: its UID, or its key. Without it the one that the rules choose."},
    }


def _number(description: str) -> Schema:
    schema = {"type": "integer", "minimum": 1, "maximum": LARGEST_NUMBER}
    return {"name": "number", "in": "path", "required": True, "description": description, "schema": schema}


def _counted(most: int, default: int) -> Schema:
    return {"type": "integer", "minimum": 1, "maximum": most, "default": default}
