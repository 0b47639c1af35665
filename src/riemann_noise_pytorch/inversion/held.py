"""A generator as a function of points and noise maps alone, with gradients to both.

Batch statistics, weights and precision are held still; this package's noise layers take the maps they are
given. So the image of a sample depends on its own point and its own maps, whatever else is in its batch.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, final

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError, RiemannNoiseError
from riemann_noise_pytorch.models.latent_space import Space, latent_size
from riemann_noise_pytorch.models.precision import in_full_precision
from riemann_noise_pytorch.noise.control import noise_layers
from riemann_noise_pytorch.noise.failures import is_out_of_memory, place_of_failure
from riemann_noise_pytorch.noise.interfaces import NoiseLayer
from riemann_noise_pytorch.noise.pairs import REPEAT_TOLERANCE, counted_normal, full_precision, owner_of
from riemann_noise_pytorch.noise.precision import EXACT, Network, in_precision
from riemann_noise_pytorch.noise.sources import Frozen, Given, Source
from riemann_noise_pytorch.noise.switches import Law
from riemann_noise_pytorch.seeds import derive


@dataclass(frozen=True)
class NoisePlace:
    """What a noise layer asks for: planes (P, ...) for each sample, and their distribution."""

    shape: tuple[int, ...]
    law: Law


@final
class HeldGenerator:
    """Points and noise maps to images; made by :func:`held`.

    Attributes:
        device: Where points are.
        dtype: Their dtype, and that of the arithmetic.
        z_dim: Size of z.
        places: The noise layers that draw, by name.
        point_shapes: Shape of one point of each space that was looked at.
    """

    def __init__(self, network: Network, module: nn.Module | None, z_dim: int) -> None:
        self.device, self.dtype = _home(module)
        self.z_dim = z_dim
        self.places: dict[str, NoisePlace] = {}
        self.point_shapes: dict[Space, tuple[int, ...]] = {}
        self._network = network
        self._layers: dict[str, NoiseLayer] = {} if module is None else noise_layers(module)
        synthesis = getattr(network, "synthesis", None)
        self._rows: int | None = getattr(synthesis, "num_ws", None)

    @property
    def like(self) -> Tensor:
        """An empty tensor of the generator's device and dtype."""
        return torch.empty((), device=self.device, dtype=self.dtype)

    def images(
        self, points: Tensor, space: Space, noise: Mapping[str, Tensor], labels: Tensor | None = None
    ) -> Tensor:
        """Images (N, C, H, W) of points (N, ...) of a space, each under its own noise.

        Args:
            points: z (N, z_dim), w (N, w_dim), or rows of w (N, rows, w_dim).
            space: Which of them.
            noise: Maps (N, P, ...) for all layers of :attr:`places`.
            labels: Classes (N,), for a generator that has them; used in z.
        """
        with _sources({self._layers[name]: Given(maps) for name, maps in noise.items()}):
            return self._call(points, space, labels)

    def mapped(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map latents (N, z_dim) to w (N, w_dim).

        Raises:
            InputError: The mapping does not give w of one row for each latent, or rows that differ.
        """
        mapping = cast("Any", self._network).mapping
        w: object = mapping(z) if labels is None else mapping(z, labels)
        if not isinstance(w, Tensor) or w.ndim not in (2, 3) or len(w) != len(z):
            shape = tuple(w.shape) if isinstance(w, Tensor) else type(w).__name__
            raise InputError(f"the mapping gives {shape} for {len(z)} latents; return w of (N, w_dim)")
        if w.ndim == 2:
            return w
        self._rows = w.shape[1]
        if not torch.equal(w, w[:, :1].expand_as(w)):
            raise InputError("the mapping gives different rows of w to the layers; invert in space z")
        return w[:, 0]

    def lifted(self, points: Tensor, space: Space, into: Space, labels: Tensor | None = None) -> Tensor:
        """The same images' points in a higher space: z to w to w+.

        Raises:
            InputError: The generator has no such space.
        """
        if space == into:
            return points
        if space == "z":
            return self.lifted(self.mapped(points, labels), "w", into, labels)
        if self._rows is None:
            raise InputError("the synthesis takes one w for all its layers, hence no space w+; invert in w")
        return points.unsqueeze(1).repeat(1, self._rows, 1)

    def maps(self, seed: int, first: int, count: int) -> dict[str, Tensor]:
        """Frozen noise of samples ``first`` to ``first + count``: that of ``frozen(generator, seed)``."""
        return {
            name: Frozen(derive(seed, "noise", name), first).epsilon(
                (count, *place.shape), place.law, self.like
            )
            for name, place in self.places.items()
        }

    def look(self, space: Space, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Find the noise layers that draw, by images of two points of a space.

        Args:
            space: Which.
            labels: Classes (N,), of which the first is taken, for a generator that has them.

        Returns:
            The points (2, ...), which have gradients where these are on, and their images.

        Raises:
            InputError: The generator has no such space, does not take the points, or a layer sees features of
                several sizes.
        """
        parts = [callable(getattr(self._network, part, None)) for part in ("mapping", "synthesis")]
        if space != "z" and not all(parts):
            raise InputError(
                f"the generator has no mapping and synthesis, hence no space {space}; invert in space z"
            )
        labels = self._first_twice(labels)
        points = counted_normal(0, 0, (2, self.z_dim)).to(self.device, self.dtype)
        points = self.lifted(points, "z", space, labels).detach().requires_grad_()
        self.point_shapes[space] = tuple(points.shape[1:])
        return points, self._first_images(points, space, labels)

    def try_out(self, space: Space, labels: Tensor | None, image_shape: Sequence[int]) -> None:
        """Refuse a generator that cannot be inverted in a space.

        Raises:
            InputError: As of :meth:`look`; or its images have another shape or no gradient, or depend on the
                call or on the rest of the batch.
        """
        points, images = self.look(space, labels)
        _check_images(images, points, image_shape)
        noise, pair = self.maps(0, 0, 2), self._first_twice(labels)
        with torch.no_grad():
            both = self.images(points, space, noise, pair)[1:]
            one = {name: maps[1:] for name, maps in noise.items()}
            alone = self.images(points[1:], space, one, None if pair is None else pair[1:])
        if (both - alone).norm() > REPEAT_TOLERANCE * both.norm():
            raise InputError(
                "the image of a latent changes from call to call, or with the rest of its batch; replace "
                "noise that is not of this package's layers through inject()"
            )

    def _first_images(self, points: Tensor, space: Space, labels: Tensor | None) -> Tensor:
        watches = {name: _Watch() for name in self._layers}
        try:
            with _sources({self._layers[name]: watch for name, watch in watches.items()}):
                images: object = self._call(points, space, labels)
        except Exception as error:  # a foreign network fails in any way
            if isinstance(error, RiemannNoiseError) or is_out_of_memory(error):
                raise
            raise InputError(
                f"the generator does not take {points.dtype} points of shape {tuple(points.shape)} in space "
                f"{space} ({place_of_failure(error)}); give the latent size it was built for"
            ) from error
        for name, watch in watches.items():
            found = set(watch.seen)
            if len(found) > 1 or (name in self.places and found != {self.places[name]}):
                raise InputError(
                    f"noise layer '{name}' sees features of several sizes, so it has no map of its own; give "
                    "each size a layer"
                )
            if found:
                self.places[name] = watch.seen[0]
        if not isinstance(images, Tensor):
            raise InputError(f"the generator returns {type(images).__name__}; return a tensor of images")
        return images

    def _first_twice(self, labels: Tensor | None) -> Tensor | None:
        return None if labels is None else labels[:1].repeat(2).to(self.device)

    def _call(self, points: Tensor, space: Space, labels: Tensor | None) -> Tensor:
        if space == "z":
            return self._network(points) if labels is None else self._network(points, labels)
        if space == "w" and self._rows is not None:
            points = self.lifted(points, "w", "w+")
        images: Tensor = cast("Any", self._network).synthesis(points)
        return images


@contextlib.contextmanager
def held(
    generator: Network,
    *,
    z_dim: int | None = None,
    module: nn.Module | None = None,
    dtype: torch.dtype | None = None,
) -> Iterator[HeldGenerator]:
    """Hold a generator still, and put everything back afterwards.

    Args:
        generator: From z (N, z_dim), and labels if there are any, to images. For w it has ``mapping`` and
            ``synthesis``.
        z_dim: Size of z, where the generator has no attribute of that name.
        module: What it is made of, for a callable that is no module itself.
        dtype: float32 or float64, of a copy that is used instead; None for the generator itself.

    Yields:
        The generator. Within the block its modules are in eval mode, its weights have no gradients, and
        float32 is computed without TF32, bfloat16 or autocast.

    Raises:
        InputError: Another dtype, or a generator that cannot be copied or is in half precision.

    Example:
        >>> from riemann_noise_pytorch.models.dcgan import DCGANGenerator
        >>> with held(DCGANGenerator(16, 1, 8, 4)) as still:
        ...     still.images(torch.ones(2, 8), "z", {}).shape
        torch.Size([2, 1, 16, 16])
    """
    if dtype is not None and dtype not in EXACT:
        raise InputError(f"images are not inverted in {dtype}; choose torch.float32 or torch.float64")
    size = latent_size(generator, z_dim, "z_dim")
    module = owner_of(generator) if module is None else module
    network, module = in_precision(generator, module, dtype)
    with contextlib.ExitStack() as stack:
        if module is not None:
            stack.enter_context(in_full_precision(module))
            stack.enter_context(_still(module))
        still = HeldGenerator(network, module, size)
        still.dtype = dtype or still.dtype
        stack.enter_context(full_precision())
        stack.enter_context(torch.autocast(still.device.type, enabled=False))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        yield still


@final
class _Watch(Source):
    """Zeros, and a memory of what was asked for."""

    def __init__(self) -> None:
        self.seen: list[NoisePlace] = []

    def epsilon(self, shape: tuple[int, ...], law: Law, like: Tensor) -> Tensor:
        self.seen.append(NoisePlace(tuple(shape[1:]), law))
        return like.new_zeros(shape)


@contextlib.contextmanager
def _sources(chosen: Mapping[NoiseLayer, Source]) -> Iterator[None]:
    before = {layer: layer.source for layer in chosen}
    try:
        for layer, source in chosen.items():
            layer.source = source
        yield
    finally:
        for layer, source in before.items():
            layer.source = source


@contextlib.contextmanager
def _still(module: nn.Module) -> Iterator[None]:
    training = {part: part.training for part in module.modules()}
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    try:
        module.eval().requires_grad_(False)
        yield
    finally:
        for part, mode in training.items():
            part.training = mode
        for parameter in learning:
            parameter.requires_grad_(True)


def _home(module: nn.Module | None) -> tuple[torch.device, torch.dtype]:
    tensors = [] if module is None else [*module.parameters(), *module.buffers()]
    floating = [tensor for tensor in tensors if tensor.is_floating_point()]
    for tensor in floating:
        if tensor.dtype not in EXACT:
            raise InputError(
                f"the generator is in {tensor.dtype}, too coarse to follow gradients in; call .float(), or "
                "give dtype=torch.float32"
            )
    return (floating[0].device, floating[0].dtype) if floating else (torch.device("cpu"), torch.float32)


def _check_images(images: Tensor, points: Tensor, wanted: Sequence[int]) -> None:
    if images.dtype not in EXACT or images.shape[:1] != points.shape[:1] or images.ndim != 4:
        raise InputError(
            f"the generator returns {images.dtype} of shape {tuple(images.shape)} for {len(points)} points; "
            "return floating-point images (N, C, H, W)"
        )
    if tuple(images.shape[1:]) != tuple(wanted):
        raise InputError(
            f"the generator makes images {tuple(images.shape[1:])}, but the targets are {tuple(wanted)}; "
            "resize or convert the targets"
        )
    if not images.requires_grad:
        raise InputError(
            "the generator's images have no gradient to the latents; return them without torch.no_grad(), "
            ".detach() or rounding"
        )
