"""Which options of a run cannot be used, or contradict one another; each refusal names the remedy."""

import dataclasses
import math
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from riemann_noise_pytorch.errors import InputError, unknown_name
from riemann_noise_pytorch.training.presets import (
    IDENTITY,
    PRESETS,
    ROW_PRESET,
    WITHOUT_PATH_LENGTH,
    preset_of,
)

if TYPE_CHECKING:
    from riemann_noise_pytorch.training.config import TrainConfig

NOISE_OPTIONS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("riemann_preset",): ("riemannian",),
    ("noise_strength", "noise_place", "noise_lr_multiplier"): ("euclidean", "riemannian"),
}
"""Options that only some kinds of noise have."""

ARCHITECTURE_OPTIONS = {
    "dcgan": ("width", "norm", "d_norm", "noise_place", "ema_norm_statistics"),
    "stylegan2": (
        *("w_dim", "mapping_layers", "channel_base", "channel_max", "stddev_group", "pl_weight"),
        *("style_mixing", "half_resolutions", "image_width", "noise_layers", "conditional"),
    ),
}
"""Options that only one architecture has."""

_POSITIVE = (
    *(
        "resolution",
        "image_width",
        "channels",
        "z_dim",
        "width",
        "batch",
        "kimg",
        "lr_g",
        "lr_d",
        "noise_lr_multiplier",
    ),
    *(
        "regularizer_interval",
        "ema_rampup",
        "ema_recalibration_images",
        "tick_kimg",
        "snapshot_ticks",
        "sample_grid",
    ),
    *("w_dim", "mapping_layers", "channel_base", "channel_max", "stddev_group"),
    *("pl_interval", "pl_batch_shrink", "pl_decay", "half_resolutions"),
    *("instance_noise_kimg", "instance_noise_target"),
)
_NOT_NEGATIVE = (
    *("noise_strength", "gamma", "pl_weight", "style_mixing", "ema_kimg", "seed", "workers"),
    *("keep_snapshots", "classes", "instance_noise", "holdout"),
)
_ABSURD = 1e12
_ABSURD_GAMMA = 1e6
MOST_INSTANCE_NOISE = 10.0
"""Ten times what images in [-1, 1] can deviate."""
_LONGEST_PUBLISHED_INTERVAL = 16
_SHARES = ("pl_decay", "style_mixing")


def check_options(config: "TrainConfig", processes: int = 1) -> None:
    """Refuse unknown names, numbers out of range and options that contradict one another.

    Raises:
        InputError: The first of these that is found.
    """
    _check_names(config)
    _check_numbers(config)
    _check_preset(config)
    _check_architecture(config)
    _check_classes(config)
    _check_noise(config)
    _check_regularizer(config)
    _check_instance_noise(config)
    _check_unused(config)
    _check_names_of_other_rooms(config)
    _check_schedule(config)
    _check_intervals(config)
    _check_batch(config, processes)


def remarks(config: "TrainConfig") -> list[str]:
    """Say what is allowed, and the user should know of: a line each."""
    if config.loss == "wasserstein" and config.gamma == 0 and config.gamma_rule == "given":
        lazy = " and regularizer_interval 1" if config.regularizer_interval > 1 else ""
        return [
            "loss wasserstein without a penalty estimates no distance, for nothing bounds the slope of the "
            f"discriminator; regularizer wgan-gp with gamma 10{lazy} would"
        ]
    return []


def defaults(config: "TrainConfig") -> dict[str, Any]:
    """The default of every option, whatever the preset."""
    return {field.name: field.default for field in dataclasses.fields(config)}


def _own(config: "TrainConfig") -> dict[str, Any]:
    """The default of every option in the preset."""
    return defaults(config) | PRESETS[config.preset]


