"""An inversion of files from end to end: what is written agrees with the generator, and with itself."""

from dataclasses import replace

import pytest
import torch

from riemann_noise_pytorch.data.imageset import to_float, to_uint8
from riemann_noise_pytorch.experiments.inversion import invert
from riemann_noise_pytorch.inversion.quality import mse, psnr, ssim
from riemann_noise_pytorch.inversion.reconstruction import reconstruct
from riemann_noise_pytorch.metrics.distances import PyramidDistance
from tests.experiments.inversion.subjects import (
    conditional,
    dcgan,
    inverted,
    pixels_of,
    png,
    stylegan2,
    target_of,
    write_pictures,
)
from tests.inversion import generators


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures") / "in", pixels_of())


@pytest.fixture(scope="module")
def sequential(folder, tmp_path_factory):
    target, told, losses, said = stylegan2(), [], [], []
    found = inverted(
        target,
        [folder],
        (out := tmp_path_factory.mktemp("inversion") / "out"),
        steps=(20, 30),
        report=lambda *each: told.append(each),
        on_loss=lambda *each: losses.append(each),
        say=said.append,
    )
    return target, out, found, told, losses, said


def test_the_recipe_is_the_richest_that_the_generator_takes(sequential, folder, tmp_path):
    setup = sequential[2][0][0]
    assert (setup["recipe"], setup["space"], setup["sequential"]) == ("image2stylegan++", "w+", True)
    assert setup["objectives"] == ["0.5 mse + 0.5 pyramid distance", "1 mse"]
    records, _, _ = inverted(stylegan2("none"), [folder], tmp_path / "a", steps=(2,))
    assert (records[0]["recipe"], records[0]["sequential"]) == ("image2stylegan", False)
    records, _, _ = inverted(dcgan(), [folder], tmp_path / "b", steps=(2,))
    assert (records[0]["recipe"], records[0]["restarts"]) == ("z-restarts", 4)
    assert [stage["noise"] for stage in records[0]["stages"]] == ["frozen", "optimised"]
    assert records[0]["layers"] == ["stage4.noise", "stage8.noise"]


def test_stored_latents_and_noise_make_the_reconstructions_again(sequential):
    target, out, (records, tensors, pictures), *_ = sequential
    noise = {name[6:]: maps for name, maps in tensors.items() if name.startswith("noise/")}
    images = reconstruct(target.generator, tensors["latents"], "w+", noise=noise)
    assert torch.equal(to_uint8(images), pictures["with"])
    assert torch.equal(png(out / "reconstructions/1.png"), pictures["with"][1, 0])
    values = torch.cat([maps.flatten(1) for maps in noise.values()], dim=1)
    assert [r["noise_rms"] for r in records[1:-1]] == pytest.approx(
        values.square().mean(dim=1).sqrt().tolist()
    )
    frozen = reconstruct(target.generator, tensors["latents/without"], "w+")
    assert torch.equal(to_uint8(frozen), pictures["without"])
    targets = to_float(pictures["targets"])
    for record, image, plain in zip(records[1:], images, frozen, strict=False):
        goal = targets[record["index"]][None].double()
        for side, found in (("with", image), ("without", plain)):
            one = found[None].double()
            assert record[side]["psnr"] == pytest.approx(float(psnr(one, goal)))
            assert record[side]["mse"] == pytest.approx(float(mse(one, goal)))
            assert record[side]["ssim"] == pytest.approx(float(ssim(one, goal)))
            distance = float(PyramidDistance()(one.float(), goal.float()))
            assert record[side]["perceptual"] == pytest.approx(distance, rel=1e-5)


def test_the_targets_are_the_files(sequential):
    assert torch.equal(sequential[2][2]["targets"][:, 0], torch.from_numpy(pixels_of()))


