"""A small data set in the compact layout of CT-ICH, made of phantom slices: for tests that need files on disk."""

import csv
from pathlib import Path

import cv2
import numpy as np

from hemoscope.labels import CLASSES
from hemoscope.phantom import Bleed, make_phantom
from hemoscope.scan import Window

SIZE = 96
WINDOW = Window(40, 120)  # of ct_ich
PATIENTS = 20


def write_ct_ich(folder: Path) -> None:
    """Twenty patients of three slices; every second one bleeds in one of them, five of those have a mask."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    rows = []
    for patient in range(PATIENTS):
        bleeds = [Bleed("intraparenchymal", 15 + patient)] if patient % 2 else []
        phantom = make_phantom(
            bleeds, slices=6, rows=SIZE, columns=SIZE, spacing_mm=2.4, slice_spacing_mm=20, noise_hu=1, seed=patient
        )
        for index in (1, 2, 4):
            file, blood = f"{patient}_{index}.png", phantom.labels[index] > 0
            grey = np.clip((phantom.scan.hu[index] - WINDOW.lowest_hu) / WINDOW.width, 0, 1)
            cv2.imwrite(str(folder / "images" / file), np.rint(grey * 255).astype(np.uint8))
            mask = file if blood.any() and patient != 1 else ""
            if mask:
                cv2.imwrite(str(folder / "masks" / mask), blood.astype(np.uint8) * 255)
            found = str(int(blood.any()))
            labels = dict.fromkeys(CLASSES, "0") | {"any": found, "intraparenchymal": found}
            rows.append(
                {"patient": str(patient), "file": file, "slice": str(index), "mask": mask, "label_trusted": "1"}
                | labels
            )
    write_rows(folder / "labels.csv", rows)
    write_rows(folder / "boxes.csv", [{"file": "none.png", "x0": "0", "y0": "0", "x1": "1", "y1": "1"}])


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
