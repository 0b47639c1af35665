"""Initial weights, each from a stream of its own, so that arms with and without noise share theirs.

References:
    Radford, Metz and Chintala (2016), arXiv:1511.06434, Section 3; the PyTorch DCGAN example for norms;
    Karras et al. (2018), arXiv:1710.10196, Section 4.1, where the learning rate is equalised.
"""

from functools import partial

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.models.equalised import EqualisedLayer
from riemann_noise_pytorch.noise.interfaces import NoiseLayer
from riemann_noise_pytorch.seeds import derive

WEIGHT_STD = 0.02
"""Standard deviation of the initial weights (Radford et al. 2016; for norms, the PyTorch example)."""

_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
_NORMS = (nn.BatchNorm2d, nn.InstanceNorm2d, nn.SyncBatchNorm)


@torch.no_grad()
def initialise(module: nn.Module, seed: int) -> None:
    """Draw every parameter from a stream of its own, named by the parameter, and reset running statistics.

    Networks that differ in some layers thus agree exactly in all the others. Weights of convolutions are
    N(0, 0.02), weights of norms N(1, 0.02), biases 0; with an equalised learning rate weights, constants and
    fixed noise are N(0, 1), over the layer's multiplier; noise layers keep the values of their settings. All
    is drawn on the CPU, so it does not depend on the device.

    Args:
        module: A network of convolutions, linear layers, norms and noise layers, on any device.
        seed: Seed of all streams.

    Raises:
        TypeError: A layer has parameters whose initial values are not known here.

    Example:
        >>> from riemann_noise_pytorch.models.dcgan import DCGANGenerator
        >>> plain, noisy = DCGANGenerator(16, width=8), DCGANGenerator(16, width=8, noise="riemannian")
        >>> for network in (plain, noisy):
        ...     initialise(network, 0)
        >>> torch.equal(plain.stage8.conv.weight, noisy.stage8.conv.weight)
        True
    """
    for name, layer in module.named_modules():
        if isinstance(layer, NoiseLayer):
            layer.reset_parameters(_stream(seed, name))
        elif isinstance(layer, EqualisedLayer):
            layer.reset_parameters(partial(_stream, seed, name))
        elif isinstance(layer, _NORMS):
            layer.reset_running_stats()
            _draw(layer.weight, 1.0, _stream(seed, name, "weight"))
            layer.bias.zero_()
        elif isinstance(layer, _CONVOLUTIONS):
            _draw(layer.weight, 0.0, _stream(seed, name, "weight"))
            if layer.bias is not None:
                layer.bias.zero_()
        elif any(True for _ in layer.parameters(recurse=False)):
            raise TypeError(f"no initial values are known for '{name}', a {type(layer).__name__}")


def _draw(weight: Tensor, mean: float, generator: torch.Generator) -> None:
    weight.copy_(torch.randn(weight.shape, generator=generator).mul_(WEIGHT_STD).add_(mean))


def _stream(seed: int, *names: str) -> torch.Generator:
    return torch.Generator().manual_seed(derive(seed, "initial", ".".join(names)))
