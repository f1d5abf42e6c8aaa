"""The whole document.

In: the settings, for the limits that it states. Out: a JSON-ready dictionary.
"""

from web.openapi import result_schemas, slices, studies, study_schemas
from web.openapi.parts import Schema, error, obj
from web.settings import PREFIX, Settings


def document(settings: Settings) -> Schema:
    """The document, with this server's limits in its descriptions."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Hemoscope",
            "version": "1",
            "summary": "Reads head CT for intracranial hemorrhage: single slices and whole studies.",
            "description": "For research. Not a medical device: no decision about a patient may rest on it.",
        },
        "paths": slices.paths(settings) | studies.paths(settings),
        "components": {
            "securitySchemes": {
                studies.PASSWORD: {
                    "type": "http",
                    "scheme": "basic",
                    "description": f"The password of {PREFIX}PASSWORD with any user name. A server without one answers "
                    "for whole studies on its own machine only, and needs none there.",
                }
            },
            "schemas": slices.schemas()
            | study_schemas.schemas()
            | result_schemas.schemas()
            | {"Error": obj({"error": error()})},
        },
    }
