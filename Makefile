.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.PHONY: help run token stop logs deploy check audit lock test soak fuzz build wheels bench catalog environments checks clean

# PYTHON=/path/to/python names the interpreter to use, PORT=4567 the port of `run`; FOLLOW=1 is for `logs`.
# EXAMPLES is how many runs of the stateful test `soak` ends with, and how many requests an operation `fuzz` makes up.
# ARCHITECTURE is what `build` builds for: the template's default, unless said otherwise.
PYTHON ?=
PORT ?=
FOLLOW ?=
ARGS ?=
EXAMPLES ?=
ARCHITECTURE ?= arm64

find_python = python=$$(sh tools/find-python.sh "$(PYTHON)") || exit 1
layers = PYTHONPATH=layers/asyncjobs:layers/jobs
# Every shell has a USER; only one given to make is meant.
user = $(if $(filter command line,$(origin USER)),--user "$(USER)")
# The functions are built for the Python that is here: sam wants the same minor version on the PATH.
sam = PATH="$(CURDIR)/.venv-aws/bin:$$PATH" SAM_CLI_TELEMETRY=0 .venv/bin/sam
# One process for each machine: they take some 25 minutes.
stateful = .venv/bin/python -m pytest -q -s tests/proof/stateful/test_machine.py
audit = tests/deployed/security/test_supply_chain.py
download = .venv-aws/bin/python -m pip download -q --disable-pip-version-check --require-hashes --dest .local/wheels
runtime = $$(.venv-aws/bin/python -c 'import sys; print("python%d.%d" % sys.version_info[:2])')

help: ## What there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: catalog ## Start everything on this machine, run a real job, leave it running (PORT=4567)
	@.venv/bin/python -m local run $(if $(PORT),--port $(PORT))

token: environments ## Print a bearer token (USER=alice)
	@.venv/bin/python -m local token $(user)

logs: environments ## Show what the functions logged (FOLLOW=1)
	@.venv/bin/python -m local logs $(if $(FOLLOW),--follow)

stop: ## Stop what `make run` left running
	@$(find_python); "$$python" -m local.stop

test: check ## Check, then run every test (ARGS="-k cancel")
	@.venv/bin/python -m $(if $(ARGS),pytest,tests) --ignore=$(audit) $(ARGS)

check: checks audit ## Format, lint, types, words, imports, template, catalog, audit
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy --strict
	@.venv/bin/python -m tools.words
	@$(layers) .venv/bin/lint-imports
	@AWS_DEFAULT_REGION=us-east-1 $(sam) validate --lint
	@$(layers) .venv/bin/python -m asyncjobs.codegen --check

audit: checks ## Look for secrets, weak code, and what is known against the deployed packages
	@.venv/bin/python -m pytest -q -rs $(audit)

lock: checks ## Pin and hash what the layers' requirements.in ask for
	@for layer in layers/*/; do (cd $$layer && $(CURDIR)/.venv-checks/bin/uv pip compile -q requirements.in -o requirements.txt \
	  --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url --custom-compile-command "make lock") || exit 1; done

soak: environments ## Jobs under faults: what was lost, stuck, wrong or doubled (ARGS="--seconds 60 --seed 7" EXAMPLES=20000)
	@.venv/bin/python -m tests.proof.soak $(ARGS)
	@.venv/bin/python -m tests.proof.crash
	@export ASYNCJOBS_STATEFUL_EXAMPLES=$(or $(EXAMPLES),20000) ASYNCJOBS_STATEFUL_SEED=random; \
	  $(stateful) -k "not Features" & spine=$$!; $(stateful) -k Features; features=$$?; wait $$spine && exit $$features

fuzz: environments ## Ask the deployed API for all that its OpenAPI document allows, and more (EXAMPLES=10000 ARGS="--seed 7")
	@.venv/bin/python -m tests.deployed.openapi.fuzz --examples $(or $(EXAMPLES),10000) $(ARGS)

bench: environments ## Measure cold and warm calls against a bare handler, and polls against the fewest possible
	@.venv/bin/python -m bench.cold_start
	@.venv/bin/python -m bench.warm
	@$(layers) .venv/bin/python -m bench.polling

catalog: environments ## Write the list of job types and the OpenAPI document, from the jobs' decorators
	@$(layers) .venv/bin/python -m asyncjobs.codegen

build: catalog wheels ## Build the functions and layers for AWS (ARCHITECTURE=x86_64)
	@PIP_NO_INDEX=1 PIP_FIND_LINKS="$(CURDIR)/.local/wheels" $(sam) build \
	  --parameter-overrides PythonRuntime=$(runtime) Architecture=$(ARCHITECTURE)
	@.venv-aws/bin/python -m tools.precompile .aws-sam/build

# sam checks the hashes of what it fetches for this machine, and none of what it fetches for another: so it gets files
# that have been checked, and nothing else. What it looks at first is for this machine, whatever it builds for.
wheels: environments
	@rm -rf .local/wheels
	@for layer in layers/*/; do \
	  $(download) -r $${layer}requirements.txt && $(download) --only-binary :all: --no-deps --implementation cp \
	    $(foreach glibc,2_17 2_28 2_34,--platform manylinux_$(glibc)_$(ARCHITECTURE:arm64=aarch64)) \
	    --platform manylinux2014_$(ARCHITECTURE:arm64=aarch64) -r $${layer}requirements.txt || exit 1; done

deploy: build ## Deploy what is built to your AWS account (asks for the rest)
	@$(sam) deploy --guided --parameter-overrides PythonRuntime=$(runtime) Architecture=$(ARCHITECTURE)

checks: environments
	@$(find_python); "$$python" -m tools.environments --checks

environments: ## Make .venv and .venv-aws (PYTHON=/path/to/python)
	@$(find_python); "$$python" -m tools.environments

clean: stop ## Stop, and remove everything that make has made
	@rm -rf .venv .venv-aws .venv-checks .local .aws-sam .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
