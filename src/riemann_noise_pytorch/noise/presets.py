"""Named settings of Riemannian noise injection: every switch and every initial value, in one place."""

import dataclasses
from dataclasses import dataclass
from typing import Any, get_args

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.interfaces import check_choice, check_finite
from riemann_noise_pytorch.noise.switches import AlphaOn, Identifier, Law, Norm, Planes, Range, Strength


@dataclass(frozen=True)
class RiemannPreset:
    """The switches and initial values of :class:`~riemann_noise_pytorch.RiemannNoise`.

    The values of each switch are explained in :mod:`riemann_noise_pytorch.noise.switches`.

    Args:
        identifier: What marks the semantics (Eq. 13).
        range: How it is brought into range (Eq. 14).
        alpha_on: What alpha weights (Eq. 16).
        norm: The norm of Eq. 16.
        planes: One noise plane for all channels, or one for each.
        strength: Whether the noise has a strength w of its own, or that of the features (Eq. 17).
        law: The distribution of epsilon.
        r: Initial radius r of Eq. 17; with ``norm="l2"`` it is multiplied by sqrt(HW).
        learn_r: Whether r is learned; otherwise it is 1 and no parameter.
        w: Initial strength, where the noise has its own.
        alpha: Initial alpha.
        A: Initial slope of Eq. 15.
        b: Initial offset of Eq. 15.
        map_std: Standard deviation of what is added to the initial A and b, N(0, 1) times this.
        equalised: Whether the maps A and b are stored sqrt(H) times too large (equalised learning rate).
            Without a size there are no maps, and the scalars are stored as they are.
    """

    identifier: Identifier = "sum"
    range: Range = "max_abs"
    alpha_on: AlphaOn = "affine"
    norm: Norm = "rms"
    planes: Planes = "shared"
    strength: Strength = "own"
    law: Law = "gaussian"
    r: float = 1.0
    learn_r: bool = True
    w: float = 0.0
    alpha: float = 0.5
    A: float = 0.0
    b: float = 0.0
    map_std: float = 0.0
    equalised: bool = False


def _author(identifier: Identifier) -> RiemannPreset:
    return RiemannPreset(
        identifier=identifier,
        range="signed_max_unit",
        alpha_on="ones",
        learn_r=False,
        map_std=1.0,
        equalised=True,
    )


RIEMANN_PRESETS: dict[str, RiemannPreset] = {
    "neutral": RiemannPreset(),
    "paper": RiemannPreset(strength="tied", A=1.0),
    "author-ffhq": _author("relu_neg_sum"),
    "author-cat": _author("abs_sum"),
    "author-church": _author("neg_max"),
    "seed": RiemannPreset(
        identifier="neg_max",
        range="max_abs_unit",
        alpha_on="ones",
        planes="per_channel",
        r=0.5,
        w=0.5,
        map_std=1.0,
    ),
}

DEFAULT_PRESET = "neutral"

_SWITCHES = {
    "identifier": get_args(Identifier),
    "range": get_args(Range),
    "alpha_on": get_args(AlphaOn),
    "norm": get_args(Norm),
    "planes": get_args(Planes),
    "strength": get_args(Strength),
    "law": get_args(Law),
}


def changed_preset(name: str, changes: dict[str, Any]) -> RiemannPreset:
    """Replace fields of a named preset.

    Raises:
        InputError: An unknown preset, field or value, or a field that has no effect in this preset.
    """
    check_choice("preset of Riemannian noise", name, RIEMANN_PRESETS)
    preset = RIEMANN_PRESETS[name]
    kinds = {field.name: type(getattr(preset, field.name)) for field in dataclasses.fields(RiemannPreset)}
    for field, value in changes.items():
        check_choice("switch of Riemannian noise", field, kinds)
        if field in _SWITCHES:
            check_choice(field, str(value), _SWITCHES[field])
        elif kinds[field] is bool and not isinstance(value, bool):
            raise InputError(f"{field} must be True or False, not {value!r}")
        elif kinds[field] is float:
            check_finite(field, value)
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
