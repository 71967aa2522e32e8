"""Other programs read the cards that ties writes, and ties reads theirs.

vobject is the library under most address books written in Python; khard is a program that people use. What they find in
`ties export --to vcf` must be what `ties export --to json` says, and what they write must go in whole.

Run by `cargo xtask interop`: vcards.py TIES SAMPLE, where SAMPLE is the example of ties-book that invents people.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import vobject

# Names, mail and notes with everything that a format of lines, commas and semicolons can stumble over.
AWKWARD = [
    ("Ada", "Lovelace", "ada@engine.example", "+43 660 100001", "Plain and short."),
    ("Jean, Paul", "O'Brien; Jr.", "jean.paul@example.net", "+33 1 23 45 67 89", "Commas, semicolons; and \\ slashes."),
    ("Вера", "Преображенская", "vera@пример.example", "+7 495 555 0100", "Первая строка\nвторая строка\n\nчетвёртая"),
    ("山田", "太郎", "taro@example.jp", "+81 3 5555 0100", "長い" * 60),
    ("Zoë 🦊", "Ünlü-Çelik", "zoe+fox@example.org", "+90 212 555 01 00", "🦊" * 40 + " \\n is no line break"),
    ("=cmd()", "+formula", "a.b-c_d@example.com", "555-0100", "- a list\n- of *things*: https://a.example/?q=1,2;3"),
]


def main(ties, sample):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        os.environ.clear()
        os.environ.update(HOME=str(folder), PATH="/usr/bin:/bin", LC_ALL="C.UTF-8")
        ours_is_read(Ties(ties, folder / "ours"), sample, folder)
        vobjects_goes_in(Ties(ties, folder / "vobject"), folder)
        khards_goes_in(Ties(ties, folder / "khard"), folder)


class Ties:
    """One device."""

    def __init__(self, program, home):
        self.program, self.home = program, home
        self("init", "--no-recovery")

    def __call__(self, *words):
        ran = subprocess.run([self.program, "--home", self.home, *words], capture_output=True, check=False)
        if ran.returncode:
            sys.exit(f"ties {' '.join(map(str, words))}: exit code {ran.returncode}\n{ran.stderr.decode()}")
        return ran.stdout.decode()

    def take_in(self, text, file):
        """Imports cards, none of which may be rejected."""
        file.write_text(text, encoding="utf-8", newline="")
        report = json.loads(self("import", "--json", file))["files"][0]
        assert not report["rejects"] and not report["warnings"], report
        return report["people_created"]

    def people(self):
        """What is in it, by the JSON export."""
        return sorted(map(from_json, json.loads(self("export", "--to", "json"))), key=repr)


def from_json(card):
    """What a JSContact card says of what both formats have."""
    values = lambda name, key: sorted(item[key] for item in card.get(name, {}).values())
    units = lambda item: [item.get("name", ""), *(unit["name"] for unit in item.get("units", []))]
    birth = [item["date"] for item in card.get("anniversaries", {}).values() if item["kind"] == "birth"]
    return {
        "name": card["name"]["full"],
        "mails": values("emails", "address"),
        "phones": values("phones", "number"),
        "organizations": sorted(map(units, card.get("organizations", {}).values())),
        "titles": values("titles", "name"),
        "keywords": sorted(card.get("keywords", {})),
        "notes": values("notes", "note"),
        "birth": [[date.get(part) for part in ("year", "month", "day")] for date in birth],
    }


def from_vobject(card):
    """The same of a card as vobject read it."""
    values = lambda name: sorted(item.value for item in card.contents.get(name, []))
    return {
        "name": card.fn.value,
        "mails": values("email"),
        # In vCard 4.0 a number may be a URI.
        "phones": [number.removeprefix("tel:") for number in values("tel")],
        "organizations": values("org"),
        "titles": values("title"),
        "keywords": sorted(word for item in card.contents.get("categories", []) for word in item.value),
        "notes": values("note"),
        "birth": [date(item.value) for item in card.contents.get("bday", [])],
    }


def date(text):
    """Year, month and day of `YYYYMMDD`, `--MMDD` and the like (RFC 6350 section 4.3.1)."""
    text = text.replace("-", " ").replace("  ", "----") if text.startswith("--") else text.replace("-", "")
    number = lambda part: int(part) if part.isdigit() else None
    return [number(text[:4]), number(text[4:6]), number(text[6:8])]


def read(text):
    """All cards of a file, by vobject, sorted like `Ties.people`."""
    return sorted(map(from_vobject, vobject.readComponents(text)), key=repr)


def ours_is_read(ties, sample, folder):
    invented = subprocess.run([sample, "300", "2", "7"], capture_output=True, check=True).stdout.decode()
    ties.take_in(invented, folder / "sample.vcf")
    ties.take_in("".join(map(card_of, AWKWARD)), folder / "awkward.vcf")
    text = ties("export", "--to", "vcf")
    lines_are_well_formed(text)
    agree("vobject reads what ties exports", ties.people(), read(text))
    agree("ties reads its own export", ties.people(), reread(ties, text, folder))

    book = Khard(folder / "reader", "4.0")
    for number, card in enumerate(text.split("END:VCARD\r\n")[:-1]):
        (book.cards / f"{number}.vcf").write_text(card + "END:VCARD\r\n", encoding="utf-8", newline="")
    people = ties.people()
    for kind in ("mail", "phone"):
        ours = sorted(value for person in people for value in person[f"{kind}s"])
        theirs = sorted(line.split("\t")[0] for line in book(*book.LISTS[kind]).splitlines() if "\t" in line)
        agree(f"khard lists every {kind}", ours, theirs)


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


class Khard:
    """An address book of khard's."""

    LISTS = {
        "mail": ["email", "--parsable", "--remove-first-line"],
        "phone": ["phone", "--parsable"],
    }

    def __init__(self, folder, version):
        self.cards, self.settings = folder / "cards", folder / "khard.conf"
        self.cards.mkdir(parents=True)
        self.settings.write_text(
            f"[addressbooks]\n[[book]]\npath = {self.cards}\n[vcard]\npreferred_version = {version}\n"
        )

    def __call__(self, *words, text=None):
        command = [Path(sys.executable).parent / "khard", "-c", self.settings, *words]
        ran = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        if ran.returncode:
            sys.exit(f"khard {' '.join(words)}: exit code {ran.returncode}\n{ran.stdout}{ran.stderr}")
        return ran.stdout


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


def agree(what, left, right):
    """Ends the run with the first difference."""
    for one, other in zip(left, right):
        if one != other:
            sys.exit(f"not so: {what}\n{one}\n{other}")
    assert len(left) == len(right), f"not so: {what}: {len(left)} and {len(right)}"
    print(f"{what}: {len(left)}")


if __name__ == "__main__":
    main(*map(os.path.abspath, sys.argv[1:]))
