"""The report, as JSON and as Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from .figures import Pass, Ratio, Subject, chosen, cpu, legs, ratios


def lines(passes: Sequence[Pass]) -> list[str]:
    """Return what is printed at the end: every ratio, a line each."""
    return [f"{_goal(r)}, {_agents(r.agents)}: {_verdict(r)}" for r in ratios(passes)]


def document(conditions: Mapping[str, Any], passes: Sequence[Pass]) -> dict[str, Any]:
    """Return everything that was measured, except the single Tasks."""
    return {
        "conditions": dict(conditions),
        "ratios": [
            {
                "of": r.goal.subject.value,
                "to": r.goal.rival.value,
                "agents": r.agents,
                "median": round(r.median, 3),
                "lowest": round(r.lowest, 3),
                "highest": round(r.highest, 3),
                "goal": r.goal.times,
                "reached": r.reached,
            }
            for r in ratios(passes)
        ],
        "passes": [
            {
                **{k: v for k, v in asdict(p).items() if k != "lives"},
                "per_second": round(p.per_second, 1),
                "legs_ms": {name: [round(v, 1) for v in both] for name, both in legs([p]).items()},
            }
            for p in passes
        ],
    }


def markdown(conditions: Mapping[str, Any], passes: Sequence[Pass]) -> str:
    """Return the report for people."""
    said = "\n".join(f"- {name}: {value}" for name, value in conditions.items())
    return f"""# From created to done

Written by `make bench`. Everything runs on one machine and shares its cores: API server, broker, operator,
agents and the programs that measure. So the ratios within one run count, not the figures alone.

{said}

## Ratios

{_ratio_table(ratios(passes))}

- **{Subject.TASKS}** are created by one client, which sees them done by a watch. Operator and agents are
  processes of this machine, as they would be in containers, without limits; API server, RabbitMQ and
  everything else of Kubernetes are the local cluster's. The action returns its payload.
- **{Subject.JOBS}** are created and seen done by the same client. Their Pods run on KWOK nodes, where they
  end at once; the limits on requests of controller manager and scheduler are raised.
- **{Subject.WRITES}** are the same creations and as many status writes, as large, by one client that does
  nothing else, with as many requests at a time as Tasks are created with.
- **{Subject.MESSAGES}** are work in a quorum queue, published as the operator does, begun (`Started`,
  confirmed), acknowledged, done and reported (confirmed) by the same agents, without Kubernetes and history.
- **{Subject.CELERY}** does the same calls on the same broker: a quorum queue, late acknowledgement, prefetch
  1, confirmed publishing, results by `rpc`. It has no counterpart to `Started`.

## Throughput

{_throughput_table(passes)}

Busy is the share of the CPU time of all cores that anything used.

## Legs of a Task

Milliseconds, p50 / p99 over all repeats. All Tasks are created as fast as the API server takes them, so the
leg before the slowest part is the wait for it.

{_leg_table(passes)}

## Status writes and CPU time

CPU milliseconds of one Task, Job or message, median over the repeats. "Client" creates and watches.

{_cpu_table(passes)}

## Where the time goes

{_limits(passes)}
"""


def _ratio_table(found: Sequence[Ratio]) -> str:
    rows = [f"| {_goal(r)} | {r.agents} | {_verdict(r)} |" for r in found]
    return "\n".join(["| | agents | median (lowest to highest) |", "|---|---|---|", *rows])


def _goal(ratio: Ratio) -> str:
    return f"{ratio.goal.subject} / {ratio.goal.rival}"


def _verdict(ratio: Ratio) -> str:
    reached = "reached" if ratio.reached else "not reached"
    extremes = f"{ratio.lowest:.2f} to {ratio.highest:.2f}"
    return f"{ratio.median:.2f} ({extremes}); goal {ratio.goal.times:g}, {reached}"


def _agents(number: int | None) -> str:
    return "-" if number is None else f"{number} agent{'s' if number != 1 else ''}"


def _groups(passes: Sequence[Pass]) -> list[tuple[Subject, int | None, list[Pass]]]:
    keys = dict.fromkeys((subject, p.agents) for subject in Subject for p in chosen(passes, subject))
    return [
        (subject, agents, [p for p in chosen(passes, subject) if p.agents == agents])
        for subject, agents in sorted(keys, key=lambda key: (list(Subject).index(key[0]), key[1] or 0))
    ]


def _throughput_table(passes: Sequence[Pass]) -> str:
    rows = []
    for subject, agents, group in _groups(passes):
        rates = [p.per_second for p in group]
        busy = [p.busy for p in group if p.busy is not None]
        rows.append(
            f"| {subject} | {agents or '-'} | {group[0].count} | {median(rates):.0f} "
            f"| {min(rates):.0f} to {max(rates):.0f} | {f'{median(busy):.0%}' if busy else '-'} |"
        )
    return "\n".join(
        [
            "| | agents | count | per second, median | lowest to highest | busy |",
            "|---|---|---|---|---|---|",
            *rows,
        ]
    )


def _leg_table(passes: Sequence[Pass]) -> str:
    groups = [(agents, found) for _, agents, group in _groups(passes) if (found := legs(group))]
    names = list(groups[0][1]) if groups else []
    rows = [
        f"| {agents} | " + " | ".join(f"{found[name][0]:.0f} / {found[name][1]:.0f}" for name in names) + " |"
        for agents, found in groups
    ]
    return "\n".join([f"| agents | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|", *rows])


def _cpu_table(passes: Sequence[Pass]) -> str:
    groups = [(s, agents, cpu(group), group) for s, agents, group in _groups(passes)]
    names = list(dict.fromkeys(name for _, _, found, _ in groups for name in found))
    rows = []
    for subject, agents, found, group in groups:
        writes = [p.writes for p in group if p.writes is not None]
        cells = [f"{found[name]:.1f}" if name in found else "-" for name in names]
        written = f"{median(writes):.2f}" if writes else "-"
        rows.append(f"| {subject} | {agents or '-'} | {written} | {' | '.join(cells)} |")
    head = f"| | agents | status writes | {' | '.join(names)} |"
    return "\n".join([head, "|---" * (len(names) + 3) + "|", *rows])


def _limits(passes: Sequence[Pass]) -> str:
    """Say of every subject what its CPU time alone allows, and who uses most of it."""
    rows = []
    for subject, agents, group in _groups(passes):
        found = cpu(group)
        # In clock ticks, a short run may have used none.
        if each := sum(found.values()):
            most = sorted(found, key=lambda name: found[name], reverse=True)[:3]
            shares = ", ".join(f"{name} {found[name] / each:.0%}" for name in most)
            rows.append(f"| {subject} | {agents or '-'} | {each:.1f} | {1000 / each:.0f} | {shares} |")
    head = "| | agents | CPU ms, all | per second on one core | most of it |"
    return "\n".join([head, "|---|---|---|---|---|", *rows])
