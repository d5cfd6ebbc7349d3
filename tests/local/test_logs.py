"""Output of apps: bounded, readable, whatever it is."""

import asyncio
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.local import logs
from api.local.logs import AppLog, OutputPump


def pump(log: AppLog, pod: str, *chunks: bytes) -> OutputPump:
    """A process of this pod that wrote these bytes and ended."""
    reading, writing = os.pipe()
    pump = OutputPump(reading, log, pod)
    pump.start()
    for chunk in chunks:
        os.write(writing, chunk)
    os.close(writing)
    pump.join(10)
    assert not pump.is_alive()
    return pump


def texts(log: AppLog, count: int = 1000, *, previous: bool = False) -> list[str]:
    return [line.text for line in log.tail(count, previous=previous)]


def test_lines_come_back_in_order_with_their_pod(tmp_path: Path) -> None:
    log = AppLog(tmp_path)
    pump(log, "one", b"first\nsec", b"ond\r\nlast without an end")
    assert texts(log) == ["first", "second", "last without an end"]
    assert {line.pod for line in log.tail(5)} == {"one"}
    assert texts(log, 1) == ["last without an end"]


def test_they_outlive_the_platform(tmp_path: Path) -> None:
    pump(AppLog(tmp_path), "one", b"kept\n")
    assert texts(AppLog(tmp_path)) == ["kept"]


def test_previous_is_the_process_before_the_newest(tmp_path: Path) -> None:
    log = AppLog(tmp_path)
    for word in (b"one", b"two", b"three"):
        pump(log, "pod", word)
    assert texts(log, previous=True) == ["two"]
    assert texts(log) == ["one", "two", "three"]
    assert texts(AppLog(tmp_path / "empty"), previous=True) == []


def test_long_lines_continue_on_the_next(tmp_path: Path) -> None:
    log = AppLog(tmp_path)
    pump(log, "pod", b"x" * 20_000 + b"\nend\n")
    assert [len(text) for text in texts(log)] == [8192, 8192, 20_000 - 2 * 8192, 3]


def test_a_damaged_file_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    pump(AppLog(tmp_path), "pod", b"good\n")
    with (tmp_path / "current.jsonl").open("ab") as file:
        file.write(b'{"at": 1, "pod": "po')
    log = AppLog(tmp_path)
    assert texts(log) == ["good"]
    pump(log, "pod", b"next\n")
    assert texts(log) == ["good", "next"]


def test_a_full_disk_does_not_stop_the_app(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "log").write_text("a file where a folder should be")
    ended = pump(AppLog(tmp_path / "log"), "pod", b"still read\n")
    assert list(ended.last) == ["still read"]
    assert "is lost" in caplog.text


@given(st.lists(st.binary(max_size=3000), max_size=20))
@settings(max_examples=30, deadline=None)
def test_any_bytes_stay_within_bounds(chunks: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "FILE_BYTES", 5000)
        log = AppLog(Path(folder))
        pump(log, "pod", *chunks)
        assert all(path.stat().st_size <= 5000 + 8192 * 6 for path in Path(folder).iterdir())
        written = b"".join(chunks).decode(errors="replace")
        for text in texts(log):
            assert len(text.encode()) <= 3 * 8192
            assert "\n" not in text
        if len(written) < 100 and "\r" not in written:
            assert "\n".join(texts(log)) == written.removesuffix("\n")


async def test_a_follower_is_let_go_when_the_log_closes(tmp_path: Path) -> None:
    log = AppLog(tmp_path)
    pump(log, "pod", b"before\n")
    seen: list[str] = []

    async def follow() -> None:
        async for line in log.lines(follow=True, previous=False, tail=10):
            seen.append(line.text)
            if line.text == "before":
                await asyncio.to_thread(pump, log, "pod", b"after\n")
                log.close()

    async with asyncio.timeout(10):
        await follow()
    assert seen == ["before", "after"]
