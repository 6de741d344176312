# The simulator of replica groups and of whole stores (docs/testing.md). Part of the Makefile, which includes it.
#
#   make sim SEEDS=1-10000   so many runs; SIM_FLAGS="--servers 5" and the like for main.c
#   make sim-store SEEDS=1-10000   so many runs of whole stores
#   make sim-lease SEEDS=1-10000   so many runs of a group with leased caches
#   make sim-mutations       put in each fault and say which seed or case finds it
#   make sim-lease-mutations   those of leased caches alone
#   make sim-cases           the directed cases
#   make sim-replay SIM_FLAGS="--seed 7 --trace"   one run, step by step
#   make driver-tests        the unit tests of the driver alone
#   RAFT_SOURCE=dir          link libraft's core from its source, with its assertions (and SAN=asan)

# These names lead to tests/sim/sim_mutation.c first, which passes them on.
SIM_WRAPPED = $(addprefix raft_guard_,split prefix vote_result stale_reject double_change \
              pre_vote_term barrier hint commit persisted timeout sole_voter \
              voting_role disrupt) read_rule_confirmed record_add
SIM_SOURCES := $(sort $(wildcard tests/sim/*.c))
SIM_OBJECTS := $(patsubst %.c,$(O)/obj/%.o,$(filter-out tests/sim/main.c,$(SIM_SOURCES)))
ALL_OBJECTS += $(SIM_SOURCES:%.c=$(O)/obj/%.o)

SEEDS ?= 1-200
SIM_JOBS ?= $(shell nproc)

# The packaged library is built without its assertions. Its core is all but what goes with libuv;
# its headers are found as they are installed where the source was not configured.
ifneq ($(RAFT_SOURCE),)
SIM_PROGRAM  = $(O)/sim-with-core
RAFT_CORE   := $(filter-out uv%.c fixture.c compress.c syscall.c,$(notdir \
               $(wildcard $(RAFT_SOURCE)/src/*.c)))
RAFT_OBJECTS := $(RAFT_CORE:%.c=$(O)/raft/obj/%.o)
ifeq ($(RAFT_CORE),)
$(error there is no libraft source in $(RAFT_SOURCE)/src)
endif
$(O)/raft/include/raft.h:
	$(Q)mkdir -p $(O)/raft/src $(@D) && cd $$($(PKG_CONFIG) --variable=includedir raft) && \
	    cp -r raft raft.h '$(abspath $(@D))'
$(O)/raft/obj/%.o: $(RAFT_SOURCE)/src/%.c $(O)/flags $(O)/raft/include/raft.h
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) -std=gnu11 -pthread -I$(O)/raft/src $(SAN_$(SAN)) $(CFLAGS) \
	    -UNDEBUG -c -o $@ $<
else
SIM_PROGRAM = $(O)/sim
endif

SIM_LINK = $(foreach name,$(SIM_WRAPPED),-Wl,--wrap=$(name)) $(SIM_OBJECTS) $(RAFT_OBJECTS)

$(SIM_PROGRAM): $(O)/obj/tests/sim/main.o $(SIM_OBJECTS) $(RAFT_OBJECTS) $(call archives,catalog order pygmy)
	$(call say,LD,$@)
	$(Q)$(LINK) $(SIM_LINK) -o $@ $< $(call link,catalog order pygmy) $(MODULE_LIBS) -lm

SIM_TESTS = $(addprefix $(O)/tests/,test_sim test_sim_store test_sim_lease)

# A few hundred seeds, the cases and some of the mutations are unit tests.
$(SIM_TESTS): $(SIM_OBJECTS) $(RAFT_OBJECTS)
$(SIM_TESTS): LINK += $(SIM_LINK)

# What tests the driver alone, so that it may be run beside libraft's own assertions, too.
DRIVER_TESTS = $(filter $(O)/tests/test_consensus% $(O)/tests/test_raft_guard,$(UNIT_TESTS))
ifneq ($(RAFT_SOURCE),)
$(DRIVER_TESTS): $(RAFT_OBJECTS)
$(DRIVER_TESTS): LINK += $(RAFT_OBJECTS)
endif
driver-tests: $(DRIVER_TESTS)
	$(Q)for program in $(DRIVER_TESTS); do $$program || exit 1; done

sim: $(SIM_PROGRAM)
	$(Q)$(SIM_PROGRAM) --cases $(SIM_FLAGS)
	$(Q)$(SIM_PROGRAM) --seeds $(SEEDS) --jobs $(SIM_JOBS) $(SIM_FLAGS)
sim-cases: $(SIM_PROGRAM)
	$(Q)$(SIM_PROGRAM) --cases $(SIM_FLAGS)
sim-mutations: $(SIM_PROGRAM)
	$(Q)$(SIM_PROGRAM) --mutations --seeds 1-1000 --jobs $(SIM_JOBS) $(SIM_FLAGS)
	$(Q)$(SIM_PROGRAM) --mutations --machine store --seeds 1-1000 --jobs $(SIM_JOBS) $(SIM_FLAGS)
	$(Q)$(SIM_PROGRAM) --mutations --machine lease --seeds 1-1000 --jobs $(SIM_JOBS) $(SIM_FLAGS)
sim-lease-mutations: $(SIM_PROGRAM)
	$(Q)$(SIM_PROGRAM) --mutations --machine lease --seeds 1-1000 --jobs $(SIM_JOBS) $(SIM_FLAGS)
sim-lease: $(SIM_PROGRAM)
	$(Q)$(SIM_PROGRAM) --machine lease --seeds $(SEEDS) --jobs $(SIM_JOBS) $(SIM_FLAGS)
sim-store: $(SIM_PROGRAM)
	$(Q)$(SIM_PROGRAM) --machine store --seeds $(SEEDS) --jobs $(SIM_JOBS) $(SIM_FLAGS)

sim-replay: $(SIM_PROGRAM)
	$(Q)$(SIM_PROGRAM) $(SIM_FLAGS)

.PHONY: driver-tests sim sim-lease sim-store sim-cases sim-mutations sim-lease-mutations sim-replay
