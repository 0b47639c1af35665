"""Many small networks as one: each layer is a batched matrix product over the networks.

Several seeds, and several weights of a penalty, train together with the operations of one. Nothing couples
them: the gradient of the sum of their losses is the gradient of each.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import final

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.seeds import derive

INITIAL_STD = 0.1
"""Of the weights, a normal law cut off at two deviations; the biases begin at 0."""


@final
class StackedNetworks(nn.Module):
    r"""Multilayer perceptrons of one shape, side by side: tanh between the layers, nothing after the last.

    Each network b computes :math:`h \mapsto \tanh(h W_b + c_b)` layer by layer, on inputs of its own.

    Args:
        name: What the networks are; names the streams of their initial weights.
        sizes: Units of the input, the hidden layers and the output.
        seeds: The seed of each network; equal seeds give equal weights.

    Example:
        >>> networks = StackedNetworks("generator", (2, 128, 128, 3), seeds=[0, 1, 0])
        >>> points = networks(torch.ones(3, 5, 2))
        >>> points.shape, torch.equal(points[0], points[2]), torch.equal(points[0], points[1])
        (torch.Size([3, 5, 3]), True, False)
    """

    def __init__(self, name: str, sizes: Sequence[int], seeds: Sequence[int]) -> None:
        super().__init__()
        shapes = list(pairwise(sizes))
        self.weights = nn.ParameterList(
            torch.stack([_draw(shape, derive(seed, name, layer)) for seed in seeds])
            for layer, shape in enumerate(shapes)
        )
        self.biases = nn.ParameterList(torch.zeros(len(seeds), 1, outputs) for _, outputs in shapes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply each network to its own inputs.

        Args:
            inputs: (networks, N, units of the input).

        Returns:
            (networks, N, units of the output).

        Raises:
            InputError: There are not as many sets of inputs as networks.
        """
        if inputs.ndim != 3 or len(inputs) != len(self.weights[0]):
            count = len(self.weights[0])
            raise InputError(
                f"{count} networks take {count} sets of inputs (networks, N, units), not shape "
                f"{tuple(inputs.shape)}; give one set to each"
            )
        last = len(self.weights) - 1
        hidden = inputs
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            hidden = torch.baddbmm(bias, hidden, weight)
            if layer < last:
                hidden = hidden.tanh()
        return hidden


def _draw(shape: tuple[int, int], seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    limit = 2 * INITIAL_STD
    return nn.init.trunc_normal_(torch.empty(shape), 0.0, INITIAL_STD, -limit, limit, generator=generator)
