# From records to figures, tables and the paper: each is drawn once, the paper takes the files.


rule figure:
    input:
        lambda wildcards: figures_by(wildcards.study)[wildcards.id].reads(
            layout_of(own(wildcards))
        ),
    output:
        report(
            layout.figure("{id}"),
            caption="../report/caption.rst",
            category="Figures",
            subcategory=section,
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
        study=str(layout.study),
        code=drawn_by,
        content=lambda wildcards: own(wildcards).content,
        caption=lambda wildcards: Written(
            layout_of(own(wildcards)).figure(wildcards.id, "txt")
        ),
    shell:
        "dimat figure {params.study} --only {wildcards.id} 2> {log}"


rule table:
    input:
        lambda wildcards: tables_by(wildcards.study)[wildcards.id].reads(
            layout_of(own(wildcards))
        ),
    output:
        report(
            layout.table("{id}", "csv"),
            caption="../report/caption.rst",
            category="Tables",
            subcategory=section,
            labels={"table": "{id}"},
        ),
        f"{layout.table('{id}', 'csv')}.sha256",
        with_checksums(layout.table("{id}", "tex")),
    log:
        layout.log("table", "{id}"),
    localrule: True
    params:
        study=str(layout.study),
        code=drawn_by,
        content=lambda wildcards: own(wildcards).content,
        caption=lambda wildcards: in_report(
            tables_by(wildcards.study)[wildcards.id].caption()
        ),
    shell:
        "dimat table {params.study} --only {wildcards.id} 2> {log}"


rule pdf:
    input:
        lambda wildcards: [
            layout_of(own(wildcards)).figure(id, ending)
            for id in figures_by(wildcards.study)
            for ending in ("svg", "txt")
        ],
        lambda wildcards: [
            layout_of(own(wildcards)).table(id, "csv")
            for id in tables_by(wildcards.study)
        ],
        provenance=layout.provenance,
        template=str(PROJECT / "paper" / "dimat.typ"),
    output:
        report(
            layout.pdf,
            caption="../report/paper.rst",
            category="Paper",
            subcategory=section,
        ),
        f"{layout.pdf}.sha256",
    log:
        layout.log("pdf", "all"),
    localrule: True
    params:
        study=str(layout.study),
        code=drawn_by,
        content=lambda wildcards: own(wildcards).content,
    shell:
        "dimat pdf {params.study} 2> {log}"


# The paper over all studies of a folder draws by itself what it shows.
rule report_pdf:
    input:
        lambda wildcards: in_catalogue(wildcards.catalogue, records_of),
        template=str(PROJECT / "paper" / "report" / "report.typ"),
    output:
        report(
            layout.report("{catalogue}"),
            caption="../report/paper.rst",
            category="Paper",
        ),
        f"{layout.report('{catalogue}')}.sha256",
    log:
        layout.shared.log("report", "{catalogue}"),
    localrule: True
    threads: workflow.cores
    params:
        folder=lambda wildcards: str(CATALOGUES[wildcards.catalogue]),
        code=drawn_by,
    shell:
        "dimat report {params.folder} --processes {threads} 2> {log}"
