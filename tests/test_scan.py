import numpy as np
import pytest

from hemoscope.errors import BadRequest
from hemoscope.scan import BRAIN, Scan, Window

HU = np.zeros((2, 3, 4), np.float32)


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("40/80", Window(40, 80)),
        ("-20/0.5", Window(-20, 0.5)),
        (" 600 / 2800 ", Window(600, 2800)),
        ("10000/10000", Window(10000, 10000)),
    ],
)
def test_windows_are_read(text, window):
    assert Window.parse(text) == window


@pytest.mark.parametrize(
    "text", ["", "40", "40/", "/80", "40/80/1", "a/b", "40/0", "40/-80", "nan/80", "40/inf", "40/10001", "-10001/80"]
)
def test_windows_that_make_no_sense_are_refused(text):
    with pytest.raises(BadRequest, match="window"):
        Window.parse(text)


def test_the_brain_window_goes_from_0_to_80_hu():
    assert (BRAIN.lowest_hu, BRAIN.highest_hu) == (0, 80)


def test_a_window_is_written_as_it_is_read():
    assert str(Window(40, 80)) == "40/80"
    assert Window.parse(str(Window(37.5, 0.25))) == Window(37.5, 0.25)


@pytest.mark.parametrize("hu", [HU[0], HU.astype(np.float64), HU[:0], np.zeros((1, 0, 4), np.float32)])
def test_hounsfield_units_are_float32_slices_rows_columns(hu):
    with pytest.raises(ValueError, match="float32"):
        Scan(hu, calibrated=True)


def test_there_is_one_position_a_slice():
    with pytest.raises(ValueError, match="1 positions for 2 slices"):
        Scan(HU, calibrated=True, positions_mm=((0.0, 0.0, 0.0),))


@pytest.mark.parametrize(("calibrated", "window"), [(True, BRAIN), (False, None)])
def test_a_window_belongs_to_an_uncalibrated_scan_only(calibrated, window):
    with pytest.raises(ValueError, match="window"):
        Scan(HU, calibrated=calibrated, window=window)


def test_pixel_area_is_the_product_of_both_spacings():
    assert Scan(HU, calibrated=True, spacing_mm=(0.5, 0.4)).pixel_area_mm2 == pytest.approx(0.2)
    assert Scan(HU, calibrated=True).pixel_area_mm2 is None


@pytest.mark.parametrize(
    ("inner", "held"),
    [
        (Window(40, 80), True),  # 0..80 HU, its own ends
        (Window(60, 40), True),  # 40..80
        (Window(30, 80), False),  # -10..70
        (Window(50, 80), False),  # 10..90
        (Window(40, 120), False),  # -20..100
    ],
)
def test_a_window_holds_those_between_its_ends(inner, held):
    assert Window(40, 80).holds(inner) == held
