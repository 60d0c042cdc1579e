# From data to records. An id ends in a hash of the resolved experiment, so another experiment is
# another file: jobs depend on nothing but their ids and inputs.


rule prepare:
    output:
        layout.source("{id}"),
    log:
        layout.log("prepare", "{id}"),
    conda:
        "../../environment.yml"
    params:
        study=layout.study,
    shell:
        "dimat prepare {params.study} --only {wildcards.id} 2> {log}"


rule partition:
    input:
        lambda wildcards: layout.source(study.deals[wildcards.id].source.id),
    output:
        layout.deal("{id}"),
    log:
        layout.log("partition", "{id}"),
    group:
        "partition"
    conda:
        "../../environment.yml"
    resources:
        runtime=lambda wildcards, attempt: 2 * attempt,
        side_by_side=1,
    params:
        study=layout.study,
    shell:
        "dimat partition {params.study} --only {wildcards.id} 2> {log}"


rule pretrain:
    input:
        data=lambda wildcards: layout.source(study.starts[wildcards.id].deal.source.id),
        partition=lambda wildcards: layout.deal(study.starts[wildcards.id].deal.id),
    output:
        layout.start("{id}"),
    log:
        layout.log("pretrain", "{id}"),
    group:
        short("pretrain", study.starts.get)
    conda:
        "../../environment.yml"
    threads: study.threads
    resources:
        **resources_of(study.starts.get),
    params:
        study=layout.study,
    shell:
        "exec dimat pretrain {params.study} --only {wildcards.id} 2> {log}"


# All trials of one method in one setting: a few whole runs on held-out images, and the choice among them.
rule tune:
    input:
        lambda wildcards: needed_by(trial_of[wildcards.id]),
    output:
        layout.choice("{id}"),
    log:
        layout.log("tune", "{id}"),
    group:
        short("tune", study.choices.get)
    conda:
        "../../environment.yml"
    threads: study.threads
    resources:
        **resources_of(study.choices.get),
    params:
        study=layout.study,
    shell:
        "exec dimat tune {params.study} --only {wildcards.id} 2> {log}"


# One job is one whole run: all rounds of one method on one graph and partition with one seed.
rule train:
    input:
        lambda wildcards: needed_by(runs[wildcards.id]),
    output:
        records=layout.run("{id}"),
        provenance=layout.run_provenance("{id}"),
    log:
        layout.log("train", "{id}"),
    group:
        None if ranks else short("train", runs.get)
    conda:
        "../../environment.yml"
    threads: study.threads
    resources:
        **(resources_of(runs.get) | resources_of_ranks),
    params:
        study=layout.study,
        launcher=launcher,
    shell:
        "exec {params.launcher} train {params.study} --only {wildcards.id} 2> {log}"


rule collect:
    input:
        [layout.run(id) for id in runs],
        [layout.run_provenance(id) for id in runs],
    output:
        records=layout.records,
        provenance=layout.provenance,
    log:
        layout.log("collect", "all"),
    localrule: True
    conda:
        "../../environment.yml"
    params:
        study=layout.study,
    shell:
        "dimat collect {params.study} 2> {log}"