@pytest.mark.parametrize("restarts", [1, 3])
@pytest.mark.parametrize("make", [dcgan, stylegan2, lambda: dcgan("euclidean")])
def test_in_a_sequential_recipe_the_noise_never_loses(make, restarts, folder, tmp_path):
    records, tensors, _ = inverted(make(), [folder], tmp_path / "out", steps=(15,), restarts=restarts)
    assert records[0]["sequential"]
    gains = [record["with"]["psnr"] - record["without"]["psnr"] for record in records[1:-1]]
    assert min(gains) >= 0
    gain = records[-1]["gain"]
    assert gain["median"] == pytest.approx(sorted(gains)[1])
    assert gain["low"] <= gain["median"] <= gain["high"]
    assert f"median gain of {gain['median']:.2f} dB (95 % interval" in records[-1]["sentences"][0]
    assert torch.isfinite(tensors["losses"]).all()
    assert [record["steps"] for record in records[1:-1]] == [[15, 15]] * 3


def test_a_noise_step_far_too_long_still_loses_nothing(folder, tmp_path):
    records, _, _ = inverted(dcgan(), [folder], tmp_path / "out", steps=(10,), lr=(0.1, 1e4))
    assert all(record["with"]["psnr"] >= record["without"]["psnr"] for record in records[1:-1])


def test_where_noise_is_sought_with_the_latents_the_other_side_is_an_inversion_of_its_own(folder, tmp_path):
    target = stylegan2()
    records, tensors, pictures = inverted(
        target, [folder], tmp_path / "both", recipe="stylegan2-projector", steps=(25,)
    )
    assert (records[0]["space"], records[0]["sequential"]) == ("w", False)
    alone, own, shown = inverted(
        target, [folder], tmp_path / "alone", recipe="stylegan2-projector", steps=(25,), noise="frozen"
    )
    assert torch.equal(tensors["latents/without"], own["latents"])
    assert torch.equal(pictures["without"], shown["without"])
    assert [r["without"] for r in records[1:-1]] == [r["without"] for r in alone[1:-1]]
    assert alone[0]["objectives"] == ["1 pyramid distance"]
    assert not torch.equal(tensors["latents"], own["latents"])


def test_frozen_noise_gives_one_side_and_its_fresh_draws(folder, tmp_path):
    records, tensors, pictures = inverted(stylegan2(), [folder], tmp_path / "out", steps=(5,), noise="frozen")
    assert [record["with"] for record in records[1:-1]] == [None] * 3
    assert records[-1]["gain"] is None
    assert all(record["fresh"]["change"] > 1 for record in records[1:-1])
    assert "with" not in pictures
    assert not any(name.startswith("noise/") for name in (*tensors, *pictures))
    assert "under frozen noise." in records[-1]["sentences"][0]


def test_a_generator_without_noise_has_one_side_and_no_draws(folder, tmp_path):
    records, _, pictures = inverted(dcgan("none"), [folder], tmp_path / "out", steps=(5,))
    assert records[0]["layers"] == []
    assert [(record["with"], record["fresh"]) for record in records[1:-1]] == [(None, None)] * 3
    assert records[-1]["change"] is None
    assert "by a generator without noise." in records[-1]["sentences"][0]
    assert {"targets", "without", "interpolation/frozen"} < set(pictures)
    assert not {"with", "fresh", "interpolation/interpolated"} & set(pictures)


@pytest.mark.parametrize("make", [dcgan, stylegan2])
def test_averaged_noise_is_followed_by_a_stage_for_the_noise(make, folder, tmp_path):
    records, _, _ = inverted(make(), [folder], tmp_path / "out", steps=(3,), noise="averaged")
    assert [stage["noise"] for stage in records[0]["stages"]] == ["averaged", "optimised"]
    assert all(record["with"]["psnr"] >= record["without"]["psnr"] for record in records[1:-1])


def test_optimised_noise_goes_along_with_the_latents_of_any_recipe(folder, tmp_path):
    records, _, _ = inverted(dcgan(), [folder], tmp_path / "out", steps=(3,), noise="optimised")
    assert not records[0]["sequential"]
    assert [stage["noise"] for stage in records[0]["stages"]] == ["optimised"]
    assert all(record["with"] is not None for record in records[1:-1])


