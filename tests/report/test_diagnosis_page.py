import re

import numpy as np
import pytest

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.report import read_diagnosis, write_diagnosis_page
from riemann_noise_pytorch.report.diagnosis_page import about, headline
from tests.report.diagnosis_folder import GROUPS, LAYERS, fabricate
from tests.report.parsed_page import HOSTILE, Page, assert_whole_and_alone


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The page of a complete diagnosis, as text."""
    return write_diagnosis_page(fabricate(tmp_path_factory.mktemp("page")).path).read_text(encoding="utf-8")


@pytest.fixture
def small(tmp_path):
    return fabricate(tmp_path / "out", layers=LAYERS[-2:], joint=False)


def _written(folder):
    return Page(write_diagnosis_page(folder.write().path).read_text(encoding="utf-8"))


def test_the_page_is_whole_asks_nothing_and_runs_nothing(whole):
    assert_whole_and_alone(whole)


def test_the_answer_comes_first_then_the_remedies_then_the_layers(whole):
    text = Page(whole).text
    places = [
        text.index(words)
        for words in (
            "Where does the generator lose dimensions? Rank falls from 48 to 23 at stage16.conv, and 1 more",
            "Problem rank falls from 48 to 23",
            "Try: widen stage16.conv",
            "riemann-noise train --preset dcgan-rni --data photos",
            "Note noise of stage16.noise is ignored",
            "Good noise adds",
            "Rank by layer",
            "Rank by depth",
            "Spectra",
            "Condition Look for",
            "Latent and noise Look for",
            "Where in the image",
            "Samples",
            "How it was measured",
            "To end in time",
            "Environment",
        )
    ]
    assert places == sorted(places)


@pytest.mark.parametrize("words", [*(name for name, _, _ in LAYERS), *GROUPS, "64×4×4", "63 (60–63)?"])
def test_all_layers_and_groups_appear(whole, words):
    assert words in Page(whole).text


def test_commands_stand_alone_and_are_selected_at_once(whole):
    commands = re.findall(r"<pre><code>(.*?)</code></pre>", whole)
    assert len(commands) == 2
    assert commands[1].endswith("--z-dim 128")
    assert re.search(r"\.cards pre \{[^}]*user-select: all", whole)


def test_every_figure_says_what_to_look_for(whole):
    assert whole.count("Look for") == whole.count("<figcaption>")


def test_dark_pages_have_their_own_diagrams(whole):
    page = Page(whole)
    diagrams = [image for image in page.all("img") if "svg" in image["src"][:20]]
    assert len(diagrams) == len(page.all("source")) == 2 + 2 + 2 + 1
    assert all(source["media"] == "(prefers-color-scheme: dark)" for source in page.all("source"))


def test_each_group_has_its_map_and_one_scale(whole):
    alts = [image["alt"] for image in Page(whole).all("img")]
    assert [f"share of each pixel's variance that {group} has" in alts for group in GROUPS] == [True] * 4
    assert "colour scale of the shares" in alts


def test_bars_in_the_table_are_the_shares_of_the_inputs(whole):
    shares = [float(share) for share in re.findall(r"--share: ([\d.]+)%", whole)]
    assert shares == [round(100 * rank / 64, 2) for _, _, rank in LAYERS]


def test_equal_folders_give_equal_pages(tmp_path):
    one, two = (
        write_diagnosis_page(fabricate(tmp_path / name, layers=LAYERS[-1:], joint=False).path)
        for name in "ab"
    )
    assert one.read_bytes() == two.read_bytes()


def test_no_path_of_the_machine_enters_the_page(small):
    assert str(small.path) not in write_diagnosis_page(small.path).read_text()


def test_hostile_text_is_shown_and_never_run(small):
    for record in small.of("finding"):
        record.update(title=HOSTILE, text=HOSTILE, remedy=HOSTILE, command=HOSTILE)
    for record in small.of("layer"):
        folder_key = f"spectrum/z/{record['name']}"
        small.tensors[f"spectrum/z/{HOSTILE}{record['order']}"] = small.tensors.pop(folder_key)
        record["name"] = f"{HOSTILE}{record['order']}"
    for record in small.of("share"):
        record["group"] = HOSTILE
    setup = small.of("setup")[0]
    setup.update(version=HOSTILE, options={HOSTILE: [HOSTILE]}, environment={HOSTILE: HOSTILE})
    setup["target"] = {"name": HOSTILE, "snapshot": HOSTILE, "z_dim": HOSTILE}
    page = _written(small)
    assert not page.all("script")
    assert page.text.count(HOSTILE) >= 15
    assert "49" not in page.text.replace(HOSTILE, "").split()


@pytest.mark.parametrize("kinds", [("condition",), ("share", "profile"), ("dimension", "finding", "sample")])
def test_what_was_not_measured_is_left_out_without_harm(small, kinds):
    for kind in kinds:
        small.drop(kind)
    assert _written(small).all("img")


def test_a_diagnosis_of_ranks_alone_has_a_page(small):
    for kind in ("condition", "share", "dimension", "finding", "profile", "sample"):
        small.drop(kind)
    small.tensors = {"samples": small.tensors["samples"]}
    page = _written(small)
    assert "Nothing was found that is wrong." in page.text
    for title in ("Spectra", "Condition", "Latent and noise"):
        assert f"<h2>{title}" not in page.text


def test_without_a_problem_the_page_says_so(small):
    for record in small.of("finding", severity="problem"):
        record["severity"] = "note"
    records = read_diagnosis(small.write().path)
    assert headline(records) == "No problem was found, but noise of stage16.noise is ignored."
    small.drop("finding", severity="note")
    assert (
        headline(read_diagnosis(small.write().path)) == "No problem was found: noise adds 1,000 dimensions."
    )


def test_the_first_line_says_what_was_diagnosed(small):
    assert about(read_diagnosis(small.path)) == (
        "runs/rings · 00060000.safetensors · 64 latent dimensions to 1x16x16 · 4 latents"
    )


def test_colour_images_and_other_sizes_fit(tmp_path):
    folder = fabricate(tmp_path, layers=LAYERS[-1:], size=48)
    folder.tensors["samples"] = folder.tensors["samples"].repeat(3, axis=1)
    assert _written(folder).all("img")


def test_large_samples_and_maps_are_shrunk(small):
    small.tensors["samples"] = np.full((16, 3, 512, 512), 100, dtype=np.uint8)
    for group in GROUPS:
        small.tensors[f"attribution/{group}"] = np.zeros((512, 512))
    pictures = [image for image in _written(small).all("img") if image.get("class") == "pixels"]
    assert max(int(image["width"]) for image in pictures) == 3 * 170 + 2


def test_a_generator_without_noise_has_no_section_on_it(small):
    for group in [*GROUPS][1:]:
        small.drop("share", group=group)
    text = _written(small).text
    assert "Latent and noise" not in text
    assert "variance by latent in all" in text


def test_a_failure_leaves_the_old_page_alone(small):
    before = write_diagnosis_page(small.path).read_bytes()
    (small.path / "diagnosis.safetensors").unlink()
    with pytest.raises(InputError, match=r"diagnosis\.safetensors is missing"):
        write_diagnosis_page(small.path)
    assert (small.path / "diagnosis.html").read_bytes() == before
    assert not list(small.path.glob(".*"))
