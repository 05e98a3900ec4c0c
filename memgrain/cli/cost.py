"""`memgrain cost`: dollars a million tokens, joules a token and the cost of a year, and the break-even of two chips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memgrain.cli.options import AsJson, ChipName, ModelName
from memgrain.cli.tokens import token_count

if TYPE_CHECKING:
    from rich.console import Console

    from memgrain.api.models import TokenCost
    from memgrain.cost import Amount, Bill, BreakEven, ChipCost, CostInput, Driver

SHOWN = 5
"""Number of inputs that are shown of those that move the cost."""


def command(
    chip: ChipName,
    model: ModelName,
    context: Annotated[
        int, typer.Option(parser=token_count, metavar="TOKENS", help="Tokens of each sequence, and of the prompt.")
    ],
    batch: Annotated[
        int | None, typer.Option(help="Sequences that all chips decode together; one a group if left out.")
    ] = None,
    chips: Annotated[int, typer.Option(help="Chips that share the model.")] = 1,
    groups: Annotated[
        int, typer.Option(help="Groups of chips with sequences of their own (data parallel); divides --chips.")
    ] = 1,
    weights: Annotated[
        str | None, typer.Option(help="Type of all weights: bf16, fp8, fp4, int8, int4; as released if left out.")
    ] = None,
    cache: Annotated[
        str | None, typer.Option(help="Form of the cache; one that the chip computes if left out.")
    ] = None,
    link: Annotated[
        str | None,
        typer.Option(
            "--cached-from",
            help="Rate at which a chip gets a cached prefix, such as '25 GB/s'; if left out, that of its own memory.",
        ),
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Another chip: at which price or rent of CHIP do tokens cost the same?")
    ] = None,
    against_chips: Annotated[int | None, typer.Option(help="Chips of the other; as many if left out.")] = None,
    prices: Annotated[
        Path | None, typer.Option(help="A .yaml file of CHIP's costs, in place of the one that comes along.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Set a number: price='20000 USD', site.utilisation=0.4. May be repeated."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Simulate a decode step and a prompt, and say what their tokens cost, rented and owned, as intervals."""
    from memgrain.api.models import OF_SITE, token_cost
    from memgrain.cost import load_cost
    from memgrain.errors import MemgrainError
    from memgrain.runs.overrides import parse

    if against is not None:
        load_cost(Path(against).stem)  # an unknown name fails before anything is simulated
    elif against_chips is not None:
        raise MemgrainError(f"--against-chips {against_chips} is for another chip; name it with --against")

    def priced(name: str, many: int | None, prices: Path | None, changes: dict[str, Any]) -> TokenCost:
        return token_cost(
            name,
            model,
            context,
            batch=batch,
            chips=chips if many is None else many,
            groups=groups,
            weights=weights,
            cache=cache,
            cached_from=link,
            prices=prices,
            set=changes,
        )

    changes = parse(set_ or [])
    site = {key: value for key, value in changes.items() if key.startswith(OF_SITE)}
    first = priced(chip, chips, prices, changes)
    second = None if against is None else priced(against, against_chips, None, site)
    moving, evens = first.drivers(), [] if second is None else first.break_even(second)
    if as_json:
        print(json.dumps(_answer(first, second, moving, evens), indent=2))
    else:
        _print(first, second, moving, evens)


def _answer(first: TokenCost, second: TokenCost | None, moving: list[Driver], evens: list[BreakEven]) -> dict[str, Any]:
    """Everything as plain values; amounts as [low, value, high]."""
    decode = first.work.decode
    against = second and {
        "chip": second.work.decode.request.chip.name,
        "chips": second.work.decode.request.shard.chips,
        "tokens": {one.phase: _plain(one) for one in second.bills},
        "break_even": {
            even.phase: {"rent_usd_per_hour": _three(even.rent), "price_usd": _three(even.price)} for even in evens
        },
        "costs": second.cost.model_dump(mode="json"),
    }
    return {
        "chip": decode.request.chip.name,
        "model": decode.request.model.name,
        "context": decode.request.step.context,
        "batch": decode.request.step.batch * decode.request.shard.data,
        "chips": decode.request.shard.chips,
        "decode_time_us": decode.time / 1e6,
        "tokens": {one.phase: _plain(one) for one in first.bills},
        "against": against,
        "costs": first.cost.model_dump(mode="json"),
        "site": first.site.model_dump(mode="json"),
        "drivers_of_decode": [{"name": driver.name, "usd_per_million": list(driver.ends)} for driver in moving],
        **decode.trust.columns(),
    }


