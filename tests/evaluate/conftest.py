"""What several tests of the evaluation need."""

from __future__ import annotations

import pytest

PAGE = """<?xml version="1.0"?>
<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15">
<Page imageFilename="p.jpg" imageWidth="100" imageHeight="50"><TextRegion id="r" type="heading">
<Coords points="0,0 90,0 90,20 0,20"/><TextLine id="l1" custom="structure {type:heading;}">
<Coords points="0,0 90,0 90,20 0,20"/><TextEquiv><Unicode>Acte</Unicode></TextEquiv></TextLine>
</TextRegion></Page></PcGts>
"""


@pytest.fixture
def page_xml() -> str:
    """A page with one line of type heading."""
    return PAGE
