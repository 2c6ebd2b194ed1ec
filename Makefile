# Aisle in two commands: `make demo` starts everything on a real shop's log, `make test` proves it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo up down status check images pin-images manifests monitoring-check test fuzz faults bench-serving bench-overload bench-batch bench-rerank bench-retrieval bench-gpu bench-compression bench-quality bench-ctr

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

install: $(INSTALLED) ## Make .venv with everything pinned

# torch first and by itself: with it in place pip's resolver has nothing large left to choose. Modules are compiled when
# they are first imported, by whoever imports them: most of what is installed never is.
$(INSTALLED): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --progress-bar off --no-compile -c constraints.txt torch
	$(BIN)/pip install --quiet --progress-bar off --no-compile -c constraints.txt -e '.[training,local,demo,dev]'
	@touch $(INSTALLED)

demo: $(INSTALLED) ## Import a real shop's log, train, serve and recommend; leaves the platform running
	@$(BIN)/aisle demo

up: $(INSTALLED) ## Start the stores and services in the background
	@$(BIN)/aisle up

down: ## Stop the platform
	@$(BIN)/aisle down

status: ## Show what runs
	@$(BIN)/aisle status

check: $(INSTALLED) ## Lint, format, types, import rules, pinned dependencies, no secrets and no pickles
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/pip check
	$(BIN)/python -m pytest -q tests/security/test_repository.py

monitoring-check: $(INSTALLED) ## Check rules, alerts, dashboards, backup and rollback; a missing tool is named as skipped
	$(BIN)/python -m pytest -q -rs tests/monitoring

fuzz: $(INSTALLED) ## Try to break the public contract, cache keys, lists under rules, and bundles: [FUZZ_SECONDS=120 FUZZ_SEED=n]
	@FUZZ_SECONDS=$(or $(FUZZ_SECONDS),120) $(BIN)/python -m pytest -q -s tests/fuzz

faults: $(INSTALLED) ## Kill, slow, fill and lie to every part, and see each promise hold: [CASES="F3 F7"]
	@FAULTS="$(or $(CASES),all)" FAULTS_RESULT=benchmarks/results/faults.json $(BIN)/python -m pytest -q -s tests/faults

# Two at a time, each with stores of its own: much of a test is waiting. The fault matrix counts milliseconds, and alerts
# fire on them, so these have the machine for themselves.
test: $(INSTALLED) ## Run all tests on stores and ports of their own
	$(BIN)/python -m pytest -q --numprocesses 2 --dist loadfile --ignore tests/faults --ignore tests/monitoring
	$(BIN)/python -m pytest -q tests/faults tests/monitoring

images: $(INSTALLED) ## Build the image of every service, then run them: [BASE REPOSITORY TAG GPU PIP_CONF PIP_CA]
	deploy/docker/build.sh $(if $(GPU),gateway feature ranking ranking-gpu training)
	$(BIN)/python -m pytest -q tests/images

pin-images: ## Push the images and write their digests into the production overlay: REPOSITORY=<registry/path> TAG=<tag>
	deploy/docker/pin.sh

# checkov wants an environment of its own, so it is used where somebody installed it.
manifests: $(INSTALLED) ## Render compose and Kubernetes, validate them and check the rules
	$(BIN)/python k8s/components/monitoring/prometheus_rules.py
	$(BIN)/python -m pytest -q tests/manifests
	@if command -v checkov >/dev/null; then \
	  for overlay in dev prod prod-gpu; do \
	    $(BIN)/kubectl kustomize k8s/overlays/$$overlay > $(VENV)/$$overlay.yaml && \
	    LOG_LEVEL=CRITICAL checkov --config-file k8s/checkov-$${overlay%-gpu}.yaml -f $(VENV)/$$overlay.yaml || exit 1; \
	  done; \
	  LOG_LEVEL=CRITICAL checkov --config-file deploy/docker/checkov.yaml -d deploy/docker; \
	else echo "skipped: checkov is not installed"; fi

bench-serving: $(INSTALLED) ## Measure the running demo under open-loop load, beside its floor
	$(BIN)/python -m benchmarks.serving

bench-overload: $(INSTALLED) ## Send the running demo three times what it can answer, then half of it for an hour: [SURGE_S SOAK_S]
	@$(BIN)/python -m benchmarks.overload $(if $(SURGE_S),--surge-s $(SURGE_S)) $(if $(SOAK_S),--soak-s $(SOAK_S))

bench-batch: $(INSTALLED) ## Make the lists of the running demo's shoppers ahead, and say how many a second
	$(BIN)/python -m benchmarks.batch

bench-rerank: $(INSTALLED) ## Re-rank one model's offers under every wish: what variety and novelty cost, and the time
	$(BIN)/python -m benchmarks.rerank

bench-retrieval: $(INSTALLED) ## Find the best of a trained item table and of larger ones, exact and by the index
	$(BIN)/python -m benchmarks.retrieval

bench-gpu: $(INSTALLED) ## Retrieval and serving on an NVIDIA GPU (needs one): exact search, batches, requests under load
	$(BIN)/python -m benchmarks.gpu

bench-compression: $(INSTALLED) ## Shrink the encoder of Amazon Beauty and say what each variant costs and loses
	$(BIN)/python -m benchmarks.compression

bench-quality: $(INSTALLED) ## Rank a data set by every model: DATA=<name or folder> [SEEDS BUDGET_MINUTES MODELS PROTOCOL TRACK DEVICE THREADS]
	@$(BIN)/python -m benchmarks.quality $(if $(DATA),$(DATA),$(error DATA=<name or folder> is missing)) \
	  $(foreach wish,SEEDS BUDGET_MINUTES MODELS PROTOCOL TRACK DEVICE THREADS,$(if $($(wish)),--$(subst _,-,$(shell echo $(wish) | tr A-Z a-z)) $($(wish))))

bench-ctr: $(INSTALLED) ## Predict clicks and purchases beside a regression and LightGBM: [DATA=<names> MODELS=<models>]
	@$(BIN)/python -m benchmarks.ctr $(DATA) $(if $(MODELS),--models $(MODELS))
