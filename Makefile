# SPDX-License-Identifier: ISC
# A thin front for meson; see "make help". PLAIT_BUILD names another build directory.
export PLAIT_BUILD := $(abspath $(or $(PLAIT_BUILD),build))

.PHONY: all build demo test bench install clean help
.NOTPARALLEL:

all:
	@tools/deps build
	@$(MAKE) --no-print-directory build

# Without a look at the packages.
build:
	@[ -f '$(PLAIT_BUILD)/build.ninja' ] || meson setup '$(PLAIT_BUILD)' --buildtype debugoptimized
	@ninja -C '$(PLAIT_BUILD)'

demo:
	@tools/deps demo
	@$(MAKE) --no-print-directory build
	@lab/demo

test:
	@tools/deps test
	@$(MAKE) --no-print-directory build
	@tests/run

bench:
	@tools/deps bench
	@$(MAKE) --no-print-directory build
	@lab/bench

install: all
	@meson install -C '$(PLAIT_BUILD)' --no-rebuild

# A directory that PLAIT_BUILD names is removed only when it is a build.
clean:
	@[ ! -f '$(PLAIT_BUILD)/build.ninja' ] || rm -rf '$(PLAIT_BUILD)'
	@rm -rf build build-asan build-clang build-fuzz

help:
	@echo 'make          build, into $(PLAIT_BUILD)'
	@echo 'make demo     show the main job: one download over two links, in a lab (root)'
	@echo 'make test     every test: unit, fuzz for a while, end to end (root)'
	@echo 'make bench    the measurements (root)'
	@echo 'make install  programs, units and examples; DESTDIR=DIR puts them below DIR'
	@echo 'make clean    remove what was built'
	@echo 'As root, what is missing of Debian packages is installed first.'
