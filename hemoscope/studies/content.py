"""What a DICOM object or a series shows, said so that a radiographer understands it.

In: a parsed `Header`, a kernel's name. Out: a refusal in words, or how sharp the kernel is.
"""

import re
from typing import Literal

from hemoscope.errors import BadScan
from hemoscope.readers.elements import Header
from hemoscope.readers.refusals import CT_CLASSES

_CLASSES = (
    ("1.2.840.10008.1.3.10.", "A DICOMDIR, the index of a disc: the files are looked at themselves."),
    ("1.2.840.10008.5.1.4.1.1.88.67.", "A dose report: it holds numbers, no images."),
    ("1.2.840.10008.5.1.4.1.1.88.", "A structured report: it holds text, no images."),
    ("1.2.840.10008.5.1.4.1.1.7.", "A secondary capture: a copy of a screen, not slices in Hounsfield units."),
    ("1.2.840.10008.5.1.4.1.1.66.", "A segmentation: drawn regions, not the slices themselves."),
    ("1.2.840.10008.5.1.4.1.1.11.", "A presentation state: how to show images, not the images themselves."),
    ("1.2.840.10008.5.1.4.1.1.104.", "A document: it holds no slices."),
    ("1.2.840.10008.5.1.4.1.1.481.", "An object of radiotherapy planning, not CT slices."),
)
_LOCALIZERS = ("LOCALIZER", "SCOUT", "TOPOGRAM", "SURVIEW", "REF_SURVIEW")

Sharpness = Literal["soft", "sharp", "unknown"]

# Kernels as vendors write them: (pattern of the whole name, whether it is made for bone, lung or the inner ear).
_KERNELS = (
    (r"(BONE|EDGE|LUNG|DETAIL|ULTRA|HD).*", "sharp"),  # GE; Hitachi's are words too
    (r"(STD|STAND|SOFT|BRAIN|HEAD|SMOOTH|ASTD).*", "soft"),  # GE, Neusoft and others
    (r"FC(0\d|1\d|2[0-8]|4[0-4]|6[0-8])", "soft"),  # Canon, Toshiba: body and head, soft to medium
    (r"FC(3\d|5\d|8\d)", "sharp"),  # bone, lung, high resolution
    (r"[UEBA]?[AB]", "soft"),  # Philips: A, B, UA, UB, EA, EB
    (r"(UC|C)", "soft"),  # Philips: the brain's sharpest
    (r"([DEFLY]|Y[A-E]|U?D|EC|E[DE])", "sharp"),  # Philips: detail, bone, lung
)
_CONTRAST = re.compile(
    r"\b(CTA|CTV|CTP|ANGIO\w*|VENOGRA\w*|PERFUSION|ARTERIAL|VENOUS|POST[ -]?(CONTRAST|KM|GAD)|(?<!NO )KM)\b"
    r"|(?<!\w)C\+|\+C(?!\w)"
)
_SIEMENS = re.compile(r"(?:[BHJIVTUQ][A-Z]?|[A-Z]R)(\d\d)[A-Z]*")
_SIEMENS_SHARP = 55  # H60s, Hr64, J70h, B70s are for bone; H31s, J40s, Hr40, Hc44 for the brain


def refuse_foreign_object(header: Header) -> None:
    """Refuse what is no CT image at all, before its pixels are looked at.

    Raises:
        BadScan: says what it is.
    """
    sop_class = header.text("SOPClassUID") or header.media_class
    if header.has("DirectoryRecordSequence"):
        raise BadScan(_CLASSES[0][1])
    if sop_class not in CT_CLASSES:
        for root, sentence in _CLASSES:
            if f"{sop_class}.".startswith(root):
                raise BadScan(sentence)
    modality = header.text("Modality").upper()
    if modality and modality != "CT":
        raise BadScan(f"Images of another kind (Modality (0008,0060) is {modality}): only CT is read.")
    if any(word in _LOCALIZERS for word in header.words("ImageType")):
        raise BadScan("A localizer: an overview picture for planning the scan, not slices.")


def names_contrast(description: str) -> bool:
    """Whether a series description names contrast medium or what is done with it: CTA, angiography, perfusion, C+.

    Agents are often missing in headers, and always in carelessly anonymised ones.
    """
    return bool(_CONTRAST.search(description.upper()))


def sharpness(kernel: str) -> Sharpness:
    """How sharp a convolution kernel is, by the names that vendors use.

    Args:
        kernel: Convolution Kernel (0018,1210), in capitals.

    Returns:
        `sharp` for bone, lung and inner ear: noise hides faint blood there; `soft` for brain and body; `unknown` for
        names that are not in the list.
    """
    name = kernel.strip().upper()
    siemens = _SIEMENS.fullmatch(name)
    if siemens:
        return "sharp" if int(siemens[1]) >= _SIEMENS_SHARP else "soft"
    for pattern, kind in _KERNELS:
        if re.fullmatch(pattern, name):
            return "sharp" if kind == "sharp" else "soft"
    return "unknown"
