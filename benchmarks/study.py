"""Where the time goes between the upload of a study and its results.

    python -m benchmarks.study [--model reader] [--slices 30] [--rounds 3]

In: the installed models and a synthetic head of 512 x 512 with two bleeds, as a zip; no real data. Out: a table on
stdout: the seconds and the share of each part, and the most memory. Each round is a process of its own, held to two
cores, that reads the study twice: the first time it loads libraries too, as a command does, the second time it does
not, as a server. Then the same study goes over HTTP to a server and its report comes back (`served`), each round right
after the one without HTTP. Times depend on the machine: compare the shares, and on a busy one the processor time.
"""

import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmarks import served
from benchmarks.latency import resident_mb
from benchmarks.server import ROOT

if TYPE_CHECKING:
    from hemoscope.findings import Findings
    from hemoscope.studies import Volume
    from model import Reader

CORES = 2
TARGET_S = 4.0
STEPS = {
    "headers": "zip and headers, choice of the series",
    "pixels": "pixels",
    "network": "network, slice by slice",
    "measurements": "volumes and midline",
    "results": "all results written",
}
FORMS = {
    "sources": "files read again for DICOM results",
    "segmentation": "DICOM Segmentation",
    "report": "DICOM Structured Report",
    "captures": "secondary captures",
    "nifti": "NIfTI mask",
    "viewer": "slices stored for the viewer, by servers",
}
Seconds = dict[str, float]


@contextmanager
def timed(seconds: Seconds, name: str) -> Iterator[None]:
    """Add the time of the block under a name."""
    begin = time.perf_counter()
    yield
    seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - begin


def zipped(slices: int) -> bytes:
    """A phantom's DICOM files in one archive; it is 150 mm high with any number of slices."""
    from hemoscope.phantom import Bleed, dicom_slices, make_phantom

    bleeds = [Bleed("subdural", 30), Bleed("intraparenchymal", 20)]
    files = dicom_slices(make_phantom(bleeds, slices=slices, slice_spacing_mm=150 / slices))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as written:
        for number, data in enumerate(files):
            written.writestr(f"{number:04d}.dcm", data)
    return archive.getvalue()


def measure_steps(archive: bytes, reader: "Reader", seconds: Seconds) -> None:
    """From the bytes to the folder of results, each of `STEPS`; then each of `FORMS` once more, alone."""
    from hemoscope.measurement import measure
    from hemoscope.results.folder import write_results
    from hemoscope.results.study import study_record
    from hemoscope.studies import read_studies, read_volume, received

    with tempfile.TemporaryDirectory() as made:
        path = Path(made) / "study.zip"
        begin, worked = time.perf_counter(), time.process_time()
        path.write_bytes(archive)
        with received([path]) as files:
            picked = (studies := read_studies(files)).pick()
            seconds["headers"] = time.perf_counter() - begin
            with timed(seconds, "pixels"):
                volume = read_volume(picked)
            with timed(seconds, "network"):
                found = reader.read(volume.scan)
            with timed(seconds, "measurements"):
                measured = measure(volume.scan, found)
            with timed(seconds, "results"):
                said = study_record([str(path)], studies, picked, volume, found, measured)
                missing = write_results(Path(made) / "out", volume, found, measured, said, datetime.now(UTC))
            seconds["processor"] = time.process_time() - worked
            if missing:
                raise click.ClickException(" ".join(missing))
            measure_forms(volume, found, seconds)


def measure_forms(volume: "Volume", found: "Findings", seconds: Seconds) -> None:
    """Each form of the results alone, without writing it."""
    from hemoscope.results.blood import Blood
    from hemoscope.results.dicom_seg import segmentation
    from hemoscope.results.dicom_sr import report
    from hemoscope.results.dicom_sr_masks import Segmented
    from hemoscope.results.nifti_mask import nifti_mask
    from hemoscope.results.provenance import Provenance
    from hemoscope.results.secondary_capture import secondary_captures
    from hemoscope.results.sources import sources_of
    from hemoscope.studies import decoded
    from web.studies.folder import write_layers, write_scan

    provenance = Provenance.of(found, datetime.now(UTC))
    on_scan, blood = Blood.of(found), Blood.of(found, volume.on_slices)
    if on_scan is None or blood is None:
        raise click.ClickException(f"{found.model} gives no mask: there is nothing to compare.")
    with timed(seconds, "sources"):
        sources = sources_of(volume.slices)
    with timed(seconds, "segmentation"):
        data = segmentation(sources, blood, provenance)
    with timed(seconds, "report"):
        report(sources, found, provenance, Segmented(blood, data))
    with timed(seconds, "captures"):
        hu = (scan.hu[0] for _, scan in decoded(volume.slices))  # type: ignore[union-attr]
        list(secondary_captures(sources, hu, blood, provenance))
    with timed(seconds, "nifti"):
        nifti_mask(on_scan.labels, volume.scan)
    with timed(seconds, "viewer"), tempfile.TemporaryDirectory() as folder:
        write_scan(Path(folder), volume.scan)
        for index, slice_found in enumerate(found.slices):
            write_layers(Path(folder), index, slice_found)


