# A link that all agents share: controllers that learn, and what the link makes of recorded runs.


# One policy takes seconds; runs do not depend on it.
rule policy:
    output:
        layout.policy("{id}"),
        layout.policy_provenance("{id}"),
    log:
        layout.log("policy", "{id}"),
    group:
        "policy"
    resources:
        runtime=lambda wildcards, attempt: 5 * attempt,
        side_by_side=1,
    params:
        study=asked("policies"),
    shell:
        "dimat policy {params.study} --only {wildcards.id} 2> {log}"


rule simulate:
    input:
        layout.runs,
        layout.records,
        lambda wildcards: [layout.policy(id) for id in own(wildcards).policies],
    output:
        with_checksums(layout.at_rest, layout.simulated),
    log:
        layout.log("simulate", "all"),
    resources:
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        study=str(layout.study),
        code=simulated_by,
        content=lambda wildcards: own(wildcards).content,
    shell:
        "dimat simulate {params.study} 2> {log}"
