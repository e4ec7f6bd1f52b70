from __future__ import annotations

import gzip
import io
import os
import random
import stat
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from litewrite.executor import archive
from litewrite.executor.archive import ArchiveError, ArchiveLimits, unpack

LIMITS = ArchiveLimits()


def entry(name: str, content: bytes = b"", **attributes: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    info.mode = 0o644
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, content


def folder(name: str) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, type=tarfile.DIRTYPE, mode=0o755)


def tar(*entries: tuple[tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as out:
        for info, content in entries:
            out.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


Unpacked = Callable[..., dict[str, bytes]]


@pytest.fixture
def unpacked(tmp_path: Path) -> Unpacked:
    """Unpacks bytes and gives the files by path; also checks that nothing lies beside the target folders."""
    targets: list[str] = []

    def run(packed: bytes, limits: ArchiveLimits = LIMITS, target: str = "target") -> dict[str, bytes]:
        targets.append(target)
        source, folder = tmp_path / "code.tar.gz", tmp_path / "outer" / target
        source.write_bytes(packed)
        try:
            unpack(source, folder, limits)
        finally:
            assert sorted(os.listdir(tmp_path)) == ["code.tar.gz", "outer"]
            assert sorted(os.listdir(tmp_path / "outer")) == sorted(targets)
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    return run


def test_entries_that_start_with_a_dot(unpacked: Unpacked) -> None:
    data = tar(folder("."), entry("./index.php", b"<?php"), folder("./src"), entry("./src/a/b.php", b"b"))
    assert unpacked(gzip.compress(data)) == {"index.php": b"<?php", "src/a/b.php": b"b"}


def test_one_top_level_folder(unpacked: Unpacked, tmp_path: Path) -> None:
    data = tar(folder("project"), entry("project/index.php", b"1"), folder("project/lib"), folder("project/lib/empty"))
    assert unpacked(gzip.compress(data)) == {"index.php": b"1"}
    assert (tmp_path / "outer/target/lib/empty").is_dir()


def test_bare_files_keep_their_names(unpacked: Unpacked) -> None:
    data = tar(entry("main.py", b"1"), entry("other.py", b"2"))
    assert unpacked(gzip.compress(data)) == {"main.py": b"1", "other.py": b"2"}


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_odd_names_in_every_format(unpacked: Unpacked, format: int) -> None:
    name = "deep/" * 20 + "x" * 90 + ".py"
    data = tar(entry("p/" + name, b"1"), entry("p/a b'é.py", b"2"), entry("p//q/./r", b"3"), format=format)
    assert unpacked(gzip.compress(data)) == {name: b"1", "a b'é.py": b"2", "q/r": b"3"}


def test_a_later_entry_replaces_an_earlier_one(unpacked: Unpacked) -> None:
    data = tar(entry("a/x", b"first, longer"), entry("b/x", b"second"))
    assert unpacked(gzip.compress(data)) == {"x": b"second"}


def test_modes(unpacked: Unpacked, tmp_path: Path) -> None:
    data = tar(entry("p/run", b"1", mode=0o6755), entry("p/plain", b"2", mode=0o1444), entry("p/none", b"3", mode=0))
    unpacked(gzip.compress(data))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "outer/target").iterdir()}
    mask = os.umask(0)
    os.umask(mask)
    assert modes == {"run": 0o755 & ~mask, "plain": 0o644 & ~mask, "none": 0o644 & ~mask}


def test_several_gzip_streams_and_trailing_garbage(unpacked: Unpacked) -> None:
    data = tar(entry("p/x", b"content"))
    assert unpacked(gzip.compress(data[:700]) + gzip.compress(data[700:]) + b"garbage") == {"x": b"content"}


