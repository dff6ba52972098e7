"""The device: threads, precision, memory; GPUs are named without being touched."""

import os
import subprocess
import sys

import pytest
import torch

from hpo.device import Device, use_cores, visible_gpus

WIDE, NARROW = 768, 64


def threads(code: str, **env: str) -> int:
    """Ask a new process for its number of threads."""
    clean = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    line = [sys.executable, "-c", f"from hpo.device import use_cores; print({code})"]
    ended = subprocess.run(line, env={**clean, **env}, capture_output=True, text=True, check=True)
    return int(ended.stdout)


def test_cores_are_shared() -> None:
    """A wide model has the process's share of the cores, a narrow one a thread, a user the word."""
    cores = len(os.sched_getaffinity(0))
    assert threads(f"100 * use_cores({NARROW}) + use_cores({WIDE})") == 100 + cores
    assert threads(f"use_cores({WIDE})", HPO_LOCAL_WORKERS=str(cores)) == 1
    assert threads(f"use_cores({WIDE})", OMP_NUM_THREADS="1") == 1


def test_the_user_decides_about_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """With OMP_NUM_THREADS set nothing is changed."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    assert use_cores(WIDE) == before


def test_cpu_takes_no_gpu_arguments() -> None:
    """On a CPU: no pinned memory, and bfloat16 only for models that are wide enough to gain."""
    cpu = Device("a cpu", "cpu")
    assert cpu.training_arguments(NARROW) == {
        "use_cpu": True, "dataloader_pin_memory": False, "bf16": False,
    }  # fmt: skip
    assert Device.here(cpu=True).kind == "cpu"


def test_peak_memory_is_measured_anew() -> None:
    """The peak is at least what was allocated, and forgets what was freed before."""
    device = Device.here(cpu=True)
    size = 200_000_000
    block = torch.ones(size, dtype=torch.uint8)
    device.forget_peak()
    with_block = device.peak_memory()
    del block
    device.free_memory()
    device.forget_peak()
    assert with_block - device.peak_memory() > size / 2
    more = torch.ones(2 * size, dtype=torch.uint8)
    del more
    assert device.peak_memory() > 2 * size


@pytest.mark.parametrize(
    ("named", "count", "gpus"),
    [(None, 0, []), (None, 2, ["0", "1"]), ("2,3", 2, ["2", "3"]), ("", 0, []),
     ("GPU-8932f937, 1", 2, ["GPU-8932f937", "1"]), ("0,1,9", 2, ["0", "1"])],
)  # fmt: skip
def test_visible_gpus(
    monkeypatch: pytest.MonkeyPatch, named: str | None, count: int, gpus: list[str]
) -> None:
    """By the names that CUDA_VISIBLE_DEVICES gives them; there is none here, so torch counts."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if named is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert visible_gpus() == gpus
