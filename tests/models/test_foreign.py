"""Networks of other code bases are taken whole, or refused by the name of what does not fit."""

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.models.foreign import from_lucidrains, from_rosinality

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
READERS = {"lucidrains": from_lucidrains, "rosinality": from_rosinality}
AVERAGE = {"lucidrains": "av", "rosinality": "latent_avg"}


@pytest.fixture(scope="module", params=READERS)
def code(request):
    return request.param


@pytest.fixture(scope="module")
def every_weight():
    return {code: load_file(GOLDEN / f"{code}_weights.safetensors") for code in READERS}


@pytest.fixture
def weights(every_weight, code):
    return dict(every_weight[code])


def test_what_is_loaded_is_a_copy_with_type_and_gradients(code, weights):
    for network in READERS[code]({name: tensor.double() for name, tensor in weights.items()}):
        before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        assert {tensor.dtype for tensor in before.values()} == {torch.float64}
        assert all(parameter.requires_grad for parameter in network.parameters())
    generator, _ = READERS[code](weights)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.zero_()
    assert all(tensor.abs().max() > 0 for tensor in weights.values())


@torch.no_grad()
def test_a_missing_average_is_estimated_always_the_same(code, weights):
    del weights[AVERAGE[code]]
    (first, _), (second, _) = READERS[code](weights), READERS[code](weights)
    assert torch.equal(first.mapping.w_avg, second.mapping.w_avg)
    w = first.mapping(torch.randn(4000, 64, generator=torch.Generator().manual_seed(5)))
    error = w.std(dim=0) * (1 / 2000 + 1 / 4000) ** 0.5
    assert ((first.mapping.w_avg - w.mean(dim=0)).abs() <= 5 * error).all()


def test_every_missing_tensor_is_named(code, weights):
    for name in weights.keys() - {AVERAGE[code]}:
        with pytest.raises(InputError) as caught:
            READERS[code]({other: tensor for other, tensor in weights.items() if other != name})
        assert f"'{name}'" in str(caught.value)


def test_a_tensor_left_over_is_named(code, weights):
    weights["G.attns.0.weight"] = torch.zeros(1)
    with pytest.raises(InputError, match=r"'G.attns.0.weight', for which this network has no place"):
        READERS[code](weights)


def test_many_left_over_are_counted(code, weights):
    weights |= {f"SE.{i}": torch.zeros(1) for i in range(9)}
    with pytest.raises(InputError, match=r"'SE.0', 'SE.1', 'SE.2' and 6 more"):
        READERS[code](weights)


def test_every_sort_of_misshapen_tensor_is_refused(code, weights):
    sorts = {re.sub(r"\d+", "#", name): name for name in weights}
    for name in sorts.values():
        changed = weights | {name: torch.cat([weights[name]] * 2)}
        with pytest.raises(InputError, match=r"shape|halves them from block to block") as caught:
            READERS[code](changed)
        assert "\n" not in str(caught.value)


def test_tensors_that_tell_the_widths_need_their_axes(code, weights):
    kernels = {
        "lucidrains": r"G\.blocks\.\d\.conv1.weight",
        "rosinality": r"G\.(conv1|to_rgb1)\.conv\.weight",
    }
    for name in filter(re.compile(kernels[code]).fullmatch, weights):
        with pytest.raises(InputError, match=rf"'{name}' .* must have \d axes"):
            READERS[code](weights | {name: weights[name][None]})


def test_a_transposed_tensor_is_named(code, weights):
    name = {"lucidrains": "G.blocks.1.to_style1.weight", "rosinality": "G.convs.2.conv.modulation.weight"}[
        code
    ]
    with pytest.raises(InputError, match=rf"'{name}' .*\(64, 32\), but among the other .*\(32, 64\)"):
        READERS[code](weights | {name: weights[name].t()})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (torch.zeros(64, dtype=torch.int64), "int64, but weights are tensors of one type"),
        (torch.zeros(64, dtype=torch.float16), "float16, but weights are tensors of one type"),
        ([0.0] * 64, "list, but weights are tensors of one type"),
    ],
)
def test_what_is_no_weight_is_named(code, weights, wrong, message):
    with pytest.raises(InputError, match=rf"'D.final' is .*{message}"):
        READERS[code](weights | {"D.final": wrong})


def test_stored_filters_are_compared(code, weights):
    filters = [name for name in weights if name.endswith((".f", ".kernel"))]
    assert len(filters) == {"lucidrains": 7, "rosinality": 12}[code]
    for name in filters:
        with pytest.raises(InputError, match=f"the filter '{name}'"):
            READERS[code](weights | {name: weights[name] * 1.01})


@pytest.mark.parametrize("name", ["G.blocks.999999999.conv1.weight", "G.convs.64.conv.weight"])
def test_absurd_indices_are_refused_before_anything_is_built(code, weights, name):
    with pytest.raises(InputError, match=r"so they are none of|for which this network has no place"):
        READERS[code](weights | {name: torch.zeros(1)})


def test_nothing_and_another_code_are_refused(code, every_weight):
    (other,) = READERS.keys() - {code}
    for tensors in ({}, every_weight[other]):
        with pytest.raises(InputError, match=f"so they are none of {code}"):
            READERS[code](tensors)


def test_widths_that_follow_no_rule_are_refused(every_weight):
    weights = dict(every_weight["rosinality"])
    weights["G.convs.2.conv.weight"] = torch.zeros(1, 20, 32, 3, 3)
    with pytest.raises(InputError, match="48, 32, 20, 8 channels"):
        from_rosinality(weights)


def test_networks_of_two_sizes_are_refused(every_weight):
    weights = {name: tensor for name, tensor in every_weight["lucidrains"].items() if "blocks.4" not in name}
    last = {name for name in weights if name.startswith("D.blocks.3.downsample")}
    with pytest.raises(InputError, match="images of 32 pixels, the discriminator takes 16"):
        from_lucidrains({name: tensor for name, tensor in weights.items() if name not in last})
