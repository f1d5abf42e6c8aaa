"""The results of a reading that people can take with them, and what each is, in a line.

In: the folder of a reading. Out: `Offer` values, the report first.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hemoscope.results.folder import CAPTURES, MASK, PAGE, REPORT, RESULT, SEGMENTATION
from web.studies.folder import OUT
from web.studies.stored import downloads

WORDS = {
    PAGE: ("Report (PDF)", "One page to print and to file: key slices, volumes, probabilities, limits."),
    SEGMENTATION: ("DICOM SEG", "The mask over the stored slices, for a PACS and for other programs."),
    REPORT: ("DICOM SR", "The measurements as a structured report (TID 1500) with codes."),
    MASK: ("NIfTI mask", "The mask as a volume, for research tools."),
    RESULT: ("JSON", "The reading in numbers, as hemoscope read --json gives it."),
}
CAPTURES_WORDS = ("DICOM pictures", "Every slice with the mask burnt in, for a PACS that shows no SEG (ZIP).")
ALL_WORDS = ("All of these", "One ZIP archive.")


@dataclass(frozen=True)
class Offer:
    """Something to download: what it is called, its address below the study's page, what it is, and how large."""

    name: str
    address: str
    words: str
    size: str


def offers_of(folder: Path) -> tuple[Offer, ...]:
    """What there is to download of a reading; an archive is as large as its files at most."""
    names = downloads(folder)
    captures = [name for name in names if name.startswith(f"{CAPTURES}/")]
    single = [
        Offer(title, f"results/{name}", words, _size(folder, [name]))
        for name, (title, words) in WORDS.items()
        if name in names
    ]
    if captures:
        single.append(Offer(CAPTURES_WORDS[0], "captures.zip", CAPTURES_WORDS[1], _size(folder, captures)))
    return (*single, Offer(ALL_WORDS[0], "results.zip", ALL_WORDS[1], _size(folder, names)))


def _size(folder: Path, names: Iterable[str]) -> str:
    size_bytes = sum((folder / OUT / name).stat().st_size for name in names)
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e5 else f"{max(size_bytes / 1e3, 0.1):.1f} kB"
