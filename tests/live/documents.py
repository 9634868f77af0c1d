"""Makes small files of every kind for tests."""

import zipfile
from email.message import EmailMessage
from io import BytesIO

from PIL import Image, ImageDraw, ImageFont

_TYPES = (
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" '
    'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/>'
    '<Override PartName="/word/document.xml" ContentType="application/'
    'vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
_LINKS = (
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/'
    'relationships/officeDocument" Target="word/document.xml"/></Relationships>'
)
_PAGE = (
    b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
    b"/Resources << /Font << /F1 5 0 R >> >> >>"
)


def docx(*paragraphs: str, heading: str = "") -> bytes:
    """A Word document of a heading and paragraphs."""
    style = '<w:pPr><w:pStyle w:val="Heading1"/></w:pPr>'
    body = f"<w:p>{style}<w:r><w:t>{heading}</w:t></w:r></w:p>" if heading else ""
    body += "".join(f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>" for text in paragraphs)
    document = (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?><w:document '
        'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
        f"<w:body>{body}</w:body></w:document>"
    )
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", _TYPES)
        archive.writestr("_rels/.rels", _LINKS)
        archive.writestr("word/document.xml", document)
    return buffer.getvalue()


def pdf(*lines: str) -> bytes:
    """A PDF page with lines of ASCII text."""
    shown = "".join(f"({line}) Tj 0 -16 Td " for line in lines)
    content = f"BT /F1 11 Tf 72 720 Td {shown}ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        _PAGE,
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out = b"%PDF-1.4\n"
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    end = b"trailer << /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % len(out)
    return out + b"xref\n0 6\n0000000000 65535 f \n" + table + end


def packed(files: dict[str, str | bytes]) -> bytes:
    """A ZIP file."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def odt(heading: str, paragraph: str) -> bytes:
    """An OpenDocument text."""
    body = f'<text:h text:outline-level="1">{heading}</text:h><text:p>{paragraph}</text:p>'
    return _open_document("text", body)


def ods(*rows: tuple[str, ...]) -> bytes:
    """An OpenDocument spreadsheet of one sheet, "Rooms"."""
    cell = '<table:table-cell office:value-type="string"><text:p>{}</text:p></table:table-cell>'
    lines = (f"<table:table-row>{''.join(map(cell.format, row))}</table:table-row>" for row in rows)
    return _open_document(
        "spreadsheet", f'<table:table table:name="Rooms">{"".join(lines)}</table:table>'
    )


def xlsx(*rows: tuple[str, ...]) -> bytes:
    """An Excel workbook of one sheet, "Rooms"."""
    cell = '<c t="inlineStr"><is><t>{}</t></is></c>'
    lines = "".join(f"<row>{''.join(map(cell.format, row))}</row>" for row in rows)
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    return packed(
        _office("xl/workbook.xml", "xl/worksheets/sheet1.xml", "worksheet", "spreadsheetml.sheet")
        | {
            "xl/workbook.xml": f'{_XML}<workbook xmlns="{main}" xmlns:r="{_RELATIONS}"><sheets>'
            '<sheet name="Rooms" sheetId="1" r:id="rId1"/></sheets></workbook>',
            "xl/worksheets/sheet1.xml": f'{_XML}<worksheet xmlns="{main}"><sheetData>{lines}'
            "</sheetData></worksheet>",
        }
    )


def pptx(title: str) -> bytes:
    """A PowerPoint presentation of one slide."""
    main = "http://schemas.openxmlformats.org/presentationml/2006/main"
    drawing = "http://schemas.openxmlformats.org/drawingml/2006/main"
    return packed(
        _office("ppt/presentation.xml", "ppt/slides/slide1.xml", "slide", "presentationml")
        | {
            "ppt/presentation.xml": f'{_XML}<p:presentation xmlns:p="{main}" '
            f'xmlns:r="{_RELATIONS}"><p:sldIdLst><p:sldId id="256" r:id="rId1"/></p:sldIdLst>'
            "</p:presentation>",
            "ppt/slides/slide1.xml": f'{_XML}<p:sld xmlns:p="{main}" xmlns:a="{drawing}"><p:cSld>'
            '<p:spTree><p:nvGrpSpPr><p:cNvPr id="1" name=""/><p:cNvGrpSpPr/><p:nvPr/>'
            '</p:nvGrpSpPr><p:grpSpPr/><p:sp><p:nvSpPr><p:cNvPr id="2" name="Title"/><p:cNvSpPr/>'
            "<p:nvPr/></p:nvSpPr><p:spPr/><p:txBody><a:bodyPr/><a:p><a:r>"
            f"<a:t>{title}</a:t></a:r></a:p></p:txBody></p:sp></p:spTree></p:cSld></p:sld>",
        }
    )


def epub(heading: str, paragraph: str) -> bytes:
    """A book of one chapter."""
    return packed(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<?xml version="1.0"?><container version="1.0" '
            'xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile '
            'full-path="c.opf" media-type="application/oebps-package+xml"/></rootfiles>'
            "</container>",
            "c.opf": '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" '
            'version="3.0" unique-identifier="i"><metadata '
            'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>T</dc:title>'
            '<dc:identifier id="i">1</dc:identifier></metadata><manifest><item id="a" '
            'href="a.xhtml" media-type="application/xhtml+xml"/></manifest><spine>'
            '<itemref idref="a"/></spine></package>',
            "a.xhtml": f'<html xmlns="http://www.w3.org/1999/xhtml"><body><h1>{heading}</h1>'
            f"<p>{paragraph}</p></body></html>",
        }
    )


def picture(text: str, kind: str = "PNG") -> bytes:
    """Black letters on white, as PNG, JPEG, TIFF or a PDF page without text."""
    image = Image.new("L", (1200, 300), 255)
    font = ImageFont.load_default(size=48)
    ImageDraw.Draw(image).text((40, 80), text, fill=0, font=font)
    buffer = BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def letter(subject: str, text: str, attachments: dict[str, bytes]) -> bytes:
    """An e-mail message."""
    message = EmailMessage()
    message["Subject"], message["From"] = subject, "ada@example.org"
    message.set_content(text)
    for name, content in attachments.items():
        message.add_attachment(
            content, maintype="application", subtype="octet-stream", filename=name
        )
    return message.as_bytes()


_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def _office(main: str, part: str, relation: str, kind: str) -> dict[str, str | bytes]:
    """What stands around a workbook's sheet or a presentation's slide."""
    folder, _, name = main.partition("/")
    link = f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" '
    content = "application/vnd.openxmlformats-officedocument"
    inner = "spreadsheetml.worksheet" if folder == "xl" else "presentationml.slide"
    outer = f"{kind}.main" if folder == "xl" else f"{kind}.presentation.main"
    return {
        "[Content_Types].xml": f'{_XML}<Types xmlns="{_PACKAGE}/content-types"><Default '
        'Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Default Extension="xml" ContentType="application/xml"/><Override PartName="/{main}" '
        f'ContentType="{content}.{outer}+xml"/><Override PartName="/{part}" '
        f'ContentType="{content}.{inner}+xml"/></Types>',
        "_rels/.rels": f'{_XML}{link}Type="{_RELATIONS}/officeDocument" Target="{main}"/>'
        "</Relationships>",
        f"{folder}/_rels/{name}.rels": f'{_XML}{link}Type="{_RELATIONS}/{relation}" '
        f'Target="{part.partition("/")[2]}"/></Relationships>',
    }


def _open_document(kind: str, body: str) -> bytes:
    names = "urn:oasis:names:tc:opendocument:xmlns"
    return packed(
        {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}",
            "content.xml": f'<?xml version="1.0" encoding="UTF-8"?><office:document-content '
            f'xmlns:office="{names}:office:1.0" xmlns:text="{names}:text:1.0" '
            f'xmlns:table="{names}:table:1.0" office:version="1.2"><office:body><office:{kind}>'
            f"{body}</office:{kind}></office:body></office:document-content>",
            "META-INF/manifest.xml": f'<manifest:manifest xmlns:manifest="{names}:manifest:1.0"/>',
        }
    )
