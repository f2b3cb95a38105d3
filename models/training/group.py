"""Several processes that fit one network: each takes its part of every batch, and the gradients are added up.

    torchrun --nproc_per_node=2 -m models.training.chest_film --data DIR --out build/packs

The batches, their order and their augmentation are those of one process. What differs is the drop-out, which each
process draws for its own part, and the statistics of a batch normalisation, which are those of a part. Alone, nothing
here changes a number: no process group is made, and every method gives back what it was given.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, nn
from torch import distributed as dist

from models.training.rank import rank

PATIENCE = timedelta(minutes=30)  # the first process may be evaluating while the others wait
_APART = 1_000_003  # between the seeds of the drop-out of two processes


@dataclass(frozen=True)
class Group:
    """This process among `size`."""

    place: int
    size: int

    def part(self, count: int) -> slice:
        """Which rows of a batch of `count` are this process's."""
        return slice(self.place * count // self.size, (self.place + 1) * count // self.size)

    def own_chance(self, seed: int) -> None:
        """After the same weights were drawn everywhere: drop-out of its own for every process but the first."""
        if self.place:
            torch.manual_seed(seed + self.place * _APART)

    def from_first(self, numbers: Tensor) -> Tensor:
        """The first process's `numbers`, everywhere."""
        if self.size > 1:
            dist.broadcast(numbers, 0)
        return numbers

    def agreed(self, said: bool) -> bool:
        """What the first process says."""
        return bool(self.from_first(torch.tensor([said], dtype=torch.int64)).item())

    def add_gradients(self, net: nn.Module) -> None:
        """Gradients of the parts become the gradient of the whole batch; to be called before clipping."""
        if self.size == 1:
            return
        told = [one.grad for one in net.parameters() if one.grad is not None]
        whole = torch.cat([one.reshape(-1) for one in told])
        dist.all_reduce(whole)
        for one, part in zip(told, whole.split([one.numel() for one in told]), strict=True):
            one.copy_(part.reshape(one.shape))

    def same_state(self, net: nn.Module) -> None:
        """The first process's weights, and the mean of the running statistics."""
        if self.size == 1:
            return
        for weight in net.parameters():
            dist.broadcast(weight.data, 0)
        for told in net.buffers():
            if told.is_floating_point():
                dist.all_reduce(told)
                told.div_(self.size)
            else:
                dist.broadcast(told, 0)


def joined() -> Group:
    """This process's group; makes it at the first call in a process that `torchrun` has started."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size > 1 and not dist.is_initialized():
        dist.init_process_group("gloo", timeout=PATIENCE)
    return Group(rank(), size)
