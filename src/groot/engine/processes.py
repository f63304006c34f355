"""How many processes train together, and on what."""

from __future__ import annotations

import gc
import logging
import os
import sys
from typing import NoReturn

import torch
from accelerate import Accelerator

from groot.errors import ConfigError

N_PROCESSES = "WORLD_SIZE"  # what a launcher calls their number in the environment
LAUNCH = "accelerate launch --multi_gpu --num_processes {n} -m groot.cli ..."


def make_accelerator(*, cpu: bool | None = None, mixed_precision: str | None = None) -> Accelerator:
    """An Accelerator that has all the processes that were asked for, or an error.

    accelerate itself goes wrong in silence on machines without a GPU: unless told `cpu=True`, two
    processes that were started together each believe to be alone, and do everything twice; and
    `accelerate launch --cpu --num_processes 2` starts one process. `--multi_gpu` starts two there,
    which then talk over gloo.

    Args:
        cpu: whether to train on the CPU; None: where there is no accelerator.
        mixed_precision: "no", "bf16" or "fp16"; None: what `accelerate launch` was told.

    Raises:
        ConfigError: processes were started together that do not work together.

    >>> make_accelerator(cpu=True).num_processes
    1
    """
    if cpu is None:
        cpu = not torch.accelerator.is_available()
    accelerator = Accelerator(cpu=cpu, mixed_precision=mixed_precision)
    wanted = int(os.environ.get(N_PROCESSES, "1"))
    if accelerator.num_processes != wanted:
        raise ConfigError(
            f"{wanted} processes were started, but this one sees {accelerator.num_processes}. "
            f"Start them with: {LAUNCH.format(n=wanted)}"
        )
    # `accelerate launch` names a meeting place for several processes, then starts a single one.
    if wanted == 1 and "MASTER_PORT" in os.environ and N_PROCESSES not in os.environ:
        raise ConfigError(
            "Several processes were asked for, but a single one was started. On the CPU, use: "
            + LAUNCH.format(n=2)
        )
    return accelerator


def leave(code: int) -> NoReturn:
    """End a process that trained together with others, skipping Python's own end.

    gloo's threads may hold tensors a moment longer than the work on them took. One that is let go
    while Python ends aborts the process, and a finished training looks like a crash (torch issue
    190489). So what has to be flushed is flushed here, and the process ends.

    Args:
        code: its exit code.
    """
    gc.collect()  # open files of dropped objects
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)
