"""Laws of what measurements show."""

import pytest

from riemann_noise_pytorch.experiments.contrast import contrast, noise_use


def measurements(values: dict[str, list[float]], metric: str = "swd") -> list[dict]:
    return [
        {
            "record": "measurement",
            "arm": arm,
            "seed": seed,
            "metric": metric,
            "name": "distance",
            "value": value,
            "low": value - 1,
            "high": value + 3,
        }
        for arm, row in values.items()
        for seed, value in enumerate(row)
    ]


def of(records: list[dict], kind: str) -> list[dict]:
    return [record for record in records if record["record"] == kind]


def test_the_two_spreads_are_kept_apart():
    records = contrast(measurements({"none": [1.0, 2.0, 6.0]}), ["none"], range(3))
    (summary,) = of(records, "summary")
    assert summary["mean"] == pytest.approx(3)
    assert summary["within"] == pytest.approx(2)
    assert summary["between"] == pytest.approx(7**0.5)


def test_arms_are_paired_by_seed():
    values = {"none": [10.0, 20.0, 30.0], "euclidean": [9.0, 19.1, 28.9]}
    records = contrast(measurements(values), list(values), range(3))
    (comparison,) = of(records, "comparison")
    assert comparison["difference"] == pytest.approx(-1.0)
    assert comparison["high"] < 0
    assert comparison["shown"]
    (verdict,) = of(records, "verdict")
    assert "euclidean is lower than none by 1" in verdict["sentences"][1]


def test_no_difference_is_said_with_what_could_have_been_seen():
    values = {"none": [1.0, 2.0, 3.0], "euclidean": [3.0, 1.0, 2.5], "riemannian": [2.0, 2.0, 2.0]}
    records = contrast(measurements(values), list(values), range(3))
    assert len(of(records, "comparison")) == 3
    sentences = of(records, "verdict")[0]["sentences"]
    assert sentences[0].startswith("Of 3 comparisons over 3 seeds, 0 show a difference")
    detectable = sorted(record["smallest_detectable"] for record in of(records, "comparison"))
    assert "no difference shown between euclidean and none, riemannian and none" in sentences[1]
    assert f"is {detectable[0]:.2g} to {detectable[-1]:.2g}, by pair" in sentences[1]


def test_one_seed_makes_no_claim():
    records = contrast(measurements({"none": [1.0], "euclidean": [9.0]}), ["none", "euclidean"], [0])
    assert of(records, "comparison") == []
    assert of(records, "summary")[0]["between"] is None
    assert "One seed shows no difference" in of(records, "verdict")[0]["sentences"][0]


def test_one_arm_has_nothing_to_be_compared_with():
    records = contrast(measurements({"none": [1.0, 2.0]}), ["none"], range(2))
    assert "nothing to be compared with" in of(records, "verdict")[0]["sentences"][0]


def test_noise_that_was_turned_off_is_said_so():
    runs = [
        {"arm": "none", "strengths": {}, "initial_strengths": {}},
        {"arm": "euclidean", "strengths": {"a": 0.009}, "initial_strengths": {"a": 0.1}},
        {"arm": "riemannian", "strengths": {"a": 0.009, "b": 0.2}, "initial_strengths": {"a": 0.1, "b": 0.1}},
    ]
    euclidean, riemannian = noise_use(runs)
    assert euclidean.startswith("euclidean noise: its strength went from 0.1 to between 0.009 and 0.009")
    assert euclidean.endswith("the generators turned it off.")
    assert riemannian.endswith("between 0.009 and 0.2 over layers and seeds.")
