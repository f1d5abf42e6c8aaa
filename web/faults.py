"""Errors as answers: one JSON shape under /api, a page elsewhere; never a trace, never what a file holds.

In: exceptions of a request. Out: responses, and log lines without values.
"""

import re

from flask import Flask, current_app, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from hemoscope.errors import HemoscopeError
from web.engine import describe
from web.settings import MEGABYTE

CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    500: "internal_error",
    503: "busy",
}
SENTENCES = {
    404: "There is nothing at this address.",
    405: "This address does not take that method.",
    500: "The server failed. That is our fault; please tell us what you did.",
    503: "The server holds as many uploads as it has memory for. Send this one again in a few seconds.",
}


def register_faults(app: Flask) -> None:
    """Answer every exception of the application."""
    app.register_error_handler(HemoscopeError, _expected)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def _expected(error: HemoscopeError) -> ResponseReturnValue:
    code = re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()
    if error.status >= 500:
        current_app.logger.error("%s %s: %s", request.method, request.endpoint, describe(error))
    return _answer(error.status, code, str(error))


def _http(error: HTTPException) -> ResponseReturnValue:
    if error.code is None or error.code < 400:
        return error
    sentence = SENTENCES.get(error.code, error.description or error.name)
    if error.code == 503 and error.description != type(error).description:
        sentence = error.description or sentence  # ours, and it says more
    if error.code == 413:
        limit = f"{(request.max_content_length or 0) / MEGABYTE:g} MB"
        sentence = (
            f"The request is larger than the {limit} that this server reads, or has too many parts. Send fewer files."
        )
    body, status = _answer(error.code, CODES.get(error.code, "error"), sentence)
    kept = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After", "WWW-Authenticate")}
    return body, status, kept


def _unexpected(error: Exception) -> ResponseReturnValue:
    current_app.logger.error("%s %s failed: %s", request.method, request.endpoint, describe(error))
    return _answer(500, CODES[500], SENTENCES[500])


def _answer(status: int, code: str, message: str) -> tuple[str | dict[str, object], int]:
    if request.path.startswith("/api/"):
        return {"error": {"status": status, "code": code, "message": message}}, status
    return render_template("error.html", status=status, message=message), status
