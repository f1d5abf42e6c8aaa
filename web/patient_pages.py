"""One patient: studies over time, the oldest first, with what changed from one to the next.

In: a patient's number. Out: HTML with the volume's curve as SVG, and the same as a table.
"""

from flask import Blueprint, render_template

from web.access import require_history
from web.security import keep_by_no_cache
from web.studies.actions import store
from web.volume_curve import draw_curve
from web.wording import CHANGES, FINDINGS

patient_pages = Blueprint("patients", __name__, url_prefix="/patients")
patient_pages.before_request(require_history)
patient_pages.after_request(keep_by_no_cache)


@patient_pages.get("/<number:number>/")
def page(number: int) -> str:
    from web.history.timeline import timeline

    found = timeline(store().database, number)
    return render_template(
        "patient.html", patient=found, curve=draw_curve(found.points), changes=CHANGES, findings=FINDINGS
    )
