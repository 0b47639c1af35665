"""The Jacobians of all layers of a generator at a point, from one set of passes.

In forward mode a tangent of the latent meets every layer on its way to the image. So the columns of all
Jacobians come together, for the price of the image's alone; they arrive in chunks, to be kept or reduced.
"""

from collections.abc import Callable, Iterator
from typing import final

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.geometry.chunks import chunk_size
from riemann_noise_pytorch.geometry.derivatives import Reverse, fitting_way, unit_vectors
from riemann_noise_pytorch.geometry.layers import LayerShape, called_layers, results_of
from riemann_noise_pytorch.geometry.still import Joint, StillNetwork
from riemann_noise_pytorch.noise.control import Layers
from riemann_noise_pytorch.noise.pairs import counted_normal
from riemann_noise_pytorch.seeds import derive

__all__ = ["MOST_INPUTS", "LayerShape", "LayerTangents", "layer_tangents"]

MOST_INPUTS = 4096
"""Latent and noise directions that are followed at most."""
ONE_PASS = "one set of forward passes serves all layers"


@final
class LayerTangents:
    """The Jacobians of layers at a point, column by column; made by :func:`layer_tangents`.

    Attributes:
        layers: In the order in which they finish, the image last.
        inputs: The number n of columns: the latent's first, then those of noise.
        noise_size: How many values of noise there are; 0 where only the latent counts.
        noise_directions: How many directions of noise are followed: all of them, or as many random ones that
            are orthonormal, so that ranks are lower bounds.
        mode: ``forward``, ``double reverse`` or ``reverse``.
        reason: Why in this way.
        chunk: How many columns are computed together.
    """

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        x: Tensor,
        net: StillNetwork,
        layers: Layers,
        memory_mib: float,
        noise_size: int,
    ) -> None:
        calls = called_layers(function, x, net.module, layers)
        self.layers = tuple(call.shape for call in calls)
        self.inputs = len(x)
        self.noise_size, self.noise_directions = noise_size, len(x) - net.z_dim
        results = results_of(function, calls)
        self.chunk, reverse = chunk_size(results, x, memory_mib)
        self._x = x
        fit = fitting_way(results, x, directions=unit_vectors(0, self.chunk, self.inputs, x), reverse=reverse)
        self._way, self._first = fit.way, fit.pushed
        if isinstance(self._way, Reverse):
            self._way.chunk = self.chunk
        self.mode, self.reason = self._way.mode, fit.reason or ONE_PASS

    def chunks(self) -> Iterator[tuple[int, dict[str, Tensor]]]:
        """Compute the columns.

        Yields:
            The number of the first column, and by layer columns from there on, as rows (k, size). In forward
            mode and double reverse these are some columns of all layers, in reverse mode all columns of one.

        Raises:
            NonFiniteError: A derivative has NaN or infinity; the message names the layer.
        """
        if isinstance(self._way, Reverse):
            for layer in self.layers:
                yield 0, self._checked({layer.name: self._way.dense(layer.name).T})
            return
        for first in range(0, self.inputs, self.chunk):
            columns, self._first = self._first, None
            if columns is None or first > 0:
                count = min(self.chunk, self.inputs - first)
                columns = self._way.push(unit_vectors(first, count, self.inputs, self._x))
            yield first, self._checked(columns)

    def _checked(self, columns: dict[str, Tensor]) -> dict[str, Tensor]:
        for name, tangents in columns.items():
            if not tangents.sum().isfinite() and not tangents.isfinite().all():
                raise NonFiniteError(
                    f"the derivative of layer '{name}' has NaN or infinity; look there for square roots and "
                    "norms of zero, or choose other layers"
                )
        return {name: tangents.to(self._x.dtype) for name, tangents in columns.items()}


def layer_tangents(
    net: StillNetwork,
    z: Tensor,
    index: int = 0,
    *,
    layers: Layers = "*",
    joint: Layers | None = None,
    memory_mib: float = 1024,
    most_inputs: int = MOST_INPUTS,
) -> LayerTangents:
    """Prepare the Jacobians of the layers of a generator at a latent.

    Args:
        net: From :func:`~riemann_noise_pytorch.geometry.still.still`, within its block.
        z: The latent, (z_dim,).
        index: Of the sample, for its noise and its class.
        layers: Names or patterns of the layers that are wanted; ``image`` is the generator's result.
        joint: Names or patterns of noise layers whose noise is differentiated too, beside the latent.
        memory_mib: What a chunk of columns may take, as
            :func:`~riemann_noise_pytorch.geometry.chunks.chunk_size` counts.
        most_inputs: Number of columns above which not every value of noise has one, but random orthonormal
            directions; each is a share of the values with random signs, and all values have their share.

    Raises:
        InputError: A latent of another size, a pattern that matches no layer, noise that cannot be a
            variable, or an operation that cannot be differentiated.
        NonFiniteError: A layer gives NaN or infinity.

    Example:
        >>> from torch import nn
        >>> from riemann_noise_pytorch.geometry.still import still
        >>> with still(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5)), 3) as net:
        ...     tangents = layer_tangents(net, torch.ones(3, dtype=net.dtype))
        ...     first, columns = next(tangents.chunks())
        >>> {name: tuple(rows.shape) for name, rows in columns.items()}
        {'0': (3, 4), 'image': (3, 5)}
    """
    if z.shape != (net.z_dim,):
        raise InputError(
            f"the latent has shape {tuple(z.shape)}, but the generator's latents are ({net.z_dim},); give one"
        )
    z = z.to(net.device, net.dtype)
    if joint is None:
        return LayerTangents(net.at(index), z, net, layers, memory_mib, 0)
    pair = net.joint_at(index, z, joint)
    function, start = pair.function, pair.start
    if len(start) > most_inputs:
        function, start = _sampled(pair, net.z_dim, max(1, most_inputs - net.z_dim))
    return LayerTangents(function, start, net, layers, memory_mib, pair.noise_size)


def _sampled(joint: Joint, z_dim: int, directions: int) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """The same function of the latent and of random orthonormal directions of noise, from their origin."""
    stream = derive(0, "directions of noise")
    order, signs = counted_normal(stream, 0, (2, joint.noise_size))
    direction = order.argsort() % directions
    share = direction.bincount(minlength=directions).to(signs)[direction].rsqrt().copysign(signs)
    direction, share = direction.to(joint.start.device), share.to(joint.start)

    def function(vector: Tensor) -> Tensor:
        z, along = torch.split(vector, [z_dim, directions])
        return joint.function(joint.start + torch.cat([z, along[direction] * share]))

    return function, joint.start.new_zeros(z_dim + directions)
