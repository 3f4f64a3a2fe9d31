// SPDX-License-Identifier: GPL-2.0-or-later
/* barrier.c - barriers between a guest's driver and its device, for an engine that leaves LOCK out.
 *
 * An instruction with LOCK does two things: its read and write are one, and all stores before it are seen before any load behind
 * it is done.  The translator leaves LOCK out for a lone vCPU, which makes such an instruction some ten times as quick.
 *
 * Being one: an instruction without LOCK is whole against everything on its own thread, so it needs LOCK only where another
 * thread writes the very bytes that it changes.  Devices do DMA, and neither PCI nor a driver asks of that to be whole with a LOCK of
 * the CPU's (we offer no AtomicOps).  The exception are words that a specification has both sides change: the flags of events of
 * Hyper-V's SynIC, which only the guest's own call sets (on its thread: synic.c), and the accessed and dirty bits of page tables,
 * which the engine sets on its vCPU's thread.  A device that needs it on another thread can have it (api/barrier.h): the vCPU is
 * between two instructions when dev_barrier() lets it pass, so one that read the old has written by then.
 *
 * Being a barrier: x86 keeps the order of stores, of loads, and of stores behind loads.  All that it gives up is a load behind a store
 * to another place, and that matters where two sides each write one place and then read the other's (Dekker):
 *
 *      driver:  used_event = n;  barrier;  look at used->idx          device:  used->idx = n;  barrier;  look at used_event
 *
 * If both read the old, a finished request is told of by nobody, and a disk is dead.  Linux takes any instruction with LOCK for the
 * barrier (an atomic operation, or `lock addl $0, -4(%rsp)`), so none of them may be known by its form.  The driver's side cannot
 * be had for nothing; but what is in its way are the stores that still wait in the buffer of one host CPU, and those can be
 * driven out from the other side: membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) returns when each running thread of the process
 * has passed a full barrier at some instruction of its own between the call's begin and end.  Let the vCPU's be at the
 * instruction i.
 *
 *      The driver's store is before i:  it is seen when the call is over, and so by the device's load behind it.
 *      It is i or behind it:            so is the driver's load, as the code has it behind the store; the device's store was
 *                                       done before the call, and so is seen by that load.
 *
 * The translator keeps loads and stores as the guest has them, so this holds for the guest's order too.  A thread that does not run has
 * passed a barrier when it was taken off its CPU, and passes another one before it goes on.  So a device calls dev_barrier() between
 * its store and its load.  There are two other cases where nothing needs to be called:
 *   - on the vCPU's own thread (a doorbell's access, a timer that it runs): one thread sees its own stores in order;
 *   - while the vCPU is halted: machine.halted is changed by instructions with LOCK before it sleeps and before it goes on.
 * Registers of devices need nothing of this: each access takes a lock.  Nor does any state of ours that an engine and core share;
 * they have their own fences.
 *
 * LOCK also drives out stores that are not in order at all, those with a non-temporal hint (Windows ends its zeroing of pages
 * so).  The engine that leaves LOCK out makes them ordinary ones (native/replay.c).
 *
 * Where the kernel has no such call, or a container's filter refuses it, nothing is offered and LOCK stays. */
#include "core-vmm/api/barrier.h"
#include "core-vmm/machine/core.h"
#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool membarrier(int command)
{
    return syscall(SYS_membarrier, command, 0, 0) == 0;
}

/* Once registered, it cannot be refused for another reason than memory: the same filter lets both pass. */
bool barrier_far_offered(void)
{
    return membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) && membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

static bool passes_by_itself(struct machine *m)
{
    return pthread_equal(pthread_self(), m->vcpu[0].thread) || atomic_load(&m->halted);
}

void dev_barrier(struct device *d)
{
    struct machine *m = d->machine;
    atomic_thread_fence(memory_order_seq_cst);
    if (!m->far_barriers || passes_by_itself(m))
        return;
    while (!membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED))
        if (errno != ENOMEM)
            g_error("%s: membarrier: %s: a request of the guest's would be lost", d->name, g_strerror(errno));
}
