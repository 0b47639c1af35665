"""The Frechet distance against closed forms, SciPy's square root and the reference tools."""

import numpy as np
import pytest
import torch

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.metrics import frechet as module
from riemann_noise_pytorch.metrics.frechet import frechet_distance
from riemann_noise_pytorch.metrics.moments import Moments
from tests.reference import feature_statistics as literal


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gaussian(mean, covariance, count=1001):
    return Moments(count, mean, covariance * (count - 1))


def rotation(d, seed=0):
    return torch.linalg.qr(normal(d, d, seed=seed)).Q


def positive(d, seed=0):
    x = normal(2 * d, d, seed=seed)
    return x.T @ x / (2 * d)


@pytest.mark.parametrize("d", [1, 5, 64, 200])
def test_gaussians_with_common_axes_have_the_closed_form(d):
    """With deviations s and t along the same axes the distance is |shift|^2 + |s - t|^2."""
    axes, shift = rotation(d), normal(d, seed=1)
    s, t = normal(2, d, seed=2).abs() + 0.01
    first = gaussian(shift, axes @ torch.diag(s.square()) @ axes.T)
    second = gaussian(torch.zeros(d).double(), axes @ torch.diag(t.square()) @ axes.T)
    truth = float(shift.square().sum() + (s - t).square().sum())
    assert frechet_distance(first, second) == pytest.approx(truth, rel=1e-8)
    assert frechet_distance(second, first) == pytest.approx(truth, rel=1e-8)


@pytest.mark.parametrize("d", [2, 50, 200])
def test_gaussians_without_common_axes_have_the_closed_form(d):
    """y = G x with G positive moves x as little as possible: tr (I - G) S (I - G) is the distance."""
    covariance, g = positive(d, seed=1), positive(d, seed=2)
    other = g @ covariance @ g
    assert (covariance @ other - other @ covariance).norm() > 0.01 * covariance.norm()
    left = torch.eye(d).double() - g
    truth = float((left @ covariance @ left).trace())
    zero = torch.zeros(d).double()
    assert frechet_distance(gaussian(zero, covariance), gaussian(zero, other)) == pytest.approx(
        truth, rel=1e-8
    )


@pytest.mark.parametrize("condition", [1e0, 1e6, 1e10, 1e16, 1e30])
def test_ill_conditioned_covariances_have_the_closed_form(condition):
    d, axes = 60, rotation(60)
    s = torch.logspace(0, -np.log10(condition) / 2, d, dtype=torch.float64)
    t = s.flip(0)
    zero = torch.zeros(d).double()
    first, second = (gaussian(zero, axes @ torch.diag(v.square()) @ axes.T) for v in (s, t))
    truth = float((s - t).square().sum())
    assert frechet_distance(first, second) == pytest.approx(truth, rel=1e-6)


@pytest.mark.parametrize("condition", [1e4, 1e8, 1e12, 1e20])
def test_directions_that_both_hardly_use_are_not_lost_in_rounding(condition):
    """Twice the deviation along every axis: the distance is the trace of the smaller covariance."""
    d, axes = 60, rotation(60)
    s = torch.logspace(0, -np.log10(condition) / 2, d, dtype=torch.float64)
    zero = torch.zeros(d).double()
    first, second = (gaussian(zero, axes @ torch.diag((f * s).square()) @ axes.T) for f in (1, 2))
    assert frechet_distance(first, second) == pytest.approx(float(s.square().sum()), rel=1e-11)


@pytest.mark.parametrize(("smallest", "long_way"), [(1e-3, False), (1e-6, False), (1e-8, True), (0.0, True)])
def test_roots_of_eigenvalues_are_taken_only_where_rounding_permits(monkeypatch, smallest, long_way):
    """The squares of 1 and 1e-8 differ by all digits: rounding of 1e-16 is as large as the smaller one."""
    calls, singular_values = [], torch.linalg.svdvals
    monkeypatch.setattr(torch.linalg, "svdvals", lambda m: calls.append(m) or singular_values(m))
    left, right = rotation(5), rotation(5, seed=1)
    values = torch.tensor([1.0, 0.5, 0.1, 0.01, smallest]).double()
    assert module._nuclear_norm(left @ torch.diag(values) @ right, 1.0) == pytest.approx(
        float(values.sum()), abs=1e-9
    )
    assert bool(calls) == long_way


