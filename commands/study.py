"""`hemoscope read`: a whole study, from files to what is printed and written.

In: paths and options. Out: the series and the reading on stdout, or JSON, and a folder of results. Exits with 0 when a
series was read and 2 when none was. What it needs is imported inside, so that other commands start fast.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands.console import NOT_A_DEVICE, JsonFile, open_json, progress_of, show_any_name
from hemoscope.errors import BadRequest, BadScan
from hemoscope.findings import Findings
from hemoscope.inputs import list_files, refuse_overwriting

if TYPE_CHECKING:
    from hemoscope.measuring.values import Measurements
    from hemoscope.studies import Candidate, Studies, Volume


@click.command(epilog=NOT_A_DEVICE)
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