def _check_names(config: "TrainConfig") -> None:
    for name, hint in get_type_hints(type(config)).items():
        value = getattr(config, name)
        if get_origin(hint) is Literal and value not in get_args(hint):
            raise unknown_name(name.replace("_", " "), str(value), get_args(hint))
        accepted = tuple(t for t in (get_args(hint) or (hint,)) if isinstance(t, type))
        if float in accepted:
            accepted = (*accepted, int)
        if accepted and (
            not isinstance(value, accepted) or (isinstance(value, bool) and bool not in accepted)
        ):
            raise InputError(f"{name} is {value!r}, but it must be of type {accepted[0].__name__}; change it")
    if config.preset not in PRESETS:
        raise unknown_name("preset", config.preset, PRESETS)


def _check_numbers(config: "TrainConfig") -> None:
    for name in (*_POSITIVE, *_NOT_NEGATIVE):
        value = getattr(config, name)
        lowest = "positive" if name in _POSITIVE else "zero or more"
        if value is not None and not (
            math.isfinite(value) and (value > 0 or (name in _NOT_NEGATIVE and value == 0))
        ):
            raise InputError(f"{name} is {value}, but it must be a finite number, {lowest}; change it")
        if value is not None and name != "seed" and value > _ABSURD:
            raise InputError(f"{name} is {value}, which no run can have; change it")
    for name in ("beta1", "beta2"):
        value = getattr(config, name)
        if not 0 <= value < 1:
            raise InputError(f"{name} is {value}, but a decay lies in [0, 1); change it")
    for name in _SHARES:
        if getattr(config, name) > 1:
            raise InputError(f"{name} is {getattr(config, name)}, but a share is at most 1; change it")


def _check_preset(config: "TrainConfig") -> None:
    row = {"architecture": "dcgan", **PRESETS[config.preset]}
    for name in IDENTITY:
        given, own = getattr(config, name), row.get(name, getattr(config, name))
        if given != own:
            right = preset_of(config.noise, config.architecture, config.pl_weight)
            raise InputError(
                f"{name} {given} contradicts preset {config.preset}, which has {name} {own}; leave "
                f"{name} out, or set preset to {right}"
            )
    if config.preset.removesuffix("-small") == WITHOUT_PATH_LENGTH and config.pl_weight > 0:
        raise InputError(
            f"pl_weight {config.pl_weight:g} contradicts preset {config.preset}, which has none; leave "
            "pl_weight out, or set preset to stylegan2-rni"
        )


def _check_architecture(config: "TrainConfig") -> None:
    for architecture, names in ARCHITECTURE_OPTIONS.items():
        for name in names:
            default = defaults(config)[name]
            if architecture != config.architecture and getattr(config, name) != default:
                raise InputError(
                    f"{name} has no meaning with architecture {config.architecture}; leave it out, or take a "
                    f"preset of {architecture}"
                )


def _check_regularizer(config: "TrainConfig") -> None:
    if config.gamma > _ABSURD_GAMMA:
        raise InputError(f"gamma is {config.gamma:g}, which drowns every loss; give 10 or so")
    if config.gamma_rule != "given" and config.regularizer != "r1":
        raise InputError(
            f"gamma_rule {config.gamma_rule} is made for regularizer r1; set gamma_rule to given, and gamma "
            f"to a weight for {config.regularizer}"
        )
    row_gamma = PRESETS[config.preset].get("gamma", 0.0)
    if config.gamma_rule != "given" and config.gamma not in (0, row_gamma):
        raise InputError(
            f"gamma {config.gamma:g} contradicts gamma_rule {config.gamma_rule}; leave gamma out, or set "
            "gamma_rule to given"
        )
    from riemann_noise_pytorch.training.losses import make_loss  # these import torch, which help must not
    from riemann_noise_pytorch.training.regularizers import penalty_of

    make_loss(config.loss, config.generator_loss)
    if config.gamma > 0:
        penalty_of(config)


