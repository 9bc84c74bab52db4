"""A multilayer perceptron that does in a mirror what the mirror shows: equivariant under two reflections.

Hidden units come in four groups, one for the world as it is and one for each of its three mirror images (x reflected, y
reflected, both). A reflection of the input permutes the groups and does nothing else, so the output is reflected with
it, exactly and whatever the weights: every sample teaches four. Weights are shared such that group g sees group h
through a block that depends only on how their images differ, so a layer costs what an ordinary one does. (Group
convolution, Cohen & Welling 2016, on the group ℤ₂ × ℤ₂.)
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from rsl_rl.models import MLPModel
from rsl_rl.modules import MLP, EmpiricalNormalization
from rsl_rl.utils import resolve_nn_activation

from corvids.envs.mdp.mirrors import SAME, Signs
from corvids.errors import CorvidsError

IMAGES = 4
"""The world and its mirror images: (x, y) reflected or not, in the order of :data:`_REFLECTED`."""
_REFLECTED = ((0, 0), (1, 0), (0, 1), (1, 1))
_BETWEEN = tuple(tuple(_REFLECTED.index((a[0] ^ b[0], a[1] ^ b[1])) for b in _REFLECTED) for a in _REFLECTED)
"""Which reflection leads from one image to another."""


def characters(signs: Sequence[Signs]) -> torch.Tensor:
    """Sign of each number in each image, (4, numbers)."""
    return torch.tensor(
        [[(x if by_x else 1) * (y if by_y else 1) for x, y in signs] for by_x, by_y in _REFLECTED]
    ).float()


class MirroredMLP(torch.nn.Module):
    """Input (n, len(``inputs``)) to output (n, len(``outputs``)); signs say how each of their numbers is mirrored."""

    _from: torch.Tensor
    _to: torch.Tensor
    _between: torch.Tensor
    _is_same: torch.Tensor

    def __init__(
        self, inputs: Sequence[Signs], outputs: Sequence[Signs], hidden: Sequence[int], activation: str
    ) -> None:
        super().__init__()
        for units in hidden:
            if units % IMAGES:
                raise CorvidsError(
                    f"a mirrored network's hidden layers come in {IMAGES} groups: {units} units must be a multiple"
                )
        self._activation = activation
        self.activation = resolve_nn_activation(activation)
        self.register_buffer("_from", characters(inputs), persistent=False)
        self.register_buffer("_to", characters(outputs), persistent=False)
        self.register_buffer("_between", torch.tensor(_BETWEEN), persistent=False)
        self.register_buffer(
            "_is_same", torch.tensor([float(signs == SAME) for signs in outputs]), persistent=False
        )
        units = [count // IMAGES for count in hidden]
        # Initialised as ordinary layers of the same width are.
        first = torch.nn.Linear(len(inputs), units[0])
        self.first, self.first_bias = first.weight, first.bias
        blocks, biases = [], []
        for before, after in itertools.pairwise(units):
            layer = torch.nn.Linear(IMAGES * before, after)
            blocks.append(
                torch.nn.Parameter(
                    layer.weight.detach().reshape(after, IMAGES, before).transpose(0, 1).clone()
                )
            )
            biases.append(layer.bias)
        self.blocks, self.biases = torch.nn.ParameterList(blocks), torch.nn.ParameterList(biases)
        last = torch.nn.Linear(IMAGES * units[-1], len(outputs))
        self.last = torch.nn.Parameter(last.weight.detach()[:, : units[-1]].clone())
        self.last_bias = last.bias

    def layers(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Weights and biases of the ordinary layers that this network amounts to."""
        first = self._from[:, None, :] * self.first[None]
        made = [(first.flatten(0, 1), self.first_bias.repeat(IMAGES))]
        for blocks, bias in zip(self.blocks, self.biases, strict=True):
            after, before = blocks.shape[1:]
            tiled = blocks[self._between].permute(0, 2, 1, 3)  # (image, unit, image, unit)
            made.append((tiled.reshape(IMAGES * after, IMAGES * before), bias.repeat(IMAGES)))
        last = self._to.t()[:, :, None] * self.last[:, None, :]
        made.append((last.flatten(1, 2), self.last_bias * self._is_same))
        return made

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """The network's output."""
        *hidden, (weight, bias) = self.layers()
        for one, offset in hidden:
            numbers = self.activation(torch.nn.functional.linear(numbers, one, offset))
        return torch.nn.functional.linear(numbers, weight, bias)

    def plain(self) -> MLP:
        """The same function as an ordinary network, which a policy file holds."""
        layers = self.layers()
        mlp = MLP(
            layers[0][0].shape[1], layers[-1][0].shape[0], [len(w) for w, _ in layers[:-1]], self._activation
        )
        linear = [module for module in mlp if isinstance(module, torch.nn.Linear)]
        with torch.no_grad():
            for module, (weight, bias) in zip(linear, layers, strict=True):
                module.weight.copy_(weight)
                module.bias.copy_(bias)
        return mlp


class MirroredNormalization(EmpiricalNormalization):
    """Normalisation that treats both sides of a mirror alike: what changes sign there has no mean."""

    _mean: torch.Tensor
    _is_same: torch.Tensor

    def __init__(self, signs: Sequence[Signs]) -> None:
        super().__init__(len(signs))
        self.register_buffer(
            "_is_same", torch.tensor([float(one == SAME) for one in signs]), persistent=False
        )

    def update(self, x: torch.Tensor) -> None:
        """Take in a batch of observations."""
        super().update(x)
        if self.training:
            self._mean *= self._is_same


class MirroredModel(MLPModel):
    """rsl_rl's model with a mirrored network. ``inputs`` and ``outputs``: signs of their numbers."""

    def __init__(self, *args, inputs: Sequence[Signs], outputs: Sequence[Signs], **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if self.obs_dim != len(inputs):
            raise CorvidsError(f"an observation has {self.obs_dim} numbers, and {len(inputs)} pairs of signs")
        hidden, activation = kwargs["hidden_dims"], kwargs["activation"]
        self.mlp = MirroredMLP(inputs, outputs, hidden, activation)
        if self.obs_normalization:
            self.obs_normalizer = MirroredNormalization(inputs)
