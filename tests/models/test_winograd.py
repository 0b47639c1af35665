"""Minimal filtering against its published matrices, and against convolutions."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812
from torch.nn.grad import conv2d_weight

from riemann_noise_pytorch.models import winograd
from tests.reference import winograd as reference

FILTERINGS = {filtering.size: filtering for filtering in winograd.FILTERINGS.values()}
TOLERANCE = {torch.float32: 4e-6, torch.bfloat16: 1e-2}
"""Root mean square of the error, over that of the exact result."""


def drawn(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def matrix_of(transform, inputs, outputs):
    columns = []
    for unit in torch.eye(inputs, dtype=torch.float64):
        out = torch.full((outputs,), torch.nan, dtype=torch.float64)
        transform(unit[:, None], out[:, None])
        columns.append(out)
    return torch.stack(columns, dim=1).numpy()


@pytest.mark.parametrize("size", [2, 4])
def test_the_transforms_are_those_of_lavin_and_gray(size):
    filtering, points = FILTERINGS[size], size + 2
    sign = reference.SIGN[size]
    assert np.array_equal(matrix_of(filtering.evaluate, points, points), sign[:, None] * reference.B_T[size])
    assert np.array_equal(matrix_of(filtering.interpolate, points, size), reference.A_T[size] * sign)
    assert np.array_equal(np.array(filtering.kernel), reference.G[size])


@pytest.mark.parametrize("size", [2, 4])
def test_spreading_is_the_transpose_of_interpolating(size):
    filtering = FILTERINGS[size]
    interpolating = matrix_of(filtering.interpolate, size + 2, size)
    assert np.array_equal(matrix_of(filtering.spread, size, size + 2), interpolating.T)
    assert np.array_equal(interpolating[:, 1], np.ones(size))  # where the bias is added


@pytest.mark.parametrize("size", [2, 4])
def test_the_published_matrices_filter_in_one_dimension(size):
    tile, kernel = drawn(size + 2).numpy(), drawn(3, seed=1).numpy()
    products = (reference.G[size] @ kernel) * (reference.B_T[size] @ tile)
    expected = np.correlate(tile, kernel, mode="valid")
    np.testing.assert_allclose(reference.A_T[size] @ products, expected, rtol=1e-12, atol=1e-12)


@pytest.fixture(params=[2, 4])
def in_float64(request, monkeypatch):
    monkeypatch.setitem(winograd.FILTERINGS, torch.float64, FILTERINGS[request.param])
    return request.param


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shape", [(1, 3, 4, 4), (3, 2, 8, 4), (5, 3, 4, 12)])
def test_results_equal_torchs_in_float64_however_the_samples_are_split(
    in_float64, monkeypatch, shape, threads
):
    monkeypatch.setattr(winograd, "ROWS", 4)  # one, two or more samples at a time
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    x, weight, bias = drawn(*shape), drawn(4, shape[1], 3, 3, seed=1), drawn(4, seed=2)
    expected = F.conv2d(x, weight, bias, padding=1)
    torch.testing.assert_close(winograd.convolved(x, weight, bias), expected, rtol=1e-12, atol=1e-12)
    upstream = drawn(*expected.shape, seed=3)
    back = winograd.convolved(upstream, weight, transposed=True)
    torch.testing.assert_close(back, F.conv_transpose2d(upstream, weight, padding=1), rtol=1e-12, atol=1e-12)
    by_kernel = winograd.kernel_gradient(x, upstream)
    expected = conv2d_weight(x, weight.shape, upstream, padding=1)
    torch.testing.assert_close(by_kernel, expected, rtol=1e-12, atol=1e-12)


def relative_error(found, exact):
    return ((found.double() - exact).square().mean() / exact.square().mean()).sqrt().item()


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_rounding_is_as_small_as_said(dtype):
    x, weight, bias = drawn(2, 128, 16, 16).to(dtype), drawn(160, 128, 3, 3, seed=1).to(dtype), drawn(160)
    upstream, tolerance = drawn(2, 160, 16, 16, seed=2).to(dtype), TOLERANCE[dtype]
    x64, weight64, upstream64 = x.double(), weight.double(), upstream.double()
    found = winograd.convolved(x, weight, bias.to(dtype))
    assert found.dtype == dtype
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert relative_error(found, F.conv2d(x64, weight64, bias.to(dtype).double(), padding=1)) < tolerance
    found = winograd.convolved(upstream, weight, transposed=True)
    assert relative_error(found, F.conv_transpose2d(upstream64, weight64, padding=1)) < tolerance
    found = winograd.kernel_gradient(x, upstream)
    assert found.dtype == dtype
    assert relative_error(found, conv2d_weight(x64, weight.shape, upstream64, padding=1)) < tolerance
