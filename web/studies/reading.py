"""Kept files -> a folder with the reading of a study.

In: the files of one study and a reader. Out: results on disk and `ReadingFacts` for the history. It knows no database:
who calls it is told of the progress and may end it.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hemoscope.measurement import measure
from hemoscope.measuring.values import Measurements
from hemoscope.results.folder import write_results
from hemoscope.results.study import look_first, study_record
from hemoscope.studies import File, Received, Studies, Volume, read_studies, read_volume
from web.history.records import ReadingFacts
from web.studies.folder import OUT, write_band, write_layers, write_outline, write_scan

if TYPE_CHECKING:
    from hemoscope.findings import Findings
    from model import Reader

# Told how many slices of how many are done, and what is done now, in a sentence.
Told = Callable[[int, int, str], object]

# The parts of the work as shares of the whole, so that a bar moves evenly.
OPENING, READING, MEASURING, RESULTS, SLICES = 0.05, 0.4, 0.15, 0.37, 0.03


@dataclass(frozen=True)
class Asked:
    """What is to be read: the study's number, its files, and the wanted series ("" for the one that is chosen)."""

    study_number: int
    files: Sequence[Path]
    series: str


def read_study(asked: Asked, reader: "Reader", folder: Path, max_pixels: int, told: Told) -> ReadingFacts:
    """Read a study and write all that is shown of it into a folder.

    Args:
        asked: what.
        reader: with what.
        folder: an empty one.
        max_pixels: refuse scans with more, after thin slices were averaged.
        told: see `Told`; what it raises ends the reading.

    Raises:
        BadScan: where the study cannot be read.
        BadRequest: where it has no such series.
        OSError: where the folder cannot be written.
    """
    began = time.perf_counter()
    files = _numbered(asked.files)
    told(0, len(files.files), "Looking at the files.")
    studies = read_studies(files)
    picked = studies.pick(asked.series)
    part = partial(_part, told, 0 if picked.stack is None else len(picked.stack.slices))
    volume = read_volume(picked, progress=part("Opening", 0, OPENING), max_pixels=max_pixels)
    with ThreadPoolExecutor(1) as beside:  # packing takes another core while the network runs
        stored = beside.submit(write_scan, folder, volume.scan)
        found = reader.read(volume.scan, part("Reading", OPENING, READING))
        stored.result()
    part("Measuring", OPENING + READING, MEASURING)(0, 1)
    measured = measure(volume.scan, found)
    said = study_record([f"study {asked.study_number}"], studies, picked, volume, found, measured)
    part("Writing the results", 1 - SLICES - RESULTS, RESULTS)(0, 1)
    missing = write_results(folder / OUT, volume, found, measured, said, datetime.now(UTC), studies.notes)
    storing = part("Storing", 1 - SLICES, SLICES)
    for index, one in enumerate(found.slices):
        write_layers(folder, index, one)
        storing(index + 1, len(found.slices))
    notes = _notes(studies, volume, found, measured)
    write_outline(folder, volume.scan, found.slices, f"{found.model} {found.version}", (*notes, *missing))
    write_band(folder, *reader.manifest.band(found.decided_by))
    return _facts(found, measured, notes, time.perf_counter() - began)


def _numbered(paths: Sequence[Path]) -> Received:
    """Kept files are named by what is in them: for people they are numbered. Archives are not among them."""

    def numbered(number: int, path: Path) -> File:
        return File(f"file {number} of {len(paths)}", path.stat().st_size, lambda: path.open("rb"))

    return Received(tuple(numbered(*one) for one in enumerate(paths, 1)), ())


def _part(told: Told, slices: int, verb: str, before: float, share: float) -> Callable[[int, int], None]:
    """Tells one part's progress as that of the whole, counted in stored slices."""

    def tell(done: int, whole: int) -> None:
        what = f"{verb} slice {done} of {whole}." if done else f"{verb}."
        told(int((before + share * done / whole) * slices), slices, what)

    return tell


def _notes(studies: Studies, volume: Volume, found: "Findings", measured: Measurements) -> tuple[str, ...]:
    lost = (f"{one.name}: {one.reason}" for one in volume.left_out)
    unknown = (measured.volume_unknown, measured.midline_unknown)
    return tuple(dict.fromkeys(filter(None, (*studies.notes, *found.notes, *measured.notes, *unknown, *lost))))


def _facts(found: "Findings", measured: Measurements, notes: tuple[str, ...], seconds: float) -> ReadingFacts:
    total, by_subtype = measured.total, measured.by_subtype
    return ReadingFacts(
        model=found.model,
        version=found.version,
        finding=found.finding,
        probabilities=found.probabilities,
        volume_ml=None if total is None else total.ml,
        uncertainty_ml=None if total is None else total.uncertainty_ml,
        subtype_volumes_ml=None if by_subtype is None else {name: one.ml for name, one in by_subtype.items()},
        lesion_volumes_ml=tuple(one.volume.ml for one in measured.lesions),
        key_slices=tuple(look_first(found)),
        seconds=seconds,
        notes=notes,
    )
