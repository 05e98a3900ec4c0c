"""The compiled event loop: slots on cores that take programs, load tiles ahead of time, compute and store.

Event by event the same as `memgrain.sim.reference.engine`, which is the one to read first. A slot is a state machine
(README.md beside this file has its diagram); it goes on until it waits for an event. The loop returns to Python when it
needs more programs, when a cache needs more room, and when all has ended.
"""

import numpy as np

from memgrain.sim.engine import memory_path, units
from memgrain.sim.engine import tables as tb
from memgrain.sim.engine.dispatch import (
    end_program,
    next_slot,
    pass_barrier,
    schedule,
    skip_empty,
    spend,
    start,
    take_program,
)
from memgrain.sim.engine.outstanding import add_load, cause_of_full_core, has_room
from memgrain.sim.native.jit import compiled, inlined


@inlined
def longest_wait(issued, done, levels):
    """What the request served last waited for most: the level with the longest queue, if that was longer than all the
    rest of the time; at a scratchpad the DMA engine's commands, or the banks."""
    number = len(levels.table)
    longest, cause = (done - issued) // 2, number + tb.LATENCY
    for i in range(number):
        level = levels.table[i]
        if level.queue > longest:
            longest = level.queue
            cause = number + tb.COMMANDS if level.for_engine else i
    return cause


@inlined
def request_runs(path, first, count, times, core, copies, slot, after, state):
    """Have the levels of a memory path serve `count` runs from `first` on; the slot goes on in state `after`."""
    request = state.request
    request.path, request.first, request.number, request.times, request.core = path, first, count, times, core
    request.copies = copies
    slot.state = after
    return tb.SERVE


@inlined
def next_repeat(position, last, steps):
    """Move a position on by one repeat."""
    position.times += 1
    if position.times == steps[position.step].repeats:
        position.times = 0
        position.step += 1
        skip_empty(position, last, steps)


@inlined
def issue(number, core, programs, state):
    """Issue index lists and loads as far ahead as the kernel does.

    Afterwards the slot's `wake` (0: nothing) and `cause` say what keeps the program from issuing more.
    """
    slot, progress, constants, steps = state.slots[number], state.progress, state.constants, programs.steps
    enough = slot.issued - slot.computed >= constants.stages
    enough = enough or (constants.synchronous > 0 and slot.open_steps == constants.synchronous)
    if slot.issued == slot.steps or enough:
        slot.state = tb.DECIDING
        return tb.GO_ON
    if slot.lists <= constants.lists_ahead and slot.lists < slot.steps - slot.issued - (slot.part > 0):
        ahead = state.positions[number, tb.AHEAD]
        step = steps[ahead.step]
        if step.index_runs:
            state.counts.tiles += 1
            first, count, times = step.first_run, step.index_runs, ahead.times
            return request_runs(constants.path, first, count, times, core, 0, slot, tb.LIST_SERVED, state)
        note_list(number, progress.now, programs, state)
        return tb.GO_ON
    listed = state.lists[number, slot.first_list]
    if not slot.part and listed > progress.now:
        slot.wake, slot.cause, slot.state = listed, constants.levels + tb.INDEX, tb.DECIDING
        return tb.GO_ON
    position = state.positions[number, tb.ISSUE]
    step = steps[position.step]
    part = programs.parts[step.first_part + slot.part]
    if not has_room(core, part.in_flight, state):
        slot.wake, slot.cause = state.outstanding[core, 0].arrival, cause_of_full_core(core, state)
        slot.state = tb.DECIDING
        return tb.GO_ON
    if not slot.part:
        slot.first_list = (slot.first_list + 1) % state.lists.shape[1]
        slot.lists -= 1
        slot.part_done, slot.part_cause = progress.now, -1
        state.counts.tiles += step.load_runs > 0
    if part.count:
        times = position.times
        return request_runs(
            constants.path, part.first, part.count, times, core, step.load_copies, slot, tb.LOAD_SERVED, state
        )
    note_load(number, core, progress.now, -1, programs, state)
    return tb.GO_ON


@inlined
def does_more_than_load(step, programs):
    """Whether a step computes or stores."""
    return np.int64(step.store_runs > 0 or programs.computations[step.computation].alone > 0)


@inlined
def note_list(number, done, programs, state):
    """Enter an index list that will be there at `done`."""
    slot = state.slots[number]
    state.lists[number, (slot.first_list + slot.lists) % state.lists.shape[1]] = done
    slot.lists += 1
    next_repeat(state.positions[number, tb.AHEAD], slot.last_step, programs.steps)
    slot.state = tb.ISSUING


