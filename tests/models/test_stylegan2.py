import copy
import io
import itertools
import pickle

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.models.stylegan2 import StyleGAN2Generator
from riemann_noise_pytorch.models.synthesis_layers import SynthesisLayer
from riemann_noise_pytorch.noise.control import frozen, given, noise_layers, off, scaled
from riemann_noise_pytorch.noise.inject import inject, remove
from tests.reference import stylegan2 as reference

KINDS = ["none", "euclidean", "riemannian"]
PLACES = [f"synthesis.block{p}.noise" for p in ("4.conv1", "8.conv0", "8.conv1", "16.conv0", "16.conv1")]


def built(size=(16, 16), channels=3, noise="euclidean", strength=0.3, **options):
    strength = None if noise == "none" else strength
    torch.manual_seed(0)
    options = {"channel_base": 64, "channel_max": 6, **options}
    network = StyleGAN2Generator(
        (channels, *size), 5, 6, 2, noise=noise, noise_strength=strength, **options
    ).double()
    for name, parameter in network.named_parameters():
        if name.endswith(".bias"):
            parameter.data += 0.3 * torch.randn_like(parameter)
    network.mapping.w_avg.normal_()
    return network


def latents(count=3):
    return torch.randn(count, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(7))


def close(found, expected, tolerance=1e-12):
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("resolution", "expected"), [(64, 23_819_544), (128, 24_525_213)])
def test_parameter_counts_are_those_of_the_original_config_e(resolution, expected):
    with torch.device("meta"):
        assert count(StyleGAN2Generator((3, resolution, resolution), noise="euclidean")) == expected


@pytest.mark.parametrize("base", [16384, 32768])
def test_parameter_counts_at_1024_follow_from_the_widths(base):
    with torch.device("meta"):
        network = StyleGAN2Generator((3, 1024, 1024), noise="euclidean", channel_base=base)
    widths = [min(base // side, 512) for side in (4, 8, 16, 32, 64, 128, 256, 512, 1024)]
    expected = 8 * (512 * 512 + 512) + 16 * widths[0]
    for i, w in enumerate(widths):
        for before in [widths[i - 1], w] if i else [w]:
            expected += 9 * before * w + w + 513 * before + 1
        expected += 3 * w + 3 + 513 * w
    assert count(network) == expected


@pytest.mark.parametrize(("size", "heights"), [((8, 10), [4, 8]), ((16, 8), [8, 16]), ((12, 12), [6, 12])])
@pytest.mark.parametrize("channels", [1, 4])
def test_synthesis_equals_its_transcription(size, heights, channels):
    network = built(size, channels)
    ws = torch.randn(2, network.synthesis.num_ws, 6, dtype=torch.float64)
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}

    def noise(name, x):
        return x + weights[f"{name}.noise.a"] * weights[f"{name}.noise_const"]

    expected = torch.from_numpy(reference.synthesis(ws.numpy(), weights, heights, noise))
    for fused in (False, True, None):
        network.synthesis.fused = fused
        close(network.synthesis(ws, "const").detach(), expected)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [(16, 20), (32, 16), (24, 24), (28, 28)])
@pytest.mark.parametrize("noise", KINDS)
def test_shapes_of_images_grey_or_rgba_and_non_square(size, channels, noise):
    network = built(size, channels, noise)
    assert network(latents()).shape == (3, *network.image_shape) == (3, channels, *size)


@pytest.mark.parametrize("samples", [0, 1])
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("noise", KINDS)
def test_batches_of_none_and_of_one(samples, fused, noise):
    network = built(noise=noise)
    network.synthesis.fused = fused
    images = network(latents(samples), truncation_psi=0.5)
    assert images.shape == (samples, 3, 16, 16)


@pytest.mark.parametrize("noise", KINDS)
def test_images_do_not_depend_on_their_batch(noise):
    network, z = built(noise=noise), latents()
    for mode in ("const", "none"):
        single = torch.cat([network(z[i : i + 1], noise_mode=mode) for i in range(3)])
        close(network(z, noise_mode=mode), single)


