"""All statements in one run: records, options, the records of trained generators, and bad input."""

import json

import pytest
import torch

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.theory import verify
from riemann_noise_pytorch.experiments.theory.options import TheoryConfig
from riemann_noise_pytorch.experiments.theory.statement import Statement, curve, verdict
from riemann_noise_pytorch.experiments.theory.trained import trained_generators
from riemann_noise_pytorch.training.loop import train
from tests.data.pictures import write_folder
from tests.training.runs import blobs, small

QUICK = TheoryConfig(quick=True)


def statement(name, holds=True):
    return Statement(
        name, "It is so.", "it was tried", "1.00", "1", holds, "x", "y", (curve("c", (1, 2), (3, 4)),)
    )


def test_every_statement_is_recorded_before_the_next_begins(tmp_path, monkeypatch):
    def stopped(config):
        raise KeyboardInterrupt

    tried = {"Lemma 1": lambda config: statement("Lemma 1"), "Lemma 2": stopped}
    monkeypatch.setattr(verify, "STATEMENTS", tried)
    with pytest.raises(KeyboardInterrupt):
        verify.verify_theory(QUICK, tmp_path / "new")
    records = [json.loads(line) for line in (tmp_path / "new" / "records.jsonl").read_text().splitlines()]
    assert [record["record"] for record in records] == ["setup", "statement", "curve"]
    assert records[1]["seconds"] >= 0
    assert records[0]["options"] == {"quick": True, "seed": 0, "trap": None, "run": None}


def test_callers_hear_of_each_statement(tmp_path, monkeypatch):
    tried = {name: (lambda config, name=name: statement(name)) for name in ("Lemma 1", "Lemma 2")}
    monkeypatch.setattr(verify, "STATEMENTS", tried)
    reports, told = [], []
    found = verify.verify_theory(QUICK, tmp_path, report=lambda *args: reports.append(args), tell=told.append)
    assert reports == [("Lemma 1", 0, 2), ("Lemma 2", 1, 2)]
    assert told == found
    assert [one.name for one in found] == ["Lemma 1", "Lemma 2"]


def test_threads_are_put_back_also_after_a_failure(tmp_path, monkeypatch):
    seen = []

    def failing(config):
        seen.append(torch.get_num_threads())
        raise InputError("no")

    monkeypatch.setattr(verify, "STATEMENTS", {"Lemma 1": failing})
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with pytest.raises(InputError):
            verify.verify_theory(QUICK, tmp_path)
        assert seen == [1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_all_statements_of_the_paper_are_tried():
    assert list(verify.STATEMENTS) == [
        "Definition 1", "Lemma 1", "Lemma 2", *(f"Theorem {n}" for n in range(1, 6)), "Eq. 15",
    ]  # fmt: skip


@pytest.mark.parametrize(("holds", "words"), [(True, "holds"), (False, "does not hold"), (None, "measured")])
def test_outcomes_in_words(holds, words):
    assert verdict(holds) == words


def arm(z_dim, case, norm, bound, noise="none"):
    return {
        "record": "arm", "z_dim": z_dim, "noise": noise, "seed": 0, "norm": norm, "case": case,
        "js": {"value": bound},
    }  # fmt: skip


def write(folder, records):
    (folder / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


def test_trained_generators_of_too_low_a_rank_are_drawn(tmp_path):
    write(
        tmp_path,
        [
            {"record": "setup"},
            arm(8, "both", 3.0, 0.5),
            arm(8, "norm", 2.0, 0.2),
            arm(64, "no premise", 9.0, 0.1),
            arm(8, "neither", 1.0, 0.3, "riemannian"),
        ],
    )
    found = trained_generators(tmp_path)
    assert [one.label for one in found.curves] == ["z_dim 8, noise none", "z_dim 8, noise riemannian"]
    assert found.curves[0].x == (2.0, 3.0)
    assert found.curves[0].y == (0.2, 0.5)
    assert "Of 4 trained generators 3 have" in found.remark
    assert "both 1, norm 1, neither 1" in found.remark


def test_without_a_folder_there_are_no_trained_generators():
    assert trained_generators(None).curves == ()


@pytest.mark.parametrize(
    "records", [[{"record": "setup"}], [{"kind": "x"}], [{"record": "arm", "case": "norm"}], [[1]]]
)
def test_records_of_something_else_are_refused(tmp_path, records):
    write(tmp_path, records)
    with pytest.raises(InputError, match="not those of a dimension trap"):
        trained_generators(tmp_path)


@pytest.fixture(scope="module")
def euclidean_run(tmp_path_factory):
    run = tmp_path_factory.mktemp("theory") / "run"
    train(small(steps=3, data="digits", noise="euclidean", width=4), blobs(), run)
    return run


@pytest.fixture
def given(tmp_path, euclidean_run):
    """Paths that are not what they were given for."""
    write_folder(tmp_path / "images", ["a.png"])
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "records.jsonl").write_text("{")
    (tmp_path / "comparison").mkdir()
    write(tmp_path / "comparison", [{"record": "setup"}, {"record": "run", "arm": "none"}])
    return tmp_path, euclidean_run


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("seed", -1, "give 0 or more"),
        ("trap", "", "holds no records.jsonl"),
        ("trap", "damaged", "records.jsonl line 1 is damaged"),
        ("trap", "comparison", "not those of a dimension trap .no trained generator."),
        ("run", "nothing", "there is nothing at"),
        ("run", "damaged", "damaged is no run; give a run folder or a snapshot"),
        ("run", "images", "images is no run; give a run folder or a snapshot"),
        ("run", None, "run has no Riemannian noise, so it has no premises; give another run"),
    ],
)
def test_options_that_cannot_be_used_are_refused_before_anything_is_computed(
    option, value, message, given, monkeypatch
):
    def never(config):
        raise AssertionError

    monkeypatch.setattr(verify, "STATEMENTS", {"Lemma 1": never})
    folder, run = given
    found = run if value is None else value if option == "seed" else folder / value
    with pytest.raises(InputError, match=message):
        verify.verify_theory(TheoryConfig(**{option: found}), folder / "out")
    assert not (folder / "out").exists()