@inlined
def note_load(number, core, done, cause, programs, state):
    """Enter a part of a load whose data will be there at `done`, after a wait for `cause`; with its last part the load
    is issued."""
    slot, counts, constants, now = state.slots[number], state.counts, state.constants, state.progress.now
    position = state.positions[number, tb.ISSUE]
    step = programs.steps[position.step]
    size = programs.parts[step.first_part + slot.part].in_flight
    if size > constants.most_in_flight and done > now:
        counts.oversize_bytes += size
        piecewise = now + constants.top_latency * size // constants.most_in_flight
        if piecewise > done:
            done, cause = piecewise, constants.levels + tb.IN_FLIGHT
    if size:
        counts.flight_bytes += size
        counts.flight_byte_ns += size * (done - now) // 1000
        add_load(core, done, cause, size, state)
    if done > slot.part_done:
        slot.part_done, slot.part_cause = done, cause
    slot.part += 1
    slot.state = tb.ISSUING
    if slot.part < step.last_part - step.first_part:
        return
    load = state.loads[number, (slot.first_load + slot.loads) % state.loads.shape[1]]
    load.done, load.cause = slot.part_done, slot.part_cause
    slot.part = 0
    slot.loads += 1
    slot.issued += 1
    slot.open_steps += does_more_than_load(programs.steps[position.step], programs)
    next_repeat(position, slot.last_step, programs.steps)


@inlined
def compute_until(end, number, after, state):
    """A slot computes until `end`, and goes on in state `after`."""
    slot = state.slots[number]
    if state.constants.in_parts:
        slot.busy_until, slot.after, slot.state = end, after, tb.BUSY
        return tb.GO_ON
    slot.state = after
    schedule(end, number, state)
    return tb.WAIT


@inlined
def go_on_computing(slot, state):
    """A slot that computes is awake: it has ended, or issues more parts of loads."""
    slot.state, slot.wake = tb.ISSUING, 0
    if state.progress.now >= slot.busy_until:
        slot.state, slot.busy_until = slot.after, -1


@inlined
def decide(number, core, programs, state):
    """Nothing more can be issued now: compute the step whose data are there, or wait."""
    slot, now = state.slots[number], state.progress.now
    if slot.busy_until >= 0:
        slot.state = tb.BUSY
        schedule(min(slot.busy_until, slot.wake) if slot.wake else slot.busy_until, number, state)
        return tb.WAIT
    load = state.loads[number, slot.first_load]
    ready, cause = load.done, load.cause
    if slot.stored > ready:
        ready, cause = slot.stored, slot.stored_cause
    if slot.loads and ready <= now:
        step = programs.steps[state.positions[number, tb.COMPUTED].step]
        work = programs.computations[step.computation]
        slot.state = tb.PRODUCTS_DONE
        if work.alone:
            begin_computation(slot, core, work, programs, state)
            if state.constants.exchanges and step.columns:
                slot.state, slot.parts = tb.EXCHANGING, 0
                slot.across, slot.cause = now, state.constants.levels + tb.EXCHANGE
                slot.longest, slot.probabilities, slot.products = 0, 0, 0
                return tb.GO_ON
            return compute_until(slot.end_of_work, number, tb.PRODUCTS_DONE, state)
        return tb.GO_ON
    if slot.loads and (not slot.wake or ready < slot.wake):
        slot.wake, slot.cause = ready, cause
    slot.state, slot.began = tb.WAITED, now
    schedule(slot.wake, number, state)
    return tb.WAIT


@inlined
def begin_computation(slot, core, work, programs, state):
    """Book the units for a computation; the slot's `end_of_work` is when it ends."""
    now = state.progress.now
    state.counts.macs += work.macs
    state.counts.issue_time += work.issue
    end = units.reserve(core, work, now, programs.rounds, state)
    slot.end_of_work = end
    spend(tb.MATMUL, work.matmul, state)
    spend(tb.VECTOR, work.vector, state)
    spend(tb.CODE, work.alone - work.matmul - work.vector, state)
    spend(tb.COMPUTE, end - now - work.alone, state)


