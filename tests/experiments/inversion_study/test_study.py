"""Laws of the study of inversion, on the generators of a tiny comparison."""

import dataclasses
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments import resumable
from riemann_noise_pytorch.experiments.artifacts import latents
from riemann_noise_pytorch.experiments.inversion_study import arm as study_arm
from riemann_noise_pytorch.experiments.inversion_study import study as whole_study
from riemann_noise_pytorch.experiments.inversion_study.arm import StudyPart, run_part, samples_of
from riemann_noise_pytorch.experiments.inversion_study.options import InversionStudyConfig
from riemann_noise_pytorch.experiments.inversion_study.recipes import latent_recipe, noise_recipe
from riemann_noise_pytorch.experiments.inversion_study.study import inversion_study, read_comparison_runs
from riemann_noise_pytorch.experiments.inversion_study.targets import KINDS, OCCLUDED, PLAIN, SELF
from riemann_noise_pytorch.experiments.pool import Event
from riemann_noise_pytorch.experiments.records import read_records
from riemann_noise_pytorch.inversion.recipes import Stage
from riemann_noise_pytorch.inversion.reconstruction import reconstruct
from riemann_noise_pytorch.inversion.task import told_terms
from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.training.checkpoints import load_generator
from tests.experiments.tiny_comparison import ARMS, SEEDS, tiny_comparison

TINY = InversionStudyConfig(images=3, restarts=2, steps=6, noise_steps=6, batch=4)


def run_here(tasks, workers, threads, on_event):
    for task in tasks:
        task.function(*task.arguments, lambda *stage, name=task.name: on_event(Event(name, *stage)))
        on_event(Event(task.name, "finished", 1, 1))


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    monkeypatch.setattr(resumable, "run_tasks", run_here)


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    return tiny_comparison(tmp_path_factory.mktemp("comparison") / "out")


@pytest.fixture(scope="module")
def finished(comparison, tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resumable, "run_tasks", run_here)
        inversion_study(comparison, TINY, out)
    return out


def of(folder, kind):
    return [record for record in read_records(folder / "records.jsonl") if record["record"] == kind]


def test_every_generator_has_the_scores_of_every_image_of_every_kind(finished):
    scores = of(finished, "scores")
    assert {(s["arm"], s["seed"], s["kind"]) for s in scores} == {
        (arm, seed, kind) for arm in ARMS for seed in SEEDS for kind in KINDS
    }
    for one in scores:
        names = {"mse", "psnr", "pyramid"} | ({"seen", "hidden"} if one["kind"] == OCCLUDED else set())
        assert (one["optimised"] is None) == (one["change"] is None) == (one["arm"] == "none")
        for found in filter(None, (one["frozen"], one["optimised"])):
            assert {name: len(values) for name, values in found.items()} == dict.fromkeys(names, 3)


def test_noise_is_never_worse_optimised_than_frozen_where_it_is_seen(finished):
    for one in (s for s in of(finished, "scores") if s["optimised"] is not None):
        score = "seen" if one["kind"] == OCCLUDED else "mse"
        pairs = zip(one["frozen"][score], one["optimised"][score], strict=True)
        assert all(after <= before * (1 + 1e-5) for before, after in pairs)
    assert {s["gain"]["worse"] for s in of(finished, "summary") if s["gain"]} == {0}


def test_the_record_tells_what_was_inverted_and_how(finished, comparison):
    (setup,) = of(finished, "setup")
    assert (setup["held_out"], setup["space"]) == (True, "z")
    assert setup["source"] == "40 held out of digits"
    assert setup["objectives"] == ["0.5 mse + 0.5 pyramid distance", "1 mse"]
    assert setup["comparison"]["data"]["count"] == 1757
    assert str(comparison) not in (finished / "records.jsonl").read_text()
    runs = of(finished, "run")
    assert len({run["sha256"] for run in runs}) == len(runs) == 6
    assert len(of(finished, "comparison")) == 48
    assert [claim["kind"] for claim in of(finished, "claim")] == [
        "hard",
        "rotated",
        "occluded",
        "off",
        "plain",
    ]


def test_a_finished_study_is_resumed_without_work(finished, comparison):
    events = []
    inversion_study(comparison, TINY, finished, resume=True, on_progress=events.append)
    assert events == []


def test_a_lost_part_alone_is_done_again_with_the_same_numbers(finished, comparison, tmp_path):
    shutil.copytree(finished, tmp_path / "out")
    lost = tmp_path / "out" / "parts" / "riemannian-seed1-off.jsonl"
    before = read_records(lost)
    lost.unlink()
    tasks = set()
    inversion_study(
        comparison, TINY, tmp_path / "out", resume=True, on_progress=lambda p: tasks.add(p.event.task)
    )
    assert tasks == {"riemannian-seed1-off"}
    assert read_records(lost) == before


