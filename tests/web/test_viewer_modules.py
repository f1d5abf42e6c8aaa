"""The parts of the viewer that need no browser, tested where they are written."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

VIEWER = Path(__file__).parents[2] / "viewer"
NODE = shutil.which("node", path=str(Path(sys.executable).parent)) or shutil.which("node")


@pytest.mark.skipif(NODE is None, reason="no Node on this machine")
def test_modules_of_the_viewer_do_what_their_tests_say() -> None:
    tests = sorted(str(file) for file in (VIEWER / "test").glob("*.test.js"))
    done = subprocess.run(
        [str(NODE), "--test", "--test-reporter=tap", *tests], cwd=VIEWER, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout
    assert "# fail 0" in done.stdout
    assert "# pass 0" not in done.stdout
