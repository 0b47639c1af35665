"""Where a generator is measured: at points of z, of w, or of w with a row for each layer.

Finite differences of images, in any of these spaces, need the same preparations: a mapping for w, class
labels that both ends of a step share, shared noise, and a stated precision.
"""

import contextlib
import operator
from collections.abc import Callable, Iterator
from typing import Any, Literal, cast, final

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError, unknown_name
from riemann_noise_pytorch.models.precision import in_full_precision
from riemann_noise_pytorch.noise.pairs import Pairs, counted_normal, owner_of, shared_noise
from riemann_noise_pytorch.noise.precision import Network, in_precision
from riemann_noise_pytorch.seeds import derive

Space = Literal["z", "w", "w+"]
SPACES: tuple[Space, ...] = ("z", "w", "w+")
Labels = Callable[[int, int], Tensor]
"""From the first index and a count n to classes, (n,) of int64."""


@final
class LatentSpace:
    """Points of a space and their images; made by :func:`latent_space`.

    Attributes:
        device: Where points are.
        dtype: Their dtype, and that of the arithmetic.
    """

    def __init__(self, pairs: Pairs, space: Space, network: Network, labels: Labels | None) -> None:
        self.device, self.dtype = pairs.device, pairs.dtype
        self._pairs = pairs
        self._space = space
        self._mapping: Network | None = None
        self._rows: int | None = None
        if space != "z":
            parts = cast("Any", network)
            self._mapping, self._rows = parts.mapping, getattr(parts.synthesis, "num_ws", None)
        self._labels = labels

    def points(self, z: Tensor, first: int) -> Tensor:
        """Map latents (N, z_dim), with indices from ``first``, to points (N, ...) of the space.

        Raises:
            InputError: The mapping does not take them, or does not give w; in w, it gives different rows; in
                w+, the generator takes the same w in all layers.
        """
        z = z.to(self.device, self.dtype)
        if self._mapping is None:
            return z
        w = self._pairs.one(z, first, *self._labels_of(first, len(z)), network=self._mapping)
        if not isinstance(w, Tensor) or w.ndim not in (2, 3) or len(w) != len(z):
            shape = tuple(w.shape) if isinstance(w, Tensor) else type(w).__name__
            raise InputError(f"the mapping gives {shape} for {len(z)} latents; return w of (N, w_dim)")
        if w.ndim == 3:
            self._rows = w.shape[1]
            if not torch.allclose(w, w[:, :1].expand_as(w), rtol=0, atol=0, equal_nan=True):
                raise InputError(
                    "the mapping gives different rows of w to the layers; measure in w+, or in z"
                )
            w = w[:, 0]
        return self._layered(w) if self._space == "w+" else w

    def images(self, start: Tensor, end: Tensor, first: int) -> tuple[Tensor, Tensor]:
        """Images of both ends of steps, with the same noise and the same classes.

        Args:
            start: Points, (N, ...).
            end: Points, of the same shape.
            first: Index of the first.

        Returns:
            Images (N, ...) of each.

        Raises:
            InputError: The generator does not take such points, or its images are not fit for differences.
        """
        if self._mapping is None:
            return self._pairs(start, end, first, *self._labels_of(first, len(start)))
        if self._space == "w" and self._rows is not None:
            start, end = self._layered(start), self._layered(end)
        return self._pairs(start, end, first)

    def _layered(self, w: Tensor) -> Tensor:
        if self._rows is None:
            raise InputError("the synthesis takes one w for all its layers, hence no space w+; measure in w")
        return w.unsqueeze(1).repeat(1, self._rows, 1)

    def _labels_of(self, first: int, count: int) -> tuple[Tensor, ...]:
        if self._labels is None:
            return ()
        return (checked_labels(self._labels, first, count).to(self.device),)