def test_the_size_of_batches_changes_nothing(finished, comparison, tmp_path):
    config = dataclasses.replace(TINY, batch=64)
    shutil.copytree(finished / "artifacts", tmp_path / "artifacts")
    run = comparison / "runs" / "riemannian-seed0"
    part = StudyPart("riemannian", 0, OCCLUDED, run, tmp_path, config, "z")
    run_part(part, lambda *stage: None)
    (again,), (before,) = (
        read_records(folder / "parts" / "riemannian-seed0-occluded.jsonl") for folder in (tmp_path, finished)
    )
    for which in ("frozen", "optimised"):
        for score, values in before[which].items():
            assert again[which][score] == pytest.approx(values, rel=1e-3)


def test_what_is_hidden_of_an_occluded_target_decides_nothing(finished, comparison, tmp_path):
    path = tmp_path / "artifacts" / "targets.safetensors"
    path.parent.mkdir()
    targets = load_file(finished / "artifacts" / "targets.safetensors")
    noise = 255 - targets[PLAIN]
    targets[OCCLUDED] = torch.where(targets["visible"].bool(), targets[OCCLUDED], noise)
    save_file(targets, path)
    run = comparison / "runs" / "riemannian-seed0"
    run_part(StudyPart("riemannian", 0, OCCLUDED, run, tmp_path, TINY, "z"), lambda *stage: None)
    (again,), (before,) = (
        read_records(folder / "parts" / "riemannian-seed0-occluded.jsonl") for folder in (tmp_path, finished)
    )
    assert again == before


def test_the_start_of_the_least_loss_counts(comparison, finished, tmp_path, monkeypatch):
    found, plain = [], study_arm.invert

    def spy(*arguments, **options):
        found.append((options, plain(*arguments, **options)))
        return found[-1][1]

    monkeypatch.setattr(study_arm, "invert", spy)
    shutil.copytree(finished / "artifacts", tmp_path / "artifacts")
    config = dataclasses.replace(TINY, restarts=4)
    run = comparison / "runs" / "riemannian-seed0"
    part = StudyPart("riemannian", 0, PLAIN, run, tmp_path, config, "z")
    run_part(part, lambda *stage: None)
    (_, first), (options, second) = found
    chosen = torch.arange(3), first.losses[..., -1].argmin(dim=1)
    assert set(chosen[1].tolist()) != {0}
    (record,) = read_records(part.records)
    targets = load_file(finished / "artifacts" / "targets.safetensors")[PLAIN].float() / 127.5 - 1
    for name, images in (("frozen", first.images[chosen]), ("optimised", second.images[:, 0])):
        errors = (images - targets).square().mean(dim=(1, 2, 3))
        assert record[name]["mse"] == pytest.approx(errors.tolist(), rel=1e-4)
    assert torch.equal(options["start"][:, 0], first.latents[chosen])
    assert torch.equal(second.latents[:, 0], first.latents[chosen])
    assert torch.equal(load_file(part.artifacts)["losses"], first.losses[..., -1])


@pytest.mark.parametrize(("space", "start"), [("z", "sampled"), ("w", "mean"), ("w+", "mean")])
def test_how_the_study_seeks_latents_and_noise_is_fixed(space, start):
    config = InversionStudyConfig()
    assert (config.images, config.restarts, config.steps, config.noise_steps) == (64, 4, 600, 300)
    common = {"space": space, "lr": 0.1, "schedule": "ramped", "ramp_up": 0.05, "ramp_down": 0.25}
    latent, noise = latent_recipe(config, space), noise_recipe(config, space)
    assert (latent.start, latent.mean_samples) == (start, 10_000)
    wanted = {
        latent: (common | {"steps": 600}, "0.5 mse + 0.5 pyramid distance"),
        noise: (common | {"steps": 300, "latent": False, "noise": "optimised", "renormalise": True}, "1 mse"),
    }
    for recipe, (constants, loss) in wanted.items():
        (stage,) = recipe.stages
        assert stage == Stage(objectives=stage.objectives, **constants)
        assert told_terms(stage.objectives) == loss


@pytest.mark.parametrize("arms", [ARMS[::-1], ("riemannian", "none", "euclidean")])
def test_arms_trained_in_another_order_are_compared_in_the_same_one(arms, comparison, tmp_path):
    (tmp_path / "runs").symlink_to(comparison / "runs")
    (setup,) = read_records(comparison / "records.jsonl")
    (tmp_path / "records.jsonl").write_text(json.dumps(setup | {"arms": list(arms)}) + "\n")
    assert read_comparison_runs(tmp_path).arms == list(ARMS)


