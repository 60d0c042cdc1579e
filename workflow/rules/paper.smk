# From records to figures, tables and the paper.


rule figure:
    input:
        records=layout.records,
        partitions=[layout.deal(id) for id in study.deals],
        audit=shown_of_audit,
    output:
        report(
            layout.figure("{id}"),
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{id}"},
        ),
    log:
        layout.log("figure", "{id}"),
    localrule: True
    conda:
        "../../environment.yml"
    params:
        study=layout.study,
    shell:
        "dimat figure {params.study} --only {wildcards.id} 2> {log}"


rule table:
    input:
        records=layout.records,
        provenance=layout.provenance,
    output:
        csv=report(
            layout.table("{id}", "csv"),
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{id}"},
        ),
        tex=layout.table("{id}", "tex"),
    log:
        layout.log("table", "{id}"),
    localrule: True
    conda:
        "../../environment.yml"
    params:
        study=layout.study,
    shell:
        "dimat table {params.study} --only {wildcards.id} 2> {log}"


# The paper makes its figures and tables itself from the same inputs: one that was deleted is made again
# without the paper, and comes out the same.
rule paper:
    input:
        records=layout.records,
        provenance=layout.provenance,
        partitions=[layout.deal(id) for id in study.deals],
        audit=layout.audit,
        holonomy=[layout.holonomy(id) for id in merges],
        claims=layout.claims,
        template=os.path.join(workflow.basedir, "paper", "dimat.typ"),
    output:
        report(layout.pdf, caption="../report/paper.rst", category="Paper"),
    log:
        layout.log("pdf", "all"),
    localrule: True
    conda:
        "../../environment.yml"
    params:
        study=layout.study,
    shell:
        "dimat pdf {params.study} 2> {log}"
