"""XML from strangers: each bad file is one clear line, each good one a tree."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ensemble_htr.errors import XMLError
from ensemble_htr.io import xml as module
from ensemble_htr.io.xml import local_name, parse_xml, sniff_root, xml_text

BOMB = (
    '<!DOCTYPE b [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10)).replace("&a0;", "&a;")
    + "]><b>&a9;</b>"
)

# content, words that the message must hold
BAD = [
    (b"", ["line 1", "empty"]),
    (b"  \n ", ["line 1", "empty"]),
    (b"\x00\x01\x02garbage\xff", ["line 1", "not well-formed"]),
    (b"just text", ["line 1", "not well-formed"]),
    (b"<alto>\n<Layout>\n<Page", ["line 3", "not well-formed"]),  # truncated
    (b"<alto>\n<Layout></alto>", ["line 2", "not well-formed"]),
    (b"<a>\n&undefined;</a>", ["line 2", "not well-formed"]),
    (b'<?xml version="1.0" encoding="UTF-8"?>\n<a>caf\xe9</a>', ["line 2", "not well-formed"]),
    (b'<?xml version="1.0" encoding="klingon"?><a/>', ["line 1"]),
    (b"<a>" * 5000 + b"</a>" * 5000, ["line 1", "not well-formed"]),  # nested too deep
    (BOMB.encode(), ["line 1", "has a DOCTYPE"]),
    (b'\n\n<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd"><a/>', ["line 3", "has a DOCTYPE"]),
    (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', ["has a DOCTYPE"]),
    (b"<!DOCTYPE a><a/>", ["has a DOCTYPE"]),
    (BOMB.encode("utf-16"), ["has a DOCTYPE"]),
    (b"<!--" + b"x" * 70_000 + b"--><!DOCTYPE a><a/>", ["has a DOCTYPE"]),
    (b'<?xml version="1.0" encoding="EUC-JP"?><!DOCTYPE a><a/>', ["has a DOCTYPE"]),
]


@pytest.mark.parametrize(("content", "words"), BAD)
def test_bad_files_are_one_line(tmp_path: Path, content: bytes, words: list[str]) -> None:
    path = tmp_path / "bad.xml"
    path.write_bytes(content)
    with pytest.raises(XMLError) as caught:
        parse_xml(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: line ") and "\n" not in message
    for word in words:
        assert word in message


def test_missing_and_oversized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(XMLError, match=r"none\.xml: cannot be read"):
        parse_xml(tmp_path / "none.xml")
    (tmp_path / "big.xml").write_bytes(b"<a/>" + b" " * 100)
    monkeypatch.setattr(module, "MAX_BYTES", 50)
    with pytest.raises(XMLError, match="MB"):
        parse_xml(tmp_path / "big.xml")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1", "cp1252"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    name = encoding.replace("-sig", "")
    path = tmp_path / "a.xml"
    path.write_bytes(
        f'<?xml version="1.0" encoding="{name}"?><p:été xmlns:p="u"/>'.encode(encoding)
    )
    assert local_name(parse_xml(path).getroot()) == "été"
    assert sniff_root(path) == "été"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_parse_or_raise_xml_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "any.xml"
    path.write_bytes(b"<a>" + data)
    sniff_root(path)
    try:
        parse_xml(path)
    except XMLError as error:
        assert "\n" not in str(error)


@given(st.text(max_size=20))
def test_xml_text_is_what_lxml_accepts(text: str) -> None:
    element = module.etree.Element("a")
    element.text = xml_text(text)  # lxml raises for anything else
    assert xml_text(xml_text(text)) == xml_text(text)
