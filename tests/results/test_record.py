import json

import numpy as np

from hemoscope.findings import Findings, Timings
from hemoscope.results.record import failure, record


def findings(area_mm2=120.456, subtypes=0.25):
    probabilities = dict.fromkeys(
        ("subdural", "subarachnoid", "intraventricular", "intraparenchymal", "epidural"), subtypes
    )
    return Findings(
        model="reader",
        version="1.0.0",
        slices=(),
        probabilities={**probabilities, "any": np.float32(1 / 3)},
        finding="uncertain",
        area_px=np.int64(501),
        area_mm2=area_mm2,
        timings=Timings(preprocess=0.001, network=0.02, postprocess=0.00301),
        notes=("A note.",),
    )


def test_record_is_the_stable_object():
    expected = {
        "path": "scans/one.dcm",
        "model": "reader",
        "version": "1.0.0",
        "probabilities": {
            "any": 0.333333,
            "epidural": 0.25,
            "intraparenchymal": 0.25,
            "intraventricular": 0.25,
            "subarachnoid": 0.25,
            "subdural": 0.25,
        },
        "finding": "uncertain",
        "area_px": 501,
        "area_mm2": 120.46,
        "subtype_areas_px": None,
        "seconds": 0.024,
        "notes": ["A note."],
        "decided_by": "slice",
    }
    made = record("scans/one.dcm", findings())
    assert made == expected
    assert list(made) == list(expected)
    assert list(made["probabilities"]) == list(expected["probabilities"])


def test_record_survives_json():
    made = record("a.png", findings())
    assert json.loads(json.dumps(made, allow_nan=False)) == made


def test_what_is_not_known_is_null():
    made = json.loads(json.dumps(record("a.png", findings(area_mm2=None, subtypes=None))))
    assert made["area_mm2"] is None
    assert made["probabilities"]["epidural"] is None
    assert made["probabilities"]["any"] == 0.333333


def test_a_class_the_model_does_not_list_is_null():
    only_any = Findings("unet", "1", (), {"any": 0.5}, "none", 0, 0.0, Timings(0, 0, 0), ())
    assert record("a", only_any)["probabilities"]["subdural"] is None


def test_failure_has_path_and_error_only():
    assert failure("b.dcm", "Not a CT.") == {"path": "b.dcm", "error": "Not a CT."}


def test_the_area_of_a_model_without_a_mask_is_null_and_not_0():
    bare = Findings("vgg16", "1", (), {"any": 0.5}, "uncertain", None, None, Timings(0, 0, 0), ())
    made = json.loads(json.dumps(record("a", bare)))
    assert (made["area_px"], made["area_mm2"]) == (None, None)
