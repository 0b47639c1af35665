"""`riemann-noise sample`: the image of a seed depends on that seed alone."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from riemann_noise_pytorch.cli.allocator import OFF
from riemann_noise_pytorch.cli.main import main
from riemann_noise_pytorch.cli.sample import MOST_IMAGES, images_of_seeds, parse_seeds
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.models.interfaces import Generator
from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.training.checkpoints import load_generator


@pytest.fixture(scope="module")
def generator(run: Path) -> Generator:
    return load_generator(run)


def test_a_grid_is_written(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "made" / "grid.png"
    assert main(["sample", str(run), "--seeds", "0-5", "--columns", "3", "--scale", "2", f"--out={out}"]) == 0
    assert Image.open(out).size == ((3 * 16 + 2) * 2, (2 * 16 + 1) * 2)


def test_the_image_of_a_seed_does_not_see_its_neighbours(generator: Generator) -> None:
    together = images_of_seeds(generator, [7, 3, 5])
    assert torch.equal(together[1:2], images_of_seeds(generator, [3]))


def test_noise_modes_are_what_they_say(generator: Generator) -> None:
    random, const, none = (images_of_seeds(generator, [0, 1], mode) for mode in ("random", "const", "none"))
    assert torch.equal(random[0], const[0])  # the noise that all share is that of seed 0
    assert not torch.equal(random[1], const[1])
    assert not torch.equal(const[1], none[1])
    assert not torch.equal(random[1], images_of_seeds(generator, [1], "random", noise_seed=1)[0])
    assert torch.equal(none, images_of_seeds(generator, [0, 1], "none", noise_seed=1))


def test_both_kinds_of_weights_can_be_had(run: Path, tmp_path: Path) -> None:
    for which in ("ema", "raw"):
        assert main(["sample", str(run), "--seeds", "0", "--which", which, f"--out={tmp_path / which}"]) == 0
    assert (tmp_path / "ema").read_bytes() != (tmp_path / "raw").read_bytes()


STYLEGAN2 = [
    *("--preset", "stylegan2-eni-small", "--noise-strength", "0.3", "--conditional", "--device", "cpu"),
    *("--resolution", "16", "--z-dim", "4", "--w-dim", "4", "--mapping-layers", "1", "--channel-max", "4"),
    *("--batch", "8", "--kimg", "0.016", "--tick-kimg", "0.016", "--sample-grid", "4"),
]


@pytest.fixture(scope="module")
def styled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of stylegan2 with noise and classes."""
    folder = tmp_path_factory.mktemp("runs") / "styled"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(OFF, "1")
        assert main(["train", *STYLEGAN2, "--out", str(folder)]) == 0
    return folder


def test_stylegan2_has_stored_noise_truncation_and_classes(styled: Path, tmp_path: Path) -> None:
    generator = load_generator(styled)
    seed, stream = 12, torch.Generator().manual_seed(derive(12, "sample", "z"))
    z, label = torch.randn(1, 4, generator=stream), torch.tensor([2])
    with torch.no_grad():
        const = generator(z, label, noise_mode="const")
        none = generator(z, label, noise_mode="none")
        cut = generator(z, torch.tensor([5]), noise_mode="none", truncation_psi=0.5, truncation_cutoff=2)
    assert torch.equal(images_of_seeds(generator, [seed], "const"), const)
    assert torch.equal(images_of_seeds(generator, [seed], "none"), none)
    assert not torch.equal(images_of_seeds(generator, [seed]), const)
    options = {"truncation_psi": 0.5, "truncation_cutoff": 2}
    assert torch.equal(images_of_seeds(generator, [seed], "none", options=options, label=5), cut)
    given_options = ["--truncation-psi", "0.5", "--truncation-cutoff", "2", "--class", "5"]
    assert main(["sample", str(styled), *given_options, f"--out={tmp_path / 'cut.png'}"]) == 0
    assert main(["sample", str(styled), f"--out={tmp_path / 'whole.png'}"]) == 0
    assert (tmp_path / "cut.png").read_bytes() != (tmp_path / "whole.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--truncation-psi", "nan"], "truncation_psi is nan"),
        (["--truncation-cutoff", "2"], "no meaning with truncation psi 1"),
        (["--truncation-psi", "0.5", "--truncation-cutoff", "99"], "w has 6 rows; give at most that"),
        (["--truncation-psi", "0.5", "--truncation-cutoff", "-1"], "truncation_cutoff"),
        (["--noise-mode", "const", "--noise-seed", "1"], "whose maps are stored; leave it out"),
        (["--class", "10"], "has the classes 0 to 9; give one of them"),
        (["--class", "-1"], "has the classes 0 to 9"),
    ],
)
def test_what_stylegan2_cannot_do_is_refused(
    arguments: list[str], words: str, styled: Path, refused: Callable[..., str]
) -> None:
    assert words in refused("sample", styled, *arguments)


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 20)), min_size=1, max_size=5))
def test_seeds_are_read_as_they_are_written(ranges: list[tuple[int, int]]) -> None:
    text = ", ".join(f"{low}-{low + more}" if more else str(low) for low, more in ranges)
    assert parse_seeds(text) == [seed for low, more in ranges for seed in range(low, low + more + 1)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "0-35"),
        ("a", "cannot be read at 'a'"),
        ("1,,2", "cannot be read"),
        ("-3", "cannot be read at '-3'"),
        ("1-2-3", "cannot be read"),
        ("0.5", "cannot be read"),
        ("9-5", "backwards; write 5-9"),
        (f"0-{MOST_IMAGES}", f"at most {MOST_IMAGES}"),
        ("9" * 30, "too large"),
    ],
)
def test_malformed_seeds_are_refused(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse_seeds(text)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seeds", "5-1"], "backwards"),
        (["--seeds=x"], "0-35"),
        (["--which", "best"], "ema"),
        (["--noise-mode", "loud"], "const"),
        (["--noise-seed", "-1"], "negative"),
        (["--truncation-psi", "0.7"], "has no w to truncate; leave it out, or give a run of stylegan2"),
        (["--truncation-cutoff", "2"], "no meaning with truncation psi 1"),
        (["--class", "0"], "has none; leave it out"),
        (["--columns", "0"], "columns"),
        (["--scale", "0"], "scale"),
    ],
)
def test_options_that_cannot_be_used_are_refused(
    arguments: list[str], words: str, run: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    assert words in refused("sample", run, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_missing_damaged_or_foreign_is_refused(
    run: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    assert "RUN" in refused("sample").upper()
    assert "nowhere" in refused("sample", "nowhere")
    assert "snapshots" in refused("sample", tmp_path)
    snapshot = tmp_path / "cut.safetensors"
    shutil.copy(next((run / "snapshots").glob("*32.safetensors")), snapshot)
    snapshot.write_bytes(snapshot.read_bytes()[:1000])
    assert "damaged" in refused("sample", snapshot)
    snapshot.write_bytes(b"\x80\x04no pickle is ever opened")
    assert "damaged or no snapshot" in refused("sample", snapshot)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused(run: Path, refused: Callable[..., str]) -> None:
    assert "--device cpu" in refused("sample", run, "--device", "cuda")
