"""The worker's loop, against a stream and a writer in memory."""

import time

import pytest

import services.feature.stream_worker as loop
from services.feature.stream_worker import BATCH_SIZE, MAX_DELIVERIES, StreamWorker
from services.feature.worker_metrics import WorkerMetrics
from shared.service.metrics import ServiceMetrics
from shared.storage.redis.stream_reader import Entry
from tests.unit.feature.fakes import FakeStream, FakeWriter


class PoisonError(Exception):
    """What a bad entry provokes."""


def poison(entry: Entry) -> Exception | None:
    return PoisonError("no good") if entry.payload.startswith(b"bad") else None


@pytest.fixture(autouse=True)
def no_waiting_between_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CLAIM_EVERY_S", 0.0)


def worker(stream: FakeStream, writer: FakeWriter, gather_s: float = 0.0) -> StreamWorker:
    return StreamWorker(stream, writer, "me", WorkerMetrics(ServiceMetrics("ingest")).of("events"), gather_s)


def test_a_batch_is_stored_and_then_acknowledged() -> None:
    stream, writer = FakeStream(), FakeWriter()
    stream.add(b"a", b"b")
    worker(stream, writer).turn()
    assert (writer.stored, stream.acknowledged, stream.pending) == ([b"a", b"b"], ["1-0", "2-0"], {})


def test_a_worker_that_gathers_rests_after_a_batch_that_was_not_full() -> None:
    stream, writer = FakeStream(), FakeWriter()
    subject = worker(stream, writer, gather_s=0.05)
    stream.add(*[b"a"] * BATCH_SIZE, b"b")
    started_s = time.monotonic()
    subject.turn()
    assert time.monotonic() - started_s < 0.05, "a full batch: more is waiting"
    subject.turn()
    assert time.monotonic() - started_s >= 0.05
    assert writer.calls == [BATCH_SIZE, 1]


def test_a_worker_that_is_told_to_stop_does_not_rest() -> None:
    stream, writer = FakeStream(), FakeWriter()
    stream.add(b"a")
    subject = worker(stream, writer, gather_s=60.0)
    subject.stop()
    subject.turn()
    assert stream.acknowledged == ["1-0"]


def test_one_bad_entry_delays_no_other_of_its_batch() -> None:
    stream, writer = FakeStream(), FakeWriter(refuse=poison)
    stream.add(*(b"bad" if number == 123 else b"%d" % number for number in range(BATCH_SIZE)))
    worker(stream, writer).turn()
    assert len(stream.acknowledged) == BATCH_SIZE - 1
    assert [entry.payload for entry in stream.pending.values()] == [b"bad"]
    assert len(writer.calls) < 25, "halving, not one by one"


def test_a_bad_entry_becomes_a_dead_letter_with_its_reason_at_the_fifth_delivery() -> None:
    stream, writer = FakeStream(), FakeWriter(refuse=poison)
    stream.add(b"bad")
    subject = worker(stream, writer)
    for _ in range(MAX_DELIVERIES - 1):
        subject.turn()
        assert stream.dead == {}
    subject.turn()
    assert stream.dead == {"1-0": "PoisonError: no good"}
    assert stream.pending == {}


def test_an_entry_that_died_with_its_workers_often_is_stored_not_put_aside() -> None:
    stream, writer = FakeStream(), FakeWriter()
    stream.pending["7-0"] = Entry("events:0", "7-0", b"fine", deliveries=20)
    worker(stream, writer).turn()
    assert (writer.stored, stream.acknowledged, stream.dead) == ([b"fine"], ["7-0"], {})


def test_while_a_store_is_away_the_batch_is_kept_and_nothing_counts_as_a_try() -> None:
    away = True
    stream, writer = FakeStream(), FakeWriter(refuse=lambda entry: ConnectionError("away") if away else None)
    stream.add(b"a")
    subject = worker(stream, writer)
    for _ in range(10):
        with pytest.raises(ConnectionError):
            subject.turn()
    assert (stream.acknowledged, stream.dead, list(stream.pending)) == ([], {}, ["1-0"])
    away = False
    subject.turn()
    assert (writer.stored, stream.acknowledged) == ([b"a"], ["1-0"])


def test_when_acknowledging_fails_the_batch_is_stored_again_and_acknowledged_then() -> None:
    stream, writer = FakeStream(), FakeWriter()
    stream.add(b"a")
    subject = worker(stream, writer)
    subject.turn()
    stream.add(b"b")
    stream.unread, taken = [], stream.unread
    subject._kept = taken
    stream.pending |= {entry.id: entry for entry in taken}
    stream.down = True
    with pytest.raises(ConnectionError):
        subject.turn()
    stream.down = False
    subject.turn()
    assert stream.acknowledged == ["1-0", "2-0"]


def test_run_ends_when_stopped_and_survives_a_store_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "FIRST_BACKOFF_S", 0.001)
    stream, writer = FakeStream(down=True), FakeWriter()
    stream.add(b"a")
    subject = worker(stream, writer)
    calls = 0
    turn = subject.turn

    def turn_three_times() -> None:
        nonlocal calls
        calls += 1
        stream.down = calls < 2
        if calls == 3:
            subject.stop()
        turn()

    monkeypatch.setattr(subject, "turn", turn_three_times)
    subject.run()
    assert (calls, writer.stored, stream.acknowledged) == (3, [b"a"], ["1-0"])
