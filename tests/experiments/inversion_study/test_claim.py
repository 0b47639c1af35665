"""The rule by which the paper's claim on inversion is judged, on scores whose outcome is known."""

from itertools import combinations, permutations, product

import numpy as np
import pytest
import torch
from scipy import stats

from riemann_noise_pytorch.experiments.inversion_study.arm import scores as scores_of
from riemann_noise_pytorch.experiments.inversion_study.claim import ARMS, RULE, claims, in_order, sentences
from riemann_noise_pytorch.experiments.inversion_study.numbers import (
    COMPARED,
    COMPARED_KINDS,
    comparisons,
    summaries,
)
from riemann_noise_pytorch.experiments.inversion_study.targets import HARD, PLAIN
from tests.experiments.inversion_study.study_scores import IMAGES, SEEDS, fabricated


def judged(level, *, held_out=True, **options):
    records = fabricated(level, **options)
    arms, seeds = options.get("arms", ARMS), options.get("seeds", SEEDS)
    means, differences = summaries(records, arms, seeds), comparisons(records, arms, seeds)
    found = claims(differences, means)
    return found, sentences(found, differences, means, held_out=held_out)


def outcomes(level, **options):
    return {claim.kind: claim.outcome for claim in judged(level, **options)[0]}


def better_when_hard(arm, kind):
    return 0.01 if kind in HARD and arm == "riemannian" else 0.02


def test_lowest_on_all_hard_kinds_and_alike_on_plain_ones_holds():
    found = outcomes(better_when_hard)
    assert found == {"hard": "holds", **dict.fromkeys(HARD, "holds"), PLAIN: "holds"}


def test_lowest_everywhere_holds_on_hard_images_and_not_on_plain_ones():
    found = outcomes(lambda arm, kind: 0.01 if arm == "riemannian" else 0.02)
    assert (found["hard"], found[PLAIN]) == ("holds", "does not hold")


@pytest.mark.parametrize("rival", ["none", "euclidean"])
def test_one_rival_that_is_lower_on_one_hard_kind_breaks_the_claim(rival):
    found = outcomes(
        lambda arm, kind: 0.005 if (arm, kind) == (rival, "off") else better_when_hard(arm, kind)
    )
    assert (found["hard"], found["off"], found["rotated"]) == ("does not hold", "does not hold", "holds")


def test_an_equal_rival_leaves_the_claim_open():
    found = outcomes(lambda arm, kind: 0.01 if kind in HARD and arm != "none" else 0.02)
    assert {found[kind] for kind in ("hard", *HARD)} == {"not shown"}


def test_wide_differences_between_seeds_show_nothing_not_even_that_all_are_alike():
    found = outcomes(lambda arm, kind: 0.02, spread=0.4)
    assert set(found.values()) == {"not shown"}


@pytest.mark.parametrize("arms", list(permutations(ARMS)))
def test_the_order_in_which_arms_were_trained_changes_nothing(arms):
    records = fabricated(better_when_hard, arms=arms)
    for order in (arms, in_order(arms)):
        means, differences = summaries(records, order, SEEDS), comparisons(records, order, SEEDS)
        found = {claim.kind: claim for claim in claims(differences, means)}
        complete = order.index("riemannian") == 2 if isinstance(order, tuple) else True
        assert (found["hard"].outcome == "holds") == complete
        assert {kind: claim.asked for kind, claim in found.items()} == {
            "hard": 12, **dict.fromkeys(HARD, 4), PLAIN: 6
        }  # fmt: skip
    assert in_order(arms) == list(ARMS)


def difference(kind, metric, arm, against, *, change=-0.5, p_value=1e-5, reach=0.01):
    """A comparison of given numbers, where the arm without noise has 1."""
    low, high = change - reach, change + reach
    return {
        "noise": "frozen",
        "kind": kind,
        "metric": metric,
        "arm": arm,
        "against": against,
        "difference": change,
        "low": low,
        "high": high,
        "p_value": p_value,
        "shown": low > 0 or high < 0,
        "smallest_detectable": 0.3,
        "pairs": 3,
    }


def judged_by_hand(kind, **numbers):
    """Outcomes of comparisons that are all as claimed, but for one on a kind."""
    every = [
        difference(each, metric, arm, against, **({"change": 0.0} if each == PLAIN else {}))
        for each, metric, (against, arm) in product(COMPARED_KINDS, COMPARED, combinations(ARMS, 2))
    ]
    other = next(c for c in every if c["kind"] == kind and c["arm"] == "riemannian")
    other |= difference(kind, other["metric"], other["arm"], other["against"], **numbers)
    score = {"frozen": {metric: {"mean": 1.0} for metric in COMPARED}, "kind": PLAIN}
    found = {claim.kind: claim.outcome for claim in claims(every, [{"arm": arm} | score for arm in ARMS])}
    rest = [found[k] for k in (*HARD, PLAIN) if k != kind]
    assert rest == ["holds"] * 3
    assert kind == PLAIN or found["hard"] == found[kind]
    return found[kind]


