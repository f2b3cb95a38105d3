"""A minute's proof that both networks are fitted by several processes as by one; on made-up data, in no test suite.

    torchrun --nproc_per_node=2 -m models.training.smoke
    python -m models.training.smoke

Why: the suite has no torch. Without drop-out, and without batch normalisation, which sees a part of a batch only, two
processes must reach the weights of one within rounding; with them both networks must still learn, and end up with
the same weights in every process.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from models.training import fit as cnn
from models.training import group, icu_fit
from models.training.fit import positive
from models.training.icu_network import Recipe as GruRecipe
from models.training.network import GreyNet
from models.training.rank import rank, say

CLOSE, LEARNED, SEED = 1e-4, 0.9, 1


def images(count: int) -> tuple[Tensor, Tensor]:
    """Noise, and for label 0 a bright disc in the middle."""
    noise = torch.Generator().manual_seed(5)
    label = torch.arange(count) % 2
    x = torch.randn(count, 1, 28, 28, generator=noise)
    x[:, :, 9:19, 9:19] += 0.8 * (label == 0).float().view(-1, 1, 1, 1)
    return x, label


def stays(count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Sequences whose level tells the outcome."""
    noise = torch.Generator().manual_seed(6)
    death = (torch.arange(count) % 2).float()
    sequence = torch.randn(count, 48, 9, generator=noise) + 1.0 * death.view(-1, 1, 1)
    return sequence, torch.randn(count, 6, generator=noise), death


def weights(net: nn.Module) -> Tensor:
    return torch.cat([one.detach().reshape(-1) for one in net.parameters()])


def furthest(told: Tensor) -> float:
    """How far this process's numbers are from the first one's, at most, over all processes."""
    known = group.joined()
    away = (told - known.from_first(told.clone())).abs().max()
    if known.size > 1:
        torch.distributed.all_reduce(away, torch.distributed.ReduceOp.MAX)
    return float(away)


def must(holds: bool, complaint: str) -> None:
    if not holds:
        raise SystemExit(complaint)


def alone(work: Callable[[], nn.Module]) -> nn.Module:
    """The same work as one process does it."""
    kept = cnn.joined, icu_fit.joined
    cnn.joined = icu_fit.joined = lambda: group.Group(0, 1)
    try:
        return work()
    finally:
        cnn.joined, icu_fit.joined = kept


def main() -> None:
    """Ends with a word where something does not hold."""
    torch.set_num_threads(1)
    x, label = images(256)
    recipe = cnn.Recipe(width=8, epochs=6, batch=32)
    net = cnn.fit(x, label, recipe, SEED)
    learned = roc_auc_score(label == 0, positive(net, x))
    apart = furthest(weights(net))
    say(f"CNN in {group.joined().size}: AUC {learned:.3f}, processes apart {apart:.1e}")
    must(learned > LEARNED, "has not learned")
    must(apart == 0.0, "processes end with other weights")

    sequence, flat, death = stays(256)
    member = icu_fit.fit(sequence, flat, death, GruRecipe(hidden=8, epochs=16), SEED)
    with torch.no_grad():
        learned = roc_auc_score(death, member(sequence, flat)[:, 0])
    apart = furthest(weights(member))
    say(f"GRU in {group.joined().size}: AUC {learned:.3f}, processes apart {apart:.1e}")
    must(learned > LEARNED, "has not learned")
    must(apart == 0.0, "processes end with other weights")

    exact = GruRecipe(hidden=8, epochs=3, dropout=0.0)
    together = icu_fit.fit(sequence, flat, death, exact, SEED)
    single = alone(lambda: icu_fit.fit(sequence, flat, death, exact, SEED))
    away = float((weights(together) - weights(single)).abs().max())
    say(f"GRU without drop-out: {away:.1e} from one process")
    must(away < CLOSE, "other weights than one process")

    _without_statistics(x, label)
    print(f"process {rank()} of {group.joined().size}: fine", flush=True)


def _without_statistics(x: Tensor, label: Tensor) -> None:
    """The CNN with fixed statistics: the same weights as alone."""
    made = cnn.GreyNet
    recipe = cnn.Recipe(width=8, epochs=2, batch=32, dropout=0.0)

    class Still(GreyNet):
        def __init__(self, width: int, stem_stride: int, classes: int = 2, dropout: float = 0.3) -> None:
            super().__init__(width, stem_stride, classes, dropout)
            self.eval()

    cnn.GreyNet = Still
    try:
        together = cnn.fit(x, label, recipe, SEED)
        single = alone(lambda: cnn.fit(x, label, recipe, SEED))
    finally:
        cnn.GreyNet = made
    away = float((weights(together) - weights(single)).abs().max())
    say(f"CNN without statistics of a batch: {away:.1e} from one process")
    must(away < CLOSE, "other weights than one process")


if __name__ == "__main__":
    main()
