# Pygmy's build: GNU make, no configure step.
#
#   make                 the programs, into build/
#   make run             install what is missing, build, start a store with the sample catalog
#   make test            install what is missing, build, run all tests
#   make check           format, layering, lint, both compilers without a warning, sanitizers
#   make asan|ubsan|tsan the programs under a sanitizer: build/pygmy-broker.asan and so on
#   make fuzz SECONDS=60 each fuzz target so long (needs clang)
#   make crash           fail each call to the disk in turn, and flip a thousand bits
#   make sim SEEDS=1-10000  so many runs of simulated replica groups (tests/sim/sim.mk has more)
#   make bench install clean format
#
# Variables:
#   BUILD=dir      where everything goes instead of build/
#   SAN=asan|ubsan|tsan  a sanitizer for whatever is built or tested (`make test SAN=asan`)
#   WERROR=1       warnings are errors
#   V=1            show the commands
#   TESTS=words    unit tests (by noun) and pytest paths that `make test` is limited to; with
#                  SAN=tsan these are what has threads, unless you say otherwise
#   BENCH_FLAGS=words  for the benchmarks: --json, or how many rounds
#   CFLAGS LDFLAGS yours alone; what the project needs is added in other variables
#
# Sources are found by wildcard: drop a .c file into its folder and it is part of that folder's
# archive; tests/unit/test_NOUN.c becomes a test program. See "Tests" below for what it links.

VERSION = 0.1.0

MAKEFLAGS += --no-builtin-rules --no-builtin-variables
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL = all

BUILD  ?= build
PREFIX ?= /usr/local
CFLAGS ?= -O2 -g

ifneq ($(filter default undefined,$(origin CC)),)
CC = gcc
endif
AR = ar
PKG_CONFIG ?= pkg-config
PYTHON = /usr/bin/python3

ifeq ($(V),)
Q = @
say = @printf '%-4s %s\n' $(1) $(2)
else
say = @:
endif

# What builds on its own account uses all processors, unless it was told how many.
JOBS = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))

# --- Flags ---------------------------------------------------------------------------------------

MODULES = libzmq libczmq sqlite3 jansson libmicrohttpd zlib
DEBIAN_libzmq        = libzmq3-dev
DEBIAN_libczmq       = libczmq-dev
DEBIAN_sqlite3       = libsqlite3-dev
DEBIAN_jansson       = libjansson-dev
DEBIAN_libmicrohttpd = libmicrohttpd-dev
DEBIAN_zlib          = zlib1g-dev

WARNINGS = -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes \
           -Wmissing-prototypes -Wformat=2 $(if $(WERROR),-Werror)
HARDENING = -fstack-protector-strong -fPIE

# glibc warns when it is asked to fortify code that is not optimised; sanitizers see more without it.
ifeq ($(filter -O0,$(CFLAGS))$(SAN),)
HARDENING += -D_FORTIFY_SOURCE=2
endif
ifeq ($(shell uname -m),x86_64)
HARDENING += -fstack-clash-protection -fcf-protection
endif

# Address and undefined-behaviour findings go together, so one test run covers both; `ubsan` alone
# is the quick one. Nothing is recovered from: a finding ends the process, and so fails its test.
SAN_asan  = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SAN_ubsan = -fsanitize=undefined -fno-sanitize-recover=all
SAN_tsan  = -fsanitize=thread
SAN_fuzz  = -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
ifneq ($(SAN),)
ifeq ($(SAN_$(SAN)),)
$(error SAN is asan, ubsan, tsan or fuzz, not "$(SAN)")
endif
endif

# O is where objects, archives and tests go; the programs themselves stand in BUILD, with a suffix.
O      = $(BUILD)$(if $(SAN),/$(SAN))
SUFFIX = $(if $(SAN),.$(SAN))

pkg = $(shell $(PKG_CONFIG) $(1) $(2) 2>/dev/null)
MODULE_CFLAGS := $(call pkg,--cflags,$(MODULES))
MODULE_LIBS   := $(call pkg,--libs,$(MODULES)) $(call pkg,--libs,raft)
CMOCKA_LIBS   := $(call pkg,--libs,cmocka)
CMOCKA_LIBS   := $(if $(CMOCKA_LIBS),$(CMOCKA_LIBS),-lcmocka)

# asserts stay in: they are the last thing between a slip of ours and a wrong answer.
COMPILE = $(CC) -std=c17 -D_DEFAULT_SOURCE -I. -DPYGMY_VERSION='"$(VERSION)"' -pthread \
          $(WARNINGS) $(HARDENING) $(MODULE_CFLAGS) $(SAN_$(SAN)) $(CPPFLAGS) $(CFLAGS) -UNDEBUG
