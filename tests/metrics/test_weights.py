"""Published files are told by their hashes; files are read as tensors alone."""

import hashlib
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.metrics import weights
from riemann_noise_pytorch.metrics.weights import (
    INCEPTION,
    VGG16,
    PublishedFile,
    check_weights,
    file_sha256,
    read_weights,
)

PUBLISHED = [value for value in vars(weights).values() if isinstance(value, PublishedFile)]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.arange(3.0)}, path)
    return path


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda published: published.file)
def test_published_hashes_are_whole_and_agree_with_the_names_of_files(published):
    assert len(published.sha256) == 64
    assert set(published.sha256) <= set("0123456789abcdef")
    *_, digits = published.file.removesuffix(".pth").split("-")
    assert len(digits) != 8 or published.sha256.startswith(digits)


def test_the_hash_is_sha256(file):
    assert file_sha256(file) == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_file_is_the_published_one_by_its_hash_alone(file):
    same, other = replace(VGG16, sha256=file_sha256(file)).read(file), VGG16.read(file)
    assert same.official
    assert same.name("VGG16") == "VGG16"
    assert not other.official
    assert other.name("VGG16") == f"VGG16 with weights {file_sha256(file)[:8]}"
    assert torch.equal(other.state["a"], torch.arange(3.0))


@pytest.mark.parametrize("name", [VGG16.file, "copy-397923af.pth"])
def test_a_file_that_bears_the_published_hash_in_its_name_must_have_it(tmp_path, name):
    torch.save({"a": torch.zeros(1)}, tmp_path / name)
    with pytest.raises(InputError, match=f"not {VGG16.sha256}; download it again, or rename it"):
        VGG16.read(tmp_path / name)


def test_a_demanded_hash_is_checked_in_any_case(file):
    found = file_sha256(file)
    assert VGG16.read(file, found.upper()).sha256 == found
    assert set(read_weights(file, found.upper())) == {"a"}
    for read in (VGG16.read, read_weights):
        with pytest.raises(InputError, match=f"has the hash {found}, not {'0' * 64}"):
            read(file, "0" * 64)


def test_the_option_comes_before_the_variable(file, monkeypatch):
    monkeypatch.setenv("RIEMANN_NOISE_INCEPTION", "elsewhere")
    assert INCEPTION.locate(file) == file
    assert INCEPTION.locate(None).name == "elsewhere"
    monkeypatch.setenv("RIEMANN_NOISE_INCEPTION", "")
    with pytest.raises(
        InputError,
        match=r"INCEPTION to its path \(or, .* --inception-weights\); nothing is",
    ):
        INCEPTION.locate(None)


def test_folders_and_missing_files_are_refused(tmp_path):
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InputError, match="no weights at"):
            read_weights(path)
        with pytest.raises(InputError, match="cannot read"):
            file_sha256(path)


def test_the_first_wrong_tensor_is_named(tmp_path):
    path = tmp_path / "w.pth"
    state = {"a": torch.zeros(2), "b": torch.zeros(3), "more": torch.zeros(1)}
    wanted = {"a": torch.Size([2]), "b": torch.Size([3])}
    check_weights(state, wanted, path, "X")
    with pytest.raises(
        InputError, match=r"no file of X: 'b' should have shape \(4,\), but there is shape \(3,\)"
    ):
        check_weights(state, wanted | {"b": torch.Size([4])}, path, "X")
    with pytest.raises(InputError, match=r"'c' should have shape \(1,\), but there is nothing"):
        check_weights(state, wanted | {"c": torch.Size([1])}, path, "X")
    with pytest.raises(InputError, match="NaN or infinity in 'b'"):
        check_weights(state | {"b": torch.full((3,), torch.inf)}, wanted, path, "X")
