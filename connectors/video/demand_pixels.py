"""Pixels of a frame that is decoded only when a stage asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from connectors.video.groups import PACKET_OVERHEAD_BYTES
from connectors.video.pixels import AvPixels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from connectors.video.demand import OnDemandDecoder
    from connectors.video.groups import Group


class OnDemandPixels:
    """Pixels of a frame that is decoded when a stage asks for them; used like AvPixels.

    They can be had as long as the decoder keeps the packets of their group. Pickled, they are
    decoded and become AvPixels.

    Args:
        decoder: Decodes the frame.
        group: Its group of pictures.
        number: The number of its packet.
        leading: Whether it is shown before its group's keyframe.
    """

    __slots__ = ("__weakref__", "_decoder", "_group", "_leading", "_number")

    def __init__(
        self, decoder: OnDemandDecoder, group: Group, number: int, *, leading: bool
    ) -> None:
        self._decoder, self._group, self._number = decoder, group, number
        self._leading = leading

    @property
    def decoder(self) -> OnDemandDecoder:
        """What decodes the stream, and counts what was decoded."""
        return self._decoder

    @property
    def width(self) -> int:
        """Width of the full frame, pixels: as declared, until a frame of the group was decoded."""
        return self._group.size[0]

    @property
    def height(self) -> int:
        """Height of the full frame, pixels: as declared, until one of the group was decoded."""
        return self._group.size[1]

    def luma(self, width: int, height: int) -> NDArray[np.uint8]:
        """Brightness, uint8 (height, width); see AvPixels.luma.

        Raises:
            RecordError: the size is out of range.
            SourceError: the frame's packets are no longer kept, or it is damaged.
        """
        return self.decoded().luma(width, height)

    def rgb(self, width: int | None = None, height: int | None = None) -> NDArray[np.uint8]:
        """Colour, uint8 (height, width, 3); see AvPixels.rgb.

        Raises:
            RecordError: the size is out of range.
            SourceError: the frame's packets are no longer kept, or it is damaged.
        """
        return self.decoded().rgb(width, height)

    @property
    def held_bytes(self) -> int:
        """What they take in memory besides the packets, which the decoder bounds, bytes."""
        return PACKET_OVERHEAD_BYTES

    def detached(self) -> OnDemandPixels:
        """The same pixels as another object, which no bound of the source counts."""
        return OnDemandPixels(self._decoder, self._group, self._number, leading=self._leading)

    def decoded(self) -> AvPixels:
        """The decoded frame, which no bound of memory counts.

        Raises:
            SourceError: the frame's packets are no longer kept, or it is damaged.
        """
        return AvPixels(self._decoder.frame(self._group, self._number, leading=self._leading))

    def __reduce__(self) -> tuple[Any, ...]:
        return self.decoded().__reduce__()
