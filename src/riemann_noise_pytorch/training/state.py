"""Everything that changes as a run goes on, and its form as named tensors."""

import dataclasses
from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.data.imageset import ImageSet
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.models.interfaces import Discriminator, Generator
from riemann_noise_pytorch.models.networks import (
    NetworkConfig,
    build_discriminator,
    build_generator,
    initialise,
)
from riemann_noise_pytorch.models.precision import use_half
from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.training.adam import adam, generator_groups, lazy_correction
from riemann_noise_pytorch.training.config import TrainConfig
from riemann_noise_pytorch.training.ema import MovingAverage
from riemann_noise_pytorch.training.presets import ROW_PRESET, preset_of
from riemann_noise_pytorch.training.regularizers import penalty_of

HALF_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
MEASURES = (
    *("loss_g", "loss_d", "penalty", "grad_norm_g", "grad_norm_d", "grad_norm_penalty"),
    *("d_real_accuracy", "d_fake_accuracy"),
)
"""What is measured in a step and averaged over a tick; the penalty only at the steps that have it."""
PATH_MEASURES = ("pl", "pl_length", "grad_norm_pl")
"""The same of the path-length penalty."""
NOISE_MEASURES = ("instance_noise",)
"""The deviation of the instance noise, in a run that has it."""
R1_CONFIG_E = 100.0
R1_BY_RESOLUTION = 0.0002
"""Times pixels, over batch: Karras et al. (2020), arXiv:2006.06676, in the code of its authors."""


def config_for_images(config: TrainConfig, images: ImageSet) -> TrainConfig:
    """Fill in what the images and the presets decide, and refuse images that do not fit.

    The preset becomes the one that bears the noise in question, so that equal runs have equal records.

    Args:
        config: Options, possibly with ``resolution``, ``channels`` and ``riemann_preset`` left open.
        images: The real images.

    Raises:
        InputError: The images are not square, not of the size that the options ask for, or without the
            classes that they ask for.
    """
    channels, height, width = images.image_shape
    if height != width and config.architecture == "dcgan":
        raise InputError(
            f"the images are {height}x{width}, but dcgan needs square ones; give a resolution, or take a "
            "preset of stylegan2"
        )
    for name, wanted, found in (
        ("resolution", config.resolution, height),
        ("image_width", config.image_width, width),
        ("channels", config.channels, channels),
    ):
        if wanted not in (None, found):
            raise InputError(
                f"{name} is {wanted}, but the images have {found}; open them with the same {name}"
            )
    classes = _classes(config, images)
    kind = config.riemann_preset
    if kind is None and config.noise == "riemannian":
        kind = ROW_PRESET
    gamma = {
        "given": config.gamma,
        "config-e": R1_CONFIG_E,
        "resolution": R1_BY_RESOLUTION * height * width / config.batch,
    }
    return dataclasses.replace(
        config,
        preset=preset_of(config.noise, config.architecture, config.pl_weight),
        gamma=gamma[config.gamma_rule],
        gamma_rule="given",
        resolution=height,
        image_width=None if width == height else width,
        channels=channels,
        classes=classes,
        riemann_preset=kind,
    )


def _classes(config: TrainConfig, images: ImageSet) -> int:
    if not config.conditional:
        return 0
    found = images.num_classes
    if not found:
        raise InputError(
            f"the images of {images.name} have no classes, which conditional needs; put a dataset.json with "
            "labels beside them, or turn conditional off"
        )
    if config.classes not in (0, found):
        raise InputError(f"classes is {config.classes}, but the images have {found}; leave classes out")
    return found


def network_config(config: TrainConfig) -> NetworkConfig:
    """Give what the networks need to know of the options of a run.

    Raises:
        InputError: The options do not say the resolution or the channels yet.
    """
    if config.resolution is None or config.channels is None:
        raise InputError("the options do not say the size of the images; give resolution and channels")
    width = config.image_width or config.resolution
    names = (
        *("architecture", "channels", "z_dim", "width", "norm", "d_norm", "noise", "noise_strength"),
        *(
            "noise_place",
            "noise_layers",
            "w_dim",
            "mapping_layers",
            "channel_base",
            "channel_max",
            "stddev_group",
            "classes",
        ),
    )
    return NetworkConfig(
        resolution=(config.resolution, width) if width != config.resolution else config.resolution,
        riemann_preset=config.riemann_preset or ROW_PRESET,
        **{name: getattr(config, name) for name in names},
    )


