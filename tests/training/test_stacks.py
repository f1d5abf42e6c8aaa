"""Which slices are neighbours: by number, by the positions in DICOM headers, and never across patients."""

import logging

import cv2
import numpy as np
import pydicom
import pytest

from hemoscope.errors import BadData, BadScan
from hemoscope.phantom import make_phantom, write_dicom_series
from hemoscope.scan import BRAIN
from training.datasets.sample import Sample
from training.datasets.stacks import REACH, Place, ordered, place_of, read_header, with_neighbours

LABELS = (0.0,) * 6


def write_slice(path, shift=0, side=64):
    """A ramp of 64 greys from left to right, all of them brighter by `shift`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.tile(np.arange(0, 4 * side, 4, dtype=np.uint8), (side, 1)) // 2 + np.uint8(shift))
    return path


def sample_of(image, patient="P"):
    return Sample("own", patient, image, LABELS, BRAIN)


def names(sample):
    return [path.name for path in sample.previous], [path.name for path in sample.next]


@pytest.fixture
def five(tmp_path):
    return [write_slice(tmp_path / f"{name}.png", shift) for shift, name in enumerate("abcde")]


def test_neighbours_follow_the_numbers_nearest_first(five):
    a, b, c, d, e = five
    places = {c: Place("P", 3), e: Place("P", 5), a: Place("P", 1), d: Place("P", 4), b: Place("P", 2)}
    first, middle, last = with_neighbours([sample_of(a), sample_of(c), sample_of(e)], places)
    assert names(first) == ([], ["b.png", "c.png", "d.png", "e.png"])
    assert names(middle) == (["b.png", "a.png"], ["d.png", "e.png"])
    assert names(last) == (["d.png", "c.png", "b.png", "a.png"], [])
    assert [path.name for path in middle.neighbours(1)] == ["b.png", "d.png"]
    assert [path.name for path in middle.neighbours(2)] == ["a.png", "b.png", "d.png", "e.png"]
    assert middle.neighbours(0) == ()


def test_neighbours_never_come_from_another_stack(five):
    a, b, c, d, _ = five
    places = {a: Place("P", 1), b: Place("P", 2), c: Place("Q", 3), d: Place("Q", 4)}
    found = with_neighbours([sample_of(image) for image in five], places)
    assert [names(one) for one in found] == [
        ([], ["b.png"]),
        (["a.png"], []),
        ([], ["d.png"]),
        (["c.png"], []),
        ([], []),  # nobody said where e lies
    ]


def test_a_file_that_is_not_there_is_nobodys_neighbour(five):
    a, b, c, *_ = five
    b.unlink()
    (found,) = with_neighbours([sample_of(a)], {a: Place("P", 1), b: Place("P", 2), c: Place("P", 3)})
    assert names(found) == ([], ["c.png"])


def test_two_slices_with_one_number_are_refused(five):
    a, b, *_ = five
    with pytest.raises(BadData, match=r"Two slices of patient 7 have the number 2: a\.png and b\.png"):
        with_neighbours([sample_of(a)], {a: Place("patient 7", 2), b: Place("patient 7", 2)})


def test_no_more_neighbours_are_kept_than_a_preparation_can_take(tmp_path):
    images = [write_slice(tmp_path / f"{number:02d}.png", number) for number in range(2 * REACH + 3)]
    places = {image: Place("P", number) for number, image in enumerate(images)}
    (middle,) = with_neighbours([sample_of(images[REACH + 1])], places)
    assert len(middle.previous) == len(middle.next) == REACH


# Reading a slice between its neighbours


def test_a_slice_is_read_between_its_neighbours(five):
    places = {image: Place("P", number) for number, image in enumerate(five)}
    samples = with_neighbours([sample_of(image) for image in five], places)
    scan, index = samples[2].in_context(1)
    assert (scan.hu.shape, index) == ((3, 64, 64), 1)
    # Slices differ by one grey of 255 over 80 HU.
    assert np.diff(scan.hu, axis=0) == pytest.approx(80 / 255, abs=1e-4)
    assert (scan.hu[index] == samples[2].scan().hu[0]).all()
    assert [one.in_context(2)[1] for one in samples] == [0, 1, 2, 2, 2]
    assert [len(one.in_context(2)[0].hu) for one in samples] == [3, 4, 5, 4, 3]
    alone, index = samples[2].in_context(0)
    assert (len(alone.hu), index) == (1, 0)


def test_a_neighbour_on_another_grid_is_refused(tmp_path):
    a, b = write_slice(tmp_path / "a.png"), write_slice(tmp_path / "b.png", side=48)
    (sample,) = with_neighbours([sample_of(a)], {a: Place("P", 1), b: Place("P", 2)})
    with pytest.raises(BadData, match=r"its neighbour b\.png are not two slices of one scan"):
        sample.in_context(1)


def test_a_neighbour_that_cannot_be_read_is_named(five):
    a, b, *_ = five
    (sample,) = with_neighbours([sample_of(a)], {a: Place("P", 1), b: Place("P", 2)})
    b.write_bytes(b.read_bytes()[:60])
    with pytest.raises(BadScan, match=r"Its neighbour b\.png: "):
        sample.in_context(1)
    assert sample.in_context(0)[1] == 0


# DICOM headers


@pytest.fixture
def series(tmp_path):
    phantom = make_phantom(slices=4, rows=64, columns=64, spacing_mm=3.5, slice_spacing_mm=5)
    return write_dicom_series(phantom, tmp_path / "series")


def test_dicom_heights_are_millimetres_that_rise_towards_the_top_of_the_head(series):
    places = [place_of(read_header(path), "P") for path in series]
    assert len({place.stack for place in places}) == 1
    assert np.diff([place.height for place in places]) == pytest.approx(5)


def test_one_series_uid_under_two_patients_is_two_stacks(series):
    header = read_header(series[0])
    assert place_of(header, "P").stack != place_of(header, "Q").stack


def changed(path, keyword, value):
    dataset = pydicom.dcmread(path)
    setattr(dataset, keyword, value)
    dataset.save_as(path)
    return place_of(read_header(path), "P")


def test_a_localizer_in_the_series_is_another_stack(series):
    upright = changed(series[0], "ImageOrientationPatient", [1, 0, 0, 0, 0, -1])
    assert upright.stack != place_of(read_header(series[1]), "P").stack


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "SeriesInstanceUID"])
def test_a_header_without_position_orientation_or_series_gives_no_place(series, keyword):
    dataset = pydicom.dcmread(series[0])
    delattr(dataset, keyword)
    dataset.save_as(series[0])
    assert place_of(read_header(series[0]), "P") is None


def test_a_series_with_two_slices_at_one_place_has_no_order(series, caplog):
    others = [(path, Place("another", number)) for number, path in enumerate(series[2:])]
    positioned = [(path, place_of(read_header(path), "P")) for path in series]
    assert set(ordered(positioned)) == set(series)
    there = pydicom.dcmread(series[1]).ImagePositionPatient
    positioned[0] = (series[0], changed(series[0], "ImagePositionPatient", there))
    with caplog.at_level(logging.WARNING):
        kept = ordered([*positioned[:2], *others])
    assert set(kept) == set(series[2:])
    assert "2 slices are of series with two slices at one place" in caplog.text


def test_what_is_no_dicom_has_no_header(tmp_path):
    (tmp_path / "a.dcm").write_bytes(b"no DICOM")
    assert read_header(tmp_path / "a.dcm") is None
    assert read_header(tmp_path / "missing.dcm") is None