def _check_instance_noise(config: "TrainConfig") -> None:
    if config.instance_noise > MOST_INSTANCE_NOISE:
        raise InputError(
            f"instance_noise is {config.instance_noise:g}, which drowns images in [-1, 1]; give 0.1 or so"
        )
    if config.instance_noise_kimg is not None and config.instance_noise_kimg > config.kimg:
        raise InputError(
            f"instance_noise_kimg {config.instance_noise_kimg:g} is beyond the end of the run, kimg "
            f"{config.kimg:g}; leave it out, or give a longer run"
        )
    if not 0.5 < config.instance_noise_target < 1:
        raise InputError(
            f"instance_noise_target is {config.instance_noise_target:g}, but the share of images about which "
            "a discriminator is right lies between 0.5 (guessing) and 1 (always); give 0.8 or so"
        )
    if config.instance_noise_schedule == "adaptive" and config.loss == "wasserstein":
        raise InputError(
            "instance_noise_schedule adaptive needs to know how often the discriminator is right, and loss "
            "wasserstein has no boundary between real and generated; take another schedule or loss"
        )


def _check_unused(config: "TrainConfig") -> None:
    unused: dict[str, str] = {}
    if config.instance_noise == 0:
        of_instance_noise = ("instance_noise_schedule", "instance_noise_kimg", "instance_noise_target")
        unused |= dict.fromkeys(of_instance_noise, "instance_noise 0; set that above 0")
    elif config.instance_noise_schedule == "adaptive":
        unused["instance_noise_kimg"] = "instance_noise_schedule adaptive; take another"
    else:
        told = f"instance_noise_schedule {config.instance_noise_schedule}; take adaptive"
        unused["instance_noise_target"] = told
    dcgan = config.architecture == "dcgan"
    if config.gamma == 0 and config.gamma_rule == "given":
        of_penalties = ("regularizer", "anneal", "regularizer_interval")
        corrects_d = ("adam_lazy_correction",) if dcgan else ()
        unused |= dict.fromkeys((*of_penalties, *corrects_d), "gamma 0; set that above 0")
    elif dcgan and config.regularizer_interval == 1:
        unused["adam_lazy_correction"] = "regularizer_interval 1; set that above 1"
    corrects_g = config.architecture == "stylegan2" and config.adam_lazy_correction
    if config.pl_weight == 0:
        of_paths = ("pl_batch_shrink", "pl_decay", *(() if corrects_g else ("pl_interval",)))
        unused |= dict.fromkeys(of_paths, "pl_weight 0; set that above 0")
    if config.precision == "no":
        unused["half_resolutions"] = "precision no; set that to bf16 or fp16"
    if config.ema_norm_statistics == "copy":
        unused["ema_recalibration_images"] = "ema_norm_statistics copy; set that to recalibrate"
    for name, told in unused.items():
        if getattr(config, name) != _own(config)[name]:
            raise InputError(f"{name} has no meaning with {told}, or leave {name} out")


def _check_classes(config: "TrainConfig") -> None:
    if config.classes and not config.conditional:
        raise InputError("classes has no meaning without conditional; leave it out, or set conditional")


def _check_noise(config: "TrainConfig") -> None:
    chosen = {config.noise, *_kinds_of_layers(config)}
    for names, kinds in NOISE_OPTIONS.items():
        for name in names:
            if not chosen.intersection(kinds) and getattr(config, name) != defaults(config)[name]:
                raise InputError(
                    f"{name} has no meaning with noise {config.noise}; leave it out, or set noise to "
                    f"{' or '.join(kinds)}"
                )


def _kinds_of_layers(config: "TrainConfig") -> set[str]:
    """Kinds of noise that single layers have; a preset of Riemannian noise is of that kind."""
    if not config.noise_layers.strip():
        return set()
    from riemann_noise_pytorch.models.noise_choice import parse_noise_layers  # these import torch
    from riemann_noise_pytorch.noise.presets import RIEMANN_PRESETS

    kinds = set(parse_noise_layers(config.noise_layers).values())
    return kinds | ({"riemannian"} if kinds & RIEMANN_PRESETS.keys() else set())


