# Everything is in bootstrap.py, so that Windows has the same without make: python bootstrap.py run
# Settings: PYTHON=python3.12, MODEL=yolov7-tiny, TORCH_INDEX=<an index with CPU builds of torch>, COURSE_SET=cpu, EDITION=zh-CN, LESSONS="02 03" (refresh), OPTIONS=--quick (benchmark)
PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11 python,$(shell command -v $(name) >/dev/null 2>&1 && $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))) python3)
MODEL ?=
EDITION ?=
LESSONS ?=
export TORCH_INDEX COURSE_SET

.PHONY: help run test test-gpu test-browser lab refresh versions setup lock benchmark mutants
help:
	@$(PYTHON) bootstrap.py help
run:
	@$(PYTHON) bootstrap.py run $(if $(MODEL),--model $(MODEL)) $(if $(EDITION),--language $(EDITION))
lab:
	@$(PYTHON) bootstrap.py lab $(if $(EDITION),--language $(EDITION))
benchmark mutants:
	@$(PYTHON) bootstrap.py $@ $(OPTIONS)
refresh:
	@$(PYTHON) bootstrap.py refresh $(LESSONS)
test test-gpu test-browser versions setup lock:
	@$(PYTHON) bootstrap.py $@
