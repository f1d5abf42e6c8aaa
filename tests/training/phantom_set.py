"""A small data set in the compact layout of CT-ICH, made of phantom slices, and a training on it: for tests that need
files on disk.
"""

import csv
import json
from pathlib import Path

import cv2
import keras
import numpy as np
from keras import layers

from hemoscope.labels import CLASSES
from hemoscope.phantom import Bleed, make_phantom
from hemoscope.preprocessing import Preprocess
from hemoscope.scan import BRAIN, Scan, Window
from training.datasets.sample import Sample
from training.folds import Folds

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


def phantom_slice() -> Scan:
    """A slice through the ventricles, without hemorrhage, 256 x 256."""
    phantom = make_phantom(slices=7, rows=256, columns=256, spacing_mm=0.9, slice_spacing_mm=16, noise_hu=2, seed=1)
    return Scan(phantom.scan.hu[3:4], calibrated=True)


def write_two_slices(scan: Scan, folder: Path) -> list[Sample]:
    """The slice as two pictures, the second one said to bleed."""
    grey = np.rint(np.clip((scan.hu[0] - BRAIN.lowest_hu) / BRAIN.width, 0, 1) * 255).astype(np.uint8)
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folder / name), grey)
    none, some = (0.0,) * 6, (1.0, 0.0, 1.0, 0.0, 0.0, 0.0)
    return [
        Sample("rsna", "1", folder / "a.png", none, BRAIN, blood_free=True),
        Sample("rsna", "2", folder / "b.png", some, BRAIN),
    ]


def grey_band_network() -> keras.Model:
    """A pixel between about 59 and 71 HU is blood: sigmoid(4 - 80 |x - centre|) of the 3 x 3 mean."""
    centre = (65 - WINDOW.lowest_hu) / WINDOW.width
    image = keras.Input((SIZE, SIZE, 1), name="image")
    x = layers.AveragePooling2D(3, strides=1, padding="same")(image)
    sides, out = layers.Conv2D(2, 1, activation="relu"), layers.Conv2D(1, 1, activation="sigmoid", name="mask")
    network = keras.Model(image, {"mask": out(sides(x))})
    sides.set_weights([np.array([1.0, -1.0]).reshape(1, 1, 1, 2), np.array([-centre, centre])])
    out.set_weights([np.full((1, 1, 2, 1), -80.0), np.array([4.0])])
    return network


def write_band_run(root: Path, fold: int) -> None:
    """`data/ct_ich/` and `runs/band/fold_K/`, a training of `grey_band_network` that is not yet evaluated."""
    write_ct_ich(root / "data" / "ct_ich")
    runs = root / "runs"
    run = runs / "band" / f"fold_{fold}"
    run.mkdir(parents=True)
    # Of every ten patients one stands in the validation and two in the test side; bleeding ones are the odd ones.
    places = {f"ct_ich/{patient}": (fold if patient % 5 in (1, 4) else 0, patient // 5) for patient in range(PATIENTS)}
    Folds(places).write(runs / "folds.csv")
    grey_band_network().save(run / "network.keras")
    (run / "preprocess.json").write_text(json.dumps(Preprocess(SIZE, (WINDOW,)).to_dict()))
    (run / "config.json").write_text(json.dumps({"sets": ["ct_ich"], "network": "band", "licence": "CC0", "seed": 5}))
    (run / "log.csv").write_text("epoch,loss,val_loss\n0,2,1.5\n1,1,1.25\n")


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
