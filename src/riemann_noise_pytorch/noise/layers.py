"""The two kinds of noise injection as modules: Euclidean (Eqs. 4 and 18) and Riemannian (Eqs. 13-17)."""

import dataclasses
import math
from typing import Any, final

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError, unknown_name
from riemann_noise_pytorch.noise import switches
from riemann_noise_pytorch.noise.functional import (
    affine_decomposition,
    euclidean_injection,
    riemannian_injection,
)
from riemann_noise_pytorch.noise.presets import DEFAULT_PRESET, RIEMANN_PRESETS, RiemannPreset
from riemann_noise_pytorch.noise.sources import NoiseLayer

NOISE_KINDS = ("none", "euclidean", "riemannian")
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
        _check_choice("planes", planes, ("shared", "per_channel"))
        _check_choice("law", law, switches.LAWS)
        _check_finite("strength", strength)
        super().__init__(planes, law)
        self.initial_strength = float(strength)
        self.a = nn.Parameter(_empty((), device, dtype))
        self.reset_parameters()

    def forward(self, mu: Tensor) -> Tensor:
        """Inject noise into features (N, C, H, W); shape and dtype are kept.

        Raises:
            InputError: The features are not (N, C, H, W) of floating point.
        """
        _check_features(mu)
        epsilon = self.draw(mu)
        if epsilon is None:
            return mu
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
        size: Height and width of the feature map, an integer or a pair, for learned maps A and b; None for
            scalars A and b and any resolution.
        device: Where the parameters live, a ``torch.device`` or its name.
        preset: ``neutral``, ``paper``, ``author-ffhq``, ``author-cat``, ``author-church`` or ``seed``.
        dtype: The dtype of the parameters.
        **changes: Fields of :class:`~riemann_noise_pytorch.noise.presets.RiemannPreset` that replace the
            preset's, such as ``norm="l2"`` or ``w=0.1``.

    Raises:
        InputError: An unknown preset, switch or value; a size that is no positive integer or pair of them;
            ``norm="l2"`` without a size.
        RuntimeError, AssertionError: torch's own, where the device is not there.

    Example:
        >>> layer = RiemannNoise(16, "cpu", w=0.1)
        >>> layer(torch.randn(2, 8, 16, 16)).shape
        torch.Size([2, 8, 16, 16])
    """

    kind = "riemannian"

    def __init__(
        self,
        size: int | tuple[int, int] | None = None,
        device: Device = None,
        *,
        preset: str = DEFAULT_PRESET,
        dtype: torch.dtype | None = None,
        **changes: Any,
    ) -> None:
        if preset not in RIEMANN_PRESETS:
            raise unknown_name("preset of Riemannian noise", preset, RIEMANN_PRESETS)
        settings = _changed(RIEMANN_PRESETS[preset], changes)
        super().__init__(settings.planes, settings.law)
        self.preset = preset
        self.settings = settings
        self.size = _checked_size(size)
        if settings.norm == "l2" and self.size is None:
            raise InputError("norm='l2' needs the size, for r starts at sqrt(HW); give a size, or norm='rms'")
        maps = self.size or ()
        self.A = nn.Parameter(_empty(maps, device, dtype))
        self.b = nn.Parameter(_empty(maps, device, dtype))
        self.alpha = nn.Parameter(_empty((), device, dtype))
        self.r = nn.Parameter(_empty((), device, dtype)) if settings.learn_r else None
        self.w = nn.Parameter(_empty((), device, dtype)) if settings.strength == "own" else None
        self.reset_parameters()

    def forward(self, mu: Tensor) -> Tensor:
        """Inject noise into features (N, C, H, W); shape and dtype are kept.

        Raises:
            InputError: The features are not (N, C, H, W) of floating point, or not of the layer's size.
        """
        _check_features(mu)
        if self.size is not None and tuple(mu.shape[2:]) != self.size:
            raise InputError(
                f"this noise layer has maps of {self.size[0]}x{self.size[1]}, but the features are "
                f"{'x'.join(map(str, mu.shape[2:]))}; build it with that size, or with size=None for any"
            )
        sigma = self.local_scale(mu)
        epsilon = self.draw(mu)
        if epsilon is None:
            return (self._radius() * sigma).to(mu.dtype) * mu
        return riemannian_injection(mu, sigma, self._radius(), epsilon, self._relative_strength())

    def local_scale(self, mu: Tensor) -> Tensor:
        """Compute sigma of Eq. 16 for features (N, C, H, W): (N, 1, H, W), in float32 for half precision."""
        settings = self.settings
        spread, size = switches.usual_spread(settings.identifier, mu.shape[1])
        mu_tilde = switches.IDENTIFIERS[settings.identifier](mu)
        s = switches.RANGES[settings.range](mu_tilde, spread, size)
        gain = self._map_gain()
        s_d = affine_decomposition(s, self.A * gain, self.b * gain)
        alpha = self.alpha if settings.alpha_on == "affine" else 1 - self.alpha
        return switches.NORMS[settings.norm](s_d, alpha)

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
        size = "any size" if self.size is None else f"{self.size[0]}x{self.size[1]}"
        return f"{size}, preset={self.preset}, planes={self.planes}, law={self.law}"

    def _radius(self) -> Tensor | float:
        return 1.0 if self.r is None else self.r

    def _relative_strength(self) -> Tensor | float:
        return 1.0 if self.w is None else self.w

    def _map_gain(self) -> float:
        return self.size[0] ** -0.5 if self.settings.equalised and self.size else 1.0


def make_noise(
    kind: str,
    size: int | tuple[int, int] | None = None,
    *,
    preset: str = DEFAULT_PRESET,
    strength: float | None = None,
    device: Device = None,
) -> NoiseLayer | None:
    """Build a noise layer from the name of its kind.

    Args:
        kind: ``none``, ``euclidean`` or ``riemannian``.
        size: Height and width of the features, for Riemannian noise with maps; None for any.
        preset: The preset of Riemannian noise.
        strength: Initial standard deviation of the noise; None for the kind's or the preset's own.
        device: Where the parameters live.

    Returns:
        The layer, or None for ``none``.

    Raises:
        InputError: An unknown kind or preset, or a strength for a preset that ties it to r.
    """
    _check_choice("kind of noise", kind, NOISE_KINDS)
    if kind == "none":
        return None
    if kind == "euclidean":
        return EuclideanNoise(device, strength=strength or 0.0)
    if preset not in RIEMANN_PRESETS:
        raise unknown_name("preset of Riemannian noise", preset, RIEMANN_PRESETS)
    if strength is None:
        return RiemannNoise(size, device, preset=preset)
    chosen = RIEMANN_PRESETS[preset]
    if chosen.strength == "tied":
        raise InputError(f"preset '{preset}' ties the noise to the features; leave the strength out")
    return RiemannNoise(size, device, preset=preset, w=strength / chosen.r)


def _empty(shape: tuple[int, ...], device: Device, dtype: torch.dtype | None) -> Tensor:
    try:
        return torch.empty(shape, device=device, dtype=dtype)
    except (RuntimeError, AssertionError) as error:
        error.add_note(f"Torch cannot use '{device}' here; pass 'cpu', or install a torch built for it.")
        raise


def _check_features(mu: Tensor) -> None:
    if mu.ndim != 4:
        raise InputError(
            f"noise needs features (N, C, H, W), but these have shape {tuple(mu.shape)}; reshape them"
        )
    if not mu.is_floating_point():
        raise InputError(f"noise needs floating-point features, but these are {mu.dtype}; convert them")


def _check_choice(what: str, name: object, valid: Any) -> None:
    if name not in valid:
        raise unknown_name(what, str(name), valid)


def _check_finite(what: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError(f"{what} must be a finite number, not {value!r}")


def _checked_size(size: object) -> tuple[int, int] | None:
    if size is None:
        return None
    pair = (size, size) if isinstance(size, int) else size
    if (
        not isinstance(pair, (tuple, list))
        or len(pair) != 2
        or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in pair)
    ):
        raise InputError(
            f"size must be a positive integer or a pair of them, not {size!r}; None serves any size"
        )
    return (pair[0], pair[1])


_SWITCHES: dict[str, Any] = {
    "identifier": switches.IDENTIFIERS,
    "range": switches.RANGES,
    "alpha_on": ("affine", "ones"),
    "norm": switches.NORMS,
    "planes": ("shared", "per_channel"),
    "strength": ("tied", "own"),
    "law": switches.LAWS,
}


def _changed(preset: RiemannPreset, changes: dict[str, Any]) -> RiemannPreset:
    kinds = {field.name: type(getattr(preset, field.name)) for field in dataclasses.fields(RiemannPreset)}
    for name, value in changes.items():
        _check_choice("switch of Riemannian noise", name, kinds)
        if name in _SWITCHES:
            _check_choice(name, str(value), _SWITCHES[name])
        elif kinds[name] is bool and not isinstance(value, bool):
            raise InputError(f"{name} must be True or False, not {value!r}")
        elif kinds[name] is float:
            _check_finite(name, value)
    settings = dataclasses.replace(preset, **changes)
    if settings.map_std < 0:
        raise InputError(f"map_std is a standard deviation and cannot be {settings.map_std}; give 0 or more")
    if "w" in changes and settings.strength == "tied":
        raise InputError(
            "w has no effect where the noise is tied to r; give strength='own' too, or leave it out"
        )
    if "r" in changes and not settings.learn_r:
        raise InputError(
            "r has no effect where it is not learned but 1; give learn_r=True too, or leave it out"
        )
    return settings
