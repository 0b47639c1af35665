"""Statistics of features transcribed from their papers, vector by vector, in float64."""

import numpy as np
from scipy import linalg


def covariance(x):
    """The sample covariance, entry by entry."""
    n, d = x.shape
    mean = [sum(x[:, a]) / n for a in range(d)]
    result = np.zeros((d, d))
    for a in range(d):
        for b in range(d):
            result[a, b] = sum((x[i, a] - mean[a]) * (x[i, b] - mean[b]) for i in range(n)) / (n - 1)
    return result


def frechet(mean_1, covariance_1, mean_2, covariance_2):
    """Heusel et al. (2017), with the matrix square root of the product."""
    root = linalg.sqrtm(covariance_1 @ covariance_2)
    return np.sum((mean_1 - mean_2) ** 2) + np.trace(covariance_1 + covariance_2 - 2 * root).real


def inception_score(p, splits):
    """Salimans et al. (2016), from probabilities; mean and standard deviation over the splits."""
    n = len(p)
    scores = []
    for i in range(splits):
        part = p[i * n // splits : (i + 1) * n // splits]
        marginal = sum(part) / len(part)
        divergences = [sum(q * np.log(q / m) for q, m in zip(row, marginal, strict=True)) for row in part]
        scores.append(np.exp(sum(divergences) / len(part)))
    return np.mean(scores), np.std(scores)


def squared_discrepancy(x, y):
    """Binkowski et al. (2018): the unbiased estimate with the cubic kernel, pair by pair."""
    m, d = x.shape

    def k(a, b):
        return (np.dot(a, b) / d + 1) ** 3

    within = sum(k(s[i], s[j]) for s in (x, y) for i in range(m) for j in range(m) if i != j)
    return within / (m * (m - 1)) - 2 * sum(k(a, b) for a in x for b in y) / m**2


def precision_recall(fake, real, k):
    """Kynkaanniemi et al. (2019): one distance at a time, from the difference of the vectors."""

    def covered(queries, points):
        radii = [sorted(np.linalg.norm(p - q) for q in points)[k] for p in points]
        inside = [
            any(np.linalg.norm(query - p) <= r for p, r in zip(points, radii, strict=True))
            for query in queries
        ]
        return sum(inside) / len(queries)

    return covered(fake, real), covered(real, fake)
