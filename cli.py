"""The `hemoscope` command: read files and studies, serve the pages, make a phantom, list the models.

In: paths and options. Out: on stdout one line a file (for people, or JSON with `--json -`), pictures in folders, and
an exit code: 0 when all was read, 2 when some was not or an option is wrong, 1 when it could not start or write, 130
after Ctrl-C. What only some commands need is imported inside them, so that `--help` and a first reading come fast.
"""

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from hemoscope.errors import BadRequest, BadScan, HemoscopeError, UnknownModel
from hemoscope.findings import Findings
from hemoscope.inputs import holds_records, list_files, refuse_overwriting
from hemoscope.results.record import failure, record
from hemoscope.scan import BRAIN, Scan, Window

if TYPE_CHECKING:
    from hemoscope.measuring.values import Measurements
    from hemoscope.phantom import Bleed
    from hemoscope.studies import Candidate, Studies, Volume
    from model import Reader

NOT_A_DEVICE = "Research use, not a medical device."
INTERRUPTED = 130  # what shells give for SIGINT: 128 + 2
SERVE_CONFIG = "gunicorn.conf.py"

Folder = click.Path(file_okay=False, path_type=Path)
JsonFile = click.Path(dir_okay=False, allow_dash=True, path_type=Path)


class Commands(click.Group):
    """Says every error that a user can cause in one sentence, and leaves with 130 after Ctrl-C."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (BadRequest, UnknownModel) as error:
            raise click.UsageError(str(error)) from None
        except HemoscopeError as error:
            raise click.ClickException(str(error)) from None
        except BrokenPipeError:  # the reader of our output has left; click ends quietly
            raise
        except OSError as error:
            raise click.ClickException(f"{error.strerror or error}: {error.filename or 'output'}") from None
        except KeyboardInterrupt:
            click.echo("\nInterrupted.", err=True)
            return ctx.exit(INTERRUPTED)


class WindowType(click.ParamType[Window]):
    """`LEVEL/WIDTH` on the command line, for example 40/80."""

    name = "LEVEL/WIDTH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Window:
        if isinstance(value, Window):
            return value
        try:
            return Window.parse(value)
        except BadRequest as error:
            self.fail(str(error), param, ctx)


class BleedType(click.ParamType["Bleed"]):
    """`SUBTYPE:ML` or `SUBTYPE:ML:SIDE` on the command line, for example subdural:30:right."""

    name = "SUBTYPE:ML[:SIDE]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "Bleed":
        from hemoscope.phantom import Bleed

        subtype, _, amount = value.partition(":")
        volume, _, side = amount.partition(":")
        try:
            volume_ml = float(volume)
        except ValueError:
            self.fail(f"A bleed is written {self.name}, for example subdural:30:right; got {value!r}.", param, ctx)
        return Bleed(subtype, volume_ml, side or "left")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=NOT_A_DEVICE)
@click.version_option(package_name="hemoscope", prog_name="hemoscope", message="%(prog)s %(version)s")
def main() -> None:
    """Read head CT: is there blood, of which subtype, where, how much, how sure."""


@main.command(epilog=NOT_A_DEVICE)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--model", "model_name", default="reader", show_default=True, metavar="NAME", help="See `models`.")
@click.option(
    "--window", type=WindowType(), default=str(BRAIN), show_default=True, help="The window that pictures were drawn in."
)
@click.option("--json", "json_path", type=JsonFile, help="Write one JSON object a line; - is stdout.")
@click.option("--masks", type=Folder, help="Write masks there: <name>.png, 0 or 255.")
@click.option("--overlays", type=Folder, help="Write slices with the mask filled in there.")
@click.option("--heatmaps", type=Folder, help="Write Grad-CAM there, one picture a class.")
@click.pass_context
def predict(
    ctx: click.Context,
    paths: tuple[str, ...],
    model_name: str,
    window: Window,
    json_path: Path | None,
    masks: Path | None,
    overlays: Path | None,
    heatmaps: Path | None,
) -> None:
    """Read files, and all files in folders, and say what was found.

    Exits with 0 when all were read and 2 when some were not.
    """
    import model
    from hemoscope.results.pictures import Pictures, picture_stem

    pictures = Pictures(masks, overlays, heatmaps)
    reader = model.load(model_name)
    earlier = [json_path] if json_path is not None and holds_records(json_path) else []
    found = list(list_files(paths, skip=[*pictures.folders, *earlier]))
    refuse_overwriting(found, json_path, pictures.folders)
    pictures.make_folders()
    json_file = None if json_path is None else ctx.with_resource(open_json(json_path))
    show_any_name()
    failures, told_of_no_mask = 0, False
    with click.progressbar(found, label="Reading", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        for path in bar:
            result = read_one(reader, path, window)
            if isinstance(result, str):
                failures += 1
                tell(failure(path, result), json_file)
                continue
            if (masks or overlays) and result[1].area_px is None and not told_of_no_mask:
                click.echo(f"{result[1].model} gives no mask: --masks and --overlays write no file.", err=True)
                told_of_no_mask = True
            if pictures.folders and (name := pictures.write(path, *result)) != picture_stem(path):
                click.echo(f"{path}: its pictures are named {name}, as an earlier file has taken its name.", err=True)
            tell(record(path, result[1]), json_file)
            if json_file is None and result[1].notes:
                click.echo(f"{click.format_filename(path)}: {' '.join(result[1].notes)}", err=True)
    if json_file is None:
        click.echo(NOT_A_DEVICE, err=True)
    if failures:
        click.echo(f"{failures} of {len(found)} could not be read.", err=True)
        ctx.exit(2)


@main.command(epilog=NOT_A_DEVICE)
@click.argument("paths", metavar="STUDY...", nargs=-1, required=True)
@click.option("--series", "wanted", default="", metavar="N", help="Read this one: its number as listed, or its UID.")
@click.option("--model", "model_name", default="reader", show_default=True, metavar="NAME", help="See `models`.")
@click.option("--json", "json_path", type=JsonFile, help="Write one JSON object; - is stdout.")
@click.option(
    "--out",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write DICOM SEG, SR, pictures, a NIfTI mask and JSON there.",
)
@click.pass_context
def read(
    ctx: click.Context,
    paths: tuple[str, ...],
    wanted: str,
    model_name: str,
    json_path: Path | None,
    folder: Path | None,
) -> None:
    """Read a whole study: a folder, a ZIP archive, a NIfTI volume or files, of one patient.

    Lists the series and says which one is read and why: axial, without contrast, a soft kernel, the head. Slices are
    ordered by their positions and counted from the feet. Exits with 0 when a series was read and 2 when none was.
    """
    import model
    from hemoscope.measurement import measure
    from hemoscope.results.study import study_record
    from hemoscope.studies import read_studies, read_volume, received

    reader = model.load(model_name)
    refuse_overwriting(list(list_files(paths)), json_path, ())
    if folder is not None and folder.is_dir() and any(folder.iterdir()):
        raise BadRequest(f"{folder} is not empty; the results of a study get a folder of their own.")
    json_file = None if json_path is None else ctx.with_resource(open_json(json_path))
    show_any_name()
    try:
        with received(paths) as files:
            with progress_of("Looking") as progress:
                studies = read_studies(files, progress)
            if json_file is None:
                tell_candidates(studies)
            picked = studies.pick(wanted)
            with progress_of("Opening") as progress:
                volume = read_volume(picked, progress=progress)
            with progress_of("Reading") as progress:
                found = reader.read(volume.scan, progress)
            measured = measure(volume.scan, found)
            said = study_record(paths, studies, picked, volume, found, measured)
            if folder is not None:
                write_into(folder, studies, volume, found, measured, said)
    except BadScan as error:
        if json_file is not None:
            json_file.write(json.dumps({"study": list(paths), "error": str(error)}) + "\n")
        click.echo(f"Not read: {error}", err=True)
        ctx.exit(2)
    if json_file is None:
        tell_study(picked, volume, found, measured)
    else:
        json_file.write(json.dumps(said) + "\n")


def write_into(
    folder: Path,
    studies: "Studies",
    volume: "Volume",
    found: Findings,
    measured: "Measurements",
    said: dict[str, object],
) -> None:
    """Write the results of a study into a folder, and say what could not be."""
    from hemoscope.results.folder import write_results

    try:
        missing = write_results(folder, volume, found, measured, said, datetime.now(UTC), studies.notes)
    except OSError as error:
        raise click.ClickException(f"{folder} cannot be written: {error.strerror or error}.") from None
    for sentence in missing:
        click.echo(sentence, err=True)


@main.command(epilog=NOT_A_DEVICE)
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 lets other machines in.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    envvar="WEB_CONCURRENCY",
    show_envvar=True,
    help="Processes; about 350 MB each.",
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
    arguments = ["--config", str(config), "--chdir", str(Path(__file__).parent), "--bind", address]
    sys.stderr.flush()
    command = [sys.executable, "-m", "gunicorn", *arguments, "--workers", str(workers), "app:create_app()"]
    os.execv(sys.executable, command)


@main.command()
@click.argument("folder", metavar="OUT_DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--bleed", "bleeds", type=BleedType(), multiple=True, help="Repeat for several; none is a normal head.")
@click.option("--slices", type=click.IntRange(1, 200), default=24, show_default=True, help="5 mm apart.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the noise.")
def phantom(folder: Path, bleeds: tuple["Bleed", ...], slices: int, seed: int) -> None:
    """Write a synthetic head CT with bleeds of known volume as a DICOM series."""
    from hemoscope.phantom import make_phantom, write_dicom_series

    if folder.is_dir() and any(folder.iterdir()):
        raise click.ClickException(f"{folder} is not empty; a series gets a folder of its own.")
    head = make_phantom(bleeds, slices=slices, seed=seed)
    written = write_dicom_series(head, folder)
    click.echo(f"{len(written)} slices in {folder}")
    for subtype in sorted({bleed.subtype for bleed in bleeds}):
        click.echo(f"{subtype}: {head.volume_ml(subtype):.2f} ml")
    if head.push_mm:
        side = "left" if head.push_mm > 0 else "right"
        click.echo(f"The bleeds push the midline by up to {abs(head.push_mm):.1f} mm to the patient's {side}.")


@main.command()
def models() -> None:
    """List the models and what each is for."""
    import model
    from hemoscope.manifest import EnsembleManifest

    problems: list[str] = []
    manifests = model.manifests(report=problems.append)
    if not manifests and not problems:
        raise click.ClickException("There are no models: the folder of weights is empty or missing.")
    width = max((len(manifest.name) for manifest in manifests), default=0)
    for manifest in manifests:
        click.echo(f"{manifest.name:<{width}}  {manifest.version}  {manifest.task}  {manifest.licence}")
        click.echo(f"{'':<{width}}  {manifest.summary}")
        if isinstance(manifest, EnsembleManifest):
            click.echo(f"{'':<{width}}  {manifest.composition}: {manifest.cost}")
    if problems:
        raise click.ClickException("\n".join(problems))


def show_any_name() -> None:
    """Let stdout and stderr take names that the terminal cannot show."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def open_json(path: Path) -> IO[str]:
    """Open the file of `--json` for writing; `-` is stdout.

    Raises:
        UsageError: if it cannot be opened.
    """
    try:
        return click.open_file(str(path), "w", encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"--json {path} cannot be written: {error.strerror or error}.") from None