def _check_names_of_other_rooms(config: "TrainConfig") -> None:
    from riemann_noise_pytorch.data.resizing import RESIZE_FILTERS  # these import torch, which help must not
    from riemann_noise_pytorch.noise.presets import RIEMANN_PRESETS

    if config.resize_filter not in RESIZE_FILTERS:
        raise unknown_name("resize filter", config.resize_filter, RESIZE_FILTERS)
    if "riemannian" not in {config.noise, *_kinds_of_layers(config)}:
        return
    preset = config.riemann_preset or ROW_PRESET
    if preset not in RIEMANN_PRESETS:
        raise unknown_name("preset of Riemannian noise", preset, RIEMANN_PRESETS)
    if config.noise_strength is not None and RIEMANN_PRESETS[preset].strength == "tied":
        raise InputError(
            f"preset '{preset}' ties the noise to the features; leave noise_strength out, or set "
            "riemann_preset to one with a strength of its own, such as neutral"
        )


def _check_schedule(config: "TrainConfig") -> None:
    if config.tick_kimg > config.kimg:
        raise InputError(
            f"tick_kimg {config.tick_kimg:g} is longer than the whole run of kimg {config.kimg:g}; "
            "give a shorter tick, or a longer run"
        )
    if config.batch > 1000 * config.kimg:
        raise InputError(f"kimg {config.kimg:g} is less than one batch of {config.batch}; give a longer run")
    if config.ema_norm_statistics == "recalibrate" and config.norm != "batch":
        raise InputError(
            f"ema_norm_statistics=recalibrate has no meaning with norm {config.norm}; set it to copy"
        )


def _check_intervals(config: "TrainConfig") -> None:
    """Refuse an interval that is longer than the run; published ones are taken in the shortest trial."""
    for name, weight in {"regularizer_interval": config.gamma, "pl_interval": config.pl_weight}.items():
        interval = getattr(config, name)
        if weight > 0 and interval > max(config.steps, _LONGEST_PUBLISHED_INTERVAL):
            raise InputError(
                f"{name} is {interval}, more than the {config.steps} steps of the run; give a smaller one, "
                "or a longer run"
            )


def _check_batch(config: "TrainConfig", processes: int) -> None:
    if config.precision == "fp16" and config.device == "cpu":
        raise InputError("precision fp16 needs a GPU; give precision bf16, or device cuda")
    if config.batch % processes:
        raise InputError(
            f"a batch of {config.batch} cannot be shared by {processes} processes; give a multiple of them"
        )
    share = config.batch // processes
    if processes > 1 and config.architecture == "stylegan2" and share % config.stddev_group:
        raise InputError(
            f"a share of {share} images cannot be split into groups of {config.stddev_group}, so processes "
            "would compare other images than one would; give a batch of a multiple of "
            f"{processes * config.stddev_group}, or another stddev_group"
        )
    if processes == 1 and config.architecture == "stylegan2" and config.stddev_group > 1 < config.batch:
        most = min(config.stddev_group, config.batch)
        if all(config.batch % group for group in range(2, most + 1)):
            raise InputError(
                f"a batch of {config.batch} cannot be split into groups of 2 to {most} images, whose spread "
                f"the discriminator compares; give a multiple of {config.stddev_group}, or stddev_group 1"
            )
    if config.pl_weight and processes > 1 and share % config.pl_batch_shrink:
        raise InputError(
            f"a share of {share} images cannot be shrunk {config.pl_batch_shrink} times without rest, so "
            "processes would see other paths than one would; give a batch of a multiple of "
            f"{processes * config.pl_batch_shrink}, or another pl_batch_shrink"
        )
    if config.pl_weight and share < config.pl_batch_shrink:
        raise InputError(
            f"a share of {share} images cannot be shrunk {config.pl_batch_shrink} times for the path length; "
            "give a larger batch, or a smaller pl_batch_shrink"
        )
