"""Training as in a tutorial of PyTorch: a reference for time.

Images are augmented one at a time by torchvision's transforms, batched by a `DataLoader` without workers,
and passed through a network in float32 with the default memory layout. Agents train one after another.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from dimat.agents.networks import Networks
from dimat.io.torchvision_import import torchvision_module
from dimat.models import Model
from dimat.tasks.images import ImageTask

CROP = 4
"""Black pixels on every side before a random crop."""


class PlainImages(Dataset):
    """uint8 images (n, channels, height, width) with labels (n,), transformed anew at every access."""

    def __init__(self, images: Tensor, labels: Tensor, transform: Callable[[Tensor], Tensor]) -> None:
        self.images = images
        self.labels = labels
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), int(self.labels[index])


class PlainTraining:
    """Copies of ``networks``, which are of architecture ``model``, with each agent's images."""

    def __init__(self, networks: Networks, model: Model) -> None:
        task = networks.task
        assert isinstance(task, ImageTask)
        transforms = torchvision_module("transforms")
        _, height, width = task.data.shape
        mean, deviation = task.data.statistics()
        transform = transforms.Compose(
            [
                transforms.RandomCrop((height, width), padding=CROP),
                transforms.RandomHorizontalFlip(),
                transforms.ConvertImageDtype(torch.float32),
                transforms.Normalize(mean.tolist(), deviation.tolist()),
            ]
        )
        self.device = networks.device
        self.networks: list[nn.Module] = []
        self.loaders: list[DataLoader] = []
        for network, held in zip(networks.models, task.holdings, strict=True):
            channels, height, width = task.data.shape
            copied = model.build(channels, len(task.data.classes), (height, width))
            copied.load_state_dict(network.state_dict())
            self.networks.append(copied.to(self.device))
            images = PlainImages(
                task.data.train_images[held].cpu(), task.data.train_labels[held].cpu(), transform
            )
            self.loaders.append(DataLoader(images, task.batch_size, shuffle=True))
        self.optimizers = [torch.optim.Adam(network.parameters(), lr=1e-3) for network in self.networks]

    def epoch(self) -> None:
        """One epoch of every agent."""
        for network, loader, optimizer in zip(self.networks, self.loaders, self.optimizers, strict=True):
            network.train()
            for images, labels in loader:
                optimizer.zero_grad()
                logits = network(images.to(self.device))
                functional.cross_entropy(logits, labels.to(self.device)).backward()
                optimizer.step()
