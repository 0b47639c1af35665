"""Images by index, where latent, class and each source of noise may be taken from samples of their own.

Sample i has a latent, a class, and noise of every layer, each a function of the seed and of i. So an image
whose latent is that of sample 3 and whose noise is that of sample 7 is computed, not drawn, and two images
share exactly what they are meant to share.

Noise that is not this package's is one source. It belongs to a call rather than to a sample: a call starts
from the state that its first sample tells.
"""

import contextlib
from collections.abc import Collection, Iterator
from glob import escape
from typing import final

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.errors import NonFiniteError
from riemann_noise_pytorch.models.latent_space import Labels, checked_labels, labels_for, latent_size
from riemann_noise_pytorch.models.precision import in_full_precision
from riemann_noise_pytorch.noise.control import fresh, frozen, noise_layers
from riemann_noise_pytorch.noise.foreign import generators_of, seeded
from riemann_noise_pytorch.noise.pairs import Pairs, counted_normal, owner_of, shared_noise
from riemann_noise_pytorch.noise.precision import Network, in_precision
from riemann_noise_pytorch.seeds import derive

TRIAL_SAMPLES = 8


@final
class IndexedImages:
    """Computes images of a prepared generator; made by :func:`indexed_images`.

    Attributes:
        module: What the generator is made of, in the precision that is measured; None for a function.
        layers: Names of this package's noise layers, in order of registration.
        has_classes: Whether the generator is told a class.
        has_foreign: Whether it draws noise of its own from torch's generators.
    """

    def __init__(
        self,
        pairs: Pairs,
        network: Network,
        module: nn.Module | None,
        z_dim: int,
        labels: Labels | None,
        seed: int,
    ) -> None:
        self.module = module
        self.layers = () if module is None else tuple(noise_layers(module))
        self.has_classes = labels is not None
        self._pairs = pairs
        self._network = network
        self._z_dim = z_dim
        self._labels = labels
        self._seed = seed
        z, classes = self.latents(0, TRIAL_SAMPLES), self.classes(0, TRIAL_SAMPLES)
        pairs(z, z, 0, *classes)  # what cannot be measured is refused here
        self.has_foreign = self._draws_of_its_own(z, *classes)

    def latents(self, first: int, count: int) -> Tensor:
        """Standard normal latents of so many samples from ``first``, (count, z_dim)."""
        stream = derive(self._seed, "indexed images", "latents")
        z = counted_normal(stream, first, (count, self._z_dim))
        return z.to(self._pairs.device, self._pairs.dtype)

    def classes(self, first: int, count: int) -> tuple[Tensor, ...]:
        """Classes of so many samples from ``first``, (count,); nothing where there are none.

        Raises:
            InputError: The labels given are no such classes.
        """
        if self._labels is None:
            return ()
        return (checked_labels(self._labels, first, count).to(self._pairs.device),)

    def images(
        self,
        z: Tensor,
        classes: tuple[Tensor, ...],
        first: int,
        *,
        others: Collection[str] = (),
        first_of_others: int = 0,
    ) -> Tensor:
        """Compute images with the noise of the samples from ``first``.

        Args:
            z: Latents, (N, z_dim).
            classes: From :meth:`classes`, of N samples.
            first: The first of the N samples whose noise is seen.
            others: Noise layers that see that of other samples.
            first_of_others: The first of these.

        Returns:
            Images (N, ...).

        Raises:
            InputError: The generator fails on them.
            NonFiniteError: An image has NaN or infinity; the message names the first.
        """

        def network(z: Tensor, *classes: Tensor) -> Tensor:
            with self._frozen(others, first_of_others):
                return self._network(z, *classes)

        images = self._pairs.one(z, first, *classes, network=network)
        whole = images.isfinite().flatten(1).all(dim=1)
        if not whole.all():
            raise NonFiniteError(
                f"the image of sample {first + int((~whole).nonzero()[0])} has NaN or infinity; "
                "check the generator's weights"
            )
        return images

    def _frozen(self, layers: Collection[str], first_sample: int) -> contextlib.AbstractContextManager[None]:
        if self.module is None or not layers:
            return contextlib.nullcontext()
        return frozen(self.module, self._seed, [escape(name) for name in layers], first_sample)

    def _draws_of_its_own(self, z: Tensor, *classes: Tensor) -> bool:
        generators = generators_of(self.module)
        unheld = contextlib.nullcontext() if self.module is None else fresh(self.module)
        with unheld, self._frozen(self.layers, 0), seeded(self._seed, generators):
            before = [generator.get_state() for generator in generators]
            self._network(z, *classes)
            after = [generator.get_state() for generator in generators]
        return any(not torch.equal(*states) for states in zip(before, after, strict=True))


@contextlib.contextmanager
def indexed_images(
    generator: Network,
    z_dim: int | None = None,
    *,
    module: nn.Module | None = None,
    labels: Labels | None = None,
    dtype: torch.dtype | None = None,
    seed: int = 0,
) -> Iterator[IndexedImages]:
    """Prepare a generator for images by index, and put everything back afterwards.

    Args:
        generator: From latents (N, z_dim), and classes (N,) if there are any, to images (N, ...).
        z_dim: Size of a latent; the generator's own by default.
        module: What the generator is made of, for a callable that is no module itself.
        labels: Classes by index, as :func:`~riemann_noise_pytorch.models.latent_space.uniform_labels`; those
            by default, if the generator has ``classes``.
        dtype: Precision of a copy that is used instead; None for the generator itself.
        seed: Seed of latents, classes and noise.

    Yields:
        What computes the images. Within the block all is as in
        :func:`~riemann_noise_pytorch.noise.pairs.shared_noise`, and StyleGAN2's half precision is off.

    Raises:
        InputError: The generator does not take such latents, is in half precision, or is random in a way that
            cannot be frozen.

    Example:
        >>> from riemann_noise_pytorch import EuclideanNoise
        >>> with indexed_images(EuclideanNoise(strength=1.0), 4) as source:
        ...     z = source.latents(0, 2)
        ...     same = source.images(z, (), 5, others=source.layers, first_of_others=0)
        ...     print(torch.equal(same, source.images(z, (), 0)), source.has_foreign)
        True False
    """
    size = latent_size(generator, z_dim, "z_dim")
    labels, _ = labels_for(generator, labels, seed)
    module = owner_of(generator) if module is None else module
    network, module = in_precision(generator, module, dtype)
    full = contextlib.nullcontext() if module is None else in_full_precision(module)
    with full, shared_noise(network, module=module, seed=seed) as pairs:
        yield IndexedImages(pairs, network, module, size, labels, seed)