def test_a_large_file_is_copied_whole(unpacked: Unpacked) -> None:
    content = random.Random(1).randbytes(3_000_001)
    assert unpacked(gzip.compress(tar(entry("p/x", content), entry("p/y", b"after")), 1)) == {
        "x": content,
        "y": b"after",
    }


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (entry("../evil"), "leaves its folder"),
        (entry("p/../../evil"), "leaves its folder"),
        (entry("p/a/.."), "leaves its folder"),
        (folder("p/../../evil"), "leaves its folder"),
        (entry("/etc/evil"), "absolute"),
        (folder("/evil"), "absolute"),
        (entry("//evil"), "absolute"),
        (entry("p/link", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "symbolic link"),
        (entry("p/link", type=tarfile.SYMTYPE, linkname="inside"), "symbolic link"),
        (entry("link", type=tarfile.SYMTYPE, linkname=".."), "symbolic link"),
        (entry("p/link", type=tarfile.LNKTYPE, linkname="p/good"), "hard link"),
        (entry("p/dev", type=tarfile.CHRTYPE, devmajor=1, devminor=3), "device"),
        (entry("p/dev", type=tarfile.BLKTYPE, devmajor=8, devminor=0), "device"),
        (entry("p/pipe", type=tarfile.FIFOTYPE), "pipe"),
        (entry("p/odd", type=b"Z"), "not allowed"),
        (entry("p/" + "d/" * 70 + "x"), "levels"),
        (entry("p/" + "long/" * 300 + "x"), "longer than"),
        (entry("p/good/below"), "same name"),
        (folder("p/good"), "same name"),
        (entry("./"), "without a name"),
    ],
)
def test_refused_entries(unpacked: Unpacked, bad: tuple[tarfile.TarInfo, bytes], text: str) -> None:
    with pytest.raises(ArchiveError, match=text):
        unpacked(gzip.compress(tar(entry("p/good", b"1"), bad)))


def test_a_file_where_a_folder_is(unpacked: Unpacked) -> None:
    with pytest.raises(ArchiveError, match="same name"):
        unpacked(gzip.compress(tar(entry("p/a/b", b"1"), entry("p/a", b"2"))))


def test_a_name_too_long_for_the_file_system(unpacked: Unpacked) -> None:
    with pytest.raises(ArchiveError, match="name too long"):
        unpacked(gzip.compress(tar(entry("p/" + "x" * 300, b"1"))))


def test_too_many_entries(unpacked: Unpacked) -> None:
    data = gzip.compress(tar(*(entry(f"p/{number}") for number in range(11))))
    with pytest.raises(ArchiveError, match="more than 10 entries"):
        unpacked(data, ArchiveLimits(entries=10))
    deep = gzip.compress(tar(entry("p/a/b/c/d/e"), entry("p/f/g/h/i/j")))
    with pytest.raises(ArchiveError, match="more than 9 entries"):
        unpacked(deep, ArchiveLimits(entries=9), "second")


def test_too_many_bytes(unpacked: Unpacked) -> None:
    data = gzip.compress(tar(entry("p/a", b"x" * 600), entry("p/b", b"x" * 600)))
    assert len(unpacked(data, ArchiveLimits(unpacked_bytes=15_000))) == 2
    with pytest.raises(ArchiveError, match="larger than 1000 bytes"):
        unpacked(data, ArchiveLimits(unpacked_bytes=1000), "second")


def bomb(megabytes: int, head: bytes) -> bytes:
    """A gzip file that begins with `head` and goes on with zeros."""
    deflate = zlib.compressobj(9, wbits=31)
    parts = [deflate.compress(head)]
    zeros = bytes(1_000_000)
    parts.extend(deflate.compress(zeros) for _ in range(megabytes))
    parts.append(deflate.flush())
    return b"".join(parts)


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    ("head", "text"),
    [
        (header("p/zeros", 30_000_000), "larger than"),
        (b"", "not a valid tar|larger than"),
        (header("p/x", 0) + bytes(1024), "larger than"),
        (header("pax", 29_000_000, tarfile.XHDTYPE), "headers"),
        (header("././@LongLink", 29_000_000, tarfile.GNUTYPE_LONGNAME), "headers"),
        (header("p/huge", 8 * 1024**4), "larger than"),
    ],
)
def test_bombs_stop_early(unpacked: Unpacked, monkeypatch: pytest.MonkeyPatch, head: bytes, text: str) -> None:
    read = 0
    original = archive._GzipStream.read

    def counting(self: archive._GzipStream, size: int) -> bytes:
        nonlocal read
        data = original(self, size)
        read += len(data)
        return data

    monkeypatch.setattr(archive._GzipStream, "read", counting)
    with pytest.raises(ArchiveError, match=text):
        unpacked(bomb(30, head), ArchiveLimits(unpacked_bytes=2_000_000))
    assert read < 4_000_000


