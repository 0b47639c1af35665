"""A diagnosis from end to end, on networks so small that each of its parts takes no time."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from riemann_noise_pytorch import EuclideanNoise
from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.experiments.diagnosis import diagnose as module
from riemann_noise_pytorch.experiments.diagnosis import stages
from riemann_noise_pytorch.experiments.diagnosis.diagnose import diagnose
from riemann_noise_pytorch.experiments.diagnosis.options import DiagnoseConfig
from riemann_noise_pytorch.experiments.targets import Target, open_target
from riemann_noise_pytorch.geometry.condition import condition_number
from riemann_noise_pytorch.geometry.still import still
from riemann_noise_pytorch.noise.pairs import counted_normal
from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.training.config import TrainConfig

QUICK = DiagnoseConfig(num_latents=2, pairs=100, samples=64, data="digits", resolution=8)


class Narrow(nn.Module):
    """8 latents, of which 3 get through, and noise behind that."""

    z_dim = 8

    def __init__(self, strength=0.1):
        super().__init__()
        torch.manual_seed(0)
        self.neck = nn.Linear(8, 3)
        self.wide = nn.Sequential(nn.Linear(3, 64), nn.Unflatten(1, (1, 8, 8)))
        self.noise = EuclideanNoise(strength=strength)

    def forward(self, z):
        return torch.tanh(self.noise(self.wide(self.neck(z))))


def target_of(generator, z_dim=8):
    return Target("own.py:net", "callable", generator, z_dim)


def read(folder: Path):
    return [json.loads(line) for line in (folder / "diagnosis.jsonl").read_text().splitlines()]


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    """Dimensions of fewer images, for speed."""
    monkeypatch.setattr(stages, "DIMENSION_IMAGES", 300)


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    out = tmp_path_factory.mktemp("diagnosis")
    stages, said = [], []
    found = diagnose(
        target_of(Narrow()),
        QUICK,
        out=out,
        report=lambda stage, done, total: stages.append((stage, done, total)),
        say=said.append,
    )
    return out, found, stages, said


def test_a_bottleneck_is_found_and_what_noise_adds(narrow):
    _, found, _, said = narrow
    titles = [finding.title for finding in found.findings]
    assert "rank falls from 8 to 3 at neck" in titles
    assert found.facts.profile.layers[-1].rank == 3
    assert found.facts.joint.layers[-1].rank == 64
    assert "noise adds 61 dimensions" in titles
    assert said == []


def test_records_and_tensors_have_what_was_measured(narrow):
    out, found, _, _ = narrow
    records, tensors = read(out), load_file(out / "diagnosis.safetensors")
    kinds = [record["record"] for record in records]
    assert kinds[0] == "setup"
    assert {"profile", "layer", "condition", "share", "dimension", "finding", "sample"} < set(kinds)
    assert records[0]["target"]["z_dim"] == 8
    assert records[0]["image_shape"] == [1, 8, 8]
    assert records[0]["work"]["pairs"] == 100
    neck = next(r for r in records if r["record"] == "layer" and r["name"] == "neck" and not r["joint"])
    assert neck["rank"] == [3, 3]
    assert tensors["spectrum/z/neck"].shape == (2, 3)
    assert tensors["spectrum/joint/image"].shape == (2, 64)
    assert tensors["condition/z"].shape == (100,)
    assert tensors["attribution/noise"].shape == (8, 8)
    assert tensors["samples"].dtype == torch.uint8
    condition = next(r for r in records if r["record"] == "condition")
    assert len(condition["local"]) == 2
    assert condition["quotient_error"] < 1e-4
    assert len([r for r in records if r["record"] == "finding"]) == len(found.findings)


def test_every_part_tells_how_far_it_is(narrow):
    _, _, stages, _ = narrow
    last = {stage: (done, total) for stage, done, total in stages}
    assert {"rank by depth", "rank of latent and noise", "condition in z", "attribution"} < set(last)
    assert all(done == total for done, total in last.values())


def local_latent(index):
    return counted_normal(derive(QUICK.seed, "local latents"), index, (1, 8))[0]


def test_no_small_step_at_a_latent_is_worse_than_its_exact_condition(narrow):
    out, _, _, _ = narrow
    exact = next(r for r in read(out) if r["record"] == "condition")["local"]
    for index, bound in enumerate(exact):
        z = local_latent(index)
        steps = 1e-6 * counted_normal(1, 0, (200, 8))
        with still(Narrow(), seed=QUICK.seed) as net, torch.no_grad():
            image = net.at(index)(z)
            moved = torch.stack([net.at(index)(z + step) for step in steps])
        found = condition_number(z.expand(200, 8), steps, image.expand_as(moved), moved)
        assert float(found.max()) <= bound * (1 + 1e-4)
        assert float(found.max()) >= bound / 3


def test_local_values_of_a_linear_map_are_those_of_the_closed_form(tmp_path):
    scale = torch.arange(1.0, 9.0)
    found = diagnose(target_of(lambda z: (z * scale).view(-1, 1, 2, 4)), QUICK, out=tmp_path)
    condition = next(r for r in read(tmp_path) if r["record"] == "condition")
    assert condition["log_condition"] == pytest.approx([2 * torch.log(torch.tensor(8.0)).item()] * 2)
    assert found.facts.profile.layers[-1].norm == pytest.approx(8, rel=1e-6)
    expected = [8 * z.norm() / (z * scale).norm() for z in map(local_latent, range(2))]
    assert condition["local"] == pytest.approx([float(value) for value in expected], rel=1e-9)
    assert found.facts.quotient_error == condition["quotient_error"] < 1e-2


def test_parts_are_on_disk_when_a_later_one_fails(tmp_path, monkeypatch):
    def failing(*_, **__):
        raise InputError("stopped here; go on")

    monkeypatch.setattr(module, "attribution", failing)
    with pytest.raises(InputError, match="stopped here"):
        diagnose(target_of(Narrow()), QUICK, out=tmp_path)
    kinds = {record["record"] for record in read(tmp_path)}
    assert {"setup", "profile", "layer", "condition"} <= kinds
    assert "share" not in kinds
    assert "condition/z" in load_file(tmp_path / "diagnosis.safetensors")


def test_without_data_the_rest_is_measured(tmp_path):
    said = []
    found = diagnose(
        target_of(Narrow()), DiagnoseConfig(pairs=100, samples=64), out=tmp_path, say=said.append
    )
    assert found.facts.data_dimension is None
    assert found.facts.sample_dimension is not None
    assert len(said) == 1
    assert "give --data" in said[0]


def test_a_short_budget_is_kept_and_told(tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "DIMENSION_IMAGES", 5000)
    said = []
    config = DiagnoseConfig(budget=1e-4, data="digits", resolution=8)
    found = diagnose(target_of(Narrow()), config, out=tmp_path, say=said.append)
    assert "1,000 of 50,000 pairs" in said[0]
    assert "--budget" in said[0]
    assert len(found.facts.conditions["z"].values) == 1000
    assert "500 of 1,797 images for the dimension" in said[0]
    counts = [r["count"] + r["repeated"] for r in read(tmp_path) if r["record"] == "dimension"]
    assert counts == [500] * 4


def test_samples_without_a_dimension_are_left_out_and_told(tmp_path):
    said = []
    flat = nn.Sequential(nn.Linear(8, 64), nn.Unflatten(1, (1, 8, 8)))
    with torch.no_grad():
        flat[0].weight.mul_(1e-9)
    diagnose(target_of(flat), QUICK, out=tmp_path, say=said.append)
    told = next(line for line in said if line.startswith("the dimension of the samples is left out"))
    assert "only 1 of 300 differ, and the others repeat them" in told
    records = (json.loads(line) for line in (tmp_path / module.RECORDS).read_text().splitlines())
    assert [record["text"] for record in records if record["record"] == "remark"] == said


class Sleeper(Narrow):
    """A millisecond an image."""

    def forward(self, z):
        time.sleep(0.001 * len(z))
        return super().forward(z)


def test_the_whole_ends_about_when_the_budget_does(tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "DIMENSION_IMAGES", 5000)
    quick = DiagnoseConfig(pairs=100, samples=32, joint=False, num_latents=1, budget=0.02)
    found = diagnose(target_of(Sleeper()), quick, out=tmp_path)
    assert found.seconds < 3.5  # of 1.2 asked for; 5,000 images alone would take 5


@pytest.mark.parametrize(("joint", "told"), [(True, "the noise of 'noise' has several sizes"), (False, None)])
def test_noise_that_is_no_variable_costs_the_joint_rank_alone(tmp_path, joint, told):
    class Twice(Narrow):
        def forward(self, z):
            small = self.noise(self.neck(z).view(-1, 1, 1, 3))
            return torch.tanh(self.noise(self.wide(small.flatten(1))))

    said = []
    config = replace(QUICK, joint=joint, num_latents=1)
    found = diagnose(target_of(Twice()), config, out=tmp_path, say=said.append)
    assert found.facts.joint is None
    assert found.facts.attribution is not None
    assert [line for line in said if "joint" in line] == (
        [line for line in said if f"the joint rank of latent and noise is left out: {told}" in line]
    )
    assert len(said) == joint


def test_a_joint_rank_that_fails_is_left_out(tmp_path, monkeypatch):
    whole = module.rank_profile

    def failing(*arguments, joint, **options):
        if joint:
            raise InputError("the noise cannot be followed; leave it out")
        return whole(*arguments, joint=joint, **options)

    monkeypatch.setattr(module, "rank_profile", failing)
    said = []
    found = diagnose(target_of(Narrow()), QUICK, out=tmp_path, say=said.append)
    assert found.facts.joint is None
    assert said == [
        "the joint rank of latent and noise is left out: the noise cannot be followed; leave it out"
    ]
    assert found.findings


def test_a_last_layer_of_zeros_is_diagnosed_without_conditions(tmp_path):
    net = nn.Sequential(nn.Linear(8, 64), nn.Unflatten(1, (1, 8, 8)))
    for parameter in net.parameters():
        nn.init.zeros_(parameter)
    said = []
    found = diagnose(target_of(net), QUICK, out=tmp_path, say=said.append)
    assert found.facts.conditions == {}
    assert "the generator ignores its latent" in [finding.title for finding in found.findings]
    assert any(line.startswith("the exact condition at single latents is left out") for line in said)
    assert any(line.startswith("the condition in z is left out") for line in said)


def test_values_far_from_an_image_are_told_once(tmp_path):
    said = []
    bright = nn.Sequential(nn.Linear(8, 64), nn.Unflatten(1, (1, 8, 8)))
    nn.init.constant_(bright[0].bias, 9.0)
    diagnose(target_of(bright), QUICK, out=tmp_path, say=said.append)
    assert sum("images are taken to be in [-1, 1]" in line for line in said) == 1


def test_a_run_whose_images_have_moved_is_diagnosed_without_them(tmp_path):
    said = []
    run = replace(target_of(Narrow()), config=TrainConfig(data=str(tmp_path / "gone.zip")))
    found = diagnose(run, replace(QUICK, data=None, resolution=None), out=tmp_path, say=said.append)
    assert found.facts.data_dimension is None
    assert found.facts.sample_dimension is not None
    assert len(said) == 1
    assert "the dimension of the data is left out" in said[0]
    assert "gone.zip" in said[0]
    with pytest.raises(InputError, match=r"moved\.zip"):
        diagnose(run, replace(QUICK, data=str(tmp_path / "moved.zip")), out=tmp_path)


def test_the_dimension_of_drawn_images_is_known(tmp_path):
    config = replace(QUICK, data="manifold-3", resolution=16)
    facts = diagnose(target_of(Narrow()), config, out=tmp_path).facts
    assert (facts.data_dimension, facts.data_dimension_known) == (3, True)
    assert facts.data_estimate == pytest.approx(3, rel=0.3)


def test_of_other_images_the_larger_estimate_counts(narrow):
    out, found, _, _ = narrow
    data = [r["value"] for r in read(out) if r["record"] == "dimension" and r["what"] == "data"]
    assert found.facts.data_dimension == max(data)
    assert (found.facts.data_estimate, found.facts.data_dimension_known) == (data[0], False)


def test_no_old_page_stays_beside_new_records(tmp_path, monkeypatch):
    def failing(*_, **__):
        raise InputError("stopped here; go on")

    monkeypatch.setattr(module, "rank_profile", failing)
    (tmp_path / "diagnosis.html").write_text("of another network")
    with pytest.raises(InputError, match=r"returns|fails"):
        diagnose(target_of(lambda z: z), QUICK, out=tmp_path)
    assert (tmp_path / "diagnosis.html").exists()
    with pytest.raises(InputError, match="stopped here"):
        diagnose(target_of(Narrow()), QUICK, out=tmp_path)
    assert not (tmp_path / "diagnosis.html").exists()
    (tmp_path / "diagnosis.html").mkdir()
    with pytest.raises(InputError, match=r"cannot replace .*diagnosis\.html"):
        diagnose(target_of(Narrow()), QUICK, out=tmp_path)


def test_a_trained_stylegan2_has_conditions_in_z_and_w(tmp_path):
    from riemann_noise_pytorch.data import open_images
    from riemann_noise_pytorch.training.config import resolve_config
    from riemann_noise_pytorch.training.loop import train

    small = {"resolution": 8, "z_dim": 8, "w_dim": 8, "mapping_layers": 1, "channel_max": 4, "batch": 4}
    config = resolve_config("stylegan2-rni-small", {**small, "kimg": 0.008, "tick_kimg": 0.008})
    train(config, open_images("digits", resolution=8), tmp_path / "run")
    options = DiagnoseConfig(num_latents=1, pairs=100, samples=32)
    found = diagnose(open_target(str(tmp_path / "run")), options, out=tmp_path / "out")
    assert set(found.facts.conditions) == {"z", "w"}
    assert found.facts.profile.z_dim == 8
    assert found.facts.data_dimension is not None
    assert {group.name for group in found.facts.attribution.groups} > {"latent"}


class Whole(nn.Module):
    z_dim = 8

    def forward(self, z):
        return (z.view(-1, 1, 2, 4) * 9).round().int()


class Rounded(nn.Module):
    z_dim = 8

    def forward(self, z):
        return z.round().view(-1, 1, 2, 4)


class Deaf(nn.Module):
    """Shows its noise alone."""

    z_dim = 8

    def __init__(self):
        super().__init__()
        self.noise = EuclideanNoise(strength=1.0)

    def forward(self, z):
        return self.noise(0 * z.view(-1, 1, 2, 4))


class NotANumber(nn.Module):
    z_dim = 8

    def forward(self, z):
        return z.view(-1, 1, 2, 4).sqrt()


class Detached(nn.Module):
    z_dim = 8

    def forward(self, z):
        return z.detach().view(-1, 1, 2, 4)


@pytest.mark.parametrize(
    ("generator", "z_dim", "told"),
    [
        (Whole(), 8, "float"),
        (Detached(), 8, "no derivative"),
        (Rounded(), 8, "rounded or thresholded"),
        (Narrow(), 9, "own.py:net|8"),
        (lambda: None, 8, "fails on|does not take"),
        (lambda z, extra: z, 8, "fails on|does not take"),
    ],
)
def test_what_cannot_be_diagnosed_is_refused_in_one_line(tmp_path, generator, z_dim, told):
    with pytest.raises(InputError, match=told) as refused:
        diagnose(target_of(generator, z_dim), QUICK, out=tmp_path)
    assert "\n" not in str(refused.value)


def test_a_generator_that_ignores_its_latent_is_named(tmp_path):
    found = diagnose(target_of(Deaf()), QUICK, out=tmp_path)
    assert found.findings[0].severity == "problem"
    assert "the generator ignores its latent" in [finding.title for finding in found.findings]


def test_the_image_is_looked_at_whatever_the_layers(tmp_path):
    config = DiagnoseConfig(layers="neck", pairs=100, samples=64, num_latents=1, data="digits", resolution=8)
    found = diagnose(target_of(Narrow()), config, out=tmp_path)
    assert [layer.name for layer in found.facts.profile.layers] == ["neck", "image"]


def test_images_that_are_not_finite_stop_it(tmp_path):
    with pytest.raises(NonFiniteError, match=r"not finite|NaN"):
        diagnose(target_of(NotANumber()), QUICK, out=tmp_path)


def test_layers_that_match_nothing_are_refused_with_the_nearest(tmp_path):
    config = DiagnoseConfig(layers="nek", pairs=100, samples=64, data="digits", resolution=8)
    with pytest.raises(InputError, match="neck"):
        diagnose(target_of(Narrow()), config, out=tmp_path)


def test_a_set_of_images_is_no_generator(tmp_path):
    with pytest.raises(InputError, match="digits is a set of images; give a generator"):
        diagnose(Target("digits", "images"), QUICK, out=tmp_path)