@contextlib.contextmanager
def latent_space(
    generator: Network,
    space: Space = "z",
    *,
    module: nn.Module | None = None,
    labels: Labels | None = None,
    dtype: torch.dtype | None = None,
    seed: int = 0,
) -> Iterator[LatentSpace]:
    """Prepare a generator for finite differences in a space, and put everything back afterwards.

    Args:
        generator: From points (N, ...), and labels if there are any, to images (N, C, H, W). For w it has
            ``mapping`` (from z, and labels, to w) and ``synthesis`` (from w to images).
        space: ``z``; ``w``, the same in all layers; or ``w+``, where each layer has a row of its own, which
            starts as the same w.
        module: What the generator is made of, for a callable that is no module itself.
        labels: Classes by index, as :func:`uniform_labels`.
        dtype: Precision of a copy that is measured instead; None for the generator itself.
        seed: Seed of the noise.

    Yields:
        The space. Within the block all is as in :func:`~riemann_noise_pytorch.noise.pairs.shared_noise`, and
        half precision of StyleGAN2's blocks is off.

    Raises:
        InputError: An unknown space, a generator without mapping and synthesis, one that cannot be copied, or
            one in half precision.

    Example:
        >>> from riemann_noise_pytorch.models.stylegan2 import StyleGAN2Generator
        >>> generator = StyleGAN2Generator((3, 8, 8), 16, 16, 1, channel_max=4)
        >>> with latent_space(generator, "w+") as view:
        ...     w = view.points(torch.ones(2, 16), first=0)
        ...     start, end = view.images(w, w + 1e-4, first=0)
        >>> w.shape, end.shape
        (torch.Size([2, 4, 16]), torch.Size([2, 3, 8, 8]))
    """
    if space not in SPACES:
        raise unknown_name("space", space, SPACES)
    parts = [callable(getattr(generator, part, None)) for part in ("mapping", "synthesis")]
    if space != "z" and not all(parts):
        raise InputError("the generator has no mapping and synthesis, hence no space w; measure in space z")
    module = owner_of(generator) if module is None else module
    network, module = in_precision(generator, module, dtype)
    images = network if space == "z" else cast("Any", network).synthesis
    full = contextlib.nullcontext() if module is None else in_full_precision(module)
    with full, shared_noise(images, module=module, seed=seed) as pairs:
        yield LatentSpace(pairs, space, network, labels)


def latent_size(generator: Network, given: int | None, name: str) -> int:
    """Size of a latent: the one given, or the generator's own.

    Args:
        generator: Any callable.
        given: A size, or None.
        name: What the argument is called, for messages.

    Raises:
        InputError: There is none, or the two differ.
    """
    own = getattr(generator, "z_dim", None)
    size = own if given is None else given
    if not isinstance(size, int) or size < 1:
        raise InputError(f"the size of a latent must be a positive integer, not {size!r}; give {name}")
    if isinstance(own, int) and size != own:
        raise InputError(f"{name} is {size}, but the generator's latents have {own} values; leave {name} out")
    return size


def labels_for(generator: Network, labels: Labels | None, seed: int) -> tuple[Labels | None, str]:
    """Choose the classes for a generator: those given, uniform ones where it has any, else none.

    Returns:
        The classes by index, and in two words how they were chosen; nothing for none.

    Example:
        >>> labels_for(torch.nn.ReLU(), None, 0)
        (None, '')
    """
    if labels is not None:
        return labels, "given labels"
    classes = number_of_classes(generator)
    return (uniform_labels(classes, seed), "uniform labels") if classes else (None, "")


def checked_labels(labels: Labels, first: int, count: int) -> Tensor:
    """Ask for the classes of ``count`` indices from ``first``.

    Raises:
        InputError: What comes is no int64 of shape (count,).
    """
    chosen: object = labels(first, count)
    if not isinstance(chosen, Tensor) or chosen.dtype != torch.int64 or chosen.shape != (count,):
        found = f"{chosen.dtype} {tuple(chosen.shape)}" if isinstance(chosen, Tensor) else repr(chosen)
        raise InputError(f"labels({first}, {count}) gives {found}; return classes, int64 of shape ({count},)")
    return chosen


def number_of_classes(generator: object) -> int:
    """Tell how many classes a generator must be told of: its ``classes`` if that is a number, else 0.

    Networks of others use the name for other things, such as a list of words.

    Example:
        >>> number_of_classes(torch.nn.ReLU())
        0
    """
    try:
        classes = getattr(generator, "classes", 0)
        return 0 if isinstance(classes, bool) else max(0, operator.index(classes))
    except Exception:  # a foreign property can fail in any way, and then tells no number
        return 0


def uniform_labels(classes: int, seed: int = 0) -> Labels:
    """Draw all classes alike; the class of an index depends on seed and index alone.

    Args:
        classes: Their number.
        seed: Seed of the stream.

    Returns:
        From the first index and a count n to classes, (n,) of int64.

    Example:
        >>> uniform_labels(10)(0, 6).shape
        torch.Size([6])
    """
    stream = derive(seed, "labels")

    def labels(first: int, count: int) -> Tensor:
        share: Tensor = torch.special.ndtr(counted_normal(stream, first, (count,)))
        return (share * classes).long().clamp(max=classes - 1)

    return labels
