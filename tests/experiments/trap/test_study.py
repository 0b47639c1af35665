"""Laws of the experiment on the dimension trap, on trainings of a few steps."""

import dataclasses
import itertools

import pytest
import torch

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.records import read_records
from riemann_noise_pytorch.experiments.trap.arm import sample_dimensions
from riemann_noise_pytorch.experiments.trap.options import TrapConfig
from riemann_noise_pytorch.experiments.trap.study import dimension_trap
from riemann_noise_pytorch.report.trap import read_trap, trap_table
from riemann_noise_pytorch.report.trap_figures import write_trap_figure

TINY = TrapConfig(
    dimension=16, z_dims=(3, 16), noise=("none", "euclidean"), seeds=1, kimg=0.64, width=4, images=400,
    epochs=1, latents=1, workers=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("trap") / "out"
    dimension_trap(TINY, out)
    return out


def of(records, kind):
    return [record for record in records if record["record"] == kind]


def test_every_generator_has_its_rank_norms_divergence_and_dimension(finished):
    records = read_records(finished / "records.jsonl")
    arms = of(records, "arm")
    about = [(arm["z_dim"], arm["noise"]) for arm in arms]
    assert about == [(3, "none"), (3, "euclidean"), (16, "none"), (16, "euclidean")]
    for arm in arms:
        assert arm["rank"] == arm["z_dim"]
        assert (arm["joint_rank"] is None) == (arm["noise"] == "none")
        assert 0 <= arm["js"]["value"] <= 0.6932
        mine = [r for r in of(records, "norm") if (r["z_dim"], r["noise"]) == (arm["z_dim"], arm["noise"])]
        assert [round(r["kimg"], 2) for r in mine] == [round(0.064 * i, 2) for i in range(11)]
        methods = [
            r["method"]
            for r in of(records, "dimension")
            if r["what"] == "samples" and (r["z_dim"], r["noise"]) == (arm["z_dim"], arm["noise"])
        ]
        assert methods == ["MLE, k = 20", "TwoNN"]
    trapped = [arm for arm in arms if arm["z_dim"] == 3 and arm["noise"] == "none"]
    assert all(arm["case"] != "no premise" for arm in trapped)


def test_the_data_are_measured_alike_and_are_no_further_from_themselves_than_nothing(finished):
    (data,) = of(read_records(finished / "records.jsonl"), "data")
    assert data["name"] == "manifold-16"
    assert data["js"]["low"] <= 0


def test_samples_of_a_collapsed_generator_have_no_dimension_and_end_nothing():
    assert sample_dimensions(torch.zeros(400, 1, 16, 16, dtype=torch.uint8), lambda *stage: None) == []


def test_the_rank_falls_with_depth_but_never_grows(finished):
    trap = read_trap(finished)
    for z_dim, noise in trap.kinds:
        ranks = [layer.rank for layer in trap.layers if (layer.z_dim, layer.noise) == (z_dim, noise)]
        assert len(ranks) > 4
        assert all(later <= earlier for earlier, later in itertools.pairwise(ranks))


def test_the_table_and_the_figure_show_every_kind(finished, tmp_path):
    trap = read_trap(finished)
    table = trap_table(trap)
    assert next(row[:3] for row in table.rows) == ["3", "no noise", "3"]
    assert len(table.rows) == 4
    svg = write_trap_figure(trap, tmp_path).read_text()
    assert svg.startswith("<svg")
    for words in ("Rank by depth", "Norm of the Jacobian", "z_dim 16", "Euclidean"):
        assert words in svg
    assert len(trap.sentences) == 4


def test_a_finished_experiment_is_resumed_without_work(finished):
    events = []
    dimension_trap(TINY, finished, resume=True, on_progress=events.append)
    assert events == []


def test_other_options_are_refused_on_resume(finished):
    with pytest.raises(InputError, match=r"experiment in .* was started with another kimg"):
        dimension_trap(dataclasses.replace(TINY, kimg=1.0), finished, resume=True)


def test_a_folder_with_something_in_it_is_refused(tmp_path):
    (tmp_path / "precious.txt").write_text("data")
    with pytest.raises(InputError, match="not empty"):
        dimension_trap(TINY, tmp_path)
    with pytest.raises(InputError, match="no experiment to resume"):
        dimension_trap(TINY, tmp_path / "nowhere", resume=True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"z_dims": ()}, "--z-dims is none given"),
        ({"z_dims": (8, 8)}, "each once"),
        ({"noise": ("riemanian",)}, "did you mean 'riemannian'"),
        ({"z_dims": (0,)}, "z_dim"),
        ({"seeds": 0}, "--seeds is 0; give 1 or more"),
        ({"images": 399}, "give 400 or more"),
        ({"dimension": 0}, "--dimension is 0"),
        ({"dimension": 65, "resolution": 16}, "1 to 64 in images of 16x16"),
        ({"kimg": -1.0}, "kimg"),
        ({"resolution": 20}, "resolution 20 does not fit a DCGAN"),
    ],
)
def test_options_that_cannot_be_used_are_refused_before_anything_is_written(tmp_path, changes, words):
    with pytest.raises(InputError, match=words):
        dimension_trap(dataclasses.replace(TINY, **changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()
