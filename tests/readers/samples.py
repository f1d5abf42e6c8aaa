"""Small synthetic files that the reader tests share: a DICOM slice in any syntax, and pictures."""

import struct
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, FileDataset, FileMetaDataset, dcmwrite
from pydicom.encaps import encapsulate
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

NATIVE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
COMPRESSED = (RLELossless, JPEGLSLossless, JPEG2000Lossless, JPEGLosslessSV1)


def head(rows: int = 48, columns: int = 40) -> NDArray[np.int16]:
    """Hounsfield units of a disc of brain within a ring of bone in air, with a fixed ripple: int16 (rows, columns)."""
    row, column = np.mgrid[:rows, :columns]
    radius = np.hypot((row - rows / 2) / rows, (column - columns / 2) / columns)
    hu = np.where(radius < 0.35, 32, np.where(radius < 0.42, 1100, -1000))
    return (hu + (row * 7 + column * 3) % 11 - 5).astype(np.int16)


def dataset(hu: NDArray[np.int16] | None = None, **changes: Any) -> Dataset:
    """A valid CT slice with signed pixels, slope 1 and intercept 0; `changes` set keywords, None deletes them."""
    hu = head() if hu is None else hu
    slice_ = Dataset()
    slice_.SOPClassUID, slice_.SOPInstanceUID = CTImageStorage, "1.2.3.4"
    slice_.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    slice_.Modality, slice_.PatientID, slice_.PatientName = "CT", "P-17", "Doe^Jane"
    slice_.StudyInstanceUID, slice_.SeriesInstanceUID = "1.2.3", "1.2.3.1"
    slice_.Rows, slice_.Columns = hu.shape[-2:]
    slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
    slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit, slice_.PixelRepresentation = 16, 16, 15, 1
    slice_.RescaleSlope, slice_.RescaleIntercept = "1", "0"
    slice_.PixelSpacing, slice_.SliceThickness = [0.5, 0.25], "5"
    slice_.ImagePositionPatient, slice_.ImageOrientationPatient = [-120, -110.5, 42], [1, 0, 0, 0, 1, 0]
    slice_.PixelData = hu.astype("<i2").tobytes()
    slice_["PixelData"].VR = "OW"
    for keyword, value in changes.items():
        if value is None:
            delattr(slice_, keyword)
        else:
            setattr(slice_, keyword, value)
    return slice_


def encode(slice_: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """A DICOM file (PS3.10) of a dataset whose Pixel Data is uncompressed little endian."""
    if syntax == JPEGLosslessSV1:  # pydicom has no encoder for it
        words = np.frombuffer(slice_.PixelData, "<u2").reshape(slice_.Rows, slice_.Columns)
        return encapsulated(slice_, encapsulate([jpeg_lossless(words, slice_.BitsStored)]), syntax)
    file = _with_meta(slice_, ExplicitVRLittleEndian if syntax in COMPRESSED else syntax)
    if syntax in COMPRESSED:
        file.compress(syntax, generate_instance_uid=False)
    elif syntax == ExplicitVRBigEndian:
        file["PixelData"].value = np.frombuffer(slice_.PixelData, "<u2").astype(">u2").tobytes()
    return written(file)


def encapsulated(slice_: Dataset, pixel_data: bytes, syntax: str) -> bytes:
    """A DICOM file around encapsulated Pixel Data (PS3.5 annex A.4) that was made elsewhere."""
    file = _with_meta(slice_, syntax)
    file.PixelData = pixel_data
    file["PixelData"].VR, file["PixelData"].is_undefined_length = "OB", True
    return written(file)


def _with_meta(slice_: Dataset, syntax: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, "1.2.3.4"
    meta.TransferSyntaxUID = syntax
    return FileDataset("", slice_, file_meta=meta, preamble=bytes(128))


def written(file: Dataset) -> bytes:
    buffer = BytesIO()
    dcmwrite(buffer, file, enforce_file_format=True)
    return buffer.getvalue()


def dicom_bytes(hu: NDArray[np.int16] | None = None, syntax: str = ExplicitVRLittleEndian, **changes: Any) -> bytes:
    return encode(dataset(hu, **changes), syntax)


def picture_bytes(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def grey_picture(rows: int = 40, columns: int = 48) -> Image.Image:
    """8-bit grey values that rise along rows and columns: value = 2 * row + 3 * column, below 256."""
    row, column = np.mgrid[:rows, :columns]
    return Image.fromarray((2 * row + 3 * column).astype(np.uint8))


def jpeg_lossless(samples: NDArray[np.uint16], precision: int = 16, predictor: int = 1, restart_rows: int = 0) -> bytes:
    """Encode a frame as ITU-T T.81 annex H says, one pixel at a time; all 17 categories have codes of 5 bits."""
    rows, columns = samples.shape
    table = b"\x00" + bytes([0, 0, 0, 0, 17] + [0] * 11) + bytes(range(17))
    header = b"\xff\xd8" + _segment(0xC3, struct.pack(">BHHB", precision, rows, columns, 1) + b"\x01\x11\x00")
    header += _segment(0xC4, table)
    if restart_rows:
        header += _segment(0xDD, struct.pack(">H", restart_rows * columns))
    header += _segment(0xDA, b"\x01\x01\x00" + bytes([predictor, 0, 0]))
    each = restart_rows or rows
    parts = [_coded(samples[row : row + each].astype(int), precision, predictor) for row in range(0, rows, each)]
    body = b"".join(part + bytes([0xFF, 0xD0 + index % 8]) for index, part in enumerate(parts))
    return header + body[:-2] + b"\xff\xd9"


def _segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def _coded(samples: NDArray[np.int_], precision: int, predictor: int) -> bytes:
    bits = ""
    for row, column in np.ndindex(samples.shape):
        left = samples[row, column - 1] if column else 0
        above = samples[row - 1, column] if row else 0
        corner = samples[row - 1, column - 1] if row and column else 0
        if row == 0:
            guess = left if column else 1 << (precision - 1)
        elif column == 0:
            guess = above
        else:
            guess = {
                1: left,
                2: above,
                3: corner,
                4: left + above - corner,
                5: left + ((above - corner) >> 1),
                6: above + ((left - corner) >> 1),
                7: (left + above) >> 1,
            }[predictor]
        difference = (int(samples[row, column]) - int(guess)) & 0xFFFF
        difference -= 0x10000 if difference > 0x8000 else 0
        category = abs(difference).bit_length()
        bits += f"{category:05b}"
        if 0 < category < 16:
            bits += f"{difference if difference > 0 else difference + (1 << category) - 1:0{category}b}"
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
