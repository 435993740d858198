"""The gradients of parameters that devices share, in the buckets of `buckets`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import distributed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from models.soap.buckets import Bucket, Devices

_GROUPS: dict[Devices, distributed.ProcessGroup | None] = {}
"""Groups of devices that add something up, but for that of all; kept, as they take long to make."""


class SharedGradients:
    """One rank's copies. All ranks must make theirs together, also those that share nothing.

    Args:
        buckets: The buckets of all ranks.
        rank: This rank.
        parameters: The parameters that this rank shares, by name; their gradients are put into
            the buckets.

    Attributes:
        loss: Where this rank's terms of the loss are put before the last bucket starts, and where
            the loss is in the end; None where no bucket tells it.
    """

    def __init__(
        self, buckets: Sequence[Bucket], rank: int, parameters: Mapping[str, Tensor]
    ) -> None:
        groups = [_group(bucket.devices) for bucket in buckets]
        self._buckets = [
            (bucket, group)
            for bucket, group in zip(buckets, groups, strict=True)
            if rank in bucket.devices
        ]
        self.loss: Tensor | None = None
        self._flat: list[Tensor] = []
        self._written: set[str] = set()
        self._work: list[distributed.Work] = []
        self._views: dict[str, Tensor] = {}
        for bucket, _ in self._buckets:
            members = [parameters[name] for name in bucket.parameters]
            flat = members[0].new_zeros(bucket.elements)
            parts = flat[: bucket.elements - bucket.loss].split([m.numel() for m in members])
            if bucket.loss:
                self.loss = flat[-1]
            for name, member, part in zip(bucket.parameters, members, parts, strict=True):
                member.grad = self._views[name] = part.view(member.shape)
            self._flat.append(flat)

    def put(self, name: str, gradient: Tensor) -> None:
        """Add what a part of the backward pass found to this rank's gradient of a parameter."""
        if name in self._written:
            self._views[name].add_(gradient)
        else:
            self._views[name].copy_(gradient)
            self._written.add(name)

    def start(self, stage: int) -> None:
        """Begin to add up, over the devices, the buckets that are full behind a stage."""
        for (bucket, group), flat in zip(self._buckets, self._flat, strict=True):
            if bucket.stage != stage:
                continue
            for name in bucket.parameters:
                if name not in self._written:
                    self._views[name].zero_()
            work = distributed.all_reduce(flat, group=group, async_op=True)
            assert work is not None
            self._work.append(work)

    def wait(self) -> None:
        """Wait until all gradients are added up, and begin anew."""
        for work in self._work:
            work.wait()
        self._work.clear()
        self._written.clear()


def _group(devices: Devices) -> distributed.ProcessGroup | None:
    """The group of some devices; None where this process is not one of them."""
    everyone = distributed.group.WORLD
    assert everyone is not None
    if len(devices) == everyone.size():
        return everyone
    if devices not in _GROUPS:
        # All ranks must make it; those outside of it get something else in its place.
        made = distributed.new_group(list(devices))
        _GROUPS[devices] = made if isinstance(made, distributed.ProcessGroup) else None
    return _GROUPS[devices]