@final
class TrainState:
    """The networks, the average, the optimisers, the step, and the sums of the current tick.

    Args:
        config: Complete options, see :func:`config_for_images`.
        device: Where everything lives.

    Attributes:
        step: Steps done.
        pl_average: Moving average of path lengths.
        adapted_sigma: Deviation of the instance noise, where that follows the discriminator.
        sums: By name of a measure, its sum over the current tick and the number of its values.
    """

    def __init__(self, config: TrainConfig, device: torch.device | str = "cpu") -> None:
        shape = network_config(config)
        with torch.random.fork_rng(devices=[]):
            self.generator: Generator = build_generator(shape)
            self.discriminator: Discriminator = build_discriminator(shape)
        initialise(self.generator, derive(config.seed, "generator"))
        initialise(self.discriminator, derive(config.seed, "discriminator"))
        self.generator.to(device)
        self.discriminator.to(device)
        self.ema = MovingAverage(
            self.generator,
            config.ema_kimg,
            config.ema_rampup,
            config.ema_norm_statistics,
            config.ema_recalibration_images,
            config.seed,
        )
        betas = (config.beta1, config.beta2)
        lr_d, betas_d = config.lr_d, betas
        if config.adam_lazy_correction and penalty_of(config).is_lazy:
            lr_d, betas_d = lazy_correction(lr_d, betas, config.regularizer_interval)
        lr_g, betas_g = config.lr_g, betas
        if config.adam_lazy_correction and config.architecture == "stylegan2":
            lr_g, betas_g = lazy_correction(lr_g, betas, config.pl_interval)
        groups = generator_groups(self.generator, lr_g, config.noise_lr_multiplier)
        self.optimizer_g = adam(groups, lr_g, betas_g)
        self.optimizer_d = adam(self.discriminator.parameters(), lr_d, betas_d)
        self.scaler = torch.amp.GradScaler(torch.device(device).type, enabled=config.precision == "fp16")
        self.step = 0
        self.pl_average = torch.zeros((), device=device)
        self._has_paths = config.pl_weight > 0
        self.adapted_sigma = config.instance_noise
        self._adapts = config.instance_noise > 0 and config.instance_noise_schedule == "adaptive"
        measures = MEASURES + (PATH_MEASURES if self._has_paths else ())
        measures += NOISE_MEASURES if config.instance_noise > 0 else ()
        self.sums = dict.fromkeys(measures, (0.0, 0))
        if config.precision != "no" and config.architecture == "stylegan2":
            for network in (self.generator, self.discriminator):
                use_half(network, HALF_TYPES[config.precision], config.half_resolutions)

    def tensors(self) -> dict[str, Tensor]:
        """Give the state as named tensors on the CPU, contiguous and with memory of their own.

        The step is not among them, nor are the random states.
        """
        named = {
            **_prefixed("generator", self.generator.state_dict()),
            **_prefixed("discriminator", self.discriminator.state_dict()),
            **_prefixed("ema", self.ema.refresh().state_dict()),
            **_prefixed("adam_g", _optimizer_tensors(self.optimizer_g, self.generator)),
            **_prefixed("adam_d", _optimizer_tensors(self.optimizer_d, self.discriminator)),
            "tick/sums": torch.tensor([*self.sums.values()], dtype=torch.float64),
        }
        if self._has_paths:
            named["path_length/average"] = self.pl_average
        if self._adapts:
            named["instance_noise/sigma"] = torch.tensor(self.adapted_sigma, dtype=torch.float64)
        if self.scaler.is_enabled():
            scaler = self.scaler.state_dict()
            named["scaler"] = torch.tensor([scaler["scale"], scaler["_growth_tracker"]], dtype=torch.float64)
        copies = {name: tensor.detach().to("cpu", copy=True) for name, tensor in named.items()}
        return {name: tensor.contiguous() for name, tensor in copies.items()}

    def _check_complete(self, tensors: Mapping[str, Tensor], step: int, source: str) -> None:
        """Refuse a snapshot that lacks what is no weight; moments are there from the first step on."""
        wanted = ["tick/sums", *(["path_length/average"] if self._has_paths else [])]
        wanted += ["instance_noise/sigma"] if self._adapts else []
        missing = [name for name in wanted if name not in tensors]
        if not missing and tensors["tick/sums"].shape != (len(self.sums), 2):
            missing = ["tick/sums of this shape"]
        for part in ("adam_g", "adam_d") if step else ():
            missing += [] if _part(tensors, part) else [part]
        if missing:
            raise InputError(
                f"{source} is no state to go on from, for it lacks {missing[0]}; take another snapshot"
            )

    def load(self, tensors: Mapping[str, Tensor], step: int, source: str) -> None:
        """Take over a state.

        Args:
            tensors: As :meth:`tensors` gave them.
            step: Steps done.
            source: Where they come from, for messages.

        Raises:
            InputError: They are of another architecture, or some are missing.
        """
        self._check_complete(tensors, step, source)
        load_weights(self.generator, tensors, "generator", source)
        load_weights(self.discriminator, tensors, "discriminator", source)
        load_weights(self.ema.module, tensors, "ema", source)
        _load_optimizer(self.optimizer_g, self.generator, _part(tensors, "adam_g"))
        _load_optimizer(self.optimizer_d, self.discriminator, _part(tensors, "adam_d"))
        if self.scaler.is_enabled() and "scaler" in tensors:
            scale, growth = tensors["scaler"].tolist()
            self.scaler.load_state_dict(
                {**self.scaler.state_dict(), "scale": scale, "_growth_tracker": int(growth)}
            )
        if self._has_paths:
            self.pl_average.copy_(tensors["path_length/average"])
        if self._adapts:
            self.adapted_sigma = float(tensors["instance_noise/sigma"])
        sums = tensors["tick/sums"].tolist()
        self.sums = {name: (total, int(count)) for name, (total, count) in zip(self.sums, sums, strict=True)}
        self.step = step


