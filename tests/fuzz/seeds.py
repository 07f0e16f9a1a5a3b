"""Small whole files of every kind that is read; the fuzzer breaks them."""

from __future__ import annotations

import json

__all__ = ["SEEDS", "SUFFIXES"]

_NS = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"
_PAGE = f"""<?xml version="1.0" encoding="UTF-8"?>
<PcGts xmlns="{_NS}"><Metadata><Creator>x</Creator></Metadata>
<Page imageFilename="p.jpg" imageWidth="600" imageHeight="400">
<ReadingOrder><OrderedGroup id="o"><RegionRefIndexed index="1" regionRef="r1"/>
<OrderedGroupIndexed index="0" id="g"><RegionRefIndexed index="0" regionRef="r2"/>
</OrderedGroupIndexed></OrderedGroup></ReadingOrder>
<TextRegion id="r1" type="paragraph" custom="structure {{type:margin;}} readingOrder {{index:0;}}">
<Coords points="0,0 600,0 600,400 0,400"/>
<TextLine id="l1" custom="structure {{type:heading;}}" production="printed">
<Coords points="10,20 300,22 300,60 10,58" conf="0.9"/><Baseline points="10,50 150,52 300,53"/>
<Word id="w1"><Coords points="10,20 90,20 90,60"/>
<Glyph id="g1"><Coords points="10,20 20,20 20,60"/>
<TextEquiv conf="0.5"><Unicode>l</Unicode></TextEquiv></Glyph>
<TextEquiv index="1" conf="0.7"><Unicode>le</Unicode></TextEquiv></Word>
<TextEquiv index="1" conf="0.81"><Unicode>le p\u00e8re</Unicode></TextEquiv>
<TextEquiv index="0"><PlainText>le pere</PlainText>
<Unicode>le pe\u0300re</Unicode></TextEquiv></TextLine>
<TextLine id="l2"><Coords points="10,80 300,82 300,120 10,118"/><Baseline points="10,110 300,112"/>
<TextEquiv><Unicode>et la m\u00e8re</Unicode></TextEquiv></TextLine></TextRegion>
<TableRegion id="t"><Coords points="0,0 9,0 9,9"/><TextRegion id="r2"><Coords points="0,0 9,0 9,9"/>
<TextLine id="l3"><Coords><Point x="1" y="2"/><Point x="90" y="2"/><Point x="90" y="40"/></Coords>
<TextEquiv><Unicode>12 &amp; 13 |</Unicode></TextEquiv></TextLine></TextRegion></TableRegion>
</Page></PcGts>
"""
_ALTO = """<?xml version="1.0" encoding="UTF-8"?>
<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#" SCHEMAVERSION="4.2">
<Description><MeasurementUnit>mm10</MeasurementUnit><sourceImageInformation>
<fileName>a.tif</fileName></sourceImageInformation></Description>
<Tags><OtherTag ID="T1" LABEL="margin"/><LayoutTag ID="T2" LABEL="printed"/></Tags>
<Layout><Page ID="P" WIDTH="600" HEIGHT="400" PHYSICAL_IMG_NR="1"><LeftMargin HPOS="0" VPOS="0"/>
<PrintSpace HPOS="0" VPOS="0" WIDTH="600" HEIGHT="400">
<TextBlock ID="b" TAGREFS="T1" TYPE="x" CS="true"><Shape><Polygon POINTS="0,0 9,0 9,9"/></Shape>
<TextLine ID="l1" BASELINE="10,50 300,53" HPOS="10" VPOS="20" WIDTH="290" HEIGHT="40" CS="false">
<Shape><Polygon POINTS="10 20 300 22 300 60 10 58"/></Shape>
<String ID="s" CONTENT="le" HPOS="10" VPOS="20" WIDTH="40" HEIGHT="40" WC="0.7" CC="0 1">
<Shape><Polygon POINTS="1,1 5,1 5,5"/></Shape><ALTERNATIVE PURPOSE="x">la</ALTERNATIVE>
<Glyph ID="g" CONTENT="l" GC="0.3"><Variant CONTENT="t" VC="0.2"/></Glyph></String><SP/>
<String CONTENT="p\u00e8re" SUBS_TYPE="HypPart1" SUBS_CONTENT="p\u00e8rer"/>
<HYP CONTENT="-"/></TextLine>
<TextLine ID="l2" BASELINE="110" TAGREFS="T2 T9"><String CONTENT="et la" HPOS="1" VPOS="80"
 WIDTH="90" HEIGHT="30"/></TextLine></TextBlock></PrintSpace></Page></Layout></alto>
"""
_HOCR = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1.dtd">
<html xmlns="http://www.w3.org/1999/xhtml"><head><title/>
<meta name="ocr-system" content="x"/></head>
<body><div class="ocr_page" id="page_1" title="image 'p.jpg'; bbox 0 0 600 400; ppageno 0">
<div class="ocr_carea" id="c" title="bbox 0 0 600 400"><p class="ocr_par">
<span class="ocr_line" id="l1" title="bbox 10 20 300 60; baseline 0.01 -5; x_size 30; textangle 0">
<span class="ocrx_word" id="w1" title="bbox 10 20 90 60; x_wconf 91">le</span>
<span class="ocrx_word" title="bbox 95 20 200 60; x_confs 99 80 70 60">
<strong>p\u00e8re</strong></span>
</span><span class="ocr_header" id="l2" title="bbox 10 80 300 120; poly 10 80 300 82 300 120">
<span class="ocrx_word" title="bbox 1 2 3 4">
<span class="ocrx_cinfo" title="x_bboxes 1 2 3 4; x_conf 9">
e</span></span></span>
<span class="ocr_line" title="bbox 1 130 9 390; textangle 90; baseline 1 2 3 4">
plain &amp; text</span></p></div></div>
<div class="ocr_page" id="page_2" title="bbox 0 0 10 10"><span class="ocr_line">two</span></div>
</body></html>
"""
_ROWS: list[dict[str, object]] = [
    {"id": "a", "page": "p", "doc": "D", "text": "le pe\u0300re", "confidences": [0.5] * 7,
     "nbest": [{"text": "le p\u00e8re", "score": -1.5}, {"text": "la", "score": -9}]},
    {"id": "b", "page": "p", "text": "et la m\u00e8re", "confidence": 0.25,
     "words": [{"text": "et", "confidence": 1}, {"text": "la", "confidence": 0.5}]},
    {"id": 3, "text": "n\u00b0 12",
     "chars": [{"text": c, "confidence": 0.9} for c in "n\u00b0 12"]},
    {"id": "d", "text": None, "page": None, "other": {"x": [1, {}]}},
]  # fmt: skip
_JSONL = "".join(json.dumps(row, ensure_ascii=i % 2 == 0) + "\n" for i, row in enumerate(_ROWS))
_TSV = "id\ttext\na\tle p\u00e8re\nb\tet la me\u0300re\r\nc\t12\t13\n\nd\t\n"
_CTM = """;; file channel begin duration word confidence
a 1 0.00 0.45 le 0.99
a 1 * * <ALT_BEGIN>
a 1 0.45 0.30 p\u00e8re 0.6
a 1 * * <ALT>
a 1 0.45 0.30 pere NA
a 1 * * <ALT_END>
b A 0 1 e
b A 1 1 t 0.5
b A 2 0 <space> 1
b A 2 1 me\u0300re
c 2 0.5 1e-3 @ -
"""

SEEDS: dict[str, bytes] = {
    "page": _PAGE.encode(),
    "alto": _ALTO.encode(),
    "hocr": _HOCR.encode(),
    "jsonl": _JSONL.encode(),
    "tsv": _TSV.encode(),
    "ctm": _CTM.encode(),
}
SUFFIXES = {kind: f".{kind}" for kind in SEEDS} | {"page": ".xml", "alto": ".xml"}