def measure_study(archive: Path, model_name: str) -> dict[str, Seconds]:
    """The study twice in this process: `first` and `again`; `memory` has the most that it took, in MB."""
    import model

    first: Seconds = {}
    again: Seconds = {}
    with timed(first, "model"):
        reader = model.load(model_name)
    data = archive.read_bytes()
    for seconds in (first, again):
        measure_steps(data, reader, seconds)
    return {"first": first, "again": again, "memory": {"peak_mb": resident_mb(peak=True)}}


def measured(archive: Path, model_name: str, *, over_http: bool) -> dict[str, Seconds]:
    """One round, in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.study", "--model", model_name, "--archive", str(archive)]
    command += ["--over-http"] if over_http else []
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE)
    if done.returncode:
        raise click.ClickException("The study was not read.")
    found: dict[str, Seconds] = json.loads(done.stdout.splitlines()[-1])
    return found


def medians(rounds: list[dict[str, Seconds]]) -> dict[str, Seconds]:
    """Of each figure over the rounds."""
    return {
        part: {name: statistics.median(one[part][name] for one in rounds) for name in figures}
        for part, figures in rounds[0].items()
    }


def table(model_name: str, slices: int, found: dict[str, Seconds]) -> list[str]:
    """The figures as lines; shares are of the steps together, in the same column."""
    whole = {part: sum(found[part][name] for name in STEPS) for part in ("first", "again")}

    def row(label: str, name: str) -> str:
        columns = (f"{found[part][name]:9.2f} s {found[part][name] / whole[part]:5.0%}" for part in whole)
        return f"{label:<50}" + "".join(columns)

    lines = [f"model {model_name}, {slices} slices of 512 x 512, {CORES} cores", f"{'':<50}{'first':>9}{'again':>17}"]
    lines += [row(label, name) for name, label in STEPS.items()]
    lines += [row(f"  {label}, alone", name) for name, label in FORMS.items()]
    lines.append(f"{'bytes to folder':<50}" + "".join(f"{whole[part]:9.2f} s      " for part in whole).rstrip())
    lines.append(
        f"{'processor time':<50}" + "".join(f"{found[part]['processor']:9.2f} s      " for part in whole).rstrip()
    )
    lines.append(f"target below {TARGET_S:g} s; the model was loaded in {found['first']['model']:.2f} s before")
    lines.append(f"most memory {found['memory']['peak_mb']:.0f} MB")
    return lines


@click.command()
@click.option("--model", "model_name", default="reader", show_default=True)
@click.option("--slices", type=click.IntRange(8, 300), default=30, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--archive", type=click.Path(path_type=Path), help="Read this zip in this process and print JSON.")
@click.option("--over-http", is_flag=True, help="With --archive: send it to a server instead.")
def main(model_name: str, slices: int, rounds: int, archive: Path | None, over_http: bool) -> None:
    """Measure a study from bytes to results."""
    if archive is not None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])  # a server started from here keeps to them
        measure = served.measure_served if over_http else measure_study
        click.echo(json.dumps(measure(archive, model_name)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.zip"
        path.write_bytes(zipped(slices))
        here, http = [], []
        for _ in range(rounds):
            here.append(measured(path, model_name, over_http=False))
            http.append(measured(path, model_name, over_http=True))
    found = medians(here)
    lines = table(model_name, slices, found)
    alone = {part: found[part]["processor"] for part in ("first", "again")}
    click.echo("\n".join([*lines, "", *served.table(medians(http), alone)]))


if __name__ == "__main__":
    main()
