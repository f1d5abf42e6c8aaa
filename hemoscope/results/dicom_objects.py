"""What the DICOM objects have in common: codes, the private coding scheme, and how they are written.

In: codes, grids and finished objects. Out: highdicom's values, and the bytes of a file.
"""

from collections.abc import Iterable
from io import BytesIO
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset

from hemoscope.results import codes
from hemoscope.results.blood import Blood
from hemoscope.results.provenance import Provenance
from hemoscope.results.sources import Reference, Sources

if TYPE_CHECKING:
    import highdicom
    from highdicom.coding_schemes import CodingSchemeIdentificationItem


def check_grid(sources: Sources, blood: Blood) -> None:
    """Masks that do not lie on the sources' pixels are a mistake of the caller."""
    if blood.labels.shape != sources.shape:
        raise ValueError(f"masks {blood.labels.shape} do not lie on the slices {sources.shape}")


def private_schemes(names: Iterable[str]) -> list["CodingSchemeIdentificationItem"] | None:
    """Whose the private codes among those of the classes are (PS3.3 C.12.1.1.7); None without any."""
    from highdicom.coding_schemes import CodingSchemeIdentificationItem

    if all(codes.BLEEDS[name].scheme != codes.PRIVATE_SCHEME for name in names):
        return None
    return [
        CodingSchemeIdentificationItem(
            designator=codes.PRIVATE_SCHEME, name="Hemoscope", responsible_organization="Hemoscope"
        )
    ]


def refer(item: Dataset, reference: Reference) -> Dataset:
    """Let an item of a sequence refer to an image (PS3.3 10.3); gives the item."""
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID, frames = reference
    if frames is not None:
        item.ReferencedFrameNumber = frames
    return item


def written(made: Dataset, provenance: Provenance) -> bytes:
    """The file of an object, with the time of its provenance in place of the clock's."""
    made.InstanceCreationDate = provenance.made.strftime("%Y%m%d")
    made.InstanceCreationTime = provenance.made.strftime("%H%M%S.%f")
    for item in made.get("ContributingEquipmentSequence", ()):
        item.ContributionDateTime = provenance.made.strftime("%Y%m%d%H%M%S.%f")
    data = BytesIO()
    made.save_as(data, enforce_file_format=True)
    return data.getvalue()


def coded(code: codes.Coded) -> "highdicom.sr.CodedConcept":
    import highdicom

    return highdicom.sr.CodedConcept(code.value, code.scheme, code.meaning)
