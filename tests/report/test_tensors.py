"""Tensors are read by name and form; what else a file holds is left alone, what does not fit is named."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.report.tensors import Form, read_tensors

FORMS = {"images": Form(4, "u"), "maps": Form(3, "f"), "maps/index": Form(1, "i")}


def _read(path: Path, **tensors: np.ndarray):
    save_file({name.replace("__", "/"): tensor for name, tensor in tensors.items()}, path)
    return read_tensors(path, FORMS, "run it again")


def test_a_whole_name_goes_before_its_first_part(tmp_path: Path) -> None:
    found = _read(
        tmp_path / "tensors",
        images=np.ones((1, 1, 2, 2), np.uint8),
        maps__one=np.ones((1, 2, 2), np.float16),
        maps__index=np.arange(3),
        novelty=np.ones(2),
    )
    assert sorted(found) == ["images", "maps/index", "maps/one"]
    assert found["maps/index"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "tensor", [np.ones((1, 1, 2, 2)), np.ones((1, 2, 2), np.uint8), np.ones((0, 1, 2, 2), np.uint8)]
)
def test_another_type_shape_or_nothing_at_all_is_refused(tmp_path: Path, tensor: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"'images' is (float64|uint8) .*; run it again"):
        _read(tmp_path / "tensors", images=tensor)


def test_a_file_that_is_missing_or_cut_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tensors"
    with pytest.raises(InputError, match="tensors is missing; restore it, or run it again"):
        read_tensors(path, FORMS, "run it again")
    path.write_bytes(b"\x10")
    with pytest.raises(InputError, match=r"cannot read .*tensors: .*; run it again"):
        read_tensors(path, FORMS, "run it again")
