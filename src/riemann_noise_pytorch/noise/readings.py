"""From the semantic identifier to the local geometry: Eqs. 14-16 as the switches of a preset read them."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from riemann_noise_pytorch.noise import switches
from riemann_noise_pytorch.noise.functional import SpatialMap, affine_decomposition
from riemann_noise_pytorch.noise.presets import RiemannPreset


@final
@dataclass(frozen=True)
class Reading:
    """Eqs. 14-16 for features of so many channels: a function of planes alone.

    Args:
        settings: The switches.
        channels: Channels of the features, which the floor of D1 depends on.
        map_gain: What the maps A and b are multiplied by before use (equalised learning rate).
    """

    settings: RiemannPreset
    channels: int
    map_gain: float = 1.0

    def __call__(
        self, mu_tilde: SpatialMap, A: Tensor, b: Tensor, alpha: Tensor, r: Tensor | None = None
    ) -> SpatialMap:
        """Compute sigma, or r sigma where r is given: (N, 1, ...) like the identifier.

        Raises:
            InputError: There is no channel.
        """
        s_d = self.decomposed(mu_tilde, A, b)
        weight = alpha if self.settings.alpha_on == "affine" else 1 - alpha
        sigma = switches.NORMS[self.settings.norm](s_d, weight)
        return sigma if r is None else r * sigma

    def decomposed(self, mu_tilde: SpatialMap, A: Tensor, b: Tensor) -> SpatialMap:
        """Compute s_d of Eq. 15: (N, 1, ...) like the identifier.

        Raises:
            InputError: There is no channel.
        """
        settings = self.settings
        spread, size = switches.usual_spread(settings.identifier, self.channels)
        s = switches.RANGES[settings.range](mu_tilde, spread, size)
        if self.map_gain != 1:
            A, b = A * self.map_gain, b * self.map_gain
        return affine_decomposition(s, A, b)
