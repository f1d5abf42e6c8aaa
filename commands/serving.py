"""`hemoscope serve`: the pages and the JSON API, in Gunicorn or, where that does not run, in Werkzeug's server."""

import os
import socket
import sys
from pathlib import Path

import click

from commands.console import NOT_A_DEVICE

SERVE_CONFIG = "gunicorn.conf.py"
ROOT = Path(__file__).parent.parent  # where app.py lies, in a checkout and where installed


@click.command(epilog=NOT_A_DEVICE)
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 lets other machines in.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    envvar="WEB_CONCURRENCY",
    show_envvar=True,
    help="Processes; up to 400 MB each.",
)
def serve(host: str, port: int, workers: int) -> None:
    """Serve the pages and the JSON API."""
    try:
        import flask  # noqa: F401
    except ImportError:
        raise click.ClickException("Serving needs Flask and Gunicorn: pip install 'hemoscope[serve]'.") from None
    from web.settings import read_settings

    try:
        read_settings(None, os.environ)  # the workers read them again; here a wrong one is said in a sentence
    except ValueError as error:
        raise click.ClickException(f"A setting in the environment is wrong: {error}.") from None
    if not port_is_free(host, port):
        raise click.ClickException(f"{host}:{port} is taken or not an address of this machine; try --port or --host.")
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    click.echo(f"Hemoscope is starting on http://{address} (Ctrl-C stops it). {NOT_A_DEVICE}", err=True)
    config = serve_config()
    if config is None or not has_gunicorn():
        from werkzeug.serving import run_simple

        from app import create_app

        click.echo("Gunicorn does not run here: one process of Werkzeug's server, for local use only.", err=True)
        run_simple(host, port, create_app(), threaded=True)
        return
    # From our own folder: Gunicorn looks for modules where it runs, and an app.py of the user's is not ours.
    arguments = ["--config", str(config), "--chdir", str(ROOT), "--bind", address]
    sys.stderr.flush()
    command = [sys.executable, "-m", "gunicorn", *arguments, "--workers", str(workers), "app:create_app()"]
    os.execv(sys.executable, command)


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen there."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that just closed is free
            probe.bind(address)
    except OSError:
        return False
    return True


def serve_config() -> Path | None:
    """Gunicorn's settings: beside app.py in a checkout, under the environment's share/ where installed."""
    places = (ROOT / SERVE_CONFIG, Path(sys.prefix) / "share" / "hemoscope" / SERVE_CONFIG)
    return next((place for place in places if place.is_file()), None)


def has_gunicorn() -> bool:
    """Whether Gunicorn is installed and the system can fork (Windows cannot)."""
    from importlib.util import find_spec

    return hasattr(os, "fork") and find_spec("gunicorn") is not None
