# What rules ask of the study.


def needed_by(run):
    """The files that a run reads."""
    choice = [layout.choice(run.choice.id)] if run.choice else []
    return [
        layout.source(run.deal.source.id),
        layout.deal(run.deal.id),
        layout.start(run.start.id),
        *choice,
    ]


def shown_of_audit(wildcards):
    """What figures of the audit show beside records."""
    if not wildcards.id.startswith("audit-"):
        return []
    return [layout.audit, *(layout.holonomy(id) for id in merges)]


# Trials differ in nothing but their learning rate: what one of them needs, all need.
trial_of = {
    id: next(iter(choice.trials().values())) for id, choice in study.choices.items()
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
ranks = study.network.name == "ranks"
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
