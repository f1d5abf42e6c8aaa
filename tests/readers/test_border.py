"""Borders of pictures: black afterwards, and the picture inside as it was."""

import numpy as np
import pytest

from hemoscope.phantom import make_phantom
from hemoscope.readers.border import without_border
from hemoscope.scan import BRAIN


def head() -> np.ndarray:
    """A slice of the phantom in the brain window, air all round."""
    hu = make_phantom(slices=1, rows=96, columns=96, spacing_mm=2.4, noise_hu=3, seed=4).scan.hu[0]
    return np.clip((hu - BRAIN.lowest_hu) / BRAIN.width, 0, 1).astype(np.float32)


@pytest.mark.parametrize("grey", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("widths", [((9, 9), (9, 9)), ((0, 0), (12, 0)), ((5, 20), (0, 7))])
def test_a_border_is_black_and_what_it_frames_stays(grey: float, widths: tuple[tuple[int, int], ...]) -> None:
    picture = np.pad(head(), widths, constant_values=grey).astype(np.float32)
    found, bordered = without_border(picture)
    assert bordered
    assert found == pytest.approx(np.pad(head(), widths))


def test_letters_and_jpegs_noise_hide_no_border() -> None:
    picture = np.pad(head(), 20, constant_values=0.5).astype(np.float32)
    frame = np.pad(np.zeros((96, 96), np.bool_), 20, constant_values=True)
    picture[frame] += np.random.default_rng(3).uniform(-0.02, 0.02, int(frame.sum())).astype(np.float32)
    picture[5:12, 30:40] = 1.0
    found, bordered = without_border(picture)
    assert bordered and not found[frame].any()


def test_a_picture_without_a_border_is_left_alone() -> None:
    for picture in (head(), head()[30:], np.ascontiguousarray(head()[:, 40:]), np.full((40, 40), 0.5, np.float32)):
        found, bordered = without_border(picture)
        assert found is picture and not bordered


def test_a_cut_through_the_head_is_no_border() -> None:
    cut = head()[48:]  # the first line runs through brain and skull
    assert not without_border(cut)[1]


def test_grey_round_something_without_air_is_no_border() -> None:
    picture = np.full((60, 60), 0.4, np.float32)
    picture[20:40, 20:40] = 0.9
    assert not without_border(picture)[1]


def test_a_lone_bright_line_is_no_border() -> None:
    picture = head()
    picture[0] = 1.0
    assert not without_border(picture)[1]
