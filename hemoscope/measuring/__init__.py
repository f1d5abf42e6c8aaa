"""What `hemoscope.measurement.measure` is made of: slice geometry, volumes, lesions, diameters, the midline.

In: a `Scan` and the masks that a reading drew on it. Out: the values of `measuring.values`.
"""
