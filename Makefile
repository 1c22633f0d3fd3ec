# Everything runs in .venv, which is made on the first call and again when the dependencies change.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
JOBS ?= 2
TESTS ?= tests
SECONDS ?= 600
TESTSSL ?= https://github.com/testssl/testssl.sh
TESTSSL_COMMIT := 9fdf8028baba86d83218db294a5776384ec8c332
PREFIX ?= /usr/local
DESTDIR ?=

.DEFAULT_GOAL := help
.PHONY: install-files help demo chat test lint types trial coverage bench model interleavings siege hostile fuzz judge chaos powerloss man clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*##/\1:/p' $(MAKEFILE_LIST) | expand -t 16

$(VENV)/installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade pip
	$(PIP) install --quiet --editable .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(PIP) install --quiet --editable '.[test]'
	@$(PIP) install --quiet --editable '.[fuzz]' || echo 'atheris cannot be installed here: the decoders are not fuzzed, only the corpus is replayed'
	touch $@

$(VENV)/installed-powerloss: $(VENV)/installed-test
	$(PIP) install --quiet --editable '.[powerloss]'
	touch $@

$(VENV)/installed-benchmark: $(VENV)/installed
	$(PIP) install --quiet --editable '.[benchmark]'
	touch $@

demo: $(VENV)/installed  ## a real server and two real clients talk, one of them offline for a while
	@$(BIN)/python -m examples.demo

chat: $(VENV)/installed  ## the same, then the keyboard is yours against an echo bot
	@$(BIN)/python -m examples.demo --chat

test: lint types trial  ## all that CI runs: ruff, bandit, mypy, trial

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive e2ee twisted certs

types: $(VENV)/installed-test
	$(BIN)/mypy

trial: $(VENV)/installed-test
	$(BIN)/python -m twisted.trial --jobs $(JOBS) $(TESTS)

coverage: $(VENV)/installed-test  ## the tests with branch coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m twisted.trial --jobs $(JOBS) $(TESTS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

bench: $(VENV)/installed-benchmark  ## figures beside their yardsticks, as docs/performance.md shows them
	$(BIN)/python -m benchmarks

model: $(VENV)/installed-test  ## hybrid sessions in bad weather, 300,000 messages (half a minute or two)
	E2EE_MODEL_MESSAGES=300000 $(BIN)/python -m twisted.trial tests.crypto.test_hybrid_model

man: $(VENV)/installed  ## manual pages in build/man, for a directory of MANPATH
	@$(BIN)/python -m e2ee.ui.manual build/man/man1 e2ee=e2ee.ui.cli:e2ee e2ee-admin=e2ee.server.admin:main

# Where Debian's local administrator has such files; PREFIX=/usr for a package, DESTDIR for its tree.
install-files: man  ## units, configuration, manual pages, pages for operators, under PREFIX and DESTDIR
	install -d -m 755 $(addprefix $(DESTDIR),/etc/e2ee $(PREFIX)/lib/systemd/system $(PREFIX)/share/man/man1) \
	    $(addprefix $(DESTDIR)$(PREFIX)/share/,doc/e2ee/operations bash-completion/completions)
	install -m 644 docs/operations/systemd/* $(DESTDIR)$(PREFIX)/lib/systemd/system/
	test -e $(DESTDIR)/etc/e2ee/server.toml || install -m 644 docs/operations/server.toml $(DESTDIR)/etc/e2ee/
	install -m 644 build/man/man1/* $(DESTDIR)$(PREFIX)/share/man/man1/
	install -m 644 docs/*.md $(DESTDIR)$(PREFIX)/share/doc/e2ee/
	install -m 644 docs/operations/*.* $(DESTDIR)$(PREFIX)/share/doc/e2ee/operations/
	$(BIN)/e2ee completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/e2ee

interleavings: $(VENV)/installed-test  ## all orders of the larger cases of delivery (a minute)
	E2EE_INTERLEAVINGS=long $(BIN)/python -m twisted.trial tests.server.test_seat_interleavings

siege: $(VENV)/installed-test  ## floods of connections, handshakes and logins, and 200 clients that never read (some minutes)
	$(BIN)/python -m benchmarks.siege
	$(BIN)/python -m benchmarks.stalled

hostile: $(VENV)/installed-test  ## 100,000 mutated frames against a server in memory (some minutes)
	E2EE_MUTATED_FRAMES=100000 $(BIN)/python -m twisted.trial tests.server.test_hostile_input

fuzz: $(VENV)/installed-test  ## every decoder for 10 minutes (SECONDS=600); findings go into tests/fuzz/corpus
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) --keep

judge: $(VENV)/installed-test  ## the server's TLS as sslyze and testssl.sh see it, beside tests/judge/golden (a minute or two)
	test -x .judge/bin/sslyze || { $(PYTHON) -m venv .judge && .judge/bin/pip install --quiet 'sslyze == 6.3.1'; } \
		|| echo 'sslyze cannot be installed here'
	test -d .judge/testssl.sh || { git clone --quiet --filter=blob:none $(TESTSSL) .judge/testssl.sh \
		&& git -C .judge/testssl.sh checkout --quiet $(TESTSSL_COMMIT); } || echo 'testssl.sh cannot be cloned here'
	$(BIN)/python -m tests.judge

chaos: $(VENV)/installed-test  ## 20,000 messages, 1,000 broken connections, kills (docs/testing.md)
	E2EE_CHAOS_LONG=1 $(BIN)/python -m twisted.trial tests.chaos
	$(BIN)/python -m tests.chaos

powerloss: $(VENV)/installed-powerloss  ## the same with power cuts on a disk that forgets; needs FUSE
	E2EE_CHAOS_LONG=1 $(BIN)/python -m twisted.trial tests.chaos.test_power
	E2EE_CHAOS_POWER=1 $(BIN)/python -m tests.chaos

clean:  ## removes .venv and everything generated
	rm -rf $(VENV) .judge build dist *.egg-info _trial_temp* .mypy_cache .ruff_cache .hypothesis .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