def read_one(reader: "Reader", path: str, window: Window) -> tuple[Scan, Findings] | str:
    """Read one file: the scan and what was found, or a sentence that says why not."""
    from hemoscope.readers import read_file

    file = Path(path)
    try:
        if file.is_dir():
            return said_of_folder(file)
        if not file.is_file():
            return "This is not a file." if file.exists() else "There is no such file or folder."
        scan = read_file(file, window)
        return scan, reader.read(scan)
    except HemoscopeError as error:
        return str(error)
    except OSError as error:
        return f"The file cannot be opened: {error.strerror or error}."
    except Exception as error:  # a fault of ours in one file must not end a run over thousands
        return f"Hemoscope failed on this file ({type(error).__name__}: {error}). Please report it."


def said_of_folder(folder: Path) -> str:
    """Why a folder stands in the list of files: it cannot be opened, or there is nothing in it."""
    try:
        os.scandir(folder).close()
    except OSError as error:
        return f"The folder cannot be opened: {error.strerror or error}."
    return "This folder holds no files."


def tell(said: dict[str, object], json_file: IO[str] | None) -> None:
    """Hand out one result at once: a JSON line, or a line for people on stdout."""
    from hemoscope.results.lines import file_line

    if json_file is not None:
        json_file.write(json.dumps(said) + "\n")
        json_file.flush()
        return
    if sys.stderr.isatty() and sys.stdout.isatty():
        click.echo("\r\033[K", nl=False, err=True)  # the progress bar comes again below this line
    click.echo(file_line(said, click.format_filename(str(said["path"]))))


