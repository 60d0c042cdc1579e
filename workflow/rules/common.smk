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


def launcher(wildcards):
    """How a run is started: by itself, or in a process for each agent."""
    if study.network.name == "in_process":
        return "dimat"
    agents = runs[wildcards.id].agents
    return f"torchrun --standalone --nproc-per-node {agents} -m dimat"
