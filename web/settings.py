"""The settings of the web application: one table of (name, default, help).

In: a mapping given to `create_app` and the environment, where each name stands as `HEMOSCOPE_<NAME>`.
Out: checked, immutable `Settings`. What is given wins over the environment, and that over the default.
"""

import re
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any

PREFIX = "HEMOSCOPE_"
MEGABYTE = 1_000_000
PLAIN_SIDE = 512
PLAIN_PX = PLAIN_SIDE**2  # of an ordinary CT slice
CONTACT = re.compile(r"(https?://|mailto:)[^\s\"<>]+")


# Hosts give the database's address under this name, without our prefix.
FROM_HOSTS = {"database_url": "DATABASE_URL"}


def _setting(default: object, help: str, *, zero: bool = False, secret: bool = False) -> Any:
    return field(default=default, metadata={"help": help, "zero": zero}, repr=not secret)


@dataclass(frozen=True)
class Settings:
    """One field a setting; its type is the type of its default."""

    model: str = _setting("reader", "The model that reads where a request names none.")
    max_file_mb: float = _setting(32.0, "The largest file that is read, in megabytes of 1,000,000 bytes.")
    max_upload_mb: float = _setting(64.0, "The largest request in megabytes, all its files together.")
    max_held_mb: float = _setting(
        96.0, "The uploads that one process holds in memory, of all requests together; beyond them it answers 503."
    )
    max_files: int = _setting(32, "How many files of one request are read; the others get an error each.")
    max_slice_pixels: int = _setting(2**22, "The largest slice that is read, in pixels: 2048 x 2048.")
    max_pixels: int = _setting(
        2**23, "How many pixels of one file are read, all its slices together: 32 slices of 512 x 512."
    )
    max_pictures: int = _setting(
        24,
        "How many slices of one request come as pictures, shared among its files (at least one each); a slice of "
        "1024 x 1024 counts as four of 512 x 512.",
    )
    reads_at_once: int = _setting(1, "How many files one process reads and draws at the same time; the others wait.")
    warm_up: bool = _setting(True, "Load the default model in the background when the process starts.")
    database_url: str = _setting(
        "",
        "The database of the history: `postgresql://user:password@host/name` or `sqlite:////path/file`; without it "
        "`history.sqlite` in the instance folder. `DATABASE_URL` is read too, as hosts set it.",
        secret=True,
    )
    studies_folder: str = _setting(
        "", "Where the files of the history's studies are kept; without it `studies` in the instance folder."
    )
    max_study_mb: float = _setting(
        1024.0, "The largest request that sends whole studies, in megabytes; it goes to the disk, not into memory."
    )
    max_study_files: int = _setting(5000, "How many files one request may send of whole studies.")
    max_study_pixels: int = _setting(
        300 * 512 * 512,
        "How many pixels of a whole study are read, after thin slices were averaged: 300 slices of 512 x 512.",
    )
    retention_days: int = _setting(
        0, "After how many days a study and its readings are removed from the history; 0 keeps them.", zero=True
    )
    deidentify: bool = _setting(
        False, "Remove what identifies the patient from DICOM files before the history keeps them."
    )
    password: str = _setting(
        "",
        "The password that the history asks for, by HTTP Basic, whatever the user name; without it the history is "
        "shown on the server's own machine only.",
        secret=True,
    )
    contact: str = _setting("", "Where to reach who runs this server, as `mailto:...` or `https://...`.")

    def __post_init__(self) -> None:
        for entry in [entry for entry in fields(self) if type(entry.default) in (int, float)]:
            value, zero = getattr(self, entry.name), entry.metadata["zero"]
            if not 0 < value < float("inf") and not (zero and value == 0):
                least = "0 or above" if zero else "above 0"
                raise ValueError(f"{PREFIX}{entry.name.upper()} must be {least}, got {value}")
        if self.max_held_mb < self.max_upload_mb:
            raise ValueError(
                f"{PREFIX}MAX_HELD_MB is {self.max_held_mb:g}, below {PREFIX}MAX_UPLOAD_MB, {self.max_upload_mb:g}"
            )
        if not self.password.isprintable():
            raise ValueError(f"{PREFIX}PASSWORD must hold letters, digits and signs only; it is not shown here")
        if self.contact and not CONTACT.fullmatch(self.contact):
            raise ValueError(f"{PREFIX}CONTACT must start with mailto: or https://, got {self.contact!r}")

    @property
    def max_file_bytes(self) -> int:
        return int(self.max_file_mb * MEGABYTE)

    @property
    def max_upload_bytes(self) -> int:
        return int(self.max_upload_mb * MEGABYTE)

    @property
    def max_study_bytes(self) -> int:
        return int(self.max_study_mb * MEGABYTE)

    @property
    def max_held_bytes(self) -> int:
        return int(self.max_held_mb * MEGABYTE)


def read_settings(given: Mapping[str, object] | None, environment: Mapping[str, str]) -> Settings:
    """Join the given settings, the environment and the defaults.

    Args:
        given: by the name in the table, for example `{"max_files": 4}`; text is read as in the environment.
        environment: for example `os.environ`; an empty value counts as not set.

    Raises:
        ValueError: for a name that is not in the table, or a value that cannot be read; the message names it.
    """
    given = given or {}
    table = fields(Settings)
    unknown = sorted(set(given) - {entry.name for entry in table})
    if unknown:
        raise ValueError(f"unknown settings {unknown}; there are {[entry.name for entry in table]}")
    values: dict[str, Any] = {}
    for entry in table:
        names = (PREFIX + entry.name.upper(), FROM_HOSTS.get(entry.name, ""))
        value = given.get(entry.name, next((environment[name] for name in names if environment.get(name)), None))
        if value is not None:
            values[entry.name] = _read(entry, value)
    return Settings(**values)


def _read(entry: "Field[Any]", value: object) -> object:
    wanted: Any = type(entry.default)
    words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    try:
        if wanted is bool and isinstance(value, str):
            return words[value.strip().lower()]
        read: object = wanted(value)
        return read
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{PREFIX}{entry.name.upper()} must be {wanted.__name__}, got {value!r}") from None
