"""Section 4.3 of the paper transcribed index by index, slow and literal, on one sample of nested lists."""

import math


def eq4(mu, a, epsilon):
    c, h, w = len(mu), len(mu[0]), len(mu[0][0])
    return [[[mu[i][j][k] + a * epsilon[i][j][k] for k in range(w)] for j in range(h)] for i in range(c)]


def per_channel(mu, a, plane):
    """The block B of StyleGAN: one plane of noise, a factor for each channel."""
    c, h, w = len(mu), len(mu[0]), len(mu[0][0])
    return [[[mu[i][j][k] + a[i] * plane[j][k] for k in range(w)] for j in range(h)] for i in range(c)]


def eq5(mu, sigma, epsilon):
    c, h, w = len(mu), len(mu[0]), len(mu[0][0])
    return [
        [[mu[i][j][k] + sigma[i][j][k] * epsilon[i][j][k] for k in range(w)] for j in range(h)]
        for i in range(c)
    ]


def eq13(mu):
    c, h, w = len(mu), len(mu[0]), len(mu[0][0])
    mu_tilde = [[0.0] * w for _ in range(h)]
    for j in range(h):
        for k in range(w):
            for i in range(c):
                mu_tilde[j][k] += mu[i][j][k]
    return mu_tilde


def eq14(mu_tilde):
    h, w = len(mu_tilde), len(mu_tilde[0])
    mean = 0.0
    for j in range(h):
        for k in range(w):
            mean += mu_tilde[j][k] / (h * w)
    s = [[mu_tilde[j][k] - mean for k in range(w)] for j in range(h)]
    largest = 0.0
    for j in range(h):
        for k in range(w):
            largest = max(largest, abs(s[j][k]))
    return [[s[j][k] / largest for k in range(w)] for j in range(h)]


def eq15(s, A, b):
    h, w = len(s), len(s[0])
    return [[A[j][k] * s[j][k] + b[j][k] for k in range(w)] for j in range(h)]


def eq16(s_d, alpha):
    h, w = len(s_d), len(s_d[0])
    s_prime = [[alpha * s_d[j][k] + (1 - alpha) * 1 for k in range(w)] for j in range(h)]
    norm = math.sqrt(sum(s_prime[j][k] ** 2 for j in range(h) for k in range(w)))
    return [[s_prime[j][k] / norm for k in range(w)] for j in range(h)]


def eq17(mu, sigma, r, epsilon):
    c, h, w = len(mu), len(mu[0]), len(mu[0][0])
    return [
        [
            [r * sigma[j][k] * mu[i][j][k] + r * sigma[j][k] * epsilon[i][j][k] for k in range(w)]
            for j in range(h)
        ]
        for i in range(c)
    ]


def author_layer(mu, A, b, alpha, strength, epsilon, identifier):
    """What the author's code runs, for one sample: the signed maximum, alpha on the ones, RMS, no gain."""
    c, h, w = len(mu), len(mu[0]), len(mu[0][0])
    pick = {
        "relu_neg_sum": lambda j, k: sum(max(-mu[i][j][k], 0.0) for i in range(c)),
        "abs_sum": lambda j, k: sum(abs(mu[i][j][k]) for i in range(c)),
        "neg_max": lambda j, k: max(-mu[i][j][k] for i in range(c)),
    }[identifier]
    s = [[pick(j, k) for k in range(w)] for j in range(h)]
    mean = sum(sum(row) for row in s) / (h * w)
    s = [[value - mean for value in row] for row in s]
    largest = max(max(row) for row in s)
    s = [[(value / largest + 1) / 2 for value in row] for row in s]
    scale = 1 / math.sqrt(h)
    s_d = [[A[j][k] * scale * s[j][k] + b[j][k] * scale for k in range(w)] for j in range(h)]
    s_prime = [[alpha + (1 - alpha) * value for value in row] for row in s_d]
    rms = math.sqrt(sum(value**2 for row in s_prime for value in row) / (h * w))
    return [
        [[(mu[i][j][k] + strength * epsilon[j][k]) * s_prime[j][k] / rms for k in range(w)] for j in range(h)]
        for i in range(c)
    ]


def seed_layer(mu, A, b, alpha, strength, r, epsilon):
    """What the seed module computes, for one sample: its own noise for every channel."""
    c, h, w = len(mu), len(mu[0]), len(mu[0][0])
    s = eq14([[max(-mu[i][j][k] for i in range(c)) for k in range(w)] for j in range(h)])
    s_d = [[A[j][k] * (s[j][k] + 1) / 2 + b[j][k] for k in range(w)] for j in range(h)]
    s_prime = [[alpha + (1 - alpha) * value for value in row] for row in s_d]
    rms = math.sqrt(sum(value**2 for row in s_prime for value in row) / (h * w))
    return [
        [
            [r * s_prime[j][k] / rms * (mu[i][j][k] + strength * epsilon[i][j][k]) for k in range(w)]
            for j in range(h)
        ]
        for i in range(c)
    ]