@pytest.mark.parametrize("spread", [0.5, 3.0])
def test_eigenvalues_and_singular_values_agree(monkeypatch, spread):
    falling = torch.logspace(0, -spread, 100, dtype=torch.float64)
    x, y = normal(300, 100) * falling, normal(300, 100, seed=1) @ positive(100) * falling
    moments = Moments.of(x), Moments.of(y)
    found = []
    for precision in (0.0, 1e-9, torch.inf):
        monkeypatch.setattr(module, "PRECISION", precision)
        found.append(frechet_distance(*moments))
    assert found == pytest.approx([found[0]] * 3, rel=1e-9)


def test_fewer_images_than_dimensions_in_disjoint_spaces_have_the_closed_form():
    """No direction in common: nothing is subtracted, where the roots of rounding would take 1e-7."""
    axes = rotation(100)
    x, y = normal(30, 40) @ axes[:, :40].T, normal(30, 40, seed=1) @ axes[:, 40:80].T
    first, second = Moments.of(x), Moments.of(y)
    traces = float(x.T.cov().trace() + y.T.cov().trace())
    truth = float((x.mean(dim=0) - y.mean(dim=0)).square().sum()) + traces
    assert abs(frechet_distance(first, second) - truth) <= 1e-11 * traces


def test_fewer_images_than_dimensions_are_as_exact_as_in_the_space_they_span():
    """A rotation into 300 dimensions of which 30 are used changes nothing."""
    axes = rotation(300)[:, :30]
    x, y = normal(100, 30), normal(100, 30, seed=1) @ positive(30) + 1
    truth = frechet_distance(Moments.of(x), Moments.of(y))
    assert frechet_distance(Moments.of(x @ axes.T), Moments.of(y @ axes.T)) == pytest.approx(truth, rel=1e-10)


@pytest.mark.parametrize("n", [2, 5, 40])
def test_few_float32_features_give_finite_distances(n):
    x, y = normal(n, 64).float(), normal(n, 64, seed=1).float()
    ours = frechet_distance(Moments.of(x), Moments.of(y))
    # With n - 1 directions each, the nuclear norm from the features themselves, which Moments do not keep.
    a, b = ((v.double() - v.double().mean(dim=0)) / (n - 1) ** 0.5 for v in (x, y))
    shift = x.double().mean(dim=0) - y.double().mean(dim=0)
    truth = shift.square().sum() + a.square().sum() + b.square().sum()
    truth -= 2 * torch.linalg.matrix_norm(a @ b.T, "nuc")
    assert ours == pytest.approx(float(truth), rel=1e-10)


@pytest.mark.parametrize("seed", range(8))
def test_one_direction_without_spread_is_not_taken_for_a_small_one(seed):
    """Rounding makes the pivot of a singular covariance positive half of the time; its root would count."""
    axes = rotation(8, seed)
    x, y = normal(8, 7, seed=seed), 100 * normal(50, 8, seed=seed + 8)
    flat = torch.cat([x, torch.zeros(8, 1).double()], dim=1)
    common = torch.linalg.matrix_norm(
        (flat - flat.mean(dim=0)) @ (y - y.mean(dim=0)).T / (7 * 49) ** 0.5, "nuc"
    )
    shift = (flat.mean(dim=0) - y.mean(dim=0)).square().sum()
    truth = float(shift + flat.T.cov().trace() + y.T.cov().trace() - 2 * common)
    scale = float((flat.T.cov().trace() * y.T.cov().trace()).sqrt())
    ours = frechet_distance(Moments.of(flat @ axes), Moments.of(y @ axes))
    assert abs(ours - truth) <= 1e-10 * scale