@pytest.mark.parametrize("kind", HARD)
@pytest.mark.parametrize(
    ("p_value", "outcome"),
    [(0.0041, "does not hold"), (0.0042, "not shown"), (0.012, "not shown"), (0.049, "not shown")],
)
def test_a_higher_score_refutes_the_claim_at_5_percent_over_the_12_comparisons(kind, p_value, outcome):
    assert judged_by_hand(kind, change=0.5, p_value=p_value) == outcome


@pytest.mark.parametrize("kind", HARD)
def test_a_lower_score_counts_at_the_95_percent_level_by_itself(kind):
    assert judged_by_hand(kind, change=-0.02, p_value=0.049, reach=0.019) == "holds"
    assert judged_by_hand(kind, change=-0.02, p_value=0.051, reach=0.021) == "not shown"


@pytest.mark.parametrize(
    ("p_value", "outcome"),
    [(0.0083, "does not hold"), (0.0084, "not shown"), (0.02, "not shown"), (0.049, "not shown")],
)
@pytest.mark.parametrize("change", [-0.2, 0.2])
def test_a_plain_difference_refutes_that_all_are_alike_at_5_percent_over_the_6(change, p_value, outcome):
    assert judged_by_hand(PLAIN, change=change, p_value=p_value) == outcome


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        (0.05, "holds"),
        (-0.089, "holds"),
        (0.095, "not shown"),
        (-0.105, "does not hold"),
        (0.2, "does not hold"),
    ],
)
def test_alike_is_within_a_tenth_of_what_the_arm_without_noise_has(change, outcome):
    assert judged_by_hand(PLAIN, change=change) == outcome


def test_a_comparison_that_is_missing_is_not_passed_over():
    records = fabricated(better_when_hard)
    means, differences = summaries(records, ARMS, SEEDS), comparisons(records, ARMS, SEEDS)
    for kind in (*HARD, PLAIN):
        lost = next(c for c in differences if c["kind"] == kind and c["arm"] == "riemannian")
        found = {c.kind: c.outcome for c in claims([c for c in differences if c is not lost], means)}
        assert found[kind] == "not shown"
        assert kind == PLAIN or found["hard"] == "not shown"


def test_what_is_not_shown_is_told_with_what_would_have_been_seen():
    found, told = judged(lambda arm, kind: 0.02, spread=0.4)
    differences = comparisons(fabricated(lambda arm, kind: 0.02, spread=0.4), ARMS, SEEDS)
    open_ones = [s for s in told if s.startswith("Not shown on")]
    assert len(open_ones) == 4 == sum(c.outcome == "not shown" for c in found) - 1
    for kind, name in (("rotated", "rotated"), ("off", "off-distribution"), (PLAIN, "plain")):
        (mine,) = [s for s in open_ones if s.startswith(f"Not shown on {name} targets")]
        assert "3 seeds would have detected with 80 % probability is, in squared error " in mine
        smallest = sorted(
            c["smallest_detectable"]
            for c in differences
            if (c["noise"], c["kind"], c["metric"]) == ("frozen", kind, "mse")
            and (kind == PLAIN or c["arm"] == "riemannian")
        )
        assert f"squared error {smallest[0]:.2g} to {smallest[-1]:.2g}, by pair; in pyramid" in mine
    t = [stats.t.isf(0.025 / family, 2) for family in (12, 6)]
    assert t == pytest.approx([15.4, 10.9], abs=0.1)
    assert (
        "3 seeds can hardly show that the claim does not hold: that needs a difference of 15 standard errors "
        "on hard images and 11 on plain ones."
    ) in told
    for other in (judged(better_when_hard), judged(lambda arm, kind: 0.02, spread=0.4, seeds=(0, 1, 2, 3))):
        assert not any("can hardly show" in s for s in other[1])
    assert not any(s.startswith("Not shown on") for s in judged(better_when_hard)[1])


def test_the_headline_tells_both_outcomes_and_the_rule_stands_below_it():
    told = judged(better_when_hard)[1]
    assert told[0].startswith(
        "The paper's claim at this scale (3 seeds, 6 targets of each kind, noise frozen)"
    )
    assert "perceptual distance: holds. On plain images all arms are alike: holds." in told[0]
    assert told[-1] == RULE
    assert (
        "On rotated targets: holds; of 4 comparisons, 4 show Riemannian noise lower and 0 show it higher."
        in told
    )
    counts = [s for s in told if "of 24 comparisons" in s]
    assert [s.partition(":")[0] for s in counts] == ["Noise frozen", "Noise optimised"]
    assert all("chance alone would show 1.2 where there is none" in s for s in counts)


