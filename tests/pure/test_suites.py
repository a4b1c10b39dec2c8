from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from kernelwright.bench import suites
from kernelwright.bench.scaling import LEAST, attempts, find_sizes, scaled_value, scaled_values
from kernelwright.core.errors import MachineError, UsageError
from kernelwright.core.run import Scaling

CONVOLUTION = """
import torch
from torch import nn
class Model(nn.Module):
    def __init__(self, features, groups, shape):
        self.unseen = 4096
batch_size, features = 128, 64 * 12  # a comment
groups = 12
height = width = 224
shape = (features, 1, 1)
unused = 5000
layers = [512] * 20
def get_inputs():
    return [torch.rand(batch_size, features, height, width), torch.rand(2 * height, 96)]
def get_init_inputs():
    return [features, groups, shape, layers]
"""


def a_suite(folder: Path, *names: str) -> Path:
    for name in names:
        file = folder / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# {name}")
    return folder


def names(suite: Path | str, *levels: str, only: str = "*") -> list[str]:
    return [problem.name for problem in suites.listed(str(suite), levels, only)]


# Suites


def test_a_checkout_has_levels_and_its_problems_go_by_number(tmp_path: Path) -> None:
    checkout = a_suite(
        tmp_path, "setup", "KernelBench/level1/10_ReLU", "KernelBench/level1/2_Tanh", "KernelBench/level2/1_Mix"
    )
    assert names(checkout) == ["level1/2_Tanh", "level1/10_ReLU", "level2/1_Mix"]
    assert names(checkout, "2") == ["level2/1_Mix"]
    assert names(checkout / "KernelBench", "1", only="*eLU") == ["level1/10_ReLU"]


def test_any_folder_is_a_suite_and_its_subfolders_are_levels(tmp_path: Path) -> None:
    folder = a_suite(
        tmp_path,
        "mlp",
        "losses/mse",
        "__init__",
        ".venv/hidden",
        "kernelwright-out/mlp/kernel",
        "losses/__pycache__/mse",
    )
    found = suites.listed(str(folder))
    assert [(one.name, one.level, one.text) for one in found] == [
        ("losses/mse", "losses", "# losses/mse"),
        ("mlp", "", "# mlp"),
    ]


def test_a_pattern_is_asked_of_the_whole_name_and_of_its_last_part(tmp_path: Path) -> None:
    folder = a_suite(tmp_path, "level1/1_Softmax", "level2/1_Softmax")
    assert names(folder, only="1_Soft*") == ["level1/1_Softmax", "level2/1_Softmax"]
    assert names(folder, only="level2/*") == ["level2/1_Softmax"]


def test_a_file_that_is_no_text_is_listed_as_broken(tmp_path: Path) -> None:
    (tmp_path / "binary.py").write_bytes(b"\xff\xfe\x00")
    (found,) = suites.listed(str(tmp_path))
    assert found.name == "binary" and "binary.py" in found.broken


@pytest.mark.parametrize(
    ("suite", "levels", "only", "said"),
    [
        ("nowhere", (), "*", "nowhere does not exist"),
        ("level1/1_a.py", (), "*", "is a file"),
        ("empty", (), "*", "no reference file"),
        (".", ("7",), "*", "no level '7'; it has 1"),
        (".", (), "*Softmax*", r"nothing in \. is called '\*Softmax\*': 1 problems, such as level1/1_a"),
    ],
)
def test_what_is_no_suite_or_not_in_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suite: str, levels: tuple[str, ...], only: str, said: str
) -> None:
    a_suite(tmp_path, "level1/1_a")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=said):
        suites.listed(suite, levels, only)


def test_two_problems_never_share_a_file_of_the_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a/b and a__b"):
        suites.listed(str(a_suite(tmp_path, "a/b", "a__b")))


def test_a_data_set_of_the_hub_is_a_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"problem_id": 12, "name": "12_Gemm", "code": "x"}, {"problem_id": 3, "name": "Mish", "code": "y"}]
    monkeypatch.setitem(
        sys.modules, "datasets", SimpleNamespace(load_dataset=lambda name: {"level_2": rows, "extra": []})
    )
    assert names("hf:OWNER/NAME", "2") == ["level2/3_Mish", "level2/12_Gemm"]


def test_without_the_package_the_hub_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MachineError, match="pip install datasets"):
        suites.listed("hf:OWNER/NAME")


# Sizes


def test_sizes_are_what_the_two_functions_see() -> None:
    found = {(size.name, size.value) for size in find_sizes(CONVOLUTION) if size.value >= LEAST}
    assert found == {
        ("batch_size", 128),
        ("features", 768),
        ("height", 224),  # one number that has two names
        ("width", 224),
        ("layers[0]", 512),
        ("get_inputs[0]", 96),
    }


def test_a_scaled_file_differs_in_its_sizes_alone() -> None:
    text, scaling = next(attempts(CONVOLUTION, 0.25))
    changed = [line for line, old in zip(text.splitlines(), CONVOLUTION.splitlines(), strict=True) if line != old]
    assert changed == [
        "batch_size, features = 32, 192  # a comment",
        "height = width = 56",
        "layers = [128] * 20",
        "    return [torch.rand(batch_size, features, height, width), torch.rand(2 * height, 24)]",
    ]
    assert Scaling("features", 768, 192) in scaling


def test_a_model_that_needs_more_room_gets_extents_twice_as_large() -> None:
    heights = [[one.used for one in scaling if one.name == "height"] for _, scaling in attempts(CONVOLUTION, 0.125)]
    assert heights == [[28], [28], [56], [112], [], []]


def test_where_all_sizes_are_too_many_fewer_are_scaled() -> None:
    scaled = [{one.name for one in scaling} for _, scaling in attempts(CONVOLUTION, 0.5)]
    outer = {"batch_size", "height", "width", "get_inputs[0]"}
    assert scaled == [outer | {"features", "layers[0]"}, outer, {"batch_size"}, set()]
    assert list(attempts(CONVOLUTION, 0.25))[-1] == (CONVOLUTION, ())


def test_every_attempt_is_python_and_the_same_every_time() -> None:
    texts = [text for text, _ in attempts(CONVOLUTION, 0.1)]
    assert texts == [text for text, _ in attempts(CONVOLUTION, 0.1)]
    assert all(ast.parse(text) for text in texts)


@pytest.mark.parametrize(
    ("value", "scale", "wanted"),
    [
        (4096, 0.1, 384),
        (4096, 0.25, 1024),
        (15, 0.1, 15),
        (64, 0.1, 16),
        (8191, 0.1, 819),
        (100, 1.0, 100),
        (17, 0.5, 16),
    ],
)
def test_a_size_is_rounded_to_powers_of_two_that_it_had(value: int, scale: float, wanted: int) -> None:
    assert scaled_value(value, scale) == wanted


def test_what_divided_a_size_divides_it_afterwards() -> None:
    used = scaled_values(
        find_sizes("heads = 12\npatch = 16\nwidth = 768\ndef get_inputs(): return heads, patch, width"), 0.1
    )
    assert used[768] % 12 == 0 and used[768] % 16 == 0 and used[768] < 768


def test_a_file_that_is_no_python_is_left_as_it_is() -> None:
    assert list(attempts("def (", 0.1)) == [("def (", ())]
