"""Small surgery on lxml trees that leaves the user's own indentation as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ensemble_htr.io.xml import Element, Tree, etree, xml_text

__all__ = ["insert", "new_id", "remove", "serialise", "sub", "valid_ids"]

_NOT_NAME = re.compile(r"[^A-Za-z0-9_.\-]")
# NCName of Namespaces in XML 1.0, the blocks of letters that occur in practice
_NAME = re.compile(
    r"[A-Za-z_\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff]"
    r"[A-Za-z0-9_.\-\u00b7\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u037d\u037f-\u1fff]*"
)


def sub(parent: Element, name: str, text: str | None = None, **attributes: str) -> Element:
    """Append a child in the parent's namespace."""
    namespace = etree.QName(parent).namespace
    child = etree.SubElement(parent, f"{{{namespace}}}{name}" if namespace else name)
    for key, value in attributes.items():
        child.set(key, xml_text(value))
    child.text = None if text is None else xml_text(text)
    return child


def insert(parent: Element, position: int, child: Element) -> None:
    """Put ``child`` at ``position``, indented as its new siblings are."""
    indent = parent.text if parent.text and not parent.text.strip() else None
    parent.insert(position, child)
    if position == 0:
        child.tail = indent
    else:
        before = parent[position - 1]
        child.tail, before.tail = before.tail, indent if indent else before.tail
    if indent and len(child) and not child.text:
        child.text = indent + "  "
        for grandchild in child:
            grandchild.tail = indent + "  "
        child[-1].tail = indent


def remove(child: Element) -> None:
    """Take ``child`` out; what follows it moves up."""
    parent, before = child.getparent(), child.getprevious()
    tail = child.tail or ""
    if before is not None:
        before.tail = tail if not (before.tail or "").strip() else (before.tail or "") + tail
    elif parent.text is None or not parent.text.strip():
        parent.text = tail or parent.text
    child.tail = None
    parent.remove(child)


def serialise(tree: Tree) -> bytes:
    """UTF-8 with an XML declaration; everything around the root stays."""
    return bytes(
        etree.tostring(
            tree, encoding="UTF-8", xml_declaration=True, standalone=tree.docinfo.standalone
        )
        + b"\n"
    )


def new_id(wanted: str, taken: set[str]) -> str:
    """``wanted``, or the first ``wanted-N`` that is not ``taken``; it is taken from then on."""
    name, count = wanted, 2
    while name in taken:
        name, count = f"{wanted}-{count}", count + 1
    taken.add(name)
    return name


def valid_ids(ids: Iterable[str]) -> dict[str, str]:
    """For each id one that xsd:ID accepts (an NCName) and no other id has; valid ones stay."""
    originals = list(ids)
    taken = {i for i in originals if _NAME.fullmatch(i)}
    return {i: i if i in taken else new_id("id_" + _NOT_NAME.sub("_", i), taken) for i in originals}
