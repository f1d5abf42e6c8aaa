"""Compressed pixels come out exactly, or not at all."""

import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEG2000, JPEG2000Lossless, JPEGBaseline8Bit, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from hemoscope.errors import BadScan
from hemoscope.readers import read_bytes
from hemoscope.readers.codestream import examine
from hemoscope.readers.frames import Layout, compressed_frames, samples
from hemoscope.readers.jpeg_lossless import CHUNK_BYTES, decode_jpeg_lossless
from tests.readers.samples import (
    COMPRESSED,
    NATIVE,
    dataset,
    dicom_bytes,
    encapsulated,
    head,
    jpeg_lossless,
    picture_bytes,
)


def stream_file(frames: list[bytes], syntax: str, fragments: int = 1, table: bool = True, **changes: object) -> bytes:
    """A DICOM file around streams that need not be what an encoder would make."""
    return encapsulated(dataset(**changes), encapsulate(frames, fragments_per_frame=fragments, has_bot=table), syntax)


def frame_of(syntax: str, hu: NDArray[np.int16]) -> bytes:
    """The stream that an encoder makes of one frame."""
    return next(generate_frames(dcmread(BytesIO(dicom_bytes(hu, syntax))).PixelData, number_of_frames=1))


@pytest.mark.parametrize("syntax", COMPRESSED)
def test_lossless_syntax_is_read_exactly(syntax: str) -> None:
    scan = read_bytes(dicom_bytes(syntax=syntax))
    np.testing.assert_array_equal(scan.hu[0], head())
    assert scan.notes == ()


@pytest.mark.parametrize("syntax", COMPRESSED)
def test_unsigned_12_bits_are_read_exactly(syntax: str) -> None:
    words = (head() + 1024).astype(np.int16)
    changes = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0, "RescaleIntercept": "-1024"}
    np.testing.assert_array_equal(read_bytes(dicom_bytes(words, syntax, **changes)).hu[0], head())


@pytest.mark.parametrize("syntax", [*NATIVE, *COMPRESSED])
def test_real_slice_is_the_same_in_every_syntax(data_folder: Path, syntax: str) -> None:
    plain = (data_folder / "dicom/ge_head_tilt/14.dcm").read_bytes()
    stored = np.frombuffer(plain[-524288:], "<i2").reshape(512, 512)
    data = dicom_bytes(stored, syntax, PixelPaddingValue=-1500)
    np.testing.assert_array_equal(read_bytes(data).hu, read_bytes(plain).hu)


@pytest.mark.parametrize(
    ("number", "kind"),
    [(4, "rle"), (5, "jpeg-lossless"), (6, "jpeg-lossless"), (7, "jpeg-ls"), (8, "jpeg-ls"), (9, "jpeg-2000")],
)
def test_streams_of_other_encoders_are_read_exactly(data_folder: Path, number: int, kind: str) -> None:
    # One MR image in nine files: refused as a whole, but a good test of the decoders.
    folder = data_folder / "dicom/transfer_syntaxes_mr/In"
    plain, packed = dcmread(folder / "1.dcm"), dcmread(folder / f"{number}.dcm")
    assert examine(next(generate_frames(packed.PixelData, number_of_frames=1))).codec == kind
    (frame,) = compressed_frames(packed.PixelData, Layout(1, 384, 384, 12, 11, False, True))
    np.testing.assert_array_equal(frame.values, np.frombuffer(plain.PixelData, "<u2").reshape(384, 384))


@pytest.mark.parametrize("signed", [False, True])
def test_packed_12_bits_lose_their_junk(data_folder: Path, signed: bool) -> None:
    folder = data_folder / "dicom/packed_12bit_mr/In"
    name = "12bitSigned_0x0F0F.dcm" if signed else "12bitUnsigned_0x0F0F.dcm"
    words = np.frombuffer(dcmread(folder / name).PixelData, "<u2")
    assert np.count_nonzero(words > 0x1FFF) == 128  # with junk in the four bits above
    low = words.astype(int) % 4096
    expected = np.where(low >= 2048, low - 4096, low) if signed else low
    np.testing.assert_array_equal(samples(words, 12, 11, signed), expected)