@inlined
def exchange(number, core, resident, programs, state):
    """Issue the next part of an exchange of tiles between matrix and vector cores, or wait until enough is across and
    computed.

    Scores go outward, probabilities inward, and those of a pipelined kernel outward again, as products with V. The one
    matrix core writes or reads a tile before or after its vector cores do."""
    slot, constants = state.slots[number], state.constants
    step = programs.steps[state.positions[number, tb.COMPUTED].step]
    share, part = constants.vector_cores, slot.parts
    tile, order = part // (share + 1), part % (share + 1)
    if tile == (3 if constants.tiles and step.width else 2):
        end = end_of_step(number, programs.computations[step.computation].alone, state)
        state.spent[slot.cause] += end - slot.end_of_work
        return compute_until(end, number, tb.PRODUCTS_DONE, state)
    inward = np.int64(tile == 1)
    ours = order == (share if inward else 0)
    slot.parts += 1
    if ours and constants.direct:
        return tb.GO_ON
    other, rows = order - 1 + inward, (step.rows + share - 1) // share
    address = constants.workspace_base + (core * constants.max_programs + resident) * constants.workspace
    width, copies = step.columns * constants.score_bytes, step.tile_copies
    if tile == 1:
        address += constants.workspace // 2
        width = step.columns * constants.probability_bytes
    elif tile == 2:
        address += constants.workspace // 4 * 3
        width = step.width * constants.score_bytes
    if tile == 2 or (ours and not inward):
        copies = min(copies, 1)
    run = state.exchange[0]
    run["base"] = np.uint64(address if ours else address + other * rows * width)
    run["stride"], run["count"] = width, np.uint32(step.rows if ours else rows)
    run["bytes"], run["op"] = np.uint32(width), np.uint8(ours != (inward == 1))
    if ours:
        return request_runs(constants.path, -1, 1, 0, core, copies, slot, tb.EXCHANGE_SERVED, state)
    at = core * share + other
    return request_runs(constants.vector_path, -1, 1, 0, at, copies, slot, tb.EXCHANGE_SERVED, state)


@inlined
def note_exchange(slot, state):
    """Enter the part of an exchange that was served."""
    request, constants = state.request, state.constants
    if request.done > slot.across:
        slot.across = request.done
        latency = constants.levels + tb.LATENCY
        slot.cause = constants.levels + tb.EXCHANGE if request.cause == latency else request.cause
    slot.state = tb.EXCHANGING
    if not constants.tiles:
        return
    share = constants.vector_cores
    tile, order = (slot.parts - 1) // (share + 1), (slot.parts - 1) % (share + 1)
    slot.longest = max(slot.longest, request.alone)
    if order == share or order == (share - 1 if tile == 1 else 0):
        if tile == 2:
            slot.products += slot.longest
        else:
            slot.probabilities += slot.longest
        slot.longest = 0


@inlined
def end_of_step(number, alone, state):
    """When a step whose tile has been exchanged ends. A pipelined kernel's tile joins those under way: the first waits
    for its probabilities, and the oldest leaves when they are as many as there may be."""
    slot, constants, now = state.slots[number], state.constants, state.progress.now
    if not constants.tiles:
        return max(slot.end_of_work, slot.across + alone)
    end, ends = slot.end_of_work, state.tile_ends
    if not slot.tiles:
        end = max(end, now + slot.probabilities + alone)
    last = max(slot.across, now + slot.probabilities + slot.products) + alone
    ends[number, (slot.first_tile + slot.tiles) % ends.shape[1]] = last
    slot.tiles += 1
    if slot.tiles == constants.tiles:
        end = max(end, ends[number, slot.first_tile])
        slot.first_tile = (slot.first_tile + 1) % ends.shape[1]
        slot.tiles -= 1
    slot.tail = slot.products
    return end


@inlined
def finish_tiles(number, state):
    """Wait until the products of the program's last tile are with the vector cores."""
    slot, tail = state.slots[number], state.slots[number].tail
    slot.first_tile, slot.tiles = 0, 0
    if not tail:
        return tb.GO_ON
    spend(tb.EXCHANGE, tail, state)
    schedule(state.progress.now + tail, number, state)
    return tb.WAIT


@inlined
def after_products(number, core, programs, state):
    """The products of a step are done: run the code outside the steps where it belongs."""
    slot = state.slots[number]
    step = programs.steps[state.positions[number, tb.COMPUTED].step]
    if slot.tiles and (step.store_runs or slot.computed + 1 == slot.steps):
        return finish_tiles(number, state)
    idle = not (step.index_runs or step.load_runs or step.store_runs)
    idle = idle and not programs.computations[step.computation].alone
    slot.state = tb.CODE_DONE
    once = programs.computations[programs.chunks[slot.chunk].once]
    if (step.store_runs or idle) and once.alone:
        begin_computation(slot, core, once, programs, state)
        return compute_until(slot.end_of_work, number, tb.CODE_DONE, state)
    return tb.GO_ON


@inlined
def after_code(number, core, programs, state):
    """A step is computed: store its results, and go on to the next step."""
    slot = state.slots[number]
    position = state.positions[number, tb.COMPUTED]
    step, times = programs.steps[position.step], position.times
    slot.first_load = (slot.first_load + 1) % state.loads.shape[1]
    slot.loads -= 1
    slot.computed += 1
    slot.open_steps -= does_more_than_load(step, programs)
    next_repeat(position, slot.last_step, programs.steps)
    if step.store_runs:
        first = step.first_run + step.index_runs + step.load_runs
        path = state.constants.path
        return request_runs(path, first, step.store_runs, times, core, 0, slot, tb.STORE_SERVED, state)
    slot.state = tb.AT_WORK
    return tb.GO_ON


