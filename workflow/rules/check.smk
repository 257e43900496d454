rule check:
    input:
        data="results/{budget}/{figure}.parquet",
        drawing="results/{budget}/{figure}.drawing.json",
        reference=figure_reference,
    output:
        verdicts="results/{budget}/{figure}.check.json",
    log:
        "logs/check/{budget}/{figure}.log",
    localrule: True
    shell:
        "python -m relatent check {input.data} {output.verdicts} --drawing {input.drawing} > {log} 2>&1"
