"""Which kind of noise each layer of a network gets."""

import fnmatch
from collections.abc import Mapping
from typing import final

from riemann_noise_pytorch.errors import InputError, unknown_name
from riemann_noise_pytorch.noise.interfaces import NoiseLayer, check_choice
from riemann_noise_pytorch.noise.kinds import NOISE_KINDS, make_noise
from riemann_noise_pytorch.noise.presets import DEFAULT_PRESET, RIEMANN_PRESETS


@final
class NoiseChoice:
    """Makes the noise layers of a network.

    Args:
        kinds: One kind for all layers, or kinds by pattern of layer name; the last match counts, and a layer
            without a match has none. A kind is ``none``, ``euclidean``, ``per-channel``, ``riemannian``, or a
            preset of Riemannian noise.
        riemann_preset: Preset of the kind ``riemannian``.
        strength: Initial standard deviation of the noise; None for the kind's or the preset's own.

    Raises:
        InputError: An unknown kind.

    Example:
        >>> choice = NoiseChoice({"block*": "euclidean", "block8.*": "riemannian"})
        >>> [choice.layer(name, (8, 8), 4).kind for name in ("block4.conv1", "block8.conv0")]
        ['euclidean', 'riemannian']
    """

    def __init__(
        self,
        kinds: str | Mapping[str, str],
        riemann_preset: str = DEFAULT_PRESET,
        strength: float | None = None,
    ) -> None:
        self._kinds = {"*": kinds} if isinstance(kinds, str) else dict(kinds)
        for kind in self._kinds.values():
            check_choice("kind of noise", kind, (*NOISE_KINDS, *RIEMANN_PRESETS))
        self._preset, self._strength = riemann_preset, strength
        self._names: list[str] = []

    def layer(self, name: str, size: tuple[int, int], channels: int) -> NoiseLayer | None:
        """Make the noise of the layer of this name, for features of that size; None for none.

        Raises:
            InputError: An unknown preset, or a strength where the preset has none of its own.
        """
        self._names.append(name)
        kind = "none"
        for pattern, value in self._kinds.items():
            if fnmatch.fnmatchcase(name, pattern):
                kind = value
        preset = self._preset if kind == "riemannian" else None
        return make_noise(kind, size, channels=channels, preset=preset, strength=self._strength)

    def check_all_used(self) -> None:
        """Refuse patterns that no layer has matched.

        Raises:
            InputError: There is one.
        """
        for pattern in self._kinds:
            if not fnmatch.filter(self._names, pattern):
                raise unknown_name("layer or pattern", pattern, self._names)


def parse_noise_layers(text: str) -> dict[str, str]:
    """Read kinds of noise by pattern of layer name, as a command line or a file gives them.

    Args:
        text: ``PATTERN=KIND`` with commas between; empty for none.

    Raises:
        InputError: A part that is not so, or a pattern that occurs twice.

    Example:
        >>> parse_noise_layers("block32.*=riemannian,block8.conv0=none")
        {'block32.*': 'riemannian', 'block8.conv0': 'none'}
    """
    kinds: dict[str, str] = {}
    for part in text.split(",") if text.strip() else ():
        pattern, equals, kind = (piece.strip() for piece in part.partition("="))
        if not (pattern and equals and kind):
            raise InputError(
                f"noise_layers has the part '{part.strip()}', but its parts are PATTERN=KIND with commas "
                "between; give for instance block32.*=riemannian,block16.*=none"
            )
        if pattern in kinds:
            raise InputError(f"noise_layers names '{pattern}' twice; leave one of them out")
        kinds[pattern] = kind
    return kinds