def test_constant_features_leave_the_other_spread():
    x = normal(50, 8)
    constant = torch.zeros(50, 8).double()
    truth = float(x.mean(dim=0).square().sum() + x.T.cov().trace())
    assert frechet_distance(Moments.of(x), Moments.of(constant)) == pytest.approx(truth, rel=1e-12)
    assert frechet_distance(Moments.of(constant), Moments.of(constant)) == 0


def test_dead_features_do_not_count():
    x, y = normal(200, 8), normal(200, 8, seed=1)
    dead = torch.zeros(200, 5).double()
    wide = [Moments.of(torch.cat([v, dead], dim=1)) for v in (x, y)]
    assert frechet_distance(*wide) == pytest.approx(frechet_distance(Moments.of(x), Moments.of(y)), rel=1e-10)


def test_a_set_has_no_distance_to_itself_in_any_batches():
    x = normal(500, 40)
    parts = Moments.of(x[300:]) + Moments.of(x[:300])
    assert 0 <= frechet_distance(Moments.of(x), parts) <= 1e-12 * float(x.T.cov().trace())


def test_scale_and_rotation_act_as_on_a_squared_distance():
    x, y, axes = normal(300, 20), normal(300, 20, seed=1) * 2 + 1, rotation(20, seed=3)
    plain = frechet_distance(Moments.of(x), Moments.of(y))
    for factor in (1e-6, 1e6):
        scaled = frechet_distance(Moments.of(factor * x @ axes), Moments.of(factor * y @ axes))
        assert scaled == pytest.approx(factor**2 * plain, rel=1e-10)


@pytest.mark.parametrize(("n", "d"), [(400, 64), (1000, 200)])
def test_distance_is_that_of_scipys_square_root(n, d):
    x, y = normal(n, d).float(), (normal(n, d, seed=1) * 1.5 + 0.3).float()
    first, second = Moments.of(x), Moments.of(y)
    truth = literal.frechet(
        *(part.numpy() for m in (first, second) for part in (m.mean, m.covariance)),
    )
    assert frechet_distance(first, second) == pytest.approx(truth, rel=1e-6)


@pytest.mark.parametrize(("n", "d"), [(500, 64), (60, 100), (1200, 256)])
def test_distance_is_torch_fidelitys(n, d):
    theirs = pytest.importorskip("torch_fidelity.metric_fid")
    x = (normal(n, d) @ positive(d)).clamp(min=0).float()
    y = (normal(n, d, seed=1) @ positive(d, seed=5) + 0.2).clamp(min=0).float()
    statistics = [theirs.fid_features_to_statistics(v) for v in (x, y)]
    truth = theirs.fid_statistics_to_metric(*statistics, False)["frechet_inception_distance"]
    traces = sum(np.trace(s["sigma"]) for s in statistics)
    assert abs(frechet_distance(Moments.of(x), Moments.of(y)) - truth) <= 1e-6 * traces


def test_population_covariances_would_give_another_distance():
    """Of 20 images the two differ by a factor 19 / 20 in every covariance."""
    x, y = normal(20, 5), normal(20, 5, seed=1) * 3
    ours = frechet_distance(Moments.of(x), Moments.of(y))
    sample, population = (
        literal.frechet(*(m for v in (x, y) for m in (v.mean(dim=0).numpy(), v.T.cov(correction=c).numpy())))
        for c in (1, 0)
    )
    assert ours == pytest.approx(sample, rel=1e-10)
    assert abs(ours - population) > 0.01 * ours


def test_other_dimensions_are_refused():
    with pytest.raises(InputError, match="3 and of 4 dimensions"):
        frechet_distance(Moments.of(normal(9, 3)), Moments.of(normal(9, 4)))


def test_a_single_image_is_refused():
    with pytest.raises(InputError, match="give 2 or more"):
        frechet_distance(Moments.of(normal(9, 3)), Moments.of(normal(1, 3)))
