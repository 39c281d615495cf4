"""``kgen collect``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kgen.cli.arguments import Context, Kubeconfig, Namespace
from kgen.cli.in_cluster import InCluster, ServiceAccount, collect_in_cluster
from kgen.cli.results import Image, Results, SweepOrFile, fetch_results
from kgen.cli.text import count
from kgen.errors import InputError
from kgen.names import stage_title

if TYPE_CHECKING:
    from kgen.results.certificate import Certificate


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help="Merge row files into tables, with a certificate of completeness (0 if some are missing)")(collect)


def collect(
    sweep: SweepOrFile = "sweep.yaml",
    results: Results = None,
    image: Image = "",
    in_cluster: InCluster = False,
    everything: Annotated[
        bool, typer.Option("--all", help="With --in-cluster, in a pod: every sweep whose results the pod has")
    ] = False,
    service_account: ServiceAccount = "",
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Fetch what is new, write ``collected/`` and say what is there and what is not: exit code 0 either way."""
    from kgen.names import COLLECTED_DIR
    from kgen.workflow.collect import collect_sweep

    if in_cluster:
        collect_in_cluster(
            sweep,
            kubeconfig,
            context,
            namespace,
            everything=everything,
            image=image,
            service_account=service_account,
        )
        return
    if everything or service_account:
        found = "--all" if everything else "--service-account"
        raise InputError.of("the command line", found, f"{found} without --in-cluster", "both, or neither")
    opened = fetch_results(sweep, kubeconfig, context, namespace, results=results, image=image)
    spec, collected = opened.spec, collect_sweep(opened.spec, opened.pods)
    print("\n".join(certificate_lines(collected.results.certificate)))
    print(f"tables: {spec.results / COLLECTED_DIR}")


def certificate_lines(certificate: Certificate) -> list[str]:
    """The certificate in words; every id and file that is not as it should be is named."""
    c = certificate
    lines = [f"{c.accepted:,} of {c.expected:,} trials have a result" + (": complete" if c.complete else "")]
    lines += [f"{stage_title(stage)}: {why}" for stage, why in c.waiting.items()]
    for stage, lacked in c.incomplete_choices.items():
        lines.append(f"stage {stage} was chosen before these trials had a result: {', '.join(lacked)}")
    for stage, gone in c.outdated_choices.items():
        named = ", ".join(gone)
        lines.append(f"stage {stage} was chosen by trials that the file has no more (--rechoose {stage}): {named}")
    if c.missing:
        lines.append(f"missing: {', '.join(c.missing)}")
    for word, files in (("failed", c.failed), ("interrupted", c.interrupted), ("on a shared device", c.shared)):
        lines += [f"{word}: {item.trial} ({item.reason}; {item.file or 'no row'})" for item in files]
    lines += [f"more than one result: {d.trial}, {d.accepted} counts, not {', '.join(d.others)}" for d in c.duplicates]
    if c.timed:
        timed = count(len({item.trial for item in c.timed}), "trial")
        lines.append(f"timed: {timed} with results both alone and in company; of each the first counts")
    lines += [f"damaged: {item.file} ({item.reason})" for item in c.damaged]
    lines += [f"foreign: {item.file} (trial {item.trial}: {item.reason})" for item in c.foreign]
    mixed = (("images", c.images), ("image digests", c.digests), ("revisions", c.revisions), ("trainers", c.trainers))
    for word, different in mixed:
        if len(different) > 1:
            lines.append(f"mixed {word}: {', '.join(different)}")
    return lines