@contextmanager
def progress_of(label: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr that is told how many of how many are done."""
    with click.progressbar(length=1, label=label, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:

        def tell_bar(done: int, whole: int) -> None:
            bar.length = whole
            bar.update(done - bar.pos)

        yield tell_bar


def tell_candidates(studies: "Studies") -> None:
    """The series for people, with what becomes of each; files that are not read on stderr."""
    from hemoscope.results.lines import candidate_lines

    for said in candidate_lines(studies):
        click.echo(said)
    for file in (*studies.left_out, *(file for one in studies.candidates if one.stack for file in one.series.left_out)):
        click.echo(f"{file.name}: {file.reason}", err=True)
    for note in studies.notes:
        click.echo(note, err=True)


def tell_study(picked: "Candidate", volume: "Volume", found: Findings, measured: "Measurements") -> None:
    """The reading for people; slices that could not be read on stderr."""
    from hemoscope.results.lines import study_lines

    click.echo()
    for said in study_lines(picked, volume, found, measured):
        click.echo(said)
    for file in volume.left_out:
        click.echo(f"{file.name}: {file.reason}", err=True)
    click.echo(NOT_A_DEVICE, err=True)


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
    """Gunicorn's settings: beside this file in a checkout, under the environment's share/ where installed."""
    places = (Path(__file__).parent / SERVE_CONFIG, Path(sys.prefix) / "share" / "hemoscope" / SERVE_CONFIG)
    return next((place for place in places if place.is_file()), None)


def has_gunicorn() -> bool:
    """Whether Gunicorn is installed and the system can fork (Windows cannot)."""
    from importlib.util import find_spec

    return hasattr(os, "fork") and find_spec("gunicorn") is not None
