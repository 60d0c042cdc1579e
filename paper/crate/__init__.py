"""A finished study as a Workflow Run RO-Crate."""

from paper.crate.agent import Agent, named_agent
from paper.crate.packed import write_crate, zipped
from paper.crate.study import crate
from paper.crate.workflow import workflow_folder

__all__ = ["Agent", "crate", "named_agent", "workflow_folder", "write_crate", "zipped"]
