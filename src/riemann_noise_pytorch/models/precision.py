"""Half precision in the highest resolutions of StyleGAN2, and where it goes wrong.

Weights stay as they are; the features of the chosen blocks are in half precision, kept within +-256, and
images, logits and everything below are in full precision.

References:
    Karras et al. (2020), Training generative adversarial networks with limited data, arXiv:2006.06676,
    Appendix C.1.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from riemann_noise_pytorch.errors import InputError, unknown_name
from riemann_noise_pytorch.models.sizes import check_counts
from riemann_noise_pytorch.models.stylegan2_discriminator import DiscriminatorBlock
from riemann_noise_pytorch.models.synthesis import SynthesisBlock

HALF_DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}

Block = SynthesisBlock | DiscriminatorBlock


def use_half(network: nn.Module, dtype: torch.dtype, resolutions: int) -> None:
    """Let the highest resolutions of a network compute in half precision, and all others in full.

    Args:
        network: A StyleGAN2 generator, synthesis or discriminator.
        dtype: ``torch.float16`` or ``torch.bfloat16``.
        resolutions: Number of blocks, 0 for none; a number above that of the blocks stands for all.

    Raises:
        InputError: Another dtype, a negative number, or a network without such blocks.

    Example:
        >>> from riemann_noise_pytorch.models.stylegan2 import StyleGAN2Generator
        >>> synthesis = StyleGAN2Generator((3, 16, 16), 8, 8, 1, channel_max=4).synthesis
        >>> use_half(synthesis, torch.bfloat16, 2)
        >>> [block.half_dtype for block in synthesis.blocks()]
        [None, torch.bfloat16, torch.bfloat16]
    """
    if dtype not in HALF_DTYPES.values():
        raise unknown_name("half precision", str(dtype).removeprefix("torch."), HALF_DTYPES)
    check_counts(0, resolutions=resolutions)
    blocks = _from_highest(network)
    if not blocks:
        raise InputError(
            f"{type(network).__name__} has no blocks that can be in half precision; give a StyleGAN2 network"
        )
    for i, block in enumerate(blocks):
        block.half_dtype = dtype if i < resolutions else None


@contextlib.contextmanager
def in_full_precision(network: nn.Module) -> Iterator[None]:
    """Within the block, the network computes in full precision everywhere.

    Args:
        network: Any network; one without half precision is left alone.
    """
    before = {block: block.half_dtype for block in _from_highest(network)}
    try:
        for block in before:
            block.half_dtype = None
        yield
    finally:
        for block, dtype in before.items():
            block.half_dtype = dtype


@torch.no_grad()
def first_non_finite(network: nn.Module, *inputs: Any, **options: Any) -> str | None:
    """Run a network, and name the first layer whose output is not finite.

    Noise that is not frozen is drawn anew, and the network's hooks run.

    Args:
        network: Any network, not compiled.
        *inputs: Its positional arguments.
        **options: Its keyword arguments.

    Returns:
        The qualified name of the layer; ``the input`` where that is not finite already, the network's type
        where only its own result is not; None where all is finite.

    Example:
        >>> layers = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        >>> _ = nn.init.constant_(layers[1].weight, torch.inf)
        >>> first_non_finite(layers, torch.ones(1, 2))
        '1'
    """
    if not _is_finite((inputs, options)):
        return "the input"
    found: list[str] = []

    def look(name: str, result: Any) -> None:
        if not found and not _is_finite(result):
            found.append(name)

    with contextlib.ExitStack() as stack:
        for name, module in network.named_modules():
            label = name or type(network).__name__
            hook = module.register_forward_hook(lambda _module, _args, out, label=label: look(label, out))
            stack.callback(hook.remove)
        network(*inputs, **options)
    return found[0] if found else None


def _from_highest(network: nn.Module) -> list[Block]:
    synthesis = [part for part in network.modules() if isinstance(part, SynthesisBlock)]
    return synthesis[::-1] + [part for part in network.modules() if isinstance(part, DiscriminatorBlock)]


def _is_finite(values: Any) -> bool:
    tensors = (value for value in pytree.tree_leaves(values) if isinstance(value, Tensor))
    return all(bool(tensor.isfinite().all()) for tensor in tensors)
