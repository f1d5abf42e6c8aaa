"""Studies, readings and jobs as the JSON API hands them out, with the addresses that lead on from them.

In: values of the history. Out: JSON-ready dictionaries, whose keys are a contract (docs/reference/api.md). Moments are
in UTC, dates and times of a study on its scanner's clock, as ISO 8601 writes them; what is not known is null.
"""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flask import url_for

from web.studies.answers import media_type

if TYPE_CHECKING:
    from web.history.jobs import JobState
    from web.history.records import SeriesFacts
    from web.history.timeline import Change
    from web.history.worklist import Page, Read, Row
    from web.studies.actions import Known
    from web.studies.intake import TakenIn, TakenStudy

Record = dict[str, object]


def taken_in(taken: "TakenIn") -> Record:
    """What became of all that was sent."""
    return {
        "studies": [_taken(one) for one in taken.studies],
        "left_out": [{"name": one.name, "reason": one.reason} for one in taken.left_out],
        "notes": list(taken.notes),
    }


def listed(page: "Page") -> Record:
    """A page of the worklist."""
    return {
        "studies": [listed_study(row) for row in page.rows],
        "page": page.number,
        "pages": page.pages,
        "count": page.studies,
    }


def listed_study(row: "Row") -> Record:
    """A study as the worklist has it."""
    return {
        "number": row.number,
        "patient": {
            "number": row.patient_number,
            "name": row.patient_name,
            "id": row.patient_id,
            "issuer": row.patient_id_issuer,
            "matched_by": row.matched_by,
        },
        "uid": row.study_uid,
        "date": None if row.study_date is None else row.study_date.isoformat(),
        "time": None if row.study_time is None else row.study_time.isoformat(),
        "description": row.description,
        "received_at": _moment(row.received_at),
        "unread": row.unread,
        "state": row.state,
        "files": row.files,
        "size_bytes": row.size_bytes,
        "deidentified": row.deidentified,
        "warnings": list(row.warnings),
        "reading": None if row.read is None else _reading(row.read),
        "links": _links(row.number),
    }


def whole_study(known: "Known", change: "Change | None", names: tuple[str, ...]) -> Record:
    """All that is known of a study.

    Args:
        known: from the history.
        change: since the study before; None where it was not read.
        names: of the files of its results.
    """
    number = known.row.number
    return {
        **listed_study(known.row),
        "series": [_series(one) for one in known.series],
        "job": None if known.job is None else job(known.job),
        "change": None if change is None else _change(change),
        "results": [
            {"name": name, "type": media_type(name), "link": url_for("studies_api.result", number=number, name=name)}
            for name in names
        ],
    }


def job(state: "JobState") -> Record:
    """A job and how far it is."""
    return {
        "number": state.number,
        "study": state.study_number,
        "model": state.model,
        "series": state.series,
        **progress(state),
        "queued_at": _moment(state.queued_at),
        "started_at": _moment(state.started_at),
        "ended_at": _moment(state.ended_at),
        "links": {
            "self": url_for("studies_api.job", number=state.number),
            "cancel": url_for("studies_api.cancel", number=state.number),
            "study": url_for("studies_api.study", number=state.study_number),
        },
    }


def progress(state: "JobState | None") -> Record:
    """How far a job is, as the pages' scripts ask for it too; state `none` where there is no job."""
    if state is None:
        return {"state": "none", "share": 0.0, "message": "", "slices_done": 0, "slices": None, "seconds_left": None}
    left = state.seconds_left(datetime.now(UTC))
    return {
        "state": state.state,
        "share": state.slices_done / state.slices if state.slices else 0.0,
        "message": state.message,
        "slices_done": state.slices_done,
        "slices": state.slices,
        "seconds_left": None if left is None else round(left),
    }


def _taken(one: "TakenStudy") -> Record:
    links = {} if one.number is None else _links(one.number)
    if one.job is not None:
        links["job"] = url_for("studies_api.job", number=one.job)
    return {"number": one.number, "new": one.new, "job": one.job, "sentence": one.sentence, "links": links}


def _links(number: int) -> dict[str, str]:
    return {
        "self": url_for("studies_api.study", number=number),
        "results": url_for("studies_api.results", number=number),
        "page": url_for("studies.page", number=number),
    }


def _reading(read: "Read") -> Record:
    return {**asdict(read), "made_at": _moment(read.made_at)}


def _series(one: "SeriesFacts") -> Record:
    return {
        "uid": one.series_uid,
        "number": one.series_number,
        "description": one.description,
        "kernel": one.kernel,
        "slices": one.slices,
        "chosen": one.chosen,
        "reason": one.reason,
    }


def _change(change: "Change") -> Record:
    return {
        "kind": change.kind,
        "prior": change.prior_number,
        "difference_ml": change.difference_ml,
        "sentence": change.sentence,
    }


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
