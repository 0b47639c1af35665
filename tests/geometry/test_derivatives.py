"""Products with Jacobians are the same in every way, and the way is the first that works."""

import subprocess
import sys

import pytest
import torch

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.geometry.derivatives import (
    WAYS,
    Forward,
    Reverse,
    fitting_way,
    unit_vectors,
)
from tests.geometry import operations

X = torch.linspace(0.5, 2, 4, dtype=torch.float64)
MATRIX = torch.linspace(-1, 1, 12, dtype=torch.float64).view(3, 4) ** 3
V = torch.tensor([[1.0, -2, 0.5, 3], [0, 1, 1, 0]], dtype=torch.float64)


def several(x):
    """Three outputs, of which one does not depend on the point."""
    return {"square": x * x, "constant": torch.ones(2, dtype=x.dtype), "last": MATRIX @ (x * x).sin()}


def expected(v):
    inner = 2 * X * v
    return {"square": inner, "constant": v.new_zeros(len(v), 2), "last": (inner * (X * X).cos()) @ MATRIX.T}


@pytest.mark.parametrize(("kind", "batched"), WAYS)
def test_every_way_gives_the_products_of_every_output(kind, batched):
    way = kind(several, X, batched)
    pushed = way.push(V)
    assert list(pushed) == ["square", "constant", "last"]
    for name, product in expected(V).items():
        torch.testing.assert_close(pushed[name], product, rtol=1e-13, atol=1e-15)


def square(operation):
    return lambda x: {"last": MATRIX @ operation(x)}


@pytest.mark.parametrize(
    ("operation", "mode", "batched"),
    [
        (lambda x: x * x, "forward", True),
        (operations.BothModes.apply, "forward", True),
        (operations.in_place, "forward", True),
        (operations.Unbatched.apply, "forward", False),
        (operations.WrongForward.apply, "double reverse", True),
        (operations.ReverseOnly.apply, "double reverse", True),
        (operations.Once.apply, "reverse", True),
        (operations.OnceAlone.apply, "reverse", False),
        (operations.WrongTwice.apply, "reverse", False),
    ],
)
def test_the_first_way_that_works_is_taken_and_the_reason_told(operation, mode, batched):
    fit = fitting_way(square(operation), X, directions=V)
    assert (fit.way.mode, fit.way.batched) == (mode, batched)
    assert fit.reason.startswith("" if (mode, batched) == ("forward", True) else "forward mode fails (")
    assert "\n" not in fit.reason
    for pushed in (fit.way.push(V), fit.pushed):
        if pushed is not None:
            torch.testing.assert_close(pushed["last"], (2 * X * V) @ MATRIX.T)
    assert (fit.pushed is None) == (mode == "reverse")


def test_a_wrong_derivative_is_told():
    fit = fitting_way(square(operations.WrongForward.apply), X)
    assert "forward and reverse mode disagree on one derivative" in fit.reason


def test_reverse_products_are_the_transposed_matrix():
    u = torch.tensor([[1.0, 0, -1]], dtype=torch.float64)
    for batched in (True, False):
        pulled = Reverse(square(torch.square), X, batched).pull("last", u)
        torch.testing.assert_close(pulled, (u @ MATRIX) * 2 * X)


def test_what_has_no_derivative_in_the_modes_asked_for_is_refused():
    with pytest.raises(InputError, match=r"no forward derivative can be taken here \(NotImplementedError"):
        fitting_way(square(operations.ReverseOnly.apply), X, ("forward",))
    with pytest.raises(InputError, match="mend this operation"):
        fitting_way(lambda x: {"last": x.missing}, X)


def test_memory_is_not_the_functions_fault():
    def hungry(x):
        raise MemoryError

    with pytest.raises(MemoryError):
        fitting_way(hungry, X)


def test_forward_products_record_nothing_for_reverse_mode():
    weight = torch.ones(4, dtype=torch.float64, requires_grad=True)
    for batched in (True, False):
        pushed = Forward(lambda x: {"last": weight * x}, X, batched).push(V)
        assert not pushed["last"].requires_grad


WARNING_FREE = """
import warnings

import torch

from riemann_noise_pytorch.geometry.derivatives import fitting_way

said = []
warnings.showwarning = lambda message, *where: said.append(str(message))

def noisy(x):
    warnings.warn("the function's own", FutureWarning, stacklevel=1)
    return {"y": x.sin()}

fit = fitting_way(noisy, torch.ones(3))
fit.way.push(torch.ones(2, 3))
print(fit.way.mode, set(said))
"""


def test_torchs_warning_of_its_own_scripts_is_not_shown_and_others_are():
    command = [sys.executable, "-c", WARNING_FREE]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == """forward {"the function's own"}\n"""
    assert done.stderr == ""


def test_unit_vectors_are_rows_of_the_identity():
    assert torch.equal(torch.cat([unit_vectors(0, 3, 5, X), unit_vectors(3, 2, 5, X)]), torch.eye(5).double())
