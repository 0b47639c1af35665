"""Laws of writing: whole or not at all."""

import errno
import os

import pytest

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.files import append_line, atomic_write


def test_a_written_file_replaces_the_old_one(tmp_path):
    path = tmp_path / "folder" / "a.txt"
    for text in ("one", "two"):
        with atomic_write(path) as temporary:
            assert temporary.parent == path.parent
            temporary.write_text(text)
        assert path.read_text() == text
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_a_fault_while_writing_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(TypeError), atomic_write(path) as temporary:
        temporary.write_bytes("half")  # type: ignore[arg-type]
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_full_disk_is_one_line_and_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(
            InputError, match=r"cannot write .*a\.txt: No space left on device; free space"
        ) as raised,
        atomic_write(path) as temporary,
    ):
        temporary.write_text("new")
    assert "\n" not in str(raised.value)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("write", [lambda p: atomic_write(p).__enter__(), lambda p: append_line(p, "x")])
def test_a_place_that_cannot_be_written_is_named(tmp_path, write):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"cannot write .*file/a\.txt"):
        write(tmp_path / "file" / "a.txt")
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_new_file_has_the_usual_permissions(tmp_path):
    with atomic_write(tmp_path / "a") as temporary:
        temporary.write_text("")
    (tmp_path / "b").write_text("")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_lines_are_appended_in_order(tmp_path):
    for line in ("one", "two"):
        append_line(tmp_path / "folder" / "a.jsonl", line)
    assert (tmp_path / "folder" / "a.jsonl").read_text() == "one\ntwo\n"
