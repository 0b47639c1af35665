"""Laws of what injection refuses wherever it is: strengths, failures, features whose channels come last."""

import pytest
import torch
from torch import nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.control import noise_layers
from riemann_noise_pytorch.noise.inject import inject, remove
from riemann_noise_pytorch.noise.kinds import make_noise
from tests.noise.networks import UNet, x
from tests.noise.test_inject import everything_of
from tests.noise.test_inject_refusals import Odd, Returns

STRENGTHS = ["0.1", [1], True, "", False, float("inf"), 10**400, 1j]


@pytest.mark.parametrize("noise", ["neutral", "euclidean", "per-channel", "none"])
@pytest.mark.parametrize("strength", STRENGTHS, ids=lambda s: str(s)[:5])
def test_a_strength_that_is_no_finite_number_is_refused_for_every_noise(noise, strength):
    with pytest.raises(InputError, match=r"^strength must be a finite number, not .{1,64}$"):
        inject(UNet(), "down", noise, strength=strength, example_input=x())
    with pytest.raises(InputError, match=r"^strength must be a finite number, not .{1,64}$"):
        make_noise(noise, 4, channels=2, strength=strength)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError])
def test_a_lack_of_memory_passes_through(error):
    def fails(*_: object) -> None:
        raise error

    with pytest.raises(error):
        inject(nn.Sequential(nn.Conv2d(3, 3, 1), Returns(fails)), "0", example_input=x())
    with pytest.raises(error):
        inject(UNet(), "down", fails, example_input=x())


def test_the_cause_of_a_refusal_is_kept():
    def fails(*_: object) -> None:
        raise KeyError

    for arguments in ({"where": fails}, {"where": "conv", "noise": fails}):
        with pytest.raises(InputError) as caught:
            inject(Odd(), **arguments, example_input=x())
        assert isinstance(caught.value.__cause__, KeyError)


class Moved(nn.LayerNorm):
    """Moves the channels to the last axis and back."""

    def forward(self, x):
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


SEQUENCES = {
    "LayerNorm": (nn.LayerNorm(8), None),
    "RMSNorm": (nn.RMSNorm(8), None),
    "LSTM": (nn.LSTM(8, 8), 0),
    "GRU": (nn.GRU(8, 8), 1),
    "TransformerEncoderLayer": (nn.TransformerEncoderLayer(8, 2, 8, batch_first=True), None),
}


@pytest.mark.parametrize(("host", "output"), SEQUENCES.values(), ids=SEQUENCES)
def test_channels_at_the_last_axis_are_refused(host, output):
    with pytest.raises(InputError, match=r"^0: a \w+ puts channels last, but noise takes axis 1 of"):
        inject(nn.Sequential(host), "0", "euclidean", output=output, example_input=torch.zeros(2, 5, 8))


def test_channels_of_many_inputs_at_the_last_axis_are_refused():
    token = torch.zeros(2, 5, 8)
    for host, example, output in (
        (nn.Embedding(3, 8), torch.zeros(2, 5, dtype=torch.int64), None),
        (nn.Bilinear(8, 8, 4), (token, token), None),
        (nn.MultiheadAttention(8, 2), (token, token, token), 0),
        (nn.TransformerDecoderLayer(8, 2, 8), (token, token), None),
    ):
        with pytest.raises(InputError, match=r"^the model: a \w+ puts channels last"):
            inject(host, "", "euclidean", output=output, example_input=example)


def test_channels_at_axis_1_are_accepted_of_norms_that_leave_them_there():
    for host in (Moved(3), nn.LayerNorm((3, 6, 6))):
        assert noise_layers(inject(nn.Sequential(host), "0", "euclidean", example_input=x()))


def test_noise_cannot_be_injected_in_inference_mode_but_removed():
    model = UNet()
    before = everything_of(model)
    with (
        torch.inference_mode(),
        pytest.raises(InputError, match=r"torch.inference_mode\(\) could never be tr"),
    ):
        inject(model, "down", example_input=x())
    assert everything_of(model) == before
    inject(model, "down", example_input=x())
    with torch.inference_mode():
        remove(model)
    assert everything_of(model) == before
