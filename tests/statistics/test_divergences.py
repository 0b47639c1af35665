"""The f-divergences against numerical suprema, autograd and quadrature."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from riemann_noise_pytorch.statistics.divergence_table import markdown_table
from riemann_noise_pytorch.statistics.divergences import DIVERGENCES, FDivergence, variational_objective
from tests.reference import divergences as reference

ROOT = Path(__file__).parents[2]
KEYS = ("total-variation", "kl", "reverse-kl", "pearson", "neyman", "squared-hellinger", "js", "gan")
SMOOTH = KEYS[1:]
X = np.linspace(-25, 25, 5001)
P, Q = (0.0, 1.0), (1.5, 1.44)
"""Means and variances of the two laws of the example."""
OMEGA = 0.525448
"""The penalty of that example at the best discriminator."""

every = pytest.mark.parametrize("divergence", DIVERGENCES.values(), ids=KEYS)
smooth = pytest.mark.parametrize("key", SMOOTH)


def grid(low, high, count, dtype=torch.float64):
    return torch.linspace(low, high, count, dtype=dtype)


def slope_of(function, at, order=1):
    """A derivative of an element-wise function, by autograd."""
    at = at.detach().requires_grad_(True)
    value = function(at)
    for _ in range(order):
        if not value.requires_grad:
            return torch.zeros_like(at)
        (value,) = torch.autograd.grad(value.sum(), at, create_graph=True)
    return value.detach()


def beyond_the_domain(divergence, distance):
    """The points at a distance outside the finite ends of the conjugate's domain, inside where negative."""
    low, high = divergence.domain
    points = torch.tensor([low - distance, high + distance], dtype=torch.float64)
    return points[points.isfinite()]


def far_ratios(divergence):
    return (-1e12, 1e12) if divergence.everywhere else (1e12,)


def test_the_divergences_are_those_of_the_table():
    assert tuple(DIVERGENCES) == KEYS
    with pytest.raises(TypeError, match="abstract"):
        FDivergence()


@every
def test_f_equals_its_transcription(divergence):
    u = torch.cat([grid(1e-3, 3, 101), grid(3, 300, 101)])
    if divergence.everywhere:
        u = torch.cat([-u, u])
    expected = torch.from_numpy(reference.f(divergence.key, u.numpy()))
    torch.testing.assert_close(divergence.f(u), expected, rtol=1e-12, atol=1e-14)


@every
def test_f_is_infinite_where_no_ratio_of_densities_lies_unless_it_is_extended(divergence):
    assert divergence.f(torch.tensor(-0.5)).isinf().item() == (not divergence.everywhere)
    assert not divergence.f(torch.tensor(0.0)).isnan()


@every
def test_the_conjugate_equals_the_numerical_supremum(divergence):
    t = torch.cat([divergence.activation(grid(-6, 6, 1000)), beyond_the_domain(divergence, -0.01)])
    found = torch.from_numpy(reference.conjugate(divergence.key, t.numpy(), divergence.everywhere))
    torch.testing.assert_close(divergence.conjugate(t), found, rtol=1e-8, atol=0)


@every
def test_the_conjugate_is_infinite_outside_its_domain_as_the_supremum_is(divergence):
    for t in beyond_the_domain(divergence, 0.1):
        assert divergence.conjugate(t) == math.inf
        assert max(u * t.item() - reference.f(divergence.key, u) for u in far_ratios(divergence)) > 1e10


def test_over_positive_ratios_alone_pearsons_conjugate_would_be_constant_below_minus_two():
    t = np.array([-2.5, -4.0, -20.0])
    found = reference.supremum(lambda u: u * t - reference.f("pearson", u), 0 * t, 0 * t + 1e3)
    assert found == pytest.approx(-1, rel=1e-8)
    assert (DIVERGENCES["pearson"].conjugate(torch.from_numpy(t)) > -1).all()


@every
def test_of_fake_is_the_conjugate_of_the_activation(divergence):
    v = grid(-8, 8, 162)
    t = divergence.of_real(v)
    assert torch.equal(t, divergence.activation(v))
    low, high = divergence.domain
    assert ((t > low) & (t < high)).all()
    torch.testing.assert_close(divergence.of_fake(v), divergence.conjugate(t), rtol=1e-10, atol=1e-12)


@every
def test_the_weight_equals_autograds(divergence):
    v = grid(-8, 8, 162)
    curvature = slope_of(divergence.conjugate, divergence.activation(v), order=2)
    expected = curvature * slope_of(divergence.activation, v).square()
    torch.testing.assert_close(divergence.weight(v), expected, rtol=1e-10, atol=0)


@every
def test_the_activation_takes_any_logit_into_the_domain_and_f_prime_of_one_into_a_finite_logit(divergence):
    assert slope_of(divergence.f, torch.ones(1, dtype=torch.float64)).item() == pytest.approx(
        divergence.at_one, abs=1e-15
    )
    t = divergence.activation(grid(-50, 50, 101))
    assert t.min() < divergence.at_one < t.max()
    neutral = torch.tensor(divergence.neutral, dtype=torch.float64)
    assert divergence.activation(neutral).item() == pytest.approx(divergence.at_one, abs=1e-15)


