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
        with_checksums(
            *(layout.figure("{id}", ending) for ending in ("pdf", "png", "txt"))
        ),
    log:
        layout.log("figure", "{id}"),
    localrule: True
    params:
        study=layout.study,
        code=drawn_by,
        content=study.content,
        caption=lambda wildcards: Written(layout.figure(wildcards.id, "txt")),
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
        code=drawn_by,
        content=study.content,
        caption=lambda wildcards: in_report(tables[wildcards.id].caption()),
    shell:
        "dimat table {params.study} --only {wildcards.id} 2> {log}"


rule paper:
    input:
        [layout.figure(id, ending) for id in figures for ending in ("svg", "txt")],
        [layout.table(id, "csv") for id in tables],
        provenance=layout.provenance,
        template=str(PROJECT / "paper" / "dimat.typ"),
    output:
        report(layout.pdf, caption="../report/paper.rst", category="Paper"),
        f"{layout.pdf}.sha256",
    log:
        layout.log("pdf", "all"),
    localrule: True
    params:
        study=layout.study,
        code=drawn_by,
        content=study.content,
    shell:
        "dimat pdf {params.study} 2> {log}"
