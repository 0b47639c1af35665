import os
import stat
import struct
import threading
import tracemalloc
import zipfile

import numpy as np
import pytest

from riemann_noise_pytorch.data.archives import SafeArchive, archive_fault, member_fault, plain_name
from riemann_noise_pytorch.errors import InputError
from tests.data.pictures import write_zip

LOCAL, CENTRAL = b"PK\x03\x04", b"PK\x01\x02"


def patched(path, central, local, values):
    """Overwrite a 32-bit field of the first member, in its entry of the contents and in its own header."""
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.index(CENTRAL) + central, values)
    struct.pack_into("<I", content, content.index(LOCAL) + local, values)
    path.write_bytes(content)
    return path


def test_members_are_listed_and_read_back(tmp_path):
    contents = {"b/c.png": os.urandom(5000), "a.txt": b"text", "empty.png": b""}
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        archive = SafeArchive(write_zip(tmp_path / "x.zip", contents, method))
        assert set(archive.names) == set(contents)
        assert {name: archive.read(name) for name in archive.names} == contents


def test_members_can_be_read_in_pieces_from_anywhere(tmp_path):
    content = os.urandom(300_000)
    archive = SafeArchive(write_zip(tmp_path / "x.zip", {"a": content}))
    with archive.open("a") as stream:
        assert stream.read(10) == content[:10]
        stream.seek(200_000)
        assert stream.read(20) == content[200_000:200_020]
        stream.seek(5)
        assert stream.read() == content[5:]


@pytest.mark.parametrize(
    "name",
    [
        "../x.png",
        "a/../../x.png",
        "/etc/x.png",
        "\\\\host\\x.png",
        "..\\x.png",
        "C:\\x.png",
        "c:x.png",
        "a/..",
        "/",
    ],
)
def test_members_that_would_leave_their_folder_are_refused(tmp_path, name):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("fine.png", b"1")
        info = zipfile.ZipInfo("placeholder")
        info.filename = name
        archive.writestr(info, b"2")
    with pytest.raises(InputError, match="would leave its folder; repack") as caught:
        SafeArchive(path)
    assert "\n" not in str(caught.value)


def test_a_name_hidden_behind_a_nul_is_refused():
    info = zipfile.ZipInfo("fine.png")
    info.orig_filename = "fine.png\0.txt"
    assert member_fault(info) == "would leave its folder"


def test_ordinary_names_are_welcome():
    for name in ("a.png", "a/b/c.png", "a..b/..c.png", "folder/", "./a.png", "ünï/ç.png", "ab:c.png"):
        assert member_fault(zipfile.ZipInfo(name)) is None
    assert plain_name("./a//b\\c.png") == "a/b/c.png"


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(tmp_path, kind):
    info = zipfile.ZipInfo("link.png")
    info.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(InputError, match=r"'link\.png' is a link or a device"):
        SafeArchive(tmp_path / "x.zip")


