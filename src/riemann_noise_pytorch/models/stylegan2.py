r"""The generator of StyleGAN2: a mapping from z to w, and a synthesis that w modulates layer by layer.

.. math:: w = f(z), \qquad w' = \bar w + \psi (w - \bar w), \qquad \text{image} = g(w', \ldots, w')

The second step, truncation, trades variety for quality: psi below 1 goes towards the average w.

References:
    Karras, Laine and Aila (2019), arXiv:1812.04948; Karras et al. (2020), arXiv:1912.04958, configs e and f.
"""

import math
from collections.abc import Mapping as Dictionary
from typing import final

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.models.interfaces import Generator, ImageShape
from riemann_noise_pytorch.models.mapping import Mapping
from riemann_noise_pytorch.models.sizes import check_counts
from riemann_noise_pytorch.models.synthesis import Synthesis
from riemann_noise_pytorch.models.synthesis_layers import NoiseMode
from riemann_noise_pytorch.noise.presets import DEFAULT_PRESET


@final
class StyleGAN2Generator(Generator):
    """The StyleGAN2 generator: mapping and synthesis.

    Args:
        image_shape: Channels (1, 3, 4 or any), height and width: a first block with 4 to 7 pixels on its
            shorter side, doubled, 1024 at most.
        z_dim: Dimension of z.
        w_dim: Dimension of w.
        mapping_layers: Layers of the mapping.
        classes: Number of classes, 0 for none.
        channel_base: Channels times height in the wide blocks: 16384 in config e, 32768 in config f.
        channel_max: Most channels of a block.
        noise: Kind of noise, or kinds by pattern of layer name, as of
            :class:`~riemann_noise_pytorch.models.synthesis.Synthesis`.
        riemann_preset: Preset of Riemannian noise.
        noise_strength: Initial standard deviation of the noise; None for the kind's or the preset's own.

    Raises:
        InputError: A size that does not fit, or an unknown name.

    Example:
        >>> generator = StyleGAN2Generator((3, 16, 16), 32, 32, 2, channel_max=8, noise="riemannian")
        >>> generator(torch.randn(2, 32)).shape
        torch.Size([2, 3, 16, 16])
    """

    w_dim: int

    def __init__(
        self,
        image_shape: ImageShape,
        z_dim: int = 512,
        w_dim: int = 512,
        mapping_layers: int = 8,
        classes: int = 0,
        *,
        channel_base: int = 16384,
        channel_max: int = 512,
        noise: str | Dictionary[str, str] = "none",
        riemann_preset: str = DEFAULT_PRESET,
        noise_strength: float | None = None,
    ) -> None:
        check_counts(channels=image_shape[0], z_dim=z_dim, w_dim=w_dim, mapping_layers=mapping_layers)
        check_counts(channel_base=channel_base, channel_max=channel_max)
        check_counts(0, classes=classes)
        super().__init__()
        self.z_dim, self.w_dim, self.classes, self.image_shape = z_dim, w_dim, classes, image_shape
        self.mapping = Mapping(z_dim, w_dim, mapping_layers, classes)
        self.synthesis = Synthesis(
            image_shape, w_dim, channel_base, channel_max, noise, riemann_preset, noise_strength
        )

    def forward(
        self,
        z: Tensor,
        labels: Tensor | None = None,
        *,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        noise_mode: NoiseMode = "random",
    ) -> Tensor:
        """Latents (N, z_dim) to images (N, C, H, W), about in [-1, 1].

        Args:
            z: Latents.
            labels: Classes (N,) of int64, for a network that has them.
            truncation_psi: 1 leaves w as it is, 0 puts the average w in its place.
            truncation_cutoff: Rows of w that are truncated, from the first; None for all.
            noise_mode: ``random``, ``const`` or ``none``, as of
                :meth:`~riemann_noise_pytorch.models.synthesis.Synthesis.forward`.

        Raises:
            InputError: Latents, labels, truncation or the mode do not fit.
        """
        ws = self.ws(z, labels, truncation_psi=truncation_psi, truncation_cutoff=truncation_cutoff)
        images: Tensor = self.synthesis(ws, noise_mode)
        return images

    def ws(
        self,
        z: Tensor,
        labels: Tensor | None = None,
        *,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
    ) -> Tensor:
        """Latents (N, z_dim) to rows of w (N, num_ws, w_dim), truncated; arguments as of :meth:`forward`.

        Raises:
            InputError: Latents, labels or truncation do not fit.
        """
        self.check_latent(z)
        num_ws = self.synthesis.num_ws
        if not math.isfinite(truncation_psi):
            raise InputError(f"truncation_psi is {truncation_psi}; give a finite number, usually in [0, 1]")
        cutoff = num_ws if truncation_cutoff is None else truncation_cutoff
        check_counts(0, truncation_cutoff=cutoff)
        if cutoff > num_ws:
            raise InputError(f"truncation_cutoff is {cutoff}, but w has {num_ws} rows; give at most that")
        w: Tensor = self.mapping(z, labels)
        ws = w.unsqueeze(1).repeat(1, num_ws, 1)
        if truncation_psi == 1:
            return ws
        truncated = self.mapping.w_avg.to(w.dtype).lerp(ws[:, :cutoff], truncation_psi)
        return torch.cat([truncated, ws[:, cutoff:]], dim=1)
