"""Laws of putting noise into networks that know nothing of it, and of taking it out."""

import copy
import io
import pickle

import onnxruntime
import pytest
import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from riemann_noise_pytorch.noise.control import frozen, noise_layers, off
from riemann_noise_pytorch.noise.inject import inject, remove
from riemann_noise_pytorch.noise.layers import RiemannNoise
from tests.noise.networks import CASES, Case, sound, z

every_network = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def injected(case: Case, strength: float | None = 0.1, model: nn.Module | None = None) -> nn.Module:
    model = model or case.network()
    options = {} if strength is None else {"strength": strength}
    return inject(model, case.where, case.noise, example_input=case.example(), **case.options, **options)


def bits(tensor: Tensor) -> bytes:
    return tensor.detach().reshape(-1).view(torch.uint8).numpy().tobytes()


def everything_of(model: nn.Module) -> dict[str, object]:
    """Attributes, hooks, modes and tensors, by name, down to identity."""
    state: dict[str, object] = {}
    for name, module in model.named_modules():
        state[name] = (type(module), list(vars(module)), module.training)
        for attribute, value in vars(module).items():
            if isinstance(value, dict):
                state[f"{name}:{attribute}"] = {key: id(item) for key, item in value.items()}
    for name, tensor in model.state_dict(keep_vars=True).items():
        state[f"{name}="] = (id(tensor), tensor.dtype, tensor.requires_grad, bits(tensor))
    return state


@every_network
def test_noise_of_strength_zero_changes_no_bit(case):
    model = case.network()
    with torch.no_grad():
        before = case.run(model)
        after = case.run(injected(case, None, model))
    assert torch.equal(after, before)
    assert (after.dtype, after.stride()) == (before.dtype, before.stride())


@every_network
def test_every_matched_module_has_a_layer_of_the_size_found(case):
    model = case.network()
    parameter = next(model.parameters())
    old = set(model.state_dict())
    injected(case, model=model)
    layers = noise_layers(model)
    assert set(layers) == {f"{host}.noise".removeprefix(".") for host in case.hosts}
    new = set(model.state_dict()) - old
    assert new == {f"{name}.{key}" for name, layer in layers.items() for key in layer.state_dict()}
    wide = parameter.dtype == torch.float64
    for layer in layers.values():
        assert {p.dtype for p in layer.parameters()} == {torch.float64 if wide else torch.float32}
        assert isinstance(layer, RiemannNoise) is (case.noise == "riemannian")
        assert case.noise != "riemannian" or layer.size is not None
        assert layer.training is model.training


@every_network
def test_injected_noise_reaches_the_output_and_obeys_its_sources(case):
    model = injected(case, 0.5)
    with torch.no_grad():
        fresh = case.run(model)
        with frozen(model, 0):
            first, second = case.run(model), case.run(model)
        with off(model):
            silent = case.run(model)
    assert torch.equal(first, second)
    assert not torch.equal(first, fresh)
    assert not torch.equal(first, silent)


@every_network
def test_removal_leaves_no_trace(case):
    model = case.network()
    before = everything_of(model)
    with torch.no_grad():
        output = case.run(model)
        assert remove(injected(case, model=model)) is model
        assert torch.equal(case.run(model), output)
    assert everything_of(model) == before


@every_network
def test_ten_steps_of_training_change_every_parameter_of_the_noise(case):
    model = injected(case).train()
    layers = noise_layers(model)
    initial = copy.deepcopy({name: layer.state_dict() for name, layer in layers.items()})
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(10):
        optimizer.zero_grad()
        output = case.run(model).float()
        target = torch.linspace(-1, 1, output.numel()).view_as(output)
        (output - target).square().mean().backward()
        optimizer.step()
    for name, layer in layers.items():
        for key, value in layer.state_dict().items():
            assert value.isfinite().all()
            assert not torch.equal(value, initial[name][key]), f"{name}.{key}"


def copies(model: nn.Module) -> dict[str, nn.Module]:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return {
        "deepcopy": copy.deepcopy(model),
        "pickle": pickle.loads(pickle.dumps(model)),
        "torch.save": torch.load(file, weights_only=False),
    }


@every_network
def test_copies_have_noise_of_their_own_that_can_be_removed(case):
    model = injected(case)
    keys = list(case.network().state_dict())
    with torch.no_grad(), frozen(model, 0):
        expected = case.run(model)
        for how, other in copies(model).items():
            with frozen(other, 0):
                assert torch.equal(case.run(other), expected), how
                for parameter in (p for layer in noise_layers(other).values() for p in layer.parameters()):
                    parameter.add_(1.0)
                assert not torch.equal(case.run(other), expected), how
            assert torch.equal(case.run(model), expected), how
            assert list(remove(other).state_dict()) == keys, how
            assert not noise_layers(other), how
        assert torch.equal(case.run(model), expected)


