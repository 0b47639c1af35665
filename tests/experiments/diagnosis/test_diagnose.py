"""A diagnosis from end to end, on networks so small that each of its parts takes no time."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from riemann_noise_pytorch import EuclideanNoise
from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.experiments.diagnosis import diagnose as module
from riemann_noise_pytorch.experiments.diagnosis.diagnose import diagnose
from riemann_noise_pytorch.experiments.diagnosis.options import DiagnoseConfig
from riemann_noise_pytorch.experiments.targets import Target, open_target

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
    assert all(value >= condition["mc"] / 10 for value in condition["local"])
    assert len([r for r in records if r["record"] == "finding"]) == len(found.findings)


def test_every_part_tells_how_far_it_is(narrow):
    _, _, stages, _ = narrow
    last = {stage: (done, total) for stage, done, total in stages}
    assert {"rank by depth", "rank of latent and noise", "condition in z", "attribution"} < set(last)
    assert all(done == total for done, total in last.values())


def test_local_values_bound_what_random_pairs_find(tmp_path):
    scale = torch.arange(1.0, 9.0)
    found = diagnose(target_of(lambda z: (z * scale).view(-1, 1, 2, 4)), QUICK, out=tmp_path)
    condition = next(r for r in read(tmp_path) if r["record"] == "condition")
    assert condition["log_condition"] == pytest.approx([2 * torch.log(torch.tensor(8.0)).item()] * 2)
    assert found.facts.profile.layers[-1].norm == pytest.approx(8, rel=1e-6)
    assert all(float(v) <= 8.001 for v in found.facts.conditions["z"].values)


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


def test_a_short_budget_is_kept_and_told(tmp_path):
    said = []
    config = DiagnoseConfig(budget=1e-4, data="digits", resolution=8)
    found = diagnose(target_of(Narrow()), config, out=tmp_path, say=said.append)
    assert "1,000 of 50,000 pairs" in said[0]
    assert "--budget" in said[0]
    assert len(found.facts.conditions["z"].values) == 1000


def test_samples_without_a_dimension_are_left_out_and_told(tmp_path):
    said = []
    flat = nn.Sequential(nn.Linear(8, 64), nn.Unflatten(1, (1, 8, 8)))
    with torch.no_grad():
        flat[0].weight.mul_(1e-9)
    diagnose(target_of(flat), QUICK, out=tmp_path, say=said.append)
    assert any(line.startswith("the dimension of the samples is left out") for line in said)


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
