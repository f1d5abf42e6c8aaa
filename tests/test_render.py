import cv2
import numpy as np
import pytest

from hemoscope.labels import COLOURS
from hemoscope.render import (
    blood_colours,
    contour,
    contour_layer,
    grey,
    heat_layer,
    heat_map,
    legend,
    mask_layer,
    mask_png,
    overlay,
    png,
)
from hemoscope.scan import BRAIN, Window

ORANGE = (230, 159, 0)


def disc(side=64, radius=12):
    rows, columns = np.mgrid[:side, :side]
    return (rows - 31.5) ** 2 + (columns - 31.5) ** 2 < radius**2


def decoded(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


def test_the_brain_window_spans_black_to_white():
    hu = np.array([[-1000, 0, 16, 40, 80, 3000]], np.float32)
    assert grey(hu, BRAIN).tolist() == [[0, 0, 51, 128, 255, 255]]
    assert grey(hu, Window(80, 160)).tolist() == [[0, 0, 26, 64, 128, 255]]


def test_overlay_mixes_by_opacity_inside_the_mask_only():
    picture = np.full((1, 2), 100, np.uint8)
    mask = np.array([[True, False]])
    assert overlay(picture, mask, (200, 0, 50), 0.5).tolist() == [[[150, 50, 75], [100, 100, 100]]]
    assert overlay(picture, mask, (200, 0, 50), 0.0).tolist() == [[[100] * 3, [100] * 3]]
    assert overlay(picture, mask, (200, 0, 50), 1.0).tolist() == [[[200, 0, 50], [100] * 3]]


def test_overlays_stack():
    picture = np.full((1, 2), 100, np.uint8)
    first = overlay(picture, np.array([[True, False]]), (0, 0, 0), 1.0)
    both = overlay(first, np.array([[False, True]]), (255, 255, 255), 1.0)
    assert both.tolist() == [[[0] * 3, [255] * 3]]


@pytest.mark.parametrize("opacity", [-0.1, 1.1, float("nan")])
def test_opacity_outside_0_to_1_is_refused(opacity):
    with pytest.raises(ValueError, match="opacity"):
        overlay(np.zeros((2, 2), np.uint8), np.ones((2, 2), bool), ORANGE, opacity)


def test_contour_lies_on_the_edge_and_leaves_inside_and_outside_alone():
    drawn = contour(np.full((64, 64), 100, np.uint8), disc(), (255, 0, 0), thickness=2)
    changed = (drawn != 100).any(axis=-1)
    rows, columns = np.nonzero(changed)
    radius = np.hypot(rows - 31.5, columns - 31.5)
    assert radius.min() > 9.5
    assert radius.max() < 14.5
    assert changed.sum() > 2 * np.pi * 12  # the whole way round
    assert drawn[31, 19:21, 0].min() > 240  # in full colour on both sides of the edge, which lies at 19.5


def test_contour_is_closed_at_the_edge_of_the_picture():
    layer = contour_layer(np.ones((8, 8), bool), ORANGE)
    assert (layer[[0, -1], :, 3] > 100).all()
    assert (layer[:, [0, -1], 3] > 100).all()
    assert (layer[3:5, 3:5, 3] == 0).all()


def test_contour_of_one_pixel_is_visible():
    speck = np.zeros((32, 32), bool)
    speck[10, 20] = True
    assert contour_layer(speck, ORANGE)[10, 20, 3] > 200


def test_contour_of_nothing_is_the_picture():
    picture = np.arange(64, dtype=np.uint8).reshape(8, 8)
    assert (contour(picture, np.zeros((8, 8), bool), ORANGE) == picture[..., None]).all()


def test_a_thicker_contour_covers_more():
    thin, thick = (contour_layer(disc(), ORANGE, width)[..., 3].sum(dtype=np.int64) for width in (1.0, 3.0))
    assert thick == pytest.approx(3 * thin, rel=0.35)


def test_blood_is_coloured_by_its_subtype_where_that_is_known():
    subtypes = np.array([[0, 1], [3, 5]], np.uint8)
    colours = blood_colours(subtypes)
    names = [["any", "epidural"], ["intraventricular", "subdural"]]
    assert colours.tolist() == [[list(COLOURS[name]) for name in row] for row in names]
    assert blood_colours(None) == COLOURS["any"]
    layer = mask_layer(subtypes > 0, colours)
    assert layer[1, 1].tolist() == [*COLOURS["subdural"], 255]
    assert layer[0, 0, 3] == 0
    filled = overlay(np.zeros((2, 2), np.uint8), subtypes > 0, colours, 1.0)
    assert filled[0].tolist() == [[0, 0, 0], list(COLOURS["epidural"])]


def test_mask_layer_is_opaque_in_the_mask_and_clear_elsewhere():
    layer = mask_layer(np.array([[True, False]]), ORANGE)
    assert layer.tolist() == [[[*ORANGE, 255], [*ORANGE, 0]]]


def test_heat_layer_is_clear_where_cold_and_clips():
    alpha = heat_layer(np.array([[-0.5, 0.0, 0.2, 1.0, 7.0]], np.float32))[..., 3]
    assert alpha.tolist() == [[0, 0, 51, 255, 255]]


def test_heat_map_shows_the_picture_where_cold_and_the_colour_where_hot():
    picture = np.full((1, 2), 90, np.uint8)
    drawn = heat_map(picture, np.array([[0.0, 1.0]], np.float32), 1.0)
    assert drawn[0, 0].tolist() == [90, 90, 90]
    assert drawn[0, 1].tolist() == legend()[0, -1].tolist()
    assert (heat_map(picture, np.ones((1, 2), np.float32), 0.0) == 90).all()


def test_heat_colours_rise_in_lightness():
    bar = legend(columns=64, rows=2)
    assert bar.shape == (2, 64, 3)
    lightness = cv2.cvtColor(bar, cv2.COLOR_RGB2LAB)[0, :, 0].astype(int)
    assert (np.diff(lightness) >= 0).all()
    assert lightness[-1] - lightness[0] > 200


def test_png_keeps_pixels_and_the_order_of_colours():
    rgb = np.array([[[10, 20, 30], [200, 100, 0]]], np.uint8)
    assert png(rgb).startswith(b"\x89PNG")
    assert decoded(png(rgb))[..., ::-1].tolist() == rgb.tolist()
    layer = mask_layer(np.array([[True, False]]), ORANGE)
    assert decoded(png(layer))[..., [2, 1, 0, 3]].tolist() == layer.tolist()


def test_mask_png_is_eight_bit_grey_with_0_and_255():
    mask = disc(40, 9)[:, :33]
    stored = decoded(mask_png(mask))
    assert stored.dtype == np.uint8
    assert stored.shape == (40, 33)
    assert ((stored == 255) == mask).all()
    assert set(np.unique(stored)) == {0, 255}
