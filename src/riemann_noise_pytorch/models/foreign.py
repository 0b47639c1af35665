"""Networks of other code bases from their tensors, by the names they have there.

What is read here are tensors by name, not files. Widths and depths come from the shapes; what is missing,
left over or misshapen is refused by name, and stored filters are compared with those of the network, which
computes them. All tensors are copied, with their type and device.

References:
    github.com/rosinality/stylegan2-pytorch (MIT); github.com/lucidrains/stylegan2-pytorch (MIT).
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.models.interfaces import Discriminator
from riemann_noise_pytorch.models.lucidrains import LucidrainsGenerator
from riemann_noise_pytorch.models.lucidrains_discriminator import LucidrainsDiscriminator
from riemann_noise_pytorch.models.renaming import ForeignTensors, Place, Places, averaged
from riemann_noise_pytorch.models.resampling import TAPS
from riemann_noise_pytorch.models.sizes import FIRST_SIDES, block_channels
from riemann_noise_pytorch.models.stylegan2 import StyleGAN2Generator
from riemann_noise_pytorch.models.stylegan2_discriminator import StyleGAN2Discriminator

FIRST = FIRST_SIDES[0]
ROSINALITY_SAMPLES = 4096
LUCIDRAINS_SAMPLES = 2000
"""How many w those code bases average where the average is not stored."""


def from_lucidrains(tensors: Mapping[str, Tensor]) -> tuple[LucidrainsGenerator, LucidrainsDiscriminator]:
    """Networks of lucidrains/stylegan2-pytorch, with a learned constant, without attention and quantisation.

    Args:
        tensors: ``S.*``, ``G.*`` and ``D.*`` as that code names them, and ``av``, the average w, which is
            estimated from 2000 latents where it is missing, as there.

    Returns:
        Generator and discriminator, on the tensors' device and of their type.

    Raises:
        InputError: A tensor is missing, left over, misshapen or of another type, or a filter is another.
    """
    given = ForeignTensors(tensors, "lucidrains/stylegan2-pytorch")
    layers = given.largest_index("S.net.") // 2 + 1
    blocks, halvings = given.largest_index("G.blocks.") + 1, given.largest_index("D.blocks.")
    tables = (_lucidrains_generator(layers, blocks), _lucidrains_discriminator(halvings))
    filters = [f"G.blocks.{b}.to_rgb.upsample.1.f" for b in range(blocks - 1)]
    filters += [f"D.blocks.{b}.downsample.0.f" for b in range(halvings)]
    given.check_names(tables, filters)
    for name in filters:
        given.check_constant(name, torch.tensor([1.0, 2.0, 1.0]))
    if halvings != blocks:
        sides = f"{FIRST << (blocks - 1)} pixels, the discriminator takes {2 << halvings}"
        raise InputError(f"the generator makes images of {sides}; give weights that belong together")
    networks = _lucidrains_networks(given, layers, blocks)
    _fill(given, networks, tables, average="av", samples=LUCIDRAINS_SAMPLES)
    return networks


def from_rosinality(tensors: Mapping[str, Tensor]) -> tuple[StyleGAN2Generator, StyleGAN2Discriminator]:
    """Networks of rosinality/stylegan2-pytorch: StyleGAN2 under other names.

    That code puts the 1e-8 of demodulation elsewhere, which changes images by about 1e-8 of their size.

    Args:
        tensors: ``G.*`` and ``D.*``, each as that code names them in its two networks, and ``latent_avg``,
            the average w, which is estimated from 4096 latents where it is missing, as there.

    Returns:
        Generator, its noise Euclidean, and discriminator, on the tensors' device and of their type.

    Raises:
        InputError: A tensor is missing, left over, misshapen or of another type, a filter is another, or the
            widths follow no rule of StyleGAN2.
    """
    given = ForeignTensors(tensors, "rosinality/stylegan2-pytorch")
    layers, doublings = given.largest_index("G.style."), given.largest_index("G.convs.") // 2 + 1
    tables = (_rosinality_generator(layers, doublings), _rosinality_discriminator(doublings))
    doubling = [f"G.convs.{2 * j}.conv.blur.kernel" for j in range(doublings)]
    doubling += [f"G.to_rgbs.{j}.upsample.kernel" for j in range(doublings)]
    parts = ("conv2.0", "skip.0")
    halving = [f"D.convs.{j + 1}.{part}.kernel" for j in range(doublings) for part in parts]
    given.check_names(tables, doubling + halving)
    low_pass = torch.outer(torch.tensor(TAPS), torch.tensor(TAPS))
    for name in doubling + halving:
        given.check_constant(name, low_pass * 4 if name in doubling else low_pass)
    networks = _rosinality_networks(given, layers, doublings)
    _fill(given, networks, tables, average="latent_avg", samples=ROSINALITY_SAMPLES)
    return networks


def _lucidrains_networks(
    given: ForeignTensors, layers: int, blocks: int
) -> tuple[LucidrainsGenerator, LucidrainsDiscriminator]:
    z_dim = given.length("S.net.0.weight", 1, 2)
    channels = given.length("G.blocks.0.to_rgb.conv.weight", 0, 4)
    widths = [given.length(f"G.blocks.{b}.conv1.weight", 0, 4) for b in range(blocks)]
    d_widths = [given.length(f"D.blocks.{b}.conv_res.weight", 0, 4) for b in range(blocks + 1)]
    with torch.device("meta"):
        generator = LucidrainsGenerator(widths, z_dim, layers, channels)
        return generator, LucidrainsDiscriminator(d_widths, channels)


def _rosinality_networks(
    given: ForeignTensors, layers: int, doublings: int
) -> tuple[StyleGAN2Generator, StyleGAN2Discriminator]:
    z_dim, w_dim = given.length("G.style.1.weight", 1, 2), given.length("G.style.1.weight", 0, 2)
    channels = given.length("G.to_rgb1.conv.weight", 1, 5)
    firsts = ["G.conv1", *(f"G.convs.{2 * j}" for j in range(doublings))]
    base, most = _rule_of([given.length(f"{first}.conv.weight", 1, 5) for first in firsts])
    shape = (channels, FIRST << doublings, FIRST << doublings)
    with torch.device("meta"):
        generator = StyleGAN2Generator(
            shape, z_dim, w_dim, layers, channel_base=base, channel_max=most, noise="euclidean"
        )
        return generator, StyleGAN2Discriminator(
            shape, channel_base=base, channel_max=most, grouping="interleaved"
        )


def _fill(
    given: ForeignTensors,
    networks: tuple[LucidrainsGenerator | StyleGAN2Generator, Discriminator],
    tables: tuple[Places, Places],
    average: str,
    samples: int,
) -> None:
    for network, places in zip(networks, tables, strict=True):
        given.fill(network, places)
    generator, _ = networks
    if average not in given:
        generator.mapping.w_avg.copy_(averaged(generator.mapping, generator.z_dim, samples))


def _rule_of(widths: list[int]) -> tuple[int, int]:
    """Channel base and most channels of a StyleGAN2 whose blocks, from the smallest, have these channels."""
    base, most = widths[-1] * FIRST << (len(widths) - 1), max(widths)
    if widths != [block_channels((FIRST << i,) * 2, base, most) for i in range(len(widths))]:
        raise InputError(
            f"the blocks have {', '.join(map(str, widths))} channels, but StyleGAN2 halves them from "
            "block to block below a largest number; give weights of such a network"
        )
    return base, most


def _layer(ours: str, theirs: str, before: int = 0, after: int = 0) -> Iterator[tuple[str, Place]]:
    for part in ("weight", "bias"):
        yield f"{ours}.{part}", Place(f"{theirs}.{part}", before, after)


def _lucidrains_generator(layers: int, blocks: int) -> Places:
    places = {"mapping.w_avg": Place("av", 1, optional=True), "synthesis.const": Place("G.initial_block", 1)}
    for i in range(layers):
        places.update(_layer(f"mapping.layers.{i}", f"S.net.{2 * i}"))
    places.update(_layer("synthesis.conv", "G.initial_conv"))
    for b in range(blocks):
        ours, theirs = f"synthesis.block{FIRST << b}", f"G.blocks.{b}"
        for k in (0, 1):
            places[f"{ours}.conv{k}.conv.weight"] = Place(f"{theirs}.conv{k + 1}.weight")
            places.update(_layer(f"{ours}.conv{k}.conv.affine", f"{theirs}.to_style{k + 1}"))
            places[f"{ours}.conv{k}.noise.a"] = Place(f"{theirs}.to_noise{k + 1}.weight", after=1)
            places[f"{ours}.conv{k}.bias"] = Place(f"{theirs}.to_noise{k + 1}.bias")
        places[f"{ours}.to_image.weight"] = Place(f"{theirs}.to_rgb.conv.weight")
        places.update(_layer(f"{ours}.to_image.affine", f"{theirs}.to_rgb.to_style"))
    return places


def _lucidrains_discriminator(halvings: int) -> Places:
    places = {**dict(_layer("conv", "D.final_conv")), **dict(_layer("logit", "D.to_logit"))}
    for b in range(halvings + 1):
        ours, theirs = f"block{2 << (halvings - b)}", f"D.blocks.{b}"
        pairs = {"conv0": "net.0", "conv1": "net.2", "skip": "conv_res"}
        pairs |= {"down": "downsample.1"} if b < halvings else {}
        for own, other in pairs.items():
            places.update(_layer(f"{ours}.{own}", f"{theirs}.{other}"))
    return places


def _rosinality_generator(layers: int, doublings: int) -> Places:
    places = {
        "mapping.w_avg": Place("latent_avg", optional=True),
        "synthesis.block4.const": Place("G.input.input", 1),
    }
    for i in range(layers):
        places.update(_layer(f"mapping.layers.{i}", f"G.style.{i + 1}"))
    sides = [FIRST << (j + 1) for j in range(doublings)]
    convs = ["block4.conv1", *(f"block{side}.conv{k}" for side in sides for k in (0, 1))]
    for i, conv in enumerate(convs):
        ours, theirs = f"synthesis.{conv}", "G.conv1" if i == 0 else f"G.convs.{i - 1}"
        places[f"{ours}.weight"] = Place(f"{theirs}.conv.weight", 1)
        places[f"{ours}.bias"] = Place(f"{theirs}.activate.bias")
        places.update(_layer(f"{ours}.affine", f"{theirs}.conv.modulation"))
        places[f"{ours}.noise.a"] = Place(f"{theirs}.noise.weight", 1)
        places[f"{ours}.noise_const"] = Place(f"G.noises.noise_{i}", 2)
    for i, side in enumerate([FIRST, *sides]):
        ours, theirs = f"synthesis.block{side}.to_image", "G.to_rgb1" if i == 0 else f"G.to_rgbs.{i - 1}"
        places[f"{ours}.weight"] = Place(f"{theirs}.conv.weight", 1)
        places[f"{ours}.bias"] = Place(f"{theirs}.bias", 1, 2)
        places.update(_layer(f"{ours}.affine", f"{theirs}.conv.modulation"))
    return places


def _rosinality_discriminator(doublings: int) -> Places:
    pairs = {"from_image": ("convs.0.0", "convs.0.1"), "conv": ("final_conv.0", "final_conv.1")}
    pairs |= {"dense": ("final_linear.0",) * 2, "logit": ("final_linear.1",) * 2}
    places = {}
    for j in range(doublings):
        ours, theirs = f"block{FIRST << (doublings - j)}", f"convs.{j + 1}"
        pairs[f"{ours}.conv0"] = (f"{theirs}.conv1.0", f"{theirs}.conv1.1")
        pairs[f"{ours}.conv1"] = (f"{theirs}.conv2.1", f"{theirs}.conv2.2")
        places[f"{ours}.skip.weight"] = Place(f"D.{theirs}.skip.1.weight")
    for own, (weight, bias) in pairs.items():
        places[f"{own}.weight"], places[f"{own}.bias"] = Place(f"D.{weight}.weight"), Place(f"D.{bias}.bias")
    return places
