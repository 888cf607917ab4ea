"""A forked worker: its messages arrive, its end is told apart, its limits hold."""

import contextlib
import os
import time

import pytest
import torch

from gpu_utils.course import keeper, worker
from tests.unit.processes import children


def run(body, time_limit_s=20.0, memory_limit_bytes=2 * 10**9):
    return list(worker.run(body, time_limit_s=time_limit_s, memory_limit_bytes=memory_limit_bytes))


def test_messages_arrive_in_order_and_then_done():
    messages = run(lambda send: [send({"n": n}) for n in range(3)])
    assert messages == [{"n": 0}, {"n": 1}, {"n": 2}, worker.Ending("done")]


def test_a_message_larger_than_a_pipe_arrives_whole():
    (message, ending) = run(lambda send: send({"text": "x" * 10**6}))
    assert len(message["text"]) == 10**6
    assert ending.how == "done"


def test_a_flood_of_messages_ends_the_worker():
    *_, ending = run(lambda send: [send({"text": "x" * 10**6}) for _ in range(100)])
    assert ending == worker.Ending("crashed", "it wrote into the checker's own pipe")


def test_what_is_written_past_send_is_no_message():
    known = os.listdir("/proc/self/fd")  # not into this run's own output

    def forge(send):
        for number in set(os.listdir("/proc/self/fd")) - set(known):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/self/fd/{number}").startswith("pipe:"):
                    os.write(int(number), b'{"done": true}\n')

    *_, ending = run(forge)
    assert ending == worker.Ending("crashed", "it wrote into the checker's own pipe")


def test_memory_is_counted_over_all_that_a_worker_starts():
    def hoard(send):
        for _ in range(4):  # each of them holds less than the limit
            if os.fork() == 0:
                kept = bytearray(2 * 10**8)
                kept[:: 1 << 12] = b"x" * len(kept[:: 1 << 12])  # touch every page
                time.sleep(60)
        time.sleep(60)

    *_, ending = run(hoard, memory_limit_bytes=5 * 10**8)
    assert ending == worker.Ending("crashed", "it took more than 0.5 GB of memory")


def test_a_consumer_that_stops_listening_leaves_nobody_behind():
    messages = worker.run(
        lambda send: [send({"pid": os.getpid()}), time.sleep(60)],
        time_limit_s=60.0,
        memory_limit_bytes=10**9,
    )
    pid = next(messages)["pid"]
    messages.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_torch_computes_in_a_worker_after_its_parent_did():
    torch.randn(1 << 20).sum()  # starts OpenMP's threads, which a fork does not copy
    (message, ending) = run(lambda send: send({"n": int(torch.ones(1 << 20).nonzero().size(0))}))
    assert message == {"n": 1 << 20}
    assert ending.how == "done"


def test_a_long_worker_is_ended_in_time():
    start = time.monotonic()
    (ending,) = run(lambda send: time.sleep(60), time_limit_s=0.5)
    assert ending.how == "timed out"
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (lambda send: os._exit(0), "exit code 0"),
        (lambda send: os.abort(), "an abort"),
        (lambda send: 1 / 0, "ZeroDivisionError"),
        (lambda send: bytearray(10**10), "MemoryError"),
        (lambda send: torch.ones(10**10), "allocate"),
    ],
)
def test_an_early_end_is_a_crash_that_says_why(body, words):
    *_, ending = run(body)
    assert ending.how == "crashed"
    assert words in ending.sentence


def test_memory_that_grows_in_small_steps_is_seen_too():
    def hoard(send):
        kept = []
        while True:
            kept.append(bytearray(10**7))

    *_, ending = run(hoard, memory_limit_bytes=3 * 10**8)
    assert ending.how == "crashed"
    assert "emory" in ending.sentence


def test_no_child_is_left():
    before = children()
    run(lambda send: None)
    assert children() <= before


def test_a_keeper_without_resources_says_so(monkeypatch):
    def keep(*args, **kwargs):
        raise BlockingIOError(11, "no more processes")

    monkeypatch.setattr(keeper, "keep", keep)
    *_, ending = run(lambda send: None)
    assert ending.how == "crashed"
    assert ending.sentence.endswith("gave up: [Errno 11] no more processes")
