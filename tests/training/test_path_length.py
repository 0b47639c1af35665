"""The path-length penalty against the explicit Jacobian, and its moving average."""

import torch

from riemann_noise_pytorch.training.path_length import PathLength
from tests.reference import training as reference


def small_synthesis(weights):
    """Rows of w (N, 3, 2) to images (N, 2, 2, 2), with second derivatives of every kind."""

    def synthesis(ws):
        features = torch.tanh(ws.flatten(1) @ weights[0])
        return (features @ weights[1] * features[:, :1]).view(-1, 2, 2, 2)

    return synthesis


def doubles(*shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_path_length_equals_the_explicit_jacobian_in_value_and_gradient():
    weights = [doubles(6, 5, seed=1).requires_grad_(), doubles(5, 8, seed=2).requires_grad_()]
    ws, noise = doubles(4, 3, 2, seed=3), doubles(4, 2, 2, 2, seed=4)
    average = torch.tensor(0.7, dtype=torch.float64)
    penalty = PathLength(weight=2.0)
    lengths = penalty.lengths(small_synthesis(weights), ws, noise)
    literal = reference.path_lengths(small_synthesis(weights), ws, noise)
    torch.testing.assert_close(lengths, torch.stack(literal), rtol=1e-12, atol=0)
    ours = penalty(lengths, average)
    its = reference.path_length_penalty(literal, average, 2.0)
    torch.testing.assert_close(ours, its, rtol=1e-12, atol=0)
    pairs = zip(torch.autograd.grad(ours, weights), torch.autograd.grad(its, weights), strict=True)
    for mine, expected in pairs:
        torch.testing.assert_close(mine, expected, rtol=1e-9, atol=1e-14)


def test_path_length_of_a_scaled_isometry_is_its_factor_times_the_norm_of_the_noise():
    q, _ = torch.linalg.qr(doubles(8, 6, seed=1))
    ws, noise = doubles(5, 3, 2, seed=2), doubles(5, 2, 2, 2, seed=3)
    lengths = PathLength(2.0).lengths(lambda w: (3 * w.flatten(1) @ q.t()).view(-1, 2, 2, 2), ws, noise)
    expected = 3 * (noise.flatten(1) @ q).norm(dim=1) / (3 * 4) ** 0.5
    torch.testing.assert_close(lengths, expected, rtol=1e-12, atol=0)


def test_path_length_passes_gradgradcheck():
    ws, noise = doubles(2, 3, 2, seed=1), doubles(2, 2, 2, 2, seed=2)
    weights = (doubles(6, 3, seed=3).requires_grad_(), doubles(3, 8, seed=4).requires_grad_())
    penalty = PathLength(2.0)

    def call(*weights):
        return penalty(penalty.lengths(small_synthesis(weights), ws, noise), torch.tensor(0.5))

    assert torch.autograd.gradcheck(call, weights)
    assert torch.autograd.gradgradcheck(call, weights)


def test_the_average_of_path_lengths_follows_without_a_graph():
    penalty, lengths = PathLength(2.0, decay=0.25), torch.tensor([2.0, 4.0], requires_grad=True)
    average = penalty.new_average(torch.tensor(1.0), lengths.mean())
    assert average.item() == 1.5
    assert not average.requires_grad
    assert not PathLength(0.0).is_due(0)
