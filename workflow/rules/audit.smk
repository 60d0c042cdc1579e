# The claims: derived bounds against measured numbers, once for all studies, real networks, and the verdict on each claim.


rule audit:
    output:
        report(
            layout.audit,
            caption="../report/audit.rst",
            category="Audit",
        ),
        f"{layout.audit}.sha256",
    log:
        layout.log("audit", "all"),
    params:
        code=audited_by,
    shell:
        "dimat audit 2> {log}"


# The large grid is not a part of the paper: half an hour on one core, shared by all that there are.
rule audit_full:
    output:
        with_checksums(layout.audit_full),
    log:
        layout.log("audit", "full"),
    threads: workflow.cores
    params:
        code=audited_by,
    shell:
        "dimat audit --full --processes {threads} 2> {log}"


# The permutations that matching finds between the networks of one start.
rule holonomy:
    input:
        lambda wildcards: dealt_out_to(own(wildcards).pretrained[wildcards.id]),
        layout.pretrained("{id}"),
    output:
        with_checksums(layout.holonomy("{id}")),
    log:
        layout.log("holonomy", "{id}"),
    group:
        "holonomy"
    threads: lambda wildcards: own(wildcards).threads
    resources:
        runtime=lambda wildcards, attempt: 10 * attempt,
        gpu=lambda wildcards: int(own(wildcards).device == "cuda"),
        side_by_side=1,
    params:
        study=str(layout.study),
        code=audited_by,
        merges=lambda wildcards: [
            run.id for run in merges_by(wildcards.study)[wildcards.id]
        ],
    shell:
        "dimat holonomy {params.study} --only {wildcards.id} 2> {log}"


rule claims:
    input:
        audit=layout.audit,
        runs=layout.runs,
        records=layout.records,
        holonomy=lambda wildcards: [
            layout_of(own(wildcards)).holonomy(id) for id in merges_by(wildcards.study)
        ],
    output:
        claims=report(
            layout.claims,
            caption="../report/claims.rst",
            category="Audit",
            subcategory=section,
        ),
        evidence=layout.evidence,
        checksums=[f"{path}.sha256" for path in (layout.claims, layout.evidence)],
    log:
        layout.log("claims", "all"),
    localrule: True
    params:
        study=str(layout.study),
        code=audited_by,
        content=lambda wildcards: own(wildcards).content,
    shell:
        "dimat judge {params.study} 2> {log}"
