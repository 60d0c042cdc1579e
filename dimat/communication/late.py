"""Messages that are under way: what was sent, until something newer has arrived."""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar, cast

import numpy
import torch
from torch import Tensor

Message = Tensor | Mapping[str, Tensor]
Kind = TypeVar("Kind", bound=Message)


class Late:
    """What came from each sender to the agents of this process, by the communication in which it was sent.

    ``newest_at`` gives for each communication when the newest message was sent that receiver i has of sender
    j, (N, N); -1 where there is none. Everybody is sent the same.
    """

    def __init__(self, newest_at: Callable[[int], numpy.ndarray]) -> None:
        self._newest_at = newest_at
        self._kept: dict[int, dict[int, Message]] = {}

    def exchange(self, sent: Mapping[int, Mapping[int, Kind]], time: int) -> dict[int, dict[int, Kind]]:
        """What each agent has, where it is ``sent`` this at ``time``: by receiver and sender."""
        newest = self._newest_at(time)
        for messages in sent.values():
            for sender, message in messages.items():
                kept = self._kept.setdefault(sender, {})
                if time not in kept:
                    kept[time] = _copy(message)
        arrived = {
            agent: {sender: cast(Kind, self._kept[sender][int(newest[agent, sender])]) for sender in messages}
            for agent, messages in sent.items()
        }
        for sender, kept in self._kept.items():
            waiting = [int(newest[agent, sender]) for agent in sent if agent != sender]
            oldest = min((when for when in waiting if when >= 0), default=time + 1)
            self._kept[sender] = {when: message for when, message in kept.items() if when >= oldest}
        return arrived

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Everything that is kept, by names that say who sent it when."""
        for sender, kept in self._kept.items():
            for when, message in kept.items():
                parts = {"": message} if isinstance(message, Tensor) else message
                yield from ((f"{sender}/late/{when}/{name}", part) for name, part in parts.items())

    def load(self, tensors: Mapping[str, Tensor], device: torch.device) -> None:
        """Restore what `tensors` gave, on a ``device``; other names are left alone."""
        self._kept = {}
        for key, tensor in tensors.items():
            sender, kind, rest = key.split("/", 2)
            if kind == "late":
                when, name = rest.split("/", 1)
                kept, part = self._kept.setdefault(int(sender), {}), tensor.to(device)
                message = kept.get(int(when), {})
                assert not isinstance(message, Tensor)
                kept[int(when)] = {**message, name: part} if name else part


def _copy(message: Message) -> Message:
    """A copy, as senders go on with what they have sent."""
    if isinstance(message, Tensor):
        return message.clone()
    return {name: part.clone() for name, part in message.items()}
