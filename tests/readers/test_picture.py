"""Pictures become uncalibrated scans through the window that they were drawn in."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from hemoscope.errors import BadScan
from hemoscope.readers import read_bytes
from hemoscope.scan import Window
from tests.readers.samples import grey_picture, picture_bytes

GREY = np.asarray(grey_picture())  # (40, 48): 2 * row + 3 * column
HU = GREY / 255 * 80  # in the brain window, 0 to 80 HU


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_lossless_picture_is_read_exactly(kind: str, mode: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    scan = read_bytes(picture_bytes(grey_picture().convert(mode), kind, **options))
    assert scan.hu.shape == (1, 40, 48)
    np.testing.assert_allclose(scan.hu[0], HU, atol=1e-4)
    assert (scan.calibrated, scan.window, scan.spacing_mm) == (False, Window(40, 80), None)
    assert scan.notes[0].startswith("The file is a picture: its grey values were read as the window 40/80 HU")


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_is_read_within_its_rounding_and_noted(mode: str) -> None:
    scan = read_bytes(picture_bytes(grey_picture().convert(mode), "JPEG", quality=95))
    np.testing.assert_allclose(scan.hu[0], HU, atol=3 / 255 * 80)
    assert any("JPEG compression is lossy" in note for note in scan.notes)


def test_window_sets_the_ends() -> None:
    grey = GREY.copy()
    grey[0, 0], grey[0, 1] = 0, 255
    scan = read_bytes(picture_bytes(Image.fromarray(grey), "PNG"), window=Window(50, 130))
    assert scan.hu[0, 0, 0] == -15  # 50 - 130 / 2
    assert scan.hu[0, 0, 1] == 115
    assert scan.window == Window(50, 130)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_are_read_in_full(kind: str) -> None:
    grey = GREY.astype(np.uint16) * 257 + 1
    grey[0, 0], grey[0, 1] = 0, 65535
    scan = read_bytes(picture_bytes(Image.fromarray(grey), kind))
    assert scan.hu[0, 0, 0] == 0
    assert scan.hu[0, 0, 1] == 80
    assert scan.hu[0, 10, 10] == pytest.approx((50 * 257 + 1) / 65535 * 80, abs=1e-5)


@pytest.mark.parametrize("bits", [8, 16])
def test_tiff_whose_zero_is_white_is_turned(bits: int) -> None:
    grey = (GREY.astype(np.uint16) * 257) if bits == 16 else GREY
    data = picture_bytes(Image.fromarray(grey), "TIFF", tiffinfo={262: 0})
    plain = picture_bytes(Image.fromarray(grey), "TIFF")
    stored_inverted = read_bytes(data).hu
    # Pillow writes 8-bit pixels so that they look the same, and 16-bit pixels as they are.
    expected = read_bytes(plain).hu if bits == 8 else 80 - read_bytes(plain).hu
    np.testing.assert_allclose(stored_inverted, expected, atol=1e-4)


def test_palette_is_resolved() -> None:
    picture = Image.fromarray(255 - GREY)
    picture = picture.convert("P") if picture.mode != "P" else picture
    picture.putpalette([255 - value // 3 for value in range(768)])
    scan = read_bytes(picture_bytes(picture, "PNG"))
    np.testing.assert_allclose(scan.hu[0], HU, atol=1e-4)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_transparent_is_black(kind: str) -> None:
    alpha = np.full_like(GREY, 255)
    alpha[:10], alpha[10] = 0, 51  # a fifth
    picture = Image.merge("LA", (grey_picture(), Image.fromarray(alpha)))
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    scan = read_bytes(picture_bytes(picture if kind == "PNG" else picture.convert("RGBA"), kind, **options))
    assert np.all(scan.hu[0, :10] == 0)
    assert scan.hu[0, 10, 10] == pytest.approx(10 / 255 * 80, abs=1e-4)  # a fifth of 2 * 10 + 3 * 10
    np.testing.assert_allclose(scan.hu[0, 11:], HU[11:], atol=1e-4)


def test_exif_orientation_is_followed() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    scan = read_bytes(picture_bytes(grey_picture(), "PNG", exif=exif))
    assert scan.hu.shape == (1, 48, 40)
    np.testing.assert_allclose(scan.hu[0], np.rot90(HU, -1), atol=1e-4)


def test_pages_of_a_tiff_are_slices() -> None:
    second = Image.fromarray(255 - GREY)
    scan = read_bytes(picture_bytes(grey_picture(), "TIFF", save_all=True, append_images=[second]))
    assert scan.hu.shape == (2, 40, 48)
    np.testing.assert_allclose(scan.hu[1], 80 - HU, atol=1e-4)


def test_pages_of_different_size_are_refused() -> None:
    data = picture_bytes(grey_picture(), "TIFF", save_all=True, append_images=[grey_picture(20, 24)])
    with pytest.raises(BadScan, match="Page 2 of the TIFF differs from page 1 in size"):
        read_bytes(data)


def test_pages_of_a_tiff_are_counted_up_to_the_limit_only() -> None:
    side, pages, page_bytes = 16, 40_000, 2 + 8 * 12 + 4
    strip = bytes(range(side)) * side
    first = 8 + len(strip)
    # Width, length, bits, no compression, black is zero, one strip: where, rows, bytes (TIFF 6.0, section 4).
    tags = ((256, side), (257, side), (258, 8), (259, 1), (262, 1), (273, 8), (278, side), (279, len(strip)))
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    ends = [first + page_bytes * (page + 1) for page in range(pages - 1)] + [0]
    directories = b"".join(struct.pack("<H", len(tags)) + entries + struct.pack("<I", end) for end in ends)
    with pytest.raises(BadScan, match="The TIFF has more than 2048 pages: 1 to 2048 are read"):
        read_bytes(struct.pack("<2sHI", b"II", 42, first) + strip + directories)
    assert read_bytes(struct.pack("<2sHI", b"II", 42, first) + strip + directories[-page_bytes:]).hu.shape[0] == 1


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_animation_is_refused(kind: str) -> None:
    data = picture_bytes(grey_picture(), kind, save_all=True, append_images=[Image.fromarray(255 - GREY)], duration=100)
    with pytest.raises(BadScan, match=f"The {kind} picture is animated, with 2 frames"):
        read_bytes(data)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_12_bit_values_in_16_bits_are_refused_and_not_read_as_black(kind: str) -> None:
    stored = GREY.astype(np.uint16) * 17 + 24  # up to 217 * 17 + 24 of 4095, as HU + 1024 would be
    with pytest.raises(BadScan, match=r"nothing brighter than 3747 of 65535: these look like 12-bit values"):
        read_bytes(picture_bytes(Image.fromarray(stored), kind))


def test_12_bit_values_whose_zero_is_white_are_refused_too() -> None:
    data = picture_bytes(Image.fromarray(GREY.astype(np.uint16) * 17), "TIFF", tiffinfo={262: 0})
    with pytest.raises(BadScan, match=r"nothing brighter than 3723 of 65535"):
        read_bytes(data)


def test_a_dark_page_among_others_of_16_bits_is_read() -> None:
    dark, bright = (Image.fromarray(GREY.astype(np.uint16) * factor) for factor in (3, 257))
    scan = read_bytes(picture_bytes(dark, "TIFF", save_all=True, append_images=[bright]))
    assert scan.hu[0].max() == pytest.approx(219 * 3 / 65535 * 80, abs=1e-4)


def coloured(share: float) -> Image.Image:
    channels = np.stack([GREY] * 3, axis=-1)
    channels.reshape(-1, 3)[: round(share * GREY.size)] = (200, 40, 40)
    return Image.fromarray(channels)


def test_coloured_picture_is_refused() -> None:
    with pytest.raises(BadScan, match=r"has colours: in 50\.0 % of its pixels red, green and blue differ"):
        read_bytes(picture_bytes(coloured(0.5), "PNG"))
    with pytest.raises(BadScan, match="has colours"):
        read_bytes(picture_bytes(coloured(0.01), "PNG"))


def test_a_coloured_pixel_is_no_coloured_picture() -> None:
    assert read_bytes(picture_bytes(coloured(1 / GREY.size), "PNG")).hu.shape == (1, 40, 48)


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (grey_picture().convert("1"), "only black and white"),
        (Image.fromarray(HU.astype(np.float32)), "floating point"),
        (Image.fromarray(np.where(GREY > 99, 255, 0).astype(np.uint8)), "mask or an empty image"),
        (Image.fromarray(GREY.astype(np.int32) - 50), "outside 0 to 65535"),
        (grey_picture(8, 8), "8 rows and 8 columns: 16 to 8192"),
    ],
)
def test_other_picture_is_refused(picture: Image.Image, words: str) -> None:
    with pytest.raises(BadScan, match=words):
        read_bytes(picture_bytes(picture, "TIFF"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_cut_picture_is_refused_and_never_padded(kind: str, kept: float) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64)).astype(np.uint8))
    data = picture_bytes(noise, kind)
    assert read_bytes(data).hu.shape == (1, 64, 64)
    with pytest.raises(BadScan, match=r"damaged or cut off"):
        read_bytes(data[: int(kept * len(data))])


def test_bomb_is_refused_before_decoding() -> None:
    small = picture_bytes(grey_picture(), "PNG")
    for side, words in (
        (8192, "1 images of 8192 x 8192 are more than the 1048576 pixels"),
        (9000, "9000 rows and 9000 columns"),
        (60_000, "more than the 1048576 pixels"),
    ):
        header = b"IHDR" + struct.pack(">II", side, side) + small[24:29]
        bomb = small[:12] + header + struct.pack(">I", zlib.crc32(header)) + small[33:]
        with pytest.raises(BadScan, match=words):
            read_bytes(bomb, max_pixels=2**20)
    with pytest.raises(BadScan, match="1 images of 40 x 48 are more than the 1000 pixels"):
        read_bytes(picture_bytes(grey_picture(), "PNG"), max_pixels=1000)
