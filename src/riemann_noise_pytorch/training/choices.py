"""The names to choose among when training; free of torch, so that command lines start at once."""

from typing import Literal

LossName = Literal[
    "logistic",
    "hinge",
    "least-squares",
    "wasserstein",
    "f-total-variation",
    "f-kl",
    "f-reverse-kl",
    "f-pearson",
    "f-neyman",
    "f-squared-hellinger",
    "f-js",
    "f-gan",
]
GeneratorLoss = Literal["non-saturating", "minimax"]
Regularizer = Literal["r1", "r2", "r1-r2", "js", "f-gan", "wgan-gp", "zero-gp"]
GammaRule = Literal["given", "config-e", "resolution"]
InstanceNoiseSchedule = Literal["constant", "linear", "cosine", "exponential", "adaptive"]
