"""Records and pictures of an inversion are read as they are, or refused in one line that names the fault."""

from pathlib import Path

import numpy as np
import pytest

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.report.inversion_records import read_inversion
from tests.report.inversion_folder import HEADLINE, LAYERS, Folder, fabricate


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return fabricate(tmp_path / "out")


def _line(folder: Folder) -> str:
    """The one-line message that reading this folder ends with."""
    with pytest.raises(InputError) as caught:
        read_inversion(folder.path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_every_record_and_tensor_is_read(folder: Folder) -> None:
    records = read_inversion(folder.path)
    assert [image.name for image in records.images] == ["face 00.png", "face 01.png", "face 02.png"]
    assert records.images[1].without["psnr"] == 21
    assert records.images[1].with_noise is not None
    assert records.images[1].with_noise["psnr"] == 28.5
    assert records.headline == HEADLINE
    assert (records.restarts, records.has_noise) == (2, True)
    assert list(records.noise) == [name for name, _ in LAYERS]
    assert records.tensors["fresh"].shape == (3, 4, 1, 16, 16)
    assert records.setup.name == "runs/rings"


def test_images_come_in_their_order_and_of_two_records_the_later_counts(folder: Folder) -> None:
    folder.records.reverse()
    folder.records.append(folder.of("image")[0] | {"name": "again"})
    assert [image.name for image in read_inversion(folder.write().path).images][2] == "again"


def test_one_image_of_a_generator_without_noise_is_read(tmp_path: Path) -> None:
    records = read_inversion(fabricate(tmp_path / "out", images=1, noise=False, layers=()).path)
    assert records.images[0].with_noise is None
    assert not records.has_noise
    assert not records.noise


def test_unknown_records_fields_and_tensors_are_left_alone(folder: Folder) -> None:
    folder.of("setup")[0]["novelty"] = 1
    folder.records.append({"record": "novelty"})
    folder.tensors["novelty"] = np.zeros(3)
    assert "novelty" not in read_inversion(folder.write().path).tensors


def test_pictures_that_are_only_drawn_may_be_missing(folder: Folder) -> None:
    folder.tensors = {name: folder.tensors[name] for name in ("targets", "without", "with")}
    assert len(read_inversion(folder.write().path).tensors) == 3


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    assert "holds no inversion.jsonl; give a folder written by `riemann-noise invert`" in _line(
        Folder(tmp_path)
    )


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("setup", "has no setup record"),
        ("summary", "lacks its summary; let `riemann-noise invert` finish first"),
        ("image", "lacks image 0; let `riemann-noise invert` finish first"),
    ],
)
def test_records_that_end_early_are_told(folder: Folder, kind: str, words: str) -> None:
    folder.records = [record for record in folder.records if record["record"] != kind]
    assert words in _line(folder.write())


def test_an_image_that_is_missing_between_others_is_named(folder: Folder) -> None:
    folder.records.remove(folder.of("image")[1])
    assert "lacks image 1" in _line(folder.write())


@pytest.mark.parametrize("text", ['{"record": "image", "na', "nonsense"])
def test_a_truncated_line_is_named_with_its_file_and_number(folder: Folder, text: str) -> None:
    path = folder.path / "inversion.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], text]))
    assert "inversion.jsonl, line 3 is no JSON" in _line(folder)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("with", "good", "'with' of an image has a wrong type"),
        ("without", None, "'without' of an image has a wrong type"),
        ("steps", 3, "'steps' of an image has a wrong type"),
        ("restart", 2, "losses and restarts of an image do not agree"),
        ("restart", -1, "losses and restarts of an image do not agree"),
        ("losses", [], "losses and restarts of an image do not agree"),
        ("losses", [[0.1], [0.1, 0.2]], "losses and restarts of an image do not agree"),
        ("losses", [[], []], "losses and restarts of an image do not agree"),
    ],
)
def test_an_image_that_cannot_be_is_refused(folder: Folder, field: str, value: object, words: str) -> None:
    folder.of("image")[0][field] = value
    line = _line(folder.write())
    assert "inversion.jsonl, line 2" in line
    assert words in line


def test_a_field_that_is_missing_is_named_as_in_the_record(folder: Folder) -> None:
    del folder.of("image")[0]["without"]
    assert "an image record lacks 'without'" in _line(folder.write())


def test_missing_and_truncated_pictures_are_named(folder: Folder) -> None:
    path = folder.path / "pictures.safetensors"
    path.write_bytes(path.read_bytes()[:300])
    assert "cannot read" in _line(folder)
    path.unlink()
    assert "pictures.safetensors is missing; restore it, or run `riemann-noise invert` again" in _line(folder)


@pytest.mark.parametrize("name", ["targets", "without", "with"])
def test_pictures_without_what_every_page_needs_are_refused(folder: Folder, name: str) -> None:
    del folder.tensors[name]
    assert f"holds no '{name}'" in _line(folder.write())


@pytest.mark.parametrize(
    ("name", "tensor", "words"),
    [
        ("targets", np.zeros((3, 1, 16, 16)), "'targets' is float64"),
        ("without", np.zeros((3, 1, 8, 8), np.uint8), "'without' of shape (3, 1, 8, 8) fits no 3 images"),
        ("with", np.zeros((2, 1, 16, 16), np.uint8), "'with' of shape (2, 1, 16, 16) fits no 3 images"),
        ("fresh", np.zeros((3, 0, 1, 16, 16), np.uint8), "'fresh' is uint8"),
        ("noise/x", np.zeros((1, 4, 4), np.float16), "'noise/x' of shape (1, 4, 4) fits no 3 images"),
        ("noise/x", np.zeros((3, 1, 4, 4), np.float16), "'noise/x' is float16"),
        ("frames", np.zeros((5, 4, 1, 16, 16), np.uint8), "'frames' shows more than 3 images"),
        ("frames/steps", np.arange(3), "the tensors of 'frames' differ in length"),
        ("curve/best", np.zeros(3), "the tensors of 'curve' differ in length"),
        ("interpolation/frozen", np.zeros((5, 3, 16, 16), np.uint8), "fits no 3 images"),
    ],
)
def test_pictures_of_other_images_are_refused(
    folder: Folder, name: str, tensor: np.ndarray, words: str
) -> None:
    folder.tensors[name] = tensor
    assert words in _line(folder.write())


def test_frames_without_their_steps_are_refused(folder: Folder) -> None:
    del folder.tensors["frames/steps"]
    assert "belong together" in _line(folder.write())