def test_irreversible_jpeg_2000_is_lossy() -> None:
    hu = head()
    stream = bytearray(frame_of(JPEG2000Lossless, hu))
    # The last byte of the COD marker segment names the wavelet: 1 is the reversible 5-3, 0 the irreversible 9-7.
    cod = stream.index(b"\xff\x52")
    assert stream[cod + 13] == 1
    stream[cod + 13] = 0
    assert examine(bytes(stream)).lossy


def test_near_lossless_jpeg_ls_is_lossy() -> None:
    stream = bytearray(frame_of(JPEGLSLossless, head()))
    scan = stream.index(b"\xff\xda")
    assert not examine(bytes(stream)).lossy
    stream[scan + 7] = 2  # NEAR, after the length, one component and its table
    assert examine(bytes(stream)).lossy


def test_several_frames_are_several_slices() -> None:
    frames = [head(), (head() + 3).astype(np.int16)]
    for syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
        streams = [frame_of(syntax, frame) for frame in frames]
        scan = read_bytes(stream_file(streams, syntax, NumberOfFrames=2))
        np.testing.assert_array_equal(scan.hu, frames)


@pytest.mark.parametrize("table", [True, False])
def test_fragments_of_one_frame_are_joined(table: bool) -> None:
    scan = read_bytes(stream_file([frame_of(JPEGLSLossless, head())], JPEGLSLossless, fragments=5, table=table))
    np.testing.assert_array_equal(scan.hu[0], head())


def test_fragments_of_several_frames_need_the_offset_table() -> None:
    frames = [head(), (head() + 3).astype(np.int16)]
    streams = [frame_of(JPEGLSLossless, frame) for frame in frames]
    scan = read_bytes(stream_file(streams, JPEGLSLossless, fragments=3, NumberOfFrames=2))
    np.testing.assert_array_equal(scan.hu, frames)
    with pytest.raises(BadScan, match="6 fragments for 2 frames and no offset table"):
        read_bytes(stream_file(streams, JPEGLSLossless, fragments=3, table=False, NumberOfFrames=2))


def test_stream_is_known_by_its_content() -> None:
    # The header says RLE, the stream is JPEG-LS.
    scan = read_bytes(stream_file([frame_of(JPEGLSLossless, head())], RLELossless))
    np.testing.assert_array_equal(scan.hu[0], head())


def test_jp2_file_header_before_the_stream_is_skipped() -> None:
    stream = b"\x00\x00\x00\x0cjP  \r\n\x87\n" + b"\x00\x00\x00\x08ftyp" + frame_of(JPEG2000Lossless, head())
    np.testing.assert_array_equal(read_bytes(stream_file([stream], JPEG2000)).hu[0], head())


