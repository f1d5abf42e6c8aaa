"""Measurements as plain values for JSON, and in lines for people.

In: `Measurements`. Out: a dict whose keys are a contract (docs/reference/command-line.md), and sentences. Slices are
counted from 0 in the dict and named by the caller in sentences; numbers are rounded to what they can bear.
"""

from collections.abc import Callable

from hemoscope.measuring.values import Lesion, Measurements, MidlineShift, Volume


def measurements_record(measured: Measurements) -> dict[str, object]:
    """What was measured, as JSON holds it; what is not known is null, and a sentence says why."""
    by_subtype = measured.by_subtype
    return {
        "total": _volume(measured.total),
        "by_subtype": None if by_subtype is None else {name: _volume(one) for name, one in by_subtype.items()},
        "lesions": [_lesion(one) for one in measured.lesions],
        "smaller_pieces": measured.smaller_pieces,
        "midline": None if measured.midline is None else _midline(measured.midline),
        "volume_unknown": measured.volume_unknown,
        "midline_unknown": measured.midline_unknown,
        "notes": list(measured.notes),
    }


def measurement_lines(measured: Measurements, named: Callable[[int], str]) -> list[str]:
    """What was measured, a line each.

    Args:
        measured: the measurements.
        named: what a slice of the scan is called.
    """
    if measured.total is None:
        lines = [f"Volume not known: {measured.volume_unknown}"]
    elif measured.total.ml == 0:
        lines = []
    else:
        lines = [f"Blood: {_said(measured.total)}"]
        lines += [f"  {_lesion_line(one, named)}" for one in measured.lesions]
        if measured.smaller_pieces:
            lines.append(f"  and {measured.smaller_pieces} smaller, which count in the total")
    if measured.midline is not None:
        one = measured.midline
        lines.append(f"Midline shift: {one.shift_mm:.1f} ± {one.uncertainty_mm:.1f} mm, {named(one.slice)}")
    else:
        lines.append(f"Midline shift not known: {measured.midline_unknown}")
    return [*lines, *measured.notes]


def _lesion_line(one: Lesion, named: Callable[[int], str]) -> str:
    subtype = f"{one.subtype} " if one.subtype else ""
    across = f"{one.diameters.largest_mm:.0f} x {one.diameters.across_mm:.0f} mm"
    return f"{subtype}{_said(one.volume)} (ABC/2 {one.abc2_ml:.1f}), {across}, largest in {named(one.largest_slice)}"


def _said(volume: Volume) -> str:
    digits = 1 if volume.ml >= 1 else 2
    return f"{volume.ml:.{digits}f} ± {volume.uncertainty_ml:.{digits}f} ml"


def _volume(volume: Volume | None) -> dict[str, float] | None:
    return None if volume is None else {"ml": round(volume.ml, 3), "uncertainty_ml": round(volume.uncertainty_ml, 3)}


def _lesion(one: Lesion) -> dict[str, object]:
    return {
        "volume": _volume(one.volume),
        "slices": [one.first_slice, one.last_slice],
        "largest_slice": one.largest_slice,
        "largest_area_mm2": round(one.largest_area_mm2, 2),
        "diameters_mm": [round(one.diameters.largest_mm, 2), round(one.diameters.across_mm, 2)],
        "abc2_ml": round(one.abc2_ml, 3),
        "depth_mm": _rounded(one.depth_mm),
        "table_distance_mm": _rounded(one.table_distance_mm),
        "mean_hu": _rounded(one.mean_hu),
        "subtype": one.subtype,
        "reaches_end": one.reaches_end,
    }


def _midline(one: MidlineShift) -> dict[str, object]:
    return {
        "shift_mm": round(one.shift_mm, 2),
        "uncertainty_mm": round(one.uncertainty_mm, 2),
        "towards_column": one.towards_column,
        "slice": one.slice,
        "ideal_px": [_place(place) for place in one.ideal_px],
        "midline_px": [_place(place) for place in one.midline_px],
        "farthest_px": _place(one.farthest_px),
    }


def _place(place: tuple[float, float]) -> list[float]:
    return [round(place[0], 1), round(place[1], 1)]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
