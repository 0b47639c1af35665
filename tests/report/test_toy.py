"""The toy's page, figure, animation and table say what the records say, and refuse what cannot be read."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image
from safetensors.numpy import save_file

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.report.tables import markdown, plain
from riemann_noise_pytorch.report.themes import DARK, LIGHT, styled
from riemann_noise_pytorch.report.toy import write_toy_report
from riemann_noise_pytorch.report.toy_course import _shades, modes_strips
from riemann_noise_pytorch.report.toy_figure import NEAR, points_figure
from riemann_noise_pytorch.report.toy_records import read_toy
from riemann_noise_pytorch.report.toy_tables import toy_table
from tests.report.parsed_page import HOSTILE, Page, assert_whole_and_alone
from tests.report.toy_folder import ARMS, STEPS, fabricate_toy, key_of, write


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("toy")
    fabricate_toy(path)
    write_toy_report(path)
    return path


def test_what_is_seen_comes_first(folder):
    text = Page((folder / "report.html").read_text(encoding="utf-8")).text
    places = [
        text.index(words)
        for words in ("What is seen.", "minimax: this.", "Side by side", "The numbers", "Found, and held?")
    ]
    assert places == sorted(places)


def test_the_page_is_whole_asks_nothing_and_runs_nothing(folder):
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert_whole_and_alone(text)
    assert str(folder) not in text
    assert sum(kind == "png" for kind, _ in Page(text).pictures) == 1


def test_the_animation_has_a_frame_for_each_checkpoint_and_rests_at_the_end(folder):
    with Image.open(folder / "animation.png") as animation:
        assert animation.n_frames == len(STEPS)
        times = []
        for frame in range(animation.n_frames):
            animation.seek(frame)
            times.append(animation.info["duration"])
    assert times[-1] > 10 * times[0]


def test_the_figure_has_a_row_for_each_arm_and_a_column_for_each_shown_step(folder):
    with styled(LIGHT):
        drawn = points_figure(read_toy(folder), 0, LIGHT)
    assert len(drawn.axes) == 2 * len(ARMS)
    width, height = drawn.get_size_inches() * drawn.dpi
    with Image.open(folder / "figure.png") as figure:
        assert figure.size == pytest.approx((width, height), abs=1)


def test_points_near_a_mode_are_drawn_apart_from_the_others(folder):
    records = read_toy(folder)
    with styled(LIGHT):
        _, others, near = points_figure(records, 1, LIGHT).axes[0].lines
    found = records.points[key_of(*ARMS[0])]
    assert len(near.get_xdata()) == found.near[1, 0].sum()
    assert len(others.get_xdata()) == (~found.near[1, 0]).sum()


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_each_arm_has_a_strip_for_each_seed_in_full_colour_where_all_modes_are_found(folder, theme):
    records = read_toy(folder)
    with styled(theme):
        *arms, _ = modes_strips(records, theme).axes
    assert len(arms) == len(ARMS)
    for axes in arms:
        pixels = np.asarray(axes.images[0].get_array())
        assert pixels.shape == (2, len(STEPS), 3)
        full = np.isclose(pixels, to_rgb(NEAR)).all(axis=2)
        assert (full == [False, True, False]).all()


def test_colours_of_strips_rise_with_the_modes():
    shades = _shades(np.arange(8), 7, LIGHT)
    away = np.abs(shades - 1).sum(axis=1)
    assert (np.diff(away) > 0).all()
    assert np.diff(away)[-1] > 5 * np.diff(away)[:-1].max()
    np.testing.assert_allclose(_shades(np.array([1]), 1, LIGHT), [to_rgb(NEAR)])


def test_records_from_before_the_count_of_seeds_are_read(tmp_path):
    records = fabricate_toy(tmp_path)
    for record in records:
        if record["record"] == "summary":
            record["held"] = {"mean": 0.5, "sd": None}
    write(tmp_path, records)
    assert toy_table(read_toy(tmp_path)).rows[0][7] == "50 %"


def test_the_table_has_every_arm_with_its_spread(folder):
    table = toy_table(read_toy(folder))
    assert [row[:2] for row in table.rows[:2]] == [
        ["minimax", "none"],
        ["minimax", "JS regulariser, γ = 0.1"],
    ]
    assert table.rows[1][2:] == [
        *("6.0 ± 0.1 of 7", "25 ± 10 %", "0.010 ± 0.100", "33 ± 10 %", "20 (1 of 2)", "0 % (1 of 2)"),
        "2.0 ± 0.1",
    ]
    assert table.rows[0][-1] == "–"
    assert "After 30 steps, over 2 seeds" in table.title
    assert markdown(table).count("\n") == 1 + len(ARMS)
    assert "instance noise, σ² = 0.1" in plain(table)


def test_one_seed_is_enough_and_has_no_spread(tmp_path):
    fabricate_toy(tmp_path, seeds=1)
    text = Page(write_toy_report(tmp_path).read_text(encoding="utf-8")).text
    assert "The other seeds" not in text
    assert toy_table(read_toy(tmp_path)).rows[0][2] == "6.0 of 7"


def test_in_the_plane_itself_nothing_is_off_the_plane(tmp_path):
    records = fabricate_toy(tmp_path, seeds=1)
    records[0]["mixture"]["ambient"] = 2
    write(tmp_path, records)
    assert toy_table(read_toy(tmp_path)).rows[0][4] == "–"
    text = Page(write_toy_report(tmp_path).read_text(encoding="utf-8")).text
    assert "three dimensions" not in text


def test_an_arm_that_never_found_all_modes_is_said(tmp_path):
    records = fabricate_toy(tmp_path)
    for record in records:
        if record["record"] == "summary":
            record |= {"covered": 0, "first_full": [], "held": None}
    write(tmp_path, records)
    row = toy_table(read_toy(tmp_path)).rows[0]
    assert row[6:8] == ["– (0 of 2)", "–"]


def test_equal_folders_give_equal_files(tmp_path):
    for name in ("a", "b"):
        fabricate_toy(tmp_path / name, seeds=1)
        write_toy_report(tmp_path / name)
    for file in ("report.html", "figure.png", "animation.png"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_hostile_text_is_shown_and_never_run(tmp_path):
    records = fabricate_toy(tmp_path, seeds=1)
    records[0]["mixture"]["name"] = HOSTILE
    records[0]["environment"] = {HOSTILE: HOSTILE}
    records[-1]["sentences"] = [HOSTILE]
    for arm in records[0]["arms"]:
        arm["method"] = HOSTILE
    write(tmp_path, records)
    page = Page(write_toy_report(tmp_path).read_text(encoding="utf-8"))
    assert not page.all("script")
    assert page.text.count(HOSTILE) >= 4


def test_points_that_lie_nowhere_do_not_break_the_pictures(tmp_path):
    fabricate_toy(tmp_path, seeds=1)
    points = np.full((1, 3, 40, 2), np.float16("inf"))
    near = np.zeros((1, 3, 40), np.uint8)
    save_file({"points": points, "near": near}, tmp_path / "artifacts" / f"{key_of(*ARMS[0])}.safetensors")
    assert write_toy_report(tmp_path).is_file()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path, records: (path / "records.jsonl").unlink(), "holds no records.jsonl"),
        (lambda path, records: write(path, records[1:]), "has no setup record"),
        (lambda path, records: write(path, records[:2]), "let `riemann-noise toy` finish first"),
        (lambda path, records: (path / "records.jsonl").write_text("{"), "line 1 is no JSON"),
        (
            lambda path, records: write(path, [records[0] | {"arms": [{}]}, *records[1:]]),
            "an arm lacks 'key'",
        ),
        (lambda path, records: (path / "artifacts" / "minimax-none.safetensors").unlink(), "minimax-none"),
        (
            lambda path, records: (path / "artifacts" / "minimax-none.safetensors").write_bytes(b"no"),
            "cannot read .*minimax-none",
        ),
        (
            lambda path, records: save_file(
                {"points": np.zeros((1, 3, 4, 2), np.float16), "near": np.zeros((1, 3, 4), np.uint8)},
                path / "artifacts" / "minimax-none.safetensors",
            ),
            "fit no 2 seeds",
        ),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, spoil, words):
    records = fabricate_toy(tmp_path)
    spoil(tmp_path, records)
    with pytest.raises(InputError, match=words):
        write_toy_report(tmp_path)
