"""Linear heads over a pretrained backbone's pooled maps, as one graph with the outputs that every pack has.

The heads are linear over averages, so the map is exact: its mean is the logit without the intercept. Distance
is that of a probabilistic principal component analysis (Tipping and Bishop, 1999): the components that carry
the training images, whitened, and the length of what they leave.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.training.lite_backbone import Lite0
from models.training.network import OUTPUTS


class Pooled(nn.Module):
    """Raw pixels (B, side, side, 1), 0 to 255, enlarged to `work` pixels, to the maps of the backbone."""

    def __init__(self, backbone: Lite0, side: int, work: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.side, self.work = side, work

    def maps(self, raw: Tensor, mirrored: bool = False) -> list[Tensor]:
        """The maps of the image, or of its mirror."""
        x = raw.reshape(-1, 1, self.side, self.side)
        x = torch.flip(x, [3]) if mirrored else x
        x = F.interpolate(x, (self.work, self.work), mode="bicubic", align_corners=False)
        found: list[Tensor] = self.backbone(x)
        return found

    def forward(self, raw: Tensor) -> Tensor:
        """(B, features): every map averaged, one after the other."""
        return torch.cat([one.mean((2, 3)) for one in self.maps(raw)], 1)


class Detail(nn.Module):
    """Heads, mirror averaging, Platt calibration, map and embedding, from raw pixels.

    Input and outputs are those of `network.Ensemble`: `prob` (B, 2), `member` (B, heads), `cam` (B, 1, side,
    side), `embedding` (B, components + 1); and `shown` (B, 1), once `judge` has been given what judges it.
    """

    mean: Tensor
    weight: Tensor
    bias: Tensor
    platt: Tensor
    axes: Tensor
    scale: Tensor
    rest: Tensor

    def __init__(self, pooled: Pooled, weight: Tensor, bias: Tensor, space: dict[str, Tensor]) -> None:
        super().__init__()
        self.pooled, self.side = pooled, pooled.side
        self.judge: nn.Module | None = None
        self.register_buffer("weight", weight)  # (heads, features), for raw features less their mean
        self.register_buffer("bias", bias)  # (heads,)
        self.register_buffer("platt", torch.tensor([1.0, 0.0]))
        for name in ("mean", "deviation", "axes", "scale", "rest"):  # of the training features; see `space_of`
            self.register_buffer(name, space[name])

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what `forward` gives."""
        return OUTPUTS if self.judge is None else (*OUTPUTS, "shown")

    def forward(self, raw: Tensor) -> tuple[Tensor, ...]:
        """Raw pixels (B, side, side, 1) to (prob, member, cam, embedding), and shown where it is judged."""
        plain, mirrored = self.pooled.maps(raw), self.pooled.maps(raw, mirrored=True)
        both = [(one + torch.flip(other, [3])) / 2 for one, other in zip(plain, mirrored, strict=True)]
        apart = torch.cat([one.mean((2, 3)) for one in both], 1) - self.mean
        member = torch.sigmoid(apart @ self.weight.T + self.bias)
        found = self._calibrated(member), member, self._evidence(both), self._embedded(apart)
        return found if self.judge is None else (*found, self.judge(raw))

    def _evidence(self, maps: list[Tensor]) -> Tensor:
        """Where the mean logit comes from. Doubling by bilinear interpolation keeps a map's mean."""
        weight, mean = self.weight.mean(0).reshape(1, -1, 1, 1), self.mean.reshape(1, -1, 1, 1)
        cells, found, place = max(one.shape[2] for one in maps), [], 0
        for one in maps:
            here = slice(place, place + one.shape[1])
            part = ((one - mean[:, here]) * weight[:, here]).sum(1, keepdim=True)
            small = part.shape[2] != cells
            found.append(F.interpolate(part, (cells, cells), mode="bilinear") if small else part)
            place = here.stop
        return F.interpolate(torch.stack(found).sum(0), (self.side, self.side), mode="bilinear")

    def _embedded(self, apart: Tensor) -> Tensor:
        z = apart / self.get_buffer("deviation")
        along = z @ self.axes
        left = ((z - along @ self.axes.T) ** 2).sum(1, keepdim=True).sqrt()
        return torch.cat([along / self.scale, left / self.rest], 1)

    def _calibrated(self, member: Tensor) -> Tensor:
        mean = member.mean(1, keepdim=True).clamp(1e-6, 1 - 1e-6)
        logit = torch.log(mean) - torch.log1p(-mean)
        positive = torch.sigmoid(self.platt[0] * logit + self.platt[1])
        return torch.cat([positive, 1 - positive], 1)
