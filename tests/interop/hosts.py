#!/usr/bin/env python3
"""Devices and relays as hosts of one network: real programs, real sockets, packets listened to on the wire.

usage: hosts.py TIES TIES_RELAY

Each host is a network namespace with one cable to a bridge, in a namespace that this script makes for itself: nothing of the
machine's own network is touched, and nothing is left. It needs Linux, unshare, nsenter and ip (of iproute2), and the right to make
network namespaces: root's, or that of anybody where user namespaces are allowed. Where these are missing it says so and ends well.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

TIES, RELAY = (pathlib.Path(word).resolve() for word in sys.argv[1:3])
INSIDE = "TIES_HOSTS_INSIDE"
PATIENCE = 60


def skip(why):
    print(f"!! SKIPPED: no hosts in network namespaces, because {why}")
    print("!! It needs Linux, the programs unshare, nsenter and ip, and leave to make network namespaces.")
    sys.exit(0)


def enter():
    """Starts this script anew in a network namespace of its own."""
    for program in ("unshare", "nsenter", "ip"):
        if not shutil.which(program):
            skip(f"the program {program} is not here")
    flags = ["--net"] if os.geteuid() == 0 else ["--user", "--map-root-user", "--net"]
    trial = "ip link add t0 type bridge && ip link add t1 type veth peer name t2 && unshare --net true"
    tried = subprocess.run(["unshare", *flags, "sh", "-c", trial], capture_output=True, text=True)
    if tried.returncode != 0:
        skip(tried.stderr.strip() or "this machine forbids them")
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", *flags, sys.executable, *sys.argv])


def run(*words):
    subprocess.run(words, check=True)


class Host:
    """A namespace with a cable to the bridge."""

    def __init__(self, number):
        self.cable, self.address = f"cable{number}", f"10.77.0.{number}"
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "3600"])
        EVERY.append(self.holder)
        deadline = time.monotonic() + PATIENCE
        own = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{self.holder.pid}/ns/net") == own:
            assert time.monotonic() < deadline, "no namespace was made"
            time.sleep(0.01)
        self.inside = ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net"]
        run("ip", "link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "netns", str(self.holder.pid))
        run("ip", "link", "set", self.cable, "master", "bridge0", "up")
        for words in (["addr", "add", f"{self.address}/24", "dev", "eth0"], ["link", "set", "lo", "up"],
                      ["link", "set", "eth0", "up"], ["route", "add", "default", "dev", "eth0"]):
            run(*self.inside, "ip", *words)

    def cut_off(self):
        run("ip", "link", "set", self.cable, "down")

    def back(self):
        run("ip", "link", "set", self.cable, "up")
        deadline = time.monotonic() + PATIENCE
        while "state forwarding" not in subprocess.run(
            ["bridge", "-d", "link", "show", "dev", self.cable], capture_output=True, text=True).stdout:
            if time.monotonic() > deadline or not shutil.which("bridge"):
                time.sleep(1)
                break
            time.sleep(0.05)


class Running:
    """A program that goes on while others are run."""

    def __init__(self, words, environment):
        self.process = subprocess.Popen(
            words, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines, self.more = [], threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()
        EVERY.append(self.process)

    def read(self):
        for line in self.process.stdout:
            with self.more:
                self.lines.append(line.rstrip("\n"))
                self.more.notify_all()

    def line(self, pattern):
        """The first line that holds this, once it is there."""
        deadline = time.monotonic() + PATIENCE
        with self.more:
            while True:
                for line in self.lines:
                    if found := re.search(pattern, line):
                        return found
                left = deadline - time.monotonic()
                assert left > 0, f"no {pattern!r} in {self.lines}"
                self.more.wait(min(left, 0.2))

    def end(self, code=0):
        got = self.process.wait(PATIENCE)
        assert got == code, f"{self.process.args} ended with {got}: {self.lines}"

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(PATIENCE)


class Device:
    """A data folder at a host."""

    def __init__(self, host, name):
        self.host, self.name = host, name
        folder = FOLDER / name
        (folder / "user").mkdir(parents=True)
        self.environment = {"HOME": str(folder / "user"), "TIES_HOME": str(folder / "data"), "PATH": os.environ["PATH"],
                            "TMPDIR": str(folder / "user")}

    def start(self, *words):
        return Running([*self.host.inside, str(TIES), *words], self.environment)

    def ties(self, *words, code=0, text=None):
        ran = subprocess.run([*self.host.inside, str(TIES), *words], env=self.environment, capture_output=True, text=True,
                             input=text or "", timeout=PATIENCE)
        said = ran.stdout + ran.stderr
        assert code is None or ran.returncode == code, f"{self.name}: ties {' '.join(words)}: {ran.returncode}\n{said}"
        return said

    def json(self, *words):
        return json.loads(subprocess.run([*self.host.inside, str(TIES), *words, "--json"], env=self.environment, check=True,
                                         capture_output=True, text=True, timeout=PATIENCE).stdout)

    def names(self):
        return {card["name"]["full"] for card in self.json("ls")}

    def generation(self):
        return self.json("key")["keys"]["generation"]

    def let_in(self, guest):
        """Pairs by three words, with nothing but the network."""
        hosting = self.start("device", "add", "--yes")
        code = hosting.line(r"^(\d+-[a-z]+-[a-z]+-[a-z]+)$").group(1)
        joined = guest.ties("device", "join", code, "--name", guest.name)
        assert "up to date" in joined, joined
        hosting.end()
        return code

    def finds(self, other):
        """A sync that finds the other one by multicast."""
        return self.hears(f"{other.name} (")

    def hears(self, what, *words):
        """A sync that says this; by multicast answers may be lost, or late on a busy machine."""
        for _ in range(8):
            said = self.ties("sync", *words, code=None)
            if what in said:
                return said
        raise AssertionError(f"{self.name} does not hear {what!r}: {said}")

    def listening(self):
        running = self.start("sync", "--listen")
        running.line("listening")
        return running


class Relay:
    def __init__(self, host, name):
        self.host, self.data = host, FOLDER / name

    def start(self):
        words = [*self.host.inside, str(RELAY), "--open", "--listen", f"{self.host.address}:7700", "--data", str(self.data)]
        self.running = Running(words, {"PATH": os.environ["PATH"], "RUST_LOG": "warn"})
        self.url = self.running.line(r"^ready (\S+)$").group(1)


class Wire:
    """Everything that passes the bridge, as each host sends it."""

    def __init__(self):
        # Every protocol, at every cable.
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 26)
        self.frames, self.lock = [], threading.Lock()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            frame, (cable, _, kind, *_) = self.socket.recvfrom(1 << 17)
            # What goes out of the bridge came in before.
            if cable.startswith("cable") and kind != socket.PACKET_OUTGOING:
                with self.lock:
                    self.frames.append(frame)

    def take(self):
        time.sleep(0.2)
        with self.lock:
            frames, self.frames = self.frames, []
        return frames


def payload(frame):
    """What a program said, of a frame: behind Ethernet, IP, and UDP or TCP."""
    kind = frame[12:14]
    if kind == b"\x08\x00":
        start, protocol = 14 + 4 * (frame[14] & 15), frame[23]
        end = 14 + int.from_bytes(frame[16:18], "big")
    elif kind == b"\x86\xdd":
        start, protocol, end = 54, frame[20], 54 + int.from_bytes(frame[18:20], "big")
    else:
        return b""
    if protocol == 17:
        return frame[start + 8:end]
    if protocol == 6:
        return frame[start + 4 * (frame[start + 12] >> 4):end]
    return b""


def marks(frames):
    """What looks random, as bytes or as digits, and so might name somebody: of 24 such bytes nearly always 21 differ."""
    found = set()
    for said in map(payload, frames):
        for at in range(len(said) - 15):
            part = said[at:at + 24]
            if len(part) == 24 and len(set(part)) >= 21:
                found.add(part)
            digits = said[at:at + 16]
            if len(set(digits)) >= 6 and all(digit in b"0123456789abcdef" for digit in digits):
                found.add(digits)
    return found


def step(text):
    print(f"   {time.monotonic() - BEGAN:5.1f} s  {text}", flush=True)


def drill():
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "bridge0", "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
    run("ip", "link", "set", "bridge0", "up")
    desk, sofa, train, one, two = (Host(number) for number in (2, 3, 4, 11, 12))
    wire = Wire()
    laptop, phone, tablet = (Device(host, name) for host, name in
                             ((desk, "Brackenlaptop"), (sofa, "Quillphone"), (train, "Thistletablet")))
    laptop.ties("init", "--name", laptop.name, "--no-recovery")
    laptop.ties("new", "Ada Featherstonehaugh")
    everyone = []

    step("pairing by three words with no relay, found by multicast")
    codes = [laptop.let_in(phone)]
    assert phone.names() == {"Ada Featherstonehaugh"}
    pairing = wire.take()

    step("sync with no relay, found by multicast; the same twice, and two others")
    runs = []
    for name in ("Grace Underhillbrook", "Mary Overhillbrook"):
        phone.ties("new", name)
        with_laptop = laptop.listening()
        phone.finds(laptop)
        with_laptop.stop()
        assert laptop.names() == phone.names() and name in laptop.names()
        runs.append(wire.take())
    others = [Device(desk, "Othera"), Device(sofa, "Otherbe")]
    others[0].ties("init", "--name", "Othera", "--no-recovery")
    others[0].let_in(others[1])
    with_other = others[0].listening()
    others[1].finds(others[0])
    with_other.stop()
    elsewhere = wire.take()
    everyone += pairing + runs[0] + runs[1] + elsewhere

    step("one host is cut off, and returns")
    sofa.cut_off()
    phone.ties("new", "Written Apartbrook")
    laptop.ties("new", "Written Meanwhilebrook")
    with_laptop = laptop.listening()
    assert "nobody to sync with" in phone.ties("sync", code=1)
    sofa.back()
    phone.finds(laptop)
    assert laptop.names() == phone.names() and len(phone.names()) == 5

    step("a link that is held breaks and is there again by itself")
    watching = phone.start("sync", "--watch")
    watching.line("connected")
    sofa.cut_off()
    laptop.ties("new", "Written Unheardbrook")
    time.sleep(1)
    sofa.back()
    deadline = time.monotonic() + PATIENCE
    while "Written Unheardbrook" not in phone.names():
        assert time.monotonic() < deadline, f"it is not there again: {watching.lines}"
        time.sleep(0.2)
    watching.stop()
    with_laptop.stop()

    step("a device that was paired meanwhile meets a third that has not heard of it")
    sofa.cut_off()
    codes.append(laptop.let_in(tablet))
    sofa.back()
    desk.cut_off()
    tablet.ties("new", "Brought Bytabletbrook")
    with_phone = phone.listening()
    met = tablet.finds(phone)
    assert "up to date" in met, met
    with_phone.stop()
    assert "Brought Bytabletbrook" in phone.names()
    assert len(phone.json("device", "list")["devices"]) == 3
    desk.back()

    step("a rotation reaches a device that was away")
    watch = Device(train, "Nettlewatch")
    codes.append(laptop.let_in(watch))
    sofa.cut_off()
    before = phone.generation()
    laptop.ties("device", "revoke", watch.name, "--yes")
    laptop.ties("new", "Sealed Afterwardsbrook")
    assert laptop.generation() > before
    sofa.back()
    # Who knows the newer key finds who knows the older one.
    with_phone = phone.listening()
    laptop.finds(phone)
    with_phone.stop()
    with_laptop = laptop.listening()
    watch.hears("shut out", "--peer", desk.address)
    with_laptop.stop()
    assert phone.generation() == laptop.generation() and "Sealed Afterwardsbrook" in phone.names()
    assert "Sealed Afterwardsbrook" not in watch.names()

    step("two relays, of which one dies")
    relays = [Relay(one, "relay-one"), Relay(two, "relay-two")]
    for relay in relays:
        relay.start()
        laptop.ties("relay", "add", relay.url)
    with_laptop = laptop.listening()
    phone.finds(laptop)
    with_laptop.stop()
    for device in (phone, laptop, phone):
        device.ties("sync", "--no-lan", code=None)
    assert "failed" not in phone.ties("sync", "--no-lan")
    one.cut_off()
    relays[0].running.stop(signal.SIGKILL)
    laptop.ties("new", "Bytheother Relaybrook")
    said = laptop.ties("sync", "--no-lan", code=1)
    assert "up to date" in said and "failed" in said, said
    phone.ties("sync", "--no-lan", code=1)
    assert "Bytheother Relaybrook" in phone.names()
    one.back()
    relays[0].start()
    laptop.ties("sync", "--no-lan")

    step("a relay is rolled back from a copy of its folder")
    relays[1].running.stop()
    shutil.copytree(relays[1].data, FOLDER / "copy")
    relays[1].start()
    laptop.ties("new", "Lostby Relaybrook")
    laptop.ties("sync", "--no-lan")
    relays[1].running.stop()
    shutil.rmtree(relays[1].data)
    shutil.copytree(FOLDER / "copy", relays[1].data)
    relays[1].start()
    said = laptop.ties("sync", "--no-lan", code=None)
    assert "has lost changes that it had confirmed" in said or "restored" in said, said
    one.cut_off()
    phone.ties("sync", "--no-lan", code=1)
    assert "Lostby Relaybrook" in phone.names()
    one.back()
    everyone += wire.take()

    step(f"{len(everyone)} packets hold no planted word, no device's id, and nothing that comes again")
    planted = [word.lower().encode() for name in laptop.names() | {laptop.name, phone.name, tablet.name, watch.name}
               for word in name.split() if len(word) >= 8]
    planted += [word.encode() for code in codes for word in code.split("-")[1:] if len(word) >= 7]
    ids = [bytes.fromhex(device["id"]) for device in laptop.json("device", "list")["devices"]]
    stream = b"\0\0".join(everyone)
    folded = stream.lower()
    found = [word for word in planted if word in folded]
    found += [id.hex() for id in ids if id in stream or id.hex().encode() in folded]
    assert not found, f"on the wire: {found}"
    assert len(planted) > 15 and any(payload(frame) for frame in everyone)
    first, second, protocol = marks(runs[0]), marks(runs[1]), marks(elsewhere)
    same = (first & second) - protocol
    assert not same, f"in both syncs, and not part of the protocol: {[part.hex() for part in list(same)[:5]]}"
    same = marks(pairing) & (first | second) - protocol
    assert not same, f"when they paired and when they synced: {[part.hex() for part in list(same)[:5]]}"


EVERY, BEGAN = [], time.monotonic()

if INSIDE not in os.environ:
    enter()
with tempfile.TemporaryDirectory() as folder:
    FOLDER = pathlib.Path(folder)
    try:
        drill()
    finally:
        for process in EVERY:
            if process.poll() is None:
                process.kill()
                process.wait()
print(f"   {time.monotonic() - BEGAN:5.1f} s  all is well")