LINK    = $(CC) -pthread -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(SAN_$(SAN)) $(CFLAGS) $(LDFLAGS)

# --- Archives ------------------------------------------------------------------------------------

# Each folder is one archive, its main.c (which makes it a program) left out.
# DIR_x: its folder; NEEDS_x: the archives below it, itself first; layers point one way only.
ARCHIVES = bus broker replica catalog order pygmy cli bridge
DIR_bus     = broker/bus
DIR_broker  = broker
DIR_replica = services/replica
DIR_catalog = services/catalog
DIR_order   = services/order
DIR_pygmy   = client/store
DIR_cli     = client/cli
DIR_bridge  = client/bridge
NEEDS_bus     = bus
NEEDS_broker  = broker bus
NEEDS_replica = replica bus
NEEDS_catalog = catalog replica bus
NEEDS_order   = order replica bus
NEEDS_pygmy   = pygmy bus
NEEDS_cli     = cli pygmy bus
NEEDS_bridge  = bridge pygmy bus

# What is linked for a list of archives, and what has to be built first.
closure  = $(foreach a,$(ARCHIVES),$(if $(filter $(a),$(foreach n,$(1),$(NEEDS_$(n)))),$(a)))
archives = $(patsubst %,$(O)/lib%.a,$(call closure,$(1)))
link     = -Wl,--start-group $(call archives,$(1)) -Wl,--end-group

PROGRAM_broker  = pygmy-broker
PROGRAM_catalog = pygmy-catalog
PROGRAM_order   = pygmy-order
PROGRAM_cli     = pygmy
PROGRAM_bridge  = pygmy-http
MAINS    := $(foreach a,broker catalog order cli bridge,$(if $(wildcard $(DIR_$(a))/main.c),$(a)))
PROGRAMS := $(foreach a,$(MAINS),$(BUILD)/$(PROGRAM_$(a))$(SUFFIX))

all: $(PROGRAMS)

