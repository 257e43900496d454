rule gather:
    input:
        runs="results/{budget}/{figure}.runs",
        returns=figure_returns,
    output:
        data="results/{budget}/{figure}.parquet",
    log:
        "logs/gather/{budget}/{figure}.log",
    localrule: True
    shell:
        "python -m relatent gather {input.runs} {output.data} > {log} 2>&1"


rule draw:
    input:
        data="results/{budget}/{figure}.parquet",
        drawing="results/{budget}/{figure}.drawing.json",
        check="results/{budget}/{figure}.check.json",
    output:
        pdf="paper_figures/{budget}/{figure}.pdf",
        svg=report(
            "paper_figures/{budget}/{figure}.svg",
            caption="../report/figure.rst",
            category=figure_category,
            labels=figure_labels,
        ),
        csv="paper_figures/{budget}/{figure}.csv",
        json="paper_figures/{budget}/{figure}.json",
    log:
        "logs/draw/{budget}/{figure}.log",
    localrule: True
    params:
        caption=figure_caption,
    shell:
        "python -m relatent draw {input.data} {output.pdf} --check {input.check} --drawing {input.drawing} > {log} 2>&1"


rule publish:
    input:
        multiext(
            "paper_figures/paper/{figure}",
            pdf=".pdf",
            svg=".svg",
            csv=".csv",
            json=".json",
        ),
    output:
        multiext(
            "paper_figures/{figure}", pdf=".pdf", svg=".svg", csv=".csv", json=".json"
        ),
    log:
        "logs/publish/{figure}.log",
    localrule: True
    shell:
        "cp {input} paper_figures/ 2> {log}"
