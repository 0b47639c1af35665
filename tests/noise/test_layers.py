"""Laws of the two kinds of noise layer."""

import copy
import pickle

import pytest
import torch
from torch import nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise import functional, fused, switches
from riemann_noise_pytorch.noise.channels import PerChannelNoise
from riemann_noise_pytorch.noise.control import frozen, given, off
from riemann_noise_pytorch.noise.interfaces import NoiseLayer
from riemann_noise_pytorch.noise.kinds import make_noise
from riemann_noise_pytorch.noise.layers import EuclideanNoise, RiemannNoise
from riemann_noise_pytorch.noise.presets import RIEMANN_PRESETS
from riemann_noise_pytorch.noise.sources import Given
from tests.reference import noise_injection as literal

PRESETS = sorted(RIEMANN_PRESETS)
KINDS = ["euclidean", "per-channel", *PRESETS]


@pytest.fixture(autouse=True)
def fast_way(monkeypatch):
    """Small maps take the formulas as they are; here the fast way is to keep every law."""
    monkeypatch.setattr(fused, "LARGE_MAP", 0)


def build(kind: str, size=(4, 5), channels=3, **options) -> NoiseLayer:
    """A layer with noise switched on, in float64 unless told otherwise."""
    options = {"dtype": torch.float64, **options}
    if kind == "euclidean":
        return EuclideanNoise(strength=0.3, **options)
    if kind == "per-channel":
        return PerChannelNoise(channels, strength=0.3, **options)
    own = RIEMANN_PRESETS[kind].strength == "own"
    torch.manual_seed(7)
    return RiemannNoise(size, preset=kind, **({"w": 0.3} if own else {}), **options)


