# The claims: derived bounds against measured numbers, real networks, and the verdict on each claim.


rule audit:
    output:
        report(
            layout.audit,
            caption="../report/audit.rst",
            category="Audit",
        ),
    log:
        layout.log("audit", "all"),
    conda:
        "../../environment.yml"
    params:
        study=layout.study,
    shell:
        "dimat check {params.study} 2> {log}"


# The large grid is not a part of the paper: half an hour on one core, shared by all that there are.
rule audit_full:
    output:
        layout.audit_full,
    log:
        layout.log("audit", "full"),
    conda:
        "../../environment.yml"
    threads: workflow.cores
    params:
        study=layout.study,
    shell:
        "dimat check {params.study} --full --processes {threads} 2> {log}"


# The permutations that matching finds between the networks of one start.
rule holonomy:
    input:
        data=lambda wildcards: layout.source(study.starts[wildcards.id].deal.source.id),
        partition=lambda wildcards: layout.deal(study.starts[wildcards.id].deal.id),
        start=layout.start("{id}"),
    output:
        layout.holonomy("{id}"),
    log:
        layout.log("holonomy", "{id}"),
    group:
        "holonomy"
    conda:
        "../../environment.yml"
    threads: study.threads
    resources:
        runtime=lambda wildcards, attempt: 10 * attempt,
        gpu=int(study.device == "cuda"),
        side_by_side=1,
    params:
        study=layout.study,
    shell:
        "dimat holonomy {params.study} --only {wildcards.id} 2> {log}"


rule claims:
    input:
        audit=layout.audit,
        records=layout.records,
        holonomy=[layout.holonomy(id) for id in merges],
    output:
        claims=report(
            layout.claims,
            caption="../report/claims.rst",
            category="Audit",
        ),
        evidence=layout.evidence,
    log:
        layout.log("claims", "all"),
    localrule: True
    conda:
        "../../environment.yml"
    params:
        study=layout.study,
    shell:
        "dimat claims {params.study} 2> {log}"
