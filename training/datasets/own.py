"""Slices of one's own: a folder of DICOM files or pictures, and a table that says what is known of them.

In: `labels.csv` with the columns `file` and `patient`, those of the six classes that are known, and where there are
any, `mask`, `window`, `series` and `slice`; all files are named relative to the table. Out: samples. An empty cell or a
missing column is unknown. Where `any` is not given it follows from the subtypes, as far as it can.

Slices with a number in `slice` are neighbours in its order within their patient and `series`; DICOM files without one
by the positions in their headers. A picture without a number has no neighbours.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from hemoscope.errors import BadData, BadRequest
from hemoscope.labels import ANY, CLASSES, SUBTYPES
from hemoscope.scan import BRAIN, Window
from training.datasets.sample import UNKNOWN, Sample, read_table
from training.datasets.stacks import Place, ordered, place_of, read_header, with_neighbours

KNOWN = {"0": 0.0, "1": 1.0, "": UNKNOWN}


def load_own(folder: Path) -> list[Sample]:
    """Samples of the table.

    Raises:
        BadData: if the table is missing, lacks `file` or `patient`, garbles or contradicts a label, or numbers the
            slices of a series twice or in several windows.
    """
    samples: list[Sample] = []
    numbered: dict[Path, Place] = {}
    positioned: list[tuple[Path, Place]] = []
    windows: dict[str, Window | None] = {}
    for line, row in enumerate(read_table(folder / "labels.csv"), start=2):  # line 1 is the header
        cells = {name.strip().lower(): (value or "").strip() for name, value in row.items() if name}
        sample = _sample(folder, cells, line)
        header = read_header(sample.image)
        if header is not None:
            sample = replace(sample, window=None)
        samples.append(sample)
        if cells.get("slice"):
            place = _numbered(cells, line)
            if windows.setdefault(place.stack, sample.window) != sample.window:
                raise BadData(f"labels.csv, line {line}: {place.stack} has slices in several windows.")
            numbered[sample.image] = place
        elif header is not None and (found := place_of(header, sample.patient)) is not None:
            positioned.append((sample.image, found))
    return with_neighbours(samples, numbered | ordered(positioned))


def _sample(folder: Path, cells: Mapping[str, str], line: int) -> Sample:
    if not cells.get("file") or not cells.get("patient"):
        raise BadData(f"labels.csv, line {line}: `file` and `patient` are needed.")
    labels = _labels(cells, line)
    try:
        window = Window.parse(cells["window"]) if cells.get("window") else BRAIN
    except BadRequest as error:
        raise BadData(f"labels.csv, line {line}: {error}") from None
    return Sample(
        source="own",
        patient=cells["patient"],
        image=folder / cells["file"],
        labels=labels,
        window=window,
        mask=folder / cells["mask"] if cells.get("mask") else None,
        blood_free=labels[0] == 0,
        name=cells["file"],
    )


def _numbered(cells: Mapping[str, str], line: int) -> Place:
    try:
        number = int(cells["slice"])
    except ValueError:
        raise BadData(f"labels.csv, line {line}: a slice is a whole number, not {cells['slice']!r}.") from None
    series = f", series {cells['series']}" if cells.get("series") else ""
    return Place(f"patient {cells['patient']}{series}", number)


def _labels(cells: Mapping[str, str], line: int) -> tuple[float, ...]:
    try:
        known = {name: KNOWN[cells.get(name, "")] for name in CLASSES}
    except KeyError as error:
        raise BadData(f"labels.csv, line {line}: a label is 0, 1 or empty, not {error}.") from None
    subtypes = [known[name] for name in SUBTYPES]
    if 1.0 in subtypes or subtypes == [0.0] * len(SUBTYPES):
        follows = max(value for value in subtypes if value == value)  # NaN is unknown
        if cells.get(ANY) and known[ANY] != follows:
            raise BadData(f"labels.csv, line {line}: `{ANY}` contradicts the subtypes.")
        known[ANY] = follows
    if known[ANY] == 0:
        known = dict.fromkeys(CLASSES, 0.0)
    return tuple(known[name] for name in CLASSES)
