"""RSNA 2019 Intracranial Hemorrhage Detection (Flanders et al., Radiology: AI 2020, 2(3):e190211).

In: the compact layout (`images/` in window 40/80, `labels.csv`) or the publisher's (`stage_2_train/ID_*.dcm` with
`stage_2_train.csv`, six rows a slice named `ID_x_class`). Out: samples with class labels only.

Slices of one patient must stay together. The compact table names some studies; where it names none, a slice counts as
its own patient. In the publisher's layout the header's PatientID decides, and its position says which slices are
neighbours. The compact table says nothing of the order within a study, and holds one slice of nearly all of them: there
are no neighbours in it.
"""

from collections import defaultdict
from pathlib import Path

from hemoscope.errors import BadData
from hemoscope.labels import CLASSES
from hemoscope.scan import BRAIN, Window
from training.datasets.sample import Sample, read_table, subtype_labels
from training.datasets.stacks import Place, ordered, place_of, read_header, with_neighbours


def load_rsna(folder: Path) -> list[Sample]:
    """Samples of either layout.

    Raises:
        BadData: if the folder has neither.
    """
    if (folder / "labels.csv").is_file():
        return [
            _sample(row["study"] or Path(row["file"]).stem, folder / "images" / row["file"], row, BRAIN)
            for row in read_table(folder / "labels.csv")
        ]
    if (folder / "stage_2_train").is_dir():
        return _load_published(folder)
    raise BadData(f"{folder} has neither labels.csv nor stage_2_train: it is not the RSNA 2019 data set.")


def _load_published(folder: Path) -> list[Sample]:
    labels: dict[str, dict[str, str]] = defaultdict(dict)
    for row in read_table(folder / "stage_2_train.csv"):
        identifier, _, name = row["ID"].rpartition("_")
        labels[identifier][name] = row["Label"]  # the published table repeats some rows; they agree
    samples: list[Sample] = []
    places: list[tuple[Path, Place]] = []
    for identifier, named in labels.items():
        image = folder / "stage_2_train" / f"{identifier}.dcm"
        # Without a header the file is missing or corrupt: it is counted and skipped when its pixels are read.
        header = read_header(image)
        patient = identifier if header is None else str(header.get("PatientID", "")) or identifier
        place = None if header is None else place_of(header, patient)
        if place is not None:
            places.append((image, place))
        samples.append(_sample(patient, image, named, None))
    return with_neighbours(samples, ordered(places))


def _sample(patient: str, image: Path, row: dict[str, str], window: Window | None) -> Sample:
    labels = subtype_labels({name: row.get(name, "") for name in CLASSES})
    return Sample("rsna", patient, image, labels, window, blood_free=labels[0] == 0)