def load_weights(module: nn.Module, tensors: Mapping[str, Tensor], part: str, source: str) -> None:
    """Copy one part of a snapshot's tensors into a network, all or nothing.

    Args:
        module: The network.
        tensors: All tensors of the snapshot.
        part: ``generator``, ``discriminator`` or ``ema``.
        source: The snapshot's name, for messages.

    Raises:
        InputError: Names or shapes differ; the message tells which.
    """
    found, expected = _part(tensors, part), module.state_dict()
    differences = [f"{name} is missing" for name in expected if name not in found]
    differences += [f"{name} is not wanted" for name in found if name not in expected]
    differences += [
        f"{name} is {tuple(found[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in expected
        if name in found and found[name].shape != expected[name].shape
    ]
    if differences:
        more = f" and {len(differences) - 4} more" if len(differences) > 4 else ""
        raise InputError(
            f"{source} holds another architecture ({part}: {', '.join(differences[:4])}{more}); "
            "build the network with the snapshot's own options"
        )
    module.load_state_dict(found)


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    start = f"{prefix}/"
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def _optimizer_tensors(optimizer: torch.optim.Optimizer, module: nn.Module) -> dict[str, Tensor]:
    return {
        f"{name}/{key}": value
        for name, parameter in module.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def _load_optimizer(
    optimizer: torch.optim.Optimizer, module: nn.Module, tensors: Mapping[str, Tensor]
) -> None:
    optimizer.state.clear()
    for name, parameter in module.named_parameters():
        for key, value in _part(tensors, name).items():
            like = parameter if value.shape == parameter.shape else value
            own = torch.empty_like(like, dtype=value.dtype, device=parameter.device)
            optimizer.state[parameter][key] = own.copy_(value)
