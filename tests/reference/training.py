"""Penalties, averages and optimisers written out number by number."""

import torch


def r1(discriminator, real, gamma):
    """gamma/2 times the mean squared norm of each sample's gradient, by the whole Jacobian of all logits."""
    jacobian = torch.autograd.functional.jacobian(discriminator, real, create_graph=True)
    total = 0.0
    for i in range(len(real)):
        for value in jacobian[i, i].reshape(-1):
            total = total + value * value
    return gamma / 2 * total / len(real)


def path_lengths(synthesis, ws, noise):
    """Each sample's path length, by the whole Jacobian of its image."""
    lengths = []
    for i in range(len(ws)):
        w = ws[i : i + 1]
        jacobian = torch.autograd.functional.jacobian(synthesis, w, create_graph=True)[0, :, :, :, 0]
        _, height, width, rows, dims = jacobian.shape
        square = 0.0
        for row in range(rows):
            for dim in range(dims):
                moved = (jacobian[..., row, dim] * noise[i]).sum() / (height * width) ** 0.5
                square = square + moved * moved
        lengths.append((square / rows) ** 0.5)
    return lengths


def path_length_penalty(lengths, average, weight):
    """The mean squared distance of lengths from their moving average, weighted."""
    return weight * sum((length - average) ** 2 for length in lengths) / len(lengths)


def logistic(logits_real, logits_fake):
    """The discriminator's loss and the generator's, from probabilities."""
    n, m = len(logits_real), len(logits_fake)
    real = [1 / (1 + torch.exp(-v)) for v in logits_real]
    fake = [1 / (1 + torch.exp(-v)) for v in logits_fake]
    of_d = -sum(torch.log(p) for p in real) / n - sum(torch.log(1 - p) for p in fake) / m
    of_g = -sum(torch.log(p) for p in fake) / m
    return of_d, of_g


def adam(gradients, start, lr, beta1, beta2, eps=1e-8):
    """A scalar's path under Adam."""
    x, m, v = start, 0.0, 0.0
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        x -= lr * (m / (1 - beta1**t)) / ((v / (1 - beta2**t)) ** 0.5 + eps)
    return x
