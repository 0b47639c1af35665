"""Laws of independent streams."""

from riemann_noise_pytorch.seeds import derive


def test_streams_are_the_same_on_every_machine():
    assert derive(0) == 4761921975702974394
    assert derive(7, "latents", 3) == 6825073391826127879


def test_streams_differ_by_seed_name_number_and_kind():
    names = [(0,), (1,), (0, "a"), (0, "b"), (0, "a", 1), (0, "a", 2), (0, "a", "1"), (0, "a1"), (0, 1)]
    assert len({derive(*name) for name in names}) == len(names)


def test_seeds_fit_a_torch_generator():
    assert all(0 <= derive(0, i) < 2**63 for i in range(1000))
