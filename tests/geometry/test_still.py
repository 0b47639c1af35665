"""A generator held still is a function of the latent, in float64, and is left as it was."""

import pytest
import torch
from torch import nn

from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.geometry.jacobian import jacobian
from riemann_noise_pytorch.geometry.rank_profile import rank_profile
from riemann_noise_pytorch.geometry.still import still
from riemann_noise_pytorch.models.dcgan import DCGANGenerator
from riemann_noise_pytorch.models.precision import use_half
from riemann_noise_pytorch.models.stylegan2 import StyleGAN2Generator
from riemann_noise_pytorch.noise.layers import EuclideanNoise
from riemann_noise_pytorch.noise.pairs import shared_noise
from riemann_noise_pytorch.noise.precision import in_precision

Z = torch.linspace(-1, 1, 8, dtype=torch.float64)


class Noisy(nn.Module):
    z_dim = 8

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 12)
        self.noise = EuclideanNoise(strength=0.5)

    def forward(self, z):
        return self.noise(self.linear(z).view(-1, 3, 2, 2))


class Starts(nn.Module):
    """One thing that happens to the latent, and layers that have parameters."""

    z_dim = 8

    def __init__(self, start, noise=0.0):
        super().__init__()
        self.start = start
        self.linear = nn.Linear(8, 12)
        self.noise = EuclideanNoise(strength=noise)

    def forward(self, z):
        return self.noise(self.linear(self.start(z)).view(-1, 3, 2, 2)).sin()


class Ends(nn.Module):
    """A layer, and one thing that happens to its result."""

    z_dim = 8

    def __init__(self, end):
        super().__init__()
        self.linear = nn.Linear(8, 6)
        self.end = end

    def forward(self, z):
        return self.end(self.linear(z))


def small_stylegan2(**options):
    return StyleGAN2Generator((3, 8, 8), 8, 8, 2, channel_max=4, **options)


def test_the_image_of_a_sample_is_that_of_shared_noise_in_a_batch():
    network = Noisy()
    points = Z * torch.linspace(0.5, 1, 5, dtype=torch.float64)[:, None]
    copied, module = in_precision(network, network, torch.float64)
    with shared_noise(copied, module=module, seed=3) as pairs:
        expected = pairs.one(points, 0)
    with still(network, seed=3) as net:
        for index in (4, 0, 2):
            torch.testing.assert_close(net.at(index)(points[index]), expected[index], rtol=1e-14, atol=1e-15)


def test_noise_is_the_same_at_every_call_and_differs_between_samples():
    with still(Noisy()) as net:
        assert torch.equal(net.at(1)(Z), net.at(1)(Z))
        assert not torch.equal(net.at(1)(Z), net.at(2)(Z))


def test_a_copy_in_float64_is_measured_and_the_network_stays_as_it_was():
    network = DCGANGenerator(16, channels=1, z_dim=8, width=4, noise="riemannian")
    source = network.stage4.noise.source
    with still(network) as net:
        assert net.dtype == torch.float64
        assert net.remark == ""
        assert net.module is not network
        assert not net.module.training
        assert net.at(0)(Z).shape == (1, 16, 16)
        assert network.training
    assert network.stage4.noise.source is source
    assert all(p.dtype == torch.float32 and p.requires_grad for p in network.parameters())


def test_what_is_measured_itself_is_put_back_also_after_an_error():
    network = Noisy()
    source = network.noise.source

    def fails(net):
        assert net.module is network
        assert not network.training
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), still(network, dtype=None) as net:
        fails(net)
    assert network.training
    assert network.noise.source is source
    assert torch.is_grad_enabled()


def test_gradients_are_on_within_and_as_before_afterwards():
    with torch.no_grad(), still(Noisy()) as net:
        assert torch.is_grad_enabled()
        assert net.at(0)(Z.clone().requires_grad_()).requires_grad
    with torch.no_grad():
        with still(Noisy()):
            pass
        assert not torch.is_grad_enabled()


def test_half_precision_of_stylegan2_is_off():
    network = small_stylegan2()
    use_half(network.synthesis, torch.bfloat16, 2)
    with still(network) as net, still(small_of(network)) as full:
        torch.testing.assert_close(net.at(0)(Z), full.at(0)(Z), rtol=0, atol=0)
    with still(network, dtype=None) as net:
        assert net.remark == "in float32, the generator's own"


def small_of(network):
    other = small_stylegan2()
    other.load_state_dict(network.state_dict())
    return other


def test_classes_are_those_of_the_index():
    network = small_stylegan2(classes=3)
    with still(network, labels=lambda first, count: torch.full((count,), first % 3)) as net:
        assert torch.equal(net.at(1)(Z), net.at(4)(Z))
        assert not torch.equal(net.at(1)(Z), net.at(2)(Z))
    with still(network) as net:
        assert net.at(0)(Z).shape == (3, 8, 8)


