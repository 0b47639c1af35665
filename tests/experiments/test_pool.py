"""Laws of work in several processes."""

import os
import signal
import threading
import time

import pytest

from riemann_noise_pytorch.errors import InputError, Interrupted, NonFiniteError
from riemann_noise_pytorch.experiments.pool import Task, run_tasks


def count(limit, report):
    for i in range(limit):
        report("counting", i + 1, limit)


def refuse(report):
    raise NonFiniteError("the loss is not finite; lower the rate")


def break_down(report):
    raise KeyError("a fault")


def vanish(report):
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(seconds, report):
    report("sleeping", 0, 1)
    time.sleep(seconds)


def stop_itself(report):
    raise Interrupted("stopped", signal.SIGTERM)


def chatter(seconds, report):
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        report("chatting", 0, 1)
        time.sleep(0.02)


def ignore(event):
    return event


def test_every_task_reports_and_finishes():
    events = []
    run_tasks([Task("a", count, (2,)), Task("b", count, (3,))], workers=1, threads=1, on_event=events.append)
    assert [(e.task, e.stage, e.done) for e in events] == [
        *[("a", "counting", 1), ("a", "counting", 2), ("a", "finished", 1)],
        *[("b", "counting", 1), ("b", "counting", 2), ("b", "counting", 3), ("b", "finished", 1)],
    ]


def test_no_task_needs_no_worker():
    events = []
    run_tasks([], workers=2, threads=1, on_event=events.append)
    assert events == []


@pytest.mark.parametrize(
    ("function", "kind", "words"),
    [
        (refuse, NonFiniteError, "doomed: the loss is not finite; lower the rate"),
        (break_down, RuntimeError, "KeyError"),
        (stop_itself, Interrupted, "stopped"),
        (vanish, RuntimeError, "ended with exit code -9"),
    ],
)
def test_a_failing_task_ends_the_work_with_its_reason(function, kind, words):
    with pytest.raises(kind, match=words):
        run_tasks([Task("doomed", function)], workers=1, threads=1, on_event=ignore)


def test_a_dead_worker_is_noticed_while_another_talks():
    began = time.monotonic()
    with pytest.raises(RuntimeError, match="exit code -9"):
        run_tasks([Task("talks", chatter, (300,)), Task("dies", vanish)], 2, threads=1, on_event=ignore)
    assert time.monotonic() - began < 120


def test_a_request_to_stop_ends_the_workers():
    main = threading.get_ident()

    def on_event(event):
        signal.pthread_kill(main, signal.SIGTERM)

    began = time.monotonic()
    with pytest.raises(Interrupted) as stopped:
        run_tasks([Task("long", sleep, (600,))], workers=1, threads=1, on_event=on_event)
    assert stopped.value.exit_code == 128 + signal.SIGTERM
    assert time.monotonic() - began < 60


def test_an_input_error_of_a_task_stays_an_input_error():
    with pytest.raises(InputError, match="naming: "):
        run_tasks([Task("naming", name_wrongly)], workers=1, threads=1, on_event=ignore)


def name_wrongly(report):
    raise InputError("no such name; give another")
