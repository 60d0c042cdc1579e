# From data to records. An id ends in a hash of the resolved experiment, so another experiment is
# another file: jobs depend on nothing but their ids and inputs.


rule prepare:
    output:
        layout.prepared("{id}"),
    log:
        layout.log("prepare", "{id}"),
    params:
        study=layout.study,
        content=lambda wildcards: content_of_data(study.prepared[wildcards.id]),
    shell:
        "dimat prepare {params.study} --only {wildcards.id} 2> {log}"


rule partition:
    input:
        lambda wildcards: layout.prepared(study.partitioned[wildcards.id].prepared.id),
    output:
        layout.partitioned("{id}"),
    log:
        layout.log("partition", "{id}"),
    group:
        "partition"
    resources:
        runtime=lambda wildcards, attempt: 2 * attempt,
        side_by_side=1,
    params:
        study=layout.study,
    shell:
        "dimat partition {params.study} --only {wildcards.id} 2> {log}"


rule pretrain:
    input:
        data=lambda wildcards: layout.prepared(
            study.pretrained[wildcards.id].partitioned.prepared.id
        ),
        partition=lambda wildcards: layout.partitioned(
            study.pretrained[wildcards.id].partitioned.id
        ),
    output:
        layout.pretrained("{id}"),
    log:
        layout.log("pretrain", "{id}"),
    group:
        short("pretrain", study.pretrained.get)
    threads: study.threads
    resources:
        **resources_of(study.pretrained.get),
    params:
        study=layout.study,
    shell:
        "exec dimat pretrain {params.study} --only {wildcards.id} 2> {log}"


# All trials of one method in one setting: a few whole runs on held-out images, and the choice among them.
rule tune:
    input:
        lambda wildcards: needed_by(trial_of[wildcards.id]),
    output:
        layout.tuned("{id}"),
    log:
        layout.log("tune", "{id}"),
    group:
        short("tune", study.tuned.get)
    threads: study.threads
    resources:
        **resources_of(study.tuned.get),
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
        checksum=f"{layout.run('{id}')}.sha256",
        provenance=layout.run_provenance("{id}"),
    log:
        layout.log("train", "{id}"),
    group:
        None if ranks else short("train", runs.get)
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
        with_checksums(layout.runs, layout.records),
        layout.provenance,
    log:
        layout.log("collect", "all"),
    localrule: True
    params:
        study=layout.study,
    shell:
        "dimat collect {params.study} 2> {log}"