def test_the_layers_of_a_function_are_found_through_its_module():
    network = Noisy()
    with still(lambda z: network(z).tanh(), 8, module=network) as net:
        assert (
            net.remark == "in float32, for the generator is a function, which cannot be copied into float64"
        )
        assert net.dtype == torch.float32
        assert net.noise_names == ("noise",)
        assert torch.equal(net.at(0)(Z.float()), net.at(0)(Z.float()))


def test_a_function_that_runs_in_float64_is_measured_in_it():
    with still(lambda z: (z @ torch.ones(8, 4, dtype=z.dtype)).sin(), 8) as net:
        assert net.dtype == torch.float64
        assert net.remark == ""
        assert net.at(0)(Z).dtype == torch.float64


@pytest.mark.parametrize(
    ("end", "cause"),
    [
        (lambda x: x.float().sin(), "throughout"),
        (lambda x: x.float().sin().to(x.dtype), "throughout"),
        (lambda x: x @ torch.ones(6, 3), r"throughout \(RuntimeError in test_still.py line"),
    ],
)
def test_what_does_not_run_in_float64_is_measured_in_its_own_precision(end, cause):
    with still(Ends(end)) as net:
        assert net.dtype == torch.float32
        assert net.at(0)(Z.float()).shape[0] in (3, 6)
        assert net.remark.startswith("in float32, for the generator does not run in float64")
        assert cause.replace("\\", "") in net.remark


def test_a_network_that_cannot_be_copied_is_measured_itself():
    network = Ends(torch.sin)
    network.lock = (each for each in ())
    with still(network) as net:
        assert net.module is network
        assert net.remark.startswith("in float32")


def test_a_copy_in_float32_says_so():
    with still(Noisy(), dtype=torch.float32) as net:
        assert net.remark == "in float32, as asked"


def test_noise_of_the_networks_own_is_held():
    with still(Ends(lambda x: x + torch.randn_like(x))) as net:
        assert torch.equal(net.at(0)(Z), net.at(0)(Z))
        assert not torch.equal(net.at(0)(Z), net.at(1)(Z))


def test_compiled_networks_are_unwrapped():
    network = Noisy()
    with still(torch.compile(network)) as net, still(network) as plain:
        assert torch.equal(net.at(0)(Z), plain.at(0)(Z))


def test_noise_beside_the_latent_starts_where_it_is_frozen():
    with still(Noisy()) as net:
        joint = net.joint_at(2, Z)
        assert joint.noise_size == 4
        assert joint.start.shape == (12,)
        assert torch.equal(joint.function(joint.start), net.at(2)(Z))
        moved = joint.start.clone()
        moved[8:] += 1
        torch.testing.assert_close(joint.function(moved), net.at(2)(Z) + 0.5)


@pytest.mark.parametrize("kind", ["euclidean", "riemannian"])
def test_noise_of_some_layers_alone_can_be_a_variable(kind):
    network = DCGANGenerator(16, channels=1, z_dim=8, width=4, noise=kind, noise_strength=0.1)
    with still(network) as net:
        joint = net.joint_at(0, Z, "stage8.*")
        assert joint.noise_size == 64
        assert torch.equal(joint.function(joint.start), net.at(0)(Z))


def test_noise_that_cannot_be_a_variable_is_refused():
    class Sizes(Noisy):
        def forward(self, z):
            return self.noise(super().forward(z).repeat(1, 1, 2, 2))

    class Unused(Noisy):
        def forward(self, z):
            return self.linear(z)

    for network, cause in (
        (Ends(torch.sin), "no noise layer of this package"),
        (Sizes(), "several sizes"),
        (Unused(), "none of these noise layers draws"),
    ):
        with still(network) as net, pytest.raises(InputError, match=cause):
            net.joint_at(0, Z)
    with still(Noisy()) as net, pytest.raises(InputError, match="did you mean 'noise'"):
        net.joint_at(0, Z, "nose")
    with (
        still(torch.sin, 8) as net,
        pytest.raises(InputError, match="the function that was given has no noise"),
    ):
        net.joint_at(0, Z)


UNSEEN = torch.Generator().manual_seed(0)


