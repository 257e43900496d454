onstart:
    refuse_planned(workflow.dag)
    begin_call()


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
        "python -m relatent train --spec {params.spec:q} --run {wildcards.run} --gpus {resources.gpu} >> {log} 2>&1"


for pack in PACKS:

    rule:
        name:
            f"train_{pack.name}"
        output:
            ensure(pack.outputs, non_empty=True),
        log:
            f"logs/packs/{pack.name}.log",
        threads: pack.resource("cpus")
        resources:
            gpu=pack.resource("gpu"),
            mem_mb=pack_resource(pack, "mem_mb"),
            runtime=pack_resource(pack, "runtime"),
        params:
            pack=pack.file,
        shell:
            "python -m relatent train --pack {params.pack} --at-once {threads} --gpus {resources.gpu} >> {log} 2>&1"

    workflow.ruleorder(f"train_{pack.name}", "train")
