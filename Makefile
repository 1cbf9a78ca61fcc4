# A thin door to scripts/ and CMake, for fingers used to make. Each target
# also works without make: see README.md.
#
#   make             build into build/release
#   make DEBUG=1     build with checks and debug logging into build/debug
#   make check       all tests;  make demo: the tour of three nodes
#   make conformance every command beside a real redis-server; docs/COMMANDS.md
#   make coverage    lines and branches that the storage tests run
#   make cluster     three containers, up and healthy;  make cluster-down
PRESET = $(if $(filter-out 0,$(DEBUG)),debug,release)

all:
	scripts/build $(PRESET)

check:
	scripts/check

conformance:
	scripts/conformance

coverage:
	scripts/coverage

demo:
	scripts/demo

cluster:
	scripts/cluster up

cluster-down:
	scripts/cluster down

format:
	scripts/format

install: all
	cmake --install build/$(PRESET) $(if $(PREFIX),--prefix $(PREFIX))

clean:
	rm -rf build

.PHONY: all check conformance coverage demo cluster cluster-down format install clean