def test_pictures_have_their_shapes_and_the_film_its_ends(sequential):
    _, _, (_, _, pictures), *_ = sequential
    assert pictures["frames"].shape == (6, 3, 1, 16, 16)
    assert pictures["frames/steps"].tolist() == [1, 4, 20, 21, 25, 50]
    assert torch.equal(pictures["frames"][-1], pictures["with"])
    assert pictures["fresh"].shape == (3, 2, 1, 16, 16)
    assert pictures["noise/synthesis.block16.conv1.noise"].shape == (3, 16, 16)
    assert pictures["noise/synthesis.block16.conv1.noise"].dtype == torch.float16
    assert pictures["curve/stages"].tolist() == [0] * 20 + [1] * 30
    assert (pictures["curve/best"] <= pictures["curve/median"]).all()
    for stage in (0, 1):
        median = pictures["curve/median"][pictures["curve/stages"] == stage]
        assert (median.diff() <= 0).all()
    ways = pictures["interpolation/frozen"], pictures["interpolation/interpolated"]
    assert [way.shape for way in ways] == [(3, 1, 16, 16)] * 2
    assert torch.equal(ways[0][0], pictures["with"][0])
    assert torch.equal(ways[1][[0, -1]], pictures["with"][:2])


def test_every_part_tells_how_far_it_is(sequential):
    *_, told, losses, said = sequential
    last = {stage: (done, total) for stage, done, total in told}
    assert last == {"inversion": (50, 50), "fresh draws": (2, 2)}
    assert len(losses) == 52
    assert all(0 < best <= median for median, best in losses)
    assert said == []


def test_an_image_has_the_same_result_alone_as_among_others(sequential, folder, tmp_path):
    _, _, (together, *_), *_ = sequential
    alone, _, _ = inverted(stylegan2(), [folder / "0.png"], tmp_path / "out", steps=(20, 30), batch=1)
    assert alone[1]["name"] == "0"
    assert alone[1]["with"]["psnr"] == pytest.approx(together[1]["with"]["psnr"], abs=0.05)
    assert alone[1]["without"]["psnr"] == pytest.approx(together[1]["without"]["psnr"], abs=0.01)
    assert alone[-1]["gain"]["low"] is None
    assert alone[-1]["sentences"][0].startswith("1 image, PSNR ")
    records, _, pictures = inverted(stylegan2(), [folder], tmp_path / "small", steps=(20, 30), batch=2)
    assert [record["with"]["psnr"] for record in records[1:-1]] == pytest.approx(
        [record["with"]["psnr"] for record in together[1:-1]], abs=0.05
    )
    assert torch.equal(pictures["frames"][-1], pictures["with"])
    assert (pictures["frames"][0].float() - sequential[2][2]["frames"][0].float()).abs().max() <= 1


def test_images_of_the_generator_itself_are_found_again_with_more_starts_more_often(tmp_path):
    generator = generators.dcgan("none").float()
    with torch.no_grad():
        made = generator(torch.randn(4, 4, generator=torch.Generator().manual_seed(5)))
    folder = write_pictures(tmp_path / "in", to_uint8(made)[:, 0].numpy())
    records, _, _ = inverted(target_of(generator), [folder], tmp_path / "out", steps=(100,), restarts=6)
    rates = records[-1]["rates"]
    assert list(rates) == ["1", "4", "6"]
    assert rates["1"] <= rates["4"] <= rates["6"] == 1.0
    assert "number of starts: " in records[-1]["sentences"][1]


def test_images_count_as_found_by_their_latents_and_not_by_their_noise(folder, tmp_path, monkeypatch):
    options = {"steps": (20, 60), "lr": (0.1, 1.0), "restarts": 2}
    records, _, _ = inverted(stylegan2(), [folder], tmp_path / "a", **options)
    sides = [[record[side]["psnr"] for record in records[1:-1]] for side in ("without", "with")]
    least = max(sides[0]) + 0.01
    assert min(sides[1]) > least
    for threshold, share in ((least, 0), (sorted(sides[0])[1], 2 / 3)):
        monkeypatch.setattr(invert, "FOUND_DB", threshold)
        (*_, summary), _, _ = inverted(stylegan2(), [folder], tmp_path / f"{share}", **options)
        assert summary["rates"]["2"] == pytest.approx(share)
        assert any("30 dB under frozen noise by the number of starts" in s for s in summary["sentences"])


