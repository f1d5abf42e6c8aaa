"""The one table of settings: where values come from, and that each is documented."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from web.settings import PREFIX, Settings, read_settings

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"
NAMES = [entry.name for entry in fields(Settings)]


@pytest.mark.parametrize("entry", fields(Settings), ids=NAMES)
def test_every_setting_is_documented_with_its_default_and_help(entry: object) -> None:
    shown = str(entry.default).lower() if isinstance(entry.default, bool) else f"{entry.default}"  # type: ignore[attr-defined]
    if isinstance(entry.default, float):  # type: ignore[attr-defined]
        shown = f"{entry.default:g}"  # type: ignore[attr-defined]
    row = f"| `{PREFIX}{entry.name.upper()}` | {f'`{shown}`' if shown else 'none'} | {entry.metadata['help']} |"  # type: ignore[attr-defined]
    assert row in REFERENCE.read_text("utf-8").splitlines()


def test_the_reference_names_no_setting_that_is_gone() -> None:
    rows = re.findall(r"^\| `HEMOSCOPE_(\w+)` \| [^|]+ \| [^|]+ \|$", REFERENCE.read_text("utf-8"), re.MULTILINE)
    assert rows == [name.upper() for name in NAMES]


def test_given_wins_over_environment_and_that_over_default() -> None:
    environment = {"HEMOSCOPE_MAX_FILES": "7", "HEMOSCOPE_MODEL": "unet", "HEMOSCOPE_WARM_UP": "no", "PATH": "/bin"}
    settings = read_settings({"max_files": 3}, environment)
    assert (settings.max_files, settings.model, settings.warm_up, settings.reads_at_once) == (3, "unet", False, 1)


def test_empty_variable_counts_as_not_set() -> None:
    assert read_settings(None, {"HEMOSCOPE_MODEL": ""}).model == "reader"


def test_hosts_may_name_the_database_without_the_prefix() -> None:
    environment = {"DATABASE_URL": "postgres://host/a", "HEMOSCOPE_DATABASE_URL": ""}
    assert read_settings(None, environment).database_url == "postgres://host/a"
    environment["HEMOSCOPE_DATABASE_URL"] = "postgres://host/b"
    assert read_settings(None, environment).database_url == "postgres://host/b"


def test_the_databases_password_is_not_shown() -> None:
    assert "secret" not in repr(read_settings({"database_url": "postgres://user:secret@host/a"}, {}))


def test_megabytes_are_a_million_bytes() -> None:
    assert read_settings({"max_file_mb": 1.5}, {}).max_file_bytes == 1_500_000


@pytest.mark.parametrize(
    ("given", "environment", "message"),
    [
        ({"max_upload_mb": 97}, {}, "HEMOSCOPE_MAX_HELD_MB is 96, below HEMOSCOPE_MAX_UPLOAD_MB, 97"),
        ({"max_pixels": 0}, {}, "HEMOSCOPE_MAX_PIXELS must be above 0"),
        ({"retention_days": -1}, {}, "HEMOSCOPE_RETENTION_DAYS must be 0 or above, got -1"),
        ({"max_fiels": 3}, {}, "unknown settings.*max_fiels"),
        (None, {"HEMOSCOPE_MAX_FILES": "many"}, "HEMOSCOPE_MAX_FILES must be int, got 'many'"),
        (None, {"HEMOSCOPE_MAX_FILES": "0"}, "HEMOSCOPE_MAX_FILES must be above 0"),
        (None, {"HEMOSCOPE_MAX_FILE_MB": "nan"}, "HEMOSCOPE_MAX_FILE_MB must be above 0"),
        (None, {"HEMOSCOPE_WARM_UP": "perhaps"}, "HEMOSCOPE_WARM_UP must be bool"),
        (None, {"HEMOSCOPE_CONTACT": "javascript:alert(1)"}, "HEMOSCOPE_CONTACT must start with"),
    ],
)
def test_wrong_settings_stop_the_start(
    given: dict[str, object] | None, environment: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read_settings(given, environment)
