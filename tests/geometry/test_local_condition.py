"""The limit of Eq. 19 at a point, against singular values, random steps and closed forms."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch.func import jacfwd, jvp, vjp

from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.geometry.condition import condition_number
from riemann_noise_pytorch.geometry.local_condition import local_condition, log_condition, quotient_error
from riemann_noise_pytorch.geometry.spectrum import spectrum_of
from tests.geometry.test_spectrum import planted, random


def measure(function, x, **settings):
    image, pull = vjp(function, x)
    return local_condition(lambda v: jvp(function, (x,), (v,))[1], lambda u: pull(u)[0], x, image, **settings)


def linear(matrix):
    return lambda z: matrix @ z


def generator(z):
    """(4, 3) to (2, 5, 5), curved."""
    hidden = (random(20, 12, seed=5) @ z.flatten() / 3).tanh()
    return (random(50, 20, seed=6) @ hidden / 4).sin().view(2, 5, 5) + 0.5


def test_a_point_has_the_largest_singular_value_as_its_norm():
    x = random(1, 12)[0].view(4, 3)
    result = measure(generator, x)
    jacobian = jacfwd(generator)(x).reshape(50, 12)
    norm = np.linalg.norm(jacobian.numpy(), 2)
    assert result.norm == pytest.approx(norm, rel=1e-10)
    assert result.value == pytest.approx(norm * float(x.norm() / generator(x).norm()), rel=1e-10)
    assert result.residual <= 1e-6


@pytest.mark.parametrize("n", [1, 2, 5, 30])
def test_a_diagonal_map_is_stretched_by_its_largest_entry(n):
    diagonal = torch.arange(1, n + 1).double()
    x = torch.zeros(n, dtype=torch.float64)
    x[0] = 3
    result = measure(lambda z: diagonal * z, x)
    assert result.norm == pytest.approx(n, rel=1e-10)
    assert result.value == pytest.approx(n, rel=1e-10)
    assert result.iterations <= n


def test_an_orthogonal_map_is_known_after_one_step():
    result = measure(linear(torch.linalg.qr(random(20, 20))[0]), random(1, 20)[0])
    assert result.value == pytest.approx(1, rel=1e-12)
    assert result.iterations == 1
    assert result.residual < 1e-12


def test_singular_values_that_lie_close_do_not_stop_it():
    """A ratio of 1.001 would cost a power iteration 7000 steps."""
    matrix = planted(300, np.concatenate([[1.001], np.linspace(1, 0, 199)]))
    result = measure(linear(matrix), random(1, 200, seed=9)[0])
    assert result.norm == pytest.approx(1.001, rel=1e-9)
    assert result.iterations < 100


@pytest.mark.parametrize("rank", [1, 2, 6])
def test_maps_that_lose_dimensions_have_a_norm(rank):
    matrix = planted(15, [3.0] + [1.0] * (rank - 1) + [0.0] * (10 - rank))
    assert measure(linear(matrix), random(1, 10)[0]).norm == pytest.approx(3, rel=1e-10)


@pytest.mark.parametrize("shape", [(3, 40), (40, 3), (1, 1)])
def test_wide_and_tall_maps(shape):
    matrix = random(*shape)
    result = measure(linear(matrix), random(1, shape[1], seed=3)[0])
    assert result.norm == pytest.approx(np.linalg.norm(matrix.numpy(), 2), rel=1e-9)


def test_eq19_random_steps_stay_below_the_worst_and_reach_it():
    x = random(1, 12)[0].view(4, 3)
    result = measure(generator, x)
    steps = 1e-6 * random(500, 12, seed=1).view(500, 4, 3)
    values = [
        float(condition_number(x[None], d[None], generator(x)[None], generator(x + d)[None])) for d in steps
    ]
    assert max(values) <= result.value * (1 + 1e-4)
    worst = np.linalg.svd(jacfwd(generator)(x).reshape(50, 12).numpy())[2][0]
    d = 1e-6 * torch.from_numpy(worst).view(4, 3)
    reached = condition_number(x[None], d[None], generator(x)[None], generator(x + d)[None])
    assert float(reached) == pytest.approx(result.value, rel=1e-5)


def test_gain_does_not_matter():
    x = random(1, 12)[0].view(4, 3)
    plain = measure(generator, x).value
    assert measure(lambda z: 1000 * generator(z), x).value == pytest.approx(plain, rel=1e-10)


def test_float32_is_taken_as_it_is():
    matrix = random(30, 10).float()
    result = measure(linear(matrix), random(1, 10)[0].float())
    assert result.norm == pytest.approx(np.linalg.norm(matrix.numpy().astype(float), 2), rel=1e-6)


def test_images_that_still_require_a_gradient_make_no_warning():
    x, stretch = random(1, 4)[0], random(1, 4, seed=1)[0].requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = local_condition(lambda v: stretch * v, lambda u: stretch * u, x, stretch * x)
    assert found.norm == pytest.approx(float(stretch.detach().abs().max()))


def test_a_map_that_stands_still_has_condition_0():
    result = measure(lambda z: 0 * z + 1, random(1, 4)[0])
    assert (result.value, result.norm, result.iterations) == (0, 0, 1)


def test_too_few_iterations_are_told_by_the_residual():
    matrix = planted(300, np.linspace(1, 0, 200))
    result = measure(linear(matrix), random(1, 200)[0], most_iterations=3)
    assert result.iterations == 3
    assert result.residual > 1e-3
    assert 0.5 < result.norm < 1


def test_the_residual_bounds_the_distance_to_a_singular_value():
    values = np.linspace(1, 0.1, 40)
    for most in range(1, 12):
        result = measure(linear(planted(60, values)), random(1, 40)[0], most_iterations=most, tolerance=1e-12)
        assert np.abs(values - result.norm).min() <= result.residual * result.norm * (1 + 1e-9)


@pytest.mark.parametrize(
    ("function", "x"),
    [
        (lambda z: z * torch.nan, torch.ones(3)),
        (lambda z: z / 0, torch.ones(3)),
        (lambda z: z - z, torch.ones(3)),
        (lambda z: z - 1, torch.ones(3)),
        (lambda z: (z - 1).abs().sqrt(), torch.tensor([1.0, 2.0])),
        (lambda z: z, torch.tensor([torch.nan, 1.0])),
    ],
)
def test_points_without_a_condition_are_refused(function, x):
    with pytest.raises(NonFiniteError, match="no condition number"):
        measure(function, x.double())


@pytest.mark.parametrize(
    "settings",
    [{"tolerance": 0.0}, {"tolerance": 1.0}, {"tolerance": math.nan}, {"most_iterations": 0}],
)
def test_settings_that_do_not_fit_are_refused(settings):
    with pytest.raises(InputError, match="1e-6 and 200 are usual"):
        measure(generator, torch.ones(4, 3).double(), **settings)


def test_the_log_condition_is_that_of_the_squared_jacobian():
    matrix = planted(20, [4.0, 2.0, 1.0])
    eigenvalues = np.linalg.eigvalsh((matrix.T @ matrix).numpy())
    truth = math.log(eigenvalues[-1] / eigenvalues[0])
    assert log_condition(spectrum_of(matrix)) == pytest.approx(truth, rel=1e-9)
    assert log_condition(spectrum_of(matrix)) == pytest.approx(2 * math.log(4), rel=1e-12)


def test_a_lost_direction_has_an_infinite_log_condition():
    for matrix in (planted(20, [4.0, 2.0, 0.0]), planted(20, [4.0, 2.0, 1.0]).T, torch.zeros(3, 3)):
        assert log_condition(spectrum_of(matrix)) == math.inf


def test_quotients_converge_with_the_second_power_of_the_step():
    x, v = random(1, 12)[0].view(4, 3), random(1, 12, seed=1)[0].view(4, 3)
    steps = [0.1, 0.05, 0.025, 0.0125]
    errors = [
        quotient_error(generator, x, v, lambda v: jvp(generator, (x,), (v,))[1], step) for step in steps
    ]
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert np.abs(orders - 2).max() < 0.1


def test_quotients_of_known_derivatives():
    x, v = torch.ones(3).double(), torch.ones(3).double()
    assert quotient_error(lambda z: 2 * z, x, v, lambda v: 2 * v, 1e-3) < 1e-12
    assert quotient_error(lambda z: 2 * z, x, v, lambda v: 3 * v, 1e-3) == pytest.approx(1 / 3, rel=1e-9)
    assert quotient_error(lambda z: 2 * z, x, v, lambda v: 0 * v, 1e-3) == math.inf
    assert quotient_error(torch.ones_like, x, v, lambda v: 0 * v, 1e-3) == 0
