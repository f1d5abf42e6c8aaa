"""The headers that every answer carries.

In: a response. Out: the same with headers that let a browser do only what the pages need: no inline script or style,
no other origin, no framing. The pages set no cookie, but a browser sends the history's password by itself, and needs
none on the server's own machine: so forged posts are refused (`web.access.refuse_cross_site`).
"""

from flask import Flask, Response, request

POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # To other sites nothing. With `no-referrer` a browser would state no origin for our own forms either (Fetch, 3.2).
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def register_headers(app: Flask) -> None:
    """Put the headers on every response; results are kept by no cache."""
    app.after_request(_with_headers)


def _with_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if request.method == "POST":
        response.headers["Cache-Control"] = "no-store"
    return response


def keep_by_no_cache(response: Response) -> Response:
    """Have an answer with a patient's facts kept by no cache."""
    response.headers["Cache-Control"] = "no-store"
    return response