@pytest.mark.parametrize("syntax", COMPRESSED)
@pytest.mark.parametrize("kept", [0.05, 0.5, 0.9])
def test_cut_stream_is_refused_and_never_padded(syntax: str, kept: float) -> None:
    stream = frame_of(syntax, head())
    with pytest.raises(BadScan, match=r"cut off|damaged|no known stream"):
        read_bytes(stream_file([stream[: int(kept * len(stream)) // 2 * 2]], syntax))


@pytest.mark.parametrize("syntax", COMPRESSED)
def test_stream_that_lacks_its_middle_is_refused(syntax: str) -> None:
    stream = frame_of(syntax, head())
    middle = len(stream) // 2
    with pytest.raises(BadScan, match=r"cut off|damaged"):
        read_bytes(stream_file([stream[: middle - 100] + stream[middle + 100 :]], syntax))


@pytest.mark.parametrize("syntax", COMPRESSED)
def test_file_cut_within_its_fragments_is_refused(syntax: str) -> None:
    with pytest.raises(BadScan, match="cut off"):
        read_bytes(dicom_bytes(syntax=syntax)[:-200])


@pytest.mark.parametrize("syntax", COMPRESSED[1:])
def test_stream_of_another_size_is_refused(syntax: str) -> None:
    with pytest.raises(
        BadScan, match=r"pixels are 48 x 40, but Rows \(0028,0010\) and Columns \(0028,0011\) are 40 x 48"
    ):
        read_bytes(stream_file([frame_of(syntax, head())], syntax, Rows=40, Columns=48))


def test_jpeg_2000_with_missing_or_absurd_tiles_is_refused_before_decoding() -> None:
    stream = bytearray(frame_of(JPEG2000Lossless, head()))
    struct.pack_into(">II", stream, 24, 1, 1)  # tiles of one pixel
    with pytest.raises(BadScan, match="1 of the 1920 tiles"):
        read_bytes(stream_file([bytes(stream)], JPEG2000Lossless))
    struct.pack_into(">II", stream, 8, 60000, 60000)
    with pytest.raises(BadScan, match="3600000000 tiles, at most 4096"):
        read_bytes(stream_file([bytes(stream)], JPEG2000Lossless))


def test_lossy_jpeg_is_refused() -> None:
    stream = picture_bytes(Image.fromarray(head().astype(np.uint8)), "JPEG")
    with pytest.raises(BadScan, match="compressed with lossy JPEG, which is not read"):
        read_bytes(stream_file([stream], JPEGBaseline8Bit))


def test_colour_stream_is_refused() -> None:
    stream = picture_bytes(Image.new("RGB", (40, 48)), "JPEG")
    with pytest.raises(BadScan, match=r"has 3 components, a CT slice has 1"):
        read_bytes(stream_file([stream], JPEGBaseline8Bit))


def test_rle_of_another_number_of_bytes_is_refused() -> None:
    with pytest.raises(BadScan, match="1 segments, 16-bit grey pixels have 2"):
        read_bytes(stream_file([struct.pack("<16I", 1, 64, *[0] * 14) + b"\x00" * 64], RLELossless))


def test_rle_runs_are_unpacked() -> None:
    # High bytes: 1920 times 0xFC. Low bytes: 100 of 0x18 as one run, then 14 literal runs of 128 and one of 28.
    high = b"\x81\xfc" * 15  # 15 runs of 128
    literal = bytes(n % 251 for n in range(1820))
    low = bytes([257 - 100, 0x18]) + b"\x80"  # -128 means nothing
    for start in range(0, 1820, 128):
        low += bytes([len(literal[start : start + 128]) - 1]) + literal[start : start + 128]
    stream = struct.pack("<16I", 2, 64, 64 + len(high), *[0] * 13) + high + low
    hu = read_bytes(stream_file([stream], RLELossless)).hu.ravel()
    assert np.all(hu[:100] == -1000)  # 0xFC18
    np.testing.assert_array_equal(hu[100:], np.array([0xFC00 - 0x10000 + byte for byte in literal]))


@pytest.mark.parametrize("predictor", range(1, 8))
def test_jpeg_lossless_reads_every_predictor(predictor: int) -> None:
    hu = head(20, 24)
    hu[5, 5], hu[5, 6] = 3000, -1000
    stream = jpeg_lossless(hu.view(np.uint16), predictor=predictor)
    scan = read_bytes(stream_file([stream], JPEGLosslessSV1, Rows=20, Columns=24))
    np.testing.assert_array_equal(scan.hu[0], hu)


def test_jpeg_lossless_reads_restarts() -> None:
    stream = jpeg_lossless(head().view(np.uint16), restart_rows=7)
    assert stream.count(b"\xff\xd0") == 1 and stream.count(b"\xff\xd5") == 1  # 7 parts, 6 restarts
    scan = read_bytes(stream_file([stream], JPEGLosslessSV1))
    np.testing.assert_array_equal(scan.hu[0], head())


def test_jpeg_lossless_reads_the_largest_difference() -> None:
    # 32768 has a category of its own, 16, without further bits.
    words = np.zeros((16, 16), np.uint16)
    words[3, 4] = 32768
    np.testing.assert_array_equal(decode_jpeg_lossless(jpeg_lossless(words)), words)


def test_jpeg_lossless_crosses_the_chunks_of_its_table() -> None:
    noise = np.random.default_rng(3).integers(0, 65536, (160, 200)).astype(np.uint16)
    stream = jpeg_lossless(noise)
    assert len(stream) > 2 * CHUNK_BYTES
    np.testing.assert_array_equal(decode_jpeg_lossless(stream), noise)
