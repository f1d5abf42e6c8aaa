"""Addresses of the history's other pages that the page of a study leads to."""

WORKLIST = "/worklist/"


def patient_address(number: int) -> str:
    """The page with all studies of a patient."""
    return f"/patients/{number}/"


def delete_address(number: int) -> str:
    """The page that asks whether a study is to be deleted."""
    return f"/studies/{number}/delete"
