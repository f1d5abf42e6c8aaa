"""How the history's pages write facts of a study: dates, volumes, findings, names.

In: values of `web.history`. Out: text.
"""

from datetime import date, datetime, time

FINDINGS = {
    "hemorrhage": "Hemorrhage",
    "uncertain": "Uncertain",
    "none": "None found",
    "not_read": "Not read",
}
CHANGES = {"first": "First", "new": "New", "grown": "Grown", "not_grown": "Not grown", "unknown": "Unknown"}


def volume(volume_ml: float | None, uncertainty_ml: float | None = None) -> str:
    """A volume with what it may be off by: `12.3 ± 1.4 ml`."""
    if volume_ml is None:
        return "not known"
    off_by = "" if uncertainty_ml is None else f" ± {uncertainty_ml:.1f}"
    return f"{volume_ml:.1f}{off_by} ml".replace(" ", "\N{NO-BREAK SPACE}")


def stated_moment(day: date | None, clock: time | None) -> str:
    """A study's own date and time, on the scanner's clock."""
    if day is None:
        return "no date"
    return day.isoformat() if clock is None else f"{day.isoformat()} {clock:%H:%M}"


def moment(value: datetime) -> str:
    """A moment in UTC, to the minute; the page says that it is UTC."""
    return f"{value:%Y-%m-%d %H:%M}"


def person(name: str) -> str:
    """A patient's name without DICOM's signs (PS3.5 6.2.1, PN: groups by `=`, parts by `^`), the family name first."""
    return " ".join(name.split("=")[0].replace("^", " ").split())
