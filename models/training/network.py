"""A small residual network for grey images, and the ensemble that becomes one ONNX graph.

Everything a result needs is inside the graph: scaling of raw pixels, five members, left-right mirror
averaging, calibration, class activation map and the whitened embedding that the guard measures. What is
in the graph cannot be done differently by the server.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

OUTPUTS = ("prob", "member", "cam", "embedding")  # that every pack on images has


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al., 2016, arXiv:1512.03385)."""

    def __init__(self, inward: int, outward: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inward, outward, 3, stride, 1, bias=False)
        self.norm_first: nn.Module = nn.BatchNorm2d(outward)
        self.second = nn.Conv2d(outward, outward, 3, 1, 1, bias=False)
        self.norm_second: nn.Module = nn.BatchNorm2d(outward)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inward != outward:
            self.shortcut = nn.Sequential(nn.Conv2d(inward, outward, 1, stride, bias=False), nn.BatchNorm2d(outward))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inward, H, W) to (B, outward, H/stride, W/stride)."""
        y = F.relu(self.norm_first(self.first(x)))
        return F.relu(self.norm_second(self.second(y)) + self.shortcut(x))


class GreyNet(nn.Module):
    """Stem, three stages of two blocks, global average, linear: about 175,000 weights at width 16."""

    def __init__(self, width: int, stem_stride: int, classes: int = 2, dropout: float = 0.3) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, width, 3, stem_stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.stages = nn.Sequential(
            Residual(width, width, 1),
            Residual(width, width, 1),
            Residual(width, 2 * width, 2),
            Residual(2 * width, 2 * width, 1),
            Residual(2 * width, 4 * width, 2),
            Residual(4 * width, 4 * width, 1),
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(4 * width, classes)

    def features(self, x: Tensor) -> Tensor:
        """(B, 1, H, W) of scaled pixels to the last feature map (B, 4 width, h, w)."""
        out: Tensor = self.stages(self.stem(x))
        return out

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, H, W) of scaled pixels to logits (B, classes)."""
        out: Tensor = self.head(self.dropout(self.features(x).mean((2, 3))))
        return out


class Ensemble(nn.Module):
    """Members, mirror averaging, Platt calibration, map and embedding, from raw pixels.

    Input (B, side, side, 1) float32, 0 to 255. Outputs: `prob` (B, 2), positive label first; `member` (B,
    members) uncalibrated; `cam` (B, 1, side, side), evidence for the positive label; `embedding` (B, K),
    whitened, so that its length is the Mahalanobis distance to the training images.
    """

    mean: Tensor
    deviation: Tensor
    platt: Tensor
    centre: Tensor
    whiten: Tensor

    def __init__(self, members: list[GreyNet], side: int, mean: float, deviation: float) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.side = side
        size = sum(m.head.in_features for m in members)
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("deviation", torch.tensor(deviation))
        self.register_buffer("platt", torch.tensor([1.0, 0.0]))
        self.register_buffer("centre", torch.zeros(size))
        self.register_buffer("whiten", torch.eye(size))

    def forward(self, raw: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Raw pixels (B, side, side, 1) to (prob, member, cam, embedding)."""
        x = (raw.reshape(-1, 1, self.side, self.side) / 255.0 - self.mean) / self.deviation
        each, maps, pooled = [], [], []
        for member in self.members:
            if not isinstance(member, GreyNet):
                raise TypeError("an ensemble is made of GreyNet members")
            plain, mirrored = member.features(x), member.features(torch.flip(x, [3]))
            first, second = plain.mean((2, 3)), mirrored.mean((2, 3))
            prob = (member.head(first).softmax(1) + member.head(second).softmax(1)) / 2
            each.append(prob[:, 0:1])
            weight = (member.head.weight[0] - member.head.weight[1]).reshape(1, -1, 1, 1)
            maps.append(((plain + torch.flip(mirrored, [3])) * weight).sum(1, keepdim=True) / 2)
            pooled.append((first + second) / 2)
        member_prob = torch.cat(each, 1)
        cam = torch.stack(maps).mean(0)
        cam = F.interpolate(cam, (self.side, self.side), mode="bilinear", align_corners=False)
        embedding = (torch.cat(pooled, 1) - self.centre) @ self.whiten
        return self._calibrated(member_prob), member_prob, cam, embedding

    def _calibrated(self, member_prob: Tensor) -> Tensor:
        mean = member_prob.mean(1, keepdim=True).clamp(1e-6, 1 - 1e-6)
        logit = torch.log(mean) - torch.log1p(-mean)
        positive = torch.sigmoid(self.platt[0] * logit + self.platt[1])
        return torch.cat([positive, 1 - positive], 1)


def fuse(net: GreyNet) -> GreyNet:
    """Fold every batch normalisation into the convolution before it, as the exporter would, in place.

    Done here so that rounding (`halve`) comes after it and what is measured is what is shipped.
    """
    net.stem = _fused_pair(net.stem)
    for block in net.stages:
        if not isinstance(block, Residual):
            raise TypeError("a stage is made of Residual blocks")
        block.first = _fused(block.first, block.norm_first)
        block.second = _fused(block.second, block.norm_second)
        block.norm_first, block.norm_second = nn.Identity(), nn.Identity()
        if isinstance(block.shortcut, nn.Sequential):
            block.shortcut = _fused_pair(block.shortcut)
    return net


def _fused_pair(pair: nn.Sequential) -> nn.Sequential:
    return nn.Sequential(_fused(pair[0], pair[1]), *list(pair)[2:])


def _fused(convolution: nn.Module, norm: nn.Module) -> nn.Conv2d:
    if not isinstance(convolution, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
        raise TypeError("only a convolution and its batch normalisation are fused")
    return fuse_conv_bn_eval(convolution, norm)


def halve(net: nn.Module) -> None:
    """Round every weight to a half-precision number, in place.

    The exported file then stores halves and computes in single precision: half the size, no difference
    between what was evaluated and what is shipped.
    """
    with torch.no_grad():
        for tensor in net.state_dict().values():
            if tensor.dtype == torch.float32:
                tensor.copy_(tensor.half().float())
