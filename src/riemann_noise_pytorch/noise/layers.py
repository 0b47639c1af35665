"""The two kinds of noise injection as modules: Euclidean (Eqs. 4 and 18) and Riemannian (Eqs. 13-17)."""

import math
from typing import Any, final

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise import switches
from riemann_noise_pytorch.noise.functional import (
    euclidean_injection,
)
from riemann_noise_pytorch.noise.fused import shaped_injection
from riemann_noise_pytorch.noise.interfaces import NoiseLayer, as_size, check_finite
from riemann_noise_pytorch.noise.presets import DEFAULT_PRESET, changed_preset
from riemann_noise_pytorch.noise.readings import Reading

Device = torch.device | str | None


@final
class EuclideanNoise(NoiseLayer):
    r"""Euclidean noise injection: StyleGAN's noise, the same everywhere.

    .. math:: o = \mu + a\,\varepsilon

    Paper: Section 4.3, through :func:`~riemann_noise_pytorch.noise.functional.euclidean_injection`.

    Args:
        device: Where the parameter lives.
        strength: Initial a, finite; 0 in StyleGAN.
        planes: ``shared``: one noise plane for all channels (StyleGAN); ``per_channel``: one for each.
        law: The distribution of epsilon: ``gaussian``, ``clipped`` or ``uniform_ball``.
        dtype: The dtype of the parameter.

    Raises:
        InputError: A switch has an unknown value, or the strength is not finite.

    Example:
        >>> layer = EuclideanNoise(strength=0.1)
        >>> layer(torch.randn(2, 8, 16, 16)).shape
        torch.Size([2, 8, 16, 16])
    """

    kind = "euclidean"

    def __init__(
        self,
        device: Device = None,
        *,
        strength: float = 0.0,
        planes: switches.Planes = "shared",
        law: switches.Law = "gaussian",
        dtype: torch.dtype | None = None,
    ) -> None:
        check_finite("strength", strength)
        super().__init__(planes, law)
        self.initial_strength = float(strength)
        self.a = nn.Parameter(empty_parameter((), device, dtype))
        self.reset_parameters()

    def inject(self, mu: Tensor, epsilon: Tensor | None) -> Tensor:
        """Add a times the noise to features (N, C, ...)."""
        if epsilon is None:
            return mu.clone()  # not mu itself: what follows may work in place
        return euclidean_injection(mu, self.a.to(mu.dtype), epsilon)

    def strength(self) -> Tensor:
        """|a|, the standard deviation of the injected noise, a scalar without gradient."""
        return self.a.detach().abs()

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:  # noqa: ARG002
        """Set a to its initial value."""
        self.a.fill_(self.initial_strength)

    def extra_repr(self) -> str:
        """One line on the settings."""
        return f"planes={self.planes}, law={self.law}"


