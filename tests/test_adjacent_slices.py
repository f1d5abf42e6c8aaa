"""A model on adjacent slices in serving: a scan's slices have their neighbours, a single file's slice only itself."""

import json
from math import exp
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

import cli
import model
from hemoscope.phantom import Bleed, make_phantom, write_dicom_series
from hemoscope.preprocessing import Preprocess
from tests.test_model import scan_of, write_weights


def difference_graph() -> bytes:
    """The logit of `any` is 8 * (mean of the next slice - mean of the previous one) - 4; mask and cams are means."""
    constants = {
        "plane": np.array([1, 2], np.int64),
        "channels": np.array([3], np.int64),
        "all": np.array([1, 2, 3], np.int64),
        "slopes": np.array([[-8, 0, 0, 0, 0, 0], [0] * 6, [8, 0, 0, 0, 0, 0]], np.float32),
        "offset": np.full(6, -4, np.float32),
        "ones": np.ones((1, 2, 2, 6), np.float32),
    }
    nodes = [
        helper.make_node("ReduceMean", ["image", "channels"], ["mask"], keepdims=1),
        helper.make_node("ReduceMean", ["image", "plane"], ["means"], keepdims=0),
        helper.make_node("MatMul", ["means", "slopes"], ["rise"]),
        helper.make_node("Add", ["rise", "offset"], ["logits"]),
        helper.make_node("ReduceMean", ["image", "all"], ["level"], keepdims=1),
        helper.make_node("Mul", ["level", "ones"], ["cams"]),
    ]
    shapes = {"mask": [1, 32, 32, 1], "logits": [1, 6], "cams": [1, 2, 2, 6]}
    graph = helper.make_graph(
        nodes,
        "difference",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 32, 32, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(made)
    return made.SerializeToString()


@pytest.fixture
def adjacent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> model.Reader:
    """A model named `adjacent` that reads the previous, the core and the next slice in the brain window."""
    root = tmp_path / "weights"
    write_weights(root, "adjacent", difference_graph(), preprocess=Preprocess(32, neighbours=1).to_dict())
    monkeypatch.setenv("HEMOSCOPE_WEIGHTS", str(root))
    return model.load("adjacent")


def any_probability(difference: float) -> float:
    return 1 / (1 + exp(4 - 8 * difference))


def test_a_whole_scan_is_read_with_each_slices_neighbours(adjacent: model.Reader) -> None:
    found = adjacent.read(scan_of(0, 80, 80, 0))
    # Next less previous in shares of the brain window; the ends stand in for what lies beyond them.
    expected = [any_probability(difference) for difference in (1, 1, -1, -1)]
    assert [one.probabilities["any"] for one in found.slices] == pytest.approx(expected, abs=1e-5)


def test_a_single_slice_stands_in_for_its_own_neighbours(adjacent: model.Reader) -> None:
    found = adjacent.read(scan_of(80))
    assert found.probabilities["any"] == pytest.approx(any_probability(0), abs=1e-5)
    assert [note.split(";")[0] for note in found.notes] == ["adjacent reads a slice together with its neighbours"]
    assert not any("neighbours" in note for note in adjacent.read(scan_of(0, 80)).notes)


def test_the_command_line_reads_a_dicom_folder_file_by_file_without_neighbours(
    adjacent: model.Reader, tmp_path: Path
) -> None:
    phantom = make_phantom([Bleed("intraparenchymal", 30)], slices=3, rows=64, columns=64, spacing_mm=3.5)
    write_dicom_series(phantom, tmp_path / "series")
    command = ["predict", str(tmp_path / "series"), "--model", "adjacent", "--json", "-"]
    done = CliRunner().invoke(cli.main, command)
    assert done.exit_code == 0, done.output
    read = [json.loads(line)["probabilities"]["any"] for line in done.stdout.splitlines()]
    assert read == pytest.approx([any_probability(0)] * 3, abs=1e-4)
    together = adjacent.read(phantom.scan).slices
    assert max(abs(one.probabilities["any"] - any_probability(0)) for one in together) > 1e-3
