# From records to figures, tables and the paper: each is drawn once, the paper takes the files.


rule figure:
    input:
        lambda wildcards: figures[wildcards.id].reads(layout),
    output:
        report(
            layout.figure("{id}"),
            caption="../report/caption.rst",
            category="Figures",
            labels={"figure": "{id}"},
        ),
        f"{layout.figure('{id}')}.sha256",
    log:
        layout.log("figure", "{id}"),
    localrule: True
    params:
        study=layout.study,
        caption=lambda wildcards: figures[wildcards.id].caption_in_report(),
    shell:
        "dimat figure {params.study} --only {wildcards.id} 2> {log}"


rule table:
    input:
        lambda wildcards: tables[wildcards.id].reads(layout),
    output:
        report(
            layout.table("{id}", "csv"),
            caption="../report/caption.rst",
            category="Tables",
            labels={"table": "{id}"},
        ),
        f"{layout.table('{id}', 'csv')}.sha256",
        with_checksums(layout.table("{id}", "tex")),
    log:
        layout.log("table", "{id}"),
    localrule: True
    params:
        study=layout.study,
        caption=lambda wildcards: tables[wildcards.id].caption_in_report(),
    shell:
        "dimat table {params.study} --only {wildcards.id} 2> {log}"


rule paper:
    input:
        [layout.figure(id) for id in figures],
        [layout.table(id, "csv") for id in tables],
        provenance=layout.provenance,
        template=str(PROJECT / "paper" / "dimat.typ"),
    output:
        report(layout.pdf, caption="../report/paper.rst", category="Paper"),
    log:
        layout.log("pdf", "all"),
    localrule: True
    params:
        study=layout.study,
    shell:
        "dimat pdf {params.study} 2> {log}"
