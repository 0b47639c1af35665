"""The verdict says what the numbers say, and nothing more."""

from riemann_noise_pytorch.experiments.toy.options import Arm
from riemann_noise_pytorch.experiments.toy.verdict import sentences

ARMS = [Arm("minimax"), Arm("minimax", gamma=0.1), Arm("minimax", variance=0.1)]


def _summary(full, covered=0, first=(), held=None):
    spread = None if held is None else {"mean": held, "sd": 0.05}
    return {
        "full": {"mean": full, "sd": None},
        "covered": covered,
        "seeds": 3,
        "first_full": list(first),
        "held": spread,
    }


def test_the_best_arm_is_named_beside_no_regularisation():
    summaries = [_summary(0.2, 1, [900], 0.5), _summary(0.8, 3, [400, 500, 800], 0.9), _summary(0.0)]
    head, one = sentences(ARMS, summaries, 7)
    assert head == (
        "All 7 modes were found at 80 % of the checkpoints with JS 0.1 (minimax), the most of all arms; "
        "without regularisation at 20 % (minimax)."
    )
    assert one == (
        "minimax: no regularisation 1 of 3 seeds (first after 900 steps, then at 50 ± 5 % of checkpoints); "
        "JS 0.1 3 of 3 seeds (first after 500 steps, then at 90 ± 5 % of checkpoints); "
        "noise 0.1 0 of 3 seeds."
    )


def test_no_regularisation_may_be_the_best():
    head, _ = sentences(ARMS, [_summary(0.9, 3, [100] * 3, 0.9), _summary(0.1), _summary(0.0)], 7)
    assert head == (
        "All 7 modes were found at 90 % of the checkpoints with no regularisation (minimax), "
        "the most of all arms."
    )


def test_where_nothing_covers_nothing_is_praised():
    head, _ = sentences(ARMS, [_summary(0.0)] * 3, 25)
    assert head == "No arm found all 25 modes at any checkpoint."
