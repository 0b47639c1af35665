"""The matrices of minimal filtering as Lavin and Gray (2016), arXiv:1509.09308, print them (Section 4).

F(2, 3) is Eqs. 9 and 10 but for the sign of the last point, which cancels; F(4, 3) is Section 4.3.
"""

import numpy as np

B_T = {
    2: np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], dtype=float),
    4: np.array(
        [
            [4, 0, -5, 0, 1, 0],
            [0, -4, -4, 1, 1, 0],
            [0, 4, -4, -1, 1, 0],
            [0, -2, -1, 2, 1, 0],
            [0, 2, -1, -2, 1, 0],
            [0, 4, 0, -5, 0, 1],
        ],
        dtype=float,
    ),
}
G = {
    2: np.array([[1, 0, 0], [1 / 2, 1 / 2, 1 / 2], [1 / 2, -1 / 2, 1 / 2], [0, 0, 1]]),
    4: np.array(
        [
            [1 / 4, 0, 0],
            [-1 / 6, -1 / 6, -1 / 6],
            [-1 / 6, 1 / 6, -1 / 6],
            [1 / 24, 1 / 12, 1 / 6],
            [1 / 24, -1 / 12, 1 / 6],
            [0, 0, 1],
        ]
    ),
}
A_T = {
    2: np.array([[1, 1, 1, 0], [0, 1, -1, -1]], dtype=float),
    4: np.array(
        [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], dtype=float
    ),
}
SIGN = {2: np.array([1, 1, 1, -1]), 4: np.ones(6)}
"""Ours over theirs at every point, in B^T and in A^T."""
