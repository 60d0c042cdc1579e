"""The first steps of a study: its data sets are read, and dealt out to agents."""

import logging
from typing import Any

import torch

from dimat.data import DataFolders
from dimat.data.partitions import whole
from dimat.experiment.kept import KeptData
from dimat.experiment.layout import Layout
from dimat.experiment.outlines import data_outline
from dimat.experiment.runs import Partitioned, Prepared
from dimat.experiment.sources import check_sources
from dimat.io.files import read_about, read_json
from dimat.randomness import Randomness

log = logging.getLogger("dimat")


def prepare(prepared: Prepared, layout: Layout) -> None:
    """Read, check and decode a data set."""
    images = prepared.data.prepared(DataFolders.from_environment(layout.downloads))
    images.save(layout.prepared(prepared.id))
    log.info(
        "%s; %d test images, %d classes", images.description, len(images.test_labels), len(images.classes)
    )


def check_prepared(prepared: Prepared, layout: Layout) -> None:
    """`InputError` if a data set was read from other files than are there now."""
    path, folders = layout.prepared(prepared.id), DataFolders.from_environment(layout.downloads)
    if prepared.data.located(folders) is None:
        return  # what was read is not at hand any more
    read = read_about(path)["source"].get("content")
    check_sources(path, {"data file": read}, {"data file": prepared.data.content(folders)})


def dealt(partitioned: Partitioned, layout: Layout, kept: KeptData) -> dict[str, Any]:
    """The content of a partition's file: which images each agent has."""
    data = kept.load(layout.prepared(partitioned.prepared.id), torch.device("cpu"))
    images, labels = data.images, data.images.train_labels.numpy()
    if partitioned.partition is None:
        shares = whole(len(labels))
    else:
        generator = Randomness(partitioned.data.name, partitioned.seed).numpy("partition")
        shares = partitioned.partition.shares(labels, partitioned.agents, generator)
    return shares.content(partitioned.id, data.fingerprint, labels, images.classes)


def check_partition(partitioned: Partitioned, layout: Layout) -> None:
    """`InputError` if a partition is that of other images than are there now."""
    path, data = layout.partitioned(partitioned.id), partitioned.prepared.id
    if not (layout.prepared(data).exists() or layout.data_outline(data).exists()):
        return  # finished runs need no images any more
    fingerprint = data_outline(layout, data)["about"]["fingerprint"]
    check_sources(path, {"data": read_json(path).get("fingerprint")}, {"data": fingerprint})
