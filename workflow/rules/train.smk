# From data to records. An id ends in a hash of the resolved experiment, so another experiment is
# another file: jobs depend on nothing but their ids and inputs.


rule prepare:
    output:
        layout.prepared("{id}"),
    log:
        layout.log("prepare", "{id}"),
    params:
        study=asked("prepared"),
        content=lambda wildcards: content_of_data(shared("prepared")(wildcards)),
    shell:
        "dimat prepare {params.study} --only {wildcards.id} 2> {log}"


rule partition:
    input:
        lambda wildcards: layout.prepared(shared("partitioned")(wildcards).prepared.id),
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
        study=asked("partitioned"),
    shell:
        "dimat partition {params.study} --only {wildcards.id} 2> {log}"


rule pretrain:
    input:
        lambda wildcards: dealt_out_to(shared("pretrained")(wildcards)),
    output:
        layout.pretrained("{id}"),
    log:
        layout.log("pretrain", "{id}"),
    group:
        short("pretrain", shared("pretrained"), holder("pretrained"))
    threads: lambda wildcards: holder("pretrained")(wildcards).threads
    resources:
        **resources_of(shared("pretrained"), holder("pretrained")),
    params:
        study=asked("pretrained"),
    shell:
        "exec dimat pretrain {params.study} --only {wildcards.id} 2> {log}"


# All trials of one method in one setting: a few whole runs on held-out images, and the choice among them. Trials differ
# in nothing but their learning rate: what one of them needs, all need.
rule tune:
    input:
        lambda wildcards: needed_by(shared("tuned")(wildcards).first_trial),
    output:
        layout.tuned("{id}"),
    log:
        layout.log("tune", "{id}"),
    group:
        short("tune", shared("tuned"), holder("tuned"))
    threads: lambda wildcards: holder("tuned")(wildcards).threads
    resources:
        **resources_of(shared("tuned"), holder("tuned")),
    params:
        study=asked("tuned"),
    shell:
        "exec dimat tune {params.study} --only {wildcards.id} 2> {log}"


# One job is one whole run: all rounds of one method on one graph and partition with one seed.
rule train:
    input:
        lambda wildcards: needed_by(shared("runs")(wildcards)),
    output:
        records=layout.run("{id}"),
        checksum=f"{layout.run('{id}')}.sha256",
        provenance=layout.run_provenance("{id}"),
    log:
        layout.log("train", "{id}"),
    group:
        lambda wildcards: (
            None
            if in_ranks(wildcards)
            else short("train", shared("runs"), holder("runs"))(wildcards)
        )
    threads: lambda wildcards: holder("runs")(wildcards).threads
    resources:
        **(resources_of(shared("runs"), holder("runs")) | resources_of_ranks),
    params:
        study=asked("runs"),
        launcher=launcher,
    shell:
        "exec {params.launcher} train {params.study} --only {wildcards.id} 2> {log}"


rule collect:
    input:
        lambda wildcards: [layout.run(id) for id in own(wildcards).runs],
        lambda wildcards: [layout.run_provenance(id) for id in own(wildcards).runs],
    output:
        with_checksums(layout.runs, layout.records),
        layout.provenance,
    log:
        layout.log("collect", "all"),
    localrule: True
    params:
        study=str(layout.study),
    shell:
        "dimat collect {params.study} 2> {log}"