def test_every_row_of_w_reaches_its_layers_and_no_others():
    network = built(noise="none")
    ws = network.ws(latents(1))
    seen = {}
    for name, part in network.synthesis.named_modules():
        if name.count(".") == 1 and hasattr(part, "affine"):
            part.register_forward_hook(lambda _m, args, _o, name=name: seen.__setitem__(name, args[1]))
    rows = {"block4.conv1": 0, "block4.to_image": 1, "block8.conv0": 1, "block8.conv1": 2}
    rows |= {"block8.to_image": 3, "block16.conv0": 3, "block16.conv1": 4, "block16.to_image": 5}
    ws = ws + torch.arange(6).view(1, 6, 1)
    network.synthesis(ws)
    assert seen.keys() == rows.keys()
    assert all(torch.equal(seen[name], ws[:, row]) for name, row in rows.items())


def test_style_mixing_takes_rows():
    network, z = built(noise="none"), latents(2)
    first, second = network.ws(z[:1]), network.ws(z[1:])
    images = [network.synthesis(torch.cat([first[:, :cut], second[:, cut:]], 1)) for cut in range(7)]
    close(images[0], network(z[1:]))
    close(images[6], network(z[:1]))
    assert all(not torch.allclose(a, b) for a, b in itertools.pairwise(images))


def test_truncation_to_0_gives_the_average_image():
    network = built()
    average = network.mapping.w_avg.expand(3, network.synthesis.num_ws, -1)
    found = network(latents(), truncation_psi=0.0, noise_mode="const")
    close(found, network.synthesis(average, "const"))


def test_truncation_is_linear_and_its_cutoff_leaves_later_rows():
    network, z = built(), latents()
    ws, average = network.ws(z), network.mapping.w_avg
    close(network.ws(z, truncation_psi=0.7), average + 0.7 * (ws - average))
    assert torch.equal(network.ws(z, truncation_psi=1.0), ws)
    for cutoff in range(7):
        found = network.ws(z, truncation_psi=0.7, truncation_cutoff=cutoff)
        close(found[:, :cutoff], (average + 0.7 * (ws - average))[:, :cutoff])
        assert torch.equal(found[:, cutoff:], ws[:, cutoff:])


def test_labels_change_the_image():
    network = built(classes=3)
    images = network(latents(1).expand(3, 5), torch.arange(3), noise_mode="const")
    assert torch.pdist(images.flatten(1)).min() > 0.01
    with pytest.raises(InputError, match="has 3 classes; give labels"):
        network(latents())
    with pytest.raises(InputError, match="has no classes"):
        built()(latents(), torch.zeros(3, dtype=torch.int64))


@pytest.mark.parametrize("kind", ["euclidean", "riemannian", "per-channel", "paper", "seed"])
def test_noise_is_reached_by_the_name_of_its_layer(kind):
    network, z = built(noise=kind, strength=None if kind == "paper" else 0.3), latents()
    assert [*noise_layers(network)] == PLACES
    silent = network(z, noise_mode="none")
    with off(network):
        close(network(z), silent)
    with scaled(network, 0.0):
        close(network(z), silent)
    with frozen(network, seed=1):
        frozen_images = network(z)
        assert torch.equal(network(z), frozen_images)
        close(network(z[:2]), frozen_images[:2])
    assert not torch.allclose(frozen_images, silent)
    maps = {name: network.get_submodule(name.removesuffix(".noise")).noise_const for name in PLACES}
    with given(network, maps):
        close(network(z), network(z, noise_mode="const"))


def test_fixed_noise_is_the_same_for_all_and_fresh_noise_is_not():
    network, z = built(), latents(1).expand(2, 5)
    const, fresh = network(z, noise_mode="const"), network(z)
    close(const[0], const[1])
    assert not torch.allclose(fresh[0], fresh[1])
    assert not torch.equal(network(z), fresh)


def test_layers_can_have_noise_of_their_own():
    network = built(noise={"*": "euclidean", "block8.*": "riemannian", "block16.conv1": "none"})
    kinds = {name: layer.kind for name, layer in noise_layers(network).items()}
    expected = ["euclidean", "riemannian", "riemannian", "euclidean"]
    assert kinds == dict(zip(PLACES[:-1], expected, strict=True))
    assert {layer.size for name, layer in noise_layers(network).items() if "8" in name} == {(8, 8)}
    assert network(latents(), noise_mode="const").isfinite().all()


def test_injected_noise_follows_a_layer_without_one_and_is_drawn_once():
    network, z = built(noise="none").float(), latents().float()
    before = network(z)
    inject(
        network, lambda _, part: isinstance(part, SynthesisLayer), "euclidean", example_input=z, strength=0.5
    )
    assert [*noise_layers(network)] == PLACES
    with off(network):
        assert torch.equal(network(z), before)
    assert not torch.allclose(network(z), before)
    assert torch.equal(remove(network)(z), before)