@every
@settings(max_examples=200, deadline=None)
@given(log_u=st.floats(-10, 10), v=st.floats(-10, 10))
def test_fenchels_inequality(divergence, log_u, v):
    u = torch.tensor(log_u, dtype=torch.float64).exp()
    logit = torch.tensor(v, dtype=torch.float64)
    t = divergence.activation(logit)
    for conjugate in (divergence.conjugate(t), divergence.of_fake(logit)):
        terms = torch.stack([divergence.f(u), conjugate, -u * t])
        assert terms.sum() >= -1e-10 * (1 + terms.abs().sum())


@every
@settings(max_examples=100, deadline=None)
@given(log_u=st.floats(-6, 6))
def test_fenchels_inequality_is_an_equality_at_the_slope_of_f(divergence, log_u):
    u = torch.tensor(log_u, dtype=torch.float64).exp()
    t = slope_of(divergence.f, u)
    terms = torch.stack([divergence.f(u), divergence.conjugate(t), -u * t])
    assert abs(terms.sum()) <= 1e-10 * (1 + terms.abs().sum())


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_computed_from_logits_survives_fifty_on_either_side(divergence, dtype):
    v = grid(-50, 50, 2001, dtype)
    for part in (divergence.of_real, divergence.of_fake, divergence.weight):
        assert part(v).dtype == dtype
        assert part(v).isfinite().all()
        assert slope_of(part, v).isfinite().all()
    assert (divergence.weight(v) >= 0).all()


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_composites_do_not_fall_except_pearsons_below_minus_two(divergence, dtype):
    v = grid(-2 if divergence.key == "pearson" else -50, 50, 20001, dtype)
    for part in (divergence.of_real, divergence.of_fake):
        assert (slope_of(part, v) >= 0).all()
        value = part(v)
        assert (value.diff() >= -torch.finfo(dtype).eps * value[1:].abs()).all()


def test_pearsons_composite_falls_below_minus_two():
    assert (slope_of(DIVERGENCES["pearson"].of_fake, grid(-50, -2.01, 100)) < 0).all()


def densities():
    return reference.normal_density(X, *P), reference.normal_density(X, *Q)


def log_ratio(x):
    """log(p/q) of the example, in NumPy or torch."""
    return math.log(1.2) - x**2 / 2 + (x - 1.5) ** 2 / 2.88


def on_the_line(function):
    """A function of x with its first two derivatives on X, by autograd."""
    x = torch.from_numpy(X)
    return [slope_of(function, x, order).numpy() for order in range(3)]


def best(key):
    """The best logit of the example as a function of a torch tensor x."""
    return {
        "kl": lambda x: 1 + log_ratio(x),
        "pearson": lambda x: 2 * torch.expm1(log_ratio(x)),
        "neyman": lambda x: 2 * log_ratio(x),
        "squared-hellinger": lambda x: log_ratio(x) / 2,
    }.get(key, log_ratio)


def noise_derivative(divergence, logit):
    """The derivative of the objective with respect to the variance of noise, at none, for a fixed logit."""
    x = torch.from_numpy(X)
    t, conjugate = divergence.of_real(logit(x)).numpy(), divergence.of_fake(logit(x)).numpy()
    step = 1e-3
    at = [reference.noisy_objective(*P, *Q, noise * step, t, conjugate, X) for noise in (-2, -1, 1, 2)]
    return (at[0] - 8 * at[1] + 8 * at[2] - at[3]) / (12 * step)


def one_sided(divergence, logit):
    """The one-sided penalty of the example as the library's weight gives it, without gamma/2."""
    v, slope, _ = on_the_line(logit)
    weight = divergence.weight(torch.from_numpy(v)).numpy()
    return reference.integral(densities()[1] * weight * slope**2, X)


@smooth
def test_at_the_best_logit_the_activation_is_the_slope_of_f_and_the_objective_is_the_divergence(key):
    divergence, (p, q) = DIVERGENCES[key], densities()
    ratio = log_ratio(X)
    near = torch.from_numpy(np.abs(ratio) < 10)
    v = torch.from_numpy(reference.optimal_logit(key, ratio))
    t = divergence.activation(v)
    expected = slope_of(divergence.f, torch.from_numpy(np.exp(ratio)))
    torch.testing.assert_close(t[near], expected[near], rtol=1e-10, atol=1e-12)
    objective = reference.integral(p * t.numpy(), X) - reference.integral(
        q * divergence.of_fake(v).numpy(), X
    )
    assert objective == pytest.approx(reference.integral(q * reference.f(key, np.exp(ratio)), X), rel=1e-10)
    if key == "kl":
        assert objective == pytest.approx(math.log(1.2) + (1 + 1.5**2) / 2.88 - 0.5, rel=1e-10)


