"""Workers as Ray actors: one per device, on any node that has one free. The journal and all files stay here."""

import contextlib
import importlib.util
import os
import queue
import re
import socket
import threading
from collections.abc import Sequence
from typing import Any

from ..errors import RunError
from ..machine import num_cores
from .job import Item, Job
from .remote_pool import Connection
from .worker import THREADS, Message, serve

_CONNECT_SECONDS = 10.0
_HOW_TO_START = "Start one with `ray start --head`, and give its HOST:PORT, or auto, on one of the cluster's nodes."
# Ray prints, also for its daemons, to the standard output of its user; these are read when it is imported.
_SILENT = {
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",
    "RAY_SCHEDULER_EVENTS": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}


class RayBackend:
    """Starts Ray actors. It connects when `devices` is called, and must be closed.

    Workers wait until a device is free, so nodes may join and leave. A node needs the same videoxl, the videos
    under the same paths, and the model under its path or by its name.

    Args:
        address: HOST:PORT of a cluster that this machine is a node of; "auto" finds it; None starts one on this
            machine, which is shut down on closing.
        device: "cpu"; otherwise the cluster's GPUs if it has any.
        workers: number of workers; None is one per GPU, or one per node if there is no GPU.

    Raises:
        RunError: Ray is not installed, or no cluster answers at the address.
    """

    setup_timeout = None  # a worker may wait for a device

    def __init__(self, address: str | None, device: str = "auto", workers: int | None = None) -> None:
        if importlib.util.find_spec("ray") is None:
            raise RunError("Ray is not installed", "Install it with: pip install 'videoxl[ray]'")
        if device not in ("auto", "cpu", "cuda"):
            raise RunError(f"device {device!r} cannot be chosen on a Ray cluster", "Use auto, cpu or cuda.")
        if address not in (None, "auto"):
            _check_address(address)
        for name, value in _SILENT.items():
            os.environ.setdefault(name, value)
        self._address, self._device, self._workers = address, device, workers
        self._is_own_cluster = False
        self._max_on_node = 1  # workers

    def devices(self, max_workers: int) -> Sequence[str]:
        """See `WorkerBackend`. Connects."""
        import ray

        if not ray.is_initialized():
            self._connect(max_workers)
        resources, nodes = ray.cluster_resources(), ray.nodes()
        gpus = 0 if self._device == "cpu" else int(resources.get("GPU", 0))
        if self._device.startswith("cuda") and not gpus:
            raise RunError("the Ray cluster has no GPU", "Use --device cpu, or start Ray on a machine with a GPU.")
        num_nodes = max(1, sum(node["Alive"] for node in nodes))
        num_workers = min(self._workers or gpus or num_nodes, max_workers)
        self._max_on_node = -(-num_workers // num_nodes)
        return ["cuda" if gpus else "cpu"] * num_workers

    def start_worker(self, job: Job, device: str) -> Connection:
        """See `WorkerBackend`."""
        import ray

        actor = ray.remote(_WorkerActor)
        resources = {"num_cpus": 1, "num_gpus": int(device == "cuda"), "scheduling_strategy": "SPREAD"}
        options = actor.options(**resources, max_concurrency=2, max_restarts=0)
        return _ActorConnection(options.remote(job, device, os.getcwd(), os.environ.get(THREADS), self._max_on_node))

    def wait(self, connections: Sequence[Connection], timeout: float | None) -> Sequence[Connection]:
        """See `WorkerBackend`."""
        import ray

        replies = {
            connection.reply: connection for connection in connections if isinstance(connection, _ActorConnection)
        }
        ready, _ = ray.wait([*replies], timeout=timeout)
        return [replies[reply] for reply in ready]

    def close(self) -> None:
        """Leave the cluster; shut it down if it was started here."""
        if self._is_own_cluster:
            import ray

            ray.shutdown()
            self._is_own_cluster = False

    def _connect(self, max_workers: int) -> None:
        import logging

        import ray

        options: dict[str, Any] = {"address": self._address}
        if self._address is None:  # an own cluster has a CPU for every worker
            workers = min(self._workers or 1, max_workers)
            options = {"address": "local", "num_cpus": max(workers, os.cpu_count() or 1), "include_dashboard": False}
        try:
            self._is_own_cluster = True
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
        except (OSError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise RunError(
                f"Ray cannot be used at {self._address or 'this machine'} ({reason})",
                f"{_HOW_TO_START} If it asks for a token, set RAY_AUTH_MODE=token.",
            ) from None


class _WorkerActor:
    """The actor: a worker in a thread, its queue of items, and its queue of messages.

    Args:
        job: makes the worker.
        device: for the worker.
        folder: that relative paths refer to.
        threads: number of a worker's threads as the user has set it; None divides the node's cores.
        max_on_node: largest number of workers on a node.
    """

    def __init__(self, job: Job, device: str, folder: str, threads: str | None, max_on_node: int) -> None:
        # Ray sets this to the number of CPUs requested, which is one.
        os.environ[THREADS] = threads or str(max(1, num_cores() // max_on_node))
        with contextlib.suppress(OSError):  # then relative paths are not found, which is reported
            os.chdir(folder)
        self._items: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        threading.Thread(target=self._work, args=(job, device), daemon=True).start()

    def submit(self, item: Item) -> None:
        self._items.put(item)

    def next_message(self) -> Message:
        return self._messages.get()

    def _work(self, job: Job, device: str) -> None:
        try:
            serve(job, device, self._items.get, self._messages.put)
        except BaseException:  # else the pool would wait for a message for ever
            os._exit(1)


class _ActorConnection:
    """The connection to an actor."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor
        self._reason = "was ended"
        self.reply = actor.next_message.remote()

    def send(self, item: Item) -> None:
        self._actor.submit.remote(item)

    def receive(self) -> Message:
        import ray

        try:
            message = ray.get(self.reply)
        except ray.exceptions.RayError as error:  # it or its node died, or it cannot be reached
            lines = str(error).strip().splitlines() or [type(error).__name__]
            cause = re.search(r"dead because (.*?)\.(\s|$)", str(error))
            self._reason = f"was lost ({cause[1] if cause else lines[-1].strip()[:200]})"
            raise EOFError from None
        self.reply = self._actor.next_message.remote()
        return message

    def end(self) -> str:
        self.kill()
        return self._reason

    def kill(self) -> None:
        import ray

        if ray.is_initialized():
            ray.kill(self._actor)


def _check_address(address: str) -> None:
    """Raise RunError if nothing answers at an address: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or "/" in address or not port.isdecimal():
        raise RunError(f"{address!r} is not the address of a Ray cluster", "Give HOST:PORT, or auto.")
    try:
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise RunError(f"{address}: no Ray cluster answers ({error})", _HOW_TO_START) from None
