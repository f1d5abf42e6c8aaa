"""A synthetic head CT with bleeds of known kind and volume: the demo, the golden tests, the truth for measurements.

In: parameters. Out: a `Phantom`, as `Scan` and as DICOM files.
"""

from hemoscope.phantom.bleeds import Bleed
from hemoscope.phantom.dicom import dicom_slices, sample_slice, write_dicom_series
from hemoscope.phantom.head import Phantom, make_phantom

__all__ = ["Bleed", "Phantom", "dicom_slices", "make_phantom", "sample_slice", "write_dicom_series"]
