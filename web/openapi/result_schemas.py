"""Of the document: the results of a study in full, as `hemoscope.results.study.study_record` makes them.

In: nothing. Out: schemas. docs/reference/command-line.md says what the keys mean.
"""

from hemoscope import labels
from web.openapi.parts import (
    AMOUNT,
    COUNT,
    DECIDED_BY,
    FINDING,
    NUMBER,
    TEXT,
    TEXTS,
    TRUTH,
    Schema,
    areas,
    array,
    obj,
    or_null,
    probabilities,
    ref,
    subtype_areas,
)
from web.openapi.study_schemas import LEFT_OUT

PLACE_PX: Schema = {
    "type": "array",
    "items": NUMBER,
    "minItems": 2,
    "maxItems": 2,
    "description": "Row and column in pixels of the slice as it was read.",
}


def schemas() -> Schema:
    return {
        "Result": obj(
            {
                "study": TEXTS,
                "series": TEXT | {"description": "The key of the one that was read, among `candidates`."},
                "model": TEXT,
                "version": TEXT,
                "probabilities": probabilities(),
                "finding": FINDING,
                **areas(),
                "subtype_areas_px": subtype_areas(),
                "seconds": AMOUNT,
                "notes": TEXTS,
                "decided_by": DECIDED_BY,
                "measurements": ref("Measurements"),
                "look_first": array(COUNT) | {"description": "Places in `slices`, from 0, the likeliest blood first."},
                "geometry": or_null(_geometry()) | {"description": "null: the positions are not known."},
                "slices": array(_slice()),
                "candidates": array(_candidate()),
                "left_out": array(LEFT_OUT),
            }
        ),
        "Measurements": _measurements(),
        "Volume": obj({"ml": AMOUNT, "uncertainty_ml": AMOUNT}),
        "Lesion": _lesion(),
    }


def _geometry() -> Schema:
    return obj(
        {
            "slices": COUNT,
            "gaps_mm": array(NUMBER),
            "steps_mm": array(NUMBER),
            "tilt_degrees": NUMBER,
            "missing": array(obj({"after": COUNT, "count": COUNT})),
            "overlaps": {"type": ["boolean", "integer"]},
        }
    )


def _slice() -> Schema:
    return obj(
        {
            "z_mm": or_null(NUMBER),
            "stored": array(COUNT) | {"description": "The stored slices behind it, from 0."},
            "probabilities": probabilities(),
            "finding": FINDING,
            **areas(),
        }
    )


def _candidate() -> Schema:
    return obj(
        {
            "key": TEXT,
            "study_uid": TEXT,
            "series_uid": TEXT,
            "description": TEXT,
            "slices": COUNT,
            "readable": TRUTH,
            "chosen": TRUTH,
            "reason": TEXT,
            "left_out": array(LEFT_OUT),
        }
    )


def _measurements() -> Schema:
    return obj(
        {
            "total": or_null(ref("Volume")),
            "by_subtype": or_null(obj({}, dict.fromkeys(labels.SUBTYPES, ref("Volume")))),
            "lesions": array(ref("Lesion")),
            "smaller_pieces": COUNT,
            "midline": or_null(_midline()),
            "volume_unknown": TEXT | {"description": "Why, where `total` is null."},
            "midline_unknown": TEXT | {"description": "Why, where `midline` is null."},
            "notes": TEXTS,
        }
    )


def _lesion() -> Schema:
    return obj(
        {
            "volume": ref("Volume"),
            "slices": array(COUNT) | {"description": "From and to, both included."},
            "largest_slice": COUNT,
            "largest_area_mm2": AMOUNT,
            "diameters_mm": array(AMOUNT),
            "abc2_ml": AMOUNT,
            "depth_mm": or_null(NUMBER),
            "table_distance_mm": or_null(AMOUNT),
            "mean_hu": or_null(NUMBER),
            "subtype": or_null(TEXT),
            "reaches_end": TRUTH,
        }
    )


def _midline() -> Schema:
    return obj(
        {
            "shift_mm": AMOUNT,
            "uncertainty_mm": AMOUNT,
            "towards_column": {"enum": [-1, 0, 1]},
            "slice": COUNT,
            "ideal_px": array(PLACE_PX),
            "midline_px": array(PLACE_PX),
            "farthest_px": PLACE_PX,
        }
    )
