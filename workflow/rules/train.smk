onstart:
    refuse_planned(workflow.dag)


rule train:
    output:
        returns=ensure("{run}/returns.csv", non_empty=True),
        probes="{run}/probes.npz",
        manifest="{run}/manifest.json",
    log:
        "{run}/train.log",
    threads: job_cpus
    resources:
        gpu=job_resource("gpu"),
        mem_mb=job_resource("mem_mb"),
        runtime=job_resource("runtime"),
    params:
        spec=job_spec,
    shell:
        "python -m relatent train --spec {params.spec:q} --run {wildcards.run} >> {log} 2>&1"
