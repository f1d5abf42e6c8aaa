"""CT-ICH (Hssayeni et al., Data 2020, 5(1):14): slices of 82 patients, window 40/120, subtype labels, some masks.

In: the compact layout (`images/`, `masks/`, `labels.csv`, `boxes.csv`) or the publisher's (`Patients_CT/NNN/brain/
N.jpg` with `N_HGE_Seg.jpg`, `hemorrhage_diagnosis.csv` or `hemorrhage_diagnosis_raw_ct.csv`). Out: samples. Slices are
numbered in anatomical order in both, so each knows its neighbours; a compact table without `slice` gives none.
"""

from collections import defaultdict
from pathlib import Path

from hemoscope.errors import BadData
from hemoscope.labels import ANY, CLASSES
from hemoscope.scan import Window
from training.datasets.sample import UNKNOWN, Box, Sample, read_table, subtype_labels
from training.datasets.stacks import Place, with_neighbours

WINDOW = Window(40, 120)
# The labels of this patient contradict its masks and the order of its slices; nothing is learnt from them.
UNTRUSTED_PATIENTS = {49}


def load_ct_ich(folder: Path) -> list[Sample]:
    """Samples of either layout.

    A positive slice with neither mask nor boxes keeps its classes; where it bleeds is unknown.

    Raises:
        BadData: if the folder has neither layout.
    """
    if (folder / "labels.csv").is_file():
        return _load_compact(folder)
    if (folder / "Patients_CT").is_dir():
        return _load_published(folder)
    raise BadData(f"{folder} has neither labels.csv nor Patients_CT: it is not the CT-ICH data set.")


def _load_compact(folder: Path) -> list[Sample]:
    boxes: dict[str, list[Box]] = defaultdict(list)
    for row in read_table(folder / "boxes.csv"):
        corners = (float(row[side]) for side in ("x0", "y0", "x1", "y1"))
        boxes[row["file"]].append(Box(*corners, subtype=row.get("class", "")))
    samples, places = [], {}
    for row in read_table(folder / "labels.csv"):
        image = folder / "images" / row["file"]
        if row.get("slice"):
            places[image] = Place(f"patient {row['patient']}", float(row["slice"]))
        if int(row["patient"]) in UNTRUSTED_PATIENTS or row["label_trusted"] != "1":
            continue
        labels = subtype_labels(row)
        mask = folder / "masks" / row["mask"] if row["mask"] else None
        samples.append(_sample(row["patient"], image, labels, mask, tuple(boxes[row["file"]])))
    return with_neighbours(samples, places)


def _load_published(folder: Path) -> list[Sample]:
    tables = sorted(folder.glob("hemorrhage_diagnosis*.csv"))
    if not tables:
        raise BadData(f"{folder} has no hemorrhage_diagnosis.csv.")
    samples, places = [], {}
    for row in read_table(tables[0]):
        row = {name.strip().lower(): value.strip() for name, value in row.items() if name}
        patient, number = int(row["patientnumber"]), int(row["slicenumber"])
        if patient in UNTRUSTED_PATIENTS:
            continue
        named = row | {ANY: "0" if row["no_hemorrhage"] == "1" else "1"}
        labels = subtype_labels({name: named[name] for name in CLASSES})
        name = f"{patient:03d}/brain/{number}.jpg"  # the files of all patients are named 1.jpg, 2.jpg, ...
        image = folder / "Patients_CT" / name
        places[image] = Place(f"patient {patient}", number)
        mask = image.with_name(f"{number}_HGE_Seg.jpg")
        samples.append(_sample(str(patient), image, labels, mask if mask.is_file() else None, (), name))
    return with_neighbours(samples, places)


def _sample(
    patient: str,
    image: Path,
    labels: tuple[float, ...],
    mask: Path | None,
    boxes: tuple[Box, ...],
    name: str = "",
) -> Sample:
    if mask is not None and labels[0] == 0:
        labels = (UNKNOWN,) * len(labels)  # a mask of blood on a slice labelled free of it: trust neither class
    return Sample(
        source="ct_ich",
        patient=patient,
        image=image,
        labels=labels,
        window=WINDOW,
        mask=mask,
        blood_free=labels[0] == 0,
        boxes=boxes,
        name=name,
    )
