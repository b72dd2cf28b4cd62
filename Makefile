.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Images of Python set it. The commands start hundreds of processes, and each would compile the same modules again.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help run example token console env invoke stop logs known-parameters deploy adopt check mypy-examples audit packages lock test soak fuzz build bench catalog released environments tests checks clean

# PYTHON=/path/to/python names the interpreter to use, PORT=4567 the port of `run`; FOLLOW=1 is for `logs`.
# UV=/path/to/uv names the uv that installs packages; an empty UV= has pip install them.
# EXAMPLES are for `run` the names of examples to add, or `all`. For `soak` it is the number of runs of the stateful test at its
# end, and for `fuzz` the number of requests per operation. NAME is the example that `example` copies.
# PARAMETERS are those of the template that `deploy` changes: all others keep the stack's values.
# ARCHITECTURE is the processor that `build` builds for: by default the template's.
PYTHON ?=
PORT ?=
FOLLOW ?=
ARGS ?=
STACK ?=
REGION ?=
PARAMETERS ?=
TABLE ?=
BUCKET ?=
POOL ?=
TOKEN ?=
GROUP ?=
EXAMPLES ?=
NAME ?=
ARCHITECTURE ?= arm64

find_python = python=$$(sh tools/find-python.sh "$(PYTHON)") || exit 1
make_environments = $(find_python); "$$python" -m tools.environments
layers = PYTHONPATH=layers/asyncjobs:layers/jobs
# Each example is on the import path, so that its modules are in the package `jobs`, as they are once it is copied.
examples_path = $(subst $() ,:,$(dir $(wildcard examples/*/README.md)))
# Documents with tables that follow from the code, and the folder of a sample event for each route.
documents = docs/http-api.md events
# The catalog of the last release, whose jobs may still wait.
released = layers/released.json
# Every shell has a USER; only one given to make counts.
user = $(if $(filter command line,$(origin USER)),--user "$(USER)")
# The functions are built for the Python that runs here: sam requires the same minor version on the PATH.
sam = PATH="$(CURDIR)/.venv-lambda/bin:$$PATH" SAM_CLI_TELEMETRY=0 .venv/bin/sam
build_layer = env 'PYTHONPATH=$(CURDIR)' '$(CURDIR)/.venv-lambda/bin/python' -m tools.layer --architecture $(ARCHITECTURE)
compile = $${UV:-.venv-uv/bin/uv} pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate \
  --no-emit-index-url --custom-compile-command "make lock"
# One process for each machine of the jobs: they take about 25 minutes.
stateful = .venv/bin/python -m pytest -q -s tests/proof/stateful/test_machine.py
stream = .venv/bin/python -m pytest -q -s tests/proof/stateful/test_stream.py -k misses_an_end
audit = tests/deployed/security/test_supply_chain.py
# The clients as users install them.
packages = tests/clients/packages
npm_packages = clients/js/node_modules/.package-lock.json
# Node.js for the tests where the system's is older than 20, as Debian 12's is: a package of npm, with its hash.
newer_node = .local/node/node_modules/.package-lock.json
# An empty value needs quotes that reach sam.
parameters = $(foreach each,$(patsubst %=,%="",$(PARAMETERS)),'$(each)')
runtime = $$(.venv-lambda/bin/python -c 'import sys; print("python%d.%d" % sys.version_info[:2])')

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: catalog ## Start everything on this machine, run a job, leave the stack running (PORT=4567 EXAMPLES=all)
	@.venv/bin/python -m local run $(if $(PORT),--port $(PORT)) $(if $(EXAMPLES),--examples "$(EXAMPLES)")

example: environments ## Copy one of examples/ into the jobs layer, as a start of your own job (NAME=mysql-import)
	@.venv/bin/python -m tools.examples "$(NAME)"
	@if [ -e "examples/$(NAME)/requirements.in" ]; then $(MAKE) lock; fi
	@$(MAKE) catalog

token: environments ## Print a bearer token (USER=alice)
	@.venv/bin/python -m local token $(user)

console: environments ## Print the console's URL and a user to sign in with (USER=ops GROUP=operator)
	@.venv/bin/python -m local console $(user) $(if $(GROUP),--group "$(GROUP)")

env: environments ## Print the address and credentials of the local engine as shell variables
	@.venv/bin/python -m local env

invoke: environments ## Run a function in Docker with one of events/ (EVENT=submit), on a deployed stack with STACK=name
	@.venv/bin/python -m local invoke "$(EVENT)" $(if $(STACK),--stack "$(STACK)")

logs: environments ## Show the functions' logs (FOLLOW=1)
	@.venv/bin/python -m local logs $(if $(FOLLOW),--follow)

stop: ## Stop the stack that `make run` started
	@$(find_python); "$$python" -m local.stop

test: checks ## Check, then run every test (ARGS="-k cancel")
	@$(if $(ARGS),$(MAKE) check && .venv/bin/python -m pytest,.venv/bin/python -m tests) --ignore=$(audit) --ignore=$(packages) $(ARGS)

check: checks audit packages ## Format, lint, types, words, imports, template, catalog, audit, clients' packages
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy --strict
	@$(MAKE) mypy-examples
	@.venv/bin/python -m tools.words
	@.venv/bin/python -m tools.sync_client --check
	@$(layers) .venv/bin/lint-imports
	@AWS_DEFAULT_REGION=us-east-1 $(sam) validate
	@.venv/bin/cfn-lint template.yaml --ignore-checks W1028 # SAM repeats the condition of a conditional function within it
	@$(layers) .venv/bin/python -m asyncjobs.codegen --check $(documents)
	@$(layers) .venv/bin/python -m asyncjobs.codegen.released $(released)

mypy-examples: # apart, since a copied example's modules exist twice
	@MYPYPATH=$(examples_path) .venv/bin/mypy --strict examples

audit: checks ## Look for secrets, weak code and known vulnerabilities of the deployed packages
	@.venv/bin/python -m pytest -q -rs $(audit)

packages: checks ## Build the clients' packages, install them into an empty environment, and use them from there
	@.venv/bin/python -m pytest -q -rs $(packages)

lock: ## Pin and hash the packages of all requirements' .in files (ARGS=--upgrade)
	@$(make_environments) uv
	@for file in layers/*/requirements.in $(wildcard examples/*/requirements.in) $(foreach name,uv engine lambda checks tools tests,requirements/$(name).in); do \
	  $(compile) $(ARGS) $$file -o $${file%.in}.txt || exit 1; done

soak: tests ## Run jobs under faults and count lost, stuck, wrong and duplicate ones (ARGS="--seconds 60 --seed 7" EXAMPLES=20000)
	@.venv/bin/python -m tests.proof.soak $(ARGS)
	@.venv/bin/python -m tests.proof.crash
	@export ASYNCJOBS_STATEFUL_EXAMPLES=$(or $(EXAMPLES),20000) ASYNCJOBS_STATEFUL_SEED=random; \
	  $(stateful) -k "not Features" & spine=$$!; $(stateful) -k Features && $(stream); features=$$?; wait $$spine && exit $$features

fuzz: tests ## Send the deployed API every request that its OpenAPI document allows, and invalid ones (EXAMPLES=10000 ARGS="--seed 7")
	@.venv/bin/python -m tests.deployed.openapi.fuzz --examples $(or $(EXAMPLES),10000) $(ARGS)

bench: tests ## Measure cold and warm calls against a bare handler, polls, a trivial job beside other libraries, the sweeper, the console's reads, and the Python client
	@.venv/bin/python -m bench.cold_start
	@.venv/bin/python -m bench.warm
	@$(layers) .venv/bin/python -m bench.polling
	@$(layers) .venv/bin/python -m bench.throughput
	@$(layers) .venv/bin/python -m bench.sweeper
	@$(layers) .venv/bin/python -m bench.administration
	@.venv/bin/python -m bench.python_client

catalog: environments ## Write the catalog of job types, the OpenAPI document and the documents' tables, from the code
	@$(layers) .venv/bin/python -m asyncjobs.codegen $(documents)

released: catalog ## Note that the present catalog is released: `make check` compares later ones with it
	@$(layers) .venv/bin/python -m asyncjobs.codegen.released --accept $(released)

build: catalog ## Build the functions and layers for AWS (ARCHITECTURE=x86_64)
	@BUILD_LAYER="$(build_layer)" $(sam) build --parameter-overrides PythonRuntime=$(runtime) Architecture=$(ARCHITECTURE)

known-parameters: environments
	@.venv/bin/python -m tools.parameters $(foreach each,$(PARAMETERS),'$(each)')

# sam keeps the stack's value of each parameter that is not named here, and takes the template's default for a new one.
deploy: known-parameters build ## Deploy the build to your AWS account (STACK=name REGION=eu-west-1 PARAMETERS="LogLevel=DEBUG")
	@$(sam) deploy $(if $(STACK),--stack-name "$(STACK)") $(if $(REGION),--region "$(REGION)") $(ARGS) \
	  --parameter-overrides PythonRuntime=$(runtime) Architecture=$(ARCHITECTURE) $(parameters)

adopt: environments ## Make a new stack around what a deleted one left (STACK=name TABLE=... BUCKET=... POOL=...)
	@.venv/bin/python -m tools.adopt --stack "$(STACK)" --table "$(TABLE)" --bucket "$(BUCKET)" \
	  $(if $(POOL),--pool "$(POOL)") $(if $(REGION),--region "$(REGION)") $(foreach each,$(PARAMETERS),'$(each)')

verify: environments ## Check a deployed stack with your AWS credentials (STACK=name REGION=eu-west-1 TOKEN=...)
	@TOKEN="$(TOKEN)" .venv/bin/python -m tools.verify --stack "$(or $(STACK),asyncjobs)" $(if $(REGION),--region "$(REGION)")

environments: ## Make .venv, .venv-aws and .venv-lambda (PYTHON=/path/to/python)
	@$(make_environments) engine lambda tools

tests: $(npm_packages) $(newer_node)
	@$(make_environments) engine lambda tests

checks: $(npm_packages) $(newer_node)
	@$(make_environments) engine lambda tests checks

# The development packages of the JavaScript client. Without npm, its tests are skipped.
$(npm_packages): clients/js/package-lock.json
	@if ! command -v npm >/dev/null; then echo "npm is not installed: the tests of the JavaScript client are skipped."; \
	elif npm_config_cache='$(CURDIR)/.local/npm' npm ci --prefix clients/js --ignore-scripts --silent; then touch $@; \
	else echo "npm cannot reach its registry: the tests of the JavaScript client are skipped."; fi

$(newer_node): tools/node/package.json tools/node/package-lock.json tools/node/.npmrc
	@if ! command -v npm >/dev/null || node -e 'process.exit(+(parseInt(process.versions.node) < 20))'; then :; \
	elif mkdir -p .local/node && cp $^ .local/node && \
	  npm_config_cache='$(CURDIR)/.local/npm' npm ci --prefix .local/node --ignore-scripts --silent; then \
	  (cd .local/node && ln -sfn node_modules/node-*/bin bin) && touch $@; \
	else echo "npm cannot reach its registry, and Node.js is older than 20: the tests of the JavaScript client are skipped."; fi

clean: stop ## Stop, and delete everything that make created
	@rm -rf .venv .venv-aws .venv-lambda .venv-checks .venv-uv .local .aws-sam .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache \
	  clients/js/node_modules clients/js/types
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
