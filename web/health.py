"""For the platform that runs the process: is it alive, and can it read.

In: nothing. Out: small JSON answers.
"""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from web.engine import engine

health = Blueprint("health", __name__)


@health.get("/healthz")
def healthz() -> ResponseReturnValue:
    """The process answers; nothing else is asked of it."""
    return {"status": "alive"}


@health.get("/readyz")
def readyz() -> ResponseReturnValue:
    """200 once the default model is loaded, 503 with the reason before that or where it cannot be."""
    models = engine()
    if models.state in ("cold", "failed"):
        models.warm_up()
    if models.state == "ready":
        return {"status": "ready"}
    reason = models.reason or "The default model is being loaded."
    return {"status": "not ready", "reason": reason}, 503
