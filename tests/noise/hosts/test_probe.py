"""Laws of the dry run: it finds what there is, and leaves what it finds as it was."""

import torch
from torch import nn

from riemann_noise_pytorch.noise.control import noise_layers
from riemann_noise_pytorch.noise.inject import inject, remove
from tests.noise.networks import UNet, x
from tests.noise.test_inject import everything_of


class Counts(nn.Module):
    """Buffers that each call changes, in place and anew."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("placed", torch.zeros(2))
        self.register_buffer("renewed", torch.zeros(2))
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        self.placed += torch.rand(2)
        self.renewed = self.renewed + 1
        return nn.functional.dropout(self.conv(x), training=True)


def test_the_dry_runs_leave_buffers_modes_and_random_numbers_alone():
    model = nn.Sequential(Counts(), nn.BatchNorm2d(3), nn.Dropout()).train()
    model[2].eval()
    model[1].weight.requires_grad_(False)
    before, state = everything_of(model), torch.get_rng_state()
    inject(model, nn.Conv2d, example_input=torch.zeros(2, 3, 6, 6))
    assert torch.equal(torch.get_rng_state(), state)
    assert everything_of(remove(model)) == before


class Merges(nn.Conv2d):
    """Takes a change of mode for a request, as low-rank adapters do."""

    def train(self, mode: bool = True) -> "Merges":
        self.weight.data += 1.0
        return super().train(mode)


def test_the_dry_runs_do_not_ask_for_a_change_of_mode():
    model = nn.Sequential(Merges(3, 3, 1))
    before = everything_of(model)
    assert everything_of(remove(inject(model, nn.Conv2d, example_input=x()))) == before


def test_lazy_modules_are_initialised_as_by_a_first_call():
    def build() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU())

    plain = build()
    plain(x := torch.ones(2, 3, 6, 6))
    state = torch.get_rng_state()
    model = inject(build(), nn.Conv2d, example_input=x)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(model[0].weight, plain[0].weight)
    assert noise_layers(model)["0.noise"].size == (4, 4)


def test_a_model_on_meta_gets_its_layers_there():
    with torch.device("meta"):
        model = UNet()
        inject(model, nn.Conv2d, example_input=torch.empty(2, 3, 6, 6))
    assert {p.device.type for p in model.parameters()} == {"meta"}
