"""From numbers to words: each rule speaks when its numbers say so, and is silent otherwise."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from riemann_noise_pytorch.experiments.diagnosis.findings import Facts, find, lasting_ranks
from riemann_noise_pytorch.experiments.targets import Target
from riemann_noise_pytorch.training.config import TrainConfig, resolve_config


def layer(name, rank, *, effective=None, ambiguous=False, shape=(8, 4, 4), values=None):
    values = torch.ones(max(1, int(rank))) if values is None else values
    return SimpleNamespace(
        shape=shape,
        reports=(SimpleNamespace(rank=int(rank), spectrum=SimpleNamespace(values=values)),),
        name=name,
        rank=float(rank),
        ambiguous=ambiguous,
        effective_rank=float(rank if effective is None else effective),
        stable_rank=2.0,
    )


def profile(*layers, inputs=64, remark=""):
    return SimpleNamespace(layers=layers, inputs=inputs, remark=remark, tolerance="1e-12 of the largest")


def share(name, total, error=0.001, ignored=False):
    kind = "latent" if name == "latent" else "layer"
    return SimpleNamespace(name=name, kind=kind, total=total, total_error=error, ignored=ignored)


def conditions(mean, tail):
    return SimpleNamespace(
        mc=SimpleNamespace(value=mean),
        ttmc=SimpleNamespace(value=tail),
        mc_name="MC (z)",
        ttmc_name="TTMC (z)",
    )


SOUND = Facts(
    target=Target("own.py:net", "callable", torch.nn.Linear(64, 64), 64),
    profile=profile(layer("0", 64), layer("image", 64)),
    joint=None,
    conditions={"z": conditions(0.8, 1.9)},
    attribution=SimpleNamespace(groups=(share("latent", 1.0),), ignores_latent=False),
    data_dimension=9.0,
    sample_dimension=8.0,
    data_estimate=9.0,
    quotient_error=1e-9,
)


def titles(facts, severity=None):
    return [f.title for f in find(facts) if severity in (None, f.severity)]


def test_a_sound_generator_is_told_so_and_nothing_else():
    assert titles(SOUND) == ["the rank reaches the dimension of the data"]
    assert find(SOUND)[0].severity == "good"


def test_a_fall_names_the_layer_the_numbers_and_the_remedy():
    sick = replace(SOUND, profile=profile(layer("0", 64), layer("stage3", 23), layer("image", 23)))
    (fall,) = (f for f in find(sick) if f.severity == "problem")
    assert fall.title == "rank falls from 64 to 23 at stage3"
    assert "inject noise after it" in fall.remedy
    assert fall.command == 'inject(generator, "stage3", "riemannian", strength=0.1, example_input=z)'


def test_the_command_for_a_run_is_a_preset():
    run = Target("runs/x", "run", torch.nn.Linear(64, 64), 64, config=TrainConfig(data="photos"))
    sick = replace(SOUND, target=run, profile=profile(layer("stage4", 23), layer("image", 23)))
    assert find(sick)[0].command == "riemann-noise train --preset dcgan-rni --data photos"


def test_the_command_for_a_run_keeps_its_options_and_changes_its_noise():
    config = resolve_config(
        "dcgan-rni", {"data": "my pictures", "resolution": 32, "kimg": 7.0, "mirror": True}
    )
    run = Target("runs/x", "run", torch.nn.Linear(64, 64), 64, config=config)
    fallen = replace(SOUND, target=run, profile=profile(layer("stage4", 23), layer("image", 23)))
    assert find(fallen)[0].command == (
        "riemann-noise train --preset dcgan-eni --data 'my pictures' --resolution 32 --kimg 7.0 --mirror"
    )
    small = replace(SOUND, target=run, profile=profile(layer("image", 8), inputs=8), data_dimension=12.0)
    assert find(small)[0].command.startswith("riemann-noise train --preset dcgan-rni")
    assert "--z-dim 128" in find(small)[0].command


def test_a_vector_gets_noise_that_vectors_can_have():
    net = torch.nn.Sequential(torch.nn.Linear(64, 23), torch.nn.Linear(23, 64))
    sick = replace(SOUND, target=Target("own.py:net", "callable", net, 64))
    sick = replace(sick, profile=profile(layer("0", 23, shape=(23,)), layer("image", 23)))
    assert find(sick)[0].command == 'inject(generator, "0", "euclidean", strength=0.1, example_input=z)'
    from riemann_noise_pytorch import inject

    namespace = {"inject": inject, "generator": net, "z": torch.zeros(2, 64)}
    exec(find(sick)[0].command, namespace)
    assert "0.noise.a" in net.state_dict()


def test_a_branch_of_few_values_is_no_fall():
    side = profile(layer("conv", 64), layer("torgb", 3), layer("image", 64))
    assert titles(replace(SOUND, profile=side), "problem") == []
    assert lasting_ranks(side.layers) == [64, 64, 64]


def test_a_loss_of_less_than_a_twentieth_is_no_finding():
    assert titles(replace(SOUND, profile=profile(layer("0", 62), layer("image", 61))), "problem") == []
    assert titles(replace(SOUND, profile=profile(layer("image", 60))), "problem") == [
        "rank falls from 64 to 60 at image"
    ]


def test_fewer_dimensions_than_the_data_is_the_trap_unless_noise_fills_it():
    small = replace(
        SOUND, profile=profile(layer("image", 8, shape=(1, 16, 16)), inputs=8), data_dimension=12.0
    )
    assert titles(small, "problem") == ["fewer dimensions than the data"]
    assert "Theorem 1" in find(small)[0].text
    filled = replace(small, joint=profile(layer("image", 200, shape=(1, 16, 16)), inputs=300))
    assert titles(filled, "problem") == []
    assert "noise adds 192 dimensions" in titles(filled, "good")
    part = replace(filled, joint=profile(layer("image", 200), inputs=300, remark="ranks are at least these"))
    assert "noise adds at least 192 dimensions" in titles(part, "good")
    idle = replace(small, joint=profile(layer("image", 8, shape=(1, 16, 16)), inputs=300))
    assert "noise adds no dimension" in titles(idle, "note")
    assert "fewer dimensions than the data" in titles(idle, "problem")


def test_an_estimate_of_many_dimensions_is_no_proof_that_the_rank_suffices():
    many = replace(SOUND, data_dimension=30.0)
    assert titles(many, "good") == []
    assert "the rank reaches the estimated dimension of the data" in titles(many, "note")
    assert titles(replace(many, data_dimension_known=True), "good") == [
        "the rank reaches the dimension of the data"
    ]
    drawn = replace(SOUND, data_dimension=65.0, data_dimension_known=True)
    assert "fewer dimensions than the data" in titles(drawn, "problem")


def test_one_dimension_that_a_norm_takes_is_no_finding():
    assert titles(replace(SOUND, profile=profile(layer("image", 7), inputs=8)), "problem") == [
        "fewer dimensions than the data"
    ]


def test_noise_on_an_image_that_is_full_is_not_blamed():
    full = replace(SOUND, joint=profile(layer("image", 64, shape=(1, 8, 8)), inputs=300))
    assert all("noise adds no" not in title for title in titles(full))


def test_an_ignored_latent_is_no_fall():
    deaf = replace(SOUND, profile=profile(layer("a", 0), layer("image", 0)), data_dimension=None)
    assert titles(deaf, "problem") == []


def test_roundings_have_no_tail():
    assert titles(replace(SOUND, conditions={"z": conditions(1e-12, 1e-10)}), "note") == []


def test_an_ignored_latent_and_ignored_noise_are_named():
    deaf = SimpleNamespace(groups=(share("latent", 0.0, 0.0, True), share("n1", 1.0)), ignores_latent=True)
    assert "the generator ignores its latent" in titles(replace(SOUND, attribution=deaf), "problem")
    idle = SimpleNamespace(
        groups=(share("latent", 1.0), share("n1", 0.0, 0.0, True), share("n2", 2e-4, 1e-4), share("n3", 0.1)),
        ignores_latent=False,
    )
    (found,) = (f for f in find(replace(SOUND, attribution=idle)) if "ignored" in f.title)
    assert found.title == "2 of 3 noise layers are ignored"
    assert "n1" in found.text
    assert "n2" in found.text
    assert "n3" not in found.text
    loud = SimpleNamespace(groups=(share("latent", 0.3), share("n1", 0.8)), ignores_latent=False)
    assert "noise outweighs the latent" in titles(replace(SOUND, attribution=loud), "note")


@pytest.mark.parametrize(
    ("change", "title"),
    [
        ({"conditions": {"z": conditions(0.5, 5.0)}}, "a heavy tail of condition numbers in z"),
        ({"quotient_error": 1.0}, "the derivative is not that of the function"),
        (
            {"profile": profile(layer("image", 64, values=torch.tensor([1.0] * 63 + [1e-9])))},
            "1 directions hardly move the image",
        ),
        ({"sample_dimension": 3.0}, "samples have fewer dimensions than the data"),
        ({"profile": profile(layer("image", 64, effective=9))}, "most of the change lies in few directions"),
        (
            {"profile": profile(layer("a", 64, ambiguous=True), layer("image", 64))},
            "the rank is not clear-cut at 1 of 2 layers",
        ),
        (
            {"profile": profile(layer("image", 64), remark="in float32, for it is a function")},
            "not in float64",
        ),
    ],
)
def test_each_sign_is_named(change, title):
    assert title in titles(replace(SOUND, **change))
    assert title not in titles(SOUND)


def test_nothing_is_said_of_what_was_not_measured():
    bare = replace(SOUND, conditions={}, attribution=None, data_dimension=None, sample_dimension=None)
    bare = replace(bare, data_estimate=None, quotient_error=None)
    assert find(bare) == ()


def test_problems_come_first():
    sick = replace(
        SOUND, profile=profile(layer("a", 20, ambiguous=True), layer("image", 20)), data_dimension=9.5
    )
    assert [f.severity for f in find(sick)] == ["problem", "note", "good"]
