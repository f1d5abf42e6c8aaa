"""PHE-SICH-CT-IDS (Ma et al., 2023): slices of patients with spontaneous intraparenchymal hemorrhage, window 40/80.

In: `images/`, `blood_pseudo_masks/` and `labels.csv`. Out: samples. Blood is labelled intraparenchymal only: extension
into the ventricles is not labelled, so the other subtypes are unknown. Slices beside a positive one are left out, for
they can hold faint blood. Masks are derived (Otsu inside an expert's box); the doubtful ones become boxes.

Slices have no neighbours here, although `slice` numbers them in anatomical order. Away from the bleeds the set keeps
every fourth slice only: all 712 positive slices have both neighbours, 55 of the 839 others have. A network would learn
that a slice between two like it bleeds, without a look at the blood (docs/reference/preparations.md).
"""

import json
from pathlib import Path

from hemoscope.labels import ANY, CLASSES
from hemoscope.scan import BRAIN
from training.datasets.sample import UNKNOWN, Box, Sample, read_table


def load_phe_sich(folder: Path) -> list[Sample]:
    """Samples of the set.

    Raises:
        BadData: if the table is missing.
    """
    samples = []
    for row in read_table(folder / "labels.csv"):
        if row["beside_positive"] == "1":
            continue
        positive = float(row["intraparenchymal"])
        known = {ANY: positive, "intraparenchymal": positive}
        trusted = row["blood_pseudo_mask"] != "" and row["pseudo_suspect"] != "1"
        samples.append(
            Sample(
                source="phe_sich",
                patient=row["patient"],
                image=folder / "images" / row["file"],
                labels=tuple(known.get(name, UNKNOWN) for name in CLASSES),
                window=BRAIN,
                mask=folder / "blood_pseudo_masks" / row["blood_pseudo_mask"] if trusted else None,
                blood_free=positive == 0,
                boxes=tuple(Box(*corners, subtype="intraparenchymal") for corners in json.loads(row["boxes_x0y0x1y1"])),
            )
        )
    return samples
