"""Images that are not square, or have transparency, through the whole command line."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from riemann_noise_pytorch.cli.main import main

TINY = [
    *("--preset", "stylegan2-rni", "--channel-base", "64", "--channel-max", "8", "--w-dim", "8"),
    *("--z-dim", "6", "--mapping-layers", "1", "--batch", "4", "--kimg", "0.016", "--tick-kimg", "0.008"),
    *("--snapshot-ticks", "1", "--sample-grid", "4", "--device", "cpu"),
]


def pictures(folder: Path, height: int, width: int, channels: int = 3) -> Path:
    """A folder of 16 random images."""
    folder.mkdir()
    stream = np.random.default_rng(0)
    for number in range(16):
        pixels = stream.integers(0, 256, (height, width, channels), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def config_of(run: Path) -> dict[str, object]:
    return dict(json.loads((run / "config.json").read_text()))


@pytest.mark.parametrize(("height", "width"), [(16, 20), (32, 16)])
def test_a_run_of_oblong_images_is_resumed(
    height: int, width: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = pictures(tmp_path / "data", height, width)
    run = tmp_path / "run"
    assert main(["train", *TINY, "--data", str(data), "--out", str(run)]) == 0
    assert (config_of(run)["resolution"], config_of(run)["image_width"]) == (height, width)
    assert main(["train", "--resume", str(run), "--kimg", "0.024"]) == 0
    assert "00000024.safetensors" in capsys.readouterr().out


def test_images_are_resized_to_the_height_and_width_asked_for(tmp_path: Path) -> None:
    data, run = pictures(tmp_path / "data", 40, 40), tmp_path / "run"
    size = ["--resolution", "16", "--image-width", "20"]
    assert main(["train", *TINY, "--data", str(data), *size, "--out", str(run)]) == 0
    assert (config_of(run)["resolution"], config_of(run)["image_width"]) == (16, 20)


def test_a_width_without_a_height_is_refused(refused: Callable[..., str]) -> None:
    line = refused("train", *TINY, "--image-width", "20", "--out", "run")
    assert "image_width is 20" in line


def test_transparent_images_train_with_four_channels(tmp_path: Path) -> None:
    data, run = pictures(tmp_path / "data", 16, 16, channels=4), tmp_path / "run"
    assert main(["train", *TINY, "--data", str(data), "--channels", "4", "--out", str(run)]) == 0
    assert config_of(run)["channels"] == 4
    assert main(["sample", str(run), "--seeds", "0-3", "--out", str(tmp_path / "grid.png")]) == 0


def test_transparent_images_are_refused_without(tmp_path: Path, refused: Callable[..., str]) -> None:
    data = pictures(tmp_path / "data", 16, 16, channels=4)
    assert "ask for 4 channels" in refused("train", *TINY, "--data", data, "--out", "run")
