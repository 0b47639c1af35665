"""Every experiment on the theory finds what holds, and would find what does not."""

import json
import math
import re
from functools import cache

import pytest
import torch

from riemann_noise_pytorch.experiments.theory import expansions, ranks, skeletons
from riemann_noise_pytorch.experiments.theory import premises as premises_module
from riemann_noise_pytorch.experiments.theory.expansions import theorem2, theorem3
from riemann_noise_pytorch.experiments.theory.expectations import theorem5
from riemann_noise_pytorch.experiments.theory.jacobians import definition1
from riemann_noise_pytorch.experiments.theory.networks import RenderedCodes, chain
from riemann_noise_pytorch.experiments.theory.options import TheoryConfig
from riemann_noise_pytorch.experiments.theory.premises import equation15
from riemann_noise_pytorch.experiments.theory.ranks import lemma1, lemma2
from riemann_noise_pytorch.experiments.theory.skeletons import (
    COMPACT,
    EVEN,
    LEAST_ORDER,
    ORDER_WITHIN,
    theorem4,
)
from riemann_noise_pytorch.experiments.theory.statement import Statement, curve, slope_guide
from riemann_noise_pytorch.experiments.theory.surfaces import Place, places
from riemann_noise_pytorch.experiments.theory.trap import theorem1
from riemann_noise_pytorch.geometry.immersion import Immersion
from riemann_noise_pytorch.geometry.premises import LayerPremises
from riemann_noise_pytorch.geometry.skeleton import Skeleton
from riemann_noise_pytorch.statistics.intervals import Interval

QUICK = TheoryConfig(quick=True)
EXPERIMENTS = {
    "Definition 1": definition1,
    "Lemma 1": lemma1,
    "Lemma 2": lemma2,
    "Theorem 1": theorem1,
    "Theorem 2": theorem2,
    "Theorem 3": theorem3,
    "Theorem 4": theorem4,
    "Theorem 5": theorem5,
    "Eq. 15": equation15,
}


LONG = ("Theorem 2", "Theorem 3", "Eq. 15")
"""Tried in full among the slow tests; here on less."""
each = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in EXPERIMENTS]
)


@cache
def found(name: str) -> Statement:
    return EXPERIMENTS[name](QUICK)


@each
def test_the_statement_is_found_to_hold(name):
    assert found(name).name == name
    assert found(name).holds or name == "Eq. 15"


@pytest.mark.parametrize("experiment", [theorem2, theorem3])
def test_the_exponential_map_is_found_to_hold_on_closed_forms(experiment, monkeypatch):
    monkeypatch.setattr(expansions, "places", lambda seed: places(seed)[:2])
    assert experiment(QUICK).holds


def layer(overlap, features):
    def interval(ends):
        return None if ends is None else Interval(sum(ends) / 2, *ends, 0.95, "bootstrap", 9)

    return LayerPremises(
        "stage4.noise", "paper", (2, 4, 4), interval((0.1, 0.2)), None, 0.25, interval(overlap),
        interval(features), None, 9, 9, "",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("layers", "holds"),
    [
        ([(None, None), ((0.1, 0.2), (0.4, 0.6))], True),
        ([((0.1, 0.2), (0.4, 0.6)), ((0.97, 1.1), (0.4, 0.6))], False),
        ([((0.1, 0.2), (-0.6, -0.1))], False),
        ([((0.2, 0.5), (0.4, 0.6))], None),
        ([((0.1, 0.2), (-0.1, 0.6))], None),
        ([(None, None)], None),
    ],
)
def test_premises_hold_or_break_by_their_intervals(monkeypatch, layers, holds):
    measured = tuple(layer(*one) for one in layers)
    monkeypatch.setattr(premises_module, "premises", lambda *args, **options: measured)
    monkeypatch.setattr(premises_module, "_generator", lambda config: (None, "a generator"))
    statement = equation15(QUICK)
    assert statement.holds is holds
    assert ("no smaller than if" in statement.remark) == any(one[0] == (0.97, 1.1) for one in layers)
    assert ("not large" in statement.remark) == any(one[1] == (-0.6, -0.1) for one in layers)


@each
def test_records_are_json_with_finite_curves(name):
    first, *curves = (json.loads(json.dumps(record, allow_nan=False)) for record in found(name).records())
    assert first["record"] == "statement"
    assert "curves" not in first
    assert len(curves) >= 1
    for one in curves:
        assert one["statement"] == name
        assert len(one["x"]) == len(one["y"]) >= 1


@each
def test_every_number_of_a_statement_is_told_in_words(name):
    one = found(name)
    assert any(letter.isdigit() for letter in one.measured)
    for text in (one.statement, one.experiment, one.measured, one.expected):
        assert text
        assert "\n" not in text


