"""From the name of a kind of noise to a layer."""

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.channels import PerChannelNoise
from riemann_noise_pytorch.noise.interfaces import NoiseLayer, check_choice, check_finite
from riemann_noise_pytorch.noise.layers import Device, EuclideanNoise, RiemannNoise
from riemann_noise_pytorch.noise.presets import DEFAULT_PRESET, RIEMANN_PRESETS, changed_preset

NOISE_KINDS = ("none", "euclidean", "per-channel", "riemannian")


def make_noise(
    kind: str,
    size: int | tuple[int, ...] | None = None,
    *,
    channels: int | None = None,
    preset: str | None = None,
    strength: float | None = None,
    device: Device = None,
) -> NoiseLayer | None:
    """Build a noise layer from the name of its kind.

    Args:
        kind: ``none``, ``euclidean``, ``per-channel`` or ``riemannian``, or a preset of Riemannian noise.
        size: Spatial size of the features, for Riemannian noise with maps; None for any.
        channels: Channels of the features, for ``per-channel``.
        preset: The preset of ``riemannian``; ``neutral`` by default.
        strength: Initial standard deviation of the noise; None for the kind's or the preset's own.
        device: Where the parameters live.

    Returns:
        The layer, or None for ``none``.

    Raises:
        InputError: An unknown kind or preset, two presets, a strength that is no finite number, or for a
            preset that ties it to r, or ``per-channel`` without the number of channels.
    """
    _check(kind, preset, strength)
    if kind in RIEMANN_PRESETS:
        if preset not in (None, kind):
            raise InputError(f"'{kind}' and '{preset}' are two presets of one noise; give one of them")
        kind, preset = "riemannian", kind
    preset = preset or DEFAULT_PRESET
    if kind == "none":
        return None
    if kind == "euclidean":
        return EuclideanNoise(device, strength=strength or 0.0)
    if kind == "per-channel":
        if channels is None:
            raise InputError("per-channel noise needs the number of channels; give channels=")
        return PerChannelNoise(channels, device, strength=strength or 0.0)
    if strength is None:
        return RiemannNoise(size, device, preset=preset)
    chosen = changed_preset(preset, {})
    if chosen.strength == "tied":
        raise InputError(f"preset '{preset}' ties the noise to the features; leave the strength out")
    return RiemannNoise(size, device, preset=preset, w=strength / chosen.r)


def _check(kind: object, preset: object, strength: object) -> None:
    check_choice("kind of noise", kind, (*NOISE_KINDS, *RIEMANN_PRESETS))
    if preset is not None:
        check_choice("preset of Riemannian noise", preset, RIEMANN_PRESETS)
    if strength is not None:
        check_finite("strength", strength)
