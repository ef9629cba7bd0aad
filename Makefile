# The ways into Gatehouse. The build itself is Meson's: see meson.build.
BUILD ?= build
export GATEHOUSE_BUILD := $(abspath $(BUILD))

# What runs, as opposed to what tests it.
PROGRAMS = controlcenter/gatehouse-controlcenter scanner/agent/gatehouse-agent \
	scanner/directory/gatehouse-directory scanner/engine/gatehouse-engine \
	scanner/mta/gatehouse-mta scanner/supervisor/gatehouse-scanner

C_FILES = $$(git ls-files '*.[ch]')

.PHONY: all build programs packages assets run test unit integration browser bench fuzz lint fmt clean

all: build

packages:
	@tools/install-packages

$(BUILD)/build.ninja:
	@command -v meson >/dev/null || { echo 'meson is missing: run tools/install-packages' >&2; exit 1; }
	meson setup $(BUILD)

build: $(BUILD)/build.ninja assets
	ninja -C $(BUILD)

programs: $(BUILD)/build.ninja assets
	ninja -C $(BUILD) $(PROGRAMS)

# What the console serves: our own files and those from npm, beside the programs.
assets:
	@tools/vendor-assets $(BUILD)/webroot

run:
	@tools/install-packages --without-tests
	@$(MAKE) --no-print-directory programs
	@tools/run

test: packages
	@$(MAKE) --no-print-directory build
	@tests/run-suite unit integration browser

unit integration browser: build
	@tests/run-suite $@

bench: build
	@tests/bench/run

fuzz:
	@tests/fuzz/run

lint:
	@tools/lint

fmt:
	clang-format -i $(C_FILES)

clean:
	rm -rf $(BUILD) node_modules
