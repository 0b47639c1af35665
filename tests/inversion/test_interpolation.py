"""Ways between two inverted images: their ends, their lengths, and the variance of noise."""

import pytest
import torch

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.inversion.interpolation import latents_between, noise_between


def pair(*shape):
    rng = torch.Generator().manual_seed(0)
    return (torch.randn(*shape, generator=rng, dtype=torch.float64) for _ in range(2))


@pytest.mark.parametrize(("space", "shape"), [("z", (9,)), ("w", (9,)), ("w+", (4, 9))])
def test_a_way_begins_at_the_one_and_ends_at_the_other(space, shape):
    a, b = pair(*shape)
    way = latents_between(a, b, space, 5)
    assert way.shape == (5, *shape)
    assert torch.allclose(way[[0, -1]], torch.stack([a, b]), atol=1e-12)
    if space != "z":
        assert torch.allclose(way[2], (a + b) / 2)


def test_a_way_in_z_turns_at_one_speed_and_keeps_the_norm():
    a, b = pair(9)
    a, b = a / a.norm() * 3, b / b.norm() * 3
    way = latents_between(a, b, "z", 7)
    assert torch.allclose(way.norm(dim=1), torch.full((7,), 3.0, dtype=torch.float64))
    steps = (way[1:] * way[:-1]).sum(dim=1)
    assert torch.allclose(steps, steps[:1].expand_as(steps))


def test_a_way_to_itself_or_from_zero_is_a_line():
    a, _ = pair(9)
    assert torch.allclose(latents_between(a, a, "z", 3), a.expand(3, 9))
    assert torch.allclose(latents_between(a, 2 * a, "z", 3)[1], 1.5 * a)
    assert latents_between(torch.zeros_like(a), a, "z", 3).isfinite().all()


def test_noise_between_independent_maps_keeps_their_variance():
    a, b = pair(1, 128, 128)
    way = noise_between(a, b, 5)
    assert torch.allclose(way[[0, -1]], torch.stack([a, b]))
    assert torch.allclose(way.var(dim=(1, 2, 3)), torch.ones(5).double(), atol=0.05)


def test_ways_without_ends_are_refused():
    a, _ = pair(9)
    with pytest.raises(InputError, match="no two ends"):
        latents_between(a, a, "w", 1)
    with pytest.raises(InputError, match="there is no way from shape"):
        noise_between(a, a[1:], 3)
