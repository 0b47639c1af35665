"""Points of z, w and w+, classes shared by both ends of a step, and copies in float64."""

from functools import partial

import pytest
import torch
from torch import nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.geometry.condition import condition_numbers
from riemann_noise_pytorch.metrics.distances import PyramidDistance
from riemann_noise_pytorch.metrics.perceptual_path import PathLength, perceptual_path_length
from riemann_noise_pytorch.models.dcgan import DCGANGenerator
from riemann_noise_pytorch.models.initial import initialise
from riemann_noise_pytorch.models.latent_space import labels_for, latent_size, latent_space, uniform_labels
from riemann_noise_pytorch.models.lucidrains import LucidrainsGenerator
from riemann_noise_pytorch.models.precision import use_half
from riemann_noise_pytorch.models.stylegan2 import StyleGAN2Generator
from tests.processes import in_processes


def stylegan2(classes=0, noise="euclidean", side=16):
    strength = None if noise == "none" else 0.1
    generator = StyleGAN2Generator(
        (3, side, side), 16, 8, 2, classes, channel_max=8, noise=noise, noise_strength=strength
    )
    initialise(generator, 1)
    return generator


def dcgan():
    generator = DCGANGenerator(16, channels=1, width=4, z_dim=16, noise="riemannian", noise_strength=0.1)
    initialise(generator, 1)
    return generator


Z = torch.randn(5, 16, generator=torch.Generator().manual_seed(0))


def test_w_is_the_mappings_and_its_images_are_the_generators():
    generator = stylegan2(noise="none")
    for space in ("z", "w", "w+"):
        with latent_space(generator, space) as place:
            points = place.points(Z, 0)
            start, end = place.images(points, points, 0)
        assert points.shape == {"z": (5, 16), "w": (5, 8), "w+": (5, 6, 8)}[space]
        assert torch.allclose(start, generator(Z), atol=1e-6)
        assert torch.equal(start, end)


