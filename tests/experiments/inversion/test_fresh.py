"""Fresh draws of the noise, and ways between images."""

import pytest
import torch

from riemann_noise_pytorch.experiments.inversion.arms import Side, Work
from riemann_noise_pytorch.experiments.inversion.fresh import fresh_draws, ways
from riemann_noise_pytorch.experiments.inversion.quality import Judge
from riemann_noise_pytorch.inversion.objectives import Perceptual
from riemann_noise_pytorch.inversion.quality import psnr
from riemann_noise_pytorch.inversion.reconstruction import reconstruct
from riemann_noise_pytorch.noise.control import frozen, noise_layers
from riemann_noise_pytorch.seeds import derive
from tests.experiments.inversion.subjects import (
    conditional,
    dcgan,
    inverted,
    pixels_of,
    stylegan2,
    write_pictures,
)


def found(target, count=3):
    z = torch.randn(count, target.z_dim, generator=torch.Generator().manual_seed(3))
    targets = torch.zeros(count, 1, 16, 16)
    labels = torch.arange(count) if target.classes else None
    work = Work(target, targets, None, labels, 0, 64)
    judge = Judge(targets, None, Perceptual(), torch.device("cpu"), 2)
    side = Side(z, torch.zeros(count, dtype=torch.int64), work.images(z, "z"))
    return work, judge, side


def test_fresh_draws_of_a_generator_without_noise_change_nothing():
    work, judge, side = found(dcgan("none"))
    draws = fresh_draws(work, side, "z", judge, 3, lambda _: None)
    assert draws.change.tolist() == [0, 0, 0]
    assert draws.psnr_sd.tolist() == [0, 0, 0]
    assert draws.spread.tolist() == [0, 0, 0]
    assert torch.allclose(draws.psnr, judge.psnr(side.images), rtol=1e-12)
    assert torch.equal(draws.images, side.images[:, None].expand_as(draws.images))


def test_fresh_draws_are_those_of_other_seeds():
    target = stylegan2()
    work, judge, side = found(target)
    told = []
    draws = fresh_draws(work, side, "z", judge, 6, told.append)
    assert told == [1, 2, 3, 4, 5, 6]
    each = []
    for draw in range(6):
        with torch.no_grad(), frozen(target.generator, derive(0, "fresh draw", draw)):
            each.append(target.generator(side.latents))
    assert torch.equal(draws.images, torch.stack(each[:4], dim=1))
    values = torch.stack([psnr(images.double(), work.targets.double()) for images in each])
    assert torch.allclose(draws.psnr, values.mean(dim=0))
    assert torch.allclose(draws.psnr_sd, values.std(dim=0))
    squares = torch.stack([(images - side.images).double().square().mean(dim=(1, 2, 3)) for images in each])
    assert torch.allclose(draws.change, 127.5 * squares.mean(dim=0).sqrt())
    variance = torch.stack(each).double().var(dim=0).mean(dim=(1, 2, 3))
    assert torch.allclose(draws.spread, 127.5 * variance.sqrt())
    one = fresh_draws(work, side, "z", judge, 1, told.append)
    assert one.psnr_sd.tolist() == [0, 0, 0]
    assert one.record(0)["spread"] is None


def test_a_learned_strength_of_0_is_told_as_such(tmp_path):
    target = stylegan2()
    for layer in noise_layers(target.generator).values():
        torch.nn.init.zeros_(next(layer.parameters()))
    folder = write_pictures(tmp_path / "in", pixels_of())
    records, _, _ = inverted(target, [folder], tmp_path / "out", steps=(4,))
    assert set(records[-1]["strengths"].values()) == {0.0}
    assert [record["fresh"]["change"] for record in records[1:-1]] == pytest.approx([0, 0, 0], abs=1e-4)
    assert records[-1]["gain"]["median"] == pytest.approx(0, abs=1e-5)
    assert "does next to nothing: fresh draws differ by" in " ".join(records[-1]["sentences"])


@pytest.mark.parametrize("make", [dcgan, stylegan2, conditional])
def test_a_way_begins_and_ends_at_the_images(make):
    work, _, side = found(make())
    way = ways(work, side, "z", 4)
    assert torch.allclose(way["frozen"][0], side.images[0], atol=1e-5)
    if work.labels is None:
        assert torch.allclose(way["interpolated"][[0, -1]], side.images[:2], atol=1e-5)
        assert not torch.allclose(way["frozen"][-1], side.images[1], atol=1e-3)
    with_own = Side(side.latents, side.restarts, side.images, work.frozen_maps(3))
    assert torch.equal(ways(work, with_own, "z", 4)["interpolated"], way["interpolated"])


def test_a_single_image_has_no_way_and_without_noise_there_is_one():
    work, _, side = found(dcgan("none"))
    assert set(ways(work, side, "z", 4)) == {"frozen"}
    single = Side(side.latents[:1], side.restarts[:1], side.images[:1])
    assert ways(work, single, "z", 4) == {}
    expected = reconstruct(work.generator, side.latents[:2], "z")
    assert torch.allclose(ways(work, side, "z", 4)["frozen"][[0, -1]], expected, atol=1e-5)
