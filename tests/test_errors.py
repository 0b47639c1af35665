"""Laws of what is said when something cannot be used."""

import pickle

import pytest

from riemann_noise_pytorch.errors import InputError, Interrupted, NonFiniteError, unknown_name


def test_the_nearest_name_is_suggested():
    assert str(unknown_name("kind", "riemanian", ["none", "riemannian"])) == (
        "unknown kind 'riemanian'; did you mean 'riemannian'? Valid: none, riemannian"
    )


def test_a_name_like_no_other_gets_the_list_alone():
    assert str(unknown_name("kind", "qqq", ["none", "some"])) == "unknown kind 'qqq'. Valid: none, some"


@pytest.mark.parametrize(
    ("error", "builtin", "code"),
    [
        (InputError("a"), ValueError, 2),
        (NonFiniteError("a"), ArithmeticError, 2),
        (Interrupted("a", 15), Exception, 143),
    ],
)
def test_errors_carry_their_exit_code_through_pickling(error, builtin, code):
    assert isinstance(error, builtin)
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.exit_code) == ("a", code)
