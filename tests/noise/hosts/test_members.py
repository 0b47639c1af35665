"""Laws of one tensor within an output: it is found, and exchanged in an output of the same type."""

from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass

import pytest
import torch

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.hosts.members import check_key, member, replaced

ZERO, ONE = torch.zeros(2), torch.ones(2)
Fields = namedtuple("Fields", ["a", "b"])


@dataclass
class Moments:
    """Fields that are neither members nor keys."""

    mean: torch.Tensor
    count: int = 3


class Lines(list):
    """A list with a name of its own."""


class Answer(OrderedDict):
    """A dict whose values are attributes, too, as many packages have it."""

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        self.__dict__[key] = value


OUTPUTS = {
    "tensor": (ZERO, None),
    "tuple": ((ZERO, 3), 0),
    "tuple from its end": ((3, ZERO), -1),
    "named tuple": (Fields(3, ZERO), 1),
    "field of a named tuple": (Fields(3, ZERO), "b"),
    "torch's return type": (torch.return_types.max((ZERO, torch.zeros(2, dtype=torch.int64))), 0),
    "list": ([3, ZERO], 1),
    "list from its end": ([3, ZERO], -1),
    "subclass of list": (Lines([3, ZERO]), 1),
    "dict": ({"a": 3, "b": ZERO}, "b"),
    "dict with numbers": ({0: 3, 1: ZERO}, 1),
    "defaultdict": (defaultdict(list, a=3, b=ZERO), "b"),
    "subclass of dict": (Answer(a=3, b=ZERO), "b"),
}


@pytest.mark.parametrize(("output", "key"), OUTPUTS.values(), ids=OUTPUTS)
def test_a_member_is_exchanged_in_an_output_of_the_same_type(output, key):
    assert member(output, key) is ZERO
    new = replaced(output, key, ONE)
    assert type(new) is type(output)
    assert member(new, key) is ONE
    assert member(output, key) is ZERO
    assert type(output) is torch.Tensor or len(new) == len(output)


def test_attributes_follow_in_a_dict_that_has_them():
    new = replaced(Answer(a=3, b=ZERO), "b", ONE)
    assert new.b is ONE
    assert new.a == 3


@pytest.mark.parametrize(
    ("output", "key", "message"),
    [
        (ZERO, 0, "one tensor, which has no member 0; leave output= out"),
        ((3, ZERO, ONE), None, "type tuple with tensors at 1, 2; choose one, as in output=1"),
        ({"a": ZERO}, None, "type dict with tensors at 'a'; choose one, as in output='a'"),
        (((ZERO, ONE), 3), 0, "type tuple and holds tensors deeper; match the module that makes it"),
        ({"a": [{"b": ZERO}]}, None, "type dict and holds tensors deeper; match the module that makes it"),
        (Moments(ZERO), None, "type Moments and holds tensors deeper; match the module that makes it"),
        (
            (ZERO, (ONE, 3)),
            1,
            "type tuple and holds tensors deeper; match the module that makes it, or choose",
        ),
        ((3, 4), 0, "type tuple and holds no tensor; match another module"),
        (None, None, "type NoneType and holds no tensor"),
        ((3, ZERO), 2, "'2'. Valid: 0, 1"),
        ((3, ZERO), -3, "'-3'. Valid: 0, 1"),
        ((3, ZERO), "a", "'a'. Valid: 0, 1"),
        ({"image": ZERO}, "imge", "did you mean 'image'"),
        ((3, ZERO), 0, "member 0 of its output is of type int; choose a tensor, as in output=1"),
    ],
)
def test_a_member_that_is_not_there_is_refused_with_those_that_are(output, key, message):
    with pytest.raises(InputError) as caught:
        member(output, key)
    assert message in str(caught.value)


@pytest.mark.parametrize("key", [[0], [0] * 100, slice(1), True, 1.0, {"a"}, torch.ones(2, 2).tolist()])
def test_what_stands_for_no_one_member_is_refused(key):
    with pytest.raises(InputError, match=r"^output must be None, an index or a key, not .{1,64}; give one"):
        check_key(key)


@pytest.mark.parametrize("key", [None, 0, -1, "a", ("a", 0)])
def test_whatever_is_a_key_may_stand_for_a_member(key):
    check_key(key)