@final
class RiemannNoise(NoiseLayer):
    r"""Riemannian noise injection: noise that follows the local geometry of the features.

    .. math::

        \tilde\mu = \textstyle\sum_c \mu_c, \quad
        s = \frac{\tilde\mu - \bar\mu}{\max|\tilde\mu - \bar\mu|}, \quad
        s' = \alpha (A * s + b) + (1 - \alpha), \quad
        \sigma = \frac{s'}{\|s'\|}, \quad
        o = r\,\sigma * (\mu + w\,\varepsilon)

    Paper: Section 4.3, through :mod:`~riemann_noise_pytorch.noise.functional`. The presets and the switches
    (:mod:`~riemann_noise_pytorch.noise.switches`) say which of its readings is meant.

    D3: the default preset ``neutral`` starts as Euclidean noise (A = b = 0, so sigma = 1) and gives the noise
    a strength w of its own. D4: the presets take the root mean square for the norm of Eq. 16, which is the
    paper's form with r = sqrt(HW) absorbed.

    Args:
        size: Spatial size of the features, for learned maps A and b: height and width, an integer that stands
            for both, ``(L,)`` for features (N, C, L); None for scalars A and b and any size.
        device: Where the parameters live, a ``torch.device`` or its name.
        preset: ``neutral``, ``paper``, ``author-ffhq``, ``author-cat``, ``author-church`` or ``seed``.
        dtype: The dtype of the parameters.
        **changes: Fields of :class:`~riemann_noise_pytorch.noise.presets.RiemannPreset` that replace the
            preset's, such as ``norm="l2"`` or ``w=0.1``.

    Raises:
        InputError: An unknown preset, switch or value; a size that is no positive integer or one to three of
            them; ``norm="l2"`` without a size.
        RuntimeError, AssertionError: torch's own, where the device is not there.

    Example:
        >>> layer = RiemannNoise(16, "cpu", w=0.1)
        >>> layer(torch.randn(2, 8, 16, 16)).shape
        torch.Size([2, 8, 16, 16])
    """

    kind = "riemannian"
    least_axes = 3

    def __init__(
        self,
        size: int | tuple[int, ...] | None = None,
        device: Device = None,
        *,
        preset: str = DEFAULT_PRESET,
        dtype: torch.dtype | None = None,
        **changes: Any,
    ) -> None:
        settings = changed_preset(preset, changes)
        super().__init__(settings.planes, settings.law)
        self.preset = preset
        self.settings = settings
        maps = _checked_size(size) or ()
        if settings.norm == "l2" and not maps:
            raise InputError("norm='l2' needs the size, for r starts at sqrt(HW); give a size, or norm='rms'")
        self.A = nn.Parameter(empty_parameter(maps, device, dtype))
        self.b = nn.Parameter(empty_parameter(maps, device, dtype))
        self.alpha = nn.Parameter(empty_parameter((), device, dtype))
        self.r = nn.Parameter(empty_parameter((), device, dtype)) if settings.learn_r else None
        self.w = nn.Parameter(empty_parameter((), device, dtype)) if settings.strength == "own" else None
        self.reset_parameters()

    @property
    def size(self) -> tuple[int, ...] | None:
        """The size of the maps A and b, None for scalars."""
        return tuple(self.A.shape) or None

    def inject(self, mu: Tensor, epsilon: Tensor | None) -> Tensor:
        """Shape features (N, C, L), (N, C, H, W) or (N, C, D, H, W) and their noise."""
        parameters = [p for p in (self.A, self.b, self.alpha, self.r) if p is not None]
        w = 1.0 if self.w is None else self.w
        return shaped_injection(self._reading(mu), mu, epsilon, w, *parameters)

    def local_scale(self, mu: Tensor) -> Tensor:
        """Compute sigma of Eq. 16 for features (N, C, ...): (N, 1, ...), in float32 for half precision."""
        mu_tilde = switches.IDENTIFIERS[self.settings.identifier](mu)
        return self._reading(mu)(mu_tilde, self.A, self.b, self.alpha)

    def decomposition(self, mu: Tensor) -> Tensor:
        """Compute s_d of Eq. 15 for features (N, C, ...): (N, 1, ...), in float32 for half precision."""
        mu_tilde = switches.IDENTIFIERS[self.settings.identifier](mu)
        return self._reading(mu).decomposed(mu_tilde, self.A, self.b)

    def strength(self) -> Tensor:
        """|r w|, the standard deviation of the injected noise where sigma has its root mean square of 1.

        A scalar without gradient; with ``norm="l2"`` the factor 1 / sqrt(HW) of sigma is included.
        """
        scale = math.prod(self.size) ** -0.5 if self.settings.norm == "l2" and self.size else 1.0
        product = torch.as_tensor(self._radius() * self._relative_strength(), device=self.alpha.device)
        return product.detach().abs() * scale

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Set the initial values; the random part of A and b comes from ``generator``."""
        settings = self.settings
        for parameter, mean in ((self.A, settings.A), (self.b, settings.b)):
            parameter.fill_(mean / self._map_gain())
            if settings.map_std:
                device = parameter.device if generator is None else generator.device
                noise = torch.randn(parameter.shape, generator=generator, device=device)
                parameter.add_(noise.to(parameter), alpha=settings.map_std)
        self.alpha.fill_(settings.alpha)
        if self.r is not None:
            absorbed = math.prod(self.size) ** 0.5 if settings.norm == "l2" and self.size else 1.0
            self.r.fill_(settings.r * absorbed)
        if self.w is not None:
            self.w.fill_(settings.w)

    def extra_repr(self) -> str:
        """One line on the settings."""
        size = "any size" if self.size is None else as_size(self.size)
        return f"{size}, preset={self.preset}, planes={self.planes}, law={self.law}"

    def _reading(self, mu: Tensor) -> Reading:
        return Reading(self.settings, mu.shape[1], self._map_gain())

    def _radius(self) -> Tensor | float:
        return 1.0 if self.r is None else self.r

    def _relative_strength(self) -> Tensor | float:
        return 1.0 if self.w is None else self.w

    def _map_gain(self) -> float:
        return self.size[0] ** -0.5 if self.settings.equalised and self.size else 1.0


def empty_parameter(shape: tuple[int, ...], device: Device, dtype: torch.dtype | None) -> Tensor:
    """Allocate a parameter; where torch lacks the device, its error gets a line on what to do."""
    try:
        return torch.empty(shape, device=device, dtype=dtype)
    except (RuntimeError, AssertionError) as error:
        error.add_note(f"Torch cannot use '{device}' here; pass 'cpu', or install a torch built for it.")
        raise


def _checked_size(size: object) -> tuple[int, ...] | None:
    if size is None:
        return None
    axes = (size, size) if isinstance(size, int) else size
    if (
        not isinstance(axes, (tuple, list))
        or not 1 <= len(axes) <= 3
        or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in axes)
    ):
        raise InputError(
            f"size must be a positive integer or one to three of them, not {size!r}; None serves any size"
        )
    return tuple(axes)