def test_what_a_mask_hides_changes_nothing(folder, tmp_path):
    pixels = pixels_of()
    pixels[:, 4:10, 5:] = 0
    other = write_pictures(tmp_path / "other", pixels)
    mask = torch.full((16, 16), 255, dtype=torch.uint8)
    mask[4:10, 5:] = 0
    place = write_pictures(tmp_path / "mask", mask[None].numpy()) / "0.png"
    found = [
        inverted(stylegan2(), [each], tmp_path / name, steps=(8,), mask=place)
        for name, each in (("a", folder), ("b", other))
    ]
    (first, tensors, pictures), (second, again, _) = found
    assert torch.equal(pictures["masks"], mask.expand(3, 16, 16))
    assert torch.equal(tensors["latents"], again["latents"])
    assert torch.equal(tensors["masks"], (mask / 255).expand(3, 1, 16, 16))
    for a, b in zip(first[1:-1], second[1:-1], strict=True):
        assert (a["without"], a["with"], a["fresh"]) == (b["without"], b["with"], b["fresh"])
        assert a["with"]["ssim"] is None
        assert a["with"]["psnr"] >= a["without"]["psnr"]
    plain, _, _ = inverted(stylegan2(), [folder], tmp_path / "c", steps=(8,))
    assert plain[1]["without"]["psnr"] != first[1]["without"]["psnr"]
    assert "masks hide" in first[-1]["sentences"][-1]


def test_classes_tell_which_images_are_sought(folder, tmp_path):
    target, found = conditional(), {}
    for labels in ((0,), (0, 0, 0), (2,)):
        out = tmp_path / "-".join(map(str, labels))
        found[labels] = inverted(target, [folder], out, steps=(4,), labels=labels, space="z")[1]
    assert torch.equal(found[(0,)]["latents"], found[(0, 0, 0)]["latents"])
    assert not torch.equal(found[(0,)]["latents"], found[(2,)]["latents"])
    assert found[(2,)]["labels"].tolist() == [2, 2, 2]
    digits = inverted(conditional(10), ["digits"], tmp_path / "digits", steps=(2,), limit=3, noise="frozen")
    assert digits[1]["labels"].tolist() == [0, 1, 2]
    assert [record["name"] for record in digits[0][1:-1]] == ["digits/00000", "digits/00001", "digits/00002"]
    assert (tmp_path / "digits/reconstructions/digits/00002.png").is_file()


def test_a_sample_that_diverges_is_told_and_its_best_state_kept(tmp_path):
    generator = generators.Cliff(limit=1.0).float()
    wanted = torch.tensor([[2.0, 0, 0], [0.3, 1, -1]])
    made = generator(wanted.clamp(max=0.99))
    made[0] = (wanted[0] @ generator.basis).reshape(1, 8, 8)
    folder = write_pictures(tmp_path / "in", to_uint8(made / 8)[:, 0].numpy())
    generator.basis /= 8
    records, tensors, _ = inverted(
        target_of(generator), [folder], tmp_path / "out", steps=(300,), lr=(0.05,), restarts=1
    )
    assert [record["ending"] for record in records[1:-1]] == ["diverged", "all steps"]
    assert float(tensors["latents"][0, 0]) <= 1
    assert records[1]["without"]["psnr"] > 5
    assert "1 image the optimisation diverged" in records[-1]["sentences"][-1]
    assert records[1]["without"]["ssim"] is None


def test_what_was_done_to_images_is_said_and_recorded(tmp_path):
    folder = write_pictures(tmp_path / "in", [*pixels_of(1, 24), *pixels_of(1, 8), *pixels_of(1, 16)])
    said = []
    target = replace(stylegan2(), kind="callable")
    records, _, _ = inverted(target, [folder], tmp_path / "out", steps=(2,), say=said.append)
    assert records[0]["images"] == {
        "source": [str(folder)],
        "count": 3,
        "shape": [1, 16, 16],
        "resized": 2,
        "enlarged": 1,
        "converted": 0,
    }
    assert "returns values from -" in said[0]
    assert said[1:] == [
        "2 of 3 images were cropped and resized by lanczos",
        "1 of 3 images are smaller than the generator's, and were enlarged",
    ]
