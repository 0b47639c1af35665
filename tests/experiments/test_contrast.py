"""Laws of what measurements show."""

import pytest

from riemann_noise_pytorch.experiments.contrast import contrast


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
    detectable = of(records, "comparison")[0]["smallest_detectable"]
    assert "no difference shown between euclidean and none" in sentences[1]
    assert f"({detectable:.3g})" in sentences[1]


def test_one_seed_makes_no_claim():
    records = contrast(measurements({"none": [1.0], "euclidean": [9.0]}), ["none", "euclidean"], [0])
    assert of(records, "comparison") == []
    assert of(records, "summary")[0]["between"] is None
    assert "One seed shows no difference" in of(records, "verdict")[0]["sentences"][0]


def test_one_arm_has_nothing_to_be_compared_with():
    records = contrast(measurements({"none": [1.0, 2.0]}), ["none"], range(2))
    assert "nothing to be compared with" in of(records, "verdict")[0]["sentences"][0]
