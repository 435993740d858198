"""Small networks of the kinds that plans are compared on.

FlexFlow, table 3, plans AlexNet, Inception-v3, ResNet-101 and recurrent networks for language and
translation. These are their shapes at the size of a camera's own models, in plain torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


def perceptron(inputs: int, hidden: int, outputs: int, layers: int = 2) -> nn.Sequential:
    """A multilayer perceptron, from (n, inputs) to (n, outputs).

    >>> perceptron(4, 8, 2)(torch.zeros(3, 4)).shape
    torch.Size([3, 2])
    """
    parts: list[nn.Module] = []
    for _ in range(layers):
        parts += [nn.Linear(inputs, hidden), nn.ReLU()]
        inputs = hidden
    return nn.Sequential(*parts, nn.Linear(inputs, outputs))


def alexnet(width: int, classes: int, dropout: float = 0.5) -> nn.Sequential:
    """AlexNet (Krizhevsky et al. 2012) for small images, from (n, 3, size, size), size >= 32.

    Args:
        width: Channels of the first layer, 64 in the original.
        classes: Outputs.
        dropout: Share of units left out before the dense layers.
    """
    dense = 8 * width
    return nn.Sequential(
        nn.Conv2d(3, width, 5, stride=2, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(width, 3 * width, 5, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(3 * width, 4 * width, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(4 * width, 4 * width, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d((2, 2)),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(16 * width, dense),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        nn.Linear(dense, classes),
    )


class InceptionBlock(nn.Module):
    """Four branches side by side (Szegedy et al. 2015), from (n, inputs, h, w).

    Args:
        inputs: Channels of the input.
        width: Channels of each branch.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.one = _normal(inputs, width, 1)
        self.three = nn.Sequential(_normal(inputs, width, 1), _normal(width, width, 3))
        self.two_threes = nn.Sequential(
            _normal(inputs, width, 1), _normal(width, width, 3), _normal(width, width, 3)
        )
        self.pooled = nn.Sequential(nn.AvgPool2d(3, 1, padding=1), _normal(inputs, width, 1))

    def forward(self, images: Tensor) -> Tensor:
        """The branches' channels one behind the other."""
        branches = (self.one, self.three, self.two_threes, self.pooled)
        return torch.cat([branch(images) for branch in branches], dim=1)


def inception(width: int, classes: int) -> nn.Sequential:
    """A stem, two inception blocks and a classifier, from (n, 3, h, w)."""
    return nn.Sequential(
        _normal(3, width, 3, stride=2),
        InceptionBlock(width, width),
        nn.MaxPool2d(2),
        InceptionBlock(4 * width, width),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4 * width, classes),
    )


class Translator(nn.Module):
    """Encoder and decoder of two LSTM layers with attention (Luong et al. 2015, dot product).

    Args:
        words: Size of both vocabularies.
        width: Channels of embeddings and states.
    """

    def __init__(self, words: int, width: int) -> None:
        super().__init__()
        self.read = nn.Embedding(words, width)
        self.encoder = nn.LSTM(width, width, 2, batch_first=True)
        self.write = nn.Embedding(words, width)
        self.decoder = nn.LSTM(width, width, 2, batch_first=True)
        self.attend = nn.Linear(2 * width, width)
        self.head = nn.Linear(width, words)

    def forward(self, source: Tensor, shifted: Tensor) -> Tensor:
        """Logits (n, length, words) for int64 (n, length) of both languages."""
        memory, states = self.encoder(self.read(source))
        hidden, _ = self.decoder(self.write(shifted), states)
        scores = torch.bmm(hidden, memory.transpose(1, 2))
        context = torch.bmm(torch.softmax(scores, dim=-1), memory)
        joint = torch.tanh(self.attend(torch.cat([hidden, context], dim=-1)))
        logits: Tensor = self.head(joint)
        return logits


def _normal(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
