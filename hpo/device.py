"""The device of this process: what it is, what precision pays there, how much memory it used."""

import ctypes
import gc
import os
import platform
import resource
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hpo.workers import LOCAL_WORKERS

_SMALL = 192  # hidden size below which bfloat16 and threads gain a CPU nothing (measured)


@dataclass(frozen=True)
class Device:
    """Where trials run: the first visible GPU, or the CPU."""

    name: str
    kind: str  # "cuda" or "cpu"

    @classmethod
    def here(cls, *, cpu: bool = False) -> "Device":
        """Look at what this process sees; `cpu` leaves the GPUs alone."""
        if torch.cuda.is_available() and not cpu:
            return cls(torch.cuda.get_device_name(0), "cuda")
        machine = platform.processor() or platform.machine()
        return cls(f"CPU ({machine})" if machine else "CPU", "cpu")

    def training_arguments(self, hidden_size: int) -> dict[str, Any]:
        """Return the training arguments that suit the device and a model of that width."""
        if self.kind == "cuda":
            bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
            return {"bf16": bf16, "fp16": not bf16}
        return {
            "use_cpu": True,
            "dataloader_pin_memory": False,
            "bf16": hidden_size >= _SMALL and cpu_has_bfloat16(),
        }

    def forget_peak(self) -> None:
        """Begin to measure the peak memory anew."""
        if self.kind == "cuda":
            torch.cuda.reset_peak_memory_stats()
        else:
            # Resets VmHWM, see proc(5); where that cannot be, the peak is that of the process.
            with suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")

    def peak_memory(self) -> int:
        """Return the peak since `forget_peak`, in bytes: of the GPU, or resident on a CPU."""
        if self.kind == "cuda":
            return int(torch.cuda.max_memory_allocated())
        try:
            status = Path("/proc/self/status").read_text()
            line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
            return int(line.split()[1]) * 1024
        except (OSError, StopIteration):
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def free_memory(self) -> None:
        """Give back what a trial that has ended still holds."""
        gc.collect()  # a Trainer and its callbacks refer to each other, an error to its frames
        if self.kind == "cuda":
            torch.cuda.empty_cache()
        elif sys.platform == "linux":
            # The allocator keeps the pages of freed tensors; the next trial has other shapes.
            with suppress(OSError, AttributeError):
                ctypes.CDLL(None).malloc_trim(0)  # glibc only


def visible_gpus() -> list[str]:
    """Return the GPUs of this process, as `CUDA_VISIBLE_DEVICES` names them; none is touched."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    if named is None:
        return [str(number) for number in range(count)]
    return [name.strip() for name in named.split(",") if name.strip()][:count]


def cpu_has_bfloat16() -> bool:
    """Say whether the CPU multiplies bfloat16 in hardware (AVX512-BF16, AMX)."""
    known = torch.cpu.get_capabilities()
    return bool(known.get("avx512_bf16") or known.get("amx_tile"))


def use_cores(hidden_size: int) -> int:
    """Give this process its share of the machine's cores, unless `OMP_NUM_THREADS` says how many.

    Args:
        hidden_size: of the model; a narrow one gets a single thread, since two that wait for each
            other gain it little on an idle machine and cost it tenfold on a busy one (measured).

    Returns:
        The number of threads that torch uses from now on.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        share = max(1, _cores() // int(os.environ.get(LOCAL_WORKERS, "1")))
        torch.set_num_threads(share if hidden_size >= _SMALL else 1)
    return torch.get_num_threads()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