def test_a_chain_of_long_names_is_no_recursion(unpacked: Unpacked) -> None:
    link = header("././@LongLink", 4, tarfile.GNUTYPE_LONGNAME) + b"abc\0" + bytes(508)
    with pytest.raises(ArchiveError, match=r"headers|not a valid tar"):
        unpacked(gzip.compress(link * 5000))


def test_sparse_files_are_refused(unpacked: Unpacked) -> None:
    info, _ = entry("p/sparse")
    info.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.size": str(10**13), "GNU.sparse.map": "0,0"}
    with pytest.raises(ArchiveError, match=r"not allowed|not a valid|larger"):
        unpacked(gzip.compress(tar((info, b""))))


def test_the_deadline(unpacked: Unpacked) -> None:
    with pytest.raises(ArchiveError, match="longer than 0 seconds"):
        unpacked(gzip.compress(tar(entry("p/x", b"1"))), ArchiveLimits(seconds=0))


@pytest.mark.parametrize(
    ("packed", "text"),
    [
        (b"", "empty"),
        (b"PK\x03\x04 something else", "not a valid gzip"),
        (b"plain text", "not a valid gzip"),
        (gzip.compress(b"not a tar archive" * 100), "not a valid tar"),
        (gzip.compress(b""), "not a valid tar"),
    ],
)
def test_garbage(unpacked: Unpacked, packed: bytes, text: str) -> None:
    with pytest.raises(ArchiveError, match=text):
        unpacked(packed)


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    content = random.Random(2).randbytes(900)
    packed = gzip.compress(tar(entry("p/x", content), format=tarfile.USTAR_FORMAT))
    for length in range(0, len(packed), 37):
        (tmp_path / "cut.gz").write_bytes(packed[:length])
        with pytest.raises(ArchiveError):
            unpack(tmp_path / "cut.gz", tmp_path / f"t{length}", LIMITS)


def test_a_tar_cut_inside_a_file(unpacked: Unpacked) -> None:
    with pytest.raises(ArchiveError, match=r"truncated|not a valid tar"):
        unpacked(gzip.compress(tar(entry("p/x", b"x" * 2000))[:1200]))


def test_a_wrong_checksum_is_noticed(unpacked: Unpacked) -> None:
    packed = bytearray(gzip.compress(tar(entry("p/x", b"1"))))
    packed[-6] ^= 1
    with pytest.raises(ArchiveError, match="not a valid gzip"):
        unpacked(bytes(packed))


def test_damaged_archives_give_no_other_error(tmp_path: Path) -> None:
    rng = random.Random(3)
    data = tar(folder("p"), entry("p/é" + "n" * 200, b"x" * 700), entry("p/y", b"1"), format=tarfile.PAX_FORMAT)
    outcomes = set()
    for number in range(400):
        damaged = bytearray(data)
        for _ in range(rng.randint(1, 6)):
            damaged[rng.randrange(len(data))] = rng.randrange(256)
        (tmp_path / "x.gz").write_bytes(gzip.compress(bytes(damaged), 1))
        try:
            unpack(tmp_path / "x.gz", tmp_path / "t" / str(number), LIMITS)
            outcomes.add("unpacked")
        except ArchiveError:
            outcomes.add("refused")
    assert outcomes == {"unpacked", "refused"}
    assert sorted(os.listdir(tmp_path)) == ["t", "x.gz"]


def test_the_target_must_be_empty_and_the_archive_there(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    (tmp_path / "x.gz").write_bytes(gzip.compress(tar(entry("p/x"))))
    with pytest.raises(ArchiveError, match="not empty"):
        unpack(tmp_path / "x.gz", tmp_path / "full", LIMITS)
    with pytest.raises(ArchiveError, match="No such file"):
        unpack(tmp_path / "absent.gz", tmp_path / "new", LIMITS)
