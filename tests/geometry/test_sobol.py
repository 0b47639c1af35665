"""Sobol's shares: against SciPy's estimators, functions of known shares, and repetition."""

import numpy as np
import pytest
import torch
from scipy import stats

from riemann_noise_pytorch.geometry.sobol import SobolSums

ISHIGAMI_FIRST = (0.3139, 0.4424, 0.0)
ISHIGAMI_TOTAL = (0.5576, 0.4424, 0.2437)
"""Saltelli et al., Global sensitivity analysis: the primer (2008), for a = 7, b = 0.1."""


def ishigami(u):
    x = 2 * torch.pi * u - torch.pi
    y = x[:, 0].sin() + 7 * x[:, 1].sin() ** 2 + 0.1 * x[:, 2] ** 4 * x[:, 0].sin()
    return y.unsqueeze(1)


def bilinear(u):
    """Four values of two channels: sums and products of normal inputs, with known shares."""
    x = torch.special.ndtri(u)
    terms = [x[:, 0] + 2 * x[:, 1], 3 + x[:, 0] * x[:, 2], x[:, 1] + x[:, 0] * x[:, 1], 0.5 * x[:, 2] - 10]
    return torch.stack(terms, dim=1).view(-1, 2, 2)


def members(function, n, seed, inputs=3):
    rng = torch.Generator().manual_seed(seed)
    a, b = torch.rand(2, n, inputs, generator=rng, dtype=torch.float64).clamp(1e-12, 1 - 1e-12)
    swapped = []
    for i in range(inputs):
        moved = a.clone()
        moved[:, i] = b[:, i]
        swapped.append(function(moved))
    return function(a), function(b), swapped


def summed(first, second, swapped, middle=None, blocks=1):
    sums = SobolSums(torch.zeros_like(first[0]) if middle is None else middle, len(swapped), first.dtype)
    for a, b, *others in zip(*(each.chunk(blocks) for each in (first, second, *swapped)), strict=True):
        sums.add(a, b, iter(others))
    return sums


def scipys(first, second, swapped):
    n = len(first)
    values = {"f_A": first.reshape(n, -1).T.numpy(), "f_B": second.reshape(n, -1).T.numpy()}
    values["f_AB"] = np.stack([s.reshape(n, -1).T.numpy() for s in swapped])
    indices = stats.sobol_indices(func=values, n=n)
    variance = np.var([values["f_A"], values["f_B"]], axis=(0, -1))
    return *map(np.atleast_2d, (indices.first_order, indices.total_order)), variance


@pytest.mark.parametrize("function", [ishigami, bilinear])
def test_shares_are_scipys(function):
    """SciPy has them value by value; those of the whole are their means, weighted by the variances."""
    parts = members(function, 64, seed=0)
    first, total, variance = scipys(*parts)
    ours = summed(*parts, blocks=4).indices()
    for i, group in enumerate(ours):
        assert group.first.value == pytest.approx((first[:, i] * variance).sum() / variance.sum(), rel=1e-10)
        assert group.total.value == pytest.approx((total[:, i] * variance).sum() / variance.sum(), rel=1e-10)


def test_maps_are_scipys_at_every_position():
    parts = members(bilinear, 64, seed=1)
    one_channel = (parts[0][:, :1], parts[1][:, :1], [s[:, :1] for s in parts[2]])
    first, total, variance = scipys(*one_channel)
    sums = summed(*one_channel)
    assert np.allclose(sums.variance().flatten(), variance, rtol=1e-10)
    for i, group in enumerate(sums.indices()):
        assert np.allclose(group.first_map, first[:, i], rtol=1e-10)
        assert np.allclose(group.total_map, total[:, i], rtol=1e-10, atol=1e-14)


