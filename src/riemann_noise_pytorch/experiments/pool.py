"""Work in several processes at once, with progress, and with an end that loses nothing.

Each worker computes with few threads, for the small steps of small networks gain less from a second thread
than from a second run. A worker that is told to stop finishes its step and writes a snapshot.
"""

import multiprocessing
import queue
import signal
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.context import SpawnProcess
from multiprocessing.queues import Queue
from typing import Any

from riemann_noise_pytorch.errors import InputError, Interrupted, NonFiniteError, RiemannNoiseError
from riemann_noise_pytorch.training.signals import StopRequest

POLL_S = 0.2
PATIENCE_S = 60.0
"""How long a worker that was told to stop may take for its snapshot."""


@dataclass(frozen=True)
class Task:
    """Something to do in a process of its own.

    Args:
        name: Its name in progress and messages.
        function: A module-level function, called as ``function(*arguments, report)``, where ``report(stage,
            done, total)`` tells how far it is.
        arguments: Its picklable arguments.
    """

    name: str
    function: Callable[..., None]
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Event:
    """How far a task is.

    Args:
        task: Its name.
        stage: What it is doing; ``finished`` at its end.
        done: Units of that stage done.
        total: All units of that stage.
    """

    task: str
    stage: str
    done: int
    total: int


def run_tasks(tasks: Sequence[Task], workers: int, threads: int, on_event: Callable[[Event], None]) -> None:
    """Run tasks in worker processes, at most so many at once.

    Args:
        tasks: What to do, in order of start.
        workers: Processes, at least 1; no more than there are tasks are started.
        threads: Threads of each.
        on_event: Called in this process as tasks go on.

    Raises:
        RiemannNoiseError: A task could not go on; the others were stopped.
        Interrupted: SIGTERM or SIGINT came; the workers were stopped after their step.
        RuntimeError: A worker failed by a fault of the program, or was killed; or the calling script has no
            ``if __name__ == "__main__":`` guard, which processes of their own need.
    """
    context = multiprocessing.get_context("spawn")
    waiting, events = context.Queue(), context.Queue()
    count = min(workers, len(tasks))
    for task in [*tasks, *[None] * count]:
        waiting.put(task)
    processes = [context.Process(target=_work, args=(waiting, events, threads)) for _ in range(count)]
    with StopRequest() as stop:
        try:
            for process in processes:
                process.start()
            left = len(tasks)
            while left:
                if stop.number:
                    raise Interrupted("stopped", stop.number)
                event = _next_event(events)
                _check_alive(processes)
                if event is not None:
                    on_event(event)
                    left -= event.stage == "finished"
        except BaseException:
            _stop(processes)
            raise
        for process in processes:
            process.join()


def _next_event(events: "Queue[Any]") -> Event | None:
    try:
        message = events.get(timeout=POLL_S)
    except queue.Empty:
        return None
    if isinstance(message, RiemannNoiseError):
        raise message
    if isinstance(message, str):
        raise RuntimeError(f"a worker failed:\n{message}")
    event: Event = message
    return event


def _check_alive(processes: Sequence[SpawnProcess]) -> None:
    dead = [process.exitcode for process in processes if process.exitcode not in (None, 0)]
    if dead:
        raise RuntimeError(
            f"a worker ended with exit code {dead[0]}: it was killed, or the calling script lacks its "
            '`if __name__ == "__main__":` guard'
        )


def _stop(processes: Sequence[SpawnProcess]) -> None:
    started = [process for process in processes if process.pid is not None]
    for process in started:
        process.terminate()
    for process in started:
        process.join(PATIENCE_S)
        if process.is_alive():
            process.kill()
            process.join()


def _work(waiting: "Queue[Any]", events: "Queue[Any]", threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one decides
    while (task := waiting.get()) is not None:
        try:
            task.function(*task.arguments, partial(_tell, events, task.name))
            events.put(Event(task.name, "finished", 1, 1))
        except Interrupted as stopped:
            events.put(stopped)
            return
        except RiemannNoiseError as error:
            kind = NonFiniteError if isinstance(error, NonFiniteError) else InputError
            events.put(kind(f"{task.name}: {error}"))
        except Exception:
            events.put(traceback.format_exc())


def _tell(events: "Queue[Any]", name: str, stage: str, done: int, total: int) -> None:
    events.put(Event(name, stage, done, total))
