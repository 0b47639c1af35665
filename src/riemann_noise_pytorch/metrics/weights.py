"""Files of published weights: which there are, how a user gives them, how they are read without harm.

Nothing is ever downloaded, and no pickle is executed: files are read as tensors alone. A file is the
published one only if its SHA-256 says so; any other file with the right tensors may serve, under a name that
says so.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from safetensors.torch import load_file
from torch import Tensor

from riemann_noise_pytorch.errors import InputError

SHORT_HASH = 8
"""Digits of a hash that stand in a printed name."""


@final
@dataclass(frozen=True)
class PublishedFile:
    """A file of weights that others have published.

    Args:
        what: The network, as it is printed.
        file: The file's name.
        origin: Who publishes it.
        sha256: Its hash.
        option: The option of the command line that takes its path.
        variable: The environment variable that may hold its path.
    """

    what: str
    file: str
    origin: str
    sha256: str
    option: str
    variable: str

    def locate(self, given: Path | str | None) -> Path:
        """Find the file: the path given, or the one in the environment variable.

        Raises:
            InputError: There is neither; the message says what to download and where to put it.
        """
        path = self.given(given)
        if path is None:
            raise InputError(
                f"{self.what} needs weights: download {self.file} ({self.origin}; sha256 {self.sha256}) and "
                f"set {self.variable} to its path (or, in riemann-noise evaluate, give {self.option}); "
                "nothing is downloaded for you"
            )
        return path

    def given(self, given: Path | str | None) -> Path | None:
        """Give the path that was given, or that in the environment variable; None if there is neither."""
        path = given or os.environ.get(self.variable)
        return Path(path) if path else None

    def read(self, path: Path, sha256: str | None = None) -> "Weights":
        """Read a file that should hold these weights, and tell whether it is the published one.

        Args:
            path: The file.
            sha256: The hash it must have; by default that of the published file if the file's name
                ends with its first digits, as in ``vgg16-397923af.pth``, and any otherwise.

        Raises:
            InputError: The file is missing or unreadable, or its hash is not what it must be.
        """
        if not path.is_file():
            raise InputError(
                f"no weights at {path}; download {self.file} ({self.origin}; sha256 {self.sha256}) "
                "and give its path (nothing is downloaded for you)"
            )
        found = file_sha256(path)
        demanded = self.sha256 if sha256 is None and self._is_claimed_by(path) else sha256
        _check_hash(path, found, demanded)
        return Weights(_tensors(path), path, found, found == self.sha256)

    def _is_claimed_by(self, path: Path) -> bool:
        return path.name.endswith(f"-{self.sha256[:SHORT_HASH]}.pth")


@final
@dataclass(frozen=True, eq=False)
class Weights:
    """What was read from a file.

    Args:
        state: Tensors by name, on the CPU.
        path: The file.
        sha256: Its hash.
        official: Whether it is the published file.
    """

    state: dict[str, Tensor]
    path: Path
    sha256: str
    official: bool

    def name(self, what: str) -> str:
        """Name a network with these weights: ``what`` alone only if they are the published ones."""
        return what if self.official else f"{what} with weights {self.sha256[:SHORT_HASH]}"


INCEPTION = PublishedFile(
    what="Inception",
    file="weights-inception-2015-12-05-6726825d.pth",
    origin="releases of torch-fidelity",
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    option="--inception-weights",
    variable="RIEMANN_NOISE_INCEPTION",
)
VGG16 = PublishedFile(
    what="VGG16",
    file="vgg16-397923af.pth",
    origin="torchvision",
    sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    option="--vgg16-weights",
    variable="RIEMANN_NOISE_VGG16",
)
LPIPS_HEADS = PublishedFile(
    what="LPIPS",
    file="vgg.pth",
    origin="lpips 0.1, folder weights/v0.1",
    sha256="a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
    option="--lpips-heads",
    variable="RIEMANN_NOISE_LPIPS",
)
DINOV2_ORIGIN = "facebookresearch/dinov2"
DINOV2_S = PublishedFile(
    what="DINOv2 ViT-S/14",
    file="dinov2_vits14_pretrain.pth",
    origin=DINOV2_ORIGIN,
    sha256="b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9",
    option="--dinov2-weights",
    variable="RIEMANN_NOISE_DINOV2",
)
DINOV2_L = PublishedFile(
    what="DINOv2 ViT-L/14",
    file="dinov2_vitl14_pretrain.pth",
    origin=DINOV2_ORIGIN,
    sha256="d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
    option="--dinov2-weights",
    variable="RIEMANN_NOISE_DINOV2",
)


def read_weights(path: Path, sha256: str | None = None) -> dict[str, Tensor]:
    """Read a state dict without executing anything in the file.

    Args:
        path: A safetensors file, or one written by ``torch.save``.
        sha256: The hash the file must have; not checked if None.

    Returns:
        Tensors by name, on the CPU.

    Raises:
        InputError: The file is missing, damaged, another one, or holds anything but tensors.
    """
    if not path.is_file():
        raise InputError(
            f"no weights at {path}; download the file and give its path (nothing is downloaded for you)"
        )
    if sha256 is not None:
        _check_hash(path, file_sha256(path), sha256)
    return _tensors(path)


def file_sha256(path: Path) -> str:
    """Hash a file's content, as 64 hexadecimal digits.

    Raises:
        InputError: The file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}; give another path") from error


def check_weights(
    state: Mapping[str, Tensor], wanted: Mapping[str, torch.Size], path: Path, what: str
) -> None:
    """Refuse a state dict that lacks a tensor, or has one of another shape or with NaN or infinity.

    Args:
        state: Tensors by name; more than are wanted may be there.
        wanted: Shapes by name.
        path: The file, for the message.
        what: What it should be, for the message.

    Raises:
        InputError: A tensor is missing or wrong; the message names the first.
    """
    for name, shape in wanted.items():
        if name not in state or state[name].shape != shape:
            found = f"shape {tuple(state[name].shape)}" if name in state else "nothing"
            raise InputError(
                f"{path} is no file of {what}: '{name}' should have shape {tuple(shape)}, "
                f"but there is {found}; give the right file"
            )
        if not state[name].isfinite().all():
            raise InputError(f"{path} has NaN or infinity in '{name}'; download it again")


def _check_hash(path: Path, found: str, demanded: str | None) -> None:
    if demanded is not None and found != demanded.lower():
        raise InputError(
            f"{path} has the hash {found}, not {demanded.lower()}; download it again, "
            "or rename it if it is meant to be another file"
        )


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state: object = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a foreign file fails in many ways that mean the same
        raise InputError(
            f"cannot read weights from {path} ({type(error).__name__}); download it again"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path} holds no state dict of tensors; give the file of the weights alone")
    return state
