.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.PHONY: help run token stop logs deploy check test build bench catalogue environments clean

# PYTHON=/path/to/python names the interpreter to use, PORT=4567 the port of `run`; FOLLOW=1 is for `logs`.
PYTHON ?=
PORT ?=
FOLLOW ?=
ARGS ?=

find_python = python=$$(sh local/find-python.sh "$(PYTHON)") || exit 1
layers = PYTHONPATH=layers/asyncjobs:layers/jobs
# Every shell has a USER; only one given to make is meant.
user = $(if $(filter command line,$(origin USER)),--user "$(USER)")
# The functions are built for the Python that is here: sam wants the same minor version on the PATH.
sam = PATH="$(CURDIR)/.venv-aws/bin:$$PATH" SAM_CLI_TELEMETRY=0 .venv/bin/sam
runtime = $$(.venv-aws/bin/python -c 'import sys; print("python%d.%d" % sys.version_info[:2])')

help: ## What there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: catalogue ## Start everything on this machine, run a real job, leave it running (PORT=4567)
	@.venv/bin/python -m local run $(if $(PORT),--port $(PORT))

token: environments ## Print a bearer token (USER=alice)
	@.venv/bin/python -m local token $(user)

logs: environments ## Show what the functions logged (FOLLOW=1)
	@.venv/bin/python -m local logs $(if $(FOLLOW),--follow)

stop: ## Stop what `make run` left running
	@$(find_python); "$$python" -m local.stop

test: check ## Check, then run every test (ARGS="-k cancel")
	@.venv/bin/python -m pytest $(ARGS)

check: environments ## Format, lint, types, import rows, template, catalogue
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy --strict
	@$(layers) .venv/bin/lint-imports
	@AWS_DEFAULT_REGION=us-east-1 $(sam) validate --lint
	@$(layers) .venv/bin/python -m asyncjobs.catalogue --check

bench: environments ## Measure cold starts against a bare handler
	@.venv/bin/python -m bench.cold_start

catalogue: environments ## List the job types for the submit function, from the jobs' decorators
	@$(layers) .venv/bin/python -m asyncjobs.catalogue

build: catalogue ## Build the functions and layers for AWS
	@$(sam) build --parameter-overrides PythonRuntime=$(runtime)
	@.venv-aws/bin/python -m local.precompile .aws-sam/build

deploy: build ## Deploy to your AWS account (asks for what it needs)
	@echo "When asked for PythonRuntime, answer $(runtime): it is what has been built."
	@$(sam) deploy --guided

environments: ## Make .venv and .venv-aws (PYTHON=/path/to/python)
	@$(find_python); "$$python" -m local.environments

clean: stop ## Stop, and remove everything that make has made
	@rm -rf .venv .venv-aws .local .aws-sam .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
