"""The tables of ``docs/reference/cost.md``: ``python -m stacks.cost.table`` writes them again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import config
from config import EnvironmentConfig
from stacks.cost import estimate as cost
from stacks.cost.estimate import FREE, Line, deploy, lines, total, total_at_limits
from stacks.cost.prices import AS_OF, PRICES, Evidence
from stacks.stages import chosen, parts

GUIDE = Path(__file__).parents[2] / "docs" / "reference" / "cost.md"
PLACE = re.compile(r"(?<=<!-- cost: begin -->\n).*?(?=<!-- cost: end -->)", re.DOTALL)
ORDER = ("dev", "staging", "production")

LIMITS = "`max_tasks`, `max_acu`, `max_read_units`, `max_write_units` and `rate_per_second`"
METRICS = (
    f"{cost.CLUSTER_METRICS} for the cluster, {cost.FAMILY_METRICS} for each family of tasks, "
    f"{cost.SERVICE_METRICS} for each service"
)


def document() -> str:
    """Return all tables, from the config files as they are."""
    names = sorted(config.environments(), key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))
    environments = [config.load(name) for name in names]
    sections = [_summary(environments), *map(_details, environments), _deploys(environments), _assumptions(), _prices()]
    return "\n".join(sections)


def _summary(environments: Sequence[EnvironmentConfig]) -> str:
    names = [each.environment for each in environments]
    priced = {each.environment: lines(each) for each in environments}
    there = {each.environment: parts(chosen(each)) for each in environments}
    rows = []
    for part in parts():
        cells = [
            _dollars(sum(line.dollars for line in priced[name] if line.part == part)) if part in there[name] else ""
            for name in names
        ]
        rows.append([f"`{part}`", *cells, FREE.get(part, "")])
    rows.append(["**at rest, a month**", *(f"**{_dollars(total(priced[name]))}**" for name in names), ""])
    rows.append(["at the limits of the config", *(_dollars(total_at_limits(priced[name])) for name in names), ""])
    return f"## A month, by part\n\nPrices of us-east-1 as of {AS_OF}.\n\n" + _table(
        ["part", *names, "free, because"], rows
    )


def _details(settings: EnvironmentConfig) -> str:
    found = [line for line in lines(settings) if line.dollars or line.limit_dollars]
    rows = [
        [f"`{line.part}`", line.what, _amount(line), _dollars(line.dollars), _dollars(line.limit_dollars)]
        for line in found
    ]
    rows.append(["**all**", "", "", f"**{_dollars(total(tuple(found)))}**", _dollars(total_at_limits(tuple(found)))])
    return f"## {settings.environment}\n\n" + _table(
        ["part", "what", "units at rest", "at rest", "at the limits"], rows
    )


def _deploys(environments: Sequence[EnvironmentConfig]) -> str:
    rows = []
    for settings in environments:
        found = deploy(settings)
        run = f"{cost.actions(settings)} actions, ${found.pipeline:.2f}" if settings.pipeline.enabled else "none"
        rows.append([settings.environment, f"${found.machine:.4f}", f"${found.tasks:.4f}", run])
    head = ["environment", "deploy of code, the machine at most", "its tasks", "run of the pipeline without code"]
    return "## A deploy\n\n" + _table(head, rows)


def _assumptions() -> str:
    said = (
        f"{cost.HOURS} hours a month; no free tier, no discount, no savings plan, no tax",
        "at rest: no request and no deploy; tasks and capacity at their minimum",
        f"at the limits: {LIMITS} in each second of a month, {cost.REQUEST_SECONDS} s of a function for a request",
        "at the limits, not counted: what passes gateways and load balancer, and what it writes into logs",
        f"{cost.STORED_GB:g} GB in each store; {cost.IMAGE_GB:g} GB for each image that is kept",
        f"{cost.LOGGED_GB:g} GB a month in each log that is written at rest",
        "Aurora with `min_acu = 0` sleeps all the time; a connection wakes it, for five minutes at least",
        "Fargate Spot has half of the price: the discount moves between 50 and 70 %",
        f"enhanced Container Insights: {cost.ENHANCED_METRICS} metrics at each level, assumed and never counted",
        f"Container Insights: {METRICS}, from memory; its log events are not counted",
        f"Lambda asks the search's queue {cost.POLLS:,.0f} times a month when nothing is in it",
        f"a deploy of code: each of the machine's {cost.states()} states once for each wave",
        "and each wave takes all of `[rollout] timeout_seconds`, which one that fails does",
        f"the new tasks run {cost.WAVE_MINUTES} minutes beside the old ones, and so does the migration",
        f"a run of the pipeline: {cost.ACTION_MINUTES} minutes for each action, and each is a build",
    )
    return "## Assumptions\n\n" + "".join(f"* {each}\n" for each in said)


def _prices() -> str:
    rows = [
        [price.what, _price(price.dollars), price.unit, f"[{price.page}]({price.url})", price.evidence.value]
        for price in PRICES.values()
    ]
    unsure = sum(price.evidence == Evidence.MEMORY for price in PRICES.values())
    said = (
        f"{unsure} of {len(rows)} are from memory of the page and **not verified**: compare them first. "
        "No live page was read: a stored copy may be some years old."
    )
    return f"## Prices\n\n{said}\n\n" + _table(["what", "$", "per", "AWS's page", "last seen in"], rows)


def _amount(line: Line) -> str:
    return f"{line.count:,.2f}".rstrip("0").rstrip(".") + f" {PRICES[line.price].unit}"


def _dollars(amount: float) -> str:
    return f"{amount:,.2f}"


def _price(amount: float) -> str:
    return f"{amount:.10f}".rstrip("0").rstrip(".")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    ruler = ["---:" if cell in {*ORDER, "at rest", "at the limits", "$"} else "---" for cell in head]
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, ruler, *rows))


def main() -> None:
    """Write the tables into the guide."""
    text = document()
    GUIDE.write_text(PLACE.sub(lambda _: text, GUIDE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