@smooth
def test_no_other_logit_gives_more_than_the_divergence(key):
    divergence, (p, q) = DIVERGENCES[key], densities()
    at_best = reference.integral(q * reference.f(key, np.exp(log_ratio(X))), X)
    for logit in (lambda x: 0.3 * x, lambda x: 0.8 * np.sin(x), lambda x: 0.9 * log_ratio(x), np.zeros_like):
        v = torch.from_numpy(np.clip(logit(X), -6, 6))
        of_real, of_fake = divergence.of_real(v).numpy(), divergence.of_fake(v).numpy()
        assert reference.integral(p * of_real, X) - reference.integral(q * of_fake, X) < at_best


def test_at_the_best_logit_both_forms_of_the_js_penalty_are_the_known_number():
    p, q = densities()
    v, slope, _ = on_the_line(log_ratio)
    two_sided = reference.two_sided_js(p, q, v, slope, X)
    assert two_sided == pytest.approx(OMEGA, abs=1e-6)
    for key in ("js", "gan"):
        assert one_sided(DIVERGENCES[key], log_ratio) == pytest.approx(two_sided, rel=1e-10)


@smooth
def test_the_penalty_on_logits_equals_that_on_their_activation(key):
    divergence, (_, q) = DIVERGENCES[key], densities()
    t, slope, _ = on_the_line(lambda x: divergence.activation(best(key)(x)))
    literal = reference.one_sided(key, q, t, slope, X)
    assert one_sided(divergence, best(key)) == pytest.approx(literal, rel=1e-9)


@smooth
def test_at_the_best_logit_noise_lowers_the_objective_by_half_the_penalty(key):
    divergence = DIVERGENCES[key]
    derivative = noise_derivative(divergence, best(key))
    assert derivative == pytest.approx(-one_sided(divergence, best(key)) / 2, rel=1e-6)
    if key in ("js", "gan"):
        assert derivative == pytest.approx(-OMEGA / 2, abs=1e-6)


@every
def test_away_from_the_best_logit_noise_and_penalty_differ_by_the_dropped_laplacian(divergence):
    def logit(x):
        return 0.8 * torch.sin(x) + 0.3 * x

    p, q = densities()
    t, _, laplacian = on_the_line(lambda x: divergence.activation(logit(x)))
    slope = slope_of(divergence.conjugate, torch.from_numpy(t)).numpy()
    dropped = (reference.integral(p * laplacian, X) - reference.integral(q * slope * laplacian, X)) / 2
    difference = noise_derivative(divergence, logit) + one_sided(divergence, logit) / 2
    assert difference == pytest.approx(dropped, rel=1e-6)
    assert abs(dropped) > 1e-3


def test_away_from_the_best_logit_noise_may_raise_the_objective_that_the_penalty_lowers():
    def logit(x):
        return 0.25 * x**2 - 5

    assert noise_derivative(DIVERGENCES["gan"], logit) > 0.1
    assert one_sided(DIVERGENCES["gan"], logit) > 0


@every
def test_the_objective_is_a_difference_of_means(divergence):
    real, fake = torch.randn(7, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    expected = sum(divergence.of_real(v) for v in real) / 7 - sum(divergence.of_fake(v) for v in fake) / 5
    torch.testing.assert_close(variational_objective(divergence, real, fake), expected)


def evaluated(formula, **values):
    """A formula as the documents write it: a space between factors multiplies, ^ is a power."""
    code = re.sub(r"(?<=[\w)]) (?=[\w(])", "*", formula).replace("^", "**")
    names = {name: getattr(torch, name) for name in ("sqrt", "tanh", "sigmoid", "abs")}
    names["softplus"] = torch.nn.functional.softplus
    names["log"] = lambda x: torch.as_tensor(x, dtype=torch.float64).log()
    return torch.as_tensor(eval(code, {"__builtins__": {}}, {**names, "e": math.e, **values}))


@every
def test_the_written_formulas_are_the_computed_ones(divergence):
    written = divergence.formulas()
    u, v = grid(0.1, 5, 50), grid(-6, 6, 50)
    t = divergence.activation(v)
    for heading, computed, values in (
        ("f(u)", divergence.f(u), {"u": u}),
        ("f*(t)", divergence.conjugate(t), {"t": t}),
        ("g(v)", t, {"v": v}),
        ("f*(g(v))", divergence.of_fake(v), {"v": v}),
        ("weight", divergence.weight(v), {"v": v}),
    ):
        value = evaluated(written[heading], **values).to(torch.float64).expand_as(computed)
        torch.testing.assert_close(value, computed, rtol=1e-9, atol=1e-12)


def test_the_document_has_the_table_that_the_code_writes():
    table = markdown_table()
    assert len(table.splitlines()) == 2 + len(KEYS)
    assert {line.count("|") for line in table.splitlines()} == {10}
    assert table in (ROOT / "docs" / "stabilisation.md").read_text()