@inlined
def after_store(number, state):
    """A store has been served: wait for it if the kernel's copies are synchronous."""
    slot, request, now = state.slots[number], state.request, state.progress.now
    state.counts.end = max(state.counts.end, request.done)
    if state.constants.one_result:
        slot.stored, slot.stored_cause = request.done, request.cause
    if state.constants.synchronous and request.done > now:
        slot.state, slot.began, slot.cause = tb.WAITED, now, state.constants.levels + tb.STORE
        schedule(request.done, number, state)
        return tb.WAIT
    slot.state = tb.AT_WORK
    return tb.GO_ON


@inlined
def begin_step(number, programs, state):
    """A slot is at work: issue what comes next, or end the program."""
    slot = state.slots[number]
    if slot.computed == slot.steps:
        end_program(number, programs, state)
    else:
        slot.state, slot.wake = tb.ISSUING, 0
    return tb.GO_ON


@inlined
def begin_program(number, programs, state):
    """A slot is idle: take the next program."""
    progress = state.progress
    if progress.next_program == progress.at_hand:
        return tb.WAIT if progress.exhausted else tb.MORE_PROGRAMS
    take_program(number, programs, state)
    return pass_barrier(number, programs, state)


@inlined
def advance(number, programs, state):
    """Advance one slot's state machine; returns GO_ON, WAIT, SERVE or MORE_PROGRAMS."""
    slot, request, cores = state.slots[number], state.request, state.constants.cores
    core, resident, now = number % cores, number // cores, state.progress.now
    if slot.state == tb.ISSUING:
        return issue(number, core, programs, state)
    if slot.state == tb.LOAD_SERVED:
        note_load(number, core, request.done, request.cause, programs, state)
    elif slot.state == tb.LIST_SERVED:
        note_list(number, request.done, programs, state)
    elif slot.state == tb.DECIDING:
        return decide(number, core, programs, state)
    elif slot.state == tb.EXCHANGING:
        return exchange(number, core, resident, programs, state)
    elif slot.state == tb.EXCHANGE_SERVED:
        note_exchange(slot, state)
    elif slot.state == tb.PRODUCTS_DONE:
        return after_products(number, core, programs, state)
    elif slot.state == tb.CODE_DONE:
        return after_code(number, core, programs, state)
    elif slot.state == tb.STORE_SERVED:
        return after_store(number, state)
    elif slot.state == tb.WAITED:
        state.spent[slot.cause] += now - slot.began
        slot.state = tb.AT_WORK
    elif slot.state == tb.BUSY:
        go_on_computing(slot, state)
    elif slot.state == tb.IDLE:
        return begin_program(number, programs, state)
    elif slot.state == tb.AT_BARRIER:
        return pass_barrier(number, programs, state)
    elif slot.state == tb.OPENED:
        return start(number, state)
    elif slot.state == tb.STARTED:
        spend(tb.START, now - slot.began, state)
        slot.state = tb.AT_WORK
    else:
        return begin_step(number, programs, state)
    return tb.GO_ON


@inlined
def advance_slots(programs, state):
    """Advance slots, event by event, until Python or the levels have something to do: SERVE, MORE_PROGRAMS or ENDED."""
    progress = state.progress
    while True:
        if progress.slot < 0:
            progress.slot = next_slot(state)
            if progress.slot < 0:
                return tb.ENDED
        outcome = advance(progress.slot, programs, state)
        if outcome == tb.WAIT:
            progress.slot = -1
        elif outcome != tb.GO_ON:
            return outcome


@compiled
def run(programs, state, levels):
    """Run until all has ended, or until Python has something to do; returns why, see ENDED and the like."""
    request = state.request
    while True:
        outcome = advance_slots(programs, state)
        if outcome != tb.SERVE:
            return outcome
        runs, first = programs.runs, request.first
        if first < 0:
            runs, first = state.exchange, np.int64(0)
        now, path, number, times, core = state.progress.now, request.path, request.number, request.times, request.core
        copies = request.copies
        done = memory_path.serve(path, runs, programs.indices, first, number, times, core, copies, now, levels)
        if done == memory_path.NEVER:
            return tb.BEYOND
        request.done, request.cause = done, longest_wait(now, done, levels)
        request.alone = levels.table[levels.paths[path, 0]].alone
        if memory_path.room_left(levels) < state.constants.room:
            return tb.MORE_ROOM