def test_the_middle_does_not_change_the_shares():
    parts = members(bilinear, 200, seed=2)
    plain = summed(*parts).indices()
    shifted = summed(*parts, middle=parts[0].mean(0) + 0.1, blocks=3).indices()
    for a, b in zip(plain, shifted, strict=True):
        assert a.first.value == pytest.approx(b.first.value, rel=1e-9)
        assert a.total.value == pytest.approx(b.total.value, rel=1e-9)
        assert torch.allclose(a.first_map, b.first_map, rtol=1e-9)


def test_shares_of_ishigamis_function():
    parts = members(ishigami, 20_000, seed=0)
    truth = zip(ISHIGAMI_FIRST, ISHIGAMI_TOTAL, strict=True)
    middle = parts[0][:500].mean(0)
    for group, (first, total) in zip(summed(*parts, middle=middle).indices(), truth, strict=True):
        assert abs(group.first.value - first) < 4 * group.first_error < 0.1
        assert abs(group.total.value - total) < 4 * group.total_error < 0.1


def known(u):
    """x0 + x1 + x0 x1 of normal inputs, V = 3: shares 1/3 each alone, 2/3 each in all; x2 does nothing."""
    x = torch.special.ndtri(u)
    return (x[:, 0] + x[:, 1] + x[:, 0] * x[:, 1] + 5).unsqueeze(1)


@pytest.fixture(scope="module")
def repetitions():
    middle = torch.full((1,), 5.1, dtype=torch.float64)
    return [summed(*members(known, 200, seed), middle=middle).indices(seed) for seed in range(120)]


@pytest.mark.parametrize(("share", "truth"), [("first", 1 / 3), ("total", 2 / 3)])
def test_errors_are_the_spread_of_repetitions(repetitions, share, truth):
    found = [getattr(groups[0], share).value for groups in repetitions]
    errors = [getattr(groups[0], f"{share}_error") for groups in repetitions]
    assert abs(np.mean(found) - truth) < 4 * np.std(found) / len(found) ** 0.5
    assert np.mean(errors) == pytest.approx(np.std(found), rel=0.25)


@pytest.mark.parametrize(("share", "truth"), [("first", 1 / 3), ("total", 2 / 3)])
def test_intervals_cover_the_truth(repetitions, share, truth):
    intervals = [getattr(groups[i], share) for groups in repetitions for i in range(2)]
    covered = np.mean([each.low <= truth <= each.high for each in intervals])
    assert 0.88 <= covered <= 0.99


def test_neither_errors_nor_intervals_need_the_exact_middle():
    parts = members(known, 400, seed=4)
    exact, shifted = (
        summed(*parts, middle=torch.full((1,), at, dtype=torch.float64)).indices()[0] for at in (5.0, 6.0)
    )
    assert shifted.total_error == pytest.approx(exact.total_error, rel=0.1)
    for share, error in ((shifted.first, shifted.first_error), (shifted.total, shifted.total_error)):
        assert abs((share.low + share.high) / 2 - share.value) < 0.2 * error


def test_errors_fall_with_the_square_root_of_the_samples():
    few, many = (summed(*members(known, n, seed=3)).indices() for n in (500, 8000))
    assert few[0].first_error / many[0].first_error == pytest.approx(4, rel=0.35)


def test_an_input_without_effect_is_ignored_exactly():
    third = summed(*members(known, 100, seed=0)).indices()[2]
    assert third.ignored
    assert (third.first.value, third.total.value, third.first_error, third.total_error) == (0, 0, 0, 0)
    assert third.first_map.tolist() == [0]


def test_an_output_that_does_not_vary_has_shares_of_zero():
    for group in summed(*members(lambda u: torch.full((len(u), 3, 2), 0.1), 50, seed=0)).indices():
        assert group.ignored
        assert group.first.value == group.total.value == group.total_error == 0
        assert group.first_map.tolist() == [0, 0]


def test_float32_roundings_are_no_change():
    def rounded(u):
        return (known(u) * (1 + 1e-7 * u[:, 2:].round())).float()

    groups = summed(*members(rounded, 100, seed=0)).indices()
    assert [group.ignored for group in groups] == [False, False, True]
