"""The same masks measured by SimpleITK and scikit-image. Both take voxels for boxes of one size."""

import numpy as np
import pytest
import SimpleITK
from skimage.measure import label, regionprops

from hemoscope.measurement import measure
from hemoscope.measuring.diameters import diameters
from hemoscope.measuring.lesions import SMALLEST_LESION_ML
from hemoscope.phantom import Bleed, make_phantom
from tests.measuring.readings import findings_of

BLEEDS = [Bleed("intraparenchymal", 20), Bleed("intraventricular", 5), Bleed("subdural", 30, side="right")]


@pytest.fixture(scope="module", params=[0.0, 18.0], ids=["upright", "tilted"])
def bled(request):
    phantom = make_phantom(
        BLEEDS, slices=16, rows=160, columns=160, spacing_mm=1.4, noise_hu=0, tilt_degrees=request.param
    )
    return phantom, measure(phantom.scan, findings_of(phantom.labels > 0))


def sheared_image(phantom, array):
    """The array as an image of SimpleITK; slices of a tilted gantry lie sheared, so that each is a box of its own
    height along the normal, whatever their positions."""
    image = SimpleITK.GetImageFromArray(array)
    height = phantom.geometry.voxel_ml * 1000 / phantom.geometry.spacing_mm**2
    image.SetSpacing((phantom.geometry.spacing_mm, phantom.geometry.spacing_mm, height))
    return image


def test_simpleitk_finds_the_same_volumes(bled):
    phantom, measured = bled
    shapes = SimpleITK.LabelShapeStatisticsImageFilter()
    shapes.Execute(sheared_image(phantom, (phantom.labels > 0).astype(np.uint8)))
    assert measured.total.ml == pytest.approx(shapes.GetPhysicalSize(1) / 1000, rel=1e-6)


def test_scikit_image_finds_the_same_volumes(bled):
    phantom, measured = bled
    height = phantom.geometry.voxel_ml * 1000 / phantom.geometry.spacing_mm**2
    (region,) = regionprops((phantom.labels > 0).astype(np.uint8), spacing=(height, 1.4, 1.4))
    assert measured.total.ml == pytest.approx(region.area / 1000, rel=1e-6)


def test_simpleitk_finds_the_same_lesions():
    phantom = make_phantom(BLEEDS, slices=16, rows=160, columns=160, spacing_mm=1.4, noise_hu=0)
    measured = measure(phantom.scan, findings_of(phantom.labels > 0))
    pieces = SimpleITK.ConnectedComponent(sheared_image(phantom, (phantom.labels > 0).astype(np.uint8)), True)
    shapes = SimpleITK.LabelShapeStatisticsImageFilter()
    shapes.Execute(pieces)
    volumes = sorted((shapes.GetPhysicalSize(each) / 1000 for each in shapes.GetLabels()), reverse=True)
    listed = [ml for ml in volumes if ml >= SMALLEST_LESION_ML]
    assert len(listed) >= 3
    assert [one.volume.ml for one in measured.lesions] == pytest.approx(listed, rel=1e-6)
    assert measured.smaller_pieces == len(volumes) - len(listed)


def test_scikit_image_finds_the_same_lesions():
    phantom = make_phantom(BLEEDS, slices=16, rows=160, columns=160, spacing_mm=1.4, noise_hu=0)
    measured = measure(phantom.scan, findings_of(phantom.labels > 0))
    regions = regionprops(label(phantom.labels > 0, connectivity=3), spacing=(5.0, 1.4, 1.4))
    largest = max(regions, key=lambda region: region.area)
    first = measured.lesions[0]
    assert first.volume.ml == pytest.approx(largest.area / 1000, rel=1e-6)
    assert (first.first_slice, first.last_slice) == (largest.bbox[0], largest.bbox[3] - 1)


def test_both_find_the_same_diameters(bled):
    phantom, _ = bled
    for index in np.flatnonzero(phantom.labels.any(axis=(1, 2))):
        # As 8-bit labels, since SimpleITK takes no wider ones of this kind.
        pieces = label(phantom.labels[index] > 0, connectivity=2).astype(np.uint8)
        plane = SimpleITK.GetImageFromArray(pieces)
        plane.SetSpacing((1.4, 1.4))
        shapes = SimpleITK.LabelShapeStatisticsImageFilter()
        shapes.ComputeFeretDiameterOn()
        shapes.Execute(plane)
        for region in regionprops(pieces, spacing=(1.4, 1.4)):
            found = diameters(pieces == region.label, (1.4, 1.4)).largest_mm
            # scikit-image draws the convex hull into pixels first, which adds up to half a pixel.
            assert -1e-9 < region.feret_diameter_max - found < 0.6 * 1.4
            # SimpleITK measures from centre to centre, so it is shorter by up to a pixel's diagonal.
            assert 0 < found - shapes.GetFeretDiameter(region.label) < 1.4 * 2**0.5
