"""No compression."""

from typing import Literal

from torch import Tensor
from typing_extensions import override

from dimat.communication.communicator import Message
from dimat.communication.compression.compressor import Compressor


class Identity(Compressor):
    """The vector itself: delta is 1."""

    name: Literal["none"] = "none"

    @override
    def compress(self, vector: Tensor, seed: int) -> Message:
        return vector

    @override
    def decompress(self, message: Message, like: Tensor) -> Tensor:
        assert isinstance(message, Tensor)
        return message
