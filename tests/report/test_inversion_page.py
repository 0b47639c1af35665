"""The page of an inversion: what is seen first, then every image with its errors and its noise."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.report import read_inversion, write_inversion_page
from riemann_noise_pytorch.report.inversion_animation import animated, animation_alt, last_frame
from riemann_noise_pytorch.report.inversion_page import protocol
from riemann_noise_pytorch.report.inversion_pictures import MOST_IMAGES, gallery, ways
from tests.report.inversion_folder import FRAME_STEPS, HEADLINE, LAYERS, OTHER, Folder, fabricate
from tests.report.parsed_page import HOSTILE, Page, assert_whole_and_alone


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    folder = fabricate(tmp_path_factory.mktemp("page") / "out")
    write_inversion_page(folder.path)
    return folder


@pytest.fixture(scope="module")
def whole(made: Folder) -> str:
    return (made.path / "inversion.html").read_text(encoding="utf-8")


@pytest.fixture
def small(tmp_path: Path) -> Folder:
    return fabricate(tmp_path / "out", images=2)


def _written(folder: Folder) -> Page:
    text = write_inversion_page(folder.write().path).read_text(encoding="utf-8")
    assert_whole_and_alone(text)
    return Page(text)


def test_the_page_is_whole_asks_nothing_and_runs_nothing(whole: str) -> None:
    assert_whole_and_alone(whole)


def test_what_is_seen_comes_first_then_the_images_then_how_they_were_found(whole: str) -> None:
    text = Page(whole).text
    places = [
        text.index(words)
        for words in (
            "Can the generator make these images? " + HEADLINE,
            OTHER,
            "median of 3",
            "Distance: pyramid",
            "Image by image",
            "face 00.png original",
            "How they were found",
            "From the first image to the second",
            "All numbers",
            "Noise by layer",
            "How each optimisation ended",
            "How it was done",
            "Recipe z-restarts, latents in z",
            "Environment",
        )
    ]
    assert places == sorted(places)


def test_each_image_is_shown_with_its_reconstructions_errors_draws_and_noise(whole: str) -> None:
    alts = [image["alt"] for image in Page(whole).all("img")]
    for i in range(3):
        name = f"face {i:02}.png"
        assert [alt.removeprefix(f"{name}, ") for alt in alts if alt.startswith(name)] == [
            "original",
            f"noise frozen, {20 + i}.00 dB",
            f"noise optimised, {27 + i}.50 dB",
            "difference of noise frozen from the original",
            "difference of noise optimised from the original",
            "noise maps of stage4.noise, stage8.noise, stage16.noise",
            f"4 fresh draws of the noise: {19 + i}.25 dB, pixels change by 7.8 of 255",
        ]


def test_no_two_pictures_have_the_same_words(whole: str) -> None:
    alts = [image["alt"] for image in Page(whole).all("img")]
    assert len(set(alts)) == len(alts)
    assert min(map(len, alts)) > 10


def test_every_figure_says_what_to_look_for(whole: str) -> None:
    assert whole.count("<figcaption>") == 3
    assert len(re.findall(r"<figcaption>[^<]*Look for", whole)) == 3


def test_original_and_reconstruction_are_drawn_pixel_by_pixel(made: Folder) -> None:
    tiles = gallery(read_inversion(made.path)).images[1].tiles
    for tile, name in zip(tiles[:3], ("targets", "without", "with"), strict=True):
        with Image.open(io.BytesIO(tile.picture.png)) as picture:
            assert picture.size == (96, 96)
            drawn = np.asarray(picture)[::6, ::6, 0]
        assert np.array_equal(drawn, made.tensors[name][1, 0])


def test_all_differences_share_one_scale_that_holds_nearly_all_of_them(made: Folder) -> None:
    view = gallery(read_inversion(made.path))
    targets = made.tensors["targets"].astype(float)
    errors = np.concatenate([np.abs(made.tensors[name] - targets).ravel() for name in ("without", "with")])
    assert 0.98 < (errors <= view.difference).mean() < 1


def test_the_noise_has_the_scale_of_noise_unless_it_grew(made: Folder, small: Folder) -> None:
    assert gallery(read_inversion(made.path)).noise == 3
    small.tensors["noise/stage16.noise"] *= 10
    assert 20 < gallery(read_inversion(small.write().path)).noise < 40


def test_the_animation_has_a_frame_for_each_step_rests_at_the_end_and_lies_beside(made: Folder) -> None:
    with Image.open(made.path / "animation.png") as animation:
        assert animation.n_frames == len(FRAME_STEPS)
        times = []
        for frame in range(animation.n_frames):
            animation.seek(frame)
            times.append(animation.info["duration"])
    assert times[-1] > 10 * times[0]


def test_who_wants_nothing_to_move_sees_the_end(whole: str) -> None:
    source = next(s for s in Page(whole).all("source") if "reduced-motion" in s["media"])
    with Image.open(_bytes(source["srcset"])) as still:
        assert getattr(still, "n_frames", 1) == 1
        moving = next(image for image in Page(whole).all("img") if image["alt"].startswith("Animation"))
        with Image.open(_bytes(moving["src"])) as animation:
            animation.seek(animation.n_frames - 1)
            assert np.array_equal(np.asarray(animation.convert("RGB")), np.asarray(still.convert("RGB")))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_animation_has_the_colours_of_the_images(channels: int, tmp_path: Path) -> None:
    records = read_inversion(fabricate(tmp_path / "out", images=1, channels=channels).path)
    with Image.open(io.BytesIO(last_frame(records).png)) as still:
        pixels = np.asarray(still.convert("RGB"))
    target = np.asarray(records.tensors["targets"][0, : min(3, channels)]).transpose(1, 2, 0)
    side = 64 // target.shape[0]
    shown = np.broadcast_to(target, (*target.shape[:2], 3)).repeat(side, 0).repeat(side, 1)
    top, left = 44, 14
    assert np.array_equal(pixels[top : top + 64, left : left + 64], shown)


def test_the_animation_shows_fewer_images_where_they_are_large(tmp_path: Path) -> None:
    folder = fabricate(tmp_path / "out", images=12, size=96, layers=LAYERS[:1])
    folder.tensors["frames"] = np.zeros((60, 12, 1, 96, 96), np.uint8)
    folder.tensors["frames/steps"] = np.arange(60)
    records = read_inversion(folder.write().path)
    assert animated(records) == 7
    assert "face 06.png" in animation_alt(records)
    assert "face 07.png" not in animation_alt(records)


def test_dark_pages_have_their_own_diagrams(whole: str) -> None:
    page = Page(whole)
    dark = [source for source in page.all("source") if source["media"] == "(prefers-color-scheme: dark)"]
    assert len(dark) == len([image for image in page.all("img") if "svg" in image["src"][:20]]) == 2


def test_of_many_images_the_first_are_shown_and_all_are_in_the_table(tmp_path: Path) -> None:
    page = _written(fabricate(tmp_path / "out", images=40, size=8, layers=LAYERS[:1]))
    originals = [image for image in page.all("img") if image["alt"].endswith(", original")]
    assert len(originals) == MOST_IMAGES
    assert f"{40 - MOST_IMAGES} more images: in the table below" in page.text
    assert all(page.text.count(f"face {i:02}.png") >= 2 for i in range(40))


def test_one_image_has_neither_a_way_nor_a_median(tmp_path: Path) -> None:
    folder = fabricate(tmp_path / "out", images=1, restarts=1)
    page = _written(folder)
    assert "From the first image" not in page.text
    assert "median of" not in page.text
    assert "The image Look for" in page.text
    assert ways(read_inversion(folder.path)) == []


def test_a_generator_without_noise_has_one_reconstruction_and_the_page_says_so(tmp_path: Path) -> None:
    page = _written(fabricate(tmp_path / "out", noise=False, layers=()))
    alts = [image["alt"] for image in page.all("img")]
    assert [alt.split(", ", 1)[1] for alt in alts if alt.startswith("face 00")] == [
        *("original", "reconstruction, 20.00 dB", "difference of reconstruction from the original")
    ]
    assert "The generator has no noise: there is one reconstruction" in page.text
    for words in (
        "noise optimised",
        "fresh",
        "Noise by layer",
        "on the way as well",
        "what the noise brings",
    ):
        assert words not in page.text


def test_noise_that_stayed_frozen_is_told(tmp_path: Path) -> None:
    assert "The noise was not optimised" in _written(fabricate(tmp_path / "out", noise=False)).text


def test_noise_without_maps_and_masks_are_told(small: Folder) -> None:
    setup = small.of("setup")[0]
    setup.update(layers=[], noise_layers=2, sequential=False, options={"mask": "mask.png"})
    for image in small.of("image"):
        image["with"] = None
    small.tensors = {name: each for name, each in small.tensors.items() if name != "with"}
    text = " ".join(protocol(read_inversion(small.write().path)))
    assert "no maps that could be optimised" in text
    assert "Masks hide parts of the images" in text


def test_a_mask_stands_beside_its_image(small: Folder) -> None:
    small.tensors["masks"] = np.full((2, 16, 16), 255, np.uint8)
    small.tensors["masks"][1, :8] = 0
    shown = gallery(read_inversion(small.write().path)).images
    assert [one.tiles[1].label for one in shown] == ["mask, white counts"] * 2
    image = np.asarray(Image.open(io.BytesIO(shown[1].tiles[1].picture.png)).convert("L"))
    half = len(image) // 2
    assert (image[:half].max(), image[half:].min()) == (0, 255)
    assert any("mask: white where it counts" in image["alt"] for image in _written(small).all("img"))
    small.tensors["masks"] = np.full((2, 8, 16), 255, np.uint8)
    with pytest.raises(InputError, match="'masks' of shape"):
        read_inversion(small.write().path)


@pytest.mark.parametrize(
    ("sequential", "words"), [(True, "the same latents"), (False, "two inversions with equal steps")]
)
def test_how_without_and_with_were_made_is_told(small: Folder, sequential: bool, words: str) -> None:
    small.of("setup")[0]["sequential"] = sequential
    assert any(words in line for line in protocol(read_inversion(small.write().path)))


def test_the_protocol_names_all_that_decides_the_numbers(whole: str) -> None:
    for words in (
        "Stage 1: latents, noise frozen, at most 30 steps of Adam, rate 0.1 ramped; made small: 1 mse.",
        "Stage 2: the noise alone, at most 10 steps of Adam, rate 5.0; made small: 1 mse + 100000 noise",
        "Of 2 starts of each image the one that ends with the least loss is shown.",
        "Fresh draws: 16 in place of the noise",
        "1 of 3 images were cropped and resized",
        "Distance: pyramid distance, 4 levels.",
    ):
        assert words in Page(whole).text


def test_what_was_not_recorded_is_left_out_without_harm(small: Folder) -> None:
    small.tensors = {name: small.tensors[name] for name in ("targets", "without", "with")}
    for image in small.of("image"):
        image["fresh"] = None
    small.of("summary")[0].update(gain=None, strengths={}, rates={}, sentences=[])
    page = _written(small)
    assert "Nothing was concluded." in page.text
    assert "Animation" not in " ".join(image["alt"] for image in page.all("img"))


def test_colours_odd_sides_and_single_layers_are_drawn(tmp_path: Path) -> None:
    folder = fabricate(tmp_path / "out", images=2, channels=3, size=24, layers=LAYERS[1:2])
    for name, tensor in folder.tensors.items():
        if tensor.dtype == np.uint8:
            folder.tensors[name] = tensor[..., :17].copy()
    folder.tensors["noise/stage8.noise"] = np.full((2, 12, 9), np.inf, np.float16)
    page = _written(folder)
    sizes = {
        (image["width"], image["height"]) for image in page.all("img") if "original" in image["alt"][-9:]
    }
    assert sizes == {("68", "96")}


def test_equal_folders_give_equal_pages(tmp_path: Path) -> None:
    one, two = (write_inversion_page(fabricate(tmp_path / name, images=2).path) for name in "ab")
    assert one.read_bytes() == two.read_bytes()


def test_no_path_of_the_machine_enters_the_page(whole: str, made: Folder) -> None:
    assert str(made.path) not in whole


def test_hostile_text_is_shown_and_never_run(small: Folder) -> None:
    setup = small.of("setup")[0]
    setup.update(
        version=HOSTILE, options={HOSTILE: [HOSTILE]}, recipe=HOSTILE, space=HOSTILE, distance=HOSTILE
    )
    setup.update(target={"name": HOSTILE, "snapshot": HOSTILE}, objectives=[HOSTILE])
    for i, image in enumerate(small.of("image")):
        image.update(name=f"{HOSTILE}{i}", ending=HOSTILE)
    small.of("summary")[0].update(sentences=[HOSTILE, HOSTILE], strengths={HOSTILE: 1.0})
    small.tensors[f"noise/{HOSTILE}"] = small.tensors.pop("noise/stage4.noise")
    page = _written(small)
    assert not page.all("script")
    assert page.text.count(HOSTILE) >= 15
    assert "49" not in page.text.replace(HOSTILE, "").split()


def test_a_damaged_folder_leaves_the_page_from_before(small: Folder) -> None:
    page = write_inversion_page(small.path)
    before = page.read_bytes()
    records = small.path / "inversion.jsonl"
    records.write_text(records.read_text()[:-40])
    with pytest.raises(InputError, match="is no JSON") as caught:
        write_inversion_page(small.path)
    assert "\n" not in str(caught.value)
    assert page.read_bytes() == before


def _bytes(uri: str) -> io.BytesIO:
    return io.BytesIO(base64.b64decode(uri.split(",", 1)[1]))
