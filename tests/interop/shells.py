#!/usr/bin/env python3
"""Completion in real shells: types at a terminal, presses Tab, looks at what the command then gets.

usage: shells.py TIES    where TIES is the binary; needs nothing but the shells
"""

import os
import pathlib
import pty
import select
import shutil
import subprocess
import sys
import tempfile
import time

TIES = pathlib.Path(sys.argv[1]).resolve()

# A function of the name stands in for the command, so that a line can be run and shows what it was completed to.
START = {
    "bash": (
        ["bash", "--noprofile", "--rcfile", "START", "-i"],
        "bind 'set enable-bracketed-paste off'; bind 'set bell-style none'; bind 'set page-completions off'\n"
        "source <(command ties completions bash)\nties() { printf '<%s>' \"$@\"; echo END; }; PS1='READY> '\n",
    ),
    "zsh": (
        ["zsh", "-d", "-i"],
        "unsetopt zle_bracketed_paste; zstyle ':completion:*' list-prompt ''; LISTMAX=1000\n"
        "autoload -Uz compinit && compinit -u -D\nsource <(command ties completions zsh)\n"
        "ties() { printf '<%s>' \"$@\"; echo END; }; PS1='READY> '\n",
    ),
    "fish": (
        ["fish", "--no-config", "--private", "--init-command", "source START", "-i"],
        "command ties completions fish | source\n"
        "function ties; printf '<%s>' $argv; echo END; end\nfunction fish_prompt; printf 'READY> '; end\n",
    ),
}

# What is typed, and what the command gets. \t is Tab.
LINES = [
    ("ties sy\t", "<sync>"),
    ("ties show gr\t", "<show><grace>"),
    ("ties note @gr\t hello", "<note><@grace><hello>"),
    ("ties sh gr\t", "<sh><grace>"),
    ("ties --json edit evi\t", "<--json><edit><evil>"),
    ("ties ls +comp\t", "<ls><+compilers>"),
    ("ties sync --wa\t", "<sync><--watch>"),
    ("ties --home NOWHERE show gr\t", "<--home><NOWHERE><show><gr>"),
    ("ties import conta\t", "<import><contacts.vcf>"),
    ("ties note grace conta\t", "<note><grace><conta>"),
    ("ties frobnicate gr\t", "<frobnicate><gr>"),
]


class Shell:
    """An interactive shell on a terminal of its own."""

    def __init__(self, name, environment, folder):
        words, start = START[name]
        self.name = name
        # zsh looks for this name in ZDOTDIR; the others are told.
        rc = pathlib.Path(folder) / ".zshrc"
        rc.write_text(start)
        words = [word.replace("START", str(rc)) for word in words]
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe(words[0], words, environment)
        self.seen = ""
        self.until("READY> ", 30)
        self.quiet()

    def read(self, wait):
        if select.select([self.terminal], [], [], wait)[0]:
            try:
                self.seen += os.read(self.terminal, 65536).decode(errors="replace")
                return True
            except OSError:
                return False
        return False

    def until(self, text, patience):
        ends = time.monotonic() + patience
        while text not in self.seen:
            if time.monotonic() > ends:
                raise SystemExit(f"{self.name}: no {text!r} in {self.seen!r}")
            self.read(0.1)

    def quiet(self, pause=0.4):
        while self.read(pause):
            pass

    def type(self, text):
        """Types as people do: a shell that works at a Tab may drop what comes meanwhile."""
        for part in text.replace("\t", "\0\t\0").split("\0"):
            os.write(self.terminal, part.encode())
            self.quiet(0.6 if part == "\t" else 0.05)

    def line(self, text):
        self.seen = ""
        self.type(text)
        os.write(self.terminal, b"\r")
        self.until("END", 20)
        answer = self.seen[: self.seen.rindex("END")]
        self.quiet()
        return answer

    def end(self):
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


def files(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def check(name, folder, home, environment):
    before = files(home)
    shell = Shell(name, environment, folder)
    for typed, wanted in LINES:
        got = shell.line(typed)
        if wanted not in got:
            raise SystemExit(f"{name}: {typed!r} gave {got!r}, not {wanted}")
    # Several fit: they are shown.
    shell.seen = ""
    shell.type("ties show ad\t\t\t")
    for wanted in ["ada", "adam"]:
        if wanted not in shell.seen:
            raise SystemExit(f"{name}: no {wanted} among {shell.seen!r}")
    shell.type("\x15")
    shell.end()
    if files(home) != before:
        raise SystemExit(f"{name}: a Tab has written to {home}")
    for trace in ["NOWHERE", "pwned"]:
        if (folder / trace).exists():
            raise SystemExit(f"{name}: a Tab has made {trace}")
    print(f"{name}: {len(LINES) + 1} lines completed")


def locked(name, folder, home, environment):
    """Without the key nothing is told, and nobody is asked."""
    key = home / "key"
    hidden = home / "key.away"
    key.rename(hidden)
    shell = Shell(name, environment, folder)
    got = shell.line("ties show gr\t")
    shell.end()
    hidden.rename(key)
    if "<show><gr>" not in got:
        raise SystemExit(f"{name}: a locked book told {got!r}")


def main():
    present = [name for name in START if shutil.which(name)]
    for name in START:
        if name not in present:
            print(f"!! SKIPPED: completion in {name}, which is not installed")
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        home = folder / "home"
        (folder / "bin").mkdir()
        (folder / "bin" / "ties").symlink_to(TIES)
        (folder / "contacts.vcf").write_text("")
        environment = dict(os.environ, TIES_HOME=str(home), HOME=scratch, ZDOTDIR=scratch, TERM="xterm", LC_ALL="C.UTF-8")
        environment["PATH"] = f"{folder / 'bin'}:{environment['PATH']}"

        def ties(*words):
            subprocess.run(["ties", *words], check=True, env=environment, stdout=subprocess.DEVNULL)

        ties("init", "--name", "laptop", "--no-recovery")
        ties("new", "Grace Hopper", "+compilers")
        ties("new", "Ada Lovelace")
        ties("new", "Adam: the first")
        ties("new", "Evil $(touch pwned) `touch pwned` \x1b]0;x\x07 'quote\" name")
        for name in present:
            check(name, folder, home, environment)
            locked(name, folder, home, environment)


main()
