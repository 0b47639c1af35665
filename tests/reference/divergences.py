"""f-divergences and their penalties, written out from the literature in NumPy, one formula a line.

Nowozin, Cseke and Tomioka (2016), arXiv:1606.00709; Roth et al. (2017), arXiv:1705.09367.
"""

import math

import numpy as np


def f(key, u):
    """The generator function at u > 0, or at any u where it is extended."""
    with np.errstate(divide="ignore"):
        return {
            "total-variation": lambda: 0.5 * abs(u - 1),
            "kl": lambda: u * np.log(u),
            "reverse-kl": lambda: -np.log(u),
            "pearson": lambda: (u - 1) ** 2,
            "neyman": lambda: (1 - u) ** 2 / u,
            "squared-hellinger": lambda: (np.sqrt(u) - 1) ** 2,
            "js": lambda: -(u + 1) * np.log((1 + u) / 2) + u * np.log(u),
            "gan": lambda: u * np.log(u) - (u + 1) * np.log(u + 1),
        }[key]()


def conjugate_curvature(key, t):
    """The second derivative of the conjugate at t."""
    return {
        "kl": lambda: np.exp(t - 1),
        "reverse-kl": lambda: 1 / t**2,
        "pearson": lambda: 0.5 + 0 * t,
        "neyman": lambda: 0.5 * (1 - t) ** -1.5,
        "squared-hellinger": lambda: 2 / (1 - t) ** 3,
        "js": lambda: 2 * np.exp(t) / (2 - np.exp(t)) ** 2,
        "gan": lambda: np.exp(t) / (1 - np.exp(t)) ** 2,
    }[key]()


def optimal_logit(key, log_ratio):
    """The logit v with g(v) = f'(p/q), from log(p/q)."""
    return {
        "kl": lambda: 1 + log_ratio,
        "reverse-kl": lambda: log_ratio,
        "pearson": lambda: 2 * (np.exp(log_ratio) - 1),
        "neyman": lambda: 2 * log_ratio,
        "squared-hellinger": lambda: log_ratio / 2,
        "js": lambda: log_ratio,
        "gan": lambda: log_ratio,
    }[key]()


def normal_density(x, mean, variance):
    return np.exp(-((x - mean) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)


def integral(values, x):
    """The trapezoidal rule, which is exact to rounding for smooth integrands that vanish at both ends."""
    return float(np.sum((values[1:] + values[:-1]) / 2 * np.diff(x)))


def two_sided_js(p, q, logit, slope, x):
    """Roth et al., for JS, without gamma/2: both sides, with the slope of the logit."""
    d = 1 / (1 + np.exp(-logit))
    return integral(p * (1 - d) ** 2 * slope**2, x) + integral(q * d**2 * slope**2, x)


def one_sided(key, q, t, slope, x):
    """Roth et al., for any f, without gamma/2: under Q, with the slope of T = g(v)."""
    return integral(q * conjugate_curvature(key, t) * slope**2, x)


def noisy_objective(mean_p, variance_p, mean_q, variance_q, noise, of_real, of_fake, x):
    """E_P[T] - E_Q[f*(T)] under noise of a variance, for a T that does not follow; T and f*(T) on x."""
    p = normal_density(x, mean_p, variance_p + noise)
    q = normal_density(x, mean_q, variance_q + noise)
    return integral(p * of_real, x) - integral(q * of_fake, x)


def supremum(function, low, high, steps=200):
    """The largest values of functions that rise, then fall, between two arrays of bounds: ternary search."""
    for _ in range(steps):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        rises = function(a) < function(b)
        low, high = np.where(rises, a, low), np.where(rises, high, b)
    return function((low + high) / 2)


def conjugate(key, t, everywhere):
    """The supremum of u t - f(u) over all u, or over u = e^s > 0, for an array t."""
    if everywhere:
        return supremum(lambda u: u * t - f(key, u), np.full_like(t, -1e3), np.full_like(t, 1e3))
    return supremum(
        lambda s: np.exp(s) * t - f(key, np.exp(s)), np.full_like(t, -45.0), np.full_like(t, 45.0)
    )
