"""Opens a report as people do: console, accessibility, screenshots.

    python eval/report_check.py report.html --axe node_modules/axe-core/axe.min.js [--shots FOLDER]

Needs playwright (pip), a Chromium and axe-core (npm). Exit status 1 if the console or axe complain,
or the page is wider than the screen; the screenshots are for looking at.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

SCREENS = {
    "desktop": (1280, 900, "light"),
    "phone": (390, 844, "light"),
    "dark": (1280, 900, "dark"),
}
AXE = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
    .map((v) => `${v.id}: ${v.help} (${v.nodes.length}, first ${v.nodes[0].html.slice(0, 120)})`)"""


def look(browser: Any, report: Path, axe: str, screen: str, shots: Path | None) -> list[str]:
    """What is wrong with a report on one screen."""
    width, height, scheme = SCREENS[screen]
    wrong: list[str] = []
    for script in ("", axe):  # first as it is, then without its policy, which keeps axe out
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            bypass_csp=bool(script),
        )
        page = context.new_page()
        page.on("console", lambda message, w=wrong: w.append(f"console: {message.text}"))
        page.on("pageerror", lambda error, w=wrong: w.append(f"error: {error}"))
        page.goto(report.resolve().as_uri())
        page.wait_for_timeout(500)
        if script:
            page.evaluate(script)
            wrong += page.evaluate(AXE)
        elif shots is not None:
            for section in page.query_selector_all("section"):
                section.scroll_into_view_if_needed()
                page.evaluate("s => s.scrollIntoView({behavior: 'instant'})", section)
                page.screenshot(path=str(shots / f"{screen}-{section.get_attribute('id')}.png"))
        if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
            wrong.append("wider than the screen")
        context.close()
    return [f"{screen}: {sentence}" for sentence in wrong]


@click.command()
@click.argument("report", type=click.Path(path_type=Path, exists=True))
@click.option("--axe", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--chromium", default="/usr/bin/chromium", show_default=True)
@click.option("--shots", type=click.Path(path_type=Path))
def main(report: Path, axe: Path, chromium: str, shots: Path | None) -> None:
    """Look at a report on a desktop, on a phone and in the dark."""
    from playwright.sync_api import sync_playwright

    if shots is not None:
        shots.mkdir(parents=True, exist_ok=True)
    script = axe.read_text(encoding="utf-8")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        wrong = [s for screen in SCREENS for s in look(browser, report, script, screen, shots)]
        browser.close()
    for sentence in wrong:
        click.echo(sentence, err=True)
    if wrong:
        raise click.ClickException(f"{len(wrong)} complaints")
    click.echo(f"{report}: {report.stat().st_size / 1e6:.1f} MB, nobody complains")


if __name__ == "__main__":
    main()
