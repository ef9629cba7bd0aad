"""Two hundred varied messages as real mail has them, each with the verdict that it must get."""
import base64
import email.header
import email.message
import io
import random
import zipfile
import zlib

from stack import EICAR

WORDS = "invoice meeting report notes re: fwd: offer 請求書 会議 報告 Grüße déjà vu Привет".split()
CHARSETS = ["us-ascii", "utf-8", "iso-8859-1", "iso-2022-jp", "shift_jis", "euc-jp"]
TEXTS = {"us-ascii": "Plain text.", "utf-8": "日本語と Grüße und Привет.",
         "iso-8859-1": "Grüße, déjà vu.", "iso-2022-jp": "お世話になっております。",
         "shift_jis": "請求書を添付します。", "euc-jp": "会議の件です。"}


def zipped(name, data):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return out.getvalue()


def lines(text):
    return text.replace("\n", "\r\n").encode()


def subject_line(chance, mark):
    words = " ".join(chance.choice(WORDS) for _ in range(chance.randint(1, 8)))
    charset = chance.choice(["utf-8", "iso-2022-jp"])
    try:
        words.encode(charset)
    except UnicodeEncodeError:
        charset = "utf-8"
    return email.header.Header(f"{mark} {words}", charset, header_name="Subject").encode()


def head(chance, mark):
    return (f"From: =?utf-8?B?{base64.b64encode('田中'.encode()).decode()}?= <t@client.test>\n"
            f"To: b@example.test\nSubject: {subject_line(chance, mark)}\n"
            f"Message-ID: <{mark}@client.test>\nMIME-Version: 1.0\n")


def plain(chance, mark):
    charset = chance.choice(CHARSETS)
    body = (TEXTS[charset] + "\r\n").encode(charset) * chance.randint(1, 60)
    encoding = "7bit" if charset in ("us-ascii", "iso-2022-jp") else "8bit"
    return lines(head(chance, mark) + f"Content-Type: text/plain; charset={charset}\n"
                 f"Content-Transfer-Encoding: {encoding}\n\n") + body


def with_parts(chance, mark, attachments, boundary="=_b1"):
    out = lines(head(chance, mark) + f'Content-Type: multipart/mixed; boundary="{boundary}"\n\n'
                f"--{boundary}\nContent-Type: text/plain; charset=utf-8\n\nSee below.\n")
    for name, data in attachments:
        encoded = base64.encodebytes(data).decode()
        out += lines(f"--{boundary}\nContent-Type: application/octet-stream\n"
                     f'Content-Disposition: attachment; filename="{name}"\n'
                     f"Content-Transfer-Encoding: base64\n\n{encoded}")
    return out + lines(f"--{boundary}--\n")


def attachment(chance, mark):
    data = chance.randbytes(chance.randint(1, 40000))
    return with_parts(chance, mark, [("data.bin", data), ("data.zip", zipped("a.bin", data))])


def alternative(chance, mark):
    return lines(head(chance, mark) + "Content-Type: multipart/alternative; boundary=q\n\n--q\n"
                 "Content-Type: text/plain\n\nText\n--q\nContent-Type: text/html\n\n"
                 "<p>Text <b>bold</b></p>\n--q--\n")


def large(chance, mark):
    return with_parts(chance, mark, [("large.bin", chance.randbytes(1500000))])


def empty_body(chance, mark):
    return lines(head(chance, mark) + "\n")


def no_header(chance, mark):
    return lines(f"\nonly a body {mark}\n")


def open_boundary(chance, mark):
    return lines(head(chance, mark) + "Content-Type: multipart/mixed; boundary=never\n\n"
                 "--never\nContent-Type: text/plain\n\nit does not end\n")


def broken_header(chance, mark):
    return lines(f"Subject: {mark} =?utf-8?B?####?= =?x?Q?\nno colon here\n: no name\n"
                 "Content-Type: multipart/; boundary=\nContent-Transfer-Encoding: base65\n\n"
                 "....\n..\n.\n")


def deep(chance, mark, depth=10):
    text = head(chance, mark)
    for i in range(depth):
        text += f"Content-Type: multipart/mixed; boundary=d{i}\n\n--d{i}\n"
    return lines(text + "Content-Type: text/plain\n\nat last\n")


def too_deep(chance, mark):
    return deep(chance, mark, 40)


def message_in_message(chance, mark):
    return lines(head(chance, mark) + "Content-Type: message/rfc822\n\n") + plain(chance, "inner")


def virus_in_text(chance, mark):
    return lines(head(chance, mark) + f"\n{EICAR}\n")


def virus_attached(chance, mark):
    return with_parts(chance, mark, [("fine.txt", b"fine"), ("eicar.com", EICAR.encode())])


def virus_in_archive(chance, mark):
    inner = zipped("eicar.com", EICAR)
    return with_parts(chance, mark, [("outer.zip", zipped("inner.zip", inner))])


MAKERS = [(plain, "clean"), (attachment, "clean"), (alternative, "clean"), (empty_body, "clean"),
          (no_header, "clean"), (open_boundary, "clean"), (broken_header, "clean"),
          (deep, "clean"), (too_deep, "unscannable"), (message_in_message, "clean"), (virus_in_text, "virus"),
          (virus_attached, "virus"), (virus_in_archive, "virus"), (plain, "clean")]


def make(count=200, seed=20):
    """Yields (mark, verdict, content); the same ones for the same seed."""
    chance = random.Random(seed)
    for i in range(count):
        maker, verdict = (large, "clean") if i % 50 == 49 else MAKERS[i % len(MAKERS)]
        mark = f"m{i:04d}-{zlib.crc32(bytes([i % 256, seed])):08x}"
        yield mark, verdict, maker(chance, mark)
