"""Geometry-following noise injection for GAN generators: put it in, see what it does, prove that it helped.

An injection is a point mu of the feature manifold, the local geometry sigma at that point, and a source
epsilon. The layers compute the first two, the sources choose the third:

    from riemann_noise_pytorch import RiemannNoise, frozen

    layer = RiemannNoise(32)          # in a generator's __init__; layer(features) in its forward
    with frozen(generator, seed=0):   # the same noise at every call
        images = generator(z)

References:
    Feng, Zhao and Zha, Understanding Noise Injection in GANs, ICML 2021.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from riemann_noise_pytorch.noise.control import fresh, frozen, given, off, scaled
    from riemann_noise_pytorch.noise.inject import inject, remove
    from riemann_noise_pytorch.noise.layers import EuclideanNoise, RiemannNoise
    from riemann_noise_pytorch.noise.listing import find_noise, noise_layers
    from riemann_noise_pytorch.training.checkpoints import load_generator

    __version__: str

__all__ = [
    "EuclideanNoise",
    "RiemannNoise",
    "__version__",
    "find_noise",
    "fresh",
    "frozen",
    "given",
    "inject",
    "load_generator",
    "noise_layers",
    "off",
    "remove",
    "scaled",
]

_HOMES = {
    "EuclideanNoise": "noise.layers",
    "RiemannNoise": "noise.layers",
    "find_noise": "noise.listing",
    "fresh": "noise.control",
    "frozen": "noise.control",
    "given": "noise.control",
    "inject": "noise.inject",
    "load_generator": "training.checkpoints",
    "noise_layers": "noise.listing",
    "off": "noise.control",
    "remove": "noise.inject",
    "scaled": "noise.control",
}


def __getattr__(name: str) -> object:
    """Load a public name on its first use (PEP 562), so that the command line starts without torch."""
    if name == "__version__":
        value: object = import_module("importlib.metadata").version("riemann-noise-pytorch")
    elif name in _HOMES:
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