def test_encrypted_members_are_refused(tmp_path):
    path = write_zip(tmp_path / "x.zip", {"a.png": b"1"})
    content = bytearray(path.read_bytes())
    content[content.index(CENTRAL) + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"'a\.png' is encrypted"):
        SafeArchive(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_without_bounded_output_are_refused(tmp_path, method):
    path = write_zip(tmp_path / "x.zip", {"a.png": b"1" * 100}, method)
    with pytest.raises(InputError, match="method other than deflate"):
        SafeArchive(path)


def test_a_bomb_in_one_member_is_refused(tmp_path):
    path = write_zip(tmp_path / "x.zip", {"a.png": bytes(4 * 2**20)})
    with pytest.raises(InputError, match=r"would unpack to 4 MiB, \d+ times its packed size"):
        SafeArchive(path)


def test_a_bomb_in_many_small_members_is_refused(tmp_path):
    path = write_zip(tmp_path / "x.zip", {f"{number}.png": bytes(2**20) for number in range(65)})
    with pytest.raises(InputError, match=r"would unpack to 65 MiB, \d+ times its size"):
        SafeArchive(path)


def test_a_member_of_absurd_stated_size_is_refused(tmp_path):
    path = patched(write_zip(tmp_path / "x.zip", {"a.png": os.urandom(99)}), 24, 22, 2**31)
    with pytest.raises(InputError, match="would unpack to 2048 MiB"):
        SafeArchive(path)


def test_members_that_share_their_bytes_are_refused(tmp_path):
    infos = [zipfile.ZipInfo(f"{number}.png") for number in range(3)]
    for info in infos:
        info.compress_size = info.file_size = 500
    assert "overlap" in archive_fault(infos, 1200)
    assert archive_fault(infos, 2000) is None


def test_a_packed_size_that_hides_a_bomb_is_refused(tmp_path):
    path = patched(write_zip(tmp_path / "x.zip", {"a.png": bytes(4 * 2**20)}), 20, 18, 2**22)
    with pytest.raises(InputError, match="refused"):
        SafeArchive(path)


def test_a_member_larger_than_it_says_is_neither_unpacked_nor_accepted(tmp_path):
    path = patched(write_zip(tmp_path / "x.zip", {"a.png": bytes(64 * 2**20)}), 24, 22, 1000)
    archive = SafeArchive(path)
    tracemalloc.start()
    with pytest.raises(zipfile.BadZipFile):
        archive.read("a.png")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 2**20


def test_a_member_smaller_than_it_says_is_an_error(tmp_path):
    path = patched(write_zip(tmp_path / "x.zip", {"a.png": os.urandom(100)}), 24, 22, 200)
    with pytest.raises((zipfile.BadZipFile, EOFError)):
        SafeArchive(path).read("a.png")


def test_a_stored_member_of_two_sizes_is_refused(tmp_path):
    path = write_zip(tmp_path / "x.zip", {"a.png": os.urandom(100)}, zipfile.ZIP_STORED)
    with pytest.raises(InputError, match="two different sizes"):
        SafeArchive(patched(path, 24, 22, 200))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("second", ["a.png", "./a.png"])
def test_a_name_that_appears_twice_is_refused(tmp_path, second):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.png", b"1")
        archive.writestr(second, b"2")
    with pytest.raises(InputError, match="more than once"):
        SafeArchive(tmp_path / "x.zip")


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x05\x06" + b"\xff" * 18])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.zip is not a ZIP archive"):
        SafeArchive(tmp_path / "x.zip")


def test_damaged_archives_are_refused_or_fail_cleanly(tmp_path):
    content = write_zip(tmp_path / "x.zip", {f"{n}.png": os.urandom(50) for n in range(5)}).read_bytes()
    generator = np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(content)
        for position in generator.integers(0, len(content), 3):
            damaged[position] = generator.integers(0, 256)
        (tmp_path / "y.zip").write_bytes(damaged)
        try:
            archive = SafeArchive(tmp_path / "y.zip")
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017 - most damages are not refused
        else:
            archive.close()


def test_threads_read_at_once(tmp_path):
    contents = {f"{number}.png": os.urandom(20_000) for number in range(20)}
    archive = SafeArchive(write_zip(tmp_path / "x.zip", contents, zipfile.ZIP_STORED))
    wrong = []

    def read_all():
        wrong.extend(name for name in archive.names * 5 if archive.read(name) != contents[name])

    threads = [threading.Thread(target=read_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_reads_by_its_own_handle(tmp_path):
    contents = {f"{number}.png": os.urandom(5000) for number in range(10)}
    archive = SafeArchive(write_zip(tmp_path / "x.zip", contents))
    with archive.open("0.png") as stream:  # the parent holds the lock while the child reads
        child = os.fork()
        if child == 0:
            os._exit(0 if all(archive.read(name) == contents[name] for name in archive.names) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert stream.read() == contents["0.png"]
