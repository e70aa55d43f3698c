# A small door to the Meson build. Every target sets up what it needs: packages, toolchains, build folder.
#
#   make            build/heapwhy, build/libheapwhy.so, build/libheapwhy.a
#   make demo       the tool at work on a leaking Go program
#   make test       everything that must hold (tests/run --list shows the groups)
#   make bench      time and memory, as ratios to the Go collector's own; libheapwhy against others
#   make layouts    regenerate the table of Go's runtime layouts from the toolchains' debug information
#   make format     let clang-format rewrite the sources; `make check-style` only looks
BUILD ?= build

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

$(BUILD)/build.ninja: | packages
	meson setup $(BUILD)

packages:
	@scripts/install-packages.sh scripts/packages.txt

test-packages:
	@scripts/install-packages.sh scripts/packages.txt scripts/packages-test.txt

test: test-packages
	@tests/run

demo: all
	@scripts/demo.sh

bench-packages:
	@scripts/install-packages.sh scripts/packages.txt scripts/packages-test.txt scripts/packages-bench.txt

bench: bench-packages all
	@bench/run
	@bench/containers/run

layouts: test-packages
	@scripts/layouts.sh

format: test-packages
	@tests/style.sh --fix

check-style: test-packages
	@tests/run style

install: all
	@meson install -C $(BUILD)

clean:
	rm -rf $(BUILD) build-*

.PHONY: all packages test-packages bench-packages test demo bench layouts format check-style install clean