@every_network
def test_old_weights_name_exactly_the_noise_as_missing(case):
    model, old = injected(case), case.network().state_dict()
    report = model.load_state_dict(old, strict=False)
    assert set(report.missing_keys) == set(model.state_dict()) - set(old)
    assert all(".noise." in f".{key}" for key in report.missing_keys)
    assert report.unexpected_keys == []
    with torch.no_grad():
        for layer in noise_layers(model).values():
            for parameter in layer.parameters():
                parameter.normal_()
    other = injected(case)
    assert not other.load_state_dict(model.state_dict()).missing_keys
    with torch.no_grad(), frozen(model, 0), frozen(other, 0):
        assert torch.equal(case.run(model), case.run(other))


@pytest.mark.parametrize("name", ["stages", "named tuple"])
def test_compiled_whole_it_equals_eager(name):
    case = CASES[name]
    model = injected(case)
    torch.compiler.reset()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    with torch.no_grad(), frozen(model, 0):
        torch.testing.assert_close(case.run(compiled), case.run(model), rtol=1e-6, atol=1e-6)
    assert case.run(compiled).shape == case.run(model).shape


@pytest.mark.slow
def test_compiled_by_inductor_it_equals_eager():
    case = CASES["unet"]
    model = injected(case)
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True)
    with torch.no_grad(), frozen(model, 0):
        torch.testing.assert_close(case.run(compiled), case.run(model), rtol=1e-5, atol=1e-5)


def test_it_can_be_differentiated_forwards_and_batched():
    model = injected(Case(sound, z, nn.ConvTranspose1d, ("1",)), 0.5).double()
    point, direction = torch.randn(8).double(), torch.randn(8).double()

    def curve(v: Tensor) -> Tensor:
        return model(v.unsqueeze(0)).squeeze(0)

    with frozen(model, 0):
        value, slope = torch.func.jvp(curve, (point,), (direction,))
        step = 1e-6 * direction
        torch.testing.assert_close(
            slope, (curve(point + step) - curve(point - step)) / 2e-6, rtol=1e-6, atol=1e-8
        )
        batched = torch.func.vmap(curve)(torch.stack([point, direction]))
        torch.testing.assert_close(batched, torch.stack([value, curve(direction)]))


def test_under_data_parallelism_every_parameter_has_a_gradient(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        model = injected(CASES["stages"]).train()
        parallel = DistributedDataParallel(model)
        optimizer = torch.optim.SGD(parallel.parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            CASES["stages"].run(parallel).square().mean().backward()
            assert [name for name, p in parallel.named_parameters() if p.grad is None] == []
            optimizer.step()
        assert {f"module.{key}" for key in model.state_dict()} == set(parallel.state_dict())
        assert list(noise_layers(parallel)) == ["stage4.noise", "stage8.noise"]
    finally:
        torch.distributed.destroy_process_group()


def test_half_precision_by_autocast_keeps_its_dtype():
    model = injected(CASES["stages"]).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = CASES["stages"].run(model)
        assert output.dtype == torch.bfloat16
    output.float().square().mean().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["stages", "unet", "torchvision resnet"])
def test_on_a_gpu_the_layers_are_where_the_features_are(name):
    case = CASES[name]
    model, example = case.network().cuda(), case.example().cuda()
    with torch.no_grad():
        before = model(example)
        state = torch.cuda.get_rng_state()
        inject(model, case.where, case.noise, example_input=example)
        assert torch.equal(torch.cuda.get_rng_state(), state)
        assert {p.device.type for p in model.parameters()} == {"cuda"}
        torch.testing.assert_close(model(example), before)
        with frozen(model, 0):
            assert torch.equal(model(example), model(example))
        torch.testing.assert_close(remove(model)(example), before)


@pytest.mark.parametrize("control", [frozen, off])
def test_exported_to_onnx_it_equals_torch(control):
    case = CASES["stages"]
    model = injected(case, 0.5)
    with torch.no_grad(), control(model):
        expected = case.run(model)
        torch.manual_seed(1)
        program = torch.onnx.export(model, (case.example(),), dynamo=True, verbose=False)
    file = io.BytesIO()
    program.save(file)
    session = onnxruntime.InferenceSession(file.getvalue())
    torch.manual_seed(1)
    (output,) = session.run(None, {session.get_inputs()[0].name: case.example().numpy()})
    torch.testing.assert_close(torch.from_numpy(output), expected, rtol=1e-5, atol=1e-6)


def test_exported_with_an_open_batch_the_noise_still_belongs_to_its_sample():
    case = CASES["stages"]
    model = injected(case, 0.5)
    with torch.no_grad(), frozen(model, 3):
        program = torch.onnx.export(
            model, (case.example(),), dynamo=True, verbose=False, dynamic_shapes=({0: torch.export.Dim("n")},)
        )
        more = torch.cat([case.example(), -case.example(), case.example()])
        expected = model(more)
    file = io.BytesIO()
    program.save(file)
    session = onnxruntime.InferenceSession(file.getvalue())
    (output,) = session.run(None, {session.get_inputs()[0].name: more.numpy()})
    torch.testing.assert_close(torch.from_numpy(output), expected, rtol=1e-5, atol=1e-6)
