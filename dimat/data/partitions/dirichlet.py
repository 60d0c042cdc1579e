"""Dirichlet label skew, by two published rules that are not the same."""

from typing import Annotated, Literal, Self

import numpy
from numpy import ndarray
from pydantic import Field, model_validator
from typing_extensions import override

from dimat.data.partitions.partition import Partition, Shares, joined, shuffled_classes
from dimat.errors import InputError

ATTEMPTS = 1000


class Dirichlet(Partition):
    """Labels are shared out in proportions that are drawn from a Dirichlet distribution.

    - `yurochkin` (Yurochkin, Agarwal, Ghosh, Greenewald, Hoang and Khazaeni 2019, arXiv 1905.12022): for each
      class, the shares of the agents in it are drawn from Dirichlet(alpha, ..., alpha); sizes differ.
    - `hsu` (Hsu, Qi and Brown 2019, arXiv 1909.06335): for each agent, the shares of the classes in what it
      holds are drawn from Dirichlet(alpha p), where p are the shares of the classes in all data; sizes are
      equal. Images are drawn one by one without replacement; a class that is used up is drawn no more.

    The same alpha is much more skewed by `hsu`: of ten equal classes, its parameters are alpha / 10.
    """

    name: Literal["dirichlet"] = "dirichlet"
    alpha: float = Field(gt=0, le=1e6)
    """Concentration: small is skewed (0.1), large is close to IID (100)."""
    rule: Literal["yurochkin", "hsu"] = "yurochkin"
    """What is drawn: for each class the shares of the agents (`yurochkin`, Yurochkin et al. 2019), or for
    each agent the shares of the classes (`hsu`, Hsu, Qi and Brown 2019)."""
    balanced: bool = False
    """Whether all agents hold equally many images, as always by `hsu`: what an agent has no more room for
    goes to those who have, in proportion."""
    fewest: Annotated[int, Field(ge=1)] = 10
    """Draw again until every agent holds at least so many images."""

    @model_validator(mode="after")
    def _hsu_is_balanced(self) -> Self:
        if self.balanced and self.rule == "hsu":
            raise ValueError("rule hsu always deals equally many images; leave out 'balanced'")
        return self

    @override
    def label(self) -> str:
        rule = " (Hsu)" * (self.rule == "hsu")
        return f"Dirichlet {self.alpha:g}{rule}{', equal sizes' * self.balanced}"

    @override
    def deal(self, labels: ndarray, agents: int, generator: numpy.random.Generator) -> Shares:
        classes = shuffled_classes(labels, generator)
        if self.rule == "hsu" or self.balanced:
            if len(labels) // agents < self.fewest:
                raise InputError(
                    f"partition.fewest: {self.fewest} images for each of {agents} agents are more than the "
                    f"{len(labels)} that there are; use fewer agents or a smaller partition.fewest"
                )
            by_rule = self._by_agent if self.rule == "hsu" else self._by_class_evenly
            shares = joined(by_rule(classes, agents, generator))
            return Shares(shares, shares)
        for _ in range(ATTEMPTS):
            shares = joined(self._by_class(classes, agents, generator))
            if min(len(own) for own in shares) >= self.fewest:
                return Shares(shares, shares)
        raise InputError(
            f"partition.alpha: {self.alpha} never left all {agents} agents with {self.fewest} images or "
            f"more in {ATTEMPTS} draws; use a larger alpha, fewer agents, or a smaller partition.fewest"
        )

    def _by_class(
        self, classes: list[ndarray], agents: int, generator: numpy.random.Generator
    ) -> list[list[ndarray]]:
        """Each class cut into pieces for the agents, in the proportions that are drawn for it."""
        pieces: list[list[ndarray]] = [[] for _ in range(agents)]
        for members in classes:
            proportions = generator.dirichlet(numpy.full(agents, self.alpha))
            cuts = numpy.rint(numpy.cumsum(proportions)[:-1] * len(members)).astype(int)
            for agent, piece in enumerate(numpy.split(members, cuts)):
                pieces[agent].append(piece)
        return pieces

    def _by_class_evenly(
        self, classes: list[ndarray], agents: int, generator: numpy.random.Generator
    ) -> list[list[ndarray]]:
        """The same, but for agents that have all of their equal share."""
        room = equal_sizes(sum(map(len, classes)), agents)
        pieces: list[list[ndarray]] = [[] for _ in range(agents)]
        for place in generator.permutation(len(classes)):  # in turn: the last ones fill what is left
            proportions = generator.dirichlet(numpy.full(agents, self.alpha))
            wanted = draw_with_room(len(classes[place]), proportions, room, generator)
            room -= wanted
            for agent, piece in enumerate(numpy.split(classes[place], numpy.cumsum(wanted)[:-1])):
                pieces[agent].append(piece)
        return pieces

    def _by_agent(
        self, classes: list[ndarray], agents: int, generator: numpy.random.Generator
    ) -> list[list[ndarray]]:
        """What each agent draws in the proportions of its own, as long as there is of a class."""
        left = numpy.array([len(members) for members in classes])
        prior = left / left.sum()
        present = prior > 0
        pieces: list[list[ndarray]] = []
        for size in equal_sizes(left.sum(), agents):
            proportions = numpy.zeros(len(classes))
            proportions[present] = generator.dirichlet(self.alpha * prior[present])
            wanted = draw_with_room(size, proportions, left, generator)
            ends = [len(members) - number for members, number in zip(classes, left, strict=True)]
            pieces.append(
                [
                    members[end : end + number]
                    for members, end, number in zip(classes, ends, wanted, strict=True)
                ]
            )
            left = left - wanted
        return pieces


def equal_sizes(images: int, agents: int) -> ndarray:
    """Numbers (agents,) that add up to ``images`` and differ by one at most."""
    return images // agents + (numpy.arange(agents) < images % agents)


def draw_with_room(
    size: int, proportions: ndarray, room: ndarray, generator: numpy.random.Generator
) -> ndarray:
    """How often each place is drawn in ``size`` draws with ``proportions``, none more often than ``room``.

    Draws of a full place are made again among the others; where these have no proportions to speak of, by
    how much room they have. There must be room for all.
    """
    drawn = numpy.zeros_like(room)
    while (missing := size - drawn.sum()) > 0:
        open_to = numpy.where(drawn < room, proportions, 0)
        if open_to.sum() <= numpy.finfo(float).tiny:
            open_to = room - drawn
        more = generator.multinomial(missing, open_to / open_to.sum())
        drawn = numpy.minimum(drawn + more, room)
    return drawn