def features(*shape: int, seed: int = 0, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def test_per_channel_noise_equals_its_transcription():
    layer = PerChannelNoise(3, dtype=torch.float64)
    layer.a.data.copy_(torch.tensor([0.5, -2.0, 0.0]))
    mu, plane = features(2, 3, 4, 5), features(2, 1, 4, 5, seed=1)
    with given(layer, {"": plane}):
        o = layer(mu)
    rows = zip(mu.tolist(), plane[:, 0].tolist(), strict=True)
    expected = [literal.per_channel(m, layer.a.tolist(), e) for m, e in rows]
    torch.testing.assert_close(o, torch.tensor(expected, dtype=torch.float64), rtol=1e-13, atol=0)


@pytest.mark.parametrize("planes", ["shared", "per_channel"])
@pytest.mark.parametrize("kind", ["euclidean", "per-channel"])
def test_noise_without_geometry_serves_features_without_positions(kind, planes):
    layer, mu = build(kind, planes=planes), features(2000, 3)
    noise = ((layer(mu) - mu) / layer.a).detach()
    assert noise.std().item() == pytest.approx(1, rel=0.05)
    assert torch.allclose(noise[:, 0], noise[:, 1]) == (planes == "shared")
    with pytest.raises(InputError, match=r"riemannian noise needs features .* or use Euclidean noise"):
        RiemannNoise()(mu)


@pytest.mark.parametrize("channels", [3, 512])
@pytest.mark.parametrize("preset", [name for name in PRESETS if name.startswith("author")])
def test_author_presets_equal_the_authors_code(preset, channels):
    layer, mu, plane = build(preset), features(2, channels, 4, 5), features(2, 1, 4, 5, seed=1)
    layer.alpha.data.fill_(0.37)
    with given(layer, {"": plane}):
        o = layer(mu)
    A, b = layer.A.tolist(), layer.b.tolist()
    rows = zip(mu.tolist(), plane[:, 0].tolist(), strict=True)
    identifier = RIEMANN_PRESETS[preset].identifier
    expected = [literal.author_layer(m, A, b, 0.37, 0.3, e, identifier) for m, e in rows]
    torch.testing.assert_close(o, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("channels", [3, 512])
def test_seed_preset_equals_the_seed_module(channels):
    layer, mu, epsilon = build("seed"), features(2, channels, 4, 5), features(2, channels, 4, 5, seed=1)
    with given(layer, {"": epsilon}):
        o = layer(mu)
    A, b = layer.A.tolist(), layer.b.tolist()
    rows = zip(mu.tolist(), epsilon.tolist(), strict=True)
    expected = [literal.seed_layer(m, A, b, 0.5, 0.3, 0.5, e) for m, e in rows]
    torch.testing.assert_close(o, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("activation", [torch.relu, lambda mu: mu])
@pytest.mark.parametrize("channels", [3, 512])
@pytest.mark.parametrize("norm", ["l2", "rms"])
def test_paper_preset_equals_the_equations_with_r_of_sqrt_hw(norm, channels, activation):
    layer = RiemannNoise((4, 5), preset="paper", norm=norm, dtype=torch.float64)
    mu, epsilon = activation(features(2, channels, 4, 5)), features(2, 1, 4, 5, seed=1)
    with given(layer, {"": epsilon}):
        o = layer(mu)
    expected = []
    for m, e in zip(mu.tolist(), epsilon.tolist(), strict=True):
        s_d = literal.eq15(literal.eq14(literal.eq13(m)), layer.A.tolist(), layer.b.tolist())
        expected.append(literal.eq17(m, literal.eq16(s_d, 0.5), 20**0.5, e * channels))
    torch.testing.assert_close(o, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("channels", [1, 16, 512])
@pytest.mark.parametrize("identifier", sorted(switches.IDENTIFIERS))
def test_the_floor_of_d1_is_out_of_reach_of_normal_features(identifier, channels):
    mu_tilde = switches.IDENTIFIERS[identifier](features(500, channels, 4, 4))
    spread, size = switches.usual_spread(identifier, channels)
    mean = mu_tilde.mean(dim=(2, 3), keepdim=True)
    below = (mu_tilde - mean).amax(dim=(2, 3), keepdim=True) < functional.flatness_floor(mean, spread, size)
    assert below.double().mean() <= 0.002


def test_neutral_preset_starts_as_euclidean_noise():
    riemannian, euclidean = build("neutral"), build("euclidean")
    mu = features(2, 3, 4, 5)
    with frozen(riemannian, 1), frozen(euclidean, 1):
        torch.testing.assert_close(riemannian(mu), euclidean(mu), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_gradcheck_and_gradgradcheck(kind):
    layer = build(kind, size=(3, 3), channels=2)
    if hasattr(layer, "A"):
        layer.A.data += features(3, 3, seed=5) * 0.2
    names = [name for name, _ in layer.named_parameters()]
    source = Given(features(1, 1 if layer.planes == "shared" else 2, 3, 3, seed=2))

    def call(mu, *values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (mu,))

    layer.source = source
    inputs = [features(1, 2, 3, 3).requires_grad_()]
    inputs += [p.detach().clone().requires_grad_() for p in layer.parameters()]
    assert torch.autograd.gradcheck(call, inputs)
    assert torch.autograd.gradgradcheck(call, inputs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("constant", [0.0, 1.0, -5.0])
@pytest.mark.parametrize("wobble", [0.0, 1e-6])
def test_flat_maps_have_bounded_first_and_second_derivatives(kind, constant, wobble):
    layer = build(kind, size=8, channels=16)

    def derivatives(mu):
        mu = mu.requires_grad_()
        with frozen(layer, 3):
            loss = layer(mu).square().sum()
        parameters = [mu, *layer.parameters()]
        first = torch.autograd.grad(loss, parameters, create_graph=True)
        direction = features(*mu.shape, seed=9)
        second = torch.autograd.grad((first[0] * direction).sum(), parameters)
        return [sum(g.square().sum() for g in grads).sqrt().item() for grads in (first, second)]

    flat = derivatives(constant + wobble * features(2, 16, 8, 8))
    normal = derivatives(features(2, 16, 8, 8))
    assert all(f <= 100 * n for f, n in zip(flat, normal, strict=True))


def test_vanishing_s_prime_gives_zero_with_bounded_derivatives():
    layer = RiemannNoise(4, preset="paper", alpha=1.0, A=1.0, b=0.0, dtype=torch.float64)
    sizes = []
    for mu in (torch.ones(2, 3, 4, 4, dtype=torch.float64), features(2, 3, 4, 4)):
        inputs = [mu.requires_grad_(), *layer.parameters()]
        o = layer(mu)
        first = torch.autograd.grad(o.sum(), inputs, create_graph=True)
        second = torch.autograd.grad(first[0].square().sum(), inputs)
        sizes.append([sum(g.square().sum() for g in grads).sqrt().item() for grads in (first, second)])
        if mu.std() == 0:
            assert torch.equal(o, torch.zeros_like(o))
    assert all(flat <= 100 * normal for flat, normal in zip(*sizes, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_does_not_see_its_neighbours(kind):
    layer, mu = build(kind), features(6, 3, 4, 5)
    with frozen(layer, 1):
        whole, alone = layer(mu), layer(mu[:1])
        mu[1:] *= 1e3
        torch.testing.assert_close(layer(mu)[:1], whole[:1], rtol=0, atol=0)
    torch.testing.assert_close(alone, whole[:1], rtol=1e-14, atol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("half_parameters", [True, False])
def test_half_precision_keeps_its_dtype_and_follows_float32(kind, dtype, half_parameters):
    exact = build(kind, size=16, channels=512, dtype=torch.float32)
    layer = copy.deepcopy(exact).to(dtype) if half_parameters else exact
    mu = features(2, 512, 16, 16, dtype=dtype)
    with frozen(layer, 1), frozen(exact, 1):
        o, reference = layer(mu), exact(mu.float())
    assert o.dtype == dtype
    tolerance = 8 * torch.finfo(dtype).eps
    assert (o.float() - reference).norm() <= tolerance * reference.norm()


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_receives_a_gradient(kind):
    layer = build(kind)
    layer(features(2, 3, 4, 5)).square().sum().backward()
    assert all(p.grad is not None for p in layer.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_copies_pickles_and_state_dicts_carry_the_layer(kind, tmp_path):
    layer, mu = build(kind), features(2, 3, 4, 5)
    torch.save(layer.state_dict(), tmp_path / "state.pt")
    loaded = build(kind)
    loaded.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    twins = [copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), loaded]
    with frozen(layer, 1):
        expected = layer(mu)
    for twin in twins:
        with frozen(twin, 1):
            torch.testing.assert_close(twin(mu), expected, rtol=0, atol=0)
        next(twin.parameters()).data.add_(1)
    with frozen(layer, 1):
        torch.testing.assert_close(layer(mu), expected, rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_to_moves_every_tensor(kind):
    layer = build(kind, dtype=torch.float32).to(torch.float64)
    assert {p.dtype for p in layer.parameters()} == {torch.float64}
    assert layer.to("meta")(torch.empty(2, 3, 4, 5, device="meta", dtype=torch.float64)).device.type == "meta"


@pytest.mark.parametrize("kind", KINDS)
def test_channels_last_stays_channels_last(kind):
    layer = build(kind, size=8, channels=16, dtype=torch.float32)
    mu = features(2, 16, 8, 8, dtype=torch.float32)
    with frozen(layer, 1):
        o = layer(mu.contiguous(memory_format=torch.channels_last))
        assert o.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(o, layer(mu))


@pytest.mark.parametrize("kind", KINDS)
def test_compiled_layer_equals_the_eager_one(kind):
    torch.compiler.reset()
    layer = build(kind)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    mu = features(2, 3, 4, 5).requires_grad_()
    with frozen(layer, 1):
        (expected,) = torch.autograd.grad(layer(mu).square().sum(), mu)
        (found,) = torch.autograd.grad(compiled(mu).square().sum(), mu)
    torch.testing.assert_close(found, expected)
    assert compiled(mu).shape == mu.shape


@pytest.mark.parametrize(
    "kind", [kind if kind == "paper" else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]
)
def test_inductor_compiles_the_layer(kind):
    torch.compiler.reset()
    layer = build(kind)
    mu = features(2, 3, 4, 5)
    with frozen(layer, 1):
        torch.testing.assert_close(torch.compile(layer, fullgraph=True)(mu), layer(mu))


@pytest.mark.parametrize("kind", KINDS)
def test_forward_mode_equals_reverse_mode(kind):
    layer = build(kind)
    mu, direction, cotangent = (
        features(2, 3, 4, 5),
        features(2, 3, 4, 5, seed=1),
        features(2, 3, 4, 5, seed=2),
    )
    with frozen(layer, 1):
        _, forward = torch.func.jvp(layer, (mu,), (direction,))
        _, pull = torch.func.vjp(layer, mu)
        torch.testing.assert_close((forward * cotangent).sum(), (pull(cotangent)[0] * direction).sum())


@pytest.mark.parametrize("kind", KINDS)
def test_vmap_over_a_stack_of_batches(kind):
    layer, mus = build(kind), features(3, 2, 3, 4, 5)
    with frozen(layer, 1):
        expected = torch.stack([layer(mu) for mu in mus])
        torch.testing.assert_close(torch.func.vmap(layer)(mus), expected)
    assert torch.func.vmap(layer, randomness="different")(mus).shape == mus.shape


def test_without_noise_the_features_are_not_handed_on_themselves():
    mu = features(2, 3, 4, 5)
    for kind in KINDS:
        layer = build(kind)
        with off(layer):
            assert layer(mu).data_ptr() != mu.data_ptr()


def test_noise_is_shared_by_the_channels_or_not():
    mu = torch.zeros(2, 3, 4, 5, dtype=torch.float64)
    shared = EuclideanNoise(strength=1.0, dtype=torch.float64)(mu)
    own = EuclideanNoise(strength=1.0, planes="per_channel", dtype=torch.float64)(mu)
    assert torch.equal(shared[:, 0], shared[:, 1])
    assert not torch.equal(own[:, 0], own[:, 1])


def test_layer_without_maps_serves_any_resolution():
    layer = RiemannNoise(w=0.1)
    assert [tuple(layer(torch.randn(1, 2, n, n + 1)).shape) for n in (3, 8)] == [(1, 2, 3, 4), (1, 2, 8, 9)]
    assert all(p.ndim == 0 for p in layer.parameters())


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu")])
def test_size_then_device_as_the_seed_writes_it(device):
    layer = RiemannNoise(12, device)
    assert layer.A.shape == (12, 12)
    assert RiemannNoise((3, 7), device).b.shape == (3, 7)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
@pytest.mark.parametrize("device", ["cuda", torch.device("cuda")])
def test_missing_cuda_is_torchs_own_error_with_a_line_on_what_to_do(device):
    with pytest.raises((RuntimeError, AssertionError)) as raised:
        RiemannNoise(128, device)
    assert "CUDA" in str(raised.value) or "NVIDIA" in str(raised.value)
    assert any("'cpu'" in note for note in raised.value.__notes__)


def test_strength_is_the_standard_deviation_of_the_noise():
    for kind in KINDS:
        layer = build(kind, size=(16, 16), channels=1)
        if kind.startswith(("author", "seed")):
            layer.A.data.zero_()
            layer.b.data.zero_()
        elif kind == "paper":
            layer.A.data.zero_()
        mu = torch.zeros(2000, 1, 16, 16, dtype=torch.float64)
        torch.testing.assert_close(layer(mu).std(), layer.strength(), rtol=0.01, atol=0)


def test_reset_parameters_draws_from_the_generator():
    layer = build("author-cat")
    layer.reset_parameters(torch.Generator().manual_seed(1))
    first = layer.A.clone()
    layer.reset_parameters(torch.Generator().manual_seed(1))
    assert torch.equal(layer.A, first)
    layer.reset_parameters(torch.Generator().manual_seed(2))
    assert not torch.equal(layer.A, first)
    many = RiemannNoise(200, preset="author-cat")
    torch.testing.assert_close(many.A.std(), torch.tensor(1.0), rtol=0.02, atol=0)


def test_make_noise_builds_each_kind():
    assert make_noise("none") is None
    assert make_noise("euclidean", 4, strength=0.2).strength() == pytest.approx(0.2)
    assert make_noise("riemannian", 4, strength=0.2).strength() == pytest.approx(0.2)
    assert make_noise("riemannian", 4, preset="seed", strength=0.2).strength() == pytest.approx(0.2)
    assert make_noise("riemannian", (4, 4), preset="paper").strength() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RiemannNoise(0), "size must be a positive integer"),
        (lambda: RiemannNoise((4, 0)), "size must be a positive integer"),
        (lambda: RiemannNoise((4, 4, 4, 4)), "size must be a positive integer"),
        (lambda: RiemannNoise(4.5), "size must be a positive integer"),
        (lambda: RiemannNoise(True), "size must be a positive integer"),
        (lambda: RiemannNoise(4, preset="papr"), "did you mean 'paper'"),
        (lambda: RiemannNoise(4, norm="l1"), "unknown norm 'l1'"),
        (lambda: RiemannNoise(4, identifer="sum"), "did you mean 'identifier'"),
        (lambda: RiemannNoise(4, alpha=float("nan")), "alpha must be a finite number"),
        (lambda: RiemannNoise(4, alpha="x"), "alpha must be a finite number, not 'x'"),
        (lambda: RiemannNoise(4, A=True), "A must be a finite number"),
        (lambda: RiemannNoise(4, learn_r=1.5), "learn_r must be True or False"),
        (lambda: RiemannNoise(4, identifier=["sum"]), "unknown identifier"),
        (lambda: RiemannNoise(4, map_std=-1.0), "map_std is a standard deviation"),
        (lambda: RiemannNoise(4, preset="paper", w=0.1), "w has no effect"),
        (lambda: RiemannNoise(4, preset="author-cat", r=5.0), "r has no effect"),
        (lambda: RiemannNoise(norm="l2"), "norm='l2' needs the size"),
        (lambda: EuclideanNoise(strength=float("inf")), "strength must be a finite number"),
        (lambda: EuclideanNoise(planes="both"), "unknown planes 'both'"),
        (lambda: EuclideanNoise(law="gausian"), "did you mean 'gaussian'"),
        (lambda: make_noise("riemanian"), "did you mean 'riemannian'"),
        (lambda: make_noise("neutral", 4, preset="paper"), "'neutral' and 'paper' are two presets"),
        (lambda: make_noise("per-channel", 4), "needs the number of channels"),
        (lambda: PerChannelNoise(0), "needs 1 channel or more"),
        (lambda: PerChannelNoise(3)(torch.zeros(1, 2, 4)), "3 channels, but the features have 2"),
        (lambda: make_noise("riemannian", 4, preset="paper", strength=0.1), "ties the noise to the features"),
        (lambda: RiemannNoise(4)(torch.zeros(1, 2, 5, 5)), "maps of 4x4, but the features are 5x5"),
        (lambda: RiemannNoise()(torch.zeros(2, 5)), "have shape (2, 5)"),
        (lambda: RiemannNoise()(torch.zeros(1, 0, 4, 4)), "no channels"),
        (lambda: EuclideanNoise()(torch.zeros(1, 2, 4, 4, dtype=torch.int64)), "torch.int64"),
        (lambda: EuclideanNoise()(torch.zeros(1, 2, 4, 4, dtype=torch.complex64)), "torch.complex64"),
    ],
)
def test_bad_input_is_refused_in_one_line(make, message):
    with pytest.raises(InputError) as raised:
        make()
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_empty_batches_pass():
    for kind in KINDS:
        assert build(kind)(torch.zeros(0, 3, 4, 5, dtype=torch.float64)).shape == (0, 3, 4, 5)


def test_not_a_number_is_not_hidden():
    mu = torch.zeros(2, 3, 4, 5, dtype=torch.float64)
    mu[0, 0, 0, 0] = float("nan")
    for kind in KINDS:
        o = build(kind)(mu)
        assert o[0].isnan().any()
        assert o[1].isfinite().all()


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
def test_on_a_gpu_the_layer_computes_the_same(kind):
    layer, mu = build(kind), features(2, 3, 4, 5)
    with frozen(layer, 1):
        expected = layer(mu)
    layer.to("cuda")
    with frozen(layer, 1):
        torch.testing.assert_close(layer(mu.cuda()).cpu(), expected, rtol=1e-6, atol=1e-6)
    assert nn.Sequential(layer)(mu.cuda()).device.type == "cuda"
