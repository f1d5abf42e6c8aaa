"""The codes of what is said in DICOM objects.

In: nothing. Out: constants, as value, coding scheme and meaning. SCT is SNOMED CT, DCM is DICOM's own (PS3.16 annex
D), UCUM that of units.

All but those of the kinds of bleed and the private ones stand in PS3.16, in the context groups (CID) that are named. Of
the kinds it lists none: three have the code of SNOMED CT; two have private ones, as no release of SNOMED CT was at hand
and free sources contradict each other (one gives 82999001 for epidural).
"""

from typing import NamedTuple


class Coded(NamedTuple):
    """A code, as PS3.3 8.8 stores it."""

    value: str
    scheme: str
    meaning: str


PRIVATE_SCHEME = "99HEMOSCOPE"

ABNORMAL_STRUCTURE = Coded("49755003", "SCT", "Morphologically Abnormal Structure")  # CID 7150
HEMORRHAGE = Coded("50960005", "SCT", "Hemorrhage")  # CID 7159
INTRACRANIAL_HEMORRHAGE = Coded("1386000", "SCT", "Intracranial hemorrhage")
CT_OF_HEAD = Coded("303653007", "SCT", "Computed tomography of head")
MEASUREMENT_REPORT = Coded("126000", "DCM", "Imaging Measurement Report")  # CID 7021
IMAGE_LIBRARY = Coded("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP = Coded("126200", "DCM", "Image Library Group")
SOURCE = Coded("260753009", "SCT", "Source")
MODALITY = Coded("121139", "DCM", "Modality")
CT = Coded("CT", "DCM", "Computed Tomography")  # CID 29
ARTIFICIAL_INTELLIGENCE = Coded("123110", "DCM", "Artificial Intelligence")  # CID 7162
DEVICE = Coded("121007", "DCM", "Device")  # CID 270
COMMENT = Coded("121106", "DCM", "Comment")
CERTAINTY = Coded("111012", "DCM", "Certainty of Finding")  # CID 6048
VOLUME = Coded("118565006", "SCT", "Volume")  # CID 7469
AREA = Coded("42798000", "SCT", "Area")  # CID 7469
SUM_OF_VOXELS = Coded("126030", "DCM", "Sum of segmented voxel method for volume")  # CID 7474
# PS3.16's method by three axes (126029) multiplies with pi/6, not with a half.
ABC2 = Coded("abc2", PRIVATE_SCHEME, "ABC/2: half of length by width by height")
LONG_AXIS = Coded("103339001", "SCT", "Long axis")  # CID 7470, as the next
PERPENDICULAR_AXIS = Coded("131189007", "SCT", "Perpendicular Axis")
DEPTH = Coded("131197000", "SCT", "Depth")  # CID 7470
BELOW_FIRST_SLICE = Coded("below_uppermost", PRIVATE_SCHEME, "Below the uppermost slice, along the normal")
MIDLINE_SHIFT = Coded("midline_shift", PRIVATE_SCHEME, "Midline shift of the brain")
MIDDLE_OF_SKULL = Coded("middle_of_skull", PRIVATE_SCHEME, "Middle line of the skull")
MIDDLE_OF_BRAIN = Coded("middle_of_brain", PRIVATE_SCHEME, "Middle line of the brain")
BRAIN = Coded("12738006", "SCT", "Brain")  # CID 7151
PERCENT = Coded("%", "UCUM", "Percent")
MILLILITRE = Coded("ml", "UCUM", "milliliter")
MILLIMETRE = Coded("mm", "UCUM", "mm")  # CID 7460
SQUARE_MILLIMETRE = Coded("mm2", "UCUM", "square millimeter")  # CID 7461

PRESENCE = {
    "hemorrhage": Coded("52101004", "SCT", "Present"),  # CID 240
    "none": Coded("272519000", "SCT", "Absent"),  # CID 240
    "uncertain": Coded("82334004", "SCT", "Indeterminate"),  # CID 4220
}

# Where each kind of blood lies. The epidural and the subdural space are in no context group of PS3.16.
SITES = {
    "any": Coded("1101003", "SCT", "Intracranial"),  # CID 7151, as the others
    "epidural": Coded("1101003", "SCT", "Intracranial"),
    "intraparenchymal": BRAIN,
    "intraventricular": Coded("35764002", "SCT", "Brain ventricle"),
    "subarachnoid": Coded("35951006", "SCT", "Subarachnoid space"),
    "subdural": Coded("1101003", "SCT", "Intracranial"),
}

BLEEDS = {
    "any": INTRACRANIAL_HEMORRHAGE,
    "epidural": Coded("epidural", PRIVATE_SCHEME, "Epidural hemorrhage"),
    "intraparenchymal": Coded("274100004", "SCT", "Cerebral hemorrhage"),
    "intraventricular": Coded("intraventricular", PRIVATE_SCHEME, "Intraventricular hemorrhage"),
    "subarachnoid": Coded("21454007", "SCT", "Subarachnoid intracranial hemorrhage"),
    "subdural": Coded("35486000", "SCT", "Subdural intracranial hemorrhage"),
}
