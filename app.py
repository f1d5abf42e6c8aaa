"""The web application: `create_app` wires its parts.

In: settings, given or from the environment (`docs/reference/settings.md`). Out: a Flask application.
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from flask import Flask
from flask.json.provider import DefaultJSONProvider

from hemoscope import labels
from web.access import refuse_cross_site
from web.api import api
from web.cards import percent
from web.engine import Engine
from web.faults import register_faults
from web.health import health
from web.history.opening import History
from web.numbers import NumberConverter
from web.pages import pages
from web.patient_pages import patient_pages
from web.security import register_headers
from web.settings import read_settings
from web.studies.api import studies_api
from web.studies.demo import DemoStudies
from web.studies.pages import studies
from web.studies.stored import StoredStudies
from web.studies.viewing import viewing
from web.studies.working import Worker
from web.uploads import UploadRequest, register_uploads
from web.wording import moment, person, stated_moment, volume
from web.worklist_pages import worklist_pages


class AsWritten(DefaultJSONProvider):
    """JSON with its keys in the order of the record, as the command line writes it."""

    sort_keys = False


class HemoscopeApp(Flask):
    """Flask with uploads that stay in memory, but for whole studies."""

    request_class = UploadRequest
    json_provider_class = AsWritten


def create_app(settings: Mapping[str, object] | None = None) -> Flask:
    """Make the application.

    Args:
        settings: by the names of `web.settings.Settings`; what is not given comes from `HEMOSCOPE_*` or the default.

    Raises:
        ValueError: for an unknown setting or a value that cannot be read.
    """
    app = HemoscopeApp(__name__)
    chosen = read_settings(settings, os.environ)
    app.config["MAX_CONTENT_LENGTH"] = chosen.max_upload_bytes
    app.extensions["settings"] = chosen
    app.extensions["engine"] = Engine(chosen)
    history = app.extensions["history"] = History(chosen, Path(app.instance_path))
    app.extensions["studies"] = StoredStudies(history, DemoStudies(app.extensions["engine"]))
    app.extensions["worker"] = Worker(history, app.extensions["engine"], chosen)
    app.url_map.converters["number"] = NumberConverter
    for shown in (percent, moment, person, stated_moment, volume):
        app.add_template_filter(shown)
    app.jinja_env.globals.update(classes=labels.CLASSES, settings=chosen)
    app.register_blueprint(pages)
    app.register_blueprint(api)
    app.register_blueprint(studies_api)
    app.register_blueprint(health)
    app.register_blueprint(studies)
    app.register_blueprint(viewing)
    app.register_blueprint(worklist_pages)
    app.register_blueprint(patient_pages)
    app.before_request(refuse_cross_site)
    register_uploads(app)
    register_faults(app)
    register_headers(app)
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # its messages quote what a header holds
    if chosen.warm_up:
        app.extensions["engine"].warm_up_in_background()
    return app
