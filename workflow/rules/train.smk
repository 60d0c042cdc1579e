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
    conda:
        "../../environment.yml"
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
    conda:
        "../../environment.yml"
    threads: study.threads
    resources:
        gpu=int(study.device == "cuda"),
    params:
        study=layout.study,
    shell:
        "dimat pretrain {params.study} --only {wildcards.id} 2> {log}"


# All trials of one method in one setting: a few whole runs on held-out images, and the choice among them.
rule tune:
    input:
        lambda wildcards: needed_by(trial_of[wildcards.id]),
    output:
        layout.choice("{id}"),
    log:
        layout.log("tune", "{id}"),
    conda:
        "../../environment.yml"
    threads: study.threads
    resources:
        gpu=int(study.device == "cuda"),
    params:
        study=layout.study,
    shell:
        "dimat tune {params.study} --only {wildcards.id} 2> {log}"


# One job is one whole run: all rounds of one method on one graph and partition with one seed.
rule train:
    input:
        lambda wildcards: needed_by(runs[wildcards.id]),
    output:
        records=layout.run("{id}"),
        provenance=layout.run_provenance("{id}"),
    log:
        layout.log("train", "{id}"),
    conda:
        "../../environment.yml"
    threads: study.threads
    resources:
        gpu=int(study.device == "cuda"),
    params:
        study=layout.study,
        launcher=launcher,
    shell:
        "{params.launcher} train {params.study} --only {wildcards.id} 2> {log}"


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
