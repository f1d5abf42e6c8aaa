"""Whole studies: what was sent becomes kept studies, a worker reads them, and the viewer shows what was read.

`protocol` says what the viewer asks of a study; `demo` and `stored` give studies. `intake` takes in what was sent,
`working` reads it, `folder` is a reading on disk; `viewing` and `pages` are the routes.
"""
