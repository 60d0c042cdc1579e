"""Starts ``dimat`` in a process for each agent, as torchrun does, but forked from one that has imported it.

    python -m support.ranks PROCESSES ARGUMENTS...

Each writes its number into ``rank-<rank>`` of the working directory, so that a test can find it.
"""

import os
import sys
from pathlib import Path

from torch.distributed.elastic.multiprocessing.errors import record
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from dimat.cli.main import main


def agent(arguments):
    Path(f"rank-{os.environ['RANK']}").write_text(str(os.getpid()))
    sys.argv = ["dimat", *arguments]
    main()


@record
def launch(processes, arguments):
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        start_method="fork",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        run_id="test",
        max_restarts=0,
    )
    elastic_launch(config, agent)(arguments)


if __name__ == "__main__":
    launch(int(sys.argv[1]), sys.argv[2:])
