"""Which slices are to be looked at first."""

import pytest

from hemoscope.findings import Finding, Findings, SliceFindings, Timings
from hemoscope.results.study import look_first


def slices(*said: tuple[float, Finding]) -> tuple[SliceFindings, ...]:
    return tuple(SliceFindings({"any": p}, finding, None, None, {}, None, None) for p, finding in said)


@pytest.mark.parametrize("of_the_scan", ["none", "uncertain", "hemorrhage"])
def test_suspicious_slices_are_listed_whatever_the_scan_was_decided(of_the_scan: Finding) -> None:
    each = slices((0.1, "uncertain"), (0.01, "none"), (0.4, "hemorrhage"), (0.2, "uncertain"))
    found = Findings("reader", "1", each, {"any": 0.05}, of_the_scan, None, None, Timings(0, 0, 0), (), "scan")
    assert look_first(found) == [2, 3, 0]


def test_at_most_five_are_listed() -> None:
    each = slices(*((0.1 * number, "uncertain") for number in range(8)))
    assert look_first(Findings("", "", each, {"any": 0.5}, "uncertain", None, None, Timings(0, 0, 0), ())) == [
        7, 6, 5, 4, 3,
    ]  # fmt: skip
