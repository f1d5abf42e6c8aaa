"""Slices of one's own: a folder of DICOM files or pictures, and a table that says what is known of them.

In: `labels.csv` with the columns `file` and `patient`, those of the six classes that are known, and where there are
any, `mask` and `window`; all files are named relative to the table. Out: samples. An empty cell or a missing column
is unknown. Where `any` is not given it follows from the subtypes, as far as it can.
"""

from collections.abc import Mapping
from pathlib import Path

from hemoscope.errors import BadData, BadRequest
from hemoscope.labels import ANY, CLASSES, SUBTYPES
from hemoscope.scan import BRAIN, Window
from training.datasets.sample import UNKNOWN, Sample, read_table

KNOWN = {"0": 0.0, "1": 1.0, "": UNKNOWN}


def load_own(folder: Path) -> list[Sample]:
    """Samples of the table.

    Raises:
        BadData: if the table is missing, lacks `file` or `patient`, or garbles or contradicts a label.
    """
    rows = read_table(folder / "labels.csv")
    return [_sample(folder, row, line) for line, row in enumerate(rows, start=2)]  # line 1 is the header


def _sample(folder: Path, row: Mapping[str, str], line: int) -> Sample:
    cells = {name.strip().lower(): (value or "").strip() for name, value in row.items() if name}
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
