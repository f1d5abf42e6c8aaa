"""Rules for whole scans and their slices as files of a run's folder; `null` where there was nothing to fit one on."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from hemoscope.context_rule import ContextRule
from hemoscope.errors import BadWeights
from hemoscope.scan_rule import ScanRule

SCAN_RULE_FILE, CONTEXT_RULE_FILE = "scan_rule.json", "context_rule.json"
Kind = TypeVar("Kind", ScanRule, ContextRule)


def write_scan_rule(rule: ScanRule | None, folder: Path) -> None:
    """Write `scan_rule.json` into a run's folder."""
    _write(rule, folder / SCAN_RULE_FILE)


def read_scan_rule(folder: Path) -> ScanRule | None:
    """The rule for whole scans that an evaluation wrote; None where it found none, or is older than such rules.

    Raises:
        BadWeights: if the file is garbled.
    """
    return _read(folder / SCAN_RULE_FILE, ScanRule)


def write_context_rule(rule: ContextRule | None, folder: Path) -> None:
    """Write `context_rule.json` into a run's folder."""
    _write(rule, folder / CONTEXT_RULE_FILE)


def read_context_rule(folder: Path) -> ContextRule | None:
    """The same for slices of whole scans."""
    return _read(folder / CONTEXT_RULE_FILE, ContextRule)


def _write(rule: ScanRule | ContextRule | None, path: Path) -> None:
    path.write_text(json.dumps(None if rule is None else asdict(rule), indent=2), encoding="utf-8")


def _read(path: Path, kind: type[Kind]) -> Kind | None:
    if not path.is_file():
        return None
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return None if stored is None else kind(**stored)
    except (OSError, ValueError, TypeError) as error:
        raise BadWeights(f"The rule {path} cannot be read: {error}. `python -m training.evaluate` writes it.") from None
