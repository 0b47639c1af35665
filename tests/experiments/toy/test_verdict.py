"""The verdict says what the numbers say, and nothing more."""

from riemann_noise_pytorch.experiments.toy.options import Arm
from riemann_noise_pytorch.experiments.toy.verdict import sentences

ARMS = [Arm("minimax"), Arm("minimax", gamma=0.1), Arm("minimax", variance=0.1)]


def _summary(full, covered=0, first=(), held=None, sd=None, held_by=None):
    spread = None if held is None else {"mean": held, "sd": 0.05, "n": held_by or covered}
    return {
        "full": {"mean": full, "sd": sd, "n": 3},
        "covered": covered,
        "seeds": 3,
        "first_full": list(first),
        "held": spread,
    }


def test_the_best_arm_is_named_beside_the_next_and_no_regularisation():
    summaries = [
        _summary(0.1, 1, [900], 0.5),
        _summary(0.8, 3, [400, 500, 800], 0.9, held_by=2),
        _summary(0.3),
    ]
    head, one = sentences(ARMS, summaries, 7)
    assert head == (
        "All 7 modes were found at 80 % of the checkpoints with JS 0.1 (minimax), next at 30 % with noise "
        "0.1 (minimax); without regularisation at 10 % (minimax)."
    )
    assert one == (
        "minimax, all modes found: with no regularisation in 1 of 3 seeds, first after 900 steps, then held "
        "at 50 ± 5 % of checkpoints (1 of 3); with JS 0.1 in 3 of 3 seeds, first after 500 steps, then held "
        "at 90 ± 5 % of checkpoints (2 of 3); with noise 0.1 in 0 of 3 seeds."
    )


def test_where_deviations_meet_no_arm_stands_out():
    summaries = [_summary(0.15, sd=0.26), _summary(0.37, sd=0.14), _summary(0.35, sd=0.26)]
    head, _ = sentences(ARMS, summaries, 7)
    assert head == (
        "No arm stands out: all 7 modes were found at 37 ± 14 % of the checkpoints with JS 0.1 (minimax), "
        "and at 35 ± 26 % with noise 0.1 (minimax); without regularisation at 15 ± 26 % (minimax)."
    )
    apart = [_summary(0.15, sd=0.05), _summary(0.37, sd=0.05), _summary(0.25, sd=0.05)]
    assert sentences(ARMS, apart, 7)[0].startswith("All 7 modes were found at 37 ± 5 % of the checkpoints")


def test_no_regularisation_may_be_the_best_and_is_told_once():
    head, _ = sentences(ARMS, [_summary(0.9, 3, [100] * 3, 0.9), _summary(0.1), _summary(0.0)], 7)
    assert head == (
        "All 7 modes were found at 90 % of the checkpoints with no regularisation (minimax), next at 10 % "
        "with JS 0.1 (minimax)."
    )


def test_one_arm_that_finds_all_modes_alone_is_said():
    head, one = sentences(ARMS, [_summary(0.0), _summary(0.01, 1, [800]), _summary(0.0)], 7)
    assert head == (
        "All 7 modes were found at 1 % of the checkpoints with JS 0.1 (minimax), and with no other arm."
    )
    assert "with JS 0.1 in 1 of 3 seeds, first after 800 steps; with" in one
    assert sentences(ARMS[1:2], [_summary(0.5)], 7)[0].endswith("with JS 0.1 (minimax).")


def test_where_nothing_covers_nothing_is_praised():
    head, _ = sentences(ARMS, [_summary(0.0)] * 3, 25)
    assert head == "No arm found all 25 modes at any checkpoint."
