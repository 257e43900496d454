"""Train every agent and draw every figure of the papers described in config/papers/.

snakemake -c2 paper_figures/smoke/smac_fig4.pdf            a figure at a small budget: smoke, demo or laptop
snakemake -c2 paper_figures/smac_fig7.pdf                  a figure at the paper's own budget
snakemake --profile slurm paper_figures/smac_table1.pdf    the same on a cluster; add -n to see what would run
snakemake -c2 smoke                                        every figure at the smallest budget, where its agents exist
snakemake -c2 smoke_cover                                  as many of them as need all code
"""

from snakemake.utils import min_version

min_version("9.27")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"


container: image


include: "workflow/rules/train.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/check.smk"


onsuccess:
    for line in drawn(TARGETS):
        print(line, file=sys.stderr)


rule all:
    default_target: True
    input:
        collect("paper_figures/{figure}.pdf", figure=CATALOG.ready),


rule smoke:
    input:
        collect("paper_figures/smoke/{figure}.pdf", figure=CATALOG.ready),


rule smoke_cover:
    input:
        collect("paper_figures/smoke/{figure}.pdf", figure=CATALOG.covering),
