"""The programs that take part, as Python calls them, and how their answers are compared."""

import json
import subprocess
import sys
from pathlib import Path


class Ties:
    """One device."""

    def __init__(self, program, home):
        self.program, self.home = program, home
        self("init", "--no-recovery")

    def __call__(self, *words, codes=(0,)):
        ran = subprocess.run([self.program, "--home", self.home, *words], capture_output=True, check=False)
        if ran.returncode not in codes:
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
        return sorted(map(from_json, self.cards()), key=repr)

    def cards(self):
        """The JSContact cards."""
        return json.loads(self("export", "--to", "json"))


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


class Khard:
    """An address book of khard's."""

    LISTS = {
        "mail": ["email", "--parsable", "--remove-first-line"],
        "phone": ["phone", "--parsable"],
        "birthday": ["birthdays", "--parsable"],
        "name": ["list", "--parsable"],
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

    def table(self, kind):
        """The lines of a list, in columns."""
        return [line.split("\t") for line in self(*self.LISTS[kind]).splitlines() if "\t" in line]


def agree(what, left, right):
    """Ends the run with the first difference."""
    for one, other in zip(left, right):
        if one != other:
            sys.exit(f"not so: {what}\n{one}\n{other}")
    assert len(left) == len(right), f"not so: {what}: {len(left)} and {len(right)}"
    print(f"{what}: {len(left)}")
