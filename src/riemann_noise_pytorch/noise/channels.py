"""Noise with a strength of its own for every channel."""

from typing import final

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.functional import injection, positions
from riemann_noise_pytorch.noise.interfaces import NoiseLayer, check_finite
from riemann_noise_pytorch.noise.layers import Device, empty_parameter
from riemann_noise_pytorch.noise.switches import Law, Planes


@final
class PerChannelNoise(NoiseLayer):
    r"""Noise whose strength is learned channel by channel: Eq. 5 with a sigma that knows channels alone.

    .. math:: o_{c} = \mu_{c} + a_{c}\,\varepsilon

    References:
        Karras, Laine and Aila, A Style-Based Generator Architecture for GANs, CVPR 2019 (Section 2, the
        block B: noise is broadcast with learned per-channel factors).

    Args:
        channels: Number of channels C of the features, 1 or more.
        device: Where the parameter lives.
        strength: Initial a of all channels, finite; 0 in StyleGAN.
        planes: ``shared``: one noise plane for all channels; ``per_channel``: one for each.
        law: The distribution of epsilon: ``gaussian``, ``clipped`` or ``uniform_ball``.
        dtype: The dtype of the parameter.

    Raises:
        InputError: A switch has an unknown value, the strength is not finite, or there is no channel.

    Example:
        >>> layer = PerChannelNoise(8, strength=0.1)
        >>> layer(torch.randn(2, 8, 16, 16)).shape
        torch.Size([2, 8, 16, 16])
    """

    kind = "per-channel"

    def __init__(
        self,
        channels: int,
        device: Device = None,
        *,
        strength: float = 0.0,
        planes: Planes = "shared",
        law: Law = "gaussian",
        dtype: torch.dtype | None = None,
    ) -> None:
        if isinstance(channels, bool) or not isinstance(channels, int) or channels < 1:
            raise InputError(f"per-channel noise needs 1 channel or more, not {channels!r}")
        check_finite("strength", strength)
        super().__init__(planes, law)
        self.initial_strength = float(strength)
        self.a = nn.Parameter(empty_parameter((channels,), device, dtype))
        self.reset_parameters()

    def check(self, mu: Tensor) -> None:
        """Refuse features of another number of channels, too."""
        super().check(mu)
        if mu.shape[1] != len(self.a):
            raise InputError(
                f"this noise layer has {len(self.a)} channels, but the features have {mu.shape[1]}; "
                "build it with that number"
            )

    def inject(self, mu: Tensor, epsilon: Tensor | None) -> Tensor:
        """Add a times the noise, channel by channel, to features (N, C, ...)."""
        if epsilon is None:
            return mu.clone()  # not mu itself: what follows may work in place
        sigma = self.a.to(mu.dtype).reshape(1, -1, *(1 for _ in positions(mu)))
        return injection(mu, sigma, epsilon)

    def strength(self) -> Tensor:
        """The root mean square of a over the channels, a scalar without gradient."""
        return self.a.detach().square().mean().sqrt()

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:  # noqa: ARG002
        """Set a to its initial value."""
        self.a.fill_(self.initial_strength)

    def extra_repr(self) -> str:
        """One line on the settings."""
        return f"channels={len(self.a)}, planes={self.planes}, law={self.law}"