define archive_rules
SOURCES_$(1) := $$(filter-out $$(DIR_$(1))/main.c,$$(sort $$(wildcard $$(DIR_$(1))/*.c)))
OBJECTS_$(1) := $$(SOURCES_$(1):%.c=$$(O)/obj/%.o)
ALL_OBJECTS  += $$(OBJECTS_$(1))
$$(O)/lib$(1).a: $$(OBJECTS_$(1)) $$(O)/lib$(1).list
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@ && $$(AR) rcs $$@ $$(OBJECTS_$(1))
$$(eval $$(call stamp_rule,$$(O)/lib$(1).list,$$(OBJECTS_$(1))))
endef

define program_rules
ALL_OBJECTS += $$(O)/obj/$$(DIR_$(1))/main.o
$$(BUILD)/$$(PROGRAM_$(1))$$(SUFFIX): $$(O)/obj/$$(DIR_$(1))/main.o $$(call archives,$(1))
	$$(call say,LD,$$@)
	$$(Q)$$(LINK) -o $$@ $$< $$(call link,$(1)) $$(MODULE_LIBS) -lm
endef

# A file that holds a text and is only written when the text changes, so that what depends on it is
# made again when flags change or a source comes or goes, and not otherwise.
define stamp_rule
$(1): FORCE
	$$(Q)mkdir -p $$(@D) && { printf '%s\n' '$(subst ','\'',$(2))' | cmp -s - $$@ || \
	    printf '%s\n' '$(subst ','\'',$(2))' >$$@; }
endef

$(foreach a,$(ARCHIVES),$(eval $(call archive_rules,$(a))))
$(foreach a,$(MAINS),$(eval $(call program_rules,$(a))))
$(eval $(call stamp_rule,$(O)/flags,$(COMPILE) $(LINK)))

$(O)/obj/%.o: %.c $(O)/flags $(O)/modules
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(COMPILE) -MMD -MP -c -o $@ $<

# Every missing library is named with its Debian package, and before the first file is compiled.
$(O)/modules:
	@status=0; for pair in $(foreach m,$(MODULES),$(m)=$(DEBIAN_$(m))); do \
	    $(PKG_CONFIG) --exists $${pair%%=*} 2>/dev/null && continue; status=1; \
	    echo "missing: $${pair%%=*} (Debian package $${pair#*=}; scripts/deps run installs it)" >&2; \
	done; exit $$status
	@mkdir -p $(@D) && touch $@

# Below 0.22 libraft commits entries of older terms by counting replicas; above it, memory changes
# hands at other places. Neither is something to find out about at run time.
$(O)/raft-0.22:
	@$(PKG_CONFIG) --exists 'raft >= 0.22' 'raft < 0.23' 2>/dev/null || { \
	    echo "libraft 0.22.x is needed, found: $$($(PKG_CONFIG) --modversion raft 2>/dev/null || \
	    echo none) (Debian package libraft-dev; scripts/deps run installs it)" >&2; exit 1; }
	@mkdir -p $(@D) && touch $@
$(OBJECTS_replica): $(O)/raft-0.22

# --- Tests ---------------------------------------------------------------------------------------

# A test links the archives of the folders that its #include lines name, and those below them: one
# that includes "broker/bus/frame.h" is built although the catalog does not compile. What it reaches
# without including may be named in a comment of its own line:   /* link: broker catalog */
# Helpers shared by tests are tests/lib/*.c; a test that includes "tests/lib/x.h" gets them all, and
# the archives that they name.
#
# ThreadSanitizer defines calls of libc's itself, and so do the tests that fail them one by one. It is
# for what has threads of its own (the disk thread, the auditor, the HTTP server's test), alone and in
# stores whose processes are killed; the rest would only be slow.
NOT_WITH_tsan = tests/lib/fault_calls.c tests/unit/test_crash_disk.c \
                tests/unit/test_crash_snapshot.c tests/unit/test_flips.c
TESTS_tsan    = replica replica_snapshot disk_thread catalog_auditor http_server \
                tests/system/test_kills.py tests/system/test_oversell.py
TESTS        ?= $(TESTS_$(SAN))
SKIPPED      := $(filter tests/unit/%,$(NOT_WITH_$(SAN)))
UNIT_SOURCES := $(filter-out $(SKIPPED),$(sort $(wildcard tests/unit/test_*.c)))
FUZZ_SOURCES := $(sort $(wildcard tests/fuzz/fuzz_*.c))
BENCH_PARTS   := tests/bench/lease_peers.c
BENCH_SOURCES := $(sort $(wildcard tests/bench/bench_*.c)) $(BENCH_PARTS)
BENCH_OBJECTS := $(patsubst %.c,$(O)/obj/%.o,$(filter-out $(BENCH_SOURCES),$(sort $(wildcard tests/bench/*.c))))
BENCHES       := $(BENCH_SOURCES:tests/bench/%.c=$(O)/bench/%)
BENCH_SCRIPTS := tests/bench/bench_buys tests/bench/bench_cached_http tests/bench/bench_lease_cost
BENCHES_RUN   := $(filter-out $(BENCH_PARTS:tests/bench/%.c=$(O)/bench/%),$(BENCHES)) $(BENCH_SCRIPTS)
LIB_SOURCES  := $(filter-out $(NOT_WITH_$(SAN)),$(sort $(wildcard tests/lib/*.c)))
LIB_OBJECTS  := $(LIB_SOURCES:%.c=$(O)/obj/%.o)
UNIT_TESTS   := $(UNIT_SOURCES:tests/unit/%.c=$(O)/tests/%)

# Words of the form tests/unit/test_frame.c=broker/bus and tests/unit/test_x.c==catalog.
TEST_WORDS := $(shell grep -HoE \
    -e '^.include "(broker|services|client|tests)/([a-z]+/)?' -e '^/\* link:[a-z ]+' \
    $(UNIT_SOURCES) $(FUZZ_SOURCES) $(BENCH_SOURCES) $(LIB_SOURCES) /dev/null 2>/dev/null | \
    awk -F: '{ if (/link:/) { n = split($$3, w, " "); for (i = 1; i <= n; i++) print $$1 "==" w[i] } \
        else { sub(/.*"/, "", $$2); sub(/\/$$/, "", $$2); print $$1 "=" $$2 } }' | sort -u)
named_by = $(sort $(foreach a,$(ARCHIVES),$(if \
    $(filter $(foreach s,$(1),$(s)=$(DIR_$(a)) $(s)==$(a)),$(TEST_WORDS)),$(a))))
uses_lib = $(if $(filter $(1)=tests/lib,$(TEST_WORDS)),$(LIB_SOURCES))
links_of = $(call named_by,$(1) $(call uses_lib,$(1)))

$(O)/libtest.a: $(LIB_OBJECTS) $(O)/libtest.list
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $(LIB_OBJECTS)
$(eval $(call stamp_rule,$(O)/libtest.list,$(LIB_OBJECTS)))
ALL_OBJECTS += $(LIB_OBJECTS)

# $(1) source, $(2) program, $(3) further flags
define test_rules
ALL_OBJECTS += $(O)/obj/$(1:.c=.o)
$(2): $(O)/obj/$(1:.c=.o) $(if $(call uses_lib,$(1)),$(O)/libtest.a) $(call archives,$(call links_of,$(1)))
	$$(call say,LD,$$@)
	$$(Q)mkdir -p $$(@D) && $$(LINK) $(3) -o $$@ $$< $(if $(call uses_lib,$(1)),$(O)/libtest.a) \
	    $(call link,$(call links_of,$(1))) $$(MODULE_LIBS) \
	    $(if $(filter tests/bench/%,$(1)),,$$(CMOCKA_LIBS)) -lm
endef
$(foreach s,$(UNIT_SOURCES),$(eval $(call test_rules,$(s),$(s:tests/unit/%.c=$(O)/tests/%))))
# What benchmarks share stands beside them.
$(foreach s,$(BENCH_SOURCES),$(eval $(call \
    test_rules,$(s),$(s:tests/bench/%.c=$(O)/bench/%),$(BENCH_OBJECTS))))
$(BENCHES): $(BENCH_OBJECTS)
ALL_OBJECTS += $(BENCH_OBJECTS)
$(foreach s,$(FUZZ_SOURCES),$(eval $(call test_rules,$(s),$(s:tests/fuzz/%.c=$(O)/%),-fsanitize=fuzzer)))

# The fuzz targets without libFuzzer: each file of their corpus once, with any compiler.
REPLAYS := $(FUZZ_SOURCES:tests/fuzz/fuzz_%.c=$(O)/tests/replay_%)
$(foreach s,$(FUZZ_SOURCES),$(eval $(call \
    test_rules,$(s),$(s:tests/fuzz/fuzz_%.c=$(O)/tests/replay_%),$(O)/obj/tests/fuzz/replay.o)))
$(REPLAYS): $(O)/obj/tests/fuzz/replay.o
ALL_OBJECTS += $(O)/obj/tests/fuzz/replay.o

include tests/sim/sim.mk

unit-tests: $(UNIT_TESTS) $(REPLAYS)

# The packages come first and are then found by a make of its own, which reads their flags afresh.
test:
	$(Q)scripts/deps run test
	$(Q)$(MAKE) $(JOBS) --no-print-directory test-installed

# Of the unit tests only those that TESTS names, if it names any.
NAMED_TESTS = $(filter $(UNIT_TESTS) $(REPLAYS),$(TESTS:%=$(O)/tests/test_%) $(TESTS:%=$(O)/tests/%))

test-installed: all $(if $(TESTS),$(NAMED_TESTS),unit-tests)
	$(Q)PYGMY_BUILD='$(abspath $(BUILD))' PYGMY_SUFFIX='$(SUFFIX)' PYGMY_SAN='$(SAN)' \
	    scripts/run-tests --unit '$(abspath $(O))/tests' $(SKIPPED:%=--skip %) $(TESTS)

run:
	$(Q)scripts/deps run
	$(Q)$(MAKE) $(JOBS) --no-print-directory all
	@exec env PYGMY_BUILD='$(abspath $(BUILD))' PYGMY_SUFFIX='$(SUFFIX)' scripts/cluster up --sample

asan ubsan tsan:
	$(Q)$(MAKE) $(JOBS) --no-print-directory all SAN=$@

bench:
	$(Q)scripts/deps run bench
	$(Q)$(MAKE) $(JOBS) --no-print-directory bench-installed
bench-installed: all $(BENCHES)
	$(Q)for program in $(BENCHES_RUN); do PYGMY_BUILD='$(abspath $(BUILD))' \
	    PYGMY_SUFFIX='$(SUFFIX)' $$program $(BENCH_FLAGS) || failed=1; done; exit $${failed:-0}

# What `make test` makes a choice of, whole: each N-th call of every kind failed in turn, a death
# between any two calls, a thousand flipped bits. Some minutes.
crash: $(O)/tests/test_crash_disk $(O)/tests/test_crash_snapshot $(O)/tests/test_flips
	$(Q)PYGMY_CRASH=full $(O)/tests/test_crash_disk
	$(Q)PYGMY_CRASH=full $(O)/tests/test_crash_snapshot
	$(Q)PYGMY_FLIPS=1000 $(O)/tests/test_flips

# Every target for SECONDS each, beginning with its corpus, which grows in the build directory only.
# What one says is in NOUN.log beside it; what breaks it, in crash-NOUN-*, belongs into the corpus.
SECONDS ?= 30
FUZZ_SECONDS ?= $(SECONDS)
fuzz:
	$(Q)$(MAKE) $(JOBS) --no-print-directory fuzz-run SAN=fuzz CC=clang
fuzz-run: $(FUZZ_SOURCES:tests/fuzz/fuzz_%.c=fuzz-run-%)
fuzz-run-%: $(O)/fuzz_%
	$(Q)mkdir -p $<.corpus tests/fuzz/corpus/$* && \
	    if $< -max_total_time=$(FUZZ_SECONDS) -timeout=10 -print_final_stats=1 \
	        -artifact_prefix=$(O)/crash-$*- $<.corpus tests/fuzz/corpus/$* >$<.log 2>&1; \
	    then awk -v noun=$* '/number_of_executed_units/ { n = $$2 } / cov: / { c = $$4 } \
	        END { printf "fuzz %-20s %9d inputs, %5d edges, nothing found\n", noun, n, c }' $<.log; \
	    else tail -n 60 $<.log; echo "fuzz $*: failed, see $<.log"; exit 1; fi

# --- Check ---------------------------------------------------------------------------------------

C_FILES := $(sort $(shell find broker services client tests -name '*.[ch]' 2>/dev/null))

check:
	$(Q)scripts/deps run test check
	$(Q)$(MAKE) --no-print-directory check-static
	$(Q)$(MAKE) $(JOBS) --no-print-directory test-installed SAN=asan WERROR=1

check-static: check-layers check-format check-warnings check-lint

check-layers:
	$(Q)scripts/check-layers

check-format:
	$(Q)scripts/check-format $(C_FILES)

# Both compilers, each in a directory of its own, so that neither builds upon the other's objects.
# What gcc finds depends on what it optimises; what clang finds doesn't.
check-warnings: check-warnings-gcc check-warnings-clang
check-warnings-gcc:
	$(Q)$(MAKE) $(JOBS) --no-print-directory BUILD=$(BUILD)/warnings-gcc CC=gcc WERROR=1 SAN= objects
check-warnings-clang:
	$(Q)$(MAKE) $(JOBS) --no-print-directory BUILD=$(BUILD)/warnings-clang CC=clang WERROR=1 SAN= \
	    CFLAGS=-O0 objects
objects: $(ALL_OBJECTS)

check-lint:
	$(Q)scripts/check-lint $(BUILD)/lint -- -std=c17 -D_DEFAULT_SOURCE -I. \
	    -DPYGMY_VERSION='"$(VERSION)"' $(MODULE_CFLAGS)

format:
	$(Q)clang-format -i $(C_FILES)

# --- Install, clean ------------------------------------------------------------------------------

# Installed, libpygmy holds what it needs of the bus as well: users link one archive.
$(O)/install/libpygmy.a: $(call archives,pygmy)
	$(Q)mkdir -p $(@D) && printf 'create %s\naddlib %s\naddlib %s\nsave\nend\n' $@ $^ | $(AR) -M

install: all $(if $(wildcard client/store/pygmy.h),$(O)/install/libpygmy.a)
	install -d '$(DESTDIR)$(PREFIX)/bin'
	install $(PROGRAMS) '$(DESTDIR)$(PREFIX)/bin'
	install -d $(foreach s,1 5 8,'$(DESTDIR)$(PREFIX)/share/man/man$(s)')
	$(foreach s,1 5 8,install -m 644 $(wildcard docs/man/*.$(s)) \
	    '$(DESTDIR)$(PREFIX)/share/man/man$(s)' &&) :
	install -d '$(DESTDIR)$(PREFIX)/share/doc/pygmy/docs'
	install -m 644 README.md LICENSE '$(DESTDIR)$(PREFIX)/share/doc/pygmy'
	install -m 644 $(wildcard docs/*.md) '$(DESTDIR)$(PREFIX)/share/doc/pygmy/docs'
ifneq ($(wildcard client/store/pygmy.h),)
	install -d '$(DESTDIR)$(PREFIX)/lib' '$(DESTDIR)$(PREFIX)/include'
	install -m 644 $(O)/install/libpygmy.a '$(DESTDIR)$(PREFIX)/lib'
	install -m 644 client/store/pygmy.h '$(DESTDIR)$(PREFIX)/include'
endif

clean:
	rm -rf '$(BUILD)'

FORCE:
.PHONY: FORCE all unit-tests test test-installed run asan ubsan tsan bench bench-installed crash fuzz \
        fuzz-run check check-static check-layers check-format check-warnings check-warnings-gcc \
        check-warnings-clang objects check-lint format install clean

-include $(sort $(ALL_OBJECTS:.o=.d))