def test_a_mapping_that_repeats_w_for_the_layers_gives_one_w():
    generator = stylegan2()

    class Repeats(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.synthesis = generator, generator.synthesis

        def mapping(self, z):
            return self.inner.ws(z)

    for space in ("w", "w+"):
        with latent_space(Repeats(), space) as ours, latent_space(generator, space) as place:
            assert torch.equal(ours.points(Z, 0), place.points(Z, 0))


def test_points_and_noise_belong_to_their_index():
    generator = stylegan2(classes=3)
    labels, _ = labels_for(generator, None, 0)
    with latent_space(generator, "w", labels=labels, dtype=torch.float64) as place:
        whole = place.images(place.points(Z, 2), place.points(Z, 2), 2)[0]
        part = place.images(place.points(Z[3:], 5), place.points(Z[3:], 5), 5)[0]
    assert torch.allclose(whole[3:], part, rtol=1e-12, atol=1e-13)


def test_both_ends_have_the_same_class_and_the_mapping_hears_it():
    generator, seen = stylegan2(classes=3), []
    generator.mapping.register_forward_hook(lambda module, args, output: seen.append(args[1].tolist()))
    for space, calls in (("z", 4), ("w", 1), ("w+", 1)):
        seen.clear()
        with latent_space(generator, space, labels=lambda first, n: torch.arange(first, first + n) % 3) as p:
            x = p.points(Z, 1)
            p.images(x, x, 1)
        assert seen == [[1, 2, 0, 1, 2]] * calls


def test_labels_are_uniform_where_the_generator_has_classes_and_none_are_given():
    drawn, how = labels_for(stylegan2(classes=4), None, 7)
    assert how == "uniform labels"
    labels = drawn(0, 20_000)
    assert labels.dtype == torch.int64
    assert (labels.bincount(minlength=4) / 20_000 - 0.25).abs().max() < 0.02
    assert torch.equal(drawn(100, 10), labels[100:110])
    assert not torch.equal(uniform_labels(4, 8)(0, 100), labels[:100])
    assert labels_for(stylegan2(), None, 7) == (None, "")
    assert labels_for(stylegan2(), drawn, 7) == (drawn, "given labels")


def length_of(generator, **settings):
    """A short path length that keeps every value."""
    return perceptual_path_length(
        generator, distance=PyramidDistance(), percentiles=(0.0, 100.0), **{"num_pairs": 40, **settings}
    )


def numbers_of(generator, **settings):
    return condition_numbers(generator, num_pairs=100, **settings)


def figures(result):
    return [result.value] if isinstance(result, PathLength) else [result.mc.value, result.ttmc.value]


def small():
    return stylegan2(side=8)


def labelled():
    return stylegan2(classes=3, side=8)


@pytest.mark.parametrize("metric", [length_of, numbers_of])
@pytest.mark.parametrize(("make", "space"), [(dcgan, "z"), (small, "w"), (labelled, "z")])
def test_batch_size_and_processes_change_nothing_in_float64(metric, make, space):
    """A copy in float64 of a float32 network: every single value is the same to 1e-9."""
    measure = partial(metric, make(), dtype=torch.float64, space=space)
    whole = measure(batch=64)
    others = [measure(batch=1), measure(batch=7), in_processes(lambda p: measure(batch=7, processes=p), 3)]
    for other in others:
        assert torch.allclose(other.values, whole.values, rtol=1e-9, atol=0)
        assert figures(other) == pytest.approx(figures(whole), rel=1e-9)


def test_a_path_in_w_is_the_one_written_out():
    """Straight between mapped latents of one class, one w for all layers, 1e-4 of the way from its start."""
    generator, labels = stylegan2(classes=3, noise="none").double(), torch.arange(40) % 3
    a, b = torch.randn(2, 40, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    result = length_of(
        generator, latents=(a, b), labels=lambda first, n: labels[first : first + n], space="w",
        sampling="end", num_pairs=40,
    )  # fmt: skip
    w_a, w_b = (generator.mapping(z, labels) for z in (a, b))
    images = [
        generator.synthesis(w[:, None].repeat(1, 6, 1)).detach() for w in (w_a, w_a + 1e-4 * (w_b - w_a))
    ]
    assert torch.allclose(result.values, PyramidDistance()(*images) / 1e-8, rtol=1e-8)
    assert result.key == "pl2_wend"


@pytest.mark.gpu
@pytest.mark.parametrize("metric", [length_of, numbers_of])
@pytest.mark.parametrize(("make", "space"), [(dcgan, "z"), (small, "w"), (labelled, "z"), (labelled, "w")])
def test_a_gpu_gives_the_values_of_a_cpu_in_float64(metric, make, space):
    measure = partial(metric, dtype=torch.float64, space=space)
    on_cpu, on_gpu = measure(make(), batch=64), measure(make().cuda(), batch=7)
    assert torch.allclose(on_gpu.values, on_cpu.values, rtol=1e-6, atol=0)
    assert figures(on_gpu) == pytest.approx(figures(on_cpu), rel=1e-7)


@pytest.mark.parametrize("make", [dcgan, stylegan2])
def test_a_copy_in_float64_is_near_float32_and_leaves_the_network_alone(make):
    generator, distance = make().train(), PyramidDistance()
    distance.register_buffer("unused", torch.zeros(1))
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    single = length_of(generator)
    result = perceptual_path_length(
        generator, distance=distance, num_pairs=40, percentiles=(0.0, 100.0), dtype=torch.float64
    )
    assert result.value == pytest.approx(single.value, rel=1e-2)
    assert result.name.endswith(", float64)")
    assert "float64" not in single.name
    after = generator.state_dict()
    assert all(value.dtype == after[name].dtype for name, value in before.items())
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert generator.training
    assert distance.unused.dtype == torch.float32


def test_a_generator_in_half_precision_can_be_measured_by_a_copy():
    generator = dcgan().bfloat16()
    with pytest.raises(InputError, match="too coarse"):
        length_of(generator)
    numbers = numbers_of(generator, dtype=torch.float64)
    assert numbers.mc_name.endswith(", float64)")
    assert next(generator.parameters()).dtype == torch.bfloat16


def test_half_precision_of_blocks_is_switched_off_meanwhile():
    generator = stylegan2()
    exact = numbers_of(generator)
    use_half(generator, torch.bfloat16, 2)
    measured = numbers_of(generator)
    assert torch.equal(measured.values, exact.values)
    assert [block.half_dtype for block in generator.synthesis.blocks()] == [None, *[torch.bfloat16] * 2]


def test_a_method_is_copied_with_its_module():
    generator = stylegan2()
    ws = generator.ws(Z).detach().repeat(20, 1, 1)
    single = condition_numbers(generator.synthesis, ws, space="w+")
    double = condition_numbers(generator.synthesis, ws, space="w+", dtype=torch.float64)
    bound = condition_numbers(generator.synthesis.forward, ws, space="w+", dtype=torch.float64)
    assert torch.equal(double.values, bound.values)
    assert double.mc.value == pytest.approx(single.mc.value, rel=1e-2)
    assert generator.synthesis.block4.const.dtype == torch.float32


def test_w_of_other_code_bases_networks():
    generator = LucidrainsGenerator((8, 8), z_dim=16, mapping_layers=2)
    rng = torch.Generator().manual_seed(0)
    for parameter in generator.parameters():
        parameter.data = torch.randn(parameter.shape, generator=rng) / 2
    length = length_of(generator, space="w", dtype=torch.float64)
    numbers = numbers_of(generator, space="w", dtype=torch.float64)
    assert length.key == "pl2_wfull"
    assert numbers.mc_name == "MC (w, 100 pairs, std 0.0001, float64)"


class Rows(nn.Module):
    """A mapping with another row for each layer, and a synthesis of one w."""

    z_dim = 16

    def mapping(self, z):
        return torch.stack([z, 2 * z], dim=1)

    def synthesis(self, w):
        return w.view(-1, 1, 4, 4)


class Flat(Rows):
    def mapping(self, z):
        return z


class Wrong(Rows):
    def mapping(self, z):
        return z.sum()


@pytest.mark.parametrize(
    ("generator", "space", "labels", "cause"),
    [
        (Rows(), "w", None, "different rows of w .* measure in w\\+, or in z"),
        (Flat(), "w+", None, "one w for all its layers, hence no space w\\+; measure in w"),
        (Wrong(), "w", None, "the mapping gives \\(\\) for 5 latents"),
        (nn.Linear(16, 4), "w", None, "no mapping and synthesis"),
        (nn.Linear(16, 4), "s", None, "unknown space 's'"),
        (Flat(), "w", lambda first, n: torch.zeros(n), "labels\\(0, 5\\) gives torch.float32 \\(5,\\)"),
        (Flat(), "w", lambda first, n: torch.zeros(2, dtype=torch.long), "int64 of shape \\(5,\\)"),
        (Flat(), "w", lambda first, n: [0] * n, "labels\\(0, 5\\) gives \\[0"),
        (stylegan2(classes=3), "z", None, "this network has 3 classes; give labels"),
        (stylegan2(classes=3), "w", None, "this network has 3 classes; give labels"),
        (
            stylegan2(classes=3),
            "w",
            lambda first, n: torch.full((n,), 3),
            "the labels lie in 3 to 3, but this network has the classes 0 to 2",
        ),
        (stylegan2(), "z", uniform_labels(3), "no classes; leave the labels out"),
    ],
)
def test_what_does_not_fit_is_refused(generator, space, labels, cause):
    def use():
        with latent_space(generator, space, labels=labels) as place:
            x = place.points(Z, 0)
            place.images(x, x, 0)

    with pytest.raises(InputError, match=cause) as told:
        use()
    assert "\n" not in str(told.value)


def test_sizes_of_latents_that_do_not_fit_are_refused():
    assert latent_size(Flat(), None, "z_dim") == latent_size(Flat(), 16, "z_dim") == 16
    with pytest.raises(InputError, match="give points"):
        latent_size(nn.Identity(), None, "points")
    with pytest.raises(InputError, match="z_dim is 5, but the generator's latents have 16"):
        latent_size(Flat(), 5, "z_dim")
