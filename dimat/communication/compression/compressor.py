"""What a compressor is: fewer bytes for a vector, at the price of an error."""

from abc import abstractmethod

from torch import Tensor

from dimat.communication.communicator import Message
from dimat.spec import Spec


class Compressor(Spec):
    """Q, which makes a message of a vector (d,), and of the message a vector Q(x) again.

    It contracts: E |Q(x) - x|^2 <= (1 - delta) |x|^2 for a delta in (0, 1] that each compressor says. All
    that a receiver needs is in the message, indices and scales, too, so that its bytes are all that is sent.
    """

    @abstractmethod
    def compress(self, vector: Tensor, seed: int) -> Message:
        """The message for a ``vector`` (d,); whatever is random in it hangs on the ``seed``."""

    @abstractmethod
    def decompress(self, message: Message, like: Tensor) -> Tensor:
        """Q(x) (d,), of the size and type of ``like`` (d,) and on its device."""
