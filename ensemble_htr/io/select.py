"""Which lines of a page are read: by their type, and by the regions that they lie in."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ensemble_htr.errors import UsageError
from ensemble_htr.types import Line, Page

__all__ = ["Selection", "selection_arguments", "unmatched"]


@dataclass(frozen=True, slots=True)
class Selection:
    """Names of types; one that begins with ``!`` excludes. Empty = all.

    ``lines`` are compared with what `Line.kind` names (the line's own types, else its region's),
    ``regions`` with the types of all regions around the line and with their ids. Case does not
    matter; ``*`` and ``?`` stand for any characters and any one. A line is read if some name
    includes it (or only exclusions are given) and none excludes it, of ``lines`` and of
    ``regions``.
    """

    lines: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()

    def wants(self, line: Line) -> bool:
        return _chosen(self.lines, _kinds(line)) and _chosen(self.regions, _regions(line))

    def of(self, page: Page) -> Page:
        """The page with only the lines that are wanted; one without lines stays as it is."""
        if not self.lines and not self.regions:
            return page
        return dataclasses.replace(page, lines=tuple(filter(self.wants, page.lines)))


def selection_arguments(lines: str | None, regions: str | None) -> Selection:
    """The values of ``--lines`` and ``--regions``, with commas between; raises `UsageError`."""
    return Selection(_names("--lines", lines), _names("--regions", regions))


def _names(option: str, value: str | None) -> tuple[str, ...]:
    if value is None:
        return ()
    names = tuple(dict.fromkeys(n.strip() for n in value.split(",") if n.strip("! ")))
    if not names:
        raise UsageError(f"{option} names nothing; wanted for example  {option} 'margin,!printed'")
    return names


def unmatched(selection: Selection, pages: Iterable[Page]) -> list[str]:
    """What to tell of names that nothing on ``pages`` has: one sentence for each of the two lists.

    Stops looking at pages once every name was met.
    """
    missing = {"lines": set(selection.lines), "regions": set(selection.regions)}
    seen: dict[str, set[str]] = {"lines": set(), "regions": set()}
    count = 0
    for page in pages if any(missing.values()) else ():
        count += 1
        for line in page.lines:
            seen["lines"] |= _kinds(line)
            seen["regions"] |= _regions(line)
        for what, names in missing.items():
            names -= {n for n in names if _met(n.lstrip("!"), seen[what])}
        if not any(missing.values()):
            break
    notices = []
    for what, names in missing.items():
        if names:
            types = sorted(n for n in seen[what] if not n.startswith("#"))
            notices.append(
                f"--{what}: none of {count} page{'s' * (count != 1)} has "
                f"{', '.join(sorted(n.lstrip('!') for n in names))}; "
                f"there is {', '.join(types[:40]) or 'no type at all'}"
            )
    return notices


def _chosen(wanted: tuple[str, ...], names: frozenset[str]) -> bool:
    include = [name for name in wanted if not name.startswith("!")]
    exclude = [name[1:] for name in wanted if name.startswith("!")]
    included = not include or any(_met(name, names) for name in include)
    return included and not any(_met(name, names) for name in exclude)


def _met(name: str, names: Iterable[str]) -> bool:
    pattern = name.strip().casefold()
    return any(fnmatchcase(n, pattern) or fnmatchcase(n, f"#{pattern}") for n in names)


def _kinds(line: Line) -> frozenset[str]:
    return frozenset(k.strip().casefold() for k in line.kind.split(",") if k.strip())


def _regions(line: Line) -> frozenset[str]:
    return frozenset(r.casefold() for r in line.regions)