@pytest.mark.parametrize("noise", KINDS)
def test_copies_and_pickles_give_the_same_images(noise):
    network, z = built(noise=noise), latents()
    saved = io.BytesIO()
    torch.save(network.state_dict(), saved)
    loaded = built(noise=noise)
    for parameter in loaded.parameters():
        parameter.data.zero_()
    saved.seek(0)
    loaded.load_state_dict(torch.load(saved))
    for other in (copy.deepcopy(network), pickle.loads(pickle.dumps(network)), loaded):
        assert torch.equal(other(z, noise_mode="const"), network(z, noise_mode="const"))


def test_the_whole_forward_compiles_as_one_graph():
    network, z = built((8, 8), noise={"*": "euclidean", "block8.conv1": "riemannian"}), latents()
    torch._dynamo.reset()
    with frozen(network):
        compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
        close(compiled(z, truncation_psi=0.5), network(z, truncation_psi=0.5))


class Layouts(TorchDispatchMode):
    """Collects operations whose result is a feature map of 7 samples that is not channels last."""

    def __init__(self):
        super().__init__()
        self.wrong, self.seen = [], 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        maps = isinstance(result, torch.Tensor) and result.ndim == 4 and result.shape[0] == 7
        if maps and result.shape[1] > 1 and "expand" not in str(function):
            self.seen += 1
            if not result.is_contiguous(memory_format=torch.channels_last):
                self.wrong.append((str(function), tuple(result.shape)))
        return result


@pytest.mark.parametrize("noise", KINDS)
def test_every_feature_map_is_channels_last(noise):
    network = built((32, 32), noise=noise).to(memory_format=torch.channels_last)
    network.synthesis.fused = False
    with Layouts() as layouts:
        images = network(latents(7))
    assert layouts.seen > 30
    assert layouts.wrong == []
    assert images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (20, 19)}, "images of 20x19 do not fit.* nearest that do are 20x20"),
        ({"channels": 0}, "channels is 0"),
        ({"channels": 3.0}, "channels is 3.0"),
        ({"channel_base": 0}, "channel_base is 0"),
        ({"channel_max": -1}, "channel_max is -1"),
        ({"classes": -1}, "classes is -1"),
        ({"noise": "riemanian"}, "did you mean 'riemannian'"),
        ({"noise": {"block7.*": "euclidean"}}, "unknown layer or pattern 'block7"),
        ({"noise": "paper"}, "ties the noise to the features; leave the strength out"),
    ],
)
def test_networks_that_cannot_be_built(options, message):
    with pytest.raises(InputError, match=message):
        built(**options)


@pytest.mark.parametrize("name", ["z_dim", "w_dim", "mapping_layers"])
def test_dimensions_below_1_are_refused(name):
    with pytest.raises(InputError, match=f"{name} is 0, but it must be an integer of 1 or more"):
        StyleGAN2Generator((3, 16, 16), **{name: 0})


@pytest.mark.parametrize("z", [torch.zeros(3, 4), torch.zeros(5), torch.zeros(3, 5, dtype=torch.int64)])
def test_latents_of_another_shape_or_type_are_refused(z):
    with pytest.raises(InputError, match=r"this generator takes floating point of shape \(N, 5\)"):
        built()(z)


@pytest.mark.parametrize(
    "ws",
    [torch.zeros(2, 6), torch.zeros(2, 5, 6), torch.zeros(2, 6, 5), torch.zeros(2, 6, 6, dtype=torch.int64)],
)
def test_rows_of_another_shape_or_type_are_refused(ws):
    with pytest.raises(InputError, match=r"this synthesis takes floating point of shape \(N, 6, 6\)"):
        built().synthesis(ws)


def test_truncation_and_noise_modes_that_do_not_exist_are_refused():
    network, z = built(), latents()
    for psi in (float("nan"), float("inf")):
        with pytest.raises(InputError, match=f"truncation_psi is {psi}; give a finite number"):
            network(z, truncation_psi=psi)
    for cutoff, message in ((7, "w has 6 rows"), (-1, "integer of 0 or more"), (1.5, "integer of 0 or more")):
        with pytest.raises(InputError, match=message):
            network(z, truncation_psi=0.5, truncation_cutoff=cutoff)
    with pytest.raises(InputError, match="unknown noise mode 'constant'; did you mean 'const'"):
        network(z, noise_mode="constant")
