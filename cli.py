"""The `hemoscope` command: read files and studies, serve the pages, make a phantom, list the models.

In: paths and options. Out: on stdout one line a file (for people, or JSON with `--json -`), pictures in folders, and
an exit code: 0 when all was read, 2 when some was not or an option is wrong, 1 when it could not start or write, 130
after Ctrl-C. What only some commands need is imported inside them, so that `--help` and a first reading come fast.
"""

import json
import os
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from commands.console import NOT_A_DEVICE, JsonFile, open_json, show_any_name
from commands.serving import serve
from commands.study import read
from hemoscope.errors import BadRequest, HemoscopeError, UnknownModel
from hemoscope.findings import Findings
from hemoscope.inputs import holds_records, list_files, refuse_overwriting
from hemoscope.results.record import failure, record
from hemoscope.scan import BRAIN, Scan, Window

if TYPE_CHECKING:
    from hemoscope.phantom import Bleed
    from model import Reader

INTERRUPTED = 130  # what shells give for SIGINT: 128 + 2

Folder = click.Path(file_okay=False, path_type=Path)


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


main.add_command(read)
main.add_command(serve)


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
