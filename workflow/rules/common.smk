# What rules ask of the study.


def content_of_data(prepared):
    """The identity of the images that a data set is read from, so that other images make it anew.

    What was read stays what it is where the images are not at hand any more.
    """
    made = layout.prepared(prepared.id)
    folders = DataFolders.from_environment(layout.downloads)
    if prepared.data.located(folders) is None and made.exists():
        return read_about(made)["source"]["content"]
    try:
        return prepared.data.content(folders)
    except InputError:
        return ""  # the job says what is wrong


def needed_by(run):
    """The files that a run reads."""
    choice = [layout.tuned(run.tuned.id)] if run.tuned else []
    return [
        layout.prepared(run.partitioned.prepared.id),
        layout.partitioned(run.partitioned.id),
        layout.pretrained(run.pretrained.id),
        *choice,
    ]


def with_checksums(*paths):
    """Files and their checksums beside them, as rules write both."""
    return [part for path in paths for part in (path, f"{path}.sha256")]


class Written:
    """Text that a job has written, as a report shows it: read when the report is made."""

    def __init__(self, path):
        self.path = path

    def __str__(self):
        return (
            in_report(self.path.read_text("utf-8").strip())
            if self.path.exists()
            else ""
        )


# Trials differ in nothing but their learning rate: what one of them needs, all need.
trial_of = {
    id: next(iter(choice.trials().values())) for id, choice in study.tuned.items()
}


def resources_of(experiment_of):
    """The resources of a rule whose jobs train; ``experiment_of`` gives the experiment of an id."""

    def minutes(wildcards, attempt):
        return needs(experiment_of(wildcards.id), study).on(attempt).minutes

    def megabytes(wildcards, attempt):
        return needs(experiment_of(wildcards.id), study).on(attempt).megabytes

    return dict(
        runtime=minutes,
        mem_mb=megabytes,
        gpu=int(study.device == "cuda"),
        side_by_side=1,
    )


def short(name, experiment_of):
    """The group of short jobs of a rule, which share places in a cluster's queue; others have their own."""
    return lambda wildcards: (
        name if needs(experiment_of(wildcards.id), study).short else None
    )


# Agents that are processes of their own: Slurm starts them as tasks of one job, which Snakemake calls mpi.
ranks = study.communication.name == "ranks"
resources_of_ranks = {}
if ranks:
    resources_of_ranks = dict(
        mpi="srun",
        tasks=lambda wildcards: runs[wildcards.id].agents,
        gpu=lambda wildcards: (study.device == "cuda") * runs[wildcards.id].agents,
        tasks_per_gpu=1,
    )


def launcher(wildcards):
    """How a run is started: by itself, or in a process for each agent."""
    if not ranks:
        return "dimat"
    return f"ranks {runs[wildcards.id].agents}"


FORK_SERVER = PROJECT / "workflow" / "fork_server"
servers = []  # they end with this process, which holds their standard input open


def start_fork_server():
    """Let jobs on this machine share what they import, see workflow/fork_server."""
    if sys.platform != "linux":
        return
    place = f".snakemake/dimat-{os.getpid()}.socket"
    threads = {
        f"{name}_NUM_THREADS": str(study.threads)
        for name in ("OMP", "GOTO", "OPENBLAS", "MKL", "NUMEXPR")
    } | {"VECLIB_MAXIMUM_THREADS": str(study.threads)}
    servers.append(
        subprocess.Popen(
            [sys.executable, str(FORK_SERVER / "server.py"), place],
            stdin=subprocess.PIPE,
            env=os.environ | threads,
        )
    )
    os.environ.update(
        PATH=os.pathsep.join([str(FORK_SERVER), *os.get_exec_path()]),
        DIMAT_FORK_SERVER=f"{os.environ.get('SLURM_JOB_ID', '')}:{study.threads}",
        DIMAT_FORK_SOCKET=place,
    )