def test_targets_that_were_trained_on_are_told_next_to_the_headline():
    assert "saw in training" in judged(better_when_hard, held_out=False)[1][1]
    assert not any("saw in training" in s for s in judged(better_when_hard)[1])


def test_one_seed_and_other_arms_test_nothing():
    found, told = judged(better_when_hard, seeds=(4,))
    assert found == []
    assert told[0].startswith("One seed shows no difference")
    found, told = judged(better_when_hard, arms=("none", "paper"))
    assert found == []
    assert "not tested" in told[0]
    assert any("Noise frozen: of 8 comparisons" in s for s in told)


def test_a_search_that_does_not_find_the_generators_own_samples_is_doubted():
    assert any(s.endswith("are found again above 30 dB.") for s in judged(lambda arm, kind: 1e-4)[1])
    assert any("may be of the search" in s for s in judged(better_when_hard)[1])


def test_noise_that_moves_nothing_is_said_to_do_next_to_nothing():
    for change, told in ((0.01, 2), (0.7, 2), (0.72, 0)):  # two draws differ by sqrt(2) of their deviation
        found = judged(better_when_hard, change=change)[1]
        assert sum("does next to nothing" in s for s in found) == told
    assert not any("does next to nothing" in s for s in judged(better_when_hard)[1])


def test_targets_that_noise_made_worse_are_counted():
    told = judged(better_when_hard, gain=-1.0)[1]
    assert sum(f"{3 * 5 * IMAGES} targets got worse" in s for s in told) == 2


def test_differences_are_those_of_a_paired_t_test_over_the_seeds_and_not_over_the_images():
    records = fabricated(better_when_hard, spread=0.1)
    table = {(r["arm"], r["seed"], r["kind"]): r["frozen"] for r in records}
    found = comparisons(records, ARMS, SEEDS)
    assert [(c["against"], c["arm"]) for c in found[:3]] == list(combinations(ARMS, 2))
    assert len(found) == 2 * len(COMPARED_KINDS) * 2 * 3
    for c in (c for c in found if c["noise"] == "frozen"):
        means = [
            [np.mean(table[arm, seed, c["kind"]][c["metric"]]) for seed in SEEDS]
            for arm in (c["arm"], c["against"])
        ]
        expected = stats.ttest_rel(*means)
        assert c["pairs"] == 3
        assert c["p_value"] == pytest.approx(expected.pvalue)
        interval = expected.confidence_interval(0.95)
        assert (c["low"], c["high"]) == pytest.approx((interval.low, interval.high))


def test_an_arm_without_noise_stays_as_it_is_where_others_optimise_theirs():
    records = fabricated(lambda arm, kind: 0.02, spread=0, gain=3.0)
    found = {
        (c["noise"], c["arm"], c["against"]): c["difference"]
        for c in comparisons(records, ARMS, SEEDS)
        if (c["kind"], c["metric"]) == ("off", "mse")
    }
    assert found["frozen", "riemannian", "none"] == pytest.approx(0)
    assert found["optimised", "riemannian", "none"] == pytest.approx(0.02 * (10**-0.3 - 1))
    assert found["optimised", "riemannian", "euclidean"] == pytest.approx(0)


def test_summaries_average_within_seeds_and_then_over_them():
    records = fabricated(better_when_hard, spread=0.1)
    (one,) = [s for s in summaries(records, ARMS, SEEDS) if (s["arm"], s["kind"]) == ("euclidean", "off")]
    mine = [r["frozen"]["mse"] for r in records if (r["arm"], r["kind"]) == ("euclidean", "off")]
    means = np.mean(mine, axis=1)
    assert one["frozen"]["mse"]["mean"] == pytest.approx(means.mean())
    assert one["frozen"]["mse"]["between"] == pytest.approx(means.std(ddof=1))
    assert one["gain"]["mean"] == pytest.approx(1)
    assert (one["found"], one["change"], one["images"]) == (0, 20, IMAGES)


def test_the_error_of_an_occluded_image_is_that_of_its_parts():
    generator = torch.Generator().manual_seed(0)
    images, truth = (torch.rand(3, 1, 16, 16, generator=generator) * 2 - 1 for _ in range(2))
    mask = torch.ones(3, 1, 16, 16)
    mask[:, :, :8, 4:12] = 0
    found = scores_of(images, truth, mask)
    whole = 0.75 * torch.tensor(found["seen"]) + 0.25 * torch.tensor(found["hidden"])
    assert torch.allclose(whole, torch.tensor(found["mse"]), rtol=1e-5)
    assert "seen" not in scores_of(images, truth, None)
    assert scores_of(truth, truth, None)["psnr"] == [200.0] * 3
