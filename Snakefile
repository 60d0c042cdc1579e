# The whole pipeline. What runs when is here and in workflow/rules; how it is done is in dimat/.
#
#   snakemake --cores all                                     the default study, config/quick.yaml
#   snakemake --cores all --configfile config/cifar10.yaml    another study
#   snakemake --cores all audit                               measured numbers against derived bounds
#   snakemake --cores all audit_full                          the same over the large grid
#   snakemake --cores all --report report.html                a report of what was built

import os
import signal
import sys
from pathlib import Path

from snakemake.utils import min_version

from dimat.experiment.config import parse_study
from dimat.errors import InputError
from dimat.io.files import write_json
from dimat.experiment.layout import Layout
from dimat.experiment.resources import needs
from paper.contents import figures_of, tables_of
from theory.first_merges import first_merges

min_version("9.0")

if not workflow.configfiles:

    configfile: os.path.join(workflow.basedir, "config", "quick.yaml")


report: "workflow/report/workflow.rst"


try:
    study = parse_study(
        config, ", ".join(os.path.relpath(file) for file in workflow.configfiles)
    )
except InputError as error:
    print(f"dimat: error: {error}", file=sys.stderr)
    sys.exit(2)

layout = Layout(Path("results") / study.name)
runs = study.runs
merges = first_merges(study)

# Jobs use the `dimat` command beside the Python that runs Snakemake, activated or not, and those of workflow/bin.
os.environ.update(
    PATH=os.pathsep.join(
        [
            str(Path(sys.executable).parent),
            os.path.join(workflow.basedir, "workflow", "bin"),
            os.environ.get("PATH", ""),
        ]
    )
)

# Slurm signals all processes of a job: those that train write a checkpoint and leave, and Snakemake and the shells in
# between, which inherit this, must live to see it. At SIGTERM Snakemake waits by itself.
signal.signal(signal.SIGUSR1, signal.SIG_IGN)


wildcard_constraints:
    id="[a-z0-9_.-]+",


# Jobs read the configuration from this file: nothing from it ever reaches a shell.
onstart:
    write_json(layout.study, config)


include: "workflow/rules/common.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/audit.smk"
include: "workflow/rules/paper.smk"


rule all:
    default_target: True
    input:
        layout.pdf,
        layout.claims,
        [layout.figure(name) for name in figures_of(study)],
        [layout.table(name, "csv") for name in tables_of(study)],