@pytest.mark.parametrize(
    ("network", "cause"),
    [
        (nn.Linear(3, 3), "does not take one torch.float32 tensor of shape .1, 8."),
        (lambda a, b: a, "does not take one"),
        (Ends(lambda x: (x * 127).to(torch.uint8)), "returns torch.uint8, which has no derivative"),
        (Ends(lambda x: (x, x)), "returns tuple, which has no derivative"),
        (Ends(lambda x: x.sum()), "returns shape"),
        (Ends(lambda x: x.detach()), "no derivative in the latent"),
        (Ends(lambda x: torch.from_numpy(x.detach().numpy())), "no derivative in the latent"),
        (lambda z: z.detach() @ torch.ones(8, 3, dtype=z.dtype), "no derivative in the latent"),
        (Ends(lambda x: x.bfloat16().float()), "computes in torch.bfloat16 inside"),
        (Ends(lambda x: x + torch.randn(x.shape, generator=UNSEEN)), "different images for the same latent"),
    ],
)
def test_generators_that_have_no_derivative_are_refused_in_one_line(network, cause):
    with pytest.raises(InputError, match=cause) as caught, still(network, 8):
        pass
    assert "\n" not in str(caught.value)


def without_gradient(z):
    with torch.no_grad():
        return z * 2


CUTS = {
    "detach": lambda z: z.detach(),
    "data": lambda z: z.data,
    "no_grad": without_gradient,
    "numpy": lambda z: torch.from_numpy(z.detach().numpy()),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, None])
@pytest.mark.parametrize("cut", CUTS)
def test_a_latent_that_is_cut_off_before_layers_with_parameters_is_refused(cut, dtype):
    network = Starts(CUTS[cut])
    assert network(Z.float()[None]).requires_grad  # for the sake of the parameters
    with (
        pytest.raises(InputError, match="no derivative in the latent, though") as caught,
        still(network, dtype=dtype),
    ):
        pass
    assert "\n" not in str(caught.value)
    assert all(p.requires_grad and p.grad is None for p in network.parameters())


IGNORING = {
    "constant": torch.zeros_like,
    "times zero": lambda z: z * 0,
    "cut off as well": lambda z: z.detach() * 0,
}


@pytest.mark.parametrize("dtype", [torch.float64, None])
@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("ignoring", IGNORING)
def test_a_network_that_ignores_its_latent_has_the_derivative_0(ignoring, noise, dtype):
    network = Starts(IGNORING[ignoring], noise)
    with still(network, dtype=dtype) as net:
        z = Z.to(net.dtype)
        assert torch.equal(net.at(0)(z), net.at(0)(-z))
        for mode in (None, "forward", "reverse"):
            matrix = jacobian(net.at(0), z, mode=mode)
            assert torch.equal(matrix.dense(), torch.zeros(12, 8, dtype=net.dtype))
    profile = rank_profile(network, dtype=dtype, num_latents=2)
    assert [layer.highest for layer in profile.layers] == [0] * len(profile.layers)


def test_a_gradient_that_fails_is_none_that_is_missing():
    class ForwardOnly(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * x

        @staticmethod
        def backward(ctx, upstream):
            raise NotImplementedError

    with still(Starts(ForwardOnly.apply)) as net:
        assert net.remark == ""


class Attentive(nn.Module):
    """A generator by a Transformer: a latent is eight tokens."""

    z_dim = 16

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True)
        self.spread, self.encoder = nn.Linear(16, 64), nn.TransformerEncoder(layer, 2)

    def forward(self, z):
        return self.encoder(self.spread(z).view(-1, 8, 8)).unsqueeze(1)


@pytest.mark.parametrize("fast", [True, False])
def test_attention_is_followed_in_forward_mode_and_its_settings_are_left_as_they_were(fast):
    torch.manual_seed(0)
    network, enabled = Attentive().eval(), torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(fast)
    kernels = (torch.backends.cuda.flash_sdp_enabled(), torch.backends.cuda.mem_efficient_sdp_enabled())
    try:
        profile = rank_profile(network, num_latents=1)
        assert torch.backends.mha.get_fastpath_enabled() == fast
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)
    assert profile.mode == "forward"
    assert profile.layers[-1].rank == 16
    after = (torch.backends.cuda.flash_sdp_enabled(), torch.backends.cuda.mem_efficient_sdp_enabled())
    assert after == kernels


def test_images_with_nan_name_the_layer():
    network = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 4), nn.Softplus())
    nn.init.constant_(network[1].weight, torch.nan)
    with pytest.raises(NonFiniteError, match="layer '1' gives it first"), still(network, 8):
        pass
    with pytest.raises(NonFiniteError, match="NaN or infinity"), still(lambda z: z.log(), 8):
        pass


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="give z_dim"), still(nn.Linear(8, 3)):
        pass
    with pytest.raises(InputError, match="leave z_dim out"), still(Noisy(), 9):
        pass
    with pytest.raises(InputError, match=r"torch\.float16; choose"), still(Noisy(), dtype=torch.float16):
        pass
    with pytest.raises(InputError, match="return classes"), still(Noisy(), labels=lambda first, n: None):
        pass
