"""A failure is told by its kind, the user's own line and the first line of its message."""

import json

import pytest
import torch

from riemann_noise_pytorch.noise.failures import is_out_of_memory, place_of_failure


def test_the_last_line_of_the_users_own_is_named():
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads("{")
    words = place_of_failure(caught.value)
    assert words.startswith("JSONDecodeError in test_failures.py line ")
    assert words.endswith("line 1 column 2 (char 1)")


def test_of_a_long_message_the_first_line_is_told():
    assert place_of_failure(RuntimeError("one\ntwo")) == "RuntimeError: one"
    assert place_of_failure(KeyError()) == "KeyError"


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_memory_that_ran_out_is_told_from_other_failures(error, is_memory):
    assert is_out_of_memory(error) is is_memory
