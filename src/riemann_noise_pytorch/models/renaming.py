"""Tensors by the names of another code base, each checked before a network of ours takes it."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.seeds import derive

MOST_PARTS = 64
"""More layers of one sort than any network has: an index beyond is not believed."""


@dataclass(frozen=True)
class Place:
    """Where a tensor of ours is in another code base.

    Attributes:
        name: Its name there.
        before: How many axes of length 1 it has there before its own.
        after: How many behind them.
        optional: Whether it may be missing; zeros stand in for it.
    """

    name: str
    before: int = 0
    after: int = 0
    optional: bool = False


Places = Mapping[str, Place]
"""By the name of a tensor of ours."""


@final
class ForeignTensors:
    """Tensors of another code base.

    Args:
        tensors: By the names of that code base; they are not changed.
        code: Name of the code base, for messages.

    Raises:
        InputError: A tensor is none, or not of the floating point that the first one is of.
    """

    def __init__(self, tensors: Mapping[str, Tensor], code: str) -> None:
        self.code = code
        self._tensors = dict(tensors)
        dtype = next((t.dtype for t in tensors.values() if isinstance(t, Tensor)), torch.float32)
        dtype = dtype if dtype.is_floating_point else torch.float32
        for name, tensor in tensors.items():
            found = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
            if found != dtype:
                raise InputError(
                    f"'{name}' is {found}, but weights are tensors of one type, {dtype}; convert it"
                )

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def largest_index(self, prefix: str) -> int:
        """The largest number that follows a prefix in the names, as 3 in ``G.blocks.3.conv1.weight``.

        Raises:
            InputError: There is none, or it is beyond belief.
        """
        found = (re.match(re.escape(prefix) + r"(\d{1,9})\.", name) for name in self._tensors)
        largest = max((int(match[1]) for match in found if match), default=-1)
        if not 0 <= largest < MOST_PARTS:
            has = f"'{prefix}{largest}'" if largest >= 0 else f"no '{prefix}0'"
            raise InputError(
                f"the weights have {has}, so they are none of {self.code}; give all of its tensors"
            )
        return largest

    def check_names(self, tables: Collection[Places], filters: Collection[str]) -> None:
        """Refuse missing and surplus tensors.

        Args:
            tables: The places that are wanted.
            filters: Names of the stored filters, which are wanted, too.

        Raises:
            InputError: There is one; the first few are named.
        """
        places = {place.name: place for table in tables for place in table.values()}
        wanted = [*(name for name, place in places.items() if not place.optional), *filters]
        missing = [name for name in wanted if name not in self]
        surplus = self._tensors.keys() - places.keys() - set(filters)
        if missing:
            raise InputError(f"the weights of {self.code} lack {_few(missing)}; give all of its tensors")
        if surplus:
            raise InputError(
                f"the weights of {self.code} have {_few(sorted(surplus))}, for which this network has no "
                "place; give those of a network without such parts, and without copies"
            )

    def length(self, name: str, axis: int, axes: int) -> int:
        """The length of an axis of a tensor that is there.

        Raises:
            InputError: It has another number of axes.
        """
        shape = self._tensors[name].shape
        if len(shape) != axes:
            raise InputError(
                f"'{name}' of {self.code} has shape {tuple(shape)}, but it must have {axes} axes"
            )
        return shape[axis]

    def check_constant(self, name: str, expected: Tensor) -> None:
        """Refuse a stored filter that is another than the one that the network uses.

        Raises:
            InputError: The shape or a value differs.
        """
        stored = self._tensors[name].detach().cpu().double()
        if stored.shape != expected.shape or not torch.allclose(stored, expected.double(), rtol=1e-6, atol=0):
            raise InputError(
                f"the filter '{name}' of {self.code} has shape {tuple(stored.shape)} and values "
                f"{stored.flatten()[:4].tolist()}, but this network's has {tuple(expected.shape)} and "
                f"{expected.flatten()[:4].tolist()}; give weights of a network with that filter"
            )

    def fill(self, network: nn.Module, places: Places) -> None:
        """Give a network, built on the meta device, copies of its tensors.

        Raises:
            InputError: A tensor has a shape that does not fit the others.
        """
        state: dict[str, Tensor] = {}
        like = next(iter(self._tensors.values()))
        for name, empty in network.state_dict().items():
            place = places[name]
            wanted = (1,) * place.before + tuple(empty.shape) + (1,) * place.after
            tensor = self._tensors[place.name] if place.name in self else like.new_zeros(wanted)
            if tuple(tensor.shape) != wanted:
                raise InputError(
                    f"'{place.name}' of {self.code} has shape {tuple(tensor.shape)}, but among the other "
                    f"tensors it must have {wanted}; give weights that belong together"
                )
            state[name] = tensor.detach().reshape(empty.shape).clone()
        network.load_state_dict(state, assign=True)


@torch.no_grad()
def averaged(mapping: nn.Module, z_dim: int, samples: int) -> Tensor:
    """The mean of w over random z, always the same ones: (w_dim,)."""
    like = next(mapping.parameters())
    numbers = torch.Generator().manual_seed(derive(0, "average w"))
    z = torch.randn(samples, z_dim, generator=numbers).to(like)
    mean: Tensor = mapping(z).mean(dim=0)
    return mean


def _few(names: Collection[str]) -> str:
    first = ", ".join(f"'{name}'" for name in list(names)[:3])
    return first if len(names) <= 3 else f"{first} and {len(names) - 3} more"
