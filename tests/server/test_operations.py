"""The files that operators copy: configuration, units, image. Each holds what the server really takes."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from e2ee.server import tap
from e2ee.server.configuration import DEFAULTS, LISTS, SINGLE, configure
from e2ee.server.policy import LIMIT_NAMES, Policy

ROOT = Path(__file__).parents[2]
OPERATIONS = ROOT / "docs" / "operations"
UNITS = OPERATIONS / "systemd"
EXPOSURE = 15
"""In tenths: what `systemd-analyze security` may find at most, of 100."""


class ExampleTests(SynchronousTestCase):
    """`server.toml` has every option and every limit, each as it is without the file."""

    def setUp(self) -> None:
        self.text = (OPERATIONS / "server.toml").read_text("utf-8")
        self.uncommented = re.sub(r"(?m)^#(?=[a-z_]+ = )", "", self.text)

    def configured(self, text: str) -> object:
        path = Path(self.mktemp())
        path.write_text(text, "utf-8")
        return configure({"config": str(path)}, {})

    def test_as_it_is_it_changes_nothing(self) -> None:
        self.assertEqual(self.configured(self.text), configure({}, {}))

    def test_every_option_is_in_it_and_those_with_a_default_have_it(self) -> None:
        shown = tomllib.loads(self.uncommented)
        limits = shown.pop("limits")
        self.assertEqual(set(shown), set(SINGLE) | set(LISTS))
        for name, default in DEFAULTS.items():
            self.assertEqual(shown[name], list(default) if name in LISTS else default, name)
        self.assertEqual(set(limits), set(LIMIT_NAMES))
        for name, value in limits.items():
            default = getattr(Policy(), name)
            self.assertEqual((value, type(value)), (default, type(default)), name)

    def test_with_everything_in_force_it_is_a_configuration(self) -> None:
        self.configured(self.uncommented)

    def test_what_only_a_start_changes_is_marked(self) -> None:
        from e2ee.server.identity import ONLY_AT_START

        marked = set(re.findall(r"\[start\]\n(?:#[^\n]* [^\n]*\n)*?#([a-z_]+) = ", self.text))
        self.assertEqual(marked, set(ONLY_AT_START))


class UnitTests(SynchronousTestCase):
    """The systemd units, as far as they can be looked at without being run."""

    def unit(self, name: str) -> list[tuple[str, str]]:
        lines = (UNITS / name).read_text("utf-8").splitlines()
        pairs = [line.partition("=") for line in lines if line and line[0] not in "#["]
        return [(key, value) for key, _, value in pairs]

    def test_the_server_takes_the_options_of_its_unit(self) -> None:
        unit = dict(self.unit("e2ee-server.service"))
        words = shlex.split(unit["ExecStart"])
        self.assertEqual(words[1:4], ["-n", "--pidfile=", "e2ee-server"])
        options = tap.Options()
        options.parseOptions(words[4:])
        path = Path(self.mktemp())
        shutil.copy(OPERATIONS / "server.toml", path)
        made = configure({**options.given(), "config": str(path)}, {"E2EE_STATE_DIR": "/var/lib/e2ee"})
        self.assertEqual(made.listen, "systemd:domain=INET6:index=0")
        self.assertEqual(options["config"], "/etc/e2ee/server.toml")
        self.assertEqual(unit["Environment"], "E2EE_STATE_DIR=%S/e2ee")
        self.assertEqual((unit["StateDirectory"], made.state_dir), ("e2ee", Path("/var/lib/e2ee")))

    def test_the_port_of_the_socket_is_the_default_one(self) -> None:
        listens = [value for key, value in self.unit("e2ee-server.socket") if key == "ListenStream"]
        self.assertEqual(listens, ["[::]:" + str(DEFAULTS["listen"]).partition(":")[2]])

    def test_the_backup_is_a_verb_of_the_administration(self) -> None:
        command = dict(self.unit("e2ee-backup.service"))["ExecStart"].replace("%%", "%")
        self.assertRegex(command, r"e2ee-admin --state-dir %S/e2ee backup ")
        script = shlex.split(command)[-1]
        self.assertEqual(subprocess.run(["sh", "-n", "-c", script], check=False).returncode, 0)

    def test_no_writable_and_executable_memory_is_forbidden_where_tls_needs_it(self) -> None:
        """pyOpenSSL makes its callbacks at run time: with the option no connection comes about."""
        self.assertNotIn("MemoryDenyWriteExecute", dict(self.unit("e2ee-server.service")))
        self.assertIn("MemoryDenyWriteExecute", dict(self.unit("e2ee-backup.service")))

    def test_systemd_finds_nothing_wrong(self) -> None:
        folder = self.here()
        done = self.analyze("verify", "--man=no", *(str(path) for path in sorted(folder.iterdir())))
        ours = [line for line in done.stderr.splitlines() if "e2ee" in line]
        self.assertEqual(ours, [])

    def test_systemd_finds_the_server_shut_in(self) -> None:
        unit = str(self.here() / "e2ee-server.service")
        done = self.analyze("security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE}", unit)
        if "nrecognized option" in done.stderr:
            self.skipTest("this systemd-analyze cannot look at a unit that is not loaded")
        self.assertEqual(done.returncode, 0, done.stdout[-2000:] + done.stderr)

    def here(self) -> Path:
        """The units with the programs of this installation, which systemd wants to see."""
        folder = Path(self.mktemp()).absolute()
        shutil.copytree(UNITS, folder)
        for path in folder.iterdir():
            text = path.read_text("utf-8")
            path.write_text(text.replace("/opt/e2ee/bin", str(Path(sys.executable).parent)), "utf-8")
        return folder

    def analyze(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        program = shutil.which("systemd-analyze")
        if program is None:
            self.skipTest("systemd-analyze is not installed")
        return subprocess.run(
            [program, *arguments], capture_output=True, text=True, timeout=60, check=False
        )


class ImageTests(SynchronousTestCase):
    """The Containerfile; building it takes an engine and a network."""

    def setUp(self) -> None:
        self.lines = (OPERATIONS / "Containerfile").read_text("utf-8").splitlines()

    def of(self, instruction: str) -> list[str]:
        return [line.partition(" ")[2] for line in self.lines if line.startswith(instruction + " ")]

    def test_what_it_copies_is_there(self) -> None:
        copied = [line.split()[:-1] for line in self.of("COPY") if not line.startswith("--from")]
        names = [name for line in copied for name in line]
        self.assertIn("e2ee", names)
        for name in names:
            self.assertTrue((ROOT / name).exists(), name)

    def test_it_runs_the_server_as_somebody_who_is_not_root(self) -> None:
        [entry], [user] = self.of("ENTRYPOINT"), self.of("USER")
        self.assertEqual(json.loads(entry), ["twistd", "-n", "--pidfile=", "e2ee-server"])
        self.assertRegex(user, r"\A[1-9][0-9]+:[1-9][0-9]+\Z")
        self.assertIn("8443", self.of("EXPOSE"))
        self.assertIn("/var/lib/e2ee", self.of("VOLUME"))


class PageTests(SynchronousTestCase):
    """What somebody follows at night leads somewhere."""

    def test_every_link_between_the_pages_holds(self) -> None:
        links = [
            (page, target)
            for page in OPERATIONS.glob("*.md")
            for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
            if "://" not in target
        ]
        self.assertGreater(len(links), 40)
        for page, target in links:
            self.assertTrue((page.parent / target).exists(), f"{page.name}: {target}")

    def test_what_a_start_says_is_quoted_as_it_is_said(self) -> None:
        section = (OPERATIONS / "alarms.md").read_text("utf-8").partition("## It does not start")[2]
        rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| *")]
        self.assertGreater(len(rows), 12)
        sources = [path.read_text("utf-8") for path in (ROOT / "e2ee").rglob("*.py")]
        said = " ".join(re.sub(r'[{][^}]*[}]|"\s*f?"', "\0", " ".join(source.split())) for source in sources)
        for quoted in re.findall(r"\*([^*]+)\*", " ".join(rows)):
            self.assertIn(quoted.replace("64", "\0"), said)

    def test_the_index_names_every_page_and_file(self) -> None:
        index = (OPERATIONS / "README.md").read_text("utf-8")
        names = {path.name for path in OPERATIONS.iterdir()} - {"README.md"}
        self.assertGreater(len(names), 12)
        for name in names:
            self.assertIn(name, index)
