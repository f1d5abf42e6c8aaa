"""Who may see the history: with a password everybody who knows it, without one only the machine itself.

In: a request. Out: None to go on, or 401 or 403 with a sentence. Cross-site requests that change something are refused
for the whole application: a browser sends the password by itself, whoever's page made it post.
docs/how-to/protect-the-history.md says what this does and what it does not.
"""

import hmac
import ipaddress
from urllib.parse import urlsplit

from flask import current_app, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, Unauthorized

from web.settings import PREFIX, Settings

LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1"}
PROXY_HEADERS = ("Forwarded", "X-Forwarded-For", "X-Real-IP")
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
OPEN_KEYS = "demo"  # what the keys of the synthetic studies begin with; a study's own key is a number

ASK_PASSWORD = "The history of this server needs its password. The user name does not matter."
SET_PASSWORD = (
    "Without a password the history is shown on the server's own machine only, at http://localhost or "
    f"http://127.0.0.1. To see it from elsewhere, set {PREFIX}PASSWORD where the server runs."
)
CROSS_SITE = "Another site's page sent this request, so nothing was done. Send it from this server's own pages."


def require_history() -> None:
    """Let a request to the history pass; for `before_request` of its blueprints.

    Raises:
        Unauthorized: where a password is set, and the request has none or another.
        Forbidden: where none is set, and the request may come from another machine.
    """
    settings: Settings = current_app.extensions["settings"]
    if settings.password:
        if not _knows(settings.password):
            asked = WWWAuthenticate("basic", {"realm": "Hemoscope", "charset": "UTF-8"})
            raise Unauthorized(ASK_PASSWORD, www_authenticate=asked)
    elif not _from_this_machine():
        raise Forbidden(SET_PASSWORD)


def require_study_access() -> None:
    """Like `require_history` for routes with a study's key; the synthetic studies are open to all.

    Raises:
        Unauthorized, Forbidden: as `require_history`.
    """
    key = (request.view_args or {}).get("key", "")
    if not str(key).startswith(OPEN_KEYS):
        require_history()


def refuse_cross_site() -> None:
    """Refuse to change anything for another site's page; for `before_request` of the application.

    A program sends neither header and passes: it has no user whose rights it could borrow.

    Raises:
        Forbidden: for an unsafe method that a browser says comes from elsewhere.
    """
    if request.method in SAFE_METHODS:
        return
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    # Where the browser says itself what the request is, that counts: a proxy may have changed the Host that an Origin
    # is compared with. It says so on HTTPS and on localhost only.
    if site is not None:
        own = site in ("same-origin", "none")
    else:
        own = origin is None or _host_of(origin) == request.host.lower()
    if not own:
        raise Forbidden(CROSS_SITE)


def _knows(password: str) -> bool:
    sent = request.authorization
    if sent is None or sent.type != "basic" or sent.password is None:
        return False
    return hmac.compare_digest(sent.password.encode(), password.encode())  # takes as long wherever they differ


def _from_this_machine() -> bool:
    """Whether somebody at this machine asks, and asks for this machine.

    The second defeats DNS rebinding: a foreign page whose name suddenly means 127.0.0.1 still sends that name.
    """
    if any(name in request.headers for name in PROXY_HEADERS):
        return False
    try:
        address = ipaddress.ip_address(request.remote_addr or "")
        name = urlsplit(f"//{request.headers.get('Host', '')}").hostname
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)  # ::ffff:127.0.0.1, where a server listens for both kinds
    return (mapped or address).is_loopback and name in LOCAL_HOSTS


def _host_of(origin: str) -> str:
    """Host and port of an `Origin`; "" for `null` and what cannot be read."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
