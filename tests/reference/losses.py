"""Losses of both players, image by image, from the papers' formulas in probabilities, margins and targets."""

import math


def mean(values):
    return sum(values) / len(values)


def probability(v):
    return 1 / (1 + math.exp(-v))


def discriminator(name, real, fake):
    """The discriminator's loss on lists of logits."""
    if name == "logistic":
        return -mean([math.log(probability(v)) for v in real]) - mean(
            [math.log(1 - probability(v)) for v in fake]
        )
    if name == "hinge":
        return mean([max(0.0, 1 - v) for v in real]) + mean([max(0.0, 1 + v) for v in fake])
    if name == "least-squares":
        return 0.5 * mean([(v - 1) ** 2 for v in real]) + 0.5 * mean([(v - 0) ** 2 for v in fake])
    if name == "wasserstein":
        return mean(fake) - mean(real)
    return -mean([activation(name, v) for v in real]) + mean(
        [conjugate(name, activation(name, v)) for v in fake]
    )


def generator(name, form, fake):
    """The generator's loss on a list of logits."""
    if name == "logistic" and form == "non-saturating":
        return -mean([math.log(probability(v)) for v in fake])
    if name == "logistic":
        return mean([math.log(1 - probability(v)) for v in fake])
    if name == "least-squares":
        return 0.5 * mean([(v - 1) ** 2 for v in fake])
    if name in ("hinge", "wasserstein"):
        return -mean(fake)
    if form == "non-saturating":
        return -mean([activation(name, v) for v in fake])
    return -mean([conjugate(name, activation(name, v)) for v in fake])


def activation(name, v):
    """The output activation of a divergence, as Nowozin et al. tabulate it."""
    return {
        "f-total-variation": lambda: 0.5 * math.tanh(v),
        "f-kl": lambda: v,
        "f-reverse-kl": lambda: -math.exp(-v),
        "f-pearson": lambda: v,
        "f-neyman": lambda: 1 - math.exp(-v),
        "f-squared-hellinger": lambda: 1 - math.exp(-v),
        "f-js": lambda: math.log(2) - math.log(1 + math.exp(-v)),
        "f-gan": lambda: -math.log(1 + math.exp(-v)),
    }[name]()


def conjugate(name, t):
    """The conjugate of a divergence, as Nowozin et al. tabulate it."""
    return {
        "f-total-variation": lambda: t,
        "f-kl": lambda: math.exp(t - 1),
        "f-reverse-kl": lambda: -1 - math.log(-t),
        "f-pearson": lambda: 0.25 * t**2 + t,
        "f-neyman": lambda: 2 - 2 * math.sqrt(1 - t),
        "f-squared-hellinger": lambda: t / (1 - t),
        "f-js": lambda: -math.log(2 - math.exp(t)),
        "f-gan": lambda: -math.log(1 - math.exp(t)),
    }[name]()