def test_a_surface_with_an_edge_breaks_theorem_3(monkeypatch):
    """|u|^1.5 has no second derivative at 0, and an error of r^1.5."""
    edge = Immersion(lambda u: torch.cat([u, u.square() ** 0.75]), 1, bounds=(-1.0, 1.0))

    def straight(x, v):
        return x + v[..., :1]

    monkeypatch.setattr(edge, "expmap", straight)
    place = Place("edge", edge, torch.full((1,), 1e-9, dtype=torch.float64), 1.0)
    monkeypatch.setattr(expansions, "places", lambda seed: [place])
    assert theorem3(QUICK).holds is False


def test_a_map_that_is_not_undone_breaks_theorem_2(monkeypatch):
    monkeypatch.setattr(expansions, "normal_coordinates", lambda manifold, mu, x: x[:, :2])
    monkeypatch.setattr(expansions, "places", lambda seed: places(seed)[:1])
    assert theorem2(QUICK).holds is False


def test_a_layer_that_adds_dimensions_breaks_lemma_2(monkeypatch):
    class Restart(torch.nn.Module):
        """A skip from the input past the narrow place, as w in StyleGAN."""

        def __init__(self):
            super().__init__()
            self.narrow = torch.nn.Linear(64, 20, dtype=torch.float64)
            self.wide = torch.nn.Linear(84, 128, dtype=torch.float64)

        def forward(self, z):
            return self.wide(torch.cat([self.narrow(z), z], dim=1))

    monkeypatch.setattr(ranks, "chain", lambda seed, widths: Restart())
    statement = lemma2(QUICK)
    assert statement.holds is False
    assert "largest growth" in statement.measured


def test_skeletons_without_tangents_break_theorem_4(monkeypatch):
    """Points alone, without their noise, leave an error of r."""
    monkeypatch.setattr(
        Skeleton, "distance", lambda self, x: torch.cdist(x, self.points).amin(dim=1), raising=True
    )
    monkeypatch.setattr(skeletons, "COMPACT", {"circle": skeletons.COMPACT["circle"]})
    assert theorem4(QUICK).holds is False


def test_the_orders_that_theorem_4_prints_are_those_that_it_asks_for():
    statement = found("Theorem 4")
    printed = re.findall(r"([\d.]+) \(([\w ]+), up to", statement.measured)
    by_name = {name: float(order) for order, name in printed}
    assert by_name.keys() == COMPACT.keys()
    assert all(order >= LEAST_ORDER for order in by_name.values())
    for name in EVEN:
        assert name in statement.expected
        assert abs(by_name[name] - 2) <= ORDER_WITHIN


def test_an_order_that_is_not_two_on_the_circle_breaks_theorem_4(monkeypatch):
    def of_order(self, x):
        return torch.cdist(x, self.points).amin(dim=1) ** 1.7

    monkeypatch.setattr(Skeleton, "distance", of_order)
    for name, holds in (("circle", False), ("flat torus", True)):
        monkeypatch.setattr(skeletons, "COMPACT", {name: COMPACT[name]})
        assert theorem4(QUICK).holds is holds


def test_the_chain_has_the_ranks_that_were_planted():
    ranks_by_depth = next(one.y for one in found("Lemma 2").curves if one.label == "chain")
    assert ranks_by_depth == (64, 64, 64, 48, 48, 20, 20, 20, 20)


def test_rendered_codes_have_uniform_codes_and_the_shape_asked_for():
    generator = RenderedCodes(4, 24, seed=0)
    assert generator(torch.randn(3, 24, dtype=torch.float64)).shape == (3, 1, 16, 16)
    assert generator.directions.shape == (4, 24)
    assert torch.allclose(generator.directions @ generator.directions.mT, torch.eye(4, dtype=torch.float64))


def test_the_chain_is_the_same_for_a_seed_and_another_for_another():
    first, same, other = (chain(seed, (4, 3)) for seed in (0, 0, 1))
    assert torch.equal(first[0].weight, same[0].weight)
    assert not torch.equal(first[0].weight, other[0].weight)


def test_guides_have_their_slope():
    guide = slope_guide(torch.tensor([0.1, 1.0, 10.0]), 2, 5.0)
    assert guide.x == pytest.approx((0.1, 10.0))
    assert guide.y == pytest.approx((5e-4, 5.0))
    assert curve("c", range(3), torch.tensor([1, 2, 3])).y == (1.0, 2.0, 3.0)


def test_theorem_1_shows_the_floor_at_a_small_norm():
    line = next(one for one in found("Theorem 1").curves if one.label == "a line in a square")
    assert line.y[0] > math.log(2) / 2
    assert line.x[0] == pytest.approx(0.3989 * math.hypot(2, 2), rel=0.01)
    assert line.x[-1] == pytest.approx(0.3989 * math.hypot(2, 32), rel=0.01)
