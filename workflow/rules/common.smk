# What rules ask of studies. Rules are those of all studies: a wildcard says of which one, and what they share is that
# of the first that has it.

layout = Layout(Path("results/{study}"))


def layout_of(study):
    """Where a study lies."""
    return Layout(layout.results / study.name)


def shown_of(study):
    """What a study ends with: the paper, claims, figures and tables."""
    place = layout_of(study)
    return [
        place.pdf,
        place.claims,
        *(place.figure(name) for name in figures_by(study.name)),
        *(place.table(name, "csv") for name in tables_by(study.name)),
    ]


def records_of(study):
    """What the paper over several studies takes of each."""
    place = layout_of(study)
    simulated = [place.at_rest, place.simulated] if study.bottleneck else []
    return [place.runs, place.records, place.provenance, place.claims, *simulated]


def in_catalogue(name, wanted):
    """What is wanted of each study of a folder."""
    try:
        of_folder = studies.of_folder(CATALOGUES[name])
        return [path for each in of_folder for path in wanted(each)]
    except InputError as error:
        print(f"dimat: error: {error}", file=sys.stderr)
        sys.exit(2)


def whole_catalogue(name):
    """An input function: what all studies of a folder end with, and the paper over all of them."""
    return lambda wildcards: [*in_catalogue(name, shown_of), layout.report(name)]


def section(wildcards):
    """Where the HTML report shows a study: those of a catalogue in the order of the paper."""
    for name in CATALOGUES:
        if wildcards.study.startswith(f"{name}-"):
            return f"{name}: {in_paper(wildcards.study.removeprefix(f'{name}-'))}"
    return wildcards.study


def own(wildcards):
    """The study that wildcards name."""
    return studies[wildcards.study]


def holder(kind):
    """A function of wildcards: the first study that has what they name, of a kind that studies share."""
    return lambda wildcards: studies.holder(kind, wildcards.id)


def shared(kind):
    """A function of wildcards: what they name, of a kind that studies share."""
    return lambda wildcards: getattr(studies.holder(kind, wildcards.id), kind)[
        wildcards.id
    ]


def asked(kind):
    """The configuration from which something shared is made: that of its first study.

    It takes the output, as Snakemake then does not make anew for one study what it has made for another.
    """
    return lambda wildcards, output: layout_of(studies.holder(kind, wildcards.id)).study


@cache
def figures_by(name):
    """The figures of the study with this name."""
    return figures_of(studies[name])


@cache
def tables_by(name):
    """The tables of the study with this name."""
    return tables_of(studies[name])


@cache
def merges_by(name):
    """The merges of the study with this name that the audit looks at."""
    return first_merges(studies[name])


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


def dealt_out_to(start):
    """The files that say which images the agents of a start hold."""
    partitioned = start.partitioned
    return [
        layout.prepared(partitioned.prepared.id),
        layout.partitioned(partitioned.id),
    ]


def needed_by(run):
    """The files that a run or a trial reads."""
    choice = [layout.tuned(run.tuned.id)] if run.tuned else []
    return [*dealt_out_to(run), layout.pretrained(run.pretrained.id), *choice]


def with_checksums(*paths):
    """Files and their checksums beside them, as rules write both."""
    return [part for path in paths for part in (path, f"{path}.sha256")]


class Written:
    """Text that a job has written, as a report shows it: read when the report is made."""

    def __init__(self, path):
        self.path = path

    def __repr__(self):
        return f"Written({str(self.path)!r})"  # that by which Snakemake tells whether it has changed

    def __str__(self):
        return (
            in_report(self.path.read_text("utf-8").strip())
            if self.path.exists()
            else ""
        )


def resources_of(experiment_of, study_of):
    """The resources of jobs that train, from functions of wildcards that give the experiment and the study."""

    def minutes(wildcards, attempt):
        return needs(experiment_of(wildcards), study_of(wildcards)).on(attempt).minutes

    def megabytes(wildcards, attempt):
        return (
            needs(experiment_of(wildcards), study_of(wildcards)).on(attempt).megabytes
        )

    return dict(
        runtime=minutes,
        mem_mb=megabytes,
        gpu=lambda wildcards: int(study_of(wildcards).device == "cuda"),
        side_by_side=1,
    )


def short(name, experiment_of, study_of):
    """The group of short jobs of a rule, which share places in a cluster's queue; others have their own."""
    return lambda wildcards: (
        name if needs(experiment_of(wildcards), study_of(wildcards)).short else None
    )


def in_ranks(wildcards):
    """Whether agents of a run are processes of their own."""
    return holder("runs")(wildcards).communication.name == "ranks"


def for_ranks(value):
    """A resource of runs whose agents are processes; others do not have it."""
    return lambda wildcards: value(wildcards) if in_ranks(wildcards) else None


# Slurm starts agents that are processes as tasks of one job, which Snakemake calls mpi.
resources_of_ranks = dict(
    mpi=for_ranks(lambda wildcards: "srun"),
    tasks=for_ranks(lambda wildcards: shared("runs")(wildcards).agents),
    tasks_per_gpu=for_ranks(lambda wildcards: 1),
    gpu=lambda wildcards: (holder("runs")(wildcards).device == "cuda")
    * (shared("runs")(wildcards).agents if in_ranks(wildcards) else 1),
)


def launcher(wildcards, output):
    """How a run is started: by itself, or in a process for each agent; see `asked`."""
    agents = shared("runs")(wildcards).agents
    return f"ranks {agents}" if in_ranks(wildcards) else "dimat"


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