def test_the_commit_is_that_of_the_start_and_another_one_at_the_end_is_told(
    finished, comparison, tmp_path, monkeypatch
):
    shutil.copytree(finished, tmp_path / "out")
    path = tmp_path / "out" / "inversion_study.json"
    begun = json.loads(path.read_text())
    assert begun["commit"] == of(finished, "setup")[0]["commit"] == whole_study.commit()
    for kept, expected in (("a", ("a", "b")), ("b", ("b", None)), (None, ("b", None))):
        options = {name: value for name, value in begun.items() if name != "commit"}
        path.write_text(json.dumps(options if kept is None else options | {"commit": kept}))
        monkeypatch.setattr(whole_study, "commit", lambda: "b")
        inversion_study(comparison, TINY, tmp_path / "out", resume=True)
        (setup,) = of(tmp_path / "out", "setup")
        assert (setup["commit"], setup.get("finished_by")) == expected


def test_own_samples_are_made_by_the_noise_that_they_are_inverted_under(comparison):
    part = StudyPart("riemannian", 0, SELF, comparison / "runs" / "riemannian-seed0", comparison, TINY, "z")
    generator = load_generator(part.run_dir)
    z = latents(generator, TINY.images, derive(TINY.seed, "self"))
    assert torch.allclose(
        samples_of(part, generator), reconstruct(generator, z, "z", seed=TINY.seed), atol=1e-6
    )


def test_all_generators_see_the_same_targets_and_keep_their_pictures(finished):
    shared = load_file(finished / "artifacts" / "targets.safetensors")
    assert {len(images) for images in shared.values()} == {3}
    for arm in ARMS:
        pictures = load_file(finished / "artifacts" / f"{arm}-seed0-self.safetensors")
        assert pictures["losses"].shape == (3, 2)
        assert ("optimised" in pictures) == (arm != "none")
        assert pictures["targets"].dtype == pictures["frozen"].dtype == torch.uint8


def test_other_generators_and_other_options_are_refused_on_resume(finished, comparison, tmp_path):
    with pytest.raises(InputError, match="was started with another steps"):
        inversion_study(comparison, dataclasses.replace(TINY, steps=7), finished, resume=True)
    shutil.copytree(comparison, tmp_path / "other")
    shutil.rmtree(tmp_path / "other" / "runs" / "none-seed0")
    shutil.copytree(comparison / "runs" / "none-seed1", tmp_path / "other" / "runs" / "none-seed0")
    with pytest.raises(InputError, match="was started with another generators"):
        inversion_study(tmp_path / "other", TINY, finished, resume=True)


def test_other_images_are_refused_on_resume(finished, comparison, monkeypatch, tmp_path):
    shutil.copytree(finished, tmp_path / "out")
    shutil.copy(
        tmp_path / "out" / "artifacts" / "none-seed0-self.safetensors",
        tmp_path / "out" / "artifacts" / "targets.safetensors",
    )
    with pytest.raises(InputError, match="the images are others than when"):
        inversion_study(comparison, TINY, tmp_path / "out", resume=True)


def test_what_is_no_comparison_is_refused(comparison, tmp_path):
    with pytest.raises(InputError, match=r"no records.jsonl; check the path"):
        inversion_study(tmp_path, TINY, tmp_path / "out")
    (tmp_path / "compare.json").write_text("{}")
    with pytest.raises(InputError, match="finish it by riemann-noise compare --resume"):
        inversion_study(tmp_path, TINY, tmp_path / "out")
    (tmp_path / "records.jsonl").write_text(json.dumps({"record": "setup", "version": "1"}) + "\n")
    with pytest.raises(InputError, match="is not of a comparison"):
        inversion_study(tmp_path, TINY, tmp_path / "out")
    shutil.copy(comparison / "records.jsonl", tmp_path)
    with pytest.raises(InputError, match="lacks the training runs/none-seed0"):
        inversion_study(tmp_path, TINY, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": 1}, "--images is 1; give 2 or more"),
        ({"images": 41}, "give --images 40 or fewer"),
        ({"restarts": 0}, "--restarts is 0"),
        ({"noise_steps": 0}, "--noise-steps is 0"),
        ({"space": "x"}, "unknown space 'x'"),
        ({"space": "w+"}, r"no mapping, hence no space w\+"),
        ({"workers": -1}, "--workers is -1"),
        ({"seed": -1}, "--seed is -1; give 0 or more"),
    ],
)
def test_options_that_cannot_be_used_are_refused_before_anything_is_written(
    comparison, tmp_path, changes, words
):
    with pytest.raises(InputError, match=words):
        inversion_study(comparison, dataclasses.replace(TINY, **changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()
