"""The verdicts of the success rates of inversion, on records of known numbers."""

import importlib.util
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "inversion_rates.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("inversion_rates", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARK.parent))
        spec.loader.exec_module(module)
    return module


def rate(above, seconds):
    found = {"above": above, "images": 64, "restarts": 16, "s": seconds}
    return {"record": "rate", "generator": "dcgan", "space": "z"} | found


@pytest.mark.parametrize(
    ("above", "seconds", "near", "soon"),
    [
        (61, 599.0, "holds", "holds"),
        (60, 599.0, "does not hold", "holds"),
        (64, 601.0, "holds", "does not hold"),
    ],
)
def test_share_and_time_are_judged(above, seconds, near, soon, benchmark):
    (told,) = benchmark.verdicts([rate(above, seconds)])
    share = round(100 * above / 64)
    assert told == (
        f"dcgan, z: {share} % of 64 above 30 dB from 16 starts in {seconds:.0f} s; at least 95 % {near}, at "
        f"most 600 s {soon}."
    )


@pytest.mark.parametrize(("loss", "told"), [(0.0, "on no"), (9e-4, "on no"), (1.1e-3, "on 1 of 2")])
def test_a_psnr_that_is_lower_by_rounding_alone_is_not_lower(loss, told, benchmark):
    record = {
        "record": "gain",
        "generator": "dcgan-eni",
        "images": 2,
        "without": [20.0, 30.0],
        "with": [20.0 - loss, 31.0],
        "strengths": {"a": 0.1, "b": 0.0},
    }
    (sentence,) = benchmark.verdicts([record])
    assert f"by more than 0.001 dB of rounding, {told} image" in sentence
    assert sentence.endswith("learned strength near 0 in 1 of 2 layers.")
