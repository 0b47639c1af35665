"""The tables of an inversion say what the records say."""

from pathlib import Path

import pytest

from riemann_noise_pytorch.report.inversion_records import InversionRecords, read_inversion
from riemann_noise_pytorch.report.inversion_tables import (
    about,
    ending_table,
    gain_text,
    layer_table,
    median_table,
    notes,
    score_table,
)
from tests.report.inversion_folder import fabricate


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> InversionRecords:
    return read_inversion(fabricate(tmp_path_factory.mktemp("tables") / "out").path)


def test_each_image_has_a_row_for_each_noise_and_the_medians_come_first(records: InversionRecords) -> None:
    table = score_table(records)
    assert [column.heading for column in table.columns] == [
        *("image", "noise", "PSNR", "SSIM", "MSE", "distance", "change")
    ]
    assert [row[0] for row in table.rows] == [
        *["median of 3"] * 3, *["face 00.png"] * 3, *["face 01.png"] * 3, *["face 02.png"] * 3
    ]  # fmt: skip
    assert [row[1] for row in table.rows[:3]] == ["frozen", "optimised", "fresh, 16 draws"]
    assert list(table.rows[3]) == ["face 00.png", "frozen", "20.00", "0.500", "0.0400", "0.200", "–"]
    assert list(table.rows[4]) == ["face 00.png", "optimised", "27.50", "0.500", "0.00400", "0.0500", "–"]
    assert list(table.rows[5]) == ["face 00.png", "fresh, 16 draws", "19.25 ± 0.31", "–", "–", "–", "7.77"]


def test_medians_are_over_the_images(records: InversionRecords) -> None:
    table = median_table(records)
    assert [row[2] for row in table.rows] == ["21.00", "28.50", "20.25"]
    assert table.rows[0][3:5] == ["0.600", "0.0200"]


def test_one_image_has_no_median(tmp_path: Path) -> None:
    one = read_inversion(fabricate(tmp_path / "out", images=1).path)
    assert [row[0] for row in median_table(one).rows] == ["face 00.png"] * 3
    assert len(score_table(one).rows) == 3


def test_a_generator_without_noise_has_one_row_for_each_image(tmp_path: Path) -> None:
    plain = read_inversion(fabricate(tmp_path / "out", noise=False, layers=()).path)
    table = score_table(plain)
    assert [row[1] for row in table.rows] == ["none"] * 4
    assert "change" not in [column.heading for column in table.columns]
    assert not any("PSNR with the noise" in note for note in table.notes)


def test_noise_that_was_not_optimised_is_called_frozen(tmp_path: Path) -> None:
    frozen = read_inversion(fabricate(tmp_path / "out", noise=False).path)
    assert {row[1] for row in score_table(frozen).rows} == {"frozen"}


def test_small_images_have_no_column_of_ssim(tmp_path: Path) -> None:
    small = read_inversion(fabricate(tmp_path / "out", size=8).path)
    assert "SSIM" not in [column.heading for column in score_table(small).columns]


def test_a_reconstruction_that_is_not_finite_has_no_numbers(tmp_path: Path) -> None:
    folder = fabricate(tmp_path / "out", images=1)
    folder.of("image")[0]["with"] = dict.fromkeys(("psnr", "ssim", "mse", "perceptual"))
    assert list(score_table(read_inversion(folder.write().path)).rows[1][2:]) == ["–"] * 5


def test_what_was_gained_and_by_which_distance_is_told(records: InversionRecords) -> None:
    assert notes(records) == [
        "fresh draws among themselves: standard deviation of a pixel 3.25 of 255",
        "optimised noise: root mean square 1.50, drawn noise about 1",
        "distance: pyramid distance, 4 levels",
    ]
    assert gain_text(records) == "median +7.31 dB, 95 % interval 6.50 to 8.00"


def test_the_share_that_was_found_is_noted_where_no_sentence_tells_it(tmp_path: Path) -> None:
    one = read_inversion(fabricate(tmp_path / "out", images=1, restarts=1).path)
    assert notes(one)[0] == "above 30 dB, noise frozen: 50 % of the images"
    plain = read_inversion(fabricate(tmp_path / "plain", noise=False, layers=(), restarts=1).path)
    assert notes(plain)[0] == "above 30 dB: 50 % of the images"


def test_the_gain_of_a_single_image_has_no_interval_and_without_noise_there_is_none(tmp_path: Path) -> None:
    folder = fabricate(tmp_path / "out", images=1)
    folder.of("summary")[0]["gain"] = {"median": -0.5, "low": None, "high": None}
    assert gain_text(read_inversion(folder.write().path)) == "median -0.50 dB"
    plain = fabricate(tmp_path / "plain", noise=False, layers=())
    assert gain_text(read_inversion(plain.path)) == ""


def test_all_restarts_are_told_also_those_that_found_nothing(records: InversionRecords) -> None:
    table = ending_table(records)
    assert list(table.rows[0]) == ["face 00.png", "2 of 2", "30 + 10", "all steps", "0.0200, 0.00400", "none"]


def test_a_single_start_has_no_others(tmp_path: Path) -> None:
    table = ending_table(read_inversion(fabricate(tmp_path / "out", restarts=1).path))
    assert [column.heading for column in table.columns] == ["image", "steps", "ended", "loss"]


def test_the_learned_strength_of_each_layer_is_told(records: InversionRecords) -> None:
    assert list(layer_table(records).rows[0]) == ["stage4.noise", "0.100"]


def test_the_first_line_says_what_was_inverted(records: InversionRecords) -> None:
    assert about(records) == (
        "runs/rings · 00060000.safetensors · 3 images of 1x16x16 · z-restarts in z · 2 starts each"
    )