def _plain(one: Bill) -> dict[str, Any]:
    return {
        "chip_seconds_per_token": one.chip_seconds,
        "rented_usd_per_million": _three(one.rented),
        "owned_usd_per_million": _three(one.owned),
        "joules_per_token": _three(one.joules),
        "tco_usd_per_chip_year": _three(one.tco_year),
    }


def _three(amount: Amount) -> list[float]:
    return [amount.low, amount.value, amount.high]


def _print(first: TokenCost, second: TokenCost | None, moving: list[Driver], evens: list[BreakEven]) -> None:
    from memgrain.cli.terminal import console

    screen, request = console(), first.work.decode.request
    screen.print(f"[bold]{request.model.title} on {_many(first)}[/bold]")
    sequences = request.step.batch * request.shard.data
    screen.print(
        f"decode of {sequences:,} sequence{'s' * (sequences > 1)} of {request.step.context:,} tokens, a prompt of that "
        f"length, and the read of its cache; {first.work.decode.trust.sentence}\n",
        markup=False,
    )
    _bills(screen, first.bills)
    _numbers(screen, first.cost, moving)
    if second is not None:
        screen.print(f"\n[bold]against {_many(second)}[/bold]\n")
        _bills(screen, second.bills)
        _even(screen, evens, request.chip.name)


def _many(side: TokenCost) -> str:
    count, title = side.work.decode.request.shard.chips, side.work.decode.request.chip.title
    return f"{count} x {title}" if count > 1 else title


def _bills(screen: Console, bills: list[Bill]) -> None:
    from memgrain.cli.tables import table

    shown = table("", *(f">{one.phase}" for one in bills))
    shown.add_row("tokens a second and chip", *(f"{1 / one.chip_seconds:,.4g}" for one in bills))
    for label, amounts in (
        ("USD a million, rented", [one.rented for one in bills]),
        ("USD a million, owned", [one.owned for one in bills]),
        ("J a token", [one.joules for one in bills]),
        ("USD a chip-year, owned", [one.tco_year for one in bills]),
    ):
        shown.add_row(label, *(_amount(amount) for amount in amounts))
    screen.print(shown)


def _numbers(screen: Console, cost: ChipCost, moving: list[Driver]) -> None:
    """What the bill rests on, and what moves it most."""
    from memgrain.cli.tables import table

    shown = table("of a chip", ">value", ">range", "kind", "source or reason")
    for name, unit, figure in (("price", "USD", cost.price), ("rent", "USD/h", cost.rent), ("power", "W", cost.power)):
        text = figure.source if figure.kind != "assumed" else f"{figure.reason.rstrip('.')}. {figure.source}"
        shown.add_row(name, f"{_short(figure.value)} {unit}", _range(figure), figure.kind, text)
    screen.print()
    screen.print(shown)
    if cost.note:
        screen.print(f"\n{cost.note}", markup=False)
    shown = table("moves decode, owned", ">range", "kind", ">USD a million at its ends")
    for driver in moving[:SHOWN]:
        low, high = driver.ends
        shown.add_row(driver.name, _range(driver.figure), driver.figure.kind, f"{_short(low)} .. {_short(high)}")
    screen.print()
    screen.print(shown)
    screen.print(
        "\nBrackets have every number at the worse or the better end of its range at once; simulated times have none.",
        markup=False,
    )


def _even(screen: Console, evens: list[BreakEven], name: str) -> None:
    from memgrain.cli.tables import table

    shown = table(f"{name} costs the same", ">at a rent, USD/h", ">at a price, USD")
    for even in evens:
        shown.add_row(even.phase, _amount(even.rent), _amount(even.price))
    screen.print()
    screen.print(shown)
    if any(even.price.low < 0 for even in evens):
        screen.print("A price below 0: it would cost more even as a gift.", markup=False)


def _amount(amount: Amount) -> str:
    return f"{_short(amount.value)} [{_short(amount.low, 2)}, {_short(amount.high, 2)}]"


def _short(value: float, digits: int = 3) -> str:
    """A few digits, and all of those before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.{digits}g}"


def _range(figure: CostInput) -> str:
    return "–" if figure.range is None else f"{_short(figure.low)} .. {_short(figure.high)}"
