"""Order, distances, tilt and turns; expected values by hand."""

from math import cos, radians, sin

import numpy as np
import pytest

from hemoscope.studies.geometry import Place, Turn, course_of, heights_mm, normal_of, plane_of, turn_of

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def tilted(degrees: float) -> tuple[float, ...]:
    return (1.0, 0.0, 0.0, 0.0, cos(radians(degrees)), -sin(radians(degrees)))


def course(z_mm, orientation=AXIAL, thickness=None):
    return course_of([(0.0, 0.0, z) for z in z_mm], orientation, [thickness] * len(z_mm))


def test_slices_under_a_tilted_gantry_lie_nearer_than_the_table_moves() -> None:
    found = course([0, 4, 8], tilted(30))
    assert found.steps_mm == pytest.approx((4, 4))
    assert found.gaps_mm == pytest.approx((3.4641, 3.4641), abs=1e-4)  # 4 mm times the cosine of 30 degrees
    assert found.tilt_degrees == pytest.approx(30)
    assert found.sheared


def test_an_oblique_series_whose_slices_follow_their_normal_is_not_sheared() -> None:
    normal = normal_of(tilted(20))
    found = course_of([tuple(normal * step) for step in (0, 3, 6)], tilted(20), [3.0] * 3)
    assert not found.sheared
    assert found.gaps_mm == pytest.approx((3, 3))
    assert found.sentences() == ("The slices are oblique: the planes lean by +20.0°.",)


@pytest.mark.parametrize("orientation", [AXIAL, (-1, 0, 0, 0, 1, 0), (1, 0, 0, 0, -1, 0), (0, 1, 0, 1, 0, 0)])
def test_heights_rise_to_the_head_however_the_picture_is_mirrored(orientation) -> None:
    assert heights_mm([(0, 0, -5), (9, 9, 7)], orientation).tolist() == [-5, 7]


@pytest.mark.parametrize(
    ("orientation", "plane"),
    [(AXIAL, "axial"), (tilted(40), "axial"), ((1, 0, 0, 0, 0, -1), "coronal"), ((0, 1, 0, 0, 0, -1), "sagittal")],
)
def test_the_plane_is_told_by_its_normal(orientation, plane) -> None:
    assert plane_of(orientation) == plane


@pytest.mark.parametrize(
    ("z_mm", "thickness", "missing"),
    [
        ([0, 5, 10, 15], None, ()),
        ([0, 5, 15, 20], None, ((1, 1),)),
        ([0, 5, 10, 30, 35], 5.0, ((2, 3),)),
        ([0, 2.5, 5, 7.5, 12.5, 17.5, 22.5], None, ()),  # thin at the base, thick above: nothing is missing
        ([0, 2.5, 5, 10, 15], 5.0, ()),  # no gap is wider than the slices are thick
        ([0, 4, 8, 15, 22, 29], None, ()),  # 7 is no multiple of 4
        ([0, 1], None, ()),
    ],
)
def test_missing_slices_are_gaps_of_a_multiple_of_those_around_them(z_mm, thickness, missing) -> None:
    assert course(z_mm, thickness=thickness).missing == missing


def test_what_is_unusual_is_said() -> None:
    found = course([0, 5, 10, 20, 22], thickness=5.0)
    assert found.sentences() == (
        "The spacing is uneven: slices are 5.00, 10.00 and 2.00 mm apart.",
        "1 slice is missing between slices 3 and 4.",
        "Slices overlap their neighbours in 1 of 4 places.",
    )
    assert found.usual_gap_mm == 5
    assert found.extent_mm == 22
    assert course([0, 5.01, 10, 15.02]).sentences() == ()


STANDARD = Place((-10.0, -20.0, 5.0), AXIAL, (0.5, 0.25), 4, 3)


@pytest.mark.parametrize(
    "turn",
    [Turn(a, b, c) for a in (False, True) for b in (False, True) for c in (False, True)],
)
def test_a_turned_picture_keeps_its_pixels_where_they_are_in_the_patient(turn: Turn) -> None:
    image = np.arange(12).reshape(4, 3)
    place, picture = STANDARD.turned(turn), turn.apply(image)
    assert picture.shape == (place.rows, place.columns)
    for row, column in ((0, 0), (3, 0), (1, 2)):
        at = np.add(STANDARD.position_mm, (column * 0.25, row * 0.5, 0))
        where = np.argwhere(picture == image[row, column])[0]
        across, down = np.array(place.orientation[:3]), np.array(place.orientation[3:])
        found = place.position_mm + down * place.spacing_mm[0] * where[0] + across * place.spacing_mm[1] * where[1]
        assert found == pytest.approx(at)
    assert np.array_equal(turn.undo(picture), image)


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (AXIAL, Turn()),
        (tilted(20), Turn()),
        ((-1, 0, 0, 0, 1, 0), Turn(flip_columns=True)),
        ((1, 0, 0, 0, -1, 0), Turn(flip_rows=True)),
        ((0, 1, 0, 1, 0, 0), Turn(transpose=True)),
        ((0, -1, 0, 1, 0, 0), Turn(transpose=True, flip_rows=True)),
    ],
)
def test_the_turn_brings_the_left_to_the_right_and_the_face_up(orientation, turn) -> None:
    assert turn_of(orientation) == turn
    place = Place((0.0, 0.0, 0.0), tuple(map(float, orientation)), (1.0, 1.0), 4, 4).turned(turn)
    assert place.orientation[0] > 0.9
    assert place.orientation[4] > 0.9
