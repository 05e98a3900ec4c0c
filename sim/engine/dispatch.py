"""Slots take programs: barriers between chunks, dispatch, and waking the slots that wait for the end of a chunk."""

import numpy as np

from memgrain.sim.engine import event_queue
from memgrain.sim.engine import tables as tb
from memgrain.sim.native.jit import inlined


@inlined
def schedule(time, target, state):
    """Advance a slot at `time`; `target` is its number, or -1 - n for the slots that wait for chunk end n."""
    progress = state.progress
    event_queue.push(time, progress.order, target, progress.events, state.events)
    progress.order += 1
    progress.events += 1


@inlined
def spend(cause, time, state):
    """Add time that a slot spent on something."""
    state.spent[state.constants.levels + cause] += time


@inlined
def skip_empty(position, last, steps):
    """Move a position past steps that are never executed."""
    while position.step < last and steps[position.step].repeats == 0:
        position.step += 1


@inlined
def earlier_chunk_runs(number, progress, chunks):
    """Whether programs of a chunk before `number` run."""
    while progress.oldest < number and chunks[progress.oldest].left == 0:
        progress.oldest += 1
    other = progress.oldest
    while other < number and chunks[other].running == 0:
        other += 1
    return other < number


@inlined
def take_program(number, programs, state):
    """Give a slot the next program."""
    slot, progress, steps = state.slots[number], state.progress, programs.steps
    program = programs.programs[progress.next_program]
    progress.next_program += 1
    first, last = program.first_step, program.first_step + program.steps
    slot.chunk, slot.last_step = program.chunk, last
    total = np.int64(0)
    for step in range(first, last):
        total += steps[step].repeats
    slot.steps, slot.issued, slot.computed, slot.open_steps, slot.stored = total, 0, 0, 0, 0
    slot.first_load, slot.loads, slot.first_list, slot.lists, slot.part = 0, 0, 0, 0, 0
    slot.busy_until = -1
    for i in range(tb.POSITIONS):
        position = state.positions[number, i]
        position.step, position.times = first, 0
        skip_empty(position, last, steps)
    slot.began = progress.now


@inlined
def pass_barrier(number, programs, state):
    """Pass the barrier of a slot's chunk, or wait there."""
    slot, progress, counts = state.slots[number], state.progress, state.counts
    chunk = programs.chunks[slot.chunk]
    if chunk.barrier and earlier_chunk_runs(slot.chunk, progress, programs.chunks):
        entry = state.waiting[(progress.first_waiting + progress.waiting) % len(state.waiting)]
        entry.slot, entry.generation = number, progress.generation
        progress.waiting += 1
        slot.state = tb.AT_BARRIER
        return tb.WAIT
    if chunk.barrier and not chunk.begun:
        counts.merge_began = progress.now
    chunk.begun = 1
    chunk.running += 1
    counts.programs += 1
    counts.merging += chunk.barrier
    slot.state = tb.OPENED
    if chunk.costs:
        if chunk.opens < 0:
            chunk.opens = progress.now + chunk.costs
        schedule(max(progress.now, chunk.opens), number, state)
        return tb.WAIT
    return tb.GO_ON


@inlined
def start(number, state):
    """Dispatch a slot's program, and wait until it starts."""
    slot, progress, constants = state.slots[number], state.progress, state.constants
    now = progress.now
    spend(tb.BARRIER, now - slot.began, state)
    slot.began = now
    progress.dispatched = max(progress.dispatched, now) + constants.dispatch
    wait = progress.dispatched - now + slot.begin
    slot.begin = constants.program_start
    slot.state = tb.STARTED
    if wait:
        schedule(now + wait, number, state)
        return tb.WAIT
    return tb.GO_ON


@inlined
def end_program(number, programs, state):
    """End a slot's program; if it is the last of its chunk that runs, wake the slots that wait for that."""
    slot, progress = state.slots[number], state.progress
    chunk = programs.chunks[slot.chunk]
    chunk.running -= 1
    chunk.left -= 1
    if not chunk.running:
        last = state.waiting[(progress.first_waiting + progress.waiting - 1) % len(state.waiting)]
        if progress.waiting and last.generation == progress.generation:
            schedule(progress.now, -1 - progress.generation, state)
        progress.generation += 1
    slot.state = tb.IDLE


@inlined
def pop_waiting(generation, progress, waiting):
    """Remove the next slot that waits for chunk end `generation`; -1 if there is none."""
    first = waiting[progress.first_waiting]
    if not progress.waiting or first.generation != generation:
        return np.int64(-1)
    progress.first_waiting = (progress.first_waiting + 1) % len(waiting)
    progress.waiting -= 1
    return first.slot


@inlined
def next_slot(state):
    """The slot to advance, -1 if all has ended. Slots that wait for the end of a chunk come before the next event."""
    progress = state.progress
    while True:
        if progress.waking >= 0:
            number = pop_waiting(progress.waking, progress, state.waiting)
            if number >= 0:
                return number
            progress.waking = -1
        if not progress.events:
            return np.int64(-1)
        time, target = event_queue.pop(progress.events, state.events)
        progress.events -= 1
        progress.now = time
        if target >= 0:
            return target
        progress.waking = -1 - target
