"""Other programs read the cards that ties writes, and ties reads theirs.

vobject is the library under most address books written in Python; khard is a program that people use. What they find in
`ties export --to vcf` must be what `ties export --to json` says, and what they write must go in whole.

Run by `cargo xtask interop`: vcards.py TIES SAMPLE CORPUS, where SAMPLE is the example of ties-book that invents people and
CORPUS is a folder of cards from many programs.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import vobject
from programs import Khard, Ties, agree

# Names, mail and notes with everything that a format of lines, commas and semicolons can stumble over.
AWKWARD = [
    ("Ada", "Lovelace", "ada@engine.example", "+43 660 100001", "Plain and short."),
    ("Jean, Paul", "O'Brien; Jr.", "jean.paul@example.net", "+33 1 23 45 67 89", "Commas, semicolons; and \\ slashes."),
    ("Вера", "Преображенская", "vera@пример.example", "+7 495 555 0100", "Первая строка\nвторая строка\n\nчетвёртая"),
    ("山田", "太郎", "taro@example.jp", "+81 3 5555 0100", "長い" * 60),
    ("Zoë 🦊", "Ünlü-Çelik", "zoe+fox@example.org", "+90 212 555 01 00", "🦊" * 40 + " \\n is no line break"),
    ("=cmd()", "+formula", "a.b-c_d@example.com", "555-0100", "- a list\n- of *things*: https://a.example/?q=1,2;3"),
]


# The ways to export vCards.
VARIANTS = [
    ["vcf"],
    ["vcf3"],
    ["vcf3", "--for", "apple"],
    ["vcf3", "--for", "google"],
    ["vcf3", "--for", "outlook"],
]


def main(ties, sample, corpus):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        os.environ.clear()
        os.environ.update(HOME=str(folder), PATH="/usr/bin:/bin", LC_ALL="C.UTF-8")
        ours_is_read(Ties(ties, folder / "ours"), sample, folder)
        the_corpus_is_read(Ties(ties, folder / "corpus"), Path(corpus), folder)
        vobjects_goes_in(Ties(ties, folder / "vobject"), folder)
        khards_goes_in(Ties(ties, folder / "khard"), folder)


def from_vobject(card):
    """The same of a card as vobject read it."""
    values = lambda name: sorted(item.value for item in card.contents.get(name, []))
    return {
        "name": card.fn.value,
        "mails": values("email"),
        # In vCard 4.0 a number may be a URI.
        "phones": sorted(number.removeprefix("tel:") for number in values("tel")),
        "organizations": values("org"),
        "titles": values("title"),
        "keywords": sorted(word for item in card.contents.get("categories", []) for word in item.value),
        "notes": values("note"),
        "birth": [date(item.value) for item in card.contents.get("bday", [])],
    }


def date(text):
    """Year, month and day of `YYYYMMDD`, `--MMDD` and the like (RFC 6350 section 4.3.1)."""
    text = ("----" if text.startswith("--") else "") + text.replace("-", "")
    number = lambda part: int(part) if part.isdigit() and part != "1604" else None
    return [number(text[:4]), number(text[4:6]), number(text[6:8])]


def read(text):
    """All cards of a file, by vobject, sorted like `Ties.people`."""
    return sorted(map(from_vobject, vobject.readComponents(text)), key=repr)


def ours_is_read(ties, sample, folder):
    invented = subprocess.run([sample, "120", "2", "7"], capture_output=True, check=True).stdout.decode()
    ties.take_in(invented, folder / "sample.vcf")
    ties.take_in("".join(map(card_of, AWKWARD)), folder / "awkward.vcf")
    agree("ties reads its own export", ties.people(), reread(ties, ties("export", "--to", "vcf"), folder))
    every_variant_is_read(ties, folder / "invented")


def the_corpus_is_read(ties, corpus, folder):
    """Cards of many programs, some of them broken, as they come out of ties."""
    # One of them is no card: it begins with --BEGIN:VCARD.
    cards = sorted(path for path in corpus.glob("*.vcf") if path.read_bytes().lstrip(b"\xef\xbb\xbf \r\n")[:2] != b"--")
    reports = json.loads(ties("import", "--json", *cards, codes=(0, 6)))["files"]
    rejects = sum(len(report["rejects"]) for report in reports)
    print(f"cards of the corpus that are none: {rejects}")
    # What vobject makes of the rest is its own affair: it keeps apart what is written twice, for example.
    every_variant_is_read(ties, folder / "many", lambda person: {part: person[part] for part in ("name", "mails")})


def everything(person):
    return person


def every_variant_is_read(ties, folder, compared=everything):
    people = ties.people()
    for variant in VARIANTS:
        name = " ".join(variant)
        text = ties("export", "--to", *variant)
        lines_are_well_formed(text)
        whole = "--for" not in variant
        ours, theirs = ([compared(known(one, whole)) for one in people] for people in (people, read(text)))
        agree(f"vobject reads {name}", sorted(ours, key=repr), sorted(theirs, key=repr))

        book = Khard(folder / name.replace(" ", "-"), "4.0")
        ties("export", "--to", *variant, "--split", book.cards)
        assert len(list(book.cards.iterdir())) == len(people)
        if compared is not everything:
            agree(f"khard reads {name}", [len(people)], [len(book.table("name"))])
            continue
        lists = {kind: book.table(kind) for kind in book.LISTS}
        days = sorted(line[0] for line in lists["birthday"])
        agree(f"khard lists every birthday of {name}", birthdays(people, variant), days)
        for kind, field, value in (("mail", "emails", "address"), ("phone", "phones", "number")):
            theirs = sorted((one_line(line[0]), line[2]) for line in lists[kind])
            ours = sorted(one_line(value) for person in people for value in person[f"{kind}s"])
            agree(f"khard lists every {kind} of {name}", ours, [it for it, _ in theirs])
            ours = labels(ties, field, value)
            shown = [one for one in ours if any(one[0] == it and one[1] in label for it, label in theirs)]
            agree(f"khard shows the {kind} labels of {name}", ours, shown)


def known(person, whole):
    """What every variant holds: programs that read one note get all notes in one."""
    return person if whole else {**person, "notes": bool(person["notes"])}


def one_line(text):
    return " ".join(text.split())


def birthdays(people, variant):
    """The birthdays as khard lists them, which puts in a year where there is none."""
    no_year = 1604 if variant[-1] in ("apple", "outlook") else 1900
    dates = [date for person in people for date in person["birth"]]
    return sorted(f"{year or no_year:04}.{month:02}.{day:02}" for year, month, day in dates if month and day)


def labels(ties, field, value):
    """What has a label of its own here, and the label."""
    items = [item for card in ties.cards() for item in card.get(field, {}).values() if "label" in item]
    return sorted((one_line(item[value]), item["label"]) for item in items)


def reread(ties, text, folder):
    """What another device makes of an export."""
    other = Ties(ties.program, folder / "other")
    other.take_in(text, folder / "export.vcf")
    return other.people()


def lines_are_well_formed(text):
    """RFC 6350 section 3.2: lines end in CRLF, at most 75 octets before it, no character cut in two."""
    assert "\n" not in text.replace("\r\n", ""), "a line ends otherwise than in CRLF"
    long = [line for line in text.split("\r\n") if len(line.encode()) > 75]
    assert not long, f"lines longer than 75 octets: {long[:3]}"


def card_of(person):
    """A card written by vobject."""
    given, family, mail, phone, note = person
    card = vobject.vCard()
    card.add("n").value = vobject.vcard.Name(family=family, given=given)
    card.add("fn").value = f"{given} {family}"
    for kind, address in (("WORK", mail), ("HOME", f"private.{mail}")):
        email = card.add("email")
        email.value, email.type_param = address, ["INTERNET", kind]
    tel = card.add("tel")
    tel.value, tel.type_param = phone, ["CELL", "VOICE"]
    card.add("org").value = [f"{family} & Sons, Ltd; est. 1815", "Research"]
    card.add("title").value = "Engineer, chief"
    card.add("categories").value = ["friends", "vienna"]
    card.add("bday").value = "1985-04-12"
    card.add("note").value = note
    return card.serialize()


def vobjects_goes_in(ties, folder):
    text = "".join(map(card_of, AWKWARD))
    assert ties.take_in(text, folder / "vobject.vcf") == len(AWKWARD)
    agree("ties reads what vobject writes", read(text), ties.people())


def khards_goes_in(ties, folder):
    for version in ("3.0", "4.0"):
        book = Khard(folder / f"writer-{version}", version)
        for given, family, mail, phone, note in AWKWARD:
            person = {
                "First name": f"{given} {version}",
                "Last name": family,
                "Organisation": [[f"{family} & Sons, Ltd", "Research"]],
                "Title": "Engineer",
                "Phone": {"cell": phone},
                "Email": {"work": mail, "Atelier": f"private.{mail}"},
                "Categories": ["friends"],
                "Note": note,
            }
            # JSON is YAML.
            book("new", "-a", "book", "-i", "-", text=json.dumps(person, ensure_ascii=False))
        text = "".join(card.read_text(encoding="utf-8") for card in sorted(book.cards.iterdir()))
        before = len(ties.people())
        assert ties.take_in(text, folder / f"khard-{version}.vcf") == len(AWKWARD)
        mine = [person for person in ties.people() if version in person["name"]]
        assert len(mine) == len(ties.people()) - before == len(AWKWARD)
        agree(f"ties reads what khard writes in {version}", read(text), mine)


if __name__ == "__main__":
    main(*map(os.path.abspath, sys.argv[1:]))
