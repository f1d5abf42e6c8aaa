"""Which DICOM files are no CT slices: each is refused with the tag that says so.

In: a parsed `Header`. Out: nothing, or `BadScan` with the sentence.
"""

from pydicom.uid import UID

from hemoscope.errors import BadScan
from hemoscope.readers.elements import Header

CT_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.2",  # CT Image Storage
    "1.2.840.10008.5.1.4.1.1.2.1",  # Enhanced CT Image Storage
    "1.2.840.10008.5.1.4.1.1.2.2",  # Legacy Converted Enhanced CT Image Storage
)
_DIRECTORY_CLASS = "1.2.840.10008.1.3.10"

# Image Type (0008,0008), values 3 and later: PS3.3 C.8.2.1.1.1 and C.8.16.1, and what vendors write.
_LOCALIZERS = ("LOCALIZER", "SCOUT", "TOPOGRAM", "SURVIEW", "REF_SURVIEW")
_CAPTURES = ("SCREEN SAVE", "SCREEN_SAVE", "SCREENSAVE", "DOSE_INFO", "DOSE INFO", "REPORT", "RESULTS", "PRESENTATION")
_MAPS = (
    *("PERFUSION", "RCBF", "RCBV", "CBF", "CBV", "MTT", "TMAX", "TTP", "PERMEABILITY", "SUBTRACTION"),
    *("MATERIAL", "EFF_ATOMIC_NUM", "ELECTRON_DENSITY", "IODINE", "MIP", "MINIP", "MAX_IP", "MIN_IP"),
    *("VOLUME RENDER", "VOLUME_RENDER", "SURFACE RENDER", "3D RENDERING"),
)
_HOUNSFIELD = ("", "HU", "US", "HU_MOD")  # US is "unspecified": in CT these are HU in all files seen


def refuse_other_objects(header: Header) -> None:
    """Refuse everything that is not a grey CT slice with pixels and a rescale.

    Raises:
        BadScan: names the tag and what it holds.
    """
    _refuse_by_class(header)
    _refuse_by_image_type(header)
    _refuse_by_pixel_description(header)


def _refuse_by_class(header: Header) -> None:
    sop_class = header.text("SOPClassUID") or header.media_class
    if header.has("DirectoryRecordSequence") or sop_class == _DIRECTORY_CLASS:
        raise BadScan("This is a DICOMDIR, a list of files without pixels: choose the image files themselves.")
    modality = header.text("Modality").upper()
    if modality and modality != "CT":
        raise BadScan(f"Modality (0008,0060) is {modality}: only CT is read.")
    if sop_class and sop_class not in CT_CLASSES:
        raise BadScan(f"SOP Class UID (0008,0016) is {_class_name(sop_class)}: only CT Image Storage is read.")
    if not modality and not sop_class:
        raise BadScan("Modality (0008,0060) is missing, and no SOP Class UID (0008,0016) says that this is CT.")
    if header.has("FloatPixelData") or header.has("DoubleFloatPixelData"):
        raise BadScan("The pixels are floating point (7FE0,0008) or (7FE0,0009): only Pixel Data (7FE0,0010) is read.")
    if not header.has("PixelData"):
        raise BadScan("There is no Pixel Data (7FE0,0010): the file holds no image, or it is cut off before it.")


def _class_name(sop_class: str) -> str:
    name = UID(sop_class).name
    return name if name != sop_class else "not a known class"  # an unknown UID may be private to a patient


def _refuse_by_image_type(header: Header) -> None:
    frames = header.integer("NumberOfFrames") or 1
    kinds = dict.fromkeys(header.words("ImageType"), "Image Type (0008,0008)")
    for index in range(min(frames, 4096)) if header.has("SharedFunctionalGroupsSequence") else ():
        for word in header.frame_words(index, "CTImageFrameTypeSequence", "FrameType"):
            kinds.setdefault(word, f"Frame Type (0008,9007) of frame {index + 1}")
    for words, explanation in (
        (_LOCALIZERS, "a localizer, not a slice"),
        (_CAPTURES, "a secondary capture of a screen or a report, not a slice"),
        (_MAPS, "a map or a projection made from slices, not a slice in Hounsfield units"),
    ):
        for word in words:
            if word in kinds:
                raise BadScan(f"{kinds[word]} holds {word}: this is {explanation}.")


def _refuse_by_pixel_description(header: Header) -> None:
    samples, photometric = header.integer("SamplesPerPixel"), header.text("PhotometricInterpretation").upper()
    if photometric and photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise BadScan(f"Photometric Interpretation (0028,0004) is {photometric}: a CT slice is MONOCHROME2.")
    if samples not in (None, 1):
        raise BadScan(f"Samples per Pixel (0028,0002) is {samples}: a CT slice has 1.")
    allocated, stored = header.integer("BitsAllocated"), header.integer("BitsStored")
    if allocated != 16:
        raise BadScan(f"Bits Allocated (0028,0100) is {_said(allocated)}: a CT slice has 16, a screen copy 8.")
    if stored is None or not 8 < stored <= 16:
        raise BadScan(f"Bits Stored (0028,0101) is {_said(stored)}: a CT slice has 12 to 16, a screen copy 8.")
    if header.integer("PixelRepresentation") not in (0, 1):
        raise BadScan("Pixel Representation (0028,0103) must be 0 (unsigned) or 1 (signed), and is not.")
    high = header.integer("HighBit")
    if high is not None and not stored - 1 <= high <= 15:
        raise BadScan(f"High Bit (0028,0102) is {high}, which does not fit Bits Stored (0028,0101) {stored}.")
    unit = header.text("RescaleType").upper() or "".join(
        header.frame_words(0, "PixelValueTransformationSequence", "RescaleType")
    )
    if unit not in _HOUNSFIELD and not unit.startswith("HOUNS"):
        raise BadScan(f"Rescale Type (0028,1054) is {unit[:16]}: the pixels are not in Hounsfield units.")


def _said(value: int | None) -> str:
    return "missing" if value is None else str(value)
