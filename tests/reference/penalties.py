"""The discriminator's gradient penalties image by image, from the whole Jacobian of all logits.

Logits that depend on the whole batch have the gradient of their sum.
"""

import math

import torch


def squared_slopes(discriminator, images):
    """The squared norm of each image's gradient."""
    jacobian = torch.autograd.functional.jacobian(discriminator, images, create_graph=True)
    squares = []
    for i in range(len(images)):
        gradient = sum(jacobian[j, i] for j in range(len(images)))
        squares.append(sum(value * value for value in gradient.reshape(-1)))
    return squares


def mean(values):
    return sum(values) / len(values)


def penalty(name, discriminator, real, fake, gamma, mix=None, divergence=None):
    """A penalty with its weight."""
    if name == "r1":
        return gamma / 2 * mean(squared_slopes(discriminator, real))
    if name == "r2":
        return gamma / 2 * mean(squared_slopes(discriminator, fake))
    if name == "r1-r2":
        return (
            gamma
            / 2
            * (mean(squared_slopes(discriminator, real)) + mean(squared_slopes(discriminator, fake)))
        )
    if name == "js":
        of_real = [1 / (1 + torch.exp(-v)) for v in discriminator(real)]
        of_fake = [1 / (1 + torch.exp(-v)) for v in discriminator(fake)]
        on_real = [
            (1 - d) ** 2 * s for d, s in zip(of_real, squared_slopes(discriminator, real), strict=True)
        ]
        on_fake = [d**2 * s for d, s in zip(of_fake, squared_slopes(discriminator, fake), strict=True)]
        return gamma / 2 * (mean(on_real) + mean(on_fake))
    if name == "f-gan":
        factors = [weight(divergence, v) for v in discriminator(fake)]
        slopes = squared_slopes(discriminator, fake)
        return gamma / 2 * mean([w * s for w, s in zip(factors, slopes, strict=True)])
    mixed = torch.stack([m * x + (1 - m) * y for m, x, y in zip(mix, real, fake, strict=True)])
    slopes = squared_slopes(discriminator, mixed)
    if name == "wgan-gp":
        return gamma * mean([(s**0.5 - 1) ** 2 for s in slopes])
    return gamma * mean(slopes)


def weight(divergence, v):
    """The conjugate's second derivative at t = g(v), times the squared derivative of g."""
    if divergence == "kl":
        return torch.exp(v - 1) * 1**2
    if divergence == "reverse-kl":
        t, slope = -torch.exp(-v), torch.exp(-v)
        return 1 / t**2 * slope**2
    if divergence == "pearson":
        return 0.5 * 1**2 + 0 * v
    if divergence == "neyman":
        t, slope = 1 - torch.exp(-v), torch.exp(-v)
        return 0.5 * (1 - t) ** -1.5 * slope**2
    if divergence == "squared-hellinger":
        t, slope = 1 - torch.exp(-v), torch.exp(-v)
        return 2 / (1 - t) ** 3 * slope**2
    slope = 1 - 1 / (1 + torch.exp(-v))
    if divergence == "js":
        t = math.log(2) - torch.log(1 + torch.exp(-v))
        return 2 * torch.exp(t) / (2 - torch.exp(t)) ** 2 * slope**2
    t = -torch.log(1 + torch.exp(-v))
    return torch.exp(t) / (1 - torch.exp(t)) ** 2 * slope**2
