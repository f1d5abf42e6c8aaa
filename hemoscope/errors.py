"""What can go wrong, in words for the person who asked.

In: a sentence that says what came, what was expected and, where it helps, what exists.
Out: exceptions with the HTTP status that fits them; the web and the command line show the sentence as it is.
"""


class HemoscopeError(Exception):
    """Base of all errors that a user can cause or mend. `status` is the HTTP status that fits."""

    status = 400


class BadScan(HemoscopeError):
    """The bytes are not a CT slice that can be read."""

    status = 422


class BadRequest(HemoscopeError):
    """The request itself is malformed: no file, a wrong window, an unknown option."""

    status = 400


class UnknownModel(HemoscopeError):
    """No weights folder of that name; the message lists those that exist."""

    status = 404


class BadWeights(HemoscopeError):
    """A weights folder is incomplete, was changed, or does not fit this version."""

    status = 500


class BadData(HemoscopeError):
    """A training or evaluation data folder is not laid out as expected."""

    status = 400
